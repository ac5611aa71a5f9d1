import Digest
import Journal
package import Verification

/// A run: a file of attempt records that is written once and never changed; docs/formats.md has it byte
/// by byte.
package struct Run: Hashable, Sendable {
    package var sequence: UInt64
    /// Bytes of the whole file.
    package var bytes: Int
    /// Where its list of records begins.
    package var footerOffset: Int
    package var records: Int
    /// CRC-32C of the list of records.
    package var footerChecksum: UInt32
    /// No attempt in it was decided after this, but for those that were open when it was written and
    /// of which another run has a newer version since.
    package var newestDecision: LogTime
    /// Whether any of its records has more than what is kept for ever.
    package var hasDetails: Bool

    package init(
        sequence: UInt64,
        bytes: Int = 0,
        footerOffset: Int = 0,
        records: Int = 0,
        footerChecksum: UInt32 = 0,
        newestDecision: LogTime = LogTime(milliseconds: 0),
        hasDetails: Bool = false
    ) {
        self.sequence = sequence
        self.bytes = bytes
        self.footerOffset = footerOffset
        self.records = records
        self.footerChecksum = footerChecksum
        self.newestDecision = newestDecision
        self.hasDetails = hasDetails
    }

    package var file: String { RunName.file(sequence) }

    /// Gives a piece of a copy of another node's run the number that it has here, which is in header and trailer.
    package func renumber(_ piece: inout [UInt8], at offset: Int) {
        var trailer: [UInt8] = []
        RunTrailer.append(self, to: &trailer)
        lay(RunHeader.encoded(sequence: sequence), at: 0, over: &piece, at: offset)
        lay(trailer, at: bytes - RunTrailer.size, over: &piece, at: offset)
    }

    /// A part may lie in two pieces.
    private func lay(_ part: [UInt8], at start: Int, over piece: inout [UInt8], at offset: Int) {
        let from = max(start, offset)
        let to = min(start + part.count, offset + piece.count)
        guard from < to else { return }
        piece.replaceSubrange(
            from - offset..<to - offset,
            with: part[from - start..<to - start]
        )
    }
}

/// Names of the state store's files.
package enum RunName {
    private static let prefix = "state-"
    private static let suffix = ".run"
    package static let manifest = "CHECKPOINT"
    private static let temporary = "CHECKPOINT-"

    package static func file(_ sequence: UInt64) -> String {
        prefix + hexadecimal(sequence) + suffix
    }

    /// The manifest in the making; each try has its own.
    package static func temporary(_ number: UInt64) -> String { temporary + hexadecimal(number) }

    package static func isTemporary(_ name: String) -> Bool {
        name.hasPrefix(temporary) && name.utf8.count == temporary.utf8.count + 16
    }

    /// - Returns: `nil` if the name is not a run's.
    package static func sequence(_ name: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
        guard digits.utf8.count == 16, let number = UInt64(digits, radix: 16),
            file(number) == name
        else { return nil }
        return number
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

enum RunHeader {
    static let magic: UInt64 = 0x5245_5441_5453_4456  // "VDSTATER"
    static let version: UInt32 = 1
    static let size = 64

    static func encoded(sequence: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        bytes.append(littleEndian: magic)
        bytes.append(littleEndian: version)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: sequence)
        bytes.append(contentsOf: repeatElement(0, count: size - 4 - bytes.count))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes))
        return bytes
    }

    static func check(_ bytes: [UInt8], sequence: UInt64, file: String) throws(JournalError) {
        guard bytes.count == size, bytes.uint64(at: 0) == magic,
            CRC32C.checksum(of: bytes[..<(size - 4)]) == bytes.uint32(at: size - 4)
        else { throw .damaged(file: file, offset: 0, what: "its header is not whole") }
        guard bytes.uint32(at: 8) == version else {
            throw .unsupportedVersion(
                file: file,
                found: bytes.uint32(at: 8),
                supported: version
            )
        }
        guard bytes.uint64(at: 16) == sequence else {
            throw .damaged(
                file: file,
                offset: 0,
                what: "this is the content of run \(bytes.uint64(at: 16))"
            )
        }
    }
}

/// A record in a run: a checksum and a length, then the bytes that the state machine encoded.
enum RunRecord {
    /// Checksum and length.
    static let prefix = 8
    static let alignment = 8
    /// Of a whole record, since the list must have room for its length.
    static let maxSize = RecordLocation.maxLength

    static func append(_ payload: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt32(payload.count))
        bytes.append(contentsOf: payload)
        let checksum = CRC32C.checksum(of: bytes[(start + 4)...])
        bytes.replace(at: start, littleEndian: checksum)
        let rest = (bytes.count - start) % alignment
        if rest > 0 { bytes.append(contentsOf: repeatElement(0, count: alignment - rest)) }
    }

    /// The record at a place in a buffer; `nil` if it is not whole.
    static func payload(in bytes: [UInt8], at offset: Int) -> ArraySlice<UInt8>? {
        guard offset >= 0, offset + prefix <= bytes.count else { return nil }
        let length = Int(bytes.uint32(at: offset + 4))
        guard length <= bytes.count - offset - prefix else { return nil }
        let end = offset + prefix + length
        guard CRC32C.checksum(of: bytes[(offset + 4)..<end]) == bytes.uint32(at: offset) else {
            return nil
        }
        return bytes[(offset + prefix)..<end]
    }
}

/// What is said of a record beside its bytes.
package struct RecordLabel: Hashable, Sendable {
    package var hash: UInt64
    package var ordinal: UInt64
    /// `nil`: the attempt is open.
    package var decidedAt: LogTime?
    package var isCompact: Bool

    package init(hash: UInt64, ordinal: UInt64, decidedAt: LogTime?, isCompact: Bool) {
        self.hash = hash
        self.ordinal = ordinal
        self.decidedAt = decidedAt
        self.isCompact = isCompact
    }

    package init(_ item: EncodedRecords.Item) {
        self.init(
            hash: item.hash,
            ordinal: item.ordinal,
            decidedAt: item.decidedAt,
            isCompact: item.isCompact
        )
    }
}

/// One line of a run's list of records.
package struct FooterEntry: Hashable, Sendable {
    package var hash: UInt64
    package var ordinal: UInt64
    package var offset: Int
    /// Bytes to be read, the record's rounded up.
    package var length: Int
    package var isOpen: Bool

    static let size = 24
    static let offsetUnit = 8
    static let lengthUnit = 16

    func encode(into bytes: inout [UInt8]) {
        bytes.append(littleEndian: hash)
        bytes.append(littleEndian: ordinal)
        bytes.append(littleEndian: UInt32(offset / Self.offsetUnit))
        bytes.append(
            littleEndian: UInt16((length + Self.lengthUnit - 1) / Self.lengthUnit)
        )
        bytes.append(littleEndian: UInt16(isOpen ? 1 : 0))
    }

    init(hash: UInt64, ordinal: UInt64, offset: Int, length: Int, isOpen: Bool) {
        self.hash = hash
        self.ordinal = ordinal
        self.offset = offset
        self.length = length
        self.isOpen = isOpen
    }

    init(_ bytes: [UInt8], at start: Int) {
        hash = bytes.uint64(at: start)
        ordinal = bytes.uint64(at: start + 8)
        offset = Int(bytes.uint32(at: start + 16)) * Self.offsetUnit
        length = Int(bytes.uint16(at: start + 20)) * Self.lengthUnit
        isOpen = bytes.uint16(at: start + 22) & 1 == 1
    }
}

/// The end of a run, which says where its list of records is.
enum RunTrailer {
    static let magic: UInt64 = 0x5245_544f_4f46_4456  // "VDFOOTER"
    static let size = 40

    static func append(_ run: Run, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(littleEndian: magic)
        bytes.append(littleEndian: run.sequence)
        bytes.append(littleEndian: UInt64(run.footerOffset))
        bytes.append(littleEndian: UInt32(run.records))
        bytes.append(littleEndian: run.footerChecksum)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes[start...]))
    }
}
