import Digest
package import Raft

/// A journal that was read from a disk, and what was in it.
package struct Recovered: ~Copyable {
    package let log: RecoveredLog
    /// Set if the end of the log was cut: where, and what was found there.
    ///
    /// Worth a log line.
    package let tornTail: TornTail?
    private var journal: LogJournal

    fileprivate init(log: RecoveredLog, tornTail: TornTail?, journal: consuming LogJournal) {
        self.log = log
        self.tornTail = tornTail
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

extension LogJournal {
    /// Reads the whole log once and makes its end fit to be continued.
    ///
    /// What is not whole at the end and has nothing after it is an unfinished write: it is cut.
    /// What is not whole but has a later batch after it was durable once, since a batch is
    /// written only when all before it are durable: `JournalError.damaged`, and nothing is changed.
    /// Damage to the very last batch cannot be told from an unfinished write.
    /// - Parameters:
    ///   - disk: the files; it need not hold any.
    ///   - configuration: whose log it has to be.
    ///   - committed: gets each entry known to be committed, oldest first, each once. If this
    ///     function throws, what was given before is no complete log.
    /// - Returns: the journal, ready to go on, and what a Raft node needs of the log.
    /// - Throws: `JournalError` with the reason why the log cannot be used.
    package static func recover(
        from disk: inout some Disk,
        configuration: JournalConfiguration,
        committed: (Entry) -> Void
    ) throws(JournalError) -> Recovered {
        guard (1...SegmentHeader.maxClusterBytes).contains(configuration.cluster.utf8.count) else {
            throw .invalidClusterName(configuration.cluster)
        }
        var recovery = Recovery(configuration, try Recovery.segmentFiles(on: &disk))
        try recovery.readBatches(from: &disk, committed)
        try recovery.searchAfterEnd(on: &disk)
        try recovery.mend(&disk)
        let replay = recovery.replay
        return Recovered(
            log: replay.recovered,
            tornTail: recovery.tornTail,
            journal: LogJournal(
                configuration: configuration,
                replay: replay,
                segments: recovery.segments
            )
        )
    }
}

/// The steps of `LogJournal.recover`.
private struct Recovery {
    private let configuration: JournalConfiguration
    private let files: [String]
    private(set) var replay: LogReplay
    private(set) var segments: [LogJournal.Segment] = []
    private(set) var tornTail: TornTail?
    /// Why reading stopped at the end of the newest segment.
    private var endReason = ""
    /// The last batch that was read, with its segment's header if it is the first after it.
    private var lastBatch: Range<Int>?
    /// Pieces after the end of the log, in the newest segment, that are not all zeroes.
    private var leftovers: [Range<Int>] = []

    init(_ configuration: JournalConfiguration, _ files: [String]) {
        self.configuration = configuration
        self.files = files
        replay = LogReplay(tailBytes: configuration.tailBytes)
    }

    /// The segment files in order.
    static func segmentFiles(on disk: inout some Disk) throws(JournalError) -> [String] {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        let sequences = names.compactMap(SegmentName.sequence).sorted()
        for (expected, sequence) in zip(UInt64(1)..., sequences) where sequence != expected {
            throw .missing(file: SegmentName.file(expected))
        }
        return sequences.map(SegmentName.file)
    }

    // MARK: Reading

    mutating func readBatches(
        from disk: inout some Disk,
        _ committed: (Entry) -> Void
    ) throws(JournalError) {
        for file in files {
            var reader = try SegmentReader(file, on: &disk)
            guard let header = try header(of: &reader, on: &disk) else {
                if endReason.isEmpty { endReason = "the header of \(file) is not whole" }
                return
            }
            try check(header, file: file)
            segments.append(
                LogJournal.Segment(
                    sequence: header.sequence,
                    salt: header.salt,
                    capacity: reader.size,
                    used: Sector.size
                )
            )
            while try readBatch(&reader, header.salt, on: &disk, committed) {}
        }
    }

    private func header(
        of reader: inout SegmentReader,
        on disk: inout some Disk
    ) throws(JournalError) -> SegmentHeader? {
        guard let at = try reader.load(at: 0, count: Sector.size, from: &disk) else { return nil }
        return try SegmentHeader(Array(reader.bytes[at..<at + Sector.size]), file: reader.file)
    }

    /// Checks that a segment is ours and continues the log that was read so far.
    private func check(_ header: SegmentHeader, file: String) throws(JournalError) {
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
        if header.firstBatch > replay.nextBatch, let last = segments.last {
            // A header is written only when all batches before it are durable.
            throw .damaged(
                file: SegmentName.file(last.sequence),
                offset: last.used,
                what: "\(endReason), but \(file) begins with batch \(header.firstBatch)"
            )
        }
        guard header.firstBatch == replay.nextBatch,
            header.previousChecksum == replay.previousChecksum, header.start == replay.point
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
            throw .damaged(file: reader.file, offset: offset, what: error.what)
        }
        let end = offset + Sector.roundUp(size)
        lastBatch = (offset == Sector.size ? 0 : offset)..<offset + size
        segments[segments.count - 1].used = end
        return true
    }

    // MARK: Torn or damaged

    /// Looks through everything after the end of the log for something that was written later.
    mutating func searchAfterEnd(on disk: inout some Disk) throws(JournalError) {
        let first = max(0, segments.count - 1)
        for at in first..<max(first, files.count) {
            var reader = try SegmentReader(files[at], on: &disk)
            let isNewest = at == segments.count - 1
            // A segment after the newest whose header is whole shows that more was durable.
            if !isNewest, try header(of: &reader, on: &disk) != nil {
                try refuse("\(files[at]) was begun")
            }
            var offset = isNewest ? segments[at].used : 0
            while let piece = try nextPiece(of: &reader, at: offset, on: &disk) {
                if reader.bytes.contains(where: { $0 != 0 }) {
                    try searchPiece(reader, salt: isNewest ? segments[at].salt : nil)
                    if isNewest { leftovers.append(piece) }
                }
                offset = piece.upperBound
            }
        }
        if let segment = segments.last, let first = leftovers.first, first.lowerBound >= 0 {
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

    // MARK: Mending

    /// Leaves a log whose end is clean and certainly on the disk.
    mutating func mend(_ disk: inout some Disk) throws(JournalError) {
        do {
            // Files after the newest segment hold nothing: made ahead, or their first write torn.
            for file in files.dropFirst(segments.count) { try disk.perform(.remove(file: file)) }
            try disk.perform(.syncDirectory)
            guard let segment = segments.last else { return }
            let file = SegmentName.file(segment.sequence)
            // Zeroes after the end, so that nothing of the torn batch is ever taken for a later one.
            for piece in leftovers {
                let zeroes = [UInt8](repeating: 0, count: piece.count)
                try disk.perform(.write(file: file, offset: piece.lowerBound, bytes: zeroes))
            }
            // The last batch may be known to the page cache only, perhaps after a failed sync that
            // left its pages marked clean: write it again, then a sync means what it says.
            if let last = lastBatch {
                let bytes = try disk.read(file, at: last.lowerBound, count: last.count)
                try disk.perform(.write(file: file, offset: last.lowerBound, bytes: bytes))
            }
            try disk.perform(.sync(file: file))
        } catch {
            throw .disk(error)
        }
    }
}
