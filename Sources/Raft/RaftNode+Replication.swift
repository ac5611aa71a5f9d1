extension RaftNode {
    /// Sends a member what it lacks, as far as flow control lets it, or else the commit index if
    /// that moved.
    mutating func replicate(to peer: Int, at now: Instant, into actions: inout [Action]) {
        if peers[peer].state == .probe {
            if !peers[peer].probeSent, !peers[peer].isFull { probe(peer, into: &actions) }
            return
        }
        while peers[peer].state == .replicate, peers[peer].nextIndex <= lastIndex,
            hasRoom(peer)
        {
            let next = peers[peer].nextIndex
            if next <= log.evicted {
                peers[peer].state = .reading
                peers[peer].readSince = now
                actions.append(
                    .readEntries(
                        for: peerIDs[peer],
                        from: next,
                        maxBytes: configuration.maxAppendBytes
                    )
                )
            } else {
                let batch = log.batch(from: next, maxBytes: configuration.maxAppendBytes)
                sendAhead(batch, to: peer, into: &actions)
            }
        }
        if owesNews(peer) { sendAppend([], to: peer, into: &actions) }
    }

    /// Whether the commit index moved, or the own disk has what lets the member infer that it did.
    ///
    /// Where a member can infer what is committed nobody tells it, so that inference costs no
    /// message more.
    private func owesNews(_ peer: Int) -> Bool {
        let known = peers[peer]
        guard allowsInference, known.isVoter else { return commitIndex > known.sentCommit }
        if durableIndex > known.sentDurable, known.nextIndex > known.sentDurable.next {
            return true
        }
        let inferred = min(known.sentDurable, known.matchIndex)
        return commitIndex > max(known.sentCommit, hasCommittedInTerm ? inferred : .zero)
    }

    private func hasRoom(_ peer: Int) -> Bool {
        peers[peer].hasRoom(
            appends: configuration.maxInflightAppends,
            bytes: configuration.maxInflightBytes
        )
    }

    /// Finds out where a member's log parts from the own one.
    ///
    /// Entries go along if they are at hand, but not again with the heartbeats that repeat a
    /// lost probe.
    private mutating func probe(_ peer: Int, into actions: inout [Action]) {
        readRound += 1
        let next = peers[peer].nextIndex
        let batch =
            next > log.evicted && next <= lastIndex
            ? log.batch(from: next, maxBytes: configuration.maxAppendBytes) : []
        sendAppend(batch, to: peer, into: &actions)
        peers[peer].probeSent = true
    }

    private mutating func sendAhead(
        _ entries: [Entry],
        to peer: Int,
        into actions: inout [Action]
    ) {
        guard let last = entries.last else { return }
        sendAppend(entries, to: peer, into: &actions)
        var bytes = 0
        for entry in entries { bytes += entry.cost }
        peers[peer].sent(through: last.index, bytes: bytes)
    }

    /// Sends AppendEntries that follow on what was sent before.
    ///
    /// That holds for the empty ones too: a heartbeat names the last entry that was sent, so the
    /// follower's rejection tells at once that a message was lost.
    private mutating func sendAppend(
        _ entries: [Entry],
        to peer: Int,
        into actions: inout [Action]
    ) {
        let previous = peers[peer].nextIndex.previous
        guard let term = log.term(at: previous) else {
            invariant(false, "\(peerIDs[peer]) was sent \(previous), the log ends at \(lastIndex)")
            return
        }
        peers[peer].sentCommit = commitIndex
        peers[peer].sentDurable = durableIndex
        send(
            .appendEntries(
                AppendEntries(
                    previous: EntryID(term: term, index: previous),
                    leaderCommit: commitIndex,
                    leaderDurable: durableIndex,
                    allowsInference: allowsInference,
                    readRound: readRound,
                    entries: entries,
                    repair: peers[peer].repair
                )
            ),
            to: peerIDs[peer],
            into: &actions
        )
    }

    /// Starts a new round: an empty AppendEntries to everyone.
    mutating func beginRound(into actions: inout [Action]) {
        readRound += 1
        for peer in peers.indices {
            sendAppend([], to: peer, into: &actions)
            if peers[peer].state == .probe { peers[peer].probeSent = true }
        }
    }

    mutating func receivedAppendReply(
        _ reply: AppendEntriesReply,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, term >= currentTerm else { return }
        guard term == currentTerm else {
            overtaken(by: term, at: now, into: &actions)
            return
        }
        guard reply.readRound <= readRound else {
            droppedMessages += 1
            return
        }
        guard isOfPresentLog(reply, of: peer) else { return }
        peers[peer].isFull = !reply.hasRoom
        switch reply.result {
        case .accepted(let durable, let matched):
            guard matched <= lastIndex else {
                droppedMessages += 1
                return
            }
            let next = peers[peer].nextIndex
            peers[peer].acknowledged(through: durable)
            if !reply.hasRoom {
                // It dropped what followed. Heartbeats ask where its log ends, until one is
                // answered that there is room.
                peers[peer].becomeProbe(next: matched.next)
            } else if peers[peer].state == .probe {
                // An older reply says nothing of the entry that is probed.
                if matched >= peers[peer].nextIndex.previous {
                    peers[peer].becomeReplicate(next: matched.next)
                }
            } else if matched >= next {
                // It has more than was sent to it in this term: what the journal was asked for is
                // not needed any more.
                peers[peer].becomeReplicate(next: matched.next)
            }
        case .rejected(let rejected, let hint):
            backTrack(peer, rejected: rejected, hint: hint)
        }
        peers[peer].lastReply = now
        peers[peer].ackedRound = max(peers[peer].ackedRound, reply.readRound)
    }

    /// Goes back to where the logs may agree: the newest own entry whose term is not newer than
    /// the follower's there, so that a whole term is skipped at a time (§3.5).
    private mutating func backTrack(_ peer: Int, rejected: LogIndex, hint: EntryID) {
        // Old news: the follower has that entry on its disk, or it is not the one that is probed.
        guard rejected > peers[peer].matchIndex else { return }
        if peers[peer].state == .probe, rejected != peers[peer].nextIndex.previous { return }
        guard rejected < peers[peer].nextIndex else { return }
        let agreed = log.lastID(
            atOrBefore: min(hint.index, rejected.previous),
            termAtMost: hint.term
        )
        peers[peer].becomeProbe(next: agreed.index.next)
    }

    /// Takes entries that were asked for with `.readEntries`.
    ///
    /// An answer that does not fit what the follower needs now is ignored; the next heartbeats
    /// ask again.
    package mutating func entriesRead(
        for peer: NodeID,
        from: LogIndex,
        entries: [Entry],
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, let peer = peerIDs.firstIndex(of: peer),
            peers[peer].state == .reading, peers[peer].nextIndex == from, !entries.isEmpty
        else { return }
        var index = from
        for entry in entries {
            guard entry.index == index, log.term(at: index) == entry.term else { return }
            index = index.next
        }
        peers[peer].state = .replicate
        sendAhead(entries, to: peer, into: &actions)
        finish(at: now, into: &actions)
    }
}
