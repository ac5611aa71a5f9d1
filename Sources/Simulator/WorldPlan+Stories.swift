internal import Replica

/// Faults that belong together, in some worlds.
///
/// Single faults drawn at random seldom meet in the one order that wakes a bug: what happens while a cluster is formed,
/// a start on a full disk with callbacks in the intake. Each story once was such a bug of ours, and draws around it.
enum FaultStory: CaseIterable, Sendable {
    /// Words are lost, or links break again and again, while the members meet for the first time.
    case forming
    /// A node takes callbacks in alone, its disk fills up, and it starts on that.
    case fullStart
    /// A leader's state becomes another one, and a second node needs a state just then.
    case wrongSource
    /// After a blackout a node that may not vote sits next to a candidate, and the voter is far away.
    case nearRefusal
}

extension WorldPlan {
    /// In two runs of five, from a stream of its own.
    mutating func addStory(_ options: RunOptions) {
        var random = SeededRandom(seed: options.seed, stream: "stories")
        guard random.chance(percent: 40) else { return }
        let story = random.pick(FaultStory.allCases)
        let isPossible =
            story != .wrongSource || nodes > 3 && !options.without.contains(.directories)
        guard nodes > 1, isPossible else { return }
        self.story = story
        switch story {
        case .forming: addForming(&random)
        case .nearRefusal: bringTogether(&random)
        case .wrongSource: digestInterval = 10 * WorldPlan.second
        case .fullStart: break
        }
        let spacing = random.between(20, 90) * WorldPlan.second
        var at = random.between(2, 30) * WorldPlan.second
        while at + 20 * WorldPlan.second < chaosEnds, story != .forming {
            let node = random.below(nodes)
            let peer = (node + 1 + random.below(nodes - 1)) % nodes
            switch story {
            case .forming: break
            case .fullStart:
                let length = random.between(3, 12) * WorldPlan.second
                add(.isolate, at, length, node)
                let full = at + random.between(1, length / 2)
                add(.fullDisk, full, length, node)
                let stop: FaultKind = random.chance(percent: 50) ? .kill : .powerCut
                add(stop, full + random.below(WorldPlan.second), WorldPlan.second, node)
            case .wrongSource:
                add(.corruptState, at, WorldPlan.second, node, aimsAtLeader: true)
                let soon = random.below(2 * WorldPlan.second)
                add(.failRead, at + soon, 4 * WorldPlan.second, peer, amount: 3)
            case .nearRefusal:
                add(.bitRot, at, random.between(1, 300) * WorldPlan.millisecond, near.rotten)
                let soon = random.below(300 * WorldPlan.millisecond)
                add(.blackout, at + soon, random.below(WorldPlan.second), node)
            }
            at += random.between(spacing / 2, 2 * spacing)
        }
    }

    /// In some worlds of three, from a stream of its own: a follower infers commits that its leader cannot count, since its
    /// words do not get through and the third node's disk hangs; then it loses some of what it had last.
    mutating func addInferredLoss(_ seed: UInt64) {
        var random = SeededRandom(seed: seed, stream: "inferred loss")
        guard nodes == 3, infers.contains(true), random.chance(percent: 15) else { return }
        let ms = WorldPlan.millisecond
        var at = random.between(5, 20) * WorldPlan.second
        while at + 10 * WorldPlan.second < chaosEnds {
            let node = random.below(nodes)
            let slow = (node + 1 + random.below(2)) % nodes
            add(.hungDisk, at, 6 * WorldPlan.second, slow)
            let cut = at + random.between(50, 1000) * ms
            let rot = cut + random.between(500, 3000) * ms
            for peer in 0..<nodes where peer != node {
                add(.oneWay, cut, rot - cut + ms, node, peer)
            }
            add(.bitRot, rot, random.between(1, 200) * ms, node, amount: 1)
            at += random.between(8, 40) * WorldPlan.second
        }
    }

    private mutating func add(
        _ kind: FaultKind,
        _ at: UInt64,
        _ duration: UInt64,
        _ node: Int,
        _ peer: Int = 0,
        amount: Int64 = 0,
        aimsAtLeader: Bool = false
    ) {
        if !faultKinds.contains(kind) { faultKinds.append(kind) }
        faults.append(
            Fault(
                kind: kind,
                at: at,
                duration: min(duration, chaosEnds - at),
                node: node,
                peer: peer,
                amount: amount,
                aimsAtLeader: aimsAtLeader
            )
        )
    }

    /// Words are lost, or links break, and then nothing happens for so long that whoever waits for a word waits in vain.
    private mutating func addForming(_ random: inout SeededRandom) {
        faults.removeAll { $0.at < 45 * WorldPlan.second }
        guard random.chance(percent: 30) else {
            isOrdered = false
            loss = 100_000
            return
        }
        let span = random.between(200, 3000) * WorldPlan.millisecond
        for _ in 0..<random.between(4, 30) {
            let node = random.below(nodes)
            let peer = (node + 1 + random.below(nodes - 1)) % nodes
            add(.reset, random.below(span), 0, node, peer)
        }
    }

    /// Two nodes of those far apart are neighbours.
    ///
    /// The one that votes is nearer to the others, so that its turn comes first when a leader is lost, and the refusal of
    /// its neighbour is the first word that it hears.
    private mutating func bringTogether(_ random: inout SeededRandom) {
        if random.chance(percent: 75) {
            spreadOut(&random)
            // Whoever waits for ever is seen to, for nothing else has it start anew.
            faults = []
            faultKinds = []
            loss = 0
        }
        near.rotten = random.below(nodes)
        near.candidate = (near.rotten + 1 + random.below(nodes - 1)) % nodes
        let between = min(delays[near.rotten][near.candidate], WorldPlan.millisecond)
        for node in 0..<nodes where node != near.rotten {
            let farther = delays[near.candidate][node] + 10 * WorldPlan.millisecond
            let delay = node == near.candidate ? between : farther
            delays[near.rotten][node] = delay
            delays[node][near.rotten] = delay
        }
    }

    /// Each node is in a region of its own.
    private mutating func spreadOut(_ random: inout SeededRandom) {
        let longest = 150 * WorldPlan.millisecond
        for a in 0..<nodes {
            for b in 0..<a {
                delays[a][b] = random.between(longest / 3, longest)
                delays[b][a] = delays[a][b]
            }
        }
        setPace(slowerThan: 10 * longest)
        // One message a round trip catches up with nothing.
        maxInflightAppends = max(maxInflightAppends, 16)
    }

    /// What a story needs of how states are kept.
    mutating func settleStory() {
        guard story == .wrongSource else { return }
        // What is wrong is in a checkpoint before anybody compares it, and what is read fails.
        keepsLog = true
        state.checkpointBytes = 600
        state.cacheBytes = 0
    }
}
