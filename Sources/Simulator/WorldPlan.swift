internal import Replica
internal import Store
internal import Verification

/// All that a seed decides before the first step of a run.
///
/// Faults and attempts are drawn here, each from a stream of its own, so that leaving some out
/// (`RunOptions`) changes nothing of the others: that is how a failing run is made smaller.
package struct WorldPlan: Sendable {
    static let second: UInt64 = 1_000_000_000
    static let millisecond: UInt64 = 1_000_000

    package private(set) var nodes: Int
    /// Milliseconds are virtual.
    package private(set) var chaosEnds: UInt64
    package private(set) var endsAt: UInt64

    // Network.
    /// One-way delay in nanoseconds from one node to another.
    var delays: [[UInt64]]
    private(set) var jitter: UInt64
    /// Messages come in the order they were sent, and only a broken link loses any.
    package var isOrdered: Bool
    /// Per million messages, where the network is not ordered.
    var loss: UInt64 = 0
    private(set) var duplication: UInt64 = 0
    private(set) var reordering: UInt64 = 0
    /// Messages pass through the wire format.
    package private(set) var isEncoded: Bool
    /// Encoded messages of which a bit is flipped, per million.
    private(set) var corruption: UInt64 = 0
    /// A stalled link is given up after this.
    private(set) var stallLimit: UInt64

    // Nodes.
    /// Which nodes, when they lead, let their followers infer commits.
    private(set) var infers: [Bool]
    private(set) var electionTimeout: UInt64
    private(set) var heartbeat: UInt64
    private(set) var turnDelay: UInt64
    /// When a node that has more to do gets its next turn.
    private(set) var turnAgain: UInt64 = 1000
    private(set) var diskWrite: UInt64
    private(set) var diskSync: UInt64
    private(set) var segmentSize: Int
    private(set) var maxAppendBytes: Int
    var maxInflightAppends: Int
    private(set) var maxCachedBytes: Int
    private(set) var maxUncommittedBytes: Int
    private(set) var maxPendingBytes: Int
    /// A batch that takes longer makes a disk count as stalled.
    private(set) var diskStall: UInt64
    private(set) var requestHold: UInt64
    private(set) var forwardRetry: UInt64
    /// The nodes keep their logs; else a follower that was away for long needs a checkpoint.
    var keepsLog = true
    /// How long decided attempts are kept, by node; empty: as long as the run lasts.
    var retentions: [RetentionSettings] = []
    /// Attempts are forgotten altogether; then their IDs carry the time, as those do that are never run again.
    var forgets: Bool { retentions.contains { $0.forgetAfterSeconds != nil } }
    var state = ReplicaConfiguration.StateSettings()
    var digestInterval: UInt64 = 0
    /// Sealed segments and runs are read for damage once in this time.
    private(set) var scrubInterval: UInt64
    /// Wall clocks' error at the start, in milliseconds.
    private(set) var clockOffsets: [Int64]
    /// Whether leadership moves to where it is best, and timers follow the round trips.
    private(set) var placement: PlacementSettings?
    private(set) var timing: TimingSettings?

    package internal(set) var faultKinds: [FaultKind]
    package internal(set) var faults: [Fault] = []
    var story: FaultStory?
    /// Of the story in which two nodes are neighbours, far from the others.
    var near = (rotten: 0, candidate: 0)
    private(set) var attempts: [AttemptPlan] = []
    /// From here on the attempts are those of the rest after the healing.
    private(set) var restAttempts = 0

    /// Posts of the rest are sent up to this time; then all that is under way has to end.
    var restEnds: UInt64 { endsAt > 30 * WorldPlan.second ? endsAt - 30 * WorldPlan.second : 0 }

    /// When nothing has been wrong for so long, requests are answered.
    var patience: UInt64 { 10 * WorldPlan.second + 6 * electionTimeout }

    package var faultCount: Int { faults.count }
    package var attemptCount: Int { attempts.count }

    package init(_ options: RunOptions) {
        let seed = options.seed
        var random = SeededRandom(seed: seed, stream: "world")
        let total = UInt64(options.minutes * 60_000) * WorldPlan.millisecond
        nodes = [1, 3, 3, 3, 3, 3, 3, 5, 5, 5][random.below(10)]
        if let wanted = options.nodes { nodes = wanted }
        // The last part is for healing; what is left undone by then is never done.
        endsAt = total
        chaosEnds = total > 200 * WorldPlan.second ? total - 150 * WorldPlan.second : total / 4

        delays = WorldPlan.drawDelays(nodes, &random)
        jitter = random.pick([0, 50_000, 1_000_000, 10_000_000])
        isOrdered = random.chance(percent: 60)
        let unordered = [random.next(), random.next(), random.next()]
        if !isOrdered {
            loss = [0, 1000, 20_000, 100_000][Int(unordered[0] % 4)]
            duplication = [0, 5000, 200_000][Int(unordered[1] % 3)]
            reordering = [0, 10_000, 200_000][Int(unordered[2] % 3)]
        }
        isEncoded = random.chance(percent: 50)
        let corrupt = random.next()
        if isEncoded { corruption = [0, 0, 50, 500][Int(corrupt % 4)] }
        stallLimit = random.between(800, 6000) * WorldPlan.millisecond

        var longest: UInt64 = 0
        for row in delays { longest = max(longest, row.max() ?? 0) }
        electionTimeout = max(
            random.between(150, 1500) * WorldPlan.millisecond,
            longest * 10
        )
        heartbeat = max(electionTimeout / random.between(4, 12), 10 * WorldPlan.millisecond)
        turnDelay = random.pick([1000, 20_000, 200_000, 2_000_000])
        diskWrite = random.between(5_000, 60_000)
        diskSync = random.pick([80_000, 400_000, 2_000_000, 10_000_000])
        segmentSize = random.pick([8 * 1024, 32 * 1024, 128 * 1024, 512 * 1024])
        maxAppendBytes = random.pick([200, 2000, 256 * 1024])
        maxInflightAppends = random.pick([1, 4, 64])
        maxCachedBytes = random.pick([0, 4000, 64 * 1024, 16 * 1024 * 1024])
        // In bounds that the network can carry away, as a configuration would be.
        maxUncommittedBytes = random.pick([8 * 1024, 8 * 1024, 64 * 1024, 16 * 1024 * 1024])
        if maxAppendBytes < 4096 { maxUncommittedBytes = 8 * 1024 }
        maxPendingBytes = 4 * maxUncommittedBytes
        diskStall = max(WorldPlan.second, 2 * electionTimeout)
        if maxAppendBytes < 1024 { maxInflightAppends = 64 }
        requestHold = random.between(2, 12) * WorldPlan.second
        // Shorter than an answer from far away takes, too.
        let longestRetry: UInt64 = random.chance(percent: 50) ? 400 : 2000
        forwardRetry = random.between(200, longestRetry) * WorldPlan.millisecond
        let skew = random.pick([0, 50, 2000, 120_000])
        clockOffsets = []
        for _ in 0..<nodes { clockOffsets.append(Int64(random.between(0, 2 * skew) - skew)) }

        var inference = SeededRandom(seed: options.seed, stream: "inference")
        // Nodes may be configured differently; the leader's word counts.
        let share: UInt64 = inference.pick([100, 100, 50, 0])
        infers = (0..<nodes).map { _ in inference.chance(percent: share) }

        var scrubbing = SeededRandom(seed: seed, stream: "scrubbing")
        scrubInterval = scrubbing.pick([5, 20, 60]) * WorldPlan.second

        faultKinds = []
        faults = WorldPlan.drawFaults(
            options,
            nodes: nodes,
            until: chaosEnds,
            kinds: &faultKinds
        )
        addDirectoryFaults(options)
        addRunFaults(seed)
        addStory(options)
        addInferredLoss(seed)
        addBackups(seed)
        addLogFaults(seed)
        drawPlacement(options)
        drawRetention(seed)
        drawWrongClock(seed)
        drawPace(seed)
        attempts = WorkloadPlan.draw(options, nodes: nodes, until: chaosEnds, hasTime: forgets)
        drawStateSettings(options.seed)
        restAttempts = attempts.count
        attempts += WorkloadPlan.drawRest(
            options,
            nodes: nodes,
            from: chaosEnds,
            until: endsAt,
            first: restAttempts,
            hasTime: forgets
        )
        applyExclusions(options)
    }

    /// From a stream of its own, so that what else a seed draws stays as it is.
    ///
    /// Mostly so small that checkpoints, evictions and loads happen all the time.
    private mutating func drawStateSettings(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "state")
        state.checkpointBytes = random.pick([600, 4000, 40_000, 1 << 26])
        state.checkpointAttempts = random.pick([3, 30, 100_000])
        state.encodedPerTurn = random.pick([1, 2000, 65_536])
        state.settledPerTurn = random.pick([1, 20, 2000])
        state.cacheBytes = random.pick([0, 0, 5000, 1 << 27])
        state.maxLoads = random.pick([1, 8, 512])
        state.retryAfter = .milliseconds(Int64(random.between(50, 3000)))
        state.pieceSize = random.pick([512, 4096, 1 << 20])
        state.hashBits = random.pick([64, 64, 3])
        // Whoever looks at a backup goes by the hash that all nodes have.
        if faultKinds.contains(.backup) { state.hashBits = 64 }
        // A checkpoint overtakes the log only where one is made all the time.
        if faultKinds.contains(.hungLog) { state.checkpointBytes = 600 }
        state.merge.maxBytes = random.pick([4000, 100_000, 1 << 28])
        state.merge.maxSmallRuns = random.pick([2, 5, 16])
        state.merge.minDeadBytes = random.pick([100, 10_000])
        keepsLog = random.chance(percent: 60)
        settleStory()
    }

    /// In some runs decided attempts are kept for so short that their time is over before the run is, from a stream of
    /// its own.
    private mutating func drawRetention(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "retention")
        guard random.chance(percent: 40) else { return }
        // Nodes may be configured differently, and then each leader has its own way.
        let isSame = random.chance(percent: 70)
        let forgets = random.chance(percent: 50)
        let kept: UInt64 = random.pick([20, 60, 150, 300])
        let forgotten: UInt64 = random.pick([0, 30, 120])
        for node in 0..<nodes {
            let factor: UInt64 = isSame || node == 0 ? 1 : random.between(1, 3)
            let seconds = kept * factor
            let least = max(seconds, WorldPlan.forgetsAfterLeast)
            retentions.append(
                RetentionSettings(
                    retentionSeconds: seconds,
                    forgetAfterSeconds: forgets ? least + forgotten : nil
                )
            )
        }
    }

    /// In some runs with retention, from a stream of its own, a node that has more to do takes its time: then time passes
    /// while a checkpoint is made, one attempt a turn perhaps.
    private mutating func drawPace(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "pace")
        guard !retentions.isEmpty, random.chance(percent: 50) else { return }
        turnAgain = 3 * WorldPlan.millisecond
    }

    /// In some runs one clock is wrong by as much as a clock that was never set, from a stream of its own.
    private mutating func drawWrongClock(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "wrong clock")
        guard nodes > 2, random.chance(percent: 25) else { return }
        let error = Int64(random.pick([3600, 86_400, 400 * 86_400])) * 1000
        clockOffsets[random.below(nodes)] = random.chance(percent: 70) ? error : -error
    }

    /// An ID is too old for an attempt that waits so long to be opened, in seconds.
    static let forgetsAfterLeast: UInt64 = 60

    /// The nodes are farther apart than was drawn at first.
    mutating func setPace(slowerThan least: UInt64) {
        guard electionTimeout < least else { return }
        electionTimeout = least
        heartbeat = electionTimeout / 8
        diskStall = max(WorldPlan.second, 2 * electionTimeout)
    }

    /// In a half of the runs each, from a stream of its own.
    private mutating func drawPlacement(_ options: RunOptions) {
        var random = SeededRandom(seed: options.seed, stream: "placement")
        if random.chance(percent: 50) {
            var settings = PlacementSettings()
            settings.stableFor = .seconds(Int(random.between(2, 10)))
            settings.firstBackoff = .seconds(Int(random.between(2, 10)))
            settings.longestBackoff = .seconds(20)
            placement = settings
        }
        // By what is configured, a refusal from close by is no hurry.
        if random.chance(percent: 50) || story == .nearRefusal {
            var settings = TimingSettings()
            // No less than other worlds have: what is judged by the time-out is judged by the plan's.
            settings.least = .milliseconds(Int(random.between(150, 400)))
            timing = settings
        }
    }

    /// What happens to directories and states, in some runs.
    private mutating func addDirectoryFaults(_ options: RunOptions) {
        var random = SeededRandom(seed: options.seed, stream: "directories")
        digestInterval = random.pick([500, 2000, 10_000]) * WorldPlan.millisecond
        guard random.chance(percent: 40), !options.without.contains(.directories) else { return }
        let kinds = FaultKind.allCases.filter {
            $0.isOfDirectories && random.chance(percent: 60)
        }
        guard !kinds.isEmpty else { return }
        faultKinds += kinds
        let spacing = random.between(10, 60) * WorldPlan.second
        var at = random.between(1, 20) * WorldPlan.second
        while at < chaosEnds {
            let kind = random.pick(kinds)
            faults.append(kind.draw(at: at, nodes: nodes, longest: chaosEnds - at, &random))
            at += random.between(1, 2 * spacing)
        }
    }

    /// Bits that flip in runs of the state, in some runs of the world, from a stream of their own.
    private mutating func addRunFaults(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "runs")
        guard random.chance(percent: 40) else { return }
        faultKinds.append(.rotRun)
        let spacing = random.between(5, 40) * WorldPlan.second
        var at = random.between(5, 60) * WorldPlan.second
        while at < chaosEnds {
            faults.append(
                FaultKind.rotRun.draw(at: at, nodes: nodes, longest: chaosEnds - at, &random)
            )
            at += random.between(1, 2 * spacing)
        }
    }

    /// Backups that operators take, in some runs, from a stream of their own; and from another one those that are taken
    /// just when a state became another one.
    private mutating func addBackups(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "backups")
        guard random.chance(percent: 35) else { return }
        faultKinds.append(.backup)
        let spacing = random.between(30, 120) * WorldPlan.second
        var at = random.between(5, 60) * WorldPlan.second
        while at < chaosEnds {
            addBackup(at, &random)
            at += random.between(1, 2 * spacing)
        }
        var other = SeededRandom(seed: seed, stream: "backups of what is wrong")
        for fault in faults where fault.kind == .corruptState && fault.at < chaosEnds {
            addBackup(fault.at + other.below(2 * WorldPlan.second), &other)
        }
    }

    private mutating func addBackup(_ at: UInt64, _ random: inout SeededRandom) {
        faults.append(
            Fault(
                kind: .backup,
                at: at,
                duration: 0,
                node: random.below(nodes),
                peer: 0,
                amount: Int64(random.below(1 << 32)),
                aimsAtLeader: random.chance(percent: 30)
            )
        )
    }

    /// A leader whose log lags, so that the others commit without it, and that loses its power just then; in some runs,
    /// from a stream of their own.
    private mutating func addLogFaults(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "log")
        guard nodes > 1, random.chance(percent: 20) else { return }
        faultKinds.append(.hungLog)
        if !faultKinds.contains(.powerCut) { faultKinds.append(.powerCut) }
        let spacing = random.between(10, 60) * WorldPlan.second
        var at = random.between(2, 30) * WorldPlan.second
        while at + 10 * WorldPlan.second < chaosEnds {
            var length = random.between(100, 1500) * WorldPlan.millisecond
            // So long that whoever leads has to notice.
            if random.chance(percent: 25) { length *= 10 }
            var fault = Fault(
                kind: .hungLog,
                at: at,
                duration: min(length, chaosEnds - at),
                node: random.below(nodes),
                peer: 0,
                amount: 0,
                aimsAtLeader: true
            )
            faults.append(fault)
            fault.kind = .powerCut
            // Before it has noticed, in any case.
            let soon = min(length, 1500 * WorldPlan.millisecond)
            fault.at += random.between(soon / 4, soon)
            fault.duration = random.between(1, 5) * WorldPlan.second
            if random.chance(percent: 60) { faults.append(fault) }
            at += random.between(spacing / 2, 2 * spacing)
        }
    }

    private mutating func applyExclusions(_ options: RunOptions) {
        if options.without.contains(.loss) { loss = 0 }
        if options.without.contains(.duplication) { duplication = 0 }
        if options.without.contains(.reordering) { reordering = 0 }
        if options.without.contains(.corruption) { corruption = 0 }
        if options.without.contains(.jitter) { jitter = 0 }
        if options.without.contains(.skew) { clockOffsets = clockOffsets.map { _ in 0 } }
        for index in faults.indices where options.droppedFaults.contains(index) {
            faults[index].duration = 0
            faults[index].at = .max
        }
        for index in attempts.indices where options.droppedAttempts.contains(index) {
            attempts[index].posts = []
        }
    }

    /// One-way delays: one machine, one region, or regions far apart.
    private static func drawDelays(_ nodes: Int, _ random: inout SeededRandom) -> [[UInt64]] {
        var delays = [[UInt64]](repeating: [UInt64](repeating: 0, count: nodes), count: nodes)
        let ranges: [(UInt64, UInt64)] = [(20, 100), (200, 2000), (10_000, 110_000)]
        let (low, high) = random.pick(ranges)
        for a in 0..<nodes {
            for b in 0..<a {
                let delay = random.between(low, high) * 1000
                delays[a][b] = delay
                // Routes are not always symmetric.
                delays[b][a] = random.chance(percent: 80) ? delay : delay + delay / 2
            }
        }
        return delays
    }

    private static func drawFaults(
        _ options: RunOptions,
        nodes: Int,
        until end: UInt64,
        kinds: inout [FaultKind]
    ) -> [Fault] {
        var random = SeededRandom(seed: options.seed, stream: "faults")
        // Swarm testing: few kinds at once go deeper than all at once.
        let share = random.pick([10, 25, 50, 90])
        let general = FaultKind.allCases.filter(\.isGeneral)
        for kind in general where random.chance(percent: UInt64(share)) { kinds.append(kind) }
        let calm = random.chance(percent: 3)
        if kinds.isEmpty { kinds = [random.pick(general)] }
        if calm { return [] }
        let spacing = random.pick([1500, 4000, 10_000, 30_000]) * Int(millisecond)
        var faults: [Fault] = []
        var at = random.between(0, second * 5)
        while at < end {
            let kind = random.pick(kinds)
            let fault = kind.draw(at: at, nodes: nodes, longest: end - at, &random)
            faults.append(fault)
            at += random.between(1, 2 * UInt64(spacing))
            // Now and then two things at once.
            if random.chance(percent: 15) { at = fault.at + random.below(100 * millisecond) }
        }
        return faults
    }
}
