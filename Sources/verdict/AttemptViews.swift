import HTTP

/// An attempt as the API shows it, for people.
struct Attempt: Decodable, Sendable {
    struct Outcome: Decodable, Sendable {
        var state: String
        var index: UInt64
        var decided_at: String
        var channel: String?
        var call: String?
        var region: String?
    }
    struct Counts: Decodable, Sendable {
        var callbacks: UInt64
        var repeated: UInt64
        var mismatched: UInt64
        var late: UInt64
        var contradicted: UInt64
        var stale: UInt64
    }
    var attempt: String
    var flow: String?
    var subject: String?
    var state: String
    var opened_at: String?
    var expires_at: String?
    var tries_left: Int?
    var outcome: Outcome?
    var counts: Counts?

    var table: String {
        var rows: [(String, String?)] = [
            ("attempt", attempt), ("state", state), ("flow", flow), ("subject", subject),
            ("opened", opened_at), ("expires", expires_at),
            ("tries left", tries_left.map(String.init)),
        ]
        if let outcome {
            let origin = [outcome.channel, outcome.call, outcome.region].compactMap { $0 }
            rows.append(("decided", "\(outcome.decided_at) by entry \(outcome.index)"))
            if !origin.isEmpty { rows.append(("from", origin.joined(separator: ", "))) }
        }
        if let counts {
            rows.append(
                (
                    "callbacks",
                    "\(counts.callbacks): \(counts.repeated) repeated, "
                        + "\(counts.mismatched) mismatched, \(counts.late) late, "
                        + "\(counts.contradicted) contradicted, \(counts.stale) stale"
                )
            )
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.compactMap { label, value in
            value.map { "\(label.padded(to: width))  \($0)" }
        }.joined(separator: "\n")
    }
}

/// A timeline as the API shows it, for people.
package struct Timeline: Decodable, Sendable {
    struct Entry: Decodable, Sendable {
        var index: UInt64
        var at: String
        var received_at: String?
        var region: String?
        var node: Int?
        var provider: String?
        var call: String?
        var event: String?
        var disposition: String?
        var state_before: String?
        var state_after: String?
        var repeats: UInt64?
    }
    var attempt: String
    var entries: [Entry]

    package var table: String {
        let rows = entries.map { entry in
            let before = entry.state_before ?? "-"
            let after = entry.state_after ?? "-"
            return [
                "\(entry.index)", entry.time,
                entry.node.map { "\($0) \(entry.region ?? "")" } ?? entry.region ?? "-",
                entry.provider ?? "-", entry.call ?? "-", entry.event ?? "-",
                entry.disposition ?? "-", before == after ? after : "\(before) → \(after)",
                entry.repeats.map { $0 == 0 ? "" : "\($0)" } ?? "",
            ]
        }
        return Terminal.table(
            [
                "index", "at", "node", "provider", "call", "event", "disposition", "state",
                "repeats",
            ],
            rows,
            right: [0, 8]
        )
    }
}

extension Timeline.Entry {
    /// The entry's time in the log, with the time of receipt where that is another by more than a commit
    /// takes: a callback that waited in an intake, or a clock that is wrong.
    fileprivate var time: String {
        guard let received_at, let receipt = RFC3339.parse(received_at),
            let logged = RFC3339.parse(at),
            max(receipt, logged) - min(receipt, logged) > 1000
        else { return at }
        return "\(at), received \(received_at)"
    }
}
