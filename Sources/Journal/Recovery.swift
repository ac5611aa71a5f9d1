import Digest
package import Raft

/// A journal that was read from a disk, and what was in it.
package struct Recovered: ~Copyable {
    package let log: RecoveredLog
    /// Set if the end of the log was cut: where, and what was found there.
    ///
    /// Worth a log line.
    package let tornTail: TornTail?
    /// What was durable once and is not what was written.
    ///
    /// Worth a log line each, and the operator's attention: disks that lose data lose more.
    package let damage: [LogDamage]
    private var journal: LogJournal

    init(
        log: RecoveredLog,
        tornTail: TornTail?,
        damage: [LogDamage],
        journal: consuming LogJournal
    ) {
        self.log = log
        self.tornTail = tornTail
        self.damage = damage
        self.journal = journal
    }

    /// The journal, ready to go on.
    package consuming func takeJournal() -> LogJournal { journal }
}

/// The place at which an unfinished batch was cut off.
package struct TornTail: Hashable, Sendable {
    package var file: String
    package var offset: Int
    package var what: String

    package init(file: String, offset: Int, what: String) {
        self.file = file
        self.offset = offset
        self.what = what
    }
}

/// Damage that was found in the log.
package struct LogDamage: Hashable, Sendable {
    /// What was found, with file and place.
    package var error: JournalError
    /// Files that were moved aside; they can be looked into, and removed once the node has repaired.
    package var evidence: [String]
    /// The log ends before it now: the node is repairing.
    package var endsLog: Bool

    package init(error: JournalError, evidence: [String], endsLog: Bool) {
        self.error = error
        self.evidence = evidence
        self.endsLog = endsLog
    }
}

/// A state, kept elsewhere, that stands for the entries through one of them.
package struct LogCheckpoint: Hashable, Sendable {
    /// The last entry that the state stands for; committed.
    package var last: EntryID
    /// Its log time.
    package var time: Timestamp
    /// The term of every index through it.
    package var terms: [TermRun]
    /// It was fetched from another node when the log here ended before `last`: the log begins anew
    /// after it, and nothing is lost by that.
    package var isFetched: Bool

    package init(last: EntryID, time: Timestamp, terms: [TermRun], isFetched: Bool = false) {
        self.isFetched = isFetched
        self.last = last
        self.time = time
        self.terms = terms
    }

    /// Stands for nothing.
    package static let none = LogCheckpoint(last: .zero, time: .zero, terms: [])
}

extension LogJournal {
    /// Reads the log after a checkpoint once and makes its end fit to be continued.
    ///
    /// What is not whole at the end and has nothing after it is an unfinished write: it is cut.
    /// What is not whole but has a later batch after it was durable once, since a batch is
    /// written only when all before it are durable. If other replicas have the log too
    /// (`JournalConfiguration.canRepair`), what is intact before it is kept, the rest is moved aside,
    /// and the log is given out as *repairing*; otherwise this throws and changes nothing.
    /// Damage to the very last batch can be told from an unfinished write only if a promise
    /// or an index names it.
    /// - Parameters:
    ///   - disk: the files; it need not hold any.
    ///   - configuration: whose log it has to be.
    ///   - checkpoint: what is known of the log already; only what follows is read.
    ///   - committed: gets each entry after the checkpoint that is known to be committed, oldest
    ///     first, each once. If this function throws, what was given before is no complete log.
    /// - Returns: the journal, ready to go on, and what a Raft node needs of the log.
    /// - Throws: `JournalError` with the reason why the log cannot be used.
    package static func recover(
        from disk: inout some Disk,
        configuration: JournalConfiguration,
        after checkpoint: LogCheckpoint = .none,
        committed: (Entry) -> Void
    ) throws(JournalError) -> Recovered {
        guard (1...SegmentHeader.maxClusterBytes).contains(configuration.cluster.utf8.count) else {
            throw .invalidClusterName(configuration.cluster)
        }
        var recovery = try Recovery(configuration, checkpoint, on: &disk)
        do throws(JournalError) {
            try recovery.read(from: &disk, committed)
            try recovery.searchAfterEnd(on: &disk)
            try recovery.checkEvidence(&disk)
            try recovery.checkReach(committed)
        } catch {
            try recovery.planRepair(of: error, committed)
        }
        try recovery.mend(&disk)
        return try recovery.finish(&disk)
    }
}

/// The steps of `LogJournal.recover`.
struct Recovery {
    let configuration: JournalConfiguration
    let checkpoint: LogCheckpoint
    /// All files of the directory.
    let names: [String]
    /// The segment files in order.
    let files: [String]
    let promise: PromiseReading
    var replay: LogReplay
    var segments: [LogJournal.Segment] = []
    /// The position in `files` that reading began with.
    private(set) var first = 0
    /// Positions in `files` of the elements of `segments`.
    private var places: [Int] = []
    private(set) var tornTail: TornTail?
    var damage: [LogDamage] = []
    /// Time of the entry at which reading began.
    private(set) var startTime: Timestamp
    /// Why reading stopped at the end of the newest segment.
    private var endReason = ""
    /// The last batch that was read, with its segment's header if it is the first after it.
    var lastBatch: Range<Int>?
    /// Pieces after the end of the log, in the newest segment, that are not all zeroes.
    var leftovers: [Range<Int>] = []
    /// A batch is whole and yet says what cannot be: that is no damage of a disk.
    private var isImpossible = false
    /// The last entry after which the log begins anew in what was read, or which a segment follows that was made again
    /// and in which it goes on: no start can read across that.
    private(set) var beganAnewAfter = LogIndex.zero
    /// The entry that the first segment begins after is none of the checkpoint's log.
    private var beginsInReplaced = false

    // What is done about damage.
    /// The hard state as the log has it, if more is known.
    private(set) var recorded: HardState?
    /// The hard state that the log goes on with.
    var hardState = HardState()
    /// The log ends where the damage begins.
    var repairs = false
    /// Segments that were moved aside.
    var gone: Set<String> = []
    /// The log begins anew after the checkpoint.
    var restarts = false

    init(
        _ configuration: JournalConfiguration,
        _ checkpoint: LogCheckpoint,
        on disk: inout some Disk
    ) throws(JournalError) {
        self.configuration = configuration
        self.checkpoint = checkpoint
        startTime = checkpoint.time
        do { names = try disk.list() } catch { throw .disk(error) }
        promise = try PromiseReading(from: &disk, names: names, configuration: configuration)
        let oldest = promise.newest?.firstSegment ?? 1
        files = names.compactMap(SegmentName.sequence).sorted().filter { $0 >= oldest }
            .map(SegmentName.file)
        replay = LogReplay(
            tailBytes: configuration.tailBytes,
            header: nil,
            terms: TermRuns(),
            floor: checkpoint.last.index
        )
    }

    /// The sequence number of the oldest segment that should be there.
    var oldest: UInt64 { promise.newest?.firstSegment ?? 1 }

    /// The newest segment that was read.
    var newest: Int? { places.last }

    // MARK: Reading

    /// Reads all that may follow the checkpoint.
    mutating func read(
        from disk: inout some Disk,
        _ committed: (Entry) -> Void
    ) throws(JournalError) {
        first = try startPosition(before: files.count, on: &disk)
        while true {
            do throws(JournalError) {
                try readSegments(from: &disk, committed)
                return
            } catch {
                // Seldom: entries that were not committed then were replaced later.
                guard replay.wentBehindBase || beginsInReplaced, first > 0 else { throw error }
                beginsInReplaced = false
                first = try startPosition(before: first, on: &disk)
            }
        }
    }

    /// The newest segment that begins with an entry no later than the one after the checkpoint's.
    ///
    /// What is before it is stood for: damage there, or batches that do not go on in it, as where a segment was made
    /// again, is none of this log's end. A file with another one's content says nothing of where its own would begin:
    /// taken for the start, an older one's would have all that lies between forgotten.
    private func startPosition(
        before limit: Int,
        on disk: inout some Disk
    ) throws(JournalError) -> Int {
        guard checkpoint.last.index > .zero else { return 0 }
        for at in files.indices.prefix(limit).reversed() {
            var reader = try SegmentReader(files[at], on: &disk)
            guard let header = try header(of: &reader, on: &disk),
                SegmentName.file(header.sequence) == files[at]
            else { continue }
            let start = header.start.last
            if start.index < checkpoint.last.index || start == checkpoint.last { return at }
        }
        return 0
    }

    private mutating func readSegments(
        from disk: inout some Disk,
        _ committed: (Entry) -> Void
    ) throws(JournalError) {
        segments = []
        places = []
        lastBatch = nil
        beganAnewAfter = .zero
        let floor = max(checkpoint.last.index, replay.handedOut)
        replay = LogReplay(
            tailBytes: configuration.tailBytes,
            header: nil,
            terms: TermRuns(),
            floor: floor
        )
        for at in files.indices.dropFirst(first) {
            let file = files[at]
            var reader = try SegmentReader(file, on: &disk)
            let found = try header(of: &reader, on: &disk)
            try checkSequence(at: at, found)
            if let found { try checkName(found, file: file) }
            if let found, segments.isEmpty { try begin(with: found, file, floor: floor) }
            guard let header = found else {
                if endReason.isEmpty { endReason = "the header of \(file) is not whole" }
                return
            }
            try check(header, file: file)
            if !header.flags.isDisjoint(with: [.restart, .rebuilt]) {
                beganAnewAfter = header.start.last.index
            }
            segments.append(
                LogJournal.Segment(
                    sequence: header.sequence,
                    salt: header.salt,
                    capacity: reader.size,
                    used: Sector.size
                )
            )
            places.append(at)
            while try readBatch(&reader, header.salt, on: &disk, committed) {}
            if reader.size < Int(clamping: header.fileSize) {
                throw .damaged(
                    file: file,
                    offset: reader.size,
                    what: "the file was made with \(header.fileSize) bytes"
                )
            }
        }
    }

    /// Starts reading at a segment.
    private mutating func begin(
        with header: SegmentHeader,
        _ file: String,
        floor: LogIndex
    ) throws(JournalError) {
        let start = header.start.last
        guard start.index <= checkpoint.last.index else {
            throw .damaged(
                file: file,
                offset: 0,
                what: "the log begins after \(start), and no state stands for what came before"
            )
        }
        var terms = TermRuns(checkpoint.terms)
        terms.truncate(after: start.index)
        guard terms.term(at: start.index) == start.term else {
            beginsInReplaced = true
            throw .damaged(
                file: file,
                offset: 0,
                what: "it begins after \(start), which is not in the log that the checkpoint is of"
            )
        }
        if header.flags.contains(.restart) { startTime = header.startTime }
        replay = LogReplay(
            tailBytes: configuration.tailBytes,
            header: header,
            terms: terms,
            floor: floor
        )
    }

    /// No segment is missing before this one.
    private func checkSequence(at: Int, _ header: SegmentHeader?) throws(JournalError) {
        guard let sequence = SegmentName.sequence(files[at]) else { return }
        if let header, header.flags.contains(.restart) { return }
        let expected: UInt64
        if let last = segments.last {
            expected = last.sequence + 1
        } else if checkpoint.last == .zero {
            expected = oldest
        } else {
            return  // segments that the checkpoint stands for are looked at elsewhere
        }
        guard sequence == expected else { throw .missing(file: SegmentName.file(expected)) }
    }

    func header(
        of reader: inout SegmentReader,
        on disk: inout some Disk
    ) throws(JournalError) -> SegmentHeader? {
        guard let at = try reader.load(at: 0, count: Sector.size, from: &disk) else { return nil }
        return try SegmentHeader(Array(reader.bytes[at..<at + Sector.size]), file: reader.file)
    }

    /// Checks that a segment is ours and the one that its file is named after.
    private func checkName(_ header: SegmentHeader, file: String) throws(JournalError) {
        guard header.cluster == configuration.cluster else {
            throw .otherCluster(
                file: file,
                found: header.cluster,
                expected: configuration.cluster
            )
        }
        guard header.node == configuration.node else {
            throw .otherNode(file: file, found: header.node, expected: configuration.node)
        }
        guard SegmentName.file(header.sequence) == file else {
            throw .damaged(
                file: file,
                offset: 0,
                what: "this is the content of segment \(header.sequence)"
            )
        }
    }

    /// Checks that a segment continues the log that was read so far.
    private func check(_ header: SegmentHeader, file: String) throws(JournalError) {
        if header.firstBatch > replay.nextBatch, let last = segments.last {
            // A header is written only when all batches before it are durable.
            throw .damaged(
                file: SegmentName.file(last.sequence),
                offset: last.used,
                what: "\(endReason), but \(file) begins with batch \(header.firstBatch)"
            )
        }
        guard header.firstBatch == replay.nextBatch,
            header.previousChecksum == replay.previousChecksum,
            header.start == replay.point || header.flags.contains(.restart)
        else {
            throw .damaged(
                file: file,
                offset: 0,
                what: "it does not continue the log at batch \(replay.nextBatch)"
            )
        }
    }

    /// Reads the next batch of the newest segment.
    ///
    /// - Returns: false, with `endReason` set, if there is no whole one.
    private mutating func readBatch(
        _ reader: inout SegmentReader,
        _ salt: UInt64,
        on disk: inout some Disk,
        _ committed: (Entry) -> Void
    ) throws(JournalError) -> Bool {
        let offset = segments[segments.count - 1].used
        let number = replay.nextBatch
        guard let at = try reader.load(at: offset, count: BatchHeader.size, from: &disk),
            let header = BatchHeader(reader.bytes, at: at), header.salt == salt
        else {
            endReason = "no whole header of batch \(number)"
            return false
        }
        guard header.number == number, header.previousChecksum == replay.previousChecksum else {
            throw .damaged(
                file: reader.file,
                offset: offset,
                what: "batch \(header.number) stands where batch \(number) should be, "
                    + "or does not belong to the batch before it"
            )
        }
        let size = BatchHeader.size + header.length
        guard let whole = try reader.load(at: offset, count: size, from: &disk) else {
            endReason = "batch \(number) of \(header.length) bytes is not whole"
            return false
        }
        let body = whole + BatchHeader.size..<whole + size
        guard CRC32C.checksum(of: reader.bytes, in: body) == header.bodyChecksum else {
            endReason = "checksum of batch \(number) does not match"
            return false
        }
        do {
            try replay.apply(
                header,
                body: body,
                of: reader.bytes,
                segment: segments[segments.count - 1].sequence,
                offset: reader.base,
                committed: committed
            )
        } catch {
            isImpossible = !replay.wentBehindBase
            throw .damaged(file: reader.file, offset: offset, what: error.what)
        }
        let end = offset + Sector.roundUp(size)
        lastBatch = (offset == Sector.size ? 0 : offset)..<offset + size
        segments[segments.count - 1].used = end
        segments[segments.count - 1].lastBatch = header.number
        segments[segments.count - 1].lastChecksum = header.checksum
        segments[segments.count - 1].lastEntry = replay.point.last
        segments[segments.count - 1].lastTime = replay.lastTime
        return true
    }

    // MARK: Torn or damaged

    /// Looks through everything after the end of the log for something that was written later.
    mutating func searchAfterEnd(on disk: inout some Disk) throws(JournalError) {
        let from = newest ?? first
        for at in from..<max(from, files.count) {
            var reader = try SegmentReader(files[at], on: &disk)
            let isNewest = at == newest
            // A segment after the newest whose header is whole shows that more was durable.
            if !isNewest, try header(of: &reader, on: &disk) != nil {
                try refuse("\(files[at]) was begun")
            }
            let segment = segments.last
            var offset = isNewest ? segment?.used ?? 0 : 0
            while let piece = try nextPiece(of: &reader, at: offset, on: &disk) {
                if reader.bytes.contains(where: { $0 != 0 }) {
                    try searchPiece(reader, salt: isNewest ? segment?.salt : nil)
                    if isNewest { leftovers.append(piece) }
                }
                offset = piece.upperBound
            }
        }
        if let segment = segments.last, !leftovers.isEmpty {
            tornTail = TornTail(
                file: SegmentName.file(segment.sequence),
                offset: segment.used,
                what: endReason
            )
        }
    }

    private func nextPiece(
        of reader: inout SegmentReader,
        at offset: Int,
        on disk: inout some Disk
    ) throws(JournalError) -> Range<Int>? {
        let count = min(SegmentReader.pieceSize, reader.size - offset)
        guard count > 0, try reader.load(at: offset, count: count, from: &disk) != nil else {
            return nil
        }
        return offset..<offset + count
    }

    private func searchPiece(_ reader: SegmentReader, salt: UInt64?) throws(JournalError) {
        for at in stride(from: 0, to: reader.bytes.count, by: Sector.size) {
            guard let header = BatchHeader(reader.bytes, at: at), header.number > replay.nextBatch,
                salt == nil || salt == header.salt
            else { continue }
            try refuse("batch \(header.number) is in \(reader.file) at byte \(reader.base + at)")
        }
    }

    /// What was read last was durable once, since something was written after it.
    private func refuse(_ evidence: String) throws(JournalError) {
        let file = segments.last.map { SegmentName.file($0.sequence) } ?? SegmentName.file(1)
        let reason = endReason.isEmpty ? "the log ends here" : endReason
        throw .damaged(
            file: file,
            offset: segments.last?.used ?? 0,
            what: "\(reason), but \(evidence)"
        )
    }

    /// A promise names a batch that was durable before it, and the index of a segment is made when
    /// the next one is begun.
    func checkEvidence(_ disk: inout some Disk) throws(JournalError) {
        if let promise = promise.newest, promise.batch >= replay.nextBatch {
            try refuse("\(Promise.file) names batch \(promise.batch)")
        }
        if let last = segments.last {
            let index = SegmentName.index(last.sequence)
            if names.contains(index),
                try SegmentIndex.read(last.sequence, salt: last.salt, on: &disk) != nil
            {
                try refuse("\(index) says that another segment follows")
            }
        }
    }

    /// The log reaches through the checkpoint, and is the same.
    mutating func checkReach(_ committed: (Entry) -> Void) throws(JournalError) {
        let last = checkpoint.last
        guard last.index > .zero else { return }
        if replay.point.last.index < last.index, isNewlyFetched {
            restarts = true
            return
        }
        guard replay.point.last.index >= last.index else {
            try refuse("a checkpoint stands for entries through \(last)")
            return
        }
        guard replay.terms.term(at: last.index) == last.term else {
            try refuse("a checkpoint stands for entries through \(last), which is not in it")
            return
        }
        commitCheckpoint(committed)
    }

    /// The checkpoint came from another node, and the log has not been begun anew after it yet.
    ///
    /// Whatever this node acknowledged before lies at or before the checkpoint's entry, or in entries
    /// that were never committed.
    var isNewlyFetched: Bool {
        guard let promise = promise.newest, !self.promise.mayBeStale else { return false }
        return checkpoint.isFetched && promise.restartedAfter < checkpoint.last.index
    }

    /// What the checkpoint stands for is committed, though the log may not say so yet.
    mutating func commitCheckpoint(_ committed: (Entry) -> Void) {
        recorded = replay.point.hardState
        replay.commit(through: checkpoint.last.index, committed)
    }
}

extension Recovery {
    /// Decides how the log goes on behind damage, or throws what was found.
    mutating func planRepair(
        of error: JournalError,
        _ committed: (Entry) -> Void
    ) throws(JournalError) {
        switch error {
        case .damaged where configuration.canRepair && !isImpossible,
            .missing where configuration.canRepair:
            break
        default: throw error
        }
        guard promise.newest != nil, !promise.mayBeStale else {
            throw .promiseLost(damage: "\(error)")
        }
        repairs = true
        tornTail = nil
        damage.append(LogDamage(error: error, evidence: [], endsLog: true))
        // What is left must be a log that the checkpoint is of.
        let last = checkpoint.last
        if replay.point.last.index >= last.index, replay.base.index <= last.index,
            replay.terms.term(at: last.index) == last.term
        {
            commitCheckpoint(committed)
        } else {
            restarts = true
        }
    }

    /// The hard state to go on with: the newest promise that either copy has.
    func merged() throws(JournalError) -> HardState {
        var state = replay.point.hardState
        if restarts { state.commitIndex = checkpoint.last.index }
        state.isRepairing = state.isRepairing || repairs
        guard let promise = promise.newest else { return state }
        state.isRepairing = state.isRepairing || promise.isRepairing
        if promise.term > state.currentTerm {
            state.currentTerm = promise.term
            state.votedFor = promise.vote
        } else if promise.term == state.currentTerm {
            if let vote = state.votedFor, let other = promise.vote, vote != other {
                throw .damaged(
                    file: Promise.file,
                    offset: 0,
                    what:
                        "it has a vote for \(other) in term \(promise.term), the log one for \(vote)"
                )
            }
            state.votedFor = state.votedFor ?? promise.vote
        }
        return state
    }
}
