import Raft

/// The log as recovery finds it, batch after batch.
struct LogReplay {
    private(set) var point = LogPoint()
    private(set) var terms = TermRuns()
    var positions = EntryPositions()
    private(set) var nextBatch: UInt64 = 1
    private(set) var previousChecksum: UInt32 = 0

    /// The newest entries, contiguous up to the end of the log, from `start` on.
    private var window: [Entry] = []
    private var start = 0
    /// Cost of those before the commit index.
    private var costBeforeCommit = 0
    private let maxCostBeforeCommit: Int

    init(tailBytes: Int) { maxCostBeforeCommit = tailBytes }

    /// The log from what `window` still holds.
    var recovered: RecoveredLog {
        RecoveredLog(
            hardState: point.hardState,
            tail: Array(window[start...]),
            terms: terms.runs,
            lastIndex: point.last.index
        )
    }

    /// Takes in the records of a batch whose checksums have been checked.
    ///
    /// - Parameters:
    ///   - header: the batch's.
    ///   - body: where its records lie in `bytes`.
    ///   - bytes: a piece of the segment.
    ///   - segment: its sequence number.
    ///   - offset: where `bytes` begin in it.
    ///   - committed: gets each entry that becomes known as committed.
    /// - Throws: `RecordFault` if a record cannot be read or does not follow from those before it.
    mutating func apply(
        _ header: BatchHeader,
        body: Range<Int>,
        of bytes: [UInt8],
        segment: UInt64,
        offset: Int,
        committed: (Entry) -> Void
    ) throws(RecordFault) {
        var at = body.lowerBound
        for _ in 0..<header.records {
            let extent = try Record.extent(in: bytes, at: at)
            guard extent.upperBound <= body.upperBound else {
                throw RecordFault("record reaches beyond its batch")
            }
            switch try Record(in: bytes, extent: extent) {
            case .entry(let entry):
                try append(entry)
                positions.append(
                    EntryPositions.Span(
                        first: entry.index,
                        segment: segment,
                        offset: offset + extent.lowerBound,
                        end: offset + extent.upperBound
                    )
                )
            case .truncate(let index): try truncate(after: index)
            case .hardState(let state): try replaceHardState(state, committed)
            }
            at = (extent.upperBound + Record.alignment - 1) & ~(Record.alignment - 1)
        }
        guard at == body.upperBound else { throw RecordFault("batch holds more than its records") }
        nextBatch = header.number + 1
        previousChecksum = header.checksum
    }

    private mutating func append(_ entry: Entry) throws(RecordFault) {
        guard entry.index == point.last.index.next, entry.term >= point.last.term else {
            throw RecordFault("entry \(entry.id) follows \(point.last)")
        }
        point.last = entry.id
        terms.append(entry.id)
        window.append(entry)
    }

    private mutating func truncate(after index: LogIndex) throws(RecordFault) {
        guard index < point.last.index, index >= point.hardState.commitIndex else {
            throw RecordFault(
                "truncation after \(index): last entry \(point.last), "
                    + "committed through \(point.hardState.commitIndex)"
            )
        }
        window.removeLast(point.last.index.distance(from: index))
        terms.truncate(after: index)
        positions.truncate(after: index)
        point.last = EntryID(term: terms.last, index: index)
    }

    private mutating func replaceHardState(
        _ state: HardState,
        _ committed: (Entry) -> Void
    ) throws(RecordFault) {
        let old = point.hardState
        guard state.currentTerm >= old.currentTerm, state.commitIndex >= old.commitIndex,
            state.commitIndex <= point.last.index
        else {
            throw RecordFault("hard state \(state) follows \(old), last entry \(point.last)")
        }
        point.hardState = state
        guard state.commitIndex > old.commitIndex else { return }
        // From here on `window` holds the entry at the old commit index, unless that is 0.
        var at = window.count - point.last.index.distance(from: old.commitIndex)
        let newest = window.count - 1 - point.last.index.distance(from: state.commitIndex)
        if old.commitIndex > .zero { costBeforeCommit += window[at - 1].cost }
        while at <= newest {
            committed(window[at])
            if at < newest { costBeforeCommit += window[at].cost }
            at += 1
        }
        forget(before: newest)
    }

    /// Drops the oldest entries that are too many, with the entry at the commit index kept.
    private mutating func forget(before newest: Int) {
        while costBeforeCommit > maxCostBeforeCommit, start < newest {
            costBeforeCommit -= window[start].cost
            start += 1
        }
        // Seldom enough that each entry is moved about once.
        if start > 64, start > window.count / 2 {
            window.removeFirst(start)
            start = 0
        }
    }
}
