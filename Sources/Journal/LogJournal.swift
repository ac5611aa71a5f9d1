import Digest
package import Raft

/// The durable log: turns `LogWrite` values into batches for a disk, and reads old entries back.
///
/// Pure: it says what is to be done on the disk and is told when it is. At most one batch is under
/// way; what is appended meanwhile goes into the next one, so that one sync serves all that wait
/// (group commit). docs/formats.md describes the files and the argument on which recovery rests.
package struct LogJournal: ~Copyable {
    let configuration: JournalConfiguration

    /// The log with all that was appended, durable or not.
    var point: LogPoint
    var terms: TermRuns
    /// The newest log time of an entry.
    private var lastTime = Timestamp.zero

    /// The log before the first pending record.
    private var pointBeforePending: LogPoint
    /// A batch in the making: room for its header, then records.
    private var pending: [UInt8] = []
    private var pendingRecords: UInt32 = 0
    private var pendingSteps: [PositionStep] = []
    /// The lowest index that a pending write truncates after.
    private var pendingCut: LogIndex?
    private var newestWrite: WriteNumber = .zero
    private var durableWrite: WriteNumber = .zero

    private var underWay: UnderWay?
    private var diskBatches: UInt64 = 0
    private var reads: UInt64 = 0

    /// Number of the next batch in the log, and what it is chained to.
    private var nextNumber: UInt64
    private var previousChecksum: UInt32

    var segments: [Segment]
    /// The segment after the newest is made and empty.
    private var hasSpare = false

    /// Term and vote as `PROMISE` has them, or will once the batch under way is done.
    private(set) var promise: Promise
    /// Set if the next batch begins a segment in which the log begins anew: the time of its start.
    private var restartTime: Timestamp?

    var positions: EntryPositions
    /// Entries through this one are on disk and not about to be truncated.
    var readable: LogIndex

    /// A segment that holds batches.
    struct Segment: Sendable {
        var sequence: UInt64
        var salt: UInt64
        /// Bytes of the file.
        var capacity: Int
        /// Where the next batch goes.
        var used: Int
        /// Number of the last batch in it, and its checksum: what the next segment continues.
        var lastBatch: UInt64 = 0
        var lastChecksum: UInt32 = 0
        /// The last entry of the log as of that batch.
        var lastEntry = EntryID.zero
        /// Log time of the newest entry as of that batch.
        var lastTime = Timestamp.zero
    }

    /// How a batch changes `positions`, its offsets counted from the batch's start.
    private enum PositionStep {
        case truncate(after: LogIndex)
        case entries(first: LogIndex, offset: Int, end: Int)
    }

    private struct UnderWay {
        var number: UInt64
        var write: WriteNumber
        var last: LogIndex
        var steps: [PositionStep]
        var segment: UInt64
        var offset: Int
        var makesSpare: Bool
    }

    /// Continues a log that was read from a disk.
    init(
        configuration: JournalConfiguration,
        replay: LogReplay,
        segments: [Segment],
        positions: EntryPositions,
        promise: Promise
    ) {
        self.configuration = configuration
        self.promise = promise
        point = replay.point
        pointBeforePending = replay.point
        terms = replay.terms
        nextNumber = replay.nextBatch
        previousChecksum = replay.previousChecksum
        self.positions = positions
        lastTime = replay.lastTime
        readable = replay.point.last.index
        self.segments = segments
    }

    // MARK: Writing

    /// Adds a write to the batch in the making.
    ///
    /// - Precondition: writes come in the order of their numbers, entries are contiguous, nothing
    ///   committed is truncated, and neither term nor commit index goes back.
    package mutating func append(_ write: LogWrite) {
        invariant(
            write.number > newestWrite,
            "write \(write.number.number) after \(newestWrite.number)"
        )
        newestWrite = write.number
        if pending.isEmpty {
            pending.append(contentsOf: repeatElement(0, count: BatchHeader.size))
        }
        let recordsBefore = pendingRecords
        if let after = write.truncateAfter, after < point.last.index { truncate(after: after) }
        for entry in write.entries { append(entry) }
        // A write that changes nothing must become durable like any other: repeat the hard state.
        let isEmpty = pendingRecords == recordsBefore
        if isEmpty || write.hardState != nil {
            replaceHardState(write.hardState ?? point.hardState)
        }
    }

    private mutating func truncate(after index: LogIndex) {
        invariant(
            index >= point.hardState.commitIndex,
            "truncation after \(index), committed through \(point.hardState.commitIndex)"
        )
        terms.truncate(after: index)
        point.last = EntryID(term: terms.last, index: index)
        Record.append(truncateAfter: index, to: &pending)
        pendingRecords += 1
        pendingSteps.append(.truncate(after: index))
        pendingCut = min(pendingCut ?? index, index)
        readable = min(readable, index)
    }

    private mutating func append(_ entry: Entry) {
        invariant(
            entry.index == point.last.index.next,
            "entry \(entry.id) appended after \(point.last)"
        )
        invariant(entry.term >= point.last.term, "entry \(entry.id) appended after \(point.last)")
        point.last = entry.id
        lastTime = max(lastTime, entry.time)
        terms.append(entry.id)
        let offset = pending.count
        Record.append(entry, to: &pending)
        pendingRecords += 1
        if case .entries(let first, let start, let end) = pendingSteps.last, end == offset,
            offset - start < EntryPositions.spacing
        {
            pendingSteps[pendingSteps.count - 1] = .entries(
                first: first,
                offset: start,
                end: pending.count
            )
        } else {
            pendingSteps.append(.entries(first: entry.index, offset: offset, end: pending.count))
        }
    }

    private mutating func replaceHardState(_ state: HardState) {
        let old = point.hardState
        invariant(
            state.currentTerm >= old.currentTerm && state.commitIndex >= old.commitIndex
                && state.commitIndex <= point.last.index,
            "hard state \(state) after \(old), last entry \(point.last)"
        )
        point.hardState = state
        Record.append(state, to: &pending)
        pendingRecords += 1
    }

    /// The next work for the disk; nil if some is under way or none waits.
    ///
    /// Besides batches of records this makes the next segment ahead of its need, alone, so that
    /// hardly a commit ever waits for a file to be made. Whatever it returns must be performed
    /// whole and then reported to `completed(_:)`; if a step fails, the node must stop.
    package mutating func nextBatch() -> DiskBatch? {
        guard underWay == nil else { return nil }
        if wantsSpare { return makeSpare() }
        return pendingRecords > 0 ? makeBatch() : nil
    }

    private var wantsSpare: Bool {
        guard !hasSpare else { return false }
        guard let segment = segments.last else { return pendingRecords == 0 }
        // From half full on when nothing waits, from three quarters on in any case.
        let fill = segment.used / (segment.capacity / 4)
        return pendingRecords == 0 ? fill >= 2 : fill >= 3
    }

    private mutating func makeSpare() -> DiskBatch {
        let file = SegmentName.file((segments.last?.sequence ?? 0) + 1)
        diskBatches += 1
        underWay = UnderWay(
            number: diskBatches,
            write: durableWrite,
            last: readable,
            steps: [],
            segment: 0,
            offset: 0,
            makesSpare: true
        )
        return DiskBatch(
            number: diskBatches,
            operations: [
                .create(file: file, size: configuration.segmentSize), .sync(file: file),
                .syncDirectory,
            ]
        )
    }

    private mutating func makeBatch() -> DiskBatch {
        let length = pending.count - BatchHeader.size
        invariant(length <= Int(UInt32.max), "batch of \(length) bytes")
        let size = Sector.roundUp(pending.count)
        pending.append(contentsOf: repeatElement(0, count: size - pending.count))

        var operations: [DiskOperation] = []
        operations.reserveCapacity(5)
        if restartTime != nil || segments.last.map({ $0.capacity - $0.used < size }) ?? true {
            roll(toHold: size, &operations)
        }
        let segment = segments[segments.count - 1]
        let file = SegmentName.file(segment.sequence)
        var header = BatchHeader(
            number: nextNumber,
            salt: segment.salt,
            length: length,
            records: pendingRecords,
            previousChecksum: previousChecksum,
            bodyChecksum: CRC32C.checksum(
                of: pending,
                in: BatchHeader.size..<BatchHeader.size + length
            )
        )
        header.write(into: &pending)

        // The buffer itself goes to the disk; the next one starts with as much room.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(pending.count, 1024 * 1024))
        swap(&bytes, &pending)
        operations.append(.write(file: file, offset: segment.used, bytes: bytes))
        operations.append(.sync(file: file))
        if !promise.agrees(with: point.hardState) {
            // Whoever waits for this batch hears of it when both copies are durable.
            promise = promise.next(
                point.hardState,
                batch: nextNumber,
                firstSegment: promise.firstSegment
            )
            promise.append(to: &operations, node: configuration.node)
        }

        diskBatches += 1
        underWay = UnderWay(
            number: diskBatches,
            write: newestWrite,
            last: point.last.index,
            steps: pendingSteps,
            segment: segment.sequence,
            offset: segment.used,
            makesSpare: false
        )
        segments[segments.count - 1].used += size
        segments[segments.count - 1].lastBatch = nextNumber
        segments[segments.count - 1].lastChecksum = header.checksum
        segments[segments.count - 1].lastEntry = point.last
        segments[segments.count - 1].lastTime = lastTime
        nextNumber += 1
        previousChecksum = header.checksum
        pointBeforePending = point
        pendingRecords = 0
        pendingSteps.removeAll(keepingCapacity: true)
        pendingCut = nil
        return DiskBatch(number: diskBatches, operations: operations)
    }

    /// Goes on to the next segment, whose header is written together with its first batch.
    private mutating func roll(toHold size: Int, _ operations: inout [DiskOperation]) {
        var sequence = (segments.last?.sequence ?? 0) + 1
        // What lies between is fetched from others, into segments that go between.
        if restartTime != nil { sequence += SegmentName.restartDistance }
        let file = SegmentName.file(sequence)
        if !hasSpare {
            operations.append(.create(file: file, size: configuration.segmentSize))
            operations.append(.syncDirectory)
        }
        hasSpare = false
        let header = SegmentHeader(
            configuration: configuration,
            sequence: sequence,
            firstBatch: nextNumber,
            previousChecksum: previousChecksum,
            start: pointBeforePending,
            startTime: restartTime
        )
        restartTime = nil
        operations.append(.write(file: file, offset: 0, bytes: header.encoded()))
        segments.append(
            Segment(
                sequence: sequence,
                salt: configuration.salt,
                // A batch larger than a segment extends its file.
                capacity: max(configuration.segmentSize, Sector.size + size),
                used: Sector.size
            )
        )
    }

    // MARK: Beginning anew

    /// Lets the log begin anew after an entry that a checkpoint stands for.
    ///
    /// What was in it, durable or not, is no part of it any more, but for the entries through `kept`,
    /// which stay readable. The next batch begins a segment.
    /// - Precondition: no batch is under way and none was made ahead.
    mutating func restart(
        after entry: EntryID,
        time: Timestamp,
        terms runs: [TermRun],
        keeping kept: LogIndex
    ) {
        invariant(underWay == nil && !hasSpare, "the log begins anew under a batch or a spare segment")
        pending.removeAll(keepingCapacity: true)
        pendingRecords = 0
        pendingSteps.removeAll()
        pendingCut = nil
        point.last = entry
        point.hardState.commitIndex = max(point.hardState.commitIndex, entry.index)
        pointBeforePending = point
        terms = TermRuns(runs)
        readable = entry.index
        lastTime = max(lastTime, time)
        positions.leaveHole(after: kept, through: entry.index)
        restartTime = time
    }

    /// A batch that repeats the hard state, for recovery to carry out.
    mutating func hardStateBatch(_ state: HardState) -> DiskBatch {
        if pending.isEmpty {
            pending.append(contentsOf: repeatElement(0, count: BatchHeader.size))
        }
        replaceHardState(state)
        return makeBatch()
    }

    /// Takes note that a batch is durable.
    ///
    /// - Returns: the newest write that now is durable, with all before it.
    /// - Precondition: `number` is that of the batch under way.
    package mutating func completed(_ number: UInt64) -> WriteNumber {
        guard let done = underWay, done.number == number else {
            fatalError("invariant broken: disk batch \(number) completed but not under way")
        }
        underWay = nil
        if done.makesSpare {
            hasSpare = true
            return durableWrite
        }
        for step in done.steps {
            switch step {
            case .truncate(let index): positions.truncate(after: index)
            case .entries(let first, let offset, let end):
                positions.append(
                    EntryPositions.Span(
                        first: first,
                        segment: done.segment,
                        offset: done.offset + offset,
                        end: done.offset + end
                    )
                )
            }
        }
        readable = min(done.last, pendingCut ?? done.last)
        durableWrite = done.write
        return durableWrite
    }

    // MARK: Metrics

    /// Bytes that wait for the next batch.
    package var pendingBytes: Int { pendingRecords == 0 ? 0 : pending.count }
    /// Whether a batch was handed out and is not completed.
    package var isBatchUnderWay: Bool { underWay != nil }
    /// Segments that hold batches.
    package var segmentCount: Int { segments.count }
    /// Bytes of the newest segment that are taken.
    package var newestSegmentBytes: Int { segments.last?.used ?? 0 }
    /// Batches of records in the log since it was begun, the one under way included.
    package var batchCount: UInt64 { nextNumber - 1 }
    /// The newest entry, durable or not.
    package var lastEntry: EntryID { point.last }

    mutating func nextRead() -> UInt64 {
        reads += 1
        return reads
    }
}
