/// Whether a node takes part in what its cluster decides.
///
/// A node that has lost what it promised (its votes, or entries that it acknowledged) must not
/// promise anew as if nothing had happened: it could elect a leader that lacks committed entries.
/// docs/protocol.md has the argument for how it comes back.
package enum Participation: Hashable, Sendable {
    case full
    /// Takes entries in, but neither votes nor campaigns nor acknowledges, until its log is durable
    /// through an index which its leader announced since it knows of the repair (its commit index, or what is
    /// on its disk where commits may be inferred from that), which covers an entry of that leader's own term,
    /// and which is `through` or later.
    case repairing(through: LogIndex)
    /// The same, without an end of its own: `participate` has to end it.
    case barred

    var isRepair: Bool {
        if case .repairing = self { true } else { false }
    }
}

/// The repair of this node's log: which one it is, and how far the log has to reach for its end.
struct Repair {
    /// Drawn when the process started, never 0; tells this repair from earlier ones.
    var number: UInt64 = 0
    /// How far the leader of the current term told, after it knew of this repair, that anything may be committed.
    var target: LogIndex?
    /// It does not end before this.
    var through = LogIndex.zero
}

extension RaftNode {
    /// The role of a member that neither leads nor wants to.
    var restingRole: Role { isSilent ? .repairing : isVoter ? .follower : .learner }

    /// Counts for nothing at present.
    @inline(__always)
    var isSilent: Bool { isRepairing || isBarred }

    /// May stand for election.
    @inline(__always)
    package var mayCampaign: Bool { isVoter && !isSilent && (!isReluctant || isLastResort) }

    @inline(__always)
    package var participation: Participation {
        isBarred ? .barred : isRepairing ? .repairing(through: repair.through) : .full
    }

    /// Changes whether this node takes part.
    ///
    /// Stopping to take part is immediate: a leader leaves office. Full part after being barred is for
    /// a node that has lost nothing, unless a repair of its log is under way: that ends by itself.
    package mutating func participate(
        _ new: Participation,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard new != participation else { return }
        switch new {
        case .full: isBarred = false
        case .repairing(let through):
            isBarred = false
            repair.through = through
            repair.target = nil
            if !isRepairing {
                isRepairing = true
                writes.changeHardState()
            }
        case .barred: isBarred = true
        }
        if isSilent, repair.number == 0 { repair.number = random.next() | 1 }
        if role != restingRole, role == .repairing || isSilent {
            let isOwn = leader == id
            becomeFollower(
                term: currentTerm,
                leader: isOwn ? nil : leader,
                at: now,
                into: &actions
            )
            resetElectionDeadline(at: now)
        }
        finish(at: now, into: &actions)
    }

    /// This node is not to lead, though its log and its promises are sound: it starts no campaign.
    ///
    /// Unless nobody has led for long and another one asks that could not win against its log. Without that a log
    /// that only this node has whole would keep the cluster from electing anybody.
    ///
    /// As a leader it should be asked to hand over.
    package mutating func avoidOffice(_ isReluctant: Bool, at now: Instant) {
        guard isReluctant != self.isReluctant else { return }
        self.isReluctant = isReluctant
        isLastResort = false
        if !isReluctant, role != .leader { resetElectionDeadline(at: now) }
    }

    /// A member's former promises are void: another directory stands for it now.
    package mutating func memberReplaced(
        _ member: NodeID,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, let peer = peerIDs.firstIndex(of: member) else { return }
        let last = peers[peer].lastReply
        peers[peer].reset(next: min(peers[peer].nextIndex, lastIndex.next), at: last)
        // Nor does a reply of the former directory count that is still under way.
        peers[peer].repair = .max
        peers[peer].repairRound = readRound
        // Nothing but heartbeats until its link is up.
        peers[peer].probeSent = true
        finish(at: now, into: &actions)
    }

    // MARK: The damaged member

    /// Notes how far anything may be committed with what this node had before its disk was damaged, once the leader is
    /// known to count nothing that this node said then.
    ///
    /// What the leader does not count, this node may have: of an entry on both disks it inferred the commit, and may have
    /// answered for it. Such an entry was on the leader's disk by then.
    ///
    /// The first such index is kept, so that it does not run ahead of the log, unless it turned out
    /// to end in an entry of an earlier term.
    mutating func noteCommitted(_ append: AppendEntries) {
        guard append.repair == repair.number else { return }
        if let target = repair.target, target >= repair.through,
            target > matched || log.term(at: target) == currentTerm
        {
            return
        }
        repair.target =
            append.allowsInference
            ? max(append.leaderCommit, append.leaderDurable) : append.leaderCommit
    }

    /// Makes this node a full member again once its log is durable through the noted index, and
    /// that has an entry of the leader's own term.
    ///
    /// Such a leader was elected without this node's vote, or with one given before the damage, so
    /// it has all that this node may have helped to commit in earlier terms; and what was
    /// committed in its own term by what this node had, lies at or before the index.
    mutating func endRepairIfWhole(at now: Instant, into actions: inout [Action]) {
        guard !isBarred, let target = repair.target, let leader,
            target <= min(matched, durableIndex), target >= repair.through,
            log.term(at: target) == currentTerm
        else { return }
        actions.append(.repaired(through: target))
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
