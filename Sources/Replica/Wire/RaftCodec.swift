internal import Raft

extension Message {
    private enum Tag {
        static let preVote: UInt8 = 1
        static let preVoteReply: UInt8 = 2
        static let requestVote: UInt8 = 3
        static let requestVoteReply: UInt8 = 4
        static let appendEntries: UInt8 = 5
        static let appendEntriesReply: UInt8 = 6
        static let timeoutNow: UInt8 = 7
    }

    func encode(into out: inout [UInt8]) {
        out.append(little: from.number)
        out.append(little: to.number)
        out.append(little: term.number)
        switch body {
        case .preVote(let request):
            out.append(Tag.preVote)
            request.encode(into: &out)
        case .preVoteReply(let reply):
            out.append(Tag.preVoteReply)
            out.append(flag: reply.granted)
        case .requestVote(let request):
            out.append(Tag.requestVote)
            request.encode(into: &out)
        case .requestVoteReply(let reply):
            out.append(Tag.requestVoteReply)
            out.append(flag: reply.granted)
            reply.lastEntry.encode(into: &out)
        case .appendEntries(let append):
            out.append(Tag.appendEntries)
            append.encode(into: &out)
        case .appendEntriesReply(let reply):
            out.append(Tag.appendEntriesReply)
            reply.encode(into: &out)
        case .timeoutNow:
            out.append(Tag.timeoutNow)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let from = NodeID(try reader.uint32())
        let to = NodeID(try reader.uint32())
        let term = Term(try reader.uint64())
        let body: Body
        switch try reader.byte() {
        case Tag.preVote: body = .preVote(try VoteRequest(from: &reader))
        case Tag.preVoteReply: body = .preVoteReply(VoteReply(granted: try reader.bool()))
        case Tag.requestVote: body = .requestVote(try VoteRequest(from: &reader))
        case Tag.requestVoteReply:
            let isGranted = try reader.bool()
            body = .requestVoteReply(
                VoteReply(granted: isGranted, lastEntry: try EntryID(from: &reader))
            )
        case Tag.appendEntries: body = .appendEntries(try AppendEntries(from: &reader))
        case Tag.appendEntriesReply:
            body = .appendEntriesReply(try AppendEntriesReply(from: &reader))
        case Tag.timeoutNow: body = .timeoutNow
        default: throw .invalid(field: "Raft message type")
        }
        self.init(from: from, to: to, term: term, body: body)
    }
}

extension EntryID {
    func encode(into out: inout [UInt8]) {
        out.append(little: term.number)
        out.append(little: index.number)
    }
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(term: Term(try reader.uint64()), index: LogIndex(try reader.uint64()))
    }
}

extension VoteRequest {
    func encode(into out: inout [UInt8]) {
        lastEntry.encode(into: &out)
        out.append(flag: isTransfer)
    }
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(lastEntry: try EntryID(from: &reader), isTransfer: try reader.bool())
    }
}

extension AppendEntries {
    func encode(into out: inout [UInt8]) {
        previous.encode(into: &out)
        out.append(little: leaderCommit.number)
        out.append(little: leaderDurable.number)
        out.append(flag: allowsInference)
        out.append(little: readRound)
        out.append(little: repair)
        Entry.encode(entries, into: &out)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let previous = try EntryID(from: &reader)
        let leaderCommit = LogIndex(try reader.uint64())
        let leaderDurable = LogIndex(try reader.uint64())
        let allowsInference = try reader.bool()
        let readRound = try reader.uint64()
        let repair = try reader.uint64()
        let entries = try Entry.decode(after: previous.index, from: &reader)
        self.init(
            previous: previous,
            leaderCommit: leaderCommit,
            leaderDurable: leaderDurable,
            allowsInference: allowsInference,
            readRound: readRound,
            entries: entries,
            repair: repair
        )
    }
}

extension Entry {
    /// Term, time, kind and length of an entry; its index follows from its place.
    private static let headerLength = 8 + 8 + 1 + 4

    /// Appends contiguous entries.
    static func encode(_ entries: [Entry], into out: inout [UInt8]) {
        out.append(little: UInt32(entries.count))
        for entry in entries {
            out.append(little: entry.term.number)
            out.append(little: entry.time.milliseconds)
            out.append(entry.kind.rawValue)
            out.append(block: entry.payload)
        }
    }

    /// Reads contiguous entries, the first directly behind an index.
    static func decode(
        after previous: LogIndex,
        from reader: inout ByteReader
    ) throws(WireError) -> [Entry] {
        let count = try reader.count(
            minimumSize: Entry.headerLength,
            field: "number of entries"
        )
        guard previous.number <= UInt64.max - UInt64(count) - 1 else {
            throw .invalid(field: "previous index")
        }
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var index = previous
        for _ in 0..<count {
            index = index.next
            let term = Term(try reader.uint64())
            let time = Timestamp(milliseconds: try reader.uint64())
            guard let kind = Entry.Kind(rawValue: try reader.byte()) else {
                throw .invalid(field: "entry kind")
            }
            let payload = try reader.block(
                limit: PeerFrame.maxPayloadLength,
                field: "payload length"
            )
            entries.append(
                Entry(
                    id: EntryID(term: term, index: index),
                    time: time,
                    kind: kind,
                    payload: payload
                )
            )
        }
        return entries
    }
}

extension AppendEntriesReply {
    func encode(into out: inout [UInt8]) {
        out.append(little: readRound)
        out.append(flag: hasRoom)
        out.append(little: repair)
        switch result {
        case .accepted(let durable, let matched):
            out.append(1)
            out.append(little: durable.number)
            out.append(little: matched.number)
        case .rejected(let index, let hint):
            out.append(2)
            out.append(little: index.number)
            hint.encode(into: &out)
        }
    }
    init(from reader: inout ByteReader) throws(WireError) {
        let readRound = try reader.uint64()
        let hasRoom = try reader.bool()
        let repair = try reader.uint64()
        let result: Result
        switch try reader.byte() {
        case 1:
            let durable = LogIndex(try reader.uint64())
            result = .accepted(durable: durable, matched: LogIndex(try reader.uint64()))
        case 2:
            let index = LogIndex(try reader.uint64())
            result = .rejected(at: index, hint: try EntryID(from: &reader))
        default: throw .invalid(field: "AppendEntries reply")
        }
        self.init(result: result, readRound: readRound, hasRoom: hasRoom, repair: repair)
    }
}
