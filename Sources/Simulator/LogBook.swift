internal import Raft
internal import Verification

/// Which terms a log has, from its start to its end: with Log Matching, all there is to know of it.
struct LogShape: Hashable {
    private(set) var runs: [TermRun] = []
    private(set) var last = LogIndex.zero

    var lastID: EntryID { EntryID(term: runs.last?.term ?? .zero, index: last) }

    /// The term of the entry at an index; `nil` behind the end.
    func term(at index: LogIndex) -> Term? {
        guard index <= last else { return nil }
        guard index > .zero else { return .zero }
        for run in runs.reversed() where run.first <= index { return run.term }
        return nil
    }

    mutating func append(_ id: EntryID) {
        invariant(id.index == last.next, "shape ends at \(last), \(id) appended")
        if runs.last?.term != id.term { runs.append(TermRun(term: id.term, first: id.index)) }
        last = id.index
    }

    mutating func truncate(after index: LogIndex) {
        last = min(last, index)
        while let run = runs.last, run.first > last { runs.removeLast() }
    }
}

/// What a node's stable storage promises to others.
struct DurableState: Hashable {
    var log = LogShape()
    var term = Term.zero
    var vote: NodeID?
}

/// Every entry that was ever in any log, by term and index (Log Matching, dissertation §3.6.3).
struct LogBook {
    struct Facts {
        var previous: EntryID
        var entry: Entry
        /// Decoded once, when the entry first stands anywhere.
        var command: Result<Command?, any Error>
        var fingerprint: UInt64
    }
    /// Looked up only, never walked: its order differs from process to process.
    private var facts: [EntryID: Facts] = [:]

    subscript(id: EntryID) -> Facts? { facts[id] }

    /// Notes an entry of some log.
    ///
    /// - Returns: what is wrong: another log has another entry of this term and index, or another
    ///   one before it.
    mutating func note(_ entry: Entry, after previous: EntryID) -> String? {
        var fingerprint = Fingerprint()
        fingerprint.fold(entry.payload)
        fingerprint.fold(entry.time.milliseconds)
        fingerprint.fold(UInt64(entry.kind.rawValue))
        guard let known = facts[entry.id] else {
            facts[entry.id] = Facts(
                previous: previous,
                entry: entry,
                command: Result {
                    entry.kind == .command ? try Command(decoding: entry.payload) : nil
                },
                fingerprint: fingerprint.value
            )
            return nil
        }
        if known.fingerprint != fingerprint.value {
            return "two different entries \(entry.id)"
        }
        if known.previous != previous {
            return "\(entry.id) follows \(known.previous) in one log and \(previous) in another"
        }
        return nil
    }
}
