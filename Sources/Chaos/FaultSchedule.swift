/// What is done to a cluster.
package enum FaultKind: String, Hashable, Sendable, CaseIterable {
    case kill
    case killLeader = "kill-leader"
    case killTwo = "kill-two"
    case killAll = "kill-all"
    /// Killed with half a write on the disk.
    case tornWrite = "torn-write"
    case pause
    case rollingRestart = "rolling-restart"
    case isolate
    case oneWay = "one-way"
    case cutPair = "cut-pair"
    case resetLinks = "reset-links"
    case slowLink = "slow-link"
    /// A region's platforms do not reach their nearest node.
    case cutPlatform = "cut-platform"
    /// They reach it, and hear no answer.
    case loseAnswers = "lose-answers"
    case clockJump = "clock-jump"
    case slowDisk = "slow-disk"
    case hungDisk = "hung-disk"
    case failSync = "fail-sync"
    case failWrite = "fail-write"
    case fullDisk = "full-disk"
    /// All disks are slow, and all nodes are killed while they sync.
    case killSyncing = "kill-syncing"
    case corrupt

    /// Needs the library that stands between a node and the C library.
    package var needsPreload: Bool {
        switch self {
        case .tornWrite, .clockJump, .slowDisk, .hungDisk, .failSync, .failWrite, .killSyncing: true
        default: false
        }
    }
}

/// One fault of a run, as it was drawn.
package struct PlannedFault: Hashable, Sendable {
    package var number: Int
    package var kind: FaultKind
    /// Milliseconds since the load began.
    package var at: Int
    /// Milliseconds.
    package var duration: Int
    /// It hits whoever leads when it begins, instead of `node`.
    package var aimsAtLeader: Bool
    /// Places in the list of nodes.
    package var node: Int
    package var peer: Int
    /// Milliseconds of a jump, of a delay on a link, of a sync: what the kind needs.
    package var amount: Int
    package var ends: Int { at + duration }

    package var description: String {
        let who = aimsAtLeader ? "the leader" : "node \(node + 1)"
        let other = "node \(peer + 1)"
        let what =
            switch kind {
            case .kill, .killLeader: "kill \(who)"
            case .killTwo: "kill \(who) and another"
            case .killAll: "kill all nodes"
            case .tornWrite: "kill \(who) in the middle of a write"
            case .pause: "pause \(who)"
            case .rollingRestart: "restart all nodes, one after another"
            case .isolate: "cut \(who) off from the others"
            case .oneWay: "\(who) is not heard by \(other)"
            case .cutPair: "\(who) and \(other) cannot hear each other"
            case .resetLinks: "break the connections of \(who)"
            case .slowLink: "\(amount) ms more between \(who) and \(other)"
            case .cutPlatform: "platforms of region \(node + 1) do not reach their nearest node"
            case .loseAnswers: "answers of the nearest node do not reach region \(node + 1)"
            case .clockJump: "the wall clock of \(who) is wrong by \(amount) ms"
            case .slowDisk: "each sync of \(who) takes \(amount) ms more"
            case .hungDisk: "syncs of \(who) hang"
            case .failSync: "syncs of \(who) fail"
            case .failWrite: "writes of \(who) fail"
            case .fullDisk: "the disk of \(who) is full"
            case .killSyncing: "syncs take \(amount) ms, then all nodes are killed"
            case .corrupt: "\(who) is killed and a bit of its files flips"
            }
        return what
    }
}

/// The faults of a run, drawn from a seed.
package struct FaultSchedule: Hashable, Sendable {
    package let faults: [PlannedFault]

    /// Draws faults that all begin and end within so many seconds.
    ///
    /// `diskNode` is the one whose disk can be made full, since it has one of its own. Its files are the ones that are damaged, too: what is
    /// not repaired yet on more than a minority of the nodes could be lost.
    package init(seed: UInt64, seconds: Int, nodes: Int, diskNode: Int, kinds: Set<FaultKind>) {
        var random = ChaosRandom(seed: seed, stream: "faults")
        var faults: [PlannedFault] = []
        var deck: [FaultKind] = []
        let end = seconds * 1000
        // A short run has short faults, so that it has several.
        let isShort = seconds < 120
        var at = min(2000, end / 10)
        while !kinds.isEmpty {
            if deck.isEmpty {
                // By decks, so that a long run has them all.
                deck = FaultKind.allCases.filter(kinds.contains)
                random.shuffle(&deck)
            }
            let kind = deck.removeLast()
            var fault = PlannedFault(
                number: faults.count + 1,
                kind: kind,
                at: at,
                duration: FaultSchedule.duration(of: kind, isShort, &random),
                aimsAtLeader: kind == .killLeader || random.chance(percent: 40),
                node: random.below(nodes),
                peer: 0,
                amount: FaultSchedule.amount(of: kind, &random)
            )
            switch kind {
            case .cutPlatform, .loseAnswers, .killAll, .killSyncing, .rollingRestart:
                fault.aimsAtLeader = false
            case .fullDisk, .corrupt:
                fault.aimsAtLeader = false
                fault.node = diskNode
            default: break
            }
            fault.peer = (fault.node + random.between(1, max(1, nodes - 1))) % nodes
            // Half of the pauses between faults let the cluster rest, some faults overlap.
            let overlaps = random.chance(percent: 25)
            let pause = isShort ? random.between(800, 1800) : random.between(1500, 4000)
            guard fault.ends + 500 <= end else { break }
            faults.append(fault)
            at = overlaps ? fault.at + fault.duration / 2 + 200 : fault.ends + pause
        }
        self.faults = faults
    }

    private static func duration(
        of kind: FaultKind,
        _ isShort: Bool,
        _ random: inout ChaosRandom
    ) -> Int {
        switch kind {
        case .resetLinks: 100
        case .rollingRestart: 6000
        case .tornWrite, .killSyncing: random.between(1000, 2500)
        case .hungDisk: random.between(1000, isShort ? 3000 : 6000)
        case .clockJump: random.between(500, isShort ? 3000 : 6000)
        default:
            random.chance(percent: isShort ? 95 : 70)
                ? random.between(500, isShort ? 2500 : 4000) : random.between(4000, 9000)
        }
    }

    private static func amount(of kind: FaultKind, _ random: inout ChaosRandom) -> Int {
        switch kind {
        case .clockJump:
            random.pick([-1, 1])
                * random.pick([
                    random.between(1, 500), random.between(500, 4000),
                    random.between(4000, FaultSchedule.largestJump),
                ])
        case .slowLink: random.pick([random.between(5, 60), random.between(60, 400)])
        case .slowDisk: random.pick([random.between(5, 40), random.between(40, 300)])
        case .killSyncing: random.between(40, 200)
        default: 0
        }
    }

    /// Milliseconds by which a wall clock is wrong at most.
    package static let largestJump = 15_000

    package var text: String {
        faults.map { fault in
            let span = "\(seconds(fault.at))–\(seconds(fault.ends)) s"
            let pad = String(repeating: " ", count: max(0, 14 - span.count))
            return "  \(pad)\(span)  \(fault.kind.rawValue): \(fault.description)\n"
        }.joined()
    }

    private func seconds(_ milliseconds: Int) -> String {
        "\(milliseconds / 1000).\(milliseconds / 100 % 10)"
    }
}

/// A fault as it came to be.
package struct InjectedFault: Hashable, Sendable {
    package var plan: PlannedFault
    /// Nanoseconds since the run began.
    package var began: UInt64
    package var ended: UInt64
    /// Nodes that it hit, by their numbers.
    package var nodes: [Int]

    package init(plan: PlannedFault, began: UInt64, ended: UInt64, nodes: [Int]) {
        self.plan = plan
        self.began = began
        self.ended = ended
        self.nodes = nodes
    }
}
