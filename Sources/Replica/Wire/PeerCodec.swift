internal import Raft
internal import Verification

extension PeerFrame {
    /// Longest cluster name and refusal text, in bytes.
    static let maxTextLength = 1024
    /// Longest payload of one entry or forwarded command, in bytes.
    package static let maxPayloadLength = 1024 * 1024

    /// Appends the frame's bytes.
    package func encode(into out: inout [UInt8]) {
        switch self {
        case .hello(let hello):
            Frame.append(.hello, to: &out) { out in
                out.append(block: Array(hello.cluster.utf8))
                out.append(little: hello.from.number)
                out.append(little: hello.to.number)
                out.append(little: hello.incarnation)
                out.append(hello.identity)
            }
        case .helloReply(let reply):
            Frame.append(.helloReply, to: &out) { out in
                switch reply {
                case .welcome(let incarnation, let identity):
                    out.append(1)
                    out.append(little: incarnation)
                    out.append(identity)
                case .refused(let reason, let kind):
                    out.append(2)
                    out.append(kind.rawValue)
                    out.append(block: Array(reason.utf8.prefix(PeerFrame.maxTextLength)))
                }
            }
        case .message(let message):
            Frame.append(.message, to: &out) { message.encode(into: &$0) }
        }
    }

    init(_ kind: Frame.Kind, from reader: inout ByteReader) throws(WireError) {
        switch kind {
        case .hello:
            let cluster = try reader.block(limit: PeerFrame.maxTextLength, field: "cluster name")
            self = .hello(
                Hello(
                    cluster: String(decoding: cluster, as: UTF8.self),
                    from: NodeID(try reader.uint32()),
                    to: NodeID(try reader.uint32()),
                    incarnation: try reader.uint64(),
                    identity: try reader.identity()
                )
            )
        case .helloReply:
            switch try reader.byte() {
            case 1:
                let incarnation = try reader.uint64()
                self = .helloReply(
                    .welcome(incarnation: incarnation, identity: try reader.identity())
                )
            case 2:
                guard let kind = RefusalKind(rawValue: try reader.byte()) else {
                    throw .invalid(field: "kind of refusal")
                }
                let reason = try reader.block(limit: PeerFrame.maxTextLength, field: "reason")
                self = .helloReply(.refused(String(decoding: reason, as: UTF8.self), kind: kind))
            default: throw .invalid(field: "hello reply")
            }
        case .message:
            self = .message(try PeerMessage(from: &reader))
        }
    }
}

extension PeerMessage {
    private enum Tag {
        static let raft: UInt8 = 1
        static let forward: UInt8 = 2
        static let forwardRefused: UInt8 = 3
        static let readIndex: UInt8 = 4
        static let readIndexReply: UInt8 = 5
        static let ping: UInt8 = 6
        static let pong: UInt8 = 7
        static let members: UInt8 = 8
        static let pull: UInt8 = 16
        static let roundTrips: UInt8 = 24
    }

    func encode(into out: inout [UInt8]) {
        switch self {
        case .raft(let message):
            out.append(Tag.raft)
            message.encode(into: &out)
        case .forward(let forward):
            out.append(Tag.forward)
            forward.encode(into: &out)
        case .forwardRefused(let number):
            out.append(Tag.forwardRefused)
            out.append(little: number)
        case .readIndex(let round):
            out.append(Tag.readIndex)
            out.append(little: round)
        case .readIndexReply(let round, let index):
            out.append(Tag.readIndexReply)
            out.append(little: round)
            out.append(flag: index != nil)
            out.append(little: index?.number ?? 0)
        case .ping(let sentAt, let status):
            out.append(Tag.ping)
            out.append(little: sentAt.nanoseconds)
            status.encode(into: &out)
        case .pong(let sentAt, let wall, let status):
            out.append(Tag.pong)
            out.append(little: sentAt.nanoseconds)
            out.append(little: wall.milliseconds)
            status.encode(into: &out)
        case .members(let tags, let isFormed):
            out.append(Tag.members)
            out.append(flag: isFormed)
            out.append(tags)
        case .pull(let message):
            out.append(Tag.pull)
            message.encode(into: &out)
        case .roundTrips(let report):
            out.append(Tag.roundTrips)
            report.encode(into: &out)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        switch try reader.byte() {
        case Tag.raft: self = .raft(try Message(from: &reader))
        case Tag.forward: self = .forward(try Forward(from: &reader))
        case Tag.forwardRefused: self = .forwardRefused(number: try reader.uint64())
        case Tag.readIndex: self = .readIndex(round: try reader.uint64())
        case Tag.readIndexReply:
            let round = try reader.uint64()
            let isServed = try reader.bool()
            let index = LogIndex(try reader.uint64())
            self = .readIndexReply(round: round, index: isServed ? index : nil)
        case Tag.ping:
            let sentAt = Instant(nanoseconds: try reader.uint64())
            self = .ping(sentAt: sentAt, try NodeStatus(from: &reader))
        case Tag.pong:
            let sentAt = Instant(nanoseconds: try reader.uint64())
            let wall = WallTime(milliseconds: try reader.uint64())
            self = .pong(sentAt: sentAt, wall: wall, try NodeStatus(from: &reader))
        case Tag.members:
            let isFormed = try reader.bool()
            self = .members(try reader.members(), isFormed: isFormed)
        case Tag.pull: self = .pull(try PullMessage(from: &reader))
        case Tag.roundTrips: self = .roundTrips(try RoundTripReport(from: &reader))
        default: throw .invalid(field: "message type")
        }
    }
}

extension Forward {
    /// Sequence, flag and length of a request without a definition.
    private static let requestHeaderLength = 8 + 1 + 4

    func encode(into out: inout [UInt8]) {
        out.append(little: number)
        out.append(little: incarnation)
        out.append(little: UInt32(requests.count))
        for request in requests {
            out.append(little: request.sequence)
            out.append(flag: request.definition != nil)
            if let definition = request.definition { out.append(block: definition) }
            out.append(block: request.command)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let number = try reader.uint64()
        let incarnation = try reader.uint64()
        let count = try reader.count(
            minimumSize: Forward.requestHeaderLength,
            field: "number of requests"
        )
        let limit = PeerFrame.maxPayloadLength
        var requests: [ForwardedRequest] = []
        requests.reserveCapacity(count)
        for _ in 0..<count {
            let sequence = try reader.uint64()
            var definition: [UInt8]?
            if try reader.bool() {
                definition = try reader.block(limit: limit, field: "definition length")
            }
            requests.append(
                ForwardedRequest(
                    sequence: sequence,
                    definition: definition,
                    command: try reader.block(limit: limit, field: "command length")
                )
            )
        }
        self.init(number: number, incarnation: incarnation, requests: requests)
    }
}

extension NodeStatus {
    private static let roles: [Role] = [
        .follower, .preCandidate, .candidate, .leader, .learner, .repairing,
    ]

    func encode(into out: inout [UInt8]) {
        out.append(UInt8(NodeStatus.roles.firstIndex(of: role) ?? 0))
        out.append(little: term.number)
        out.append(little: commitIndex.number)
        out.append(little: appliedIndex.number)
        out.append(room.rawValue)
        out.append(flag: isDiskStalled)
        promised.encode(into: &out)
        out.append(condition.rawValue)
        out.append(flag: mark != nil)
        if let mark {
            out.append(little: mark.index.number)
            out.append(block: mark.digest)
        }
    }
    init(from reader: inout ByteReader) throws(WireError) {
        let role = Int(try reader.byte())
        guard role < NodeStatus.roles.count else { throw .invalid(field: "role") }
        let term = Term(try reader.uint64())
        let commitIndex = LogIndex(try reader.uint64())
        let appliedIndex = LogIndex(try reader.uint64())
        guard let room = DiskRoom(rawValue: try reader.byte()) else {
            throw .invalid(field: "room of the disk")
        }
        self.init(
            role: NodeStatus.roles[role],
            term: term,
            commitIndex: commitIndex,
            appliedIndex: appliedIndex,
            room: room,
            isDiskStalled: try reader.bool(),
            promised: try EntryID(from: &reader)
        )
        guard let condition = NodeCondition(rawValue: try reader.byte()) else {
            throw .invalid(field: "condition")
        }
        self.condition = condition
        guard try reader.bool() else { return }
        let index = EntryIndex(try reader.uint64())
        let digest = try reader.block(limit: DigestMark.byteCount, field: "digest")
        guard digest.count == DigestMark.byteCount else { throw .invalid(field: "digest") }
        mark = DigestMark(index: index, digest: digest)
    }
}
