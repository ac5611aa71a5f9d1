package import Raft

/// What nodes fetch from one another: entries that one of them lacks on its disk.
///
/// Who lacks something asks for it, a piece at a time, and asks somebody else if no answer comes; who
/// answers keeps nothing in mind. So it can go on at any time after any fault.
package enum PullMessage: Hashable, Sendable {
    /// Asks for committed entries from one on, of this cost at most, but at least one.
    case entriesWanted(from: LogIndex, maxBytes: UInt32)
    /// Contiguous, from the one that was asked for on; none if the sender has not got that one.
    case entries(from: LogIndex, [Entry])
}

extension PullMessage {
    private enum Tag {
        static let entriesWanted: UInt8 = 1
        static let entries: UInt8 = 2
    }

    func encode(into out: inout [UInt8]) {
        switch self {
        case .entriesWanted(let from, let maxBytes):
            out.append(Tag.entriesWanted)
            out.append(little: from.number)
            out.append(little: maxBytes)
        case .entries(let from, let entries):
            out.append(Tag.entries)
            out.append(little: from.number)
            Entry.encode(entries, into: &out)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        switch try reader.byte() {
        case Tag.entriesWanted:
            let from = LogIndex(try reader.uint64())
            self = .entriesWanted(from: from, maxBytes: try reader.uint32())
        case Tag.entries:
            let from = LogIndex(try reader.uint64())
            guard from > .zero else { throw .invalid(field: "index") }
            self = .entries(from: from, try Entry.decode(after: from.previous, from: &reader))
        default: throw .invalid(field: "pull message type")
        }
    }
}
