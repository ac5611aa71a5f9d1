internal import HTTP
package import Verification

/// The bodies that show an attempt.
package enum AttemptBody {
    /// The answer to `GET`: the attempt as it is.
    ///
    /// Once its retention time is over only what is kept for ever is shown, and `details` is false.
    package static func bytes(_ view: AttemptView) -> [UInt8] {
        guard !view.isCompact else { return compact(view) }
        var json = JSONText()
        json.beginObject()
        json.member("attempt", view.attempt.text)
        json.member("flow", view.flow)
        json.member("subject", view.subject)
        json.member("state", view.state.name)
        json.member("terminal", view.state.isTerminal)
        json.member("opened_at", milliseconds: view.openedAt.milliseconds)
        json.member("expires_at", milliseconds: view.expiresAt.milliseconds)
        json.member("tries_left", view.triesLeft)
        if let outcome = view.outcome {
            json.key("outcome")
            write(outcome, to: &json)
        }
        json.key("counts")
        json.beginObject()
        json.member("callbacks", view.counts.callbacks)
        json.member("repeated", view.counts.repeated)
        json.member("mismatched", view.counts.mismatched)
        json.member("late", view.counts.late)
        json.member("contradicted", view.counts.contradicted)
        json.member("stale", view.counts.stale)
        json.endObject()
        json.endObject()
        return json.bytes
    }

    private static func compact(_ view: AttemptView) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("attempt", view.attempt.text)
        json.member("flow", view.flow)
        json.member("state", view.state.name)
        json.member("terminal", true)
        json.member("details", false)
        if let outcome = view.outcome {
            json.key("outcome")
            write(outcome, to: &json)
        }
        json.endObject()
        return json.bytes
    }

    private static func write(_ outcome: Outcome, to json: inout JSONText) {
        json.beginObject()
        json.member("state", outcome.state.name)
        json.member("index", outcome.index.number)
        json.member("decided_at", milliseconds: outcome.decidedAt.milliseconds)
        if let channel = outcome.channel { json.member("channel", channel) }
        if let call = outcome.call { json.member("call", call) }
        if let region = outcome.region { json.member("region", region) }
        json.endObject()
    }

    /// The answer to `PUT`: the attempt as it was when it was opened.
    ///
    /// It holds only what never changes afterwards, so the first open and every later same one get
    /// the same bytes, also when the attempt has been decided in between.
    package static func opened(_ view: AttemptView) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("attempt", view.attempt.text)
        json.member("flow", view.flow)
        json.member("subject", view.subject)
        json.member("state", AttemptState.open.name)
        json.member("terminal", false)
        json.member("opened_at", milliseconds: view.openedAt.milliseconds)
        json.member("expires_at", milliseconds: view.expiresAt.milliseconds)
        json.member("tries_left", view.triesLeft)
        json.endObject()
        return json.bytes
    }
}
