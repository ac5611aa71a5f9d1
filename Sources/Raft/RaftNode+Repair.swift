/// The repair of this node's log: which one it is, and how far the log has to reach for its end.
struct Repair {
    /// Drawn when the process started, never 0; tells this repair from earlier ones.
    var number: UInt64 = 0
    /// A commit index that the leader of the current term told after it knew of this repair.
    var target: LogIndex?
}

extension RaftNode {
    /// The role of a member that neither leads nor wants to.
    var restingRole: Role { isRepairing ? .repairing : isVoter ? .follower : .learner }

    /// May stand for election.
    var mayCampaign: Bool { isVoter && !isRepairing }

    // MARK: The damaged member

    /// Notes how far the leader has committed, once it is known to count nothing that this node said
    /// before its disk was damaged.
    ///
    /// The first such index is kept, so that it does not run ahead of the log, unless it turned out
    /// to end in an entry of an earlier term.
    mutating func noteCommitted(_ append: AppendEntries) {
        guard append.repair == repair.number else { return }
        if let target = repair.target, target > matched || log.term(at: target) == currentTerm {
            return
        }
        repair.target = append.leaderCommit
    }

    /// Makes this node a full member again once its log is durable through the noted index, and
    /// that has an entry of the leader's own term.
    ///
    /// Such a leader was elected without this node's vote, or with one given before the damage, so
    /// it has all that this node may have helped to commit in earlier terms; and what it
    /// committed in its own term by this node's old acknowledgements lies at or before the index.
    mutating func endRepairIfWhole(at now: Instant) {
        guard let target = repair.target, let leader, target <= min(matched, durableIndex),
            log.term(at: target) == currentTerm
        else { return }
        isRepairing = false
        repair = Repair()
        role = restingRole
        // Whoever else asks for a vote in this term comes too late.
        votedFor = votedFor ?? leader
        writes.changeHardState()
        resetElectionDeadline(at: now)
    }

    // MARK: Its leader

    /// Takes note of whether a member is in repair.
    ///
    /// - Returns: false if the reply may have been sent before the member's disk was damaged: what it
    ///   acknowledges may be lost.
    mutating func isOfPresentLog(_ reply: AppendEntriesReply, of peer: Int) -> Bool {
        if reply.repair != 0 {
            guard reply.repair != peers[peer].repair else { return true }
            // What it acknowledged is void; where its log ends is to be found out anew.
            peers[peer].reset(
                next: min(peers[peer].nextIndex, lastIndex.next),
                at: peers[peer].lastReply
            )
            peers[peer].repair = reply.repair
            peers[peer].repairRound = readRound
        } else if peers[peer].repair != 0 {
            guard reply.readRound > peers[peer].repairRound else { return false }
            peers[peer].repair = 0
        }
        return true
    }
}
