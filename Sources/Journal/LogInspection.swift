import Digest
package import Raft

/// What the log files of a data directory hold, read without changing anything and without a node.
///
/// Recovery stops where the log cannot be continued; this goes on behind damage, to say all of it.
package struct LogInspection: Sendable {
    package struct Segment: Sendable {
        package var file: String
        package var bytes: Int
        /// Bytes up to the end of its last whole batch.
        package var used = 0
        package var node: NodeID?
        package var cluster: String?
        /// Numbers of its first and last whole batch; nil if it holds none.
        package var firstBatch: UInt64?
        package var lastBatch: UInt64?
        package var batches = 0
        package var records = 0
        package var entries = 0
        package var firstEntry: EntryID?
        package var lastEntry: EntryID?
    }

    /// A place that is not what was written.
    package struct Damage: Hashable, Sendable {
        package var file: String
        package var offset: Int
        package var what: String

        package init(file: String, offset: Int, what: String) {
            self.file = file
            self.offset = offset
            self.what = what
        }
    }

    /// An entry, and where it lies.
    package struct Place: Sendable {
        package var entry: Entry
        package var file: String
        package var offset: Int
    }

    package struct PromiseFile: Hashable, Sendable {
        package var term: Term
        package var vote: NodeID?
        package var isRepairing: Bool
    }

    package private(set) var segments: [Segment] = []
    package private(set) var damage: [Damage] = []
    /// An unfinished write at the end, which a start cuts off; no damage.
    package private(set) var tornTail: Damage?
    package private(set) var hardState = HardState()
    package private(set) var lastEntry = EntryID.zero
    /// Entries in the range that was asked for, superseded ones left out.
    package private(set) var places: [Place] = []
    package private(set) var promise: PromiseFile?
    package private(set) var identity: DirectoryIdentity?
    /// Files that are none of ours, and evidence of earlier damage.
    package private(set) var otherFiles: [String] = []

    private let wanted: ClosedRange<UInt64>?
    private var expected: UInt64?
    private var previousChecksum: UInt32 = 0
    /// The segment before was made again.
    private var isAfterRebuilt = false

    /// Reads all files, and keeps the entries whose indexes are wanted.
    ///
    /// - Throws: `JournalError` if a file cannot be read, or is of a newer version.
    package init(
        _ disk: inout some Disk,
        entries wanted: ClosedRange<UInt64>? = nil
    ) throws(JournalError) {
        self.wanted = wanted
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        let files = names.compactMap { name in SegmentName.sequence(name).map { ($0, name) } }
            .sorted { $0.0 < $1.0 }
        for (at, (sequence, file)) in files.enumerated() {
            if at > 0, files[at - 1].0 + 1 != sequence,
                sequence - files[at - 1].0 < SegmentName.restartDistance
            {
                damage.append(
                    Damage(
                        file: SegmentName.file(files[at - 1].0 + 1),
                        offset: 0,
                        what: "the file is missing"
                    )
                )
                expected = nil
            }
            try read(file, isLast: at == files.count - 1, disk: &disk, later: files[(at + 1)...])
        }
        try readIdentity(&disk)
        try readPromise(&disk, names)
        let known = Set([IdentityFile.name, Promise.file, DigestKeyMark.file, "LOCK", "log"])
        otherFiles = names.filter { name in
            !known.contains(name) && SegmentName.sequence(name) == nil
                && !(name.hasPrefix("log-") && name.hasSuffix(".idx"))
        }
    }

    /// Whether a file is one of a data directory's log: a segment, the promise, or the identity.
    package static func isOfLog(_ file: String) -> Bool {
        file == IdentityFile.name || file == Promise.file || SegmentName.sequence(file) != nil
    }

    /// Whether a file is the promise: the one that a first start makes before the directory has a name.
    package static func isPromise(_ file: String) -> Bool { file == Promise.file }

    private mutating func readIdentity(_ disk: inout some Disk) throws(JournalError) {
        let found = try IdentityFile.load(from: &disk)
        identity = found.file?.identity
        if let what = found.damage {
            damage.append(Damage(file: IdentityFile.name, offset: 0, what: what))
        }
    }

    private mutating func readPromise(
        _ disk: inout some Disk,
        _ names: [String]
    ) throws(JournalError) {
        guard let node = identity?.node ?? segments.lazy.compactMap(\.node).first else { return }
        let configuration = JournalConfiguration(cluster: "-", node: node, salt: 0)
        let reading = try PromiseReading(from: &disk, names: names, configuration: configuration)
        if let newest = reading.newest {
            promise = PromiseFile(
                term: newest.term,
                vote: newest.vote,
                isRepairing: newest.isRepairing
            )
        }
        // A node that has not taken part yet has promised nothing; a log with a term has.
        let isUnused = reading.isBlank && hardState == HardState()
        if reading.hasDamage, !isUnused {
            damage.append(Damage(file: Promise.file, offset: 0, what: "a copy is not whole"))
        }
    }

    // MARK: Segments

    private mutating func read(
        _ file: String,
        isLast: Bool,
        disk: inout some Disk,
        later: ArraySlice<(UInt64, String)>
    ) throws(JournalError) {
        var reader = try SegmentReader(file, on: &disk)
        var segment = Segment(file: file, bytes: reader.size)
        guard let at = try reader.load(at: 0, count: Sector.size, from: &disk) else {
            damage.append(Damage(file: file, offset: 0, what: "the file has no room for a header"))
            segments.append(segment)
            return
        }
        guard let header = try SegmentHeader(Array(reader.bytes[at..<at + Sector.size]), file: file)
        else {
            if try hasBatch(after: 0, number: 0, salt: nil, in: &reader, disk: &disk) || !isLast {
                damage.append(Damage(file: file, offset: 0, what: "the header is not whole"))
                expected = nil
                try readBatches(&segment, from: Sector.size, nil, &reader, &disk, hasLater: !isLast)
            }
            segments.append(segment)
            return
        }
        segment.node = header.node
        segment.cluster = header.cluster
        segment.used = Sector.size
        // What was made again from the others' entries has batches of its own.
        let isRebuilt = header.flags.contains(.rebuilt)
        defer { isAfterRebuilt = isRebuilt }
        if let expected, header.firstBatch != expected, !isRebuilt, !isAfterRebuilt {
            damage.append(
                Damage(
                    file: file,
                    offset: 0,
                    what: "it begins with batch \(header.firstBatch), \(expected) is next"
                )
            )
        }
        expected = header.firstBatch
        previousChecksum = header.previousChecksum
        hardState = header.start.hardState
        if lastEntry == .zero { lastEntry = header.start.last }
        let hasLater = try hasHeader(later, disk: &disk)
        try readBatches(
            &segment,
            from: Sector.size,
            header.salt,
            &reader,
            &disk,
            hasLater: hasLater
        )
        segments.append(segment)
    }

    /// Whether a later segment was begun: then all of this one was durable.
    private func hasHeader(
        _ later: ArraySlice<(UInt64, String)>,
        disk: inout some Disk
    ) throws(JournalError) -> Bool {
        for (_, file) in later {
            var reader = try SegmentReader(file, on: &disk)
            guard let at = try reader.load(at: 0, count: Sector.size, from: &disk) else { continue }
            let bytes = Array(reader.bytes[at..<at + Sector.size])
            if try SegmentHeader(bytes, file: file) != nil { return true }
        }
        return false
    }

    private mutating func readBatches(
        _ segment: inout Segment,
        from start: Int,
        _ salt: UInt64?,
        _ reader: inout SegmentReader,
        _ disk: inout some Disk,
        hasLater: Bool
    ) throws(JournalError) {
        var offset = start
        while offset < reader.size {
            let fault = try readBatch(&segment, at: &offset, salt, &reader, &disk)
            guard let fault else { continue }
            let next = try nextBatch(
                after: offset,
                number: expected ?? 0,
                salt: salt,
                in: &reader,
                disk: &disk
            )
            if let next {
                damage.append(Damage(file: segment.file, offset: offset, what: fault))
                expected = nil
                offset = next
                continue
            }
            let isBlank = try isBlank(from: offset, &reader, &disk)
            if hasLater, !isBlank {
                damage.append(Damage(file: segment.file, offset: offset, what: fault))
                expected = nil
            } else if !isBlank {
                tornTail = Damage(file: segment.file, offset: offset, what: fault)
            }
            return
        }
    }

    /// Reads a batch and moves behind it.
    ///
    /// - Returns: what is wrong with it; then `offset` stays.
    private mutating func readBatch(
        _ segment: inout Segment,
        at offset: inout Int,
        _ salt: UInt64?,
        _ reader: inout SegmentReader,
        _ disk: inout some Disk
    ) throws(JournalError) -> String? {
        guard let at = try reader.load(at: offset, count: BatchHeader.size, from: &disk),
            let header = BatchHeader(reader.bytes, at: at), salt == nil || header.salt == salt
        else { return "no whole batch header" }
        if let expected {
            guard header.number == expected else {
                return "batch \(header.number) where batch \(expected) should be"
            }
            guard header.previousChecksum == previousChecksum else {
                return "batch \(header.number) does not continue the one before it"
            }
        }
        let size = BatchHeader.size + header.length
        guard let whole = try reader.load(at: offset, count: size, from: &disk) else {
            return "batch \(header.number) of \(header.length) bytes is not whole"
        }
        let body = whole + BatchHeader.size..<whole + size
        guard CRC32C.checksum(of: reader.bytes, in: body) == header.bodyChecksum else {
            return "checksum of batch \(header.number) does not match"
        }
        if let fault = take(header, body, of: reader, &segment) {
            return "batch \(header.number): \(fault)"
        }
        segment.batches += 1
        segment.firstBatch = segment.firstBatch ?? header.number
        segment.lastBatch = header.number
        offset += Sector.roundUp(size)
        segment.used = offset
        expected = header.number + 1
        previousChecksum = header.checksum
        return nil
    }

    /// Takes a batch's records in.
    ///
    /// - Returns: what is wrong with one.
    private mutating func take(
        _ header: BatchHeader,
        _ body: Range<Int>,
        of reader: SegmentReader,
        _ segment: inout Segment
    ) -> String? {
        var at = body.lowerBound
        for _ in 0..<header.records {
            do throws(RecordFault) {
                let extent = try Record.extent(in: reader.bytes, at: at)
                guard extent.upperBound <= body.upperBound else {
                    return "a record reaches beyond its batch"
                }
                take(
                    try Record(in: reader.bytes, extent: extent),
                    offset: reader.base + extent.lowerBound,
                    &segment
                )
                at = (extent.upperBound + Record.alignment - 1) & ~(Record.alignment - 1)
            } catch {
                return error.what
            }
        }
        return nil
    }

    private mutating func take(_ record: Record, offset: Int, _ segment: inout Segment) {
        segment.records += 1
        switch record {
        case .entry(let entry):
            segment.entries += 1
            segment.firstEntry = segment.firstEntry ?? entry.id
            segment.lastEntry = entry.id
            lastEntry = entry.id
            guard let wanted, wanted.contains(entry.index.number) else { return }
            places.append(Place(entry: entry, file: segment.file, offset: offset))
        case .truncate(let index):
            places.removeAll { $0.entry.index > index }
            // Its term is known again with the next entry.
            lastEntry.index = min(lastEntry.index, index)
        case .hardState(let state): hardState = state
        }
    }

    // MARK: Behind damage

    /// The first place after a broken batch where a later one begins.
    private func nextBatch(
        after offset: Int,
        number: UInt64,
        salt: UInt64?,
        in reader: inout SegmentReader,
        disk: inout some Disk
    ) throws(JournalError) -> Int? {
        var at = Sector.roundUp(offset + 1)
        while at + Sector.size <= reader.size {
            let count = min(SegmentReader.pieceSize, reader.size - at)
            guard let start = try reader.load(at: at, count: count, from: &disk) else { return nil }
            for place in stride(from: start, to: start + count, by: Sector.size) {
                guard let header = BatchHeader(reader.bytes, at: place), header.number > number,
                    salt == nil || header.salt == salt
                else { continue }
                return at + place - start
            }
            at += count
        }
        return nil
    }

    private func hasBatch(
        after offset: Int,
        number: UInt64,
        salt: UInt64?,
        in reader: inout SegmentReader,
        disk: inout some Disk
    ) throws(JournalError) -> Bool {
        try nextBatch(after: offset, number: number, salt: salt, in: &reader, disk: &disk) != nil
    }

    private func isBlank(
        from offset: Int,
        _ reader: inout SegmentReader,
        _ disk: inout some Disk
    ) throws(JournalError) -> Bool {
        var at = offset
        while at < reader.size {
            let count = min(SegmentReader.pieceSize, reader.size - at)
            guard let start = try reader.load(at: at, count: count, from: &disk) else {
                return true
            }
            if reader.bytes[start..<start + count].contains(where: { $0 != 0 }) { return false }
            at += count
        }
        return true
    }
}
