internal import Raft
internal import Replica
internal import Verification

/// What stands in the logs: leader append-only, log matching, copies, the time in them (dissertation §3.2).
extension ClusterChecker {
    mutating func observeLog(
        _ node: Int,
        _ replica: inout ReplicaNode,
        at now: UInt64
    ) {
        let last = replica.raft.lastIndex
        let known = records[node].log.lastID
        if last == known.index, replica.raft.term(at: last) == known.term { return }
        var agreed = min(last, known.index)
        while agreed > .zero, replica.raft.term(at: agreed) != records[node].log.term(at: agreed) {
            agreed = agreed.previous
        }
        if agreed < known.index { observeTruncation(node, &replica, after: agreed, at: now) }
        guard agreed < last else { return }
        let from = max(agreed, replica.raft.evictedIndex).next
        append(node, &replica, after: agreed, before: from, at: now)
        var previous = records[node].log.lastID
        var next = from
        while next <= last {
            let entries = replica.raft.entries(from: next, through: last, maxBytes: 1 << 24)
            for entry in entries {
                let isFirst = book[entry.id] == nil
                if let problem = book.note(entry, after: previous) {
                    fail("log matching", "n\(node + 1): \(problem)", at: now)
                }
                if isFirst {
                    observeProposal(entry.id, node, replica.appliedIndex, at: now)
                    if replica.knowsAllClocks { observeLag(entry.id, node, at: now) }
                }
                records[node].log.append(entry.id)
                previous = entry.id
            }
            next = records[node].log.last.next
        }
    }

    /// An entry stands in a log for the first time: its leader appended it.
    ///
    /// A leader appends no second copy of a request of which it has one in its term that is not
    /// applied: else what is sent again fills the log of whoever is slow.
    mutating func observeProposal(
        _ id: EntryID,
        _ node: Int,
        _ applied: LogIndex,
        at now: UInt64
    ) {
        if records[node].officeTerm != id.term {
            records[node].officeTerm = id.term
            records[node].standing.removeAll()
            records[node].standingReports.removeAll()
        } else {
            observeStamp(id, node, at: now)
        }
        observeLead(id, node, at: now)
        records[node].stamp = book[id]?.entry.time.milliseconds ?? 0
        records[node].stampedAt = now
        guard case .success(let command) = book[id]?.command else { return }
        let earlier: LogIndex?
        switch command {
        case .repeats(let batch):
            earlier = records[node].standingReports.updateValue(id.index, forKey: batch.request)
        default:
            guard let request = command?.request else { return }
            earlier = records[node].standing.updateValue(id.index, forKey: request)
        }
        guard let earlier, earlier > applied else { return }
        // What an intake holds is proposed by each process of its node, and by a request that nobody waited for
        // to its end besides; within one process it is one request like any other.
        if let request = command?.request, let copies = intakeCopies[request], copies < 8 {
            intakeCopies[request] = copies + 1
            return
        }
        fail(
            "one copy in a leader's log",
            "n\(node + 1) appends \(id), of which entry \(earlier) is a copy not applied yet",
            at: now
        )
    }

    /// What the members' clocks show now, right or wrong.
    mutating func observeClocks(_ clocks: [UInt64], at now: UInt64) {
        let passed = (now - clocksSeenAt) / 1_000_000
        for node in clocks.indices {
            latestTimes[node] = max(latestTimes[node] + passed, clocks[node])
            earliestTimes[node] = min(earliestTimes[node] + passed, clocks[node])
        }
        // Parts of a millisecond are not lost.
        clocksSeenAt += passed * 1_000_000
    }

    /// Time in the log is not ahead of what most members' clocks have shown, and what has passed since.
    ///
    /// Each at another time: a leader goes on from what it saw of a clock last, also while that node is away.
    private mutating func observeLead(_ id: EntryID, _ node: Int, at now: UInt64) {
        // The second is what a leader's clock may be ahead of the others'; the rest is for clocks that drift.
        let agreed = latestTimes.sorted(by: >)[latestTimes.count / 2]
        let latest = agreed + (now - clocksSeenAt) / 1_000_000 + 1000 + 50
        guard let time = book[id]?.entry.time.milliseconds, time > latest else { return }
        fail(
            "log time agrees",
            "n\(node + 1) stamps \(id) with \(time), \(time - latest) ms later than most clocks allow",
            at: now
        )
    }

    /// Time in the log is not far behind what most members' clocks have shown, where its leader knows all of them: what
    /// was opened then would expire when another one leads.
    ///
    /// How long an answer was under way is not known to whoever reads the clock in it.
    private mutating func observeLag(_ id: EntryID, _ node: Int, at now: UInt64) {
        // What begins a term has the time of the entry before it.
        guard case .success(.some) = book[id]?.command else { return }
        let agreed = earliestTimes.sorted()[earliestTimes.count / 2]
        let slack: UInt64 = 1000 + 10_000
        guard agreed < .max / 2, let time = book[id]?.entry.time.milliseconds, time + slack < agreed
        else { return }
        fail(
            "log time agrees",
            "n\(node + 1) stamps \(id) with \(time), \(agreed - time) ms before what most clocks show",
            at: now
        )
    }

    /// While one node leads, time in the log passes as fast as time does, whatever its clock shows.
    mutating func observeStamp(_ id: EntryID, _ node: Int, at now: UInt64) {
        let earliest = records[node].timePassed(at: now)
        guard let time = book[id]?.entry.time.milliseconds, time < earliest else { return }
        fail(
            "log time passes",
            """
            n\(node + 1) stamps \(id) with \(time), \((now - records[node].stampedAt) / 1_000_000) ms \
            after an entry with \(records[node].stamp)
            """,
            at: now
        )
    }

    /// What time it is in the log at least, if there is a leader.
    func timePassed(at now: UInt64) -> UInt64 {
        let leader = records.filter { $0.role == .leader && $0.officeTerm == $0.term }
            .max { $0.term < $1.term }
        return leader?.timePassed(at: now) ?? 0
    }

    /// Entries found on disk at start that are not in memory: their terms say which they are.
    mutating func append(
        _ node: Int,
        _ replica: inout ReplicaNode,
        after agreed: LogIndex,
        before from: LogIndex,
        at now: UInt64
    ) {
        var index = agreed.next
        while index < from {
            let id = EntryID(term: replica.raft.term(at: index) ?? .zero, index: index)
            if book[id] == nil {
                fail("log matching", "n\(node + 1) has \(id), which no log ever had", at: now)
            }
            records[node].log.append(id)
            index = index.next
        }
    }

    mutating func observeTruncation(
        _ node: Int,
        _ replica: inout ReplicaNode,
        after agreed: LogIndex,
        at now: UInt64
    ) {
        let record = records[node]
        if record.role == .leader, replica.raft.role == .leader,
            record.term == replica.raft.currentTerm
        {
            fail(
                "leader append-only",
                "n\(node + 1) leads term \(record.term) and dropped entries after \(agreed)",
                at: now
            )
        }
        let lost = agreed.next
        if lost.number <= UInt64(committed.count),
            committed[Int(lost.number) - 1].id.term == record.log.term(at: lost)
        {
            fail(
                "state machine safety",
                "n\(node + 1) drops \(committed[Int(lost.number) - 1].id), which is committed",
                at: now
            )
        }
        records[node].log.truncate(after: agreed)
    }
}
