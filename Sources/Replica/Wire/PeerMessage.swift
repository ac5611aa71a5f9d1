package import Raft

/// What nodes say to each other once a link is up.
package enum PeerMessage: Hashable, Sendable {
    case raft(Message)
    /// Commands for the leader to propose; the sender finds their results in the log.
    case forward([[UInt8]])
    /// The receiver of a forward could not propose it now; the sender asks again.
    case forwardRefused
    /// Asks the leader for a read index (dissertation §6.4); `round` is the sender's.
    case readIndex(round: UInt64)
    /// `index` is `nil` if the receiver could not serve it.
    case readIndexReply(round: UInt64, index: LogIndex?)
    /// Measures the round trip and carries what the sender says of itself.
    case ping(sentAt: Instant, NodeStatus)
    case pong(sentAt: Instant, NodeStatus)
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
