internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Checks the promises of consensus after every step (dissertation §3.2, figure 3.2).
///
/// Replicas come `inout`, though nothing here changes one: they are large, and borrowing one from an
/// object copies it.
struct ClusterChecker {
    var violation: Violation?
    var records: [NodeRecord]
    var book = LogBook()
    /// Entry `i` is at `i - 1`.
    var committed: [CommittedEntry] = []
    var model: DomainModel
    /// Indexes at which a request stands, oldest first.
    var byRequest: [RequestID: [Int]] = [:]
    /// What nodes were asked to commit; looked up only.
    var submitted: [RequestID: Command] = [:]
    /// What intakes took, and how often it was appended once more.
    var intakeCopies: [RequestID: Int] = [:]
    var leaders: [Term: Int] = [:]
    var votes: [Vote: NodeID] = [:]
    /// Votes of directories that are gone; they were given, but bind nobody any more.
    var formerVotes: [Vote: NodeID] = [:]
    /// What the replicas' states came to, by applied index, and what the log alone makes of them.
    var digests: [UInt64: UInt64] = [:]
    var references: [UInt64: UInt64] = [:]
    let reference = ReferenceState()
    var canonical = CanonicalRecords()
    /// What is remembered in `canonical` is checked against the disks.
    var comparesAfresh = false
    let quorum: Int
    /// The latest that each node's clock has shown, and what has passed since, as of a virtual time.
    var latestTimes: [UInt64]
    /// The same for the earliest, from when they are seen first.
    var earliestTimes: [UInt64]
    var clocksSeenAt: UInt64 = 0
    /// Entries that let in a directory which did not stand for its node yet.
    var admissions: Set<UInt64> = []
    /// What is on the nodes' disks, past all faults.
    var disks: [DiskView] = []
    var leadersSeen = 0
    var repairs: UInt64 = 0

    struct Vote: Hashable {
        var node: Int
        var term: Term
    }

    init(nodes: Int, attempts: [AttemptPlan]) {
        model = DomainModel(attempts)
        records = [NodeRecord](repeating: NodeRecord(), count: nodes)
        quorum = nodes / 2 + 1
        latestTimes = [UInt64](repeating: 0, count: nodes)
        earliestTimes = [UInt64](repeating: .max / 2, count: nodes)
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
}
