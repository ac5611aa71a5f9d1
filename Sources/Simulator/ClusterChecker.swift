internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// What the checkers remember of one node.
struct NodeRecord {
    /// The log in memory.
    var log = LogShape()
    /// What was on the disk at the last finished sync.
    var durable = DurableState()
    /// What will be once the batch under way is done.
    var underWay: DurableState?
    var commit = LogIndex.zero
    var applied = LogIndex.zero
    var role = Role.follower
    var term = Term.zero
    /// Where requests stand that it appended as the leader of `officeTerm`.
    var standing: [RequestID: LogIndex] = [:]
    /// The same of reports of repeats, which are numbered apart.
    var standingReports: [RequestID: LogIndex] = [:]
    var officeTerm = Term.zero
    /// The last time that it stamped as a leader, and at which virtual time.
    var stamp: UInt64 = 0
    var stampedAt: UInt64 = 0
    /// Its disk was damaged behind its back: what it finds there may be less than it promised.
    var isRotten = false
    /// The last entry of a checkpoint that was fetched and not yet started from.
    var installed: EntryID?
    /// Its directory was emptied or is an older copy: it takes no part until it has caught up.
    var isOut = false
    /// Set until a process has started on the other directory.
    var isReplaced = false
    /// What it had promised before.
    var lost = LogShape()
    /// It had promised something by then.
    var hadPromised = false
    /// The entry that let its directory in.
    var admittedAt: UInt64?
    /// Its replica's state was changed behind its back.
    var isCorrupt = false
    /// It came back with less than it had promised, and must count for nothing until it has it again.
    var isRepairing = false
    /// What its disk had promised before the damage, while it is repairing.
    ///
    /// Whoever heard of it may still count on it: that is why it must not vote.
    var promised: LogShape?

    /// The node's disk has an entry, or others may believe so.
    func holds(_ id: EntryID) -> Bool {
        durable.log.term(at: id.index) == id.term || promised?.term(at: id.index) == id.term
    }
}

extension NodeRecord {
    /// The earliest time that this leader may stamp now; stamps are in whole milliseconds.
    fileprivate func timePassed(at now: UInt64) -> UInt64 {
        let passed = (now - stampedAt) / 1_000_000
        return stamp + (passed > 0 ? passed - 1 : 0)
    }
}

/// One committed entry.
struct CommittedEntry {
    var id: EntryID
    /// The term of the leader that committed it, which may be later than the entry's own.
    var inTerm: Term
    var time: UInt64
    var request: RequestID?
    var expectation: DomainModel.Expectation
    /// Attempts that this entry may have changed.
    var touched: [AttemptID]
    /// Without it the state would be another one, whatever follows.
    var changesState: Bool
}

/// Checks the promises of consensus after every step (dissertation §3.2, figure 3.2).
///
/// Replicas come `inout`, though nothing here changes one: they are large, and borrowing one from an
/// object copies it.
struct ClusterChecker {
    private(set) var violation: Violation?
    private(set) var records: [NodeRecord]
    private(set) var book = LogBook()
    /// Entry `i` is at `i - 1`.
    private(set) var committed: [CommittedEntry] = []
    private(set) var model = DomainModel()
    /// Indexes at which a request stands, oldest first.
    private(set) var byRequest: [RequestID: [Int]] = [:]
    /// What nodes were asked to commit; looked up only.
    private var submitted: [RequestID: Command] = [:]
    /// What intakes took, and how often it was appended once more.
    private var intakeCopies: [RequestID: Int] = [:]
    private var leaders: [Term: Int] = [:]
    private var votes: [Vote: NodeID] = [:]
    /// Votes of directories that are gone; they were given, but bind nobody any more.
    private var formerVotes: [Vote: NodeID] = [:]
    private var digests: [UInt64: UInt64] = [:]
    var canonical = CanonicalRecords()
    let quorum: Int
    /// Read what is on the nodes' disks, past all faults.
    var disks: [(DiskRead) -> [UInt8]] = []
    private(set) var leadersSeen = 0
    var repairs: UInt64 = 0

    private struct Vote: Hashable {
        var node: Int
        var term: Term
    }

    init(nodes: Int) {
        records = [NodeRecord](repeating: NodeRecord(), count: nodes)
        quorum = nodes / 2 + 1
    }

    mutating func fail(_ checker: String, _ what: String, at now: UInt64) {
        guard violation == nil else { return }
        violation = Violation(checker: checker, what: what, at: now)
    }

    /// A node is asked to commit a command.
    mutating func submitted(_ command: Command, as id: RequestID) {
        var command = command
        command.request = id
        submitted[id] = command
    }

    /// A node takes a callback in, to have it committed later; one that is taken in twice is the first.
    mutating func takenIn(_ callback: Callback, as id: RequestID) {
        if submitted[id] == nil { submitted(.callback(callback), as: id) }
        intakeCopies[id] = intakeCopies[id] ?? 0
    }

    /// How many different requests with each callback are committed, by attempt and key.
    func committedRequests() -> [AttemptID: [CallbackKey: Int]] {
        var counts: [AttemptID: [CallbackKey: Int]] = [:]
        for request in byRequest.keys {
            guard case .callback(let callback) = submitted[request] else { continue }
            counts[callback.attempt, default: [:]][callback.key, default: 0] += 1
        }
        return counts
    }

    // MARK: After every step

    /// Looks at a node after something happened to it.
    mutating func observe(_ node: Int, _ replica: inout ReplicaNode, at now: UInt64) {
        observeLog(node, &replica, at: now)
        if records[node].isOut, replica.raft.participation == .full {
            observeReturn(node, at: now)
        }
        if records[node].isRepairing, !replica.raft.isRepairing { repairEnds(node, at: now) }
        observeRole(node, &replica, at: now)
        if replica.raft.commitIndex != records[node].commit {
            observeCommit(node, replica.raft.commitIndex, at: now)
        }
        if replica.appliedIndex != records[node].applied {
            observeApplied(node, &replica, at: now)
        }
    }

    /// A node that has nothing left to do has freed its memory, and takes proposals if it leads.
    mutating func observeRest(_ node: Int, _ replica: inout ReplicaNode, at now: UInt64) {
        let last = replica.raft.lastIndex
        guard last > .zero, replica.raft.commitIndex == last, replica.appliedIndex == last,
            replica.raft.durableIndex == last
        else { return }
        let limit = replica.configuration.raft.maxCachedBytes
        // The entry at the applied index stays.
        if replica.raft.cachedBytes > limit, replica.raft.evictedIndex < last.previous {
            fail(
                "memory is freed",
                """
                n\(node + 1) holds \(replica.raft.cachedBytes) bytes of entries, more than \(limit), \
                though all through \(last) is committed, applied and durable
                """,
                at: now
            )
        }
        if replica.raft.proposalRefusal == .overloaded {
            fail(
                "ready when at rest",
                "n\(node + 1) leads, all is committed, applied and durable, yet it is overloaded",
                at: now
            )
        }
    }

    private mutating func observeLog(
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
                if isFirst { observeProposal(entry.id, node, replica.appliedIndex, at: now) }
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
    private mutating func observeProposal(
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

    /// While one node leads, time in the log passes as fast as time does, whatever its clock shows.
    private mutating func observeStamp(_ id: EntryID, _ node: Int, at now: UInt64) {
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
    private mutating func append(
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

    private mutating func observeTruncation(
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

    private mutating func observeRole(
        _ node: Int,
        _ replica: inout ReplicaNode,
        at now: UInt64
    ) {
        let role = replica.raft.role
        let term = replica.raft.currentTerm
        if term < records[node].term {
            fail(
                "terms only grow",
                "n\(node + 1) goes from term \(records[node].term) back to \(term)",
                at: now
            )
        }
        let isNew = role != records[node].role || term != records[node].term
        records[node].role = role
        records[node].term = term
        guard isNew, role == .leader else { return }
        leadersSeen += 1
        if let other = leaders[term], other != node {
            fail(
                "election safety",
                "n\(other + 1) and n\(node + 1) both lead term \(term)",
                at: now
            )
        }
        leaders[term] = node
        let own = replica.node
        var voters = 1
        for voter in records.indices where voter != node {
            let vote = Vote(node: voter, term: term)
            if votes[vote] == own || formerVotes[vote] == own { voters += 1 }
        }
        if voters < quorum {
            fail(
                "elected by a majority",
                "n\(node + 1) leads term \(term) with \(voters) votes",
                at: now
            )
        }
        // A leader of an earlier term, elected by votes that were long under way, may lack it.
        for entry in committed where entry.inTerm < term {
            guard records[node].log.term(at: entry.id.index) != entry.id.term else { continue }
            fail(
                "leader completeness",
                "n\(node + 1) leads term \(term) without \(entry.id), committed before",
                at: now
            )
            break
        }
    }

    private mutating func observeCommit(_ node: Int, _ commit: LogIndex, at now: UInt64) {
        if commit < records[node].commit {
            fail("commit index", "n\(node + 1) takes its commit index back to \(commit)", at: now)
        }
        let record = records[node]
        if record.role == .leader, record.log.term(at: commit) != record.term {
            fail(
                "commit rule",
                "n\(node + 1) leads term \(record.term) and commits by counting an older entry",
                at: now
            )
        }
        // What nobody knew to be committed before, a follower can only have inferred.
        if record.role != .leader, commit.number > UInt64(committed.count),
            record.log.term(at: commit) != record.term
        {
            fail(
                "commit rule",
                "n\(node + 1) infers in term \(record.term) that an older entry is committed",
                at: now
            )
        }
        var index = record.commit.next
        records[node].commit = commit
        while index <= commit {
            let id = EntryID(
                term: records[node].log.term(at: index) ?? .zero,
                index: index
            )
            if index.number <= UInt64(committed.count) {
                let known = committed[Int(index.number) - 1].id
                if known != id {
                    fail(
                        "state machine safety",
                        "n\(node + 1) commits \(id) where \(known) is committed",
                        at: now
                    )
                }
            } else {
                commitFirst(id, by: node, at: now)
            }
            index = index.next
        }
    }

    /// An entry is committed for the first time anywhere.
    private mutating func commitFirst(_ id: EntryID, by node: Int, at now: UInt64) {
        // What was on a disk that is gone was promised all the same, and counted.
        let holders = records.filter {
            $0.holds(id) || $0.lost.term(at: id.index) == id.term && id.index > .zero
        }.count
        if holders < quorum {
            fail(
                "durable majority",
                "n\(node + 1) commits \(id), which is on \(holders) disks",
                at: now
            )
        }
        guard let facts = book[id] else {
            fail("log matching", "n\(node + 1) commits \(id), which is in no log", at: now)
            return
        }
        let time = facts.entry.time.milliseconds
        if let last = committed.last, time < last.time {
            fail(
                "log time",
                "\(id) has time \(time) after \(last.id) with \(last.time)",
                at: now
            )
        }
        var command: Command?
        do { command = try facts.command.get() } catch {
            fail("no entry from nowhere", "\(id) does not decode: \(error)", at: now)
        }
        let expectation = model.apply(command, index: id.index.number, time: time)
        var touched = model.passed
        if let attempt = command?.attempt { touched.append(attempt) }
        let request = command?.request
        if case .readmit(let readmission) = command {
            records[Int(readmission.node) - 1].admittedAt = id.index.number
        }
        if let request {
            byRequest[request, default: []].append(Int(id.index.number))
            if submitted[request] != command {
                fail("no entry from nowhere", "\(id) is what nobody asked for", at: now)
            }
        }
        committed.append(
            CommittedEntry(
                id: id,
                inTerm: records[node].term,
                time: time,
                request: request,
                expectation: expectation,
                touched: touched,
                changesState: command?.attempt != nil
            )
        )
    }

    private mutating func observeApplied(
        _ node: Int,
        _ replica: inout ReplicaNode,
        at now: UInt64
    ) {
        let before = records[node].applied
        let applied = replica.appliedIndex
        records[node].applied = applied
        guard applied <= records[node].commit, applied.number <= UInt64(committed.count) else {
            fail("state machine safety", "n\(node + 1) applied \(applied), not committed", at: now)
            return
        }
        guard applied > before else {
            fail("applied index", "n\(node + 1) goes back from \(before) to \(applied)", at: now)
            return
        }
        // What is compared is the state now, so once is enough.
        var compared: Set<AttemptID> = []
        for index in before.number..<applied.number {
            for attempt in committed[Int(index)].touched where compared.insert(attempt).inserted {
                compare(attempt, node, &replica, at: now)
            }
        }
    }

    /// What a replica holds of an attempt is what the model had at the replica's applied index.
    mutating func compare(
        _ id: AttemptID,
        _ node: Int,
        _ replica: inout ReplicaNode,
        at now: UInt64
    ) {
        guard !records[node].isCorrupt else { return }
        let index = replica.appliedIndex.number
        let expected = model.attempts[id]?.snapshot(at: index)
        let view = replica.attempt(id, reading: disks[node], remembering: &canonical)
        guard let view, let expected else {
            if view != nil || expected != nil {
                fail(
                    "domain model",
                    "n\(node + 1) at \(index): \(id) \(view == nil ? "is missing" : "is from nowhere")",
                    at: now
                )
            }
            return
        }
        if view.state != expected.state || view.triesLeft != expected.triesLeft
            || view.counts.callbacks != UInt64(expected.lines)
        {
            fail(
                "domain model",
                """
                n\(node + 1) at \(index): \(id) is \(view.state.name) with \(view.triesLeft) tries \
                and \(view.counts.callbacks) lines, should be \(expected.state.name) with \
                \(expected.triesLeft) and \(expected.lines)
                """,
                at: now
            )
        }
        if let outcome = view.outcome, let decided = model.attempts[id],
            outcome.index.number != decided.decidedIndex || outcome.state != decided.state
        {
            fail(
                "one terminal state",
                "n\(node + 1): \(id) was decided at \(outcome.index.number), not \(decided.decidedIndex)",
                at: now
            )
        }
    }

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
            if durable.term < message.term
                || (durable.term == message.term && durable.vote != message.from)
            {
                fail(
                    "promise before sync",
                    "n\(node + 1) campaigns in term \(message.term), its disk has \(durable.term)",
                    at: now
                )
            }
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
            if durable.term < message.term
                || (durable.term == message.term && durable.vote != message.to)
            {
                fail(
                    "promise before sync",
                    "n\(node + 1) votes in term \(message.term), its disk has \(durable.term)",
                    at: now
                )
            }
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

    /// A node says that its log is on its disk through an index.
    private mutating func observePromise(
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
        let before = records[node]
        records[node] = NodeRecord()
        records[node].isRotten = before.isRotten
        records[node].isOut = before.isOut
        records[node].isCorrupt = before.isCorrupt
        records[node].lost = before.lost
        records[node].hadPromised = before.hadPromised
        records[node].admittedAt = before.admittedAt
        observeLog(node, &replica, at: now)
        let found = DurableState(
            log: records[node].log,
            term: replica.raft.currentTerm,
            vote: replica.raft.votedFor
        )
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

    // MARK: Directories and states

    /// A node's directory was emptied, or is an older copy from now on.
    mutating func replaced(_ node: Int) {
        let before = records[node]
        records[node] = NodeRecord()
        records[node].isOut = true
        records[node].isReplaced = true
        records[node].lost = before.durable.log
        records[node].hadPromised =
            before.hadPromised || before.durable.log.last > .zero || before.durable.term > .zero
        for (vote, candidate) in votes where vote.node == node { formerVotes[vote] = candidate }
        votes = votes.filter { $0.key.node != node }
    }

    /// A node whose directory was replaced takes part again.
    private mutating func observeReturn(_ node: Int, at now: UInt64) {
        records[node].isOut = false
        records[node].lost = LogShape()
        // Who had promised nothing lost nothing.
        let everything = records[node].hadPromised ? UInt64(committed.count) : 0
        let through = records[node].admittedAt ?? everything
        for entry in committed.prefix(Int(through))
        where records[node].durable.log.term(at: entry.id.index) != entry.id.term {
            fail(
                "a lost directory takes no part",
                "n\(node + 1) takes part again without \(entry.id) on its disk",
                at: now
            )
            break
        }
        records[node].admittedAt = nil
        records[node].hadPromised = false
    }

    mutating func corrupted(_ node: Int) { records[node].isCorrupt = true }
    mutating func rebuilt(_ node: Int) { records[node].isCorrupt = false }

    mutating func damaged(_ node: Int) { records[node].isRotten = true }

    /// A node starts anew from a checkpoint of another one: its log may begin after that, and holds all
    /// that it stands for.
    mutating func installed(_ node: Int, _ entry: EntryID) { records[node].installed = entry }

    mutating func setRepairing(_ node: Int, _ isRepairing: Bool, promised: LogShape?) {
        records[node].isRepairing = isRepairing
        records[node].promised = isRepairing ? promised : nil
        if !isRepairing { records[node].isRotten = false }
    }

    // MARK: Whole states

    /// A checkpoint found on a disk is the state as it was when it was begun.
    mutating func compareCheckpoint(
        _ node: Int,
        _ index: UInt64,
        _ fingerprint: UInt64,
        at now: UInt64
    ) {
        guard digests[index] != fingerprint else { return }
        fail(
            "state store",
            "n\(node + 1) has a checkpoint at \(index) that is not the state at that entry",
            at: now
        )
    }

    /// Replicas that applied the same entries are equal.
    mutating func compareAll(_ node: Int, _ replica: inout ReplicaNode, at now: UInt64) {
        guard !records[node].isCorrupt else { return }
        var fingerprint = Fingerprint()
        replica.forEachCanonicalChunk(reading: disks[node], remembering: &canonical) {
            fingerprint.fold($0)
        }
        let index = replica.appliedIndex.number
        if let other = digests[index], other != fingerprint.value {
            fail(
                "state machine safety",
                "n\(node + 1) at \(index) differs from another replica at the same index",
                at: now
            )
        }
        digests[index] = fingerprint.value
    }
}

extension Command {
    fileprivate var attempt: AttemptID? {
        switch self {
        case .open(let open): open.attempt
        case .callback(let callback): callback.attempt
        case .defineFlow, .repeats, .tick, .readmit, .checkDigest, .settings: nil
        }
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
