import Digest
import Raft

/// The file beside a sealed segment: where its entries are; docs/formats.md has it byte by byte.
///
/// It can be made again from the segment. That it is there says that the next segment was begun.
struct SegmentIndex: Hashable, Sendable {
    static let magic: UInt64 = 0x5845_444E_4953_4456  // "VDSINDEX"
    static let version: UInt32 = 1
    static let headerSize = 80
    static let spanSize = 24

    var sequence: UInt64
    /// The segment's.
    var salt: UInt64
    /// Bytes of the segment that are taken.
    var used: Int
    var lastBatch: UInt64
    var lastChecksum: UInt32
    /// The last entry of the log when the segment was sealed.
    var last: EntryID
    /// Log time of the newest entry in it.
    var time: Timestamp
    var spans: [EntryPositions.Span]

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerSize + spans.count * Self.spanSize + 4)
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: UInt32(spans.count))
        bytes.append(littleEndian: sequence)
        bytes.append(littleEndian: salt)
        bytes.append(littleEndian: UInt64(used))
        bytes.append(littleEndian: lastBatch)
        bytes.append(littleEndian: last.index.number)
        bytes.append(littleEndian: last.term.number)
        bytes.append(littleEndian: time.milliseconds)
        bytes.append(littleEndian: lastChecksum)
        bytes.append(littleEndian: UInt32(0))
        for span in spans {
            bytes.append(littleEndian: span.first.number)
            bytes.append(littleEndian: UInt64(span.offset))
            bytes.append(littleEndian: UInt64(span.end))
        }
        bytes.append(littleEndian: CRC32C.checksum(of: bytes, in: 0..<bytes.count))
        return bytes
    }

    /// Reads an index; nil if it is not whole or of an unknown version: it can be made again.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerSize + 4, bytes.uint64(at: 0) == Self.magic,
            bytes.uint32(at: 8) == Self.version
        else { return nil }
        let count = Int(bytes.uint32(at: 12))
        let end = Self.headerSize + count * Self.spanSize
        guard bytes.count == end + 4,
            CRC32C.checksum(of: bytes, in: 0..<end) == bytes.uint32(at: end)
        else { return nil }
        sequence = bytes.uint64(at: 16)
        salt = bytes.uint64(at: 24)
        used = Int(clamping: bytes.uint64(at: 32))
        lastBatch = bytes.uint64(at: 40)
        last = EntryID(
            term: Term(bytes.uint64(at: 56)),
            index: LogIndex(bytes.uint64(at: 48))
        )
        time = Timestamp(milliseconds: bytes.uint64(at: 64))
        lastChecksum = bytes.uint32(at: 72)
        spans = []
        spans.reserveCapacity(count)
        for at in stride(from: Self.headerSize, to: end, by: Self.spanSize) {
            spans.append(
                EntryPositions.Span(
                    first: LogIndex(bytes.uint64(at: at)),
                    segment: sequence,
                    offset: Int(clamping: bytes.uint64(at: at + 8)),
                    end: Int(clamping: bytes.uint64(at: at + 16))
                )
            )
        }
    }

    init(
        sequence: UInt64,
        salt: UInt64,
        used: Int,
        lastBatch: UInt64,
        lastChecksum: UInt32,
        last: EntryID,
        time: Timestamp,
        spans: [EntryPositions.Span]
    ) {
        self.sequence = sequence
        self.salt = salt
        self.used = used
        self.lastBatch = lastBatch
        self.lastChecksum = lastChecksum
        self.last = last
        self.time = time
        self.spans = spans
    }

    init(_ segment: LogJournal.Segment, spans: [EntryPositions.Span]) {
        sequence = segment.sequence
        salt = segment.salt
        used = segment.used
        lastBatch = segment.lastBatch
        lastChecksum = segment.lastChecksum
        last = segment.lastEntry
        time = segment.lastTime
        self.spans = spans
    }

    /// Reads the index of a segment; nil if there is none that is whole and of this segment.
    static func read(
        _ sequence: UInt64,
        salt: UInt64,
        on disk: inout some Disk
    ) throws(JournalError) -> SegmentIndex? {
        let file = SegmentName.index(sequence)
        do {
            let bytes = try disk.read(file, at: 0, count: try disk.size(of: file))
            guard let index = SegmentIndex(bytes), index.sequence == sequence, index.salt == salt
            else { return nil }
            return index
        } catch {
            throw .disk(error)
        }
    }

    /// Writes the file beside the segment.
    func append(to operations: inout [DiskOperation]) {
        let file = SegmentName.index(sequence)
        let bytes = encoded()
        // With its room: what finds none fails before anything is written.
        operations.append(.create(file: file, size: bytes.count))
        operations.append(.write(file: file, offset: 0, bytes: bytes))
        operations.append(.sync(file: file))
        operations.append(.syncDirectory)
    }
}
