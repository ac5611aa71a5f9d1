extension RaftNode {
    /// Takes office: everyone is probed from the end of the own log, and an entry of the new term
    /// is appended at once, since only such a one may be counted (§3.6.2, §6.4).
    mutating func becomeLeader(at now: Instant, into actions: inout [Action]) {
        invariant(role == .candidate, "\(role) would become leader")
        invariant(writes.isHardStateDurable, "leader of a term that is not on disk")
        role = .leader
        leader = id
        endTransfer(succeeded: false, into: &actions)
        officeSince = now
        heartbeatDeadline = now.advanced(nanoseconds: heartbeatNanoseconds)
        let next = lastIndex.next
        for peer in peers.indices {
            peers[peer].reset(next: next, at: now)
            // Who gave its vote has said where its log ends. If that is in the own log, the two agree up
            // to there (Log Matching, §3.5), and what waits for a leader need not wait for a probe's
            // round trip. If the member has lost it since, its rejection starts a probe.
            let last = voterLogs.first { $0.voter == peerIDs[peer] }?.last ?? .zero
            if last.index > .zero, last.index < next, log.term(at: last.index) == last.term {
                peers[peer].becomeReplicate(next: last.index.next)
            }
        }
        uncommittedBytes = 0
        var index = commitIndex
        while index < lastIndex {
            index = index.next
            uncommittedBytes += log.cost(at: index)
        }
        clock = LogClock(after: log.lastTime, at: now)
        // No wall clock takes part: the entry is as old as the one before it.
        appendAsLeader(kind: .noop, payload: [], time: log.lastTime)
    }

    /// Takes payloads into the log, all or none.
    ///
    /// The entries get the time `wall`, this node's clock, or what has passed since the last
    /// entry's time if that is later.
    ///
    /// - Returns: why they were not taken; nil when they were.
    package mutating func propose(
        _ payloads: [[UInt8]],
        wall: Timestamp,
        at now: Instant,
        into actions: inout [Action]
    ) -> ProposalRefusal? {
        if let refusal = proposalRefusal { return refusal }
        let bytes = payloads.reduce(0) { $0 + Entry.storedBytes(of: $1.count) }
        guard bytes <= room else { return .noRoom }
        room -= bytes
        let time = clock.stamp(wall: wall, at: now)
        invariant(time >= log.lastTime, "time \(time) after \(log.lastTime)")
        writes.reserve(payloads.count)
        for payload in payloads { appendAsLeader(kind: .command, payload: payload, time: time) }
        finish(at: now, into: &actions)
        return nil
    }

    /// The time that entries would get if this node, the leader, proposed them now.
    package func logTime(wall: Timestamp, at now: Instant) -> Timestamp {
        clock.reading(wall: wall, at: now)
    }

    /// Why a proposal would be refused now; nil if it would be taken.
    @inline(__always)
    package var proposalRefusal: ProposalRefusal? {
        guard role == .leader else { return .notLeader(known: leader) }
        if let transfer { return .transferring(to: transfer.target) }
        if uncommittedBytes > configuration.maxUncommittedBytes { return .overloaded }
        if room < RaftNode.leastRoom { return .noRoom }
        // Others may commit while the own disk or state machine lags: that has a bound as well.
        let bound = configuration.maxCachedBytes + configuration.maxUncommittedBytes
        return cachedBytes > bound ? .overloaded : nil
    }

    /// With less room than this, in bytes, nothing is proposed: a small entry takes about as much.
    package static let leastRoom = 1024

    private mutating func appendAsLeader(kind: Entry.Kind, payload: [UInt8], time: Timestamp) {
        let entry = Entry(
            id: EntryID(term: currentTerm, index: lastIndex.next),
            time: time,
            kind: kind,
            payload: payload
        )
        log.append(entry)
        writes.append(entry)
        uncommittedBytes += entry.cost
    }

    /// Ends each call of a leader: counts, then sends what became possible.
    mutating func lead(at now: Instant, into actions: inout [Action]) {
        advanceCommitIndex()
        serveReads(into: &actions)
        continueTransfer(into: &actions)
        for peer in peers.indices { replicate(to: peer, at: now, into: &actions) }
    }

    /// An entry of this term is committed, so the commit index is as new as any other's.
    var hasCommittedInTerm: Bool { log.term(at: commitIndex) == currentTerm }

    /// Moves the commit index to the newest entry of this term that a quorum has on disk.
    ///
    /// Entries of earlier terms are never counted; they are committed along with it (§3.6.2).
    private mutating func advanceCommitIndex() {
        var best = commitIndex
        let quorum = configuration.membership.quorum
        if durableIndex > best, holders(of: durableIndex) >= quorum { best = durableIndex }
        for peer in peers.indices where peers[peer].counts && peers[peer].matchIndex > best {
            if holders(of: peers[peer].matchIndex) >= quorum { best = peers[peer].matchIndex }
        }
        guard best > commitIndex, log.term(at: best) == currentTerm else { return }
        commit(through: best)
    }

    /// Voters whose disks hold the own log through an index.
    private func holders(of index: LogIndex) -> Int {
        var count = durableIndex >= index ? 1 : 0
        for peer in peers.indices where peers[peer].counts && peers[peer].matchIndex >= index {
            count += 1
        }
        return count
    }

    /// Says to everyone that this leader lives, or steps down if no quorum answered for an election
    /// time-out (§6.2): it may be cut off, and its clients should go elsewhere.
    ///
    /// If it is cut off one way only, the others still hear it: it leaves them an heir.
    mutating func heartbeat(at now: Instant, into actions: inout [Action]) {
        var active = 1
        for peer in peers where peer.counts {
            if now.nanoseconds(since: peer.lastReply) < electionNanoseconds { active += 1 }
        }
        guard active >= configuration.membership.quorum else {
            bequeath(into: &actions)
            becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
            return
        }
        heartbeatDeadline = now.advanced(nanoseconds: heartbeatNanoseconds)
        beginRound(into: &actions)
        resendTimeoutNow(into: &actions)
        for peer in peers.indices where peers[peer].state == .reading {
            if now.nanoseconds(since: peers[peer].readSince) >= electionNanoseconds {
                peers[peer].becomeReplicate(next: peers[peer].nextIndex)
            }
        }
    }

    /// A member answered from a newer term.
    ///
    /// It can follow no leader of this term again, so this one has to move past its term; its
    /// log is as good as any, so it asks to be elected itself, at once. That costs the
    /// cluster a round trip where stepping down would cost it an election time-out. Once an
    /// election time-out at most: no member can keep the cluster busy that way.
    mutating func overtaken(by term: Term, at now: Instant, into actions: inout [Action]) {
        guard !hasCommittedInTerm || now.nanoseconds(since: officeSince) >= electionNanoseconds
        else { return }
        becomeFollower(term: term, leader: nil, at: now, into: &actions)
        guard !isDiskStuck, !isReluctant else { return }
        campaign(isTransfer: true, at: now, into: &actions)
    }
}
