/// The pace of elections and heartbeats; whoever drives a node may follow measured round trips with it.
///
/// Nothing that must be right rests on these: reads ask a quorum in each round, and a lease only keeps
/// votes from being given. Members may have different ones.
package struct ElectionTiming: Hashable, Sendable {
    /// The least silence of a leader that starts an election, in nanoseconds.
    package var electionTimeout: UInt64
    /// Between two heartbeats of a leader, in nanoseconds.
    package var heartbeat: UInt64
    /// Added to that silence, and to the wait after the leader's connection broke: members whose turn
    /// comes before this one's then have the time to win, and votes are not split.
    package var turn: UInt64
    /// Bound of what is added at random.
    package var spread: UInt64
    /// A transfer of leadership that takes longer is given up.
    ///
    /// The successor may be a long way off, and so may its voters.
    package var transfer: UInt64
    /// Whose turn comes first when this node, as leader, hears from nobody any more.
    package var heir: NodeID?

    package init(
        electionTimeout: UInt64,
        heartbeat: UInt64,
        turn: UInt64,
        spread: UInt64,
        transfer: UInt64,
        heir: NodeID?
    ) {
        self.electionTimeout = electionTimeout
        self.heartbeat = heartbeat
        self.turn = turn
        self.spread = spread
        self.transfer = transfer
        self.heir = heir
    }

    /// Without turns: a time-out is drawn from one to two times the least (dissertation §3.4).
    init(electionTimeout: UInt64, heartbeat: UInt64) {
        self.init(
            electionTimeout: electionTimeout,
            heartbeat: heartbeat,
            turn: 0,
            spread: electionTimeout,
            transfer: electionTimeout,
            heir: nil
        )
    }
}

extension RaftNode {
    var electionNanoseconds: UInt64 { timing.electionTimeout }
    var heartbeatNanoseconds: UInt64 { timing.heartbeat }

    /// Changes the pace from here on; a time-out that is drawn already stays.
    package mutating func setTiming(_ new: ElectionTiming, at now: Instant) {
        invariant(new.electionTimeout > 0, "no election time-out")
        invariant(new.heartbeat > 0, "no heartbeat interval")
        timing = new
        heartbeatDeadline = min(heartbeatDeadline, now.advanced(nanoseconds: new.heartbeat))
    }

    /// A member asks whether it could win, nobody leads, and this node's log is longer: it could win
    /// itself, and the other one cannot, so it does not sit out its time.
    mutating func takeTurn(instead request: VoteRequest, at now: Instant) {
        // Who was to avoid office in the middle of a campaign is not a follower again since; one that is under
        // way as the last resort goes on.
        guard role == .follower || isReluctant && !isLastResort && role != .leader,
            isVoter, !isSilent, log.lastID > request.lastEntry, !hasLiveLeader(at: now)
        else { return }
        if isReluctant {
            guard now.nanoseconds(since: leaderHeard) >= 10 * electionNanoseconds else { return }
            isLastResort = true
        }
        // Others may have heard the same question: who all stand at once split the votes, and whoever asked asks again in
        // the same beat.
        electionDeadline = min(
            electionDeadline,
            now.advanced(nanoseconds: random.below(electionNanoseconds / 4))
        )
    }

    /// Nobody has answered this leader for an election time-out, but they may hear it: one of them is
    /// asked to take over, which costs the others no time-out of their own.
    ///
    /// That is the one whose turn is first, if it is known, or else the one with the longest log.
    mutating func bequeath(into actions: inout [Action]) {
        var best: Int?
        for peer in peers.indices where peers[peer].counts && !peers[peer].isFull {
            if peers[peer].node == timing.heir {
                best = peer
                break
            }
            if let best, peers[peer].matchIndex <= peers[best].matchIndex { continue }
            best = peer
        }
        if let best { send(.timeoutNow, to: peerIDs[best], into: &actions) }
    }
}
