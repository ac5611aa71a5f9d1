import Digest
package import Journal

/// A run as it is looked through from front to back, in pieces: whether each byte is what was written.
///
/// Pure: it says what it wants to read next and takes it. What a piece ends within is kept until the rest is
/// there, so pieces may be cut anywhere. After damage the same place is wanted again, since a read may go wrong
/// once; whoever knows where the next record begins may pass over it.
package struct RunScan: Sendable {
    /// A part of a run, by what can be done without it.
    package enum Part: Hashable, Sendable {
        case header
        case record
        /// The zeroes behind a record, which itself is whole.
        case padding
        case list
        case trailer
    }

    /// Gets each whole record, and where it lies.
    package typealias Body = (
        _ offset: Int, _ payload: ArraySlice<UInt8>
    ) throws(JournalError) -> Void

    /// Bytes of one read; one that a record takes up alone needs several.
    package static let pieceSize = 256 * 1024

    package let run: Run
    /// What lies before is looked at.
    package private(set) var position = 0
    /// What was damaged when `take` threw last, at `position`.
    package private(set) var damaged = Part.header
    /// Bytes from `position` on, too few of them.
    private var rest: [UInt8] = []
    private var records = 0
    /// Of the list, as far as it is looked at.
    private var checksum: UInt32 = 0
    private var listed = 0

    private let checksEnds: Bool

    /// - Parameters:
    ///   - run: what the manifest says of it.
    ///   - checksEnds: whether header and trailer have to be right; a copy gets others anyway.
    package init(_ run: Run, checksEnds: Bool = true) {
        self.run = run
        self.checksEnds = checksEnds
    }

    private var listBytes: Int { run.records * FooterEntry.size }
    private var trailerOffset: Int { run.footerOffset + listBytes }

    /// What is read next, `limit` bytes at most; `nil` if all was.
    package func wanted(_ limit: Int = RunScan.pieceSize) -> (offset: Int, count: Int)? {
        guard position < run.bytes else { return nil }
        let from = position + listed + rest.count
        return (from, max(0, min(limit, run.bytes - from)))
    }

    package var isDone: Bool { position >= run.bytes }

    /// The part of which a piece from `position` on is.
    package var part: Part {
        if position < RunHeader.size { return .header }
        if position < run.footerOffset { return .record }
        return position < trailerOffset ? .list : .trailer
    }

    /// Takes in what was read where `wanted` said.
    ///
    /// - Parameters:
    ///   - bytes: they may be fewer than were wanted, but none only where the file ends.
    ///   - body: gets each whole record, and where it lies.
    /// - Throws: `JournalError.damaged`; `position` is where the damaged part begins, and `damaged` says which it is.
    package mutating func take(_ bytes: [UInt8], _ body: Body) throws(JournalError) {
        var piece = bytes
        if !rest.isEmpty {
            piece = rest
            piece.append(contentsOf: bytes)
        }
        rest = []
        do throws(JournalError) {
            guard !bytes.isEmpty else { throw damage(part, "the file ends here") }
            var at = 0
            while at < piece.count, let next = try step(piece, at, body) { at = next }
            if at < piece.count { rest = at > 0 ? Array(piece[at...]) : piece }
        } catch {
            startOver()
            throw error
        }
    }

    /// Takes in what was read where `wanted` said.
    package mutating func take(_ bytes: [UInt8]) throws(JournalError) {
        try take(bytes) { _, _ in }
    }

    /// Where the part ends that `position` is in.
    package var partEnd: Int {
        switch part {
        case .header: RunHeader.size
        case .record, .padding: run.footerOffset
        case .list: trailerOffset
        case .trailer: run.bytes
        }
    }

    /// What lies behind `position` is read anew.
    package mutating func startOver() {
        rest = []
        checksum = 0
        listed = 0
    }

    /// Passes over the part that `position` is in: not for records.
    package mutating func skipPart() {
        position = partEnd
        startOver()
    }

    /// Passes over the record at `position`, which is damaged.
    ///
    /// - Parameter list: the run's list of records, all of it.
    /// - Returns: what the list says of the record; `nil`, and nothing happens, if it knows none there.
    package mutating func skipRecord(_ list: [FooterEntry]) -> FooterEntry? {
        guard part == .record, let at = RunScan.find(position, in: list) else { return nil }
        let end = at + 1 < list.count ? list[at + 1].offset : run.footerOffset
        guard end > position, end <= run.footerOffset else { return nil }
        position = end
        records += 1
        startOver()
        return list[at]
    }

    /// Bytes of the record at `position`, as the list has it.
    package func recordBytes(_ list: [FooterEntry]) -> Int? {
        guard let at = RunScan.find(position, in: list) else { return nil }
        return (at + 1 < list.count ? list[at + 1].offset : run.footerOffset) - position
    }

    /// Records lie in the order of the list.
    private static func find(_ offset: Int, in list: [FooterEntry]) -> Int? {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < list.count && list[low].offset == offset ? low : nil
    }

    private mutating func damage(_ part: Part, _ what: String) -> JournalError {
        damaged = part
        return .damaged(file: run.file, offset: position, what: what)
    }

    /// Looks at what lies at a place of a piece.
    ///
    /// - Returns: where the next begins; `nil` if the piece ends before.
    private mutating func step(
        _ piece: [UInt8],
        _ at: Int,
        _ body: Body
    ) throws(JournalError) -> Int? {
        switch part {
        case .header:
            guard at + RunHeader.size <= piece.count else { return nil }
            guard run.footerOffset >= RunHeader.size, run.footerOffset <= run.bytes,
                run.bytes - run.footerOffset == listBytes + RunTrailer.size
            else { throw damage(.list, "its parts do not add up") }
            damaged = .header
            if checksEnds {
                try RunHeader.check(
                    Array(piece[at..<at + RunHeader.size]),
                    sequence: run.sequence,
                    file: run.file
                )
            }
            position += RunHeader.size
            return at + RunHeader.size
        case .record, .padding: return try record(piece, at, body)
        case .list: return try list(piece, at)
        case .trailer:
            guard records == run.records else {
                throw damage(.list, "it has \(records) records, and should have \(run.records)")
            }
            guard at + RunTrailer.size <= piece.count else { return nil }
            var expected: [UInt8] = []
            RunTrailer.append(run, to: &expected)
            guard !checksEnds || piece[at..<at + RunTrailer.size].elementsEqual(expected) else {
                throw damage(.trailer, "its end is not what was written")
            }
            position += RunTrailer.size
            return piece.count
        }
    }

    private mutating func record(
        _ piece: [UInt8],
        _ at: Int,
        _ body: Body
    ) throws(JournalError) -> Int? {
        let room = run.footerOffset - position
        guard room >= RunRecord.prefix else {
            throw damage(.record, "what lies here is no record")
        }
        guard at + RunRecord.prefix <= piece.count else { return nil }
        let used = RunRecord.prefix + Int(piece.uint32(at: at + 4))
        let padded = (used + RunRecord.alignment - 1) & ~(RunRecord.alignment - 1)
        guard padded <= min(room, RunRecord.maxSize) else {
            throw damage(.record, "a record cannot be as long as it says")
        }
        guard at + padded <= piece.count else { return nil }
        guard let payload = RunRecord.payload(in: piece, at: at) else {
            throw damage(.record, "the checksum of a record does not match")
        }
        guard piece[at + used..<at + padded].allSatisfy({ $0 == 0 }) else {
            throw damage(.padding, "bytes after this record are not zero")
        }
        damaged = .record
        try body(position, payload)
        position += padded
        records += 1
        return at + padded
    }

    private mutating func list(_ piece: [UInt8], _ at: Int) throws(JournalError) -> Int? {
        let end = min(piece.count, at + listBytes - listed)
        checksum = CRC32C.checksum(of: piece[at..<end], continuing: checksum)
        listed += end - at
        guard listed == listBytes else { return end }
        guard checksum == run.footerChecksum else {
            throw damage(.list, "the checksum of its list of records does not match")
        }
        position = trailerOffset
        listed = 0
        checksum = 0
        return end
    }
}
