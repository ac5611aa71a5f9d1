/// Whether a node takes part in what its cluster decides.
///
/// A node that has lost what it promised (its votes, or entries that it acknowledged) must not
/// promise anew as if nothing had happened: it could elect a leader that lacks committed entries.
/// docs/protocol.md has the argument for how it comes back.
package enum Participation: Hashable, Sendable {
    case full
    /// Takes entries in, but neither votes nor campaigns nor acknowledges, until its log is durable
    /// through a commit index which a leader announced after this node began to repair, which covers an entry of that
    /// leader's own term, and which is `through` or later.
    case repairing(through: LogIndex)
    /// The same, without an end of its own: `participate` has to end it.
    case barred
}

extension RaftNode {
    /// Changes whether this node takes part.
    ///
    /// Stopping to take part is immediate: a leader leaves office.
    package mutating func participate(
        _ new: Participation,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard new != participation else { return }
        participation = new
        repairTarget = nil
        if new == .full {
            becomeVoter(at: now)
        } else if role != .learner {
            becomeFollower(term: currentTerm, leader: leader, at: now, into: &actions)
            if leader == id { leader = nil }
        }
        finish(at: now, into: &actions)
    }

    /// The log may be short and this node full of promises, but it is not to lead: it starts no
    /// campaign, and as a leader it should be asked to hand over.
    package mutating func avoidOffice(_ isReluctant: Bool, at now: Instant) {
        guard isReluctant != self.isReluctant else { return }
        self.isReluctant = isReluctant
        if !isReluctant, role != .leader { resetElectionDeadline(at: now) }
    }

    /// A member's former promises are void: another directory stands for it now.
    package mutating func memberReplaced(
        _ member: NodeID,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, let peer = peerIDs.firstIndex(of: member) else { return }
        peers[peer].forget()
        // Nothing but heartbeats until its link is up.
        peers[peer].probeSent = true
        finish(at: now, into: &actions)
    }

    private mutating func becomeVoter(at now: Instant) {
        guard isVoter, role == .learner else { return }
        role = .follower
        leaderHeard = now
        resetElectionDeadline(at: now)
    }

    /// Notes how far a leader says that the log is committed, if that ends the repair.
    mutating func noteRepairTarget(_ leaderCommit: LogIndex, into actions: inout [Action]) {
        guard case .repairing(let through) = participation, repairTarget == nil,
            leaderCommit >= through, leaderCommit <= matched,
            log.term(at: leaderCommit) == currentTerm
        else { return }
        repairTarget = leaderCommit
        endRepairIfDurable(into: &actions)
    }

    /// Takes full part again once the log is on the disk through the target.
    ///
    /// Any vote that was given in this term and lost was not for another leader than the present
    /// one, or it was in vain: so this node's vote in this term is for that leader.
    mutating func endRepairIfDurable(into actions: inout [Action]) {
        guard let target = repairTarget, durableIndex >= target, let leader else { return }
        repairTarget = nil
        participation = .full
        guard isVoter else { return }
        role = .follower
        if votedFor != leader {
            votedFor = leader
            writes.changeHardState()
        }
        actions.append(.repaired(through: target))
    }
}
