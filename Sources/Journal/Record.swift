import Digest
import Raft

/// One step of the log as it stands in a batch; docs/formats.md has it byte by byte.
enum Record: Hashable, Sendable {
    case entry(Entry)
    /// Entries after this index are dropped.
    case truncate(after: LogIndex)
    case hardState(HardState)

    /// Records start at multiples of this within their segment, so that between a batch's end and
    /// the next sector there is no room or room enough for a zero length.
    static let alignment = 8
    /// Checksum and length.
    static let prefix = 8
    /// Bytes after the prefix, at most.
    static let maxLength = 0x7FFF_FFFF
    static let entryHeader = 26

    private static let entryCode: UInt8 = 1
    private static let truncateCode: UInt8 = 2
    private static let hardStateCode: UInt8 = 3

    static func append(_ entry: Entry, to bytes: inout [UInt8]) {
        let start = begin(length: entryHeader + entry.payload.count, code: entryCode, in: &bytes)
        bytes.append(entry.kind.rawValue)
        bytes.append(littleEndian: entry.term.number)
        bytes.append(littleEndian: entry.index.number)
        bytes.append(littleEndian: entry.time.milliseconds)
        bytes.append(contentsOf: entry.payload)
        end(start, in: &bytes)
    }

    static func append(truncateAfter index: LogIndex, to bytes: inout [UInt8]) {
        let start = begin(length: 9, code: truncateCode, in: &bytes)
        bytes.append(littleEndian: index.number)
        end(start, in: &bytes)
    }

    static func append(_ state: HardState, to bytes: inout [UInt8]) {
        let start = begin(length: 22, code: hardStateCode, in: &bytes)
        bytes.append(littleEndian: state.currentTerm.number)
        bytes.append(littleEndian: state.commitIndex.number)
        bytes.append(littleEndian: state.votedFor?.number ?? 0)
        bytes.append(state.isRepairing ? 1 : 0)
        end(start, in: &bytes)
    }

    private static func begin(length: Int, code: UInt8, in bytes: inout [UInt8]) -> Int {
        invariant(length <= maxLength, "record of \(length) bytes")
        let start = bytes.count
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt32(length))
        bytes.append(code)
        return start
    }

    private static func end(_ start: Int, in bytes: inout [UInt8]) {
        let checksum = CRC32C.checksum(of: bytes, in: start + 4..<bytes.count)
        bytes.replace(at: start, littleEndian: checksum)
        while bytes.count % alignment != 0 { bytes.append(0) }
    }

    /// The bytes of the record at `offset`, padding left out.
    ///
    /// - Parameters:
    ///   - bytes: a batch, or a part of one.
    ///   - offset: where the record begins.
    ///   - isChecked: the checksum of its batch matched, which covers the record's.
    /// - Returns: where it lies.
    /// - Throws: `RecordFault` if it does not lie within `bytes` or its checksum is wrong.
    static func extent(
        in bytes: [UInt8],
        at offset: Int,
        isChecked: Bool = false
    ) throws(RecordFault) -> Range<Int> {
        guard offset + prefix <= bytes.count else { throw RecordFault("record cut short") }
        let length = Int(bytes.uint32(at: offset + 4))
        guard length >= 1, length <= maxLength, length <= bytes.count - offset - prefix else {
            throw RecordFault("record of impossible length \(length)")
        }
        let end = offset + prefix + length
        if isChecked { return offset..<end }
        guard CRC32C.checksum(of: bytes, in: offset + 4..<end) == bytes.uint32(at: offset) else {
            throw RecordFault("checksum of a record does not match")
        }
        return offset..<end
    }

    /// The index of the entry in a checked record; nil if it holds no entry.
    static func entryIndex(in bytes: [UInt8], extent: Range<Int>) -> LogIndex? {
        guard extent.count >= prefix + entryHeader, bytes[extent.lowerBound + 8] == entryCode else {
            return nil
        }
        return LogIndex(bytes.uint64(at: extent.lowerBound + 18))
    }

    /// Reads a record whose extent has been checked.
    init(in bytes: [UInt8], extent: Range<Int>) throws(RecordFault) {
        let start = extent.lowerBound
        let length = extent.count - Self.prefix
        switch bytes[start + 8] {
        case Self.entryCode where length >= Self.entryHeader:
            guard let kind = Entry.Kind(rawValue: bytes[start + 9]) else {
                throw RecordFault("entry of unknown kind \(bytes[start + 9])")
            }
            self = .entry(
                Entry(
                    id: EntryID(
                        term: Term(bytes.uint64(at: start + 10)),
                        index: LogIndex(bytes.uint64(at: start + 18))
                    ),
                    time: Timestamp(milliseconds: bytes.uint64(at: start + 26)),
                    kind: kind,
                    payload: Array(bytes[start + 34..<extent.upperBound])
                )
            )
        case Self.truncateCode where length == 9:
            self = .truncate(after: LogIndex(bytes.uint64(at: start + 9)))
        case Self.hardStateCode where length == 21 || length == 22:
            let vote = bytes.uint32(at: start + 25)
            self = .hardState(
                HardState(
                    currentTerm: Term(bytes.uint64(at: start + 9)),
                    votedFor: vote == 0 ? nil : NodeID(vote),
                    commitIndex: LogIndex(bytes.uint64(at: start + 17)),
                    isRepairing: length == 22 && bytes[start + 29] & 1 != 0
                )
            )
        default:
            throw RecordFault("record of unknown kind \(bytes[start + 8]) and length \(length)")
        }
    }
}

/// What is wrong with a record; the caller knows where.
struct RecordFault: Error {
    var what: String
    init(_ what: String) { self.what = what }
}
