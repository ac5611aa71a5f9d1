/// Whether a node takes part in what its cluster decides.
///
/// A node that has lost what it promised (its votes, or entries that it acknowledged) must not
/// promise anew as if nothing had happened: it could elect a leader that lacks committed entries.
/// docs/protocol.md has the argument for how it comes back.
package enum Participation: Hashable, Sendable {
    case full
    /// Takes entries in, but neither votes nor campaigns nor acknowledges.
    ///
    /// Until its log is durable through a commit index which a leader announced after it knew of this
    /// repair, which covers an entry of that leader's own term, and which is `through` or later.
    case repairing(through: LogIndex)
    /// The same, without an end of its own: `participate` has to end it.
    case barred
}

/// Which repair this node is in, and how far its log has to reach for its end.
struct Repair {
    /// Drawn when the repair began, never 0; tells it from earlier ones.
    var number: UInt64 = 0
    /// A commit index that the leader of the current term told after it knew of this repair.
    var target: LogIndex?
}

extension RaftNode {
    /// Whether this node votes, campaigns and acknowledges.
    package var participation: Participation {
        admission == .full && isLogDamaged ? .repairing(through: .zero) : admission
    }

    /// The log may lack what this node acknowledged, and is being repaired.
    package var isRepairing: Bool { isLogDamaged }
    /// This node's vote and disk count.
    var isVoter: Bool { configuration.membership.isVoter(id) && participation == .full }
    var mayCampaign: Bool { isVoter && !isReluctant }

    /// The role of a member that neither leads nor wants to.
    var restingRole: Role {
        participation != .full ? .repairing : isVoter ? .follower : .learner
    }

    /// Changes whether this node takes part, as far as that is not for the log to say.
    ///
    /// Stopping to take part is immediate: a leader leaves office.
    package mutating func participate(
        _ new: Participation,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard new != admission else { return }
        let before = participation
        admission = new
        repair.target = nil
        if participation == .full {
            role = restingRole
            leaderHeard = now
            resetElectionDeadline(at: now)
        } else if before == .full {
            repair.number = random.next() | 1
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

    // MARK: The member that repairs

    /// Notes how far the leader has committed, once it is known to count nothing that this node said
    /// before it lost part of it.
    ///
    /// The first such index is kept, so that it does not run ahead of the log, unless it turned out
    /// to end in an entry of an earlier term.
    mutating func noteRepairTarget(_ append: AppendEntries) {
        guard case .repairing(let through) = participation, append.repair == repair.number,
            append.leaderCommit >= through
        else { return }
        if let target = repair.target, target > matched || log.term(at: target) == currentTerm {
            return
        }
        repair.target = append.leaderCommit
    }

    /// Makes this node a full member again once its log is durable through the noted index, and
    /// that has an entry of the leader's own term.
    ///
    /// Such a leader was elected without this node's vote, or with one given before the loss, so it
    /// has all that this node may have helped to commit in earlier terms; and what it committed in
    /// its own term by this node's old acknowledgements lies at or before the index.
    mutating func endRepairIfWhole(at now: Instant, into actions: inout [Action]) {
        guard case .repairing = participation, let target = repair.target, let leader,
            target <= min(matched, durableIndex), log.term(at: target) == currentTerm
        else { return }
        isLogDamaged = false
        admission = .full
        repair = Repair()
        role = restingRole
        // Whoever else asks for a vote in this term comes too late.
        votedFor = votedFor ?? leader
        writes.changeHardState()
        resetElectionDeadline(at: now)
        actions.append(.repaired(through: target))
    }

    // MARK: Its leader

    /// Takes note of whether a member is in repair.
    ///
    /// - Returns: false if the reply may have been sent before the member lost part of its log: what
    ///   it acknowledges may be lost.
    mutating func isOfPresentLog(_ reply: AppendEntriesReply, of peer: Int) -> Bool {
        if reply.repair != 0 {
            if reply.repair != peers[peer].repair { forget(peer, repair: reply.repair) }
        } else if peers[peer].repair != 0 {
            guard reply.readRound > peers[peer].repairRound else { return false }
            peers[peer].repair = 0
        }
        return true
    }

    /// A member's former promises are void: another directory stands for it now.
    package mutating func memberReplaced(
        _ member: NodeID,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, let peer = peerIDs.firstIndex(of: member) else { return }
        // Its own number comes with its first reply.
        forget(peer, repair: .max)
        // Nothing but heartbeats until its link is up.
        peers[peer].probeSent = true
        finish(at: now, into: &actions)
    }

    /// What the member acknowledged is void; where its log ends is to be found out anew.
    private mutating func forget(_ peer: Int, repair: UInt64) {
        let next = min(peers[peer].nextIndex, lastIndex.next)
        peers[peer].reset(next: next, at: peers[peer].lastReply)
        peers[peer].repair = repair
        peers[peer].repairRound = readRound
    }
}
