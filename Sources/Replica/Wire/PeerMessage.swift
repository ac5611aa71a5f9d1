package import Raft
package import Verification

/// What nodes say to each other once a link is up.
package enum PeerMessage: Hashable, Sendable {
    case raft(Message)
    /// Requests for the leader to propose; the sender finds their results in the log.
    case forward(Forward)
    /// The receiver of the forward of this number could not propose it now; the sender asks again.
    case forwardRefused(number: UInt64)
    /// Asks the leader for a read index (dissertation §6.4); `round` is the sender's.
    case readIndex(round: UInt64)
    /// `index` is `nil` if the receiver could not serve it.
    case readIndexReply(round: UInt64, index: LogIndex?)
    /// Measures the round trip and carries what the sender says of itself.
    case ping(sentAt: Instant, NodeStatus)
    /// `wall` is the clock of who answers.
    case pong(sentAt: Instant, wall: WallTime, NodeStatus)
    /// Which directory stands for which member, by what the sender's disk has.
    case members([MemberTag], isFormed: Bool)
    /// The sender's ways to all nodes.
    case roundTrips(RoundTripReport)
    /// What one node fetches from another.
    case pull(PullMessage)
}

/// Requests that a node asks the leader to propose.
package struct Forward: Hashable, Sendable {
    /// Counts the sender's forwards, so that a refusal can name one.
    package var number: UInt64
    /// That of the sender's process: with it and the sender a sequence names a request for ever.
    package var incarnation: UInt64
    package var requests: [ForwardedRequest]
    package init(number: UInt64, incarnation: UInt64, requests: [ForwardedRequest]) {
        self.number = number
        self.incarnation = incarnation
        self.requests = requests
    }
}

package struct ForwardedRequest: Hashable, Sendable {
    /// The same each time the request is forwarded.
    package var sequence: UInt64
    /// The definition an open needs, to be proposed right before it.
    package var definition: [UInt8]?
    package var command: [UInt8]
    package init(sequence: UInt64, definition: [UInt8]? = nil, command: [UInt8]) {
        self.sequence = sequence
        self.definition = definition
        self.command = command
    }
}

/// What a node says of itself.
///
/// For operators, and for who decides where leadership and new work are best off; nothing that must
/// be right rests on it.
package struct NodeStatus: Hashable, Sendable {
    package var role: Role
    package var term: Term
    package var commitIndex: LogIndex
    package var appliedIndex: LogIndex
    package var room: DiskRoom
    package var isDiskStalled: Bool
    /// The newest entry that it keeps for as long as its term lasts; zero if it cannot say.
    package var promised: EntryID
    package var condition: NodeCondition
    /// The newest digest of its state that it keeps.
    package var mark: DigestMark?
    package init(
        role: Role,
        term: Term,
        commitIndex: LogIndex,
        appliedIndex: LogIndex,
        room: DiskRoom = .enough,
        isDiskStalled: Bool = false,
        promised: EntryID = .zero,
        condition: NodeCondition = .healthy,
        mark: DigestMark? = nil
    ) {
        self.role = role
        self.term = term
        self.commitIndex = commitIndex
        self.appliedIndex = appliedIndex
        self.room = room
        self.isDiskStalled = isDiskStalled
        self.promised = promised
        self.condition = condition
        self.mark = mark
    }
}

/// Whether a node does all that it is there for; the raw value is the byte on the wire.
package enum NodeCondition: UInt8, Hashable, Sendable, CaseIterable {
    case healthy = 0
    /// Its cluster was never formed: not all members have met yet.
    case forming = 1
    /// The cluster does not count on its directory.
    case excluded = 2
    /// It has lost what it promised, and catches up before it counts again.
    case repairing = 3
    /// Its state differs from the others': it does not serve.
    case quarantined = 4
    /// It builds its state anew from the log.
    case rebuilding = 5
    /// A place of its state is damaged that only others have whole: it serves all but that.
    case damaged = 6

    /// It answers, and can say what its state comes to.
    package var serves: Bool { self == .healthy || self == .damaged }

    /// The name used in bodies.
    package var name: String {
        switch self {
        case .healthy: "healthy"
        case .forming: "forming"
        case .excluded: "excluded"
        case .repairing: "repairing"
        case .quarantined: "quarantined"
        case .rebuilding: "rebuilding"
        case .damaged: "damaged"
        }
    }
}

/// The first frame on a link, from the side that connected.
package struct Hello: Hashable, Sendable {
    package var cluster: String
    package var from: NodeID
    package var to: NodeID
    /// Drawn anew each time a process starts.
    package var incarnation: UInt64
    /// Its data directory; `nil` only where nobody asks (in tests).
    package var identity: PeerIdentity?
    package init(
        cluster: String,
        from: NodeID,
        to: NodeID,
        incarnation: UInt64,
        identity: PeerIdentity? = nil
    ) {
        self.cluster = cluster
        self.from = from
        self.to = to
        self.incarnation = incarnation
        self.identity = identity
    }
}

/// The answer to `Hello`.
package enum HelloReply: Hashable, Sendable {
    case welcome(incarnation: UInt64, identity: PeerIdentity?)
    /// The reason in words, for the other side's log; the link is closed.
    case refused(String, kind: RefusalKind)
}
