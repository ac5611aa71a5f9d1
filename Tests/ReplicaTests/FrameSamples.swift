import Journal
import Raft
import Replica
import Store
import Verification

/// Frames for the tests of the wire format.
enum FrameSamples {
    static let status = NodeStatus(
        role: .learner,
        term: Term(7),
        commitIndex: LogIndex(1 << 40),
        appliedIndex: LogIndex(9),
        promised: EntryID(term: Term(6), index: LogIndex(1 << 40)),
        condition: .quarantined,
        mark: DigestMark(index: EntryIndex(8), digest: [UInt8](0..<32))
    )
    static let identity = PeerIdentity(
        directory: DirectoryID(high: .max, low: 1),
        starts: 3,
        term: Term(7),
        lastEntry: EntryID(term: Term(6), index: LogIndex(5)),
        isFormed: true,
        isRepairing: false,
        members: [
            MemberTag(
                node: NodeID(1),
                directory: DirectoryID(high: 0, low: .max),
                admittedAt: LogIndex(0)
            ),
            MemberTag(
                node: NodeID(.max),
                directory: DirectoryID(high: 1, low: 2),
                admittedAt: LogIndex(.max)
            ),
        ]
    )

    /// One of each kind at least, with the values at the edges of what the fields hold.
    static let table: [PeerFrame] =
        [
            .hello(Hello(cluster: "", from: NodeID(0), to: NodeID(.max), incarnation: .max)),
            .hello(
                Hello(cluster: "Zürich ☎", from: NodeID(1), to: NodeID(2), incarnation: 0x0102)
            ),
            .hello(
                Hello(
                    cluster: "a",
                    from: NodeID(1),
                    to: NodeID(2),
                    incarnation: 3,
                    identity: identity
                )
            ),
            .helloReply(.welcome(incarnation: 0, identity: nil)),
            .helloReply(.welcome(incarnation: .max, identity: identity)),
            .helloReply(.refused("", kind: .other)),
            .helloReply(.refused("this is n2 of cluster “b”", kind: .lostPromises)),
            .message(.members([], isFormed: false)),
            .message(.members(identity.members, isFormed: true)),
            .message(.forward([])),
            .message(.forward([[]])),
            .message(.forward([[1, 2, 3], [], [UInt8](repeating: 0xFF, count: 60)])),
            .message(.forward(definedForward)),
            .message(.forwardRefused(number: .max)),
            .message(.readIndex(round: .max)),
            .message(.readIndexReply(round: 3, index: nil)),
            .message(.readIndexReply(round: 1 << 63, index: LogIndex(0))),
            .message(.readIndexReply(round: 4, index: LogIndex(.max))),
            .message(.ping(sentAt: Instant(nanoseconds: .max), status)),
            .message(.roundTrips(RoundTripReport([]))),
            .message(
                .roundTrips(
                    RoundTripReport([
                        .init(node: NodeID(1), roundTrip: nil, silence: .max),
                        .init(node: NodeID(.max), roundTrip: 217_000, silence: 40),
                    ])
                )
            ),
            .message(
                .pong(
                    sentAt: Instant(nanoseconds: 0),
                    wall: WallTime(milliseconds: 1 << 41),
                    status
                )
            ),
        ]
        + pulls.map { .message(.pull($0)) }
        + bodies.map {
            .message(
                .raft(Message(from: NodeID(3), to: NodeID(1), term: Term(0x0102_0304), body: $0))
            )
        }

    private static let pulls: [PullMessage] = [
        .entriesWanted(from: LogIndex(1), maxBytes: 0),
        .entriesWanted(from: LogIndex(.max), maxBytes: .max),
        .entries(from: LogIndex(5), first: LogIndex(5), []),
        .entries(
            from: LogIndex(42),
            first: LogIndex(3),
            append(entries: [(4, 100, .command, [0]), (6, 101, .noop, [])]).entries
        ),
        .checkpointOffered(.zero),
        .checkpointOffered(EntryID(term: Term(.max), index: LogIndex(.max))),
        .fileWanted(RunName.manifest, offset: 0, count: .max),
        .fileWanted(RunName.file(.max), offset: 1 << 61, count: 1),
        .file(RunName.manifest, offset: 0, nil),
        .file(RunName.file(1), offset: 4096, []),
        .file(RunName.file(1), offset: 4096, [UInt8](repeating: 0xA5, count: 300)),
        .comparisonWanted(LogIndex(.max)),
    ]

    private static let definedForward = Forward(
        number: 1 << 40,
        incarnation: 7,
        requests: [
            ForwardedRequest(sequence: .max, definition: [], command: [4]),
            ForwardedRequest(sequence: 0, definition: [5, 6], command: []),
        ]
    )

    private static let bodies: [Message.Body] = [
        .preVote(VoteRequest(lastEntry: .zero, isTransfer: false)),
        .preVoteReply(VoteReply(granted: true)),
        .requestVote(
            VoteRequest(
                lastEntry: EntryID(term: Term(.max), index: LogIndex(.max)),
                isTransfer: true
            )
        ),
        .requestVoteReply(VoteReply(granted: false)),
        .requestVoteReply(
            VoteReply(
                granted: true,
                lastEntry: EntryID(term: Term(7), index: LogIndex(.max))
            )
        ),
        .appendEntries(append(entries: [])),
        .appendEntries(
            append(entries: [
                (4, 100, .noop, []), (4, 100, .command, [0]),
                (6, .max, .configuration, [UInt8](repeating: 7, count: 40)),
            ])
        ),
        .appendEntriesReply(
            AppendEntriesReply(
                result: .accepted(durable: LogIndex(5), matched: LogIndex(8)),
                readRound: 12,
                repair: 0xFEED_F00D_1234
            )
        ),
        .appendEntriesReply(
            AppendEntriesReply(
                result: .rejected(
                    at: LogIndex(77),
                    hint: EntryID(term: Term(2), index: LogIndex(50))
                ),
                readRound: 0
            )
        ),
        .timeoutNow,
    ]

    private static func append(
        entries: [(term: UInt64, time: UInt64, kind: Entry.Kind, payload: [UInt8])]
    ) -> AppendEntries {
        var index = LogIndex(41)
        return AppendEntries(
            previous: EntryID(term: Term(3), index: index),
            leaderCommit: LogIndex(40),
            leaderDurable: LogIndex(39),
            readRound: 1 << 50,
            entries: entries.map { entry in
                index = index.next
                return Entry(
                    id: EntryID(term: Term(entry.term), index: index),
                    time: Timestamp(milliseconds: entry.time),
                    kind: entry.kind,
                    payload: entry.payload
                )
            }
        )
    }
}

extension PeerFrame {
    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }
}

/// Draws frames of every kind.
struct FrameGenerator {
    var random: SeededGenerator
    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private mutating func number() -> UInt64 { random.next() >> UInt64(random.below(64)) }
    private mutating func flag() -> Bool { random.chance(percent: 50) }
    private mutating func node() -> NodeID { NodeID(UInt32(truncatingIfNeeded: number())) }
    private mutating func bytes(_ most: Int) -> [UInt8] {
        (0..<random.below(most + 1)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    private mutating func text() -> String {
        String((0..<random.below(20)).map { _ in "abcé☎".randomElement(using: &random) ?? "a" })
    }
    private mutating func entryID() -> EntryID {
        EntryID(term: Term(number()), index: LogIndex(number()))
    }
    private mutating func status() -> NodeStatus {
        let roles: [Role] = [.follower, .preCandidate, .candidate, .leader, .learner]
        return NodeStatus(
            role: roles[random.below(roles.count)],
            term: Term(number()),
            commitIndex: LogIndex(number()),
            appliedIndex: LogIndex(number()),
            room: DiskRoom.allCases[random.below(3)],
            isDiskStalled: flag(),
            promised: entryID(),
            condition: NodeCondition.allCases[random.below(NodeCondition.allCases.count)],
            mark: flag()
                ? DigestMark(
                    index: EntryIndex(number()),
                    digest: (0..<32).map { _ in UInt8(truncatingIfNeeded: number()) }
                ) : nil
        )
    }
    private mutating func forward() -> Forward {
        Forward(
            number: number(),
            incarnation: number(),
            requests: (0..<random.below(6)).map { _ in
                ForwardedRequest(
                    sequence: number(),
                    definition: flag() ? bytes(20) : nil,
                    command: bytes(40)
                )
            }
        )
    }

    private mutating func identity() -> PeerIdentity {
        PeerIdentity(
            directory: DirectoryID(high: number(), low: number()),
            starts: number(),
            term: Term(number()),
            lastEntry: entryID(),
            isFormed: flag(),
            isRepairing: flag(),
            members: (0..<random.below(4)).map { _ in
                MemberTag(
                    node: node(),
                    directory: DirectoryID(high: number(), low: number()),
                    admittedAt: LogIndex(number())
                )
            }
        )
    }

    mutating func next() -> PeerFrame {
        switch random.below(10) {
        case 0:
            .hello(
                Hello(
                    cluster: text(),
                    from: node(),
                    to: node(),
                    incarnation: number(),
                    identity: flag() ? identity() : nil
                )
            )
        case 1:
            .helloReply(
                flag()
                    ? .welcome(incarnation: number(), identity: flag() ? identity() : nil)
                    : .refused(text(), kind: .notMember)
            )
        case 2: .message(.forward(forward()))
        case 3:
            .message(
                flag() ? .forwardRefused(number: number()) : .readIndex(round: number())
            )
        case 4:
            .message(
                .readIndexReply(round: number(), index: flag() ? LogIndex(number()) : nil)
            )
        case 7: .message(.members(identity().members, isFormed: flag()))
        case 5: .message(.ping(sentAt: Instant(nanoseconds: number()), status()))
        case 8:
            .message(
                .roundTrips(
                    RoundTripReport(
                        (0..<random.below(4)).map { _ in
                            .init(
                                node: node(),
                                roundTrip: flag() ? UInt32(truncatingIfNeeded: number()) | 1 : nil,
                                silence: UInt32(truncatingIfNeeded: number())
                            )
                        }
                    )
                )
            )
        case 6:
            .message(
                .pong(
                    sentAt: Instant(nanoseconds: number()),
                    wall: WallTime(milliseconds: number()),
                    status()
                )
            )
        default:
            .message(
                .raft(Message(from: node(), to: node(), term: Term(number()), body: body()))
            )
        }
    }

    private mutating func body() -> Message.Body {
        switch random.below(8) {
        case 0: .preVote(VoteRequest(lastEntry: entryID(), isTransfer: flag()))
        case 1: .preVoteReply(VoteReply(granted: flag()))
        case 2: .requestVote(VoteRequest(lastEntry: entryID(), isTransfer: flag()))
        case 3: .requestVoteReply(VoteReply(granted: flag(), lastEntry: entryID()))
        case 4: .timeoutNow
        case 5:
            .appendEntriesReply(
                AppendEntriesReply(
                    result: flag()
                        ? .accepted(durable: LogIndex(number()), matched: LogIndex(number()))
                        : .rejected(at: LogIndex(number()), hint: entryID()),
                    readRound: number(),
                    repair: number()
                )
            )
        default: .appendEntries(append())
        }
    }

    private mutating func append() -> AppendEntries {
        let previous = EntryID(term: Term(number()), index: LogIndex(number() >> 1))
        var index = previous.index
        let kinds: [Entry.Kind] = [.noop, .command, .configuration]
        let entries = (0..<random.below(5)).map { _ in
            index = index.next
            return Entry(
                id: EntryID(term: Term(number()), index: index),
                time: Timestamp(milliseconds: number()),
                kind: kinds[random.below(3)],
                payload: bytes(50)
            )
        }
        return AppendEntries(
            previous: previous,
            leaderCommit: LogIndex(number()),
            leaderDurable: LogIndex(number()),
            readRound: number(),
            entries: entries
        )
    }
}
