/// What the core asks of its surroundings.
///
/// The actions of one step may be carried out in any order: none depends on a write that has not
/// finished, since such ones are held back in the core until `RaftNode.persisted(_:)`.
package enum Action: Hashable, Sendable {
    case send(Message)
    /// Make this durable, whole, after all earlier writes; then call `persisted`.
    case persist(LogWrite)
    /// Entries through this index are committed; they can be had from `RaftNode.entries(from:…)`.
    case committed(LogIndex)
    /// Role, term or known leader changed.
    case roleChanged(RoleChange)
    /// The read with this number is linearizable once the state machine has applied `index`.
    case readReady(read: UInt64, index: LogIndex)
    /// The read cannot be served here: not the leader, or it lost its office.
    case readRefused(read: UInt64)
    /// A follower lags behind what is kept in memory: read entries from the journal, starting
    /// with `from`, at most `maxBytes` of cost (but at least one), and call `entriesRead`.
    case readEntries(for: NodeID, from: LogIndex, maxBytes: Int)
    /// This node takes full part again: its log is durable through an index that makes up for all
    /// that it may have promised and lost.
    case repaired(through: LogIndex)
    /// A leadership transfer ended; `succeeded` is whether another leader was seen.
    case transferEnded(to: NodeID, succeeded: Bool)
}

package struct RoleChange: Hashable, Sendable {
    package var role: Role
    package var term: Term
    package var leader: NodeID?
    package init(role: Role, term: Term, leader: NodeID?) {
        self.role = role
        self.term = term
        self.leader = leader
    }
}

package enum Role: String, Hashable, Sendable {
    case follower
    case preCandidate = "pre_candidate"
    case candidate
    case leader
    case learner
    /// A member whose disk lost part of its log: it receives entries and counts for nothing.
    case repairing
}

/// Why a proposal was not taken.
package enum ProposalRefusal: Hashable, Sendable {
    case notLeader(known: NodeID?)
    /// Leadership is being handed over.
    case transferring(to: NodeID)
    /// Too many bytes are waiting to be committed.
    case overloaded
    /// The own disk has no room for them.
    case noRoom
}
