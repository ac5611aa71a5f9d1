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
    package init(
        role: Role,
        term: Term,
        commitIndex: LogIndex,
        appliedIndex: LogIndex,
        room: DiskRoom = .enough,
        isDiskStalled: Bool = false
    ) {
        self.role = role
        self.term = term
        self.commitIndex = commitIndex
        self.appliedIndex = appliedIndex
        self.room = room
        self.isDiskStalled = isDiskStalled
    }
}

/// The first frame on a link, from the side that connected.
package struct Hello: Hashable, Sendable {
    package var cluster: String
    package var from: NodeID
    package var to: NodeID
    /// Drawn anew each time a process starts.
    package var incarnation: UInt64
    package init(cluster: String, from: NodeID, to: NodeID, incarnation: UInt64) {
        self.cluster = cluster
        self.from = from
        self.to = to
        self.incarnation = incarnation
    }
}

/// The answer to `Hello`.
package enum HelloReply: Hashable, Sendable {
    case welcome(incarnation: UInt64)
    /// The reason in words, for the other side's log; the link is closed.
    case refused(String)
}
