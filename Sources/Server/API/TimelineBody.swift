internal import HTTP
package import Verification

/// The body of a timeline: everything recorded for an attempt, in log order.
///
/// `event` is the callback's, or `opened`, or `deadline` for an expiry or a grace time that passed, or
/// `decided` where no more is kept.
/// What an entry does not have is left out.
package enum TimelineBody {
    package static func bytes(_ attempt: AttemptID, _ entries: [TimelineEntry]) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("attempt", attempt.text)
        json.key("entries")
        json.beginArray()
        for entry in entries { write(entry, to: &json) }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(_ entry: TimelineEntry, to json: inout JSONText) {
        json.beginObject()
        json.member("index", entry.index.number)
        json.member("at", milliseconds: entry.at.milliseconds)
        if let time = entry.receivedAt {
            json.member("received_at", milliseconds: time.milliseconds)
        }
        if let time = entry.occurredAt {
            json.member("occurred_at", milliseconds: time.milliseconds)
        }
        if let region = entry.region { json.member("region", region) }
        if let node = entry.node { json.member("node", node) }
        if let provider = entry.provider { json.member("provider", provider) }
        if let key = entry.key { json.member("key", key.text) }
        if let call = entry.call { json.member("call", call) }
        json.member("event", name(entry.what))
        if let sequence = entry.sequence { json.member("sequence", sequence) }
        if let channel = entry.channel { json.member("channel", channel) }
        if let status = entry.status { json.member("status", status.name) }
        if let claimed = entry.claimed { json.member("outcome", claimed.name) }
        if let disposition = entry.disposition { json.member("disposition", disposition.name) }
        if !entry.differs.isEmpty {
            json.key("differs")
            json.beginArray()
            for name in entry.differs { json.string(name) }
            json.endArray()
        }
        json.member("state_before", entry.stateBefore.name)
        json.member("state_after", entry.stateAfter.name)
        if case .callback = entry.what { json.member("repeats", entry.repeats) }
        if let time = entry.lastRepeatAt {
            json.member("last_repeat_at", milliseconds: time.milliseconds)
        }
        json.endObject()
    }

    private static func name(_ what: TimelineEntry.What) -> String {
        switch what {
        case .opened: "opened"
        case .callback(let kind): kind.name
        case .deadline: "deadline"
        case .decided: "decided"
        }
    }
}
