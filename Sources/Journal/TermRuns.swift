import Raft

/// The term of every index of a log.
struct TermRuns: Sendable {
    private(set) var runs: [TermRun]

    init(_ runs: [TermRun] = []) { self.runs = runs }

    /// The term of the newest entry; zero if there is none.
    var last: Term { runs.last?.term ?? .zero }

    mutating func append(_ entry: EntryID) {
        if runs.last?.term != entry.term {
            runs.append(TermRun(term: entry.term, first: entry.index))
        }
    }

    mutating func truncate(after index: LogIndex) {
        while let run = runs.last, run.first > index { runs.removeLast() }
    }

    /// The term of the entry at an index that the log has.
    func term(at index: LogIndex) -> Term {
        guard index > .zero else { return .zero }
        return runs.last { $0.first <= index }?.term ?? .zero
    }
}
