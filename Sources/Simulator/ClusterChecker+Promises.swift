internal import Raft
internal import Replica

/// What a node says is on its disk, and what is found there: promise before sync, one vote a term, durability.
extension ClusterChecker {
    // MARK: Promises on the way out

    /// A message leaves: what it promises is on the sender's disk.
    mutating func observe(_ message: Message, from node: Int, at now: UInt64) {
        let durable = records[node].durable
        // What was said in an earlier term may be of a log that a newer leader has cut since.
        let isCurrent = message.term == records[node].term
        if records[node].isOut, message.takesPart {
            fail(
                "a lost directory takes no part",
                "n\(node + 1) has lost what it promised, and says \(describe(message))",
                at: now
            )
        }
        if records[node].isRepairing { observeRepairing(message, from: node, at: now) }
        switch message.body {
        case .requestVote:
            expectVote(for: message.from, in: message.term, node, "campaigns", at: now)
        case .requestVoteReply(let reply) where reply.granted:
            let vote = Vote(node: node, term: message.term)
            if let other = votes[vote], other != message.to {
                fail(
                    "one vote a term",
                    "n\(node + 1) votes for \(other) and \(message.to) in term \(message.term)",
                    at: now
                )
            }
            votes[vote] = message.to
            expectVote(for: message.to, in: message.term, node, "votes", at: now)
        case .appendEntriesReply(let reply):
            guard isCurrent, reply.repair == 0, case .accepted(let index, _) = reply.result else {
                return
            }
            observePromise(index, node, durable, at: now)
        case .appendEntries(let append) where isCurrent:
            observePromise(append.leaderDurable, node, durable, at: now)
        default: break
        }
    }

    /// A vote is on the disk before anybody hears of it, unless a later term is.
    private mutating func expectVote(
        for candidate: NodeID,
        in term: Term,
        _ node: Int,
        _ deed: String,
        at now: UInt64
    ) {
        let durable = records[node].durable
        guard durable.term < term || durable.term == term && durable.vote != candidate else {
            return
        }
        fail(
            "promise before sync",
            "n\(node + 1) \(deed) in term \(term), its disk has \(durable.term)",
            at: now
        )
    }

    /// A node says that its log is on its disk through an index.
    mutating func observePromise(
        _ index: LogIndex,
        _ node: Int,
        _ durable: DurableState,
        at now: UInt64
    ) {
        // The log may have been cut since the message was made; then the promise is void.
        guard index <= records[node].log.last else { return }
        if durable.log.term(at: index) != records[node].log.term(at: index) {
            fail(
                "promise before sync",
                "n\(node + 1) says it is durable through \(index), its disk ends at \(durable.log.lastID)",
                at: now
            )
        }
    }

    // MARK: Disk

    /// A batch goes to the disk that carries all that is in memory.
    mutating func batchBegun(_ node: Int, _ replica: inout ReplicaNode) {
        records[node].underWay = DurableState(
            log: records[node].log,
            term: replica.raft.currentTerm,
            vote: replica.raft.votedFor
        )
    }

    /// The batch is done; `isClean` is whether the disk truly has it.
    mutating func batchEnded(_ node: Int, isClean: Bool) {
        if isClean, let state = records[node].underWay { records[node].durable = state }
        if isClean { records[node].underWay = nil }
    }

    /// A node came back: its disk must have kept what was promised, and nothing else.
    mutating func recovered(_ node: Int, _ replica: inout ReplicaNode, at now: UInt64) {
        var before = records[node]
        records[node] = NodeRecord()
        records[node].isRotten = before.isRotten
        records[node].isOut = before.isOut
        records[node].isCorrupt = before.isCorrupt
        records[node].lost = before.lost
        records[node].hadPromised = before.hadPromised
        records[node].admittedAt = before.admittedAt
        records[node].admitted = before.admitted
        observeLog(node, &replica, at: now)
        let found = DurableState(
            log: records[node].log,
            term: replica.raft.currentTerm,
            vote: replica.raft.votedFor
        )
        if before.isFetching, before.installed == nil, replica.checkpoint == found.log.lastID {
            // The power went between the renaming and the news of it.
            before.installed = found.log.lastID
        }
        if before.isReplaced {
            // Whatever it finds, it is not what was promised here.
        } else if before.isRotten {
            recoveredFromDamage(node, &replica, found, before, at: now)
        } else if found != before.durable, found != before.underWay,
            !isInstalled(found, before, replica.raft.isRepairing)
        {
            fail(
                "durability",
                """
                n\(node + 1) recovered \(found.log.lastID), term \(found.term), vote \
                \(found.vote?.description ?? "-"); its disk had promised \
                \(before.durable.log.lastID), term \(before.durable.term), vote \
                \(before.durable.vote?.description ?? "-")
                """,
                at: now
            )
        }
        records[node].durable = found
        if before.installed != nil, found.log.lastID != before.installed {
            records[node].installed = before.installed
        }
        observe(node, &replica, at: now)
        compareAll(node, &replica, at: now)
    }
}

extension Message {
    /// Whether it makes its sender count for anything.
    fileprivate var takesPart: Bool {
        switch body {
        case .preVote, .requestVote, .appendEntries, .timeoutNow: true
        case .preVoteReply(let reply), .requestVoteReply(let reply): reply.granted
        case .appendEntriesReply(let reply):
            if case .accepted = reply.result { reply.repair == 0 } else { false }
        }
    }
}
