import Digest

/// The start of a batch; docs/formats.md has it byte by byte.
///
/// A batch is what one sync makes durable: it starts on a sector of its own and is valid as a whole
/// or not at all.
struct BatchHeader: Hashable, Sendable {
    /// Read as the start of a record it would have a length above `Record.maxLength`, so a reader
    /// that starts in the middle of a batch tells the next batch from a record.
    static let magic: UInt64 = 0xFF48_4354_4142_4456  // "VDBATCH", 0xFF
    static let size = 48

    /// Counted up from 1 for the whole life of the log.
    var number: UInt64
    /// The segment's.
    var salt: UInt64
    /// Bytes of all records together.
    var length: Int
    var records: UInt32
    /// `checksum` of the batch before, which ties the two together.
    var previousChecksum: UInt32
    /// CRC-32C over the records.
    var bodyChecksum: UInt32
    /// CRC-32C over this header, and by `bodyChecksum` and `previousChecksum` over all before it.
    private(set) var checksum: UInt32 = 0

    init(
        number: UInt64,
        salt: UInt64,
        length: Int,
        records: UInt32,
        previousChecksum: UInt32,
        bodyChecksum: UInt32
    ) {
        self.number = number
        self.salt = salt
        self.length = length
        self.records = records
        self.previousChecksum = previousChecksum
        self.bodyChecksum = bodyChecksum
    }

    /// Writes the header over the first bytes of a batch and sets `checksum`.
    mutating func write(into bytes: inout [UInt8]) {
        bytes.replace(at: 0, littleEndian: Self.magic)
        bytes.replace(at: 8, littleEndian: number)
        bytes.replace(at: 16, littleEndian: salt)
        bytes.replace(at: 24, littleEndian: UInt32(length))
        bytes.replace(at: 28, littleEndian: records)
        bytes.replace(at: 32, littleEndian: previousChecksum)
        bytes.replace(at: 36, littleEndian: bodyChecksum)
        bytes.replace(at: 40, littleEndian: UInt32(0))
        checksum = CRC32C.checksum(of: bytes, in: 0..<44)
        bytes.replace(at: 44, littleEndian: checksum)
    }

    /// Reads a header; nil if there is no whole one at `offset`.
    init?(_ bytes: [UInt8], at offset: Int) {
        guard offset + Self.size <= bytes.count, bytes.uint64(at: offset) == Self.magic else {
            return nil
        }
        checksum = bytes.uint32(at: offset + 44)
        guard CRC32C.checksum(of: bytes, in: offset..<offset + 44) == checksum else { return nil }
        number = bytes.uint64(at: offset + 8)
        salt = bytes.uint64(at: offset + 16)
        length = Int(bytes.uint32(at: offset + 24))
        records = bytes.uint32(at: offset + 28)
        previousChecksum = bytes.uint32(at: offset + 32)
        bodyChecksum = bytes.uint32(at: offset + 36)
    }
}
