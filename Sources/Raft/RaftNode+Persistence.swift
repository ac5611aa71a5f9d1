extension RaftNode {
    /// Messages held back at most, for when the disk hangs; more are dropped like lost ones.
    static let maxHeld = 1024

    /// Sends a message, held back until term and vote are on disk.
    ///
    /// No other node ever hears of a term or vote that this node could forget.
    mutating func send(
        _ body: Message.Body,
        to peer: NodeID,
        term: Term? = nil,
        into actions: inout [Action]
    ) {
        let message = Message(from: id, to: peer, term: term ?? currentTerm, body: body)
        if writes.isHardStateDurable {
            actions.append(.send(message))
        } else if held.count < Self.maxHeld {
            held.append((writes.hardStateGate, message))
        }
    }

    /// Term and vote are on disk; while they are not, nothing is sent, not even that entries arrived.
    @inline(__always)
    package var isTermDurable: Bool { writes.isHardStateDurable }

    /// This write and all before it are on stable storage.
    package mutating func persisted(
        _ number: WriteNumber,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard writes.persisted(number) else { return }
        evict()
        let free = held.prefix { $0.gate <= number }
        for (_, message) in free { actions.append(.send(message)) }
        held.removeFirst(free.count)

        if role == .candidate, writes.isHardStateDurable, !granted.contains(id) {
            // The own vote is like any other: it counts once it cannot be forgotten.
            grantedVote(by: id, at: now, into: &actions)
        }
        if isRepairing { endRepairIfWhole(at: now, into: &actions) }
        if owesAcknowledgement, let leader, role != .leader {
            acknowledge(to: leader, into: &actions)
        }
        finish(at: now, into: &actions)
    }
}

extension Message {
    /// Numbers are within bounds that no counter of a correct member reaches, so that no
    /// arithmetic on them overflows.
    var isWellFormed: Bool {
        func ok(_ number: UInt64) -> Bool { number < 1 << 62 }
        func ok(_ id: EntryID) -> Bool {
            ok(id.term.number) && ok(id.index.number) && (id.index == .zero) == (id.term == .zero)
        }
        guard ok(term.number) else { return false }
        switch body {
        case .preVote(let request), .requestVote(let request):
            return ok(request.lastEntry) && request.lastEntry.term < term
        case .preVoteReply, .requestVoteReply, .timeoutNow:
            return true
        case .appendEntries(let append):
            guard ok(append.previous), ok(append.leaderCommit.number), ok(append.readRound),
                ok(append.leaderDurable.number)
            else { return false }
            // Contiguous, terms and times not decreasing, no term newer than the leader's.
            var last = append.previous
            var time = Timestamp.zero
            for entry in append.entries {
                guard entry.index == last.index.next, entry.term >= last.term,
                    entry.term > .zero, entry.time >= time
                else { return false }
                last = entry.id
                time = entry.time
            }
            return last.term <= term
        case .appendEntriesReply(let reply):
            switch reply.result {
            case .accepted(let durable, let matched):
                return ok(matched.number) && durable <= matched
            case .rejected(let at, let hint):
                return ok(at.number) && ok(hint)
            }
        }
    }
}
