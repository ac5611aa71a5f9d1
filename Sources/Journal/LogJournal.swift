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
    /// Bytes of the segment after the newest, which is made and empty; nil while there is none.
    private var spareCapacity: Int?
    /// No file could be made for lack of room, and none has been since.
    private var isOutOfRoom = false
    /// Set to try again although there was no room.
    private var triesForRoom = false
    /// All segments before this position have their indexes on disk.
    private var unindexed = 0
    /// Segments from the front that hold nothing newer are to be removed.
    private var outdated: (time: Timestamp, through: LogIndex)?
    /// Segments stay though they are outdated: somebody copies the log.
    package var isHeld = false
    /// Entries through this one are stood for by a checkpoint.
    package private(set) var checkpoint = LogIndex.zero
    /// What a start cannot read across.
    var breaks: LogBreaks
    /// A start from a checkpoint at this entry or a later one reads the log to its end.
    package var replaysFrom: LogIndex { breaks.replaysFrom }
    /// Makes segments again that are missing or damaged.
    var rebuilding = Rebuilding()
    package internal(set) var scrub = Scrub()
    /// Work on sealed segments found no room for its file.
    private var keepingHouseWaits = false

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
        /// Its index is on disk.
        var isIndexed = false
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
        var work = Work.records
    }

    /// What a disk batch is for.
    private enum Work {
        case records
        case makesSpare(capacity: Int)
        case removesSpare
        /// Of the segment with this sequence number.
        case index(UInt64)
        /// Through that with this sequence number.
        case removesSegments(through: UInt64)
        case rebuilds
    }

    /// Continues a log that was read from a disk.
    init(
        configuration: JournalConfiguration,
        replay: LogReplay,
        segments: [Segment],
        positions: EntryPositions,
        breaks: LogBreaks,
        promise: Promise
    ) {
        self.configuration = configuration
        self.breaks = breaks
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
    /// hardly a commit ever waits for a file to be made, and records are only ever written into
    /// space that is reserved. Whatever it returns must be performed whole and then reported to
    /// `completed(_:)`, or to `foundNoRoom(_:)` if it is `DiskBatch.isUntouched`; if a step fails
    /// otherwise, the node must stop.
    package mutating func nextBatch() -> DiskBatch? {
        guard underWay == nil else { return nil }
        if let capacity = wantedSpare { return makeSpare(capacity) }
        if !keepingHouseWaits, pendingRecords == 0 || isSparing, let batch = keepHouse() {
            return batch
        }
        guard pendingRecords > 0 else { return nil }
        if pendingFitsNewest { return makeBatch() }
        guard let spareCapacity else { return nil }  // out of room
        return Sector.size + pendingSize <= spareCapacity ? makeBatch() : removeSpare()
    }

    /// The newest segment has more than a quarter: what had to be done is done in any case.
    private var isSparing: Bool {
        guard let segment = segments.last else { return false }
        return segment.used >= segment.capacity / 4 && unindexed < segments.count - 1
    }

    /// The sequence number of the segment that comes next.
    private var nextSequence: UInt64 {
        // Lower ones may be removed at any start, even if all segments were lost since.
        let next = max(segments.last?.sequence ?? 0, promise.firstSegment - 1) + 1
        // What lies between is fetched from others, into segments that go between.
        return restartTime == nil ? next : next + SegmentName.restartDistance
    }

    /// Bytes that a batch of all that is pending takes.
    private var pendingSize: Int { Sector.roundUp(pending.count) }
    /// Bytes of the newest segment that are free.
    private var left: Int {
        restartTime != nil ? 0 : segments.last.map { $0.capacity - $0.used } ?? 0
    }
    private var pendingFitsNewest: Bool { pendingSize <= left }

    /// Size of the next segment, if it should be made now.
    private var wantedSpare: Int? {
        guard spareCapacity == nil, !isOutOfRoom || triesForRoom else { return nil }
        if pendingRecords > 0, !pendingFitsNewest {
            // A batch lies in one segment: for a larger one the segment is larger.
            return max(configuration.segmentSize, Sector.size + pendingSize)
        }
        guard let segment = segments.last, !triesForRoom else { return configuration.segmentSize }
        // From half full on when nothing waits, from three quarters on in any case.
        let fill = segment.used / (segment.capacity / 4)
        return fill >= (pendingRecords == 0 ? 2 : 3) ? configuration.segmentSize : nil
    }

    private mutating func makeSpare(_ capacity: Int) -> DiskBatch {
        triesForRoom = false
        let file = SegmentName.file(nextSequence)
        return housekeeping(
            .makesSpare(capacity: capacity),
            [.create(file: file, size: capacity), .sync(file: file), .syncDirectory]
        )
    }

    /// Makes way for a larger segment.
    private mutating func removeSpare() -> DiskBatch {
        housekeeping(
            .removesSpare,
            [.remove(file: SegmentName.file(nextSequence)), .syncDirectory]
        )
    }

    private mutating func housekeeping(_ work: Work, _ operations: [DiskOperation]) -> DiskBatch {
        diskBatches += 1
        underWay = UnderWay(
            number: diskBatches,
            write: durableWrite,
            last: readable,
            steps: [],
            segment: 0,
            offset: 0,
            work: work
        )
        return DiskBatch(number: diskBatches, operations: operations)
    }

    private mutating func makeBatch() -> DiskBatch {
        let length = pending.count - BatchHeader.size
        invariant(length <= Int(UInt32.max), "batch of \(length) bytes")
        let size = Sector.roundUp(pending.count)
        pending.append(contentsOf: repeatElement(0, count: size - pending.count))

        var operations: [DiskOperation] = []
        operations.reserveCapacity(5)
        if size > left { roll(&operations) }
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
            offset: segment.used
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
    private mutating func roll(_ operations: inout [DiskOperation]) {
        guard let capacity = spareCapacity else {
            fatalError("invariant broken: no segment after \(nextSequence - 1) to go on in")
        }
        spareCapacity = nil
        let sequence = nextSequence
        var header = SegmentHeader(
            configuration: configuration,
            sequence: sequence,
            firstBatch: nextNumber,
            previousChecksum: previousChecksum,
            start: pointBeforePending,
            startTime: restartTime
        )
        // More than a segment where one batch needs it.
        header.fileSize = UInt64(capacity)
        operations.append(
            .write(file: SegmentName.file(sequence), offset: 0, bytes: header.encoded())
        )
        restartTime = nil
        segments.append(
            Segment(
                sequence: sequence,
                salt: configuration.salt,
                capacity: capacity,
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
        invariant(
            underWay == nil && spareCapacity == nil,
            "the log begins anew under a batch or a spare segment"
        )
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
        breaks.beginsAnew(after: entry.index)
        restartTime = time
    }

    /// Lets a log that holds nothing begin after an entry that a state stands for.
    ///
    /// - Precondition: nothing was appended.
    mutating func begin(after entry: EntryID, time: Timestamp, terms: [TermRun]) {
        invariant(
            segments.isEmpty && point == LogPoint() && pendingRecords == 0 && !hasPromise,
            "a log that holds entries is begun"
        )
        restart(after: entry, time: time, terms: terms, keeping: entry.index)
        // What came before is not missing: it was never to be here.
        promise.firstSegment = 2
    }

    /// Has the promise say that the log was begun anew after a fetched checkpoint: from now on a log that
    /// ends before is damaged.
    mutating func noteRestart(after index: LogIndex) -> [DiskOperation] {
        promise = promise.next(
            point.hardState,
            batch: nextNumber - 1,
            firstSegment: promise.firstSegment
        )
        promise.restartedAfter = index
        var operations: [DiskOperation] = []
        promise.append(to: &operations, node: configuration.node)
        return operations
    }

    /// A batch that repeats the hard state, for recovery to carry out.
    mutating func hardStateBatch(_ state: HardState) -> DiskBatch {
        if pending.isEmpty {
            pending.append(contentsOf: repeatElement(0, count: BatchHeader.size))
        }
        replaceHardState(state)
        guard !pendingFitsNewest, spareCapacity == nil else { return makeBatch() }
        // Nothing else goes on yet, so that the file may be made in the same batch.
        let capacity = max(configuration.segmentSize, Sector.size + pendingSize)
        let file = SegmentName.file(nextSequence)
        spareCapacity = capacity
        var batch = makeBatch()
        batch.operations.insert(
            contentsOf: [.create(file: file, size: capacity), .sync(file: file), .syncDirectory],
            at: 0
        )
        return batch
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
        switch done.work {
        case .records: break
        case .makesSpare(let capacity):
            spareCapacity = capacity
            isOutOfRoom = false
            return durableWrite
        case .removesSpare:
            spareCapacity = nil
            return durableWrite
        case .index(let sequence):
            if let at = segments.firstIndex(where: { $0.sequence == sequence }) {
                segments[at].isIndexed = true
            } else if rebuilding.ruins[sequence] != nil {
                rebuilding.ruins[sequence] = true
            }
            return durableWrite
        case .removesSegments(let last):
            segments.removeAll { $0.sequence <= last }
            unindexed = 0
            return durableWrite
        case .rebuilds:
            rebuilt()
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

    // MARK: Room

    /// Takes note that the batch under way was not begun, since there is no room for the file that it
    /// makes; nothing is lost by it.
    ///
    /// - Precondition: `number` is that of the batch under way, which `DiskBatch.isUntouched`.
    package mutating func foundNoRoom(_ number: UInt64) {
        guard let tried = underWay, tried.number == number else {
            fatalError("invariant broken: disk batch \(number) is not under way")
        }
        underWay = nil
        if case .makesSpare = tried.work {
            isOutOfRoom = true
            return
        }
        keepingHouseWaits = true
        if case .rebuilds = tried.work { giveUpRebuilding() }
    }

    /// Has `nextBatch` try once more to make the next segment, if there was no room for it.
    package mutating func tryForRoom() {
        triesForRoom = isOutOfRoom
        keepingHouseWaits = false
    }

    /// False from when the next segment could not be made, until it could.
    ///
    /// What the newest segment still holds is the reserve then.
    @inline(__always)
    package var hasRoom: Bool { !isOutOfRoom }

    /// Bytes that records of entries may take up now, with all that waits counted off.
    ///
    /// Exact while there is no room for another segment: what is appended within it can be written,
    /// and a few sectors are left for terms and votes, without which no leader could be elected. While
    /// there is room it only bounds what may wait for a disk that does not get on.
    @inline(__always)
    package var room: Int {
        guard isOutOfRoom else {
            return max(0, configuration.maxPendingBytes - waitingSize)
        }
        return max(0, left - keptForPromises - waitingSize)
    }

    /// Bytes of the batch in the making, and of what goes along with entries: a truncation, a hard
    /// state.
    @inline(__always)
    private var waitingSize: Int { max(pending.count, BatchHeader.size) + 128 }

    /// Bytes of the last segment that no entry may take.
    @inline(__always)
    private var keptForPromises: Int { min(64 * 1024, configuration.segmentSize / 8) }

    /// Whether a change of term or vote could be written.
    @inline(__always)
    package var canPromise: Bool {
        !isOutOfRoom || Sector.roundUp(max(pending.count, BatchHeader.size) + 64) <= left
    }

    // MARK: Keeping house

    /// Work on sealed segments that is done when no write waits.
    private mutating func keepHouse() -> DiskBatch? {
        while unindexed < segments.count - 1, segments[unindexed].isIndexed { unindexed += 1 }
        if unindexed < segments.count - 1 {
            let segment = segments[unindexed]
            var operations: [DiskOperation] = []
            SegmentIndex(segment, spans: positions.spans(in: segment.sequence))
                .append(to: &operations)
            return housekeeping(.index(segment.sequence), operations)
        }
        guard pendingRecords == 0 else { return nil }
        if let batch = removeOutdated() { return batch }
        return rebuildBatch().map { housekeeping(.rebuilds, $0) }
    }

    /// A checkpoint, durable, stands for the entries through this one.
    package mutating func checkpointed(through index: LogIndex) {
        checkpoint = max(checkpoint, index)
    }

    /// Has segments removed whose newest entry is older than a log time: the log is kept for the
    /// retention time in whole segments.
    ///
    /// Only what a checkpoint stands for goes, and never the segment that holds its last entry; nor, with
    /// `limit`, what follows that entry.
    package mutating func removeSegments(before time: Timestamp, through limit: LogIndex? = nil) {
        outdated = (time, min(checkpoint, limit ?? checkpoint))
    }

    /// Takes a sealed segment out of the list: it is damaged.
    mutating func forgetSegment(_ at: Int) {
        segments.remove(at: at)
        unindexed = 0
    }

    /// Takes a segment that was made again into the list.
    mutating func insertSegment(_ segment: Segment) {
        let at = segments.firstIndex { $0.sequence > segment.sequence } ?? segments.count
        segments.insert(segment, at: at)
        unindexed = 0
    }

    private mutating func removeOutdated() -> DiskBatch? {
        guard !isHeld, let (time, through) = outdated else { return nil }
        outdated = nil
        var count = 0
        while count + 1 < segments.count, segments[count].lastTime < time,
            segments[count].lastEntry.index < through
        {
            count += 1
        }
        // What is kept must begin in the log as it is now, not behind an entry that was replaced.
        while count > 0,
            terms.term(at: segments[count - 1].lastEntry.index)
                != segments[count - 1].lastEntry.term
        {
            count -= 1
        }
        // What is still to be fetched from others lies between two segments: without the one before it the next
        // start would take it for what was removed for its age.
        while time.milliseconds < .max, count > 0,
            positions.isHole(before: segments[count].sequence)
        {
            count -= 1
        }
        // A promise that names segment 2 is a restored directory's, whose log begins behind what was never to be here: with
        // it a later segment that begins anew would be taken for the first, were segment 2 lost.
        while time.milliseconds < .max, count > 0, segments[count].sequence == 2 { count -= 1 }
        guard count > 0 else { return nil }
        // The promise says first that they need not be there.
        promise = promise.next(
            pointBeforePending.hardState,
            batch: nextNumber - 1,
            firstSegment: segments[count].sequence
        )
        var operations: [DiskOperation] = []
        promise.append(to: &operations, node: configuration.node)
        for segment in segments.prefix(count) {
            operations.append(.remove(file: SegmentName.file(segment.sequence)))
            if segment.isIndexed {
                operations.append(.remove(file: SegmentName.index(segment.sequence)))
            }
        }
        operations.append(.syncDirectory)
        positions.removeFirst(through: segments[count - 1].sequence)
        giveUpOutdatedRebuilding()
        return housekeeping(
            .removesSegments(through: segments[count - 1].sequence),
            operations
        )
    }

    // MARK: Metrics

    /// Term and vote have been written once, so that they have a second copy.
    package var hasPromise: Bool { promise.sequence > 0 }
    /// The oldest entry that is on this disk.
    package var firstIndex: LogIndex {
        positions.spans.first { $0.segment != EntryPositions.nowhere }?.first ?? readable.next
    }
    /// Number of the segments' bytes.
    package var segmentBytes: Int { segments.reduce(0) { $0 + $1.capacity } }

    /// Bytes that wait for the next batch.
    package var pendingBytes: Int { pendingRecords == 0 ? 0 : pending.count }
    /// The batch under way carries records, and with them all that was appended when it was made.
    @inline(__always)
    package var isWritingRecords: Bool {
        if case .records? = underWay?.work { true } else { false }
    }
    /// Whether a batch was handed out and is not completed.
    @inline(__always)
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
