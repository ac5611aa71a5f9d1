package import Raft

/// What nodes fetch from one another: entries that one of them lacks on its disk.
///
/// Who lacks something asks for it, a piece at a time, and asks somebody else if no answer comes; who
/// answers keeps nothing in mind. So it can go on at any time after any fault.
package enum PullMessage: Hashable, Sendable {
    /// Asks for committed entries from one on, of this cost at most, but at least one.
    case entriesWanted(from: LogIndex, maxBytes: UInt32)
    /// Contiguous, from the one that was asked for on; none if the sender has not got that one.
    ///
    /// `first` is the first one, from there on, that the sender has.
    case entries(from: LogIndex, first: LogIndex, [Entry])
    /// A leader has not got the entries that the receiver needs next, but a state that stands for the
    /// entries through this one.
    case checkpointOffered(EntryID)
    /// Asks for a piece of a file of the newest checkpoint.
    case fileWanted(String, offset: UInt64, count: UInt32)
    /// The piece, shorter at the end of the file; nil if there is no such file.
    case file(String, offset: UInt64, [UInt8]?)
    /// Asks the leader to have states compared as of this entry or a later one: a backup waits for it.
    case comparisonWanted(LogIndex)
}

extension PullMessage {
    private enum Tag {
        static let entriesWanted: UInt8 = 1
        static let entries: UInt8 = 2
        static let checkpointOffered: UInt8 = 3
        static let fileWanted: UInt8 = 4
        static let file: UInt8 = 5
        static let comparisonWanted: UInt8 = 6
    }

    /// Longest name of a file, in bytes.
    private static let maxNameLength = 64

    func encode(into out: inout [UInt8]) {
        switch self {
        case .entriesWanted(let from, let maxBytes):
            out.append(Tag.entriesWanted)
            out.append(little: from.number)
            out.append(little: maxBytes)
        case .entries(let from, let first, let entries):
            out.append(Tag.entries)
            out.append(little: first.number)
            out.append(little: from.number)
            Entry.encode(entries, into: &out)
        case .checkpointOffered(let entry):
            out.append(Tag.checkpointOffered)
            entry.encode(into: &out)
        case .fileWanted(let file, let offset, let count):
            out.append(Tag.fileWanted)
            out.append(block: Array(file.utf8))
            out.append(little: offset)
            out.append(little: count)
        case .file(let file, let offset, let bytes):
            out.append(Tag.file)
            out.append(block: Array(file.utf8))
            out.append(little: offset)
            out.append(flag: bytes != nil)
            out.append(block: bytes ?? [])
        case .comparisonWanted(let index):
            out.append(Tag.comparisonWanted)
            out.append(little: index.number)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        switch try reader.byte() {
        case Tag.entriesWanted:
            let from = LogIndex(try reader.uint64())
            self = .entriesWanted(from: from, maxBytes: try reader.uint32())
        case Tag.entries:
            let first = LogIndex(try reader.uint64())
            let from = LogIndex(try reader.uint64())
            guard from > .zero else { throw .invalid(field: "index") }
            self = .entries(
                from: from,
                first: first,
                try Entry.decode(after: from.previous, from: &reader)
            )
        case Tag.checkpointOffered: self = .checkpointOffered(try EntryID(from: &reader))
        case Tag.fileWanted:
            let file = try PullMessage.name(from: &reader)
            let offset = try reader.uint64()
            self = .fileWanted(file, offset: offset, count: try reader.uint32())
        case Tag.file:
            let file = try PullMessage.name(from: &reader)
            let offset = try reader.uint64()
            let isThere = try reader.bool()
            let bytes = try reader.block(
                limit: PeerFrame.maxPayloadLength,
                field: "piece of a file"
            )
            self = .file(file, offset: offset, isThere ? bytes : nil)
        case Tag.comparisonWanted:
            self = .comparisonWanted(LogIndex(try reader.uint64()))
        default: throw .invalid(field: "pull message type")
        }
    }

    private static func name(from reader: inout ByteReader) throws(WireError) -> String {
        let bytes = try reader.block(limit: maxNameLength, field: "file name")
        return String(decoding: bytes, as: UTF8.self)
    }
}
