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

    /// The entry that reading began after; zero for the whole log.
    private(set) var base: EntryID
    /// Entries through this one are not handed out: a checkpoint stands for them.
    private var floor: LogIndex
    /// A truncation went back behind `base`: reading has to begin with an earlier segment.
    private(set) var wentBehindBase = false

    /// Begins with the first batch of a segment.
    ///
    /// - Parameters:
    ///   - tailBytes: cost of committed entries that are kept for the core, at most.
    ///   - header: the segment's; nil for an empty log.
    ///   - terms: those of the entries through the segment's start.
    ///   - floor: entries through this one are known already.
    init(tailBytes: Int, header: SegmentHeader?, terms: TermRuns, floor: LogIndex) {
        maxCostBeforeCommit = tailBytes
        self.floor = floor
        base = .zero
        guard let header else { return }
        point = header.start
        base = header.start.last
        self.terms = terms
        nextBatch = header.firstBatch
        previousChecksum = header.previousChecksum
    }

    /// The newest committed entry that was handed out, or is known.
    var handedOut: LogIndex { max(floor, point.hardState.commitIndex) }

    /// The log from what `window` still holds.
    func recovered(startTime: Timestamp) -> RecoveredLog {
        RecoveredLog(
            hardState: point.hardState,
            tail: Array(window[start...]),
            terms: terms.runs,
            lastIndex: point.last.index,
            start: base,
            startTime: startTime
        )
    }

    /// Time of the newest entry, as far as it was read.
    var lastTime: Timestamp { window.last?.time ?? .zero }

    /// Takes note that entries through `index` are committed, whatever the log says.
    mutating func commit(through index: LogIndex, _ committed: (Entry) -> Void) {
        guard index > point.hardState.commitIndex else { return }
        invariant(index <= point.last.index, "commit \(index), the log ends at \(point.last)")
        var state = point.hardState
        state.commitIndex = index
        moveCommit(to: state, committed)
    }

    /// The hard state that is known from elsewhere.
    mutating func replaceHardState(_ state: HardState) { point.hardState = state }

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
        guard index >= base.index else {
            wentBehindBase = true
            throw RecordFault("truncation after \(index), read from \(base)")
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
        moveCommit(to: state, committed)
    }

    private mutating func moveCommit(to state: HardState, _ committed: (Entry) -> Void) {
        let old = point.hardState
        point.hardState = state
        let newest = position(of: state.commitIndex)
        guard state.commitIndex > old.commitIndex, newest >= 0 else { return }
        // `window` holds the entry at the old commit index, unless that lies before all of it.
        var at = position(of: old.commitIndex)
        if at >= 0 { costBeforeCommit += window[at].cost }
        at = max(at, -1) + 1
        while at <= newest {
            if window[at].index > floor { committed(window[at]) }
            if at < newest { costBeforeCommit += window[at].cost }
            at += 1
        }
        forget(before: newest)
    }

    /// Where an entry is in `window`; negative if before it.
    private func position(of index: LogIndex) -> Int {
        window.count - 1 - point.last.index.distance(from: index)
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
