internal import Raft
internal import Replica

/// A whole cluster, its network, disks and clocks, and the platforms that call it: one thread, one
/// queue of events, one seed.
package final class World {
    let options: RunOptions
    let plan: WorldPlan
    /// Virtual nanoseconds since the start.
    var now: UInt64 = 0
    var queue = EventQueue<Event>()
    let hosts: [Host]
    var network: Network
    var checker: ClusterChecker
    var oracle: DomainOracle
    var trace: Trace
    var statistics = RunStatistics()
    var isHealing = false
    /// When it was healed; from then on nothing is wrong any more, and little happens.
    var healedAt: UInt64?
    /// When the last look found nothing wrong.
    var lastSoundAt: UInt64 = 0
    var isDone = false
    /// What the faults became that aimed at the leader, by their numbers.
    var aimed: [Int: Fault] = [:]
    /// By then the questions of the calm at the end are answered.
    var lastQuestionsUntil: UInt64 = 0
    /// A former leader that hears nobody for a while.
    var deafNode: Int?
    /// Faults that have begun and not ended.
    var activeFaults = 0
    /// When something last went wrong, or was put right.
    var calmSince: UInt64 = 0
    /// When an entry was last committed anywhere.
    var lastCommitAt: UInt64 = 0
    /// When a node last began to lead.
    var leaderSince: UInt64 = 0
    /// How often leadership moved by itself since all is well.
    var movesAfterHealing = 0

    // Platforms.
    /// Posts under way; looked up only.
    var requests: [UInt64: Request] = [:]
    var nextRequest: UInt64 = 1
    /// Generation of the secret that platforms sign with.
    var secret = 0
    /// Stubborn posts not answered yet.
    var unanswered = 0
    var platforms: [SeededRandom]
    /// Records of runs in which bits flipped, and as they were.
    var damagedRecords: [(damaged: [UInt8], original: [UInt8])] = []
    /// Backups that are being taken, by their numbers, and the pieces of them that are read.
    var copies: [Int: BackupCopy] = [:]
    var copiesByContext: [UInt64: Int] = [:]
    /// Why the cluster has not healed, by the last look at it.
    var ailment = "it has not been looked at"

    /// - Parameters:
    ///   - options: which run.
    ///   - since: lines are printed from this virtual time on, in nanoseconds.
    ///   - print: gets the lines of the trace; `nil` if nobody reads it.
    package init(_ options: RunOptions, since: UInt64 = 0, print: ((String) -> Void)? = nil) {
        self.options = options
        plan = WorldPlan(options)
        hosts = (0..<plan.nodes).map { [plan] in
            Host(number: $0, plan: plan, seed: options.seed)
        }
        network = Network(nodes: plan.nodes, seed: options.seed)
        checker = ClusterChecker(nodes: plan.nodes, attempts: plan.attempts)
        oracle = DomainOracle(attempts: plan.attempts.count)
        trace = Trace(since: since, print: print)
        platforms = plan.attempts.map { SeededRandom(seed: $0.seed, stream: "platform") }
        checker.comparesAfresh = options.seed % 16 == 0
        checker.disks = hosts.map { view(of: $0) }
        schedulePlan()
    }

    var instant: Instant { Instant(nanoseconds: World.clockStart + now) }
    /// Monotonic clocks do not start at zero.
    static let clockStart: UInt64 = 1_000_000_000_000

    private func schedulePlan() {
        for (number, fault) in plan.faults.enumerated() where fault.at < plan.chaosEnds {
            queue.schedule(.fault(number), at: fault.at)
        }
        schedulePosts(of: 0..<plan.restAttempts, from: 0, until: .max)
        for host in hosts { queue.schedule(.restart(node: host.number, run: 0), at: 0) }
        queue.schedule(.heal, at: plan.chaosEnds)
        queue.schedule(.inspect, at: 5 * WorldPlan.second)
    }

    /// Has the platforms tell these attempts' stories from a time on.
    func schedulePosts(of attempts: Range<Int>, from start: UInt64, until end: UInt64) {
        for attempt in attempts {
            for (post, planned) in plan.attempts[attempt].posts.enumerated()
            where planned.at != .max && planned.at < end - start {
                queue.schedule(
                    .post(attempt: attempt, post: post, tries: 0),
                    at: start + planned.at
                )
                if planned.isStubborn { unanswered += 1 }
            }
        }
    }

    /// Runs to the end, or to the first broken promise.
    package func run() -> RunResult {
        trace.note(0, "\(plan.summary)")
        lookAtClocks()
        while checker.violation == nil, !isDone, let (time, event) = queue.next() {
            now = time
            statistics.steps += 1
            trace.fold(time)
            let committed = checker.committed.count
            happen(event)
            if checker.committed.count != committed { lastCommitAt = now }
        }
        if let violation = checker.violation {
            trace.note(now, "VIOLATION of \(violation.checker): \(violation.what)")
        }
        statistics.elections = UInt64(checker.leadersSeen)
        statistics.repaired = checker.repairs
        statistics.committed = UInt64(checker.committed.count)
        statistics.attempts = UInt64(checker.model.attempts.count)
        statistics.dispositions = oracle.dispositions
        statistics.outcomes = oracle.outcomes
        statistics.withoutDetails = oracle.withoutDetails
        statistics.tooOld = oracle.tooOld
        trace.fold(statistics.committed)
        return RunResult(
            options: options,
            violation: checker.violation,
            digest: trace.digest,
            virtualTime: now,
            statistics: statistics
        )
    }

    func happen(_ event: Event) {
        if let node = event.process, hosts[node].isPaused, hosts[node].process != nil {
            hosts[node].inbox.append(event)
            return
        }
        switch event {
        case .turn(let node, let run): turn(node, run: run)
        case .arrive(let parcel): arrived(parcel)
        case .linkUp(let node, let peer, let epoch): linkUp(node, peer, epoch: epoch)
        case .linkDown(let node, let peer, let epoch, let broken):
            linkDown(node, peer, epoch: epoch, broken: broken)
        case .connect(let a, let b): connect(a, b)
        case .stalled(let a, let b, let epoch): stalled(a, b, epoch: epoch)
        case .diskStep(let node, let run, let queue): diskStep(node, run: run, queue)
        case .batchDone(let node, let run, let queue, let number, let error):
            batchDone(node, run: run, queue, number: number, error)
        case .diskRead(let node, let run, let read): diskRead(node, run: run, read)
        case .restart(let node, let run): restart(node, run: run)
        case .fault(let number): begin(plan.faults[number], number)
        case .faultEnds(let number): end(aimed[number] ?? plan.faults[number])
        case .heal: heal()
        case .inspect: inspect()
        case .post(let attempt, let post, let tries): self.post(attempt, post, tries: tries)
        case .request(let number): serve(number)
        case .reply(let number, let reply): replied(number, reply)
        case .giveUp(let number): gaveUp(number)
        case .readmit(let node): readmit(node)
        case .rebuild(let node): rebuild(node)
        case .backup(let number): goOnWithBackup(number)
        }
    }
}
