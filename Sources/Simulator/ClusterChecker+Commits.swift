internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Who leads, what is committed and what replicas make of it: election safety, leader completeness, state machine
/// safety (dissertation §3.2), and the model of the domain.
extension ClusterChecker {
    mutating func observeRole(
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

    mutating func observeCommit(_ node: Int, _ commit: LogIndex, at now: UInt64) {
        if commit < records[node].commit {
            fail("commit index", "n\(node + 1) takes its commit index back to \(commit)", at: now)
        }
        // Fields one by one: a record is large, and a copy counts references to all that it holds.
        let term = records[node].term
        let isOfTerm = records[node].log.term(at: commit) == term
        if records[node].role == .leader, !isOfTerm {
            fail(
                "commit rule",
                "n\(node + 1) leads term \(term) and commits by counting an older entry",
                at: now
            )
        }
        // What nobody knew to be committed before, a follower can only have inferred.
        if records[node].role != .leader, commit.number > UInt64(committed.count), !isOfTerm {
            fail(
                "commit rule",
                "n\(node + 1) infers in term \(term) that an older entry is committed",
                at: now
            )
        }
        var index = records[node].commit.next
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
    mutating func commitFirst(_ id: EntryID, by node: Int, at now: UInt64) {
        // What was on a disk that is gone was promised all the same, and counted.
        var holders = 0
        for node in records.indices {
            let hasLost =
                records[node].lost.term(at: id.index) == id.term && id.index > .zero
            if hasLost || records[node].holds(id) { holders += 1 }
        }
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
        // The rules themselves are at stake here, whatever a replica makes of them.
        if model.runsAgain {
            fail("an ID runs once", "\(id) opens an attempt that was forgotten", at: now)
        }
        var touched = model.passed
        if let attempt = command?.attempt { touched.append(attempt) }
        let request = command?.request
        if case .readmit(let readmission) = command {
            let directory = DirectoryID(high: readmission.high, low: readmission.low)
            let replaced = readmission.replaces.map { DirectoryID(high: $0.high, low: $0.low) }
            let isLetIn = records[Int(readmission.node) - 1].readmitted(
                directory,
                inPlaceOf: replaced,
                at: id.index.number
            )
            if isLetIn { admissions.insert(id.index.number) }
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

    mutating func observeApplied(
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
        let standing = model.standing(of: id, at: index)
        let expected = standing == .absent ? nil : model.attempts[id]?.snapshot(at: index)
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
        if view.isCompact != (standing == .compact) {
            fail(
                "retention",
                "n\(node + 1) at \(index): \(id) is \(view.isCompact ? "compact" : "whole"), should be \(standing)",
                at: now
            )
        }
        // What it had is gone with the details.
        let isLike =
            view.isCompact
            ? view.counts.callbacks == 0
            : view.triesLeft == expected.triesLeft
                && view.counts.callbacks == UInt64(expected.lines)
        if view.state != expected.state || !isLike {
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
                || outcome.decidedAt.milliseconds != decided.decidedAt
        {
            fail(
                "one terminal state",
                "n\(node + 1): \(id) was decided at \(outcome.index.number), not \(decided.decidedIndex)",
                at: now
            )
        }
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
