extension RaftNode {
    /// Whether followers may infer commits while this node leads.
    var allowsInference: Bool { configuration.commitInference && isPairQuorum }

    /// A follower and its leader are a quorum, and there is somebody else to be spared.
    private var isPairQuorum: Bool { configuration.membership.voters.count == 3 }

    /// Moves a follower's commit index to the newest entry of its term that is on its own disk and
    /// on its leader's (docs/commit-inference.md has the proof).
    ///
    /// Two of three voters hold that entry, in its own term: every later leader has it, which is all
    /// that the leader's own counting goes by (§3.6.2). The leader need not be the one who counts,
    /// and a round trip is saved. Never for an entry of an earlier term.
    mutating func inferCommit() {
        let onLeadersDisk = leaderDurable
        guard onLeadersDisk > commitIndex, role == .follower, isPairQuorum else { return }
        let onOwnDisk = durableIndex
        // An entry of this term is this leader's, wherever it lies (Log Matching).
        let through = min(onOwnDisk, onLeadersDisk)
        guard through > commitIndex, log.term(at: through) == currentTerm else { return }
        commit(through: through)
        inferredCommits += 1
    }
}
