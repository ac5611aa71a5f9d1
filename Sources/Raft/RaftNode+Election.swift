extension RaftNode {
    /// Draws the next election time-out: the minimum, this node's turn, and some chance (§3.4).
    mutating func resetElectionDeadline(at now: Instant) {
        electionDeadline = now.advanced(
            nanoseconds: electionNanoseconds + timing.turn + random.below(timing.spread)
        )
    }

    /// This node leads, or heard from a leader within the minimum election time-out: an election
    /// now could only disturb (§4.2.3, §6.4.1).
    func hasLiveLeader(at now: Instant) -> Bool {
        if role == .leader { return true }
        return leader != nil && now.nanoseconds(since: leaderHeard) < electionNanoseconds
    }

    /// The leader's process is gone: no lease protects it, and an election may start soon.
    mutating func loseLeader(at now: Instant) {
        leader = nil
        guard mayCampaign else { return }
        let jitter = random.below(configuration.lostLeaderJitter.wholeNanoseconds)
        electionDeadline = min(
            electionDeadline,
            now.advanced(nanoseconds: timing.turn + jitter)
        )
    }

    /// Leaves any other role; takes over a newer term, in which no vote is given yet.
    mutating func becomeFollower(
        term: Term,
        leader newLeader: NodeID?,
        at now: Instant,
        into actions: inout [Action]
    ) {
        if term > currentTerm { adopt(term) }
        if role == .leader { leaveOffice(at: now, into: &actions) }
        role = restingRole
        leader = newLeader
        if newLeader != nil { endTransfer(succeeded: true, into: &actions) }
    }

    /// Takes over a newer term.
    private mutating func adopt(_ term: Term) {
        invariant(term > currentTerm, "term would go from \(currentTerm) to \(term)")
        currentTerm = term
        votedFor = nil
        writes.changeHardState()
        // What was to be said in an older term helps nobody now.
        held.removeAll(keepingCapacity: true)
        // What is committed is in every later leader's log (Leader Completeness, §3.6.3).
        matched = commitIndex
        // Another leader's disk says nothing of this one's.
        leaderDurable = .zero
        leaderRound = 0
        echoedRound = 0
        repair.target = nil
        owesAcknowledgement = false
    }

    private mutating func leaveOffice(at now: Instant, into actions: inout [Action]) {
        refuseReads(into: &actions)
        uncommittedBytes = 0
        isLastResort = false
        // Somebody has led until now.
        leaderHeard = now
        resetElectionDeadline(at: now)
    }

    /// Asks whether an election could be won, without touching any term (§9.6).
    mutating func startPreVote(at now: Instant, into actions: inout [Action]) {
        becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
        role = .preCandidate
        granted = [id]
        refused = []
        resetElectionDeadline(at: now)
        guard configuration.membership.quorum > 1 else {
            campaign(isTransfer: false, at: now, into: &actions)
            return
        }
        let request = VoteRequest(lastEntry: log.lastID, isTransfer: false)
        for peer in peers where peer.isVoter {
            send(.preVote(request), to: peer.node, term: currentTerm.next, into: &actions)
        }
    }

    /// Starts an election in a new term (§3.4).
    ///
    /// The requests are held back until term and own vote are on disk. Were they not, a node that
    /// forgot its candidacy in a crash, and the end of its log with it, could campaign in the same
    /// term again and count votes that were given to the longer log.
    mutating func campaign(isTransfer: Bool, at now: Instant, into actions: inout [Action]) {
        becomeFollower(term: currentTerm.next, leader: nil, at: now, into: &actions)
        role = .candidate
        votedFor = id
        willing = isTransfer ? [] : granted.filter { $0 != id }
        granted = []
        voterLogs = []
        refused = []
        resetElectionDeadline(at: now)
        let request = VoteRequest(lastEntry: log.lastID, isTransfer: isTransfer)
        for peer in peers where peer.isVoter {
            send(.requestVote(request), to: peer.node, into: &actions)
        }
    }

    mutating func receivedPreVote(
        _ request: VoteRequest,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard peers[peer].isVoter, isVoter else {
            droppedMessages += 1
            return
        }
        let grant =
            term > currentTerm && request.lastEntry >= log.lastID && !hasLiveLeader(at: now)
            && !isDiskStuck && !isSilent
        if !grant, term > currentTerm { takeTurn(instead: request, at: now) }
        send(
            .preVoteReply(VoteReply(granted: grant)),
            to: peerIDs[peer],
            term: grant ? term : currentTerm,
            into: &actions
        )
    }

    mutating func receivedPreVoteReply(
        _ reply: VoteReply,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .preCandidate, peers[peer].isVoter else { return }
        let voter = peerIDs[peer]
        if reply.granted {
            guard term == currentTerm.next, !granted.contains(voter) else { return }
            granted.append(voter)
            if granted.count >= configuration.membership.quorum, !isDiskStuck {
                campaign(isTransfer: false, at: now, into: &actions)
            }
        } else if term > currentTerm {
            becomeFollower(term: term, leader: nil, at: now, into: &actions)
        } else if countRefusal(by: voter) {
            // Someone still hears from a leader, or has a longer log. The time-out drawn for this
            // attempt goes on.
            becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
        }
    }

    mutating func receivedRequestVote(
        _ request: VoteRequest,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard peers[peer].isVoter, isVoter else {
            droppedMessages += 1
            return
        }
        let candidate = peerIDs[peer]
        if term > currentTerm {
            // Not even the term is taken over while a leader lives.
            guard request.isTransfer || !hasLiveLeader(at: now) else { return }
            becomeFollower(term: term, leader: nil, at: now, into: &actions)
        }
        let grant =
            term == currentTerm && (role == .follower || role == .preCandidate) && leader == nil
            && (votedFor == nil || votedFor == candidate) && request.lastEntry >= log.lastID
        if grant {
            role = .follower
            if votedFor == nil {
                votedFor = candidate
                writes.changeHardState()
            }
            resetElectionDeadline(at: now)
        }
        send(
            .requestVoteReply(VoteReply(granted: grant, lastEntry: grant ? log.lastID : .zero)),
            to: candidate,
            into: &actions
        )
    }

    mutating func receivedVoteReply(
        _ reply: VoteReply,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .candidate, peers[peer].isVoter, term >= currentTerm else { return }
        if term > currentTerm {
            guard !reply.granted else {
                droppedMessages += 1
                return
            }
            becomeFollower(term: term, leader: nil, at: now, into: &actions)
            return
        }
        willing.removeAll { $0 == peerIDs[peer] }
        if reply.granted {
            voterLogs.append((peerIDs[peer], reply.lastEntry))
            grantedVote(by: peerIDs[peer], at: now, into: &actions)
        } else {
            if countRefusal(by: peerIDs[peer]) {
                becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
            }
            // Most likely the votes are split, and with another node down no quorum of refusals
            // will ever say so: no need to sit out a whole time-out. The next attempt asks for
            // pre-votes first, so it disturbs nobody. But whoever granted its pre-vote and is a long
            // way off is waited for: it may be just the vote that is missing, where a member close by
            // that catches up refuses each one.
            guard willing.isEmpty else { return }
            electionDeadline = min(
                electionDeadline,
                now.advanced(nanoseconds: timing.turn + random.below(electionNanoseconds / 4))
            )
        }
    }

    mutating func grantedVote(by voter: NodeID, at now: Instant, into actions: inout [Action]) {
        guard !granted.contains(voter) else { return }
        granted.append(voter)
        if granted.count >= configuration.membership.quorum {
            becomeLeader(at: now, into: &actions)
        }
    }

    /// Notes a refusal.
    ///
    /// - Returns: whether no quorum can grant any more.
    private mutating func countRefusal(by voter: NodeID) -> Bool {
        if !refused.contains(voter) { refused.append(voter) }
        let members = configuration.membership
        return members.voters.count - refused.count < members.quorum
    }
}
