import Chaos
import Glibc
import Reactor

/// Brings about the faults of a schedule, and ends them.
final class ChaosFaults {
    private let loop: ChaosLoop
    private let nodes: ChaosNodes
    private let load: ChaosLoad
    private let monitor: ChaosMonitor
    private var random: ChaosRandom
    private(set) var injected: [InjectedFault] = []
    /// Those that are under way, with what ends each.
    private var active: [(fault: PlannedFault, began: UInt64, nodes: [Int], heal: () -> Void)] = []
    private var failure: CommandFailure?
    /// Milliseconds by which a clock was ahead at most.
    private(set) var largestLead = 0
    private(set) var notes: [String] = []
    private var isOver = false

    init(
        _ loop: ChaosLoop,
        _ nodes: ChaosNodes,
        _ load: ChaosLoad,
        _ monitor: ChaosMonitor,
        seed: UInt64
    ) {
        self.loop = loop
        self.nodes = nodes
        self.load = load
        self.monitor = monitor
        random = ChaosRandom(seed: seed, stream: "injection")
    }

    /// What is under way, in words.
    var names: [String] { active.map { "\($0.fault.number) \($0.fault.kind.rawValue)" } }
    func takeFailure() throws(CommandFailure) { if let failure { throw failure } }

    /// Sees to it that those faults come that can be brought about here.
    func plan(_ schedule: FaultSchedule, only numbers: Set<Int>, from start: UInt64) {
        for fault in schedule.faults where numbers.contains(fault.number) {
            loop.at(start + UInt64(fault.at) * 1_000_000) { [weak self] in self?.begin(fault) }
        }
    }

    /// Ends all faults now; none begins any more.
    func endAll() {
        isOver = true
        for fault in active.map(\.fault) { end(fault) }
    }

    private func begin(_ fault: PlannedFault) {
        guard !isOver else { return }
        let leader = monitor.leader
        let target = fault.aimsAtLeader ? leader ?? fault.node + 1 : fault.node + 1
        var peer = fault.peer + 1
        if peer == target { peer = target % nodes.count + 1 }
        var hit = [target]
        var heal: () -> Void = {}
        switch fault.kind {
        case .kill, .killLeader: heal = down([target])
        case .killTwo:
            hit = [target, peer]
            heal = down(hit)
        case .killAll:
            hit = Array(1...nodes.count)
            heal = down(hit)
        case .tornWrite: heal = tear(target)
        case .killSyncing:
            hit = Array(1...nodes.count)
            heal = killSyncing(delay: fault.amount)
        case .pause: heal = pause(target)
        case .rollingRestart:
            hit = Array(1...nodes.count)
            restart(from: target, left: nodes.count)
        case .isolate:
            heal = cut(nodes.relays.filter { $0.from == target || $0.to == target })
        case .oneWay:
            hit = [target, peer]
            heal = cut(nodes.relays.filter { $0.from == target && $0.to == peer })
        case .cutPair:
            hit = [target, peer]
            heal = cut(
                nodes.relays.filter {
                    ($0.from == target && $0.to == peer) || ($0.from == peer && $0.to == target)
                }
            )
        case .resetLinks:
            for relay in nodes.relays where relay.from == target || relay.to == target {
                if !relay.isCut { relay.breakAll() }
            }
        case .slowLink:
            hit = [target, peer]
            let some = nodes.relays.filter {
                ($0.from == target && $0.to == peer) || ($0.from == peer && $0.to == target)
            }
            for relay in some { relay.setDelay(milliseconds: fault.amount) }
            heal = { for relay in some { relay.setDelay(milliseconds: 0) } }
        case .cutPlatform, .loseAnswers:
            let client = load.platforms[fault.node]
            let kind: ChaosClient.Fault = fault.kind == .cutPlatform ? .cut : .deaf
            hit = [fault.node + 1]
            client.begin(kind, to: fault.node)
            heal = { client.end(kind, to: fault.node) }
        case .clockJump:
            let page = nodes.node(target).faults
            page[.clockOffset] += Int64(fault.amount)
            largestLead = max(largestLead, Int(page[.clockOffset]))
            heal = { page[.clockOffset] -= Int64(fault.amount) }
        case .slowDisk:
            let page = nodes.node(target).faults
            page[.syncDelay] += Int64(fault.amount) * 1000
            heal = { page[.syncDelay] -= Int64(fault.amount) * 1000 }
        case .hungDisk: heal = disk(target, .syncMode, 2)
        case .failSync: heal = disk(target, .syncMode, 1)
        case .failWrite: heal = disk(target, .writeMode, 2)
        case .fullDisk: heal = fill(target)
        case .corrupt: heal = damage(target, fault.number)
        }
        active.append((fault, loop.now, hit, heal))
        if fault.kind != .rollingRestart {
            loop.after(milliseconds: fault.duration) { [weak self] in self?.end(fault) }
        }
    }

    private func end(_ fault: PlannedFault) {
        guard let place = active.firstIndex(where: { $0.fault == fault }) else { return }
        let one = active.remove(at: place)
        one.heal()
        injected.append(
            InjectedFault(plan: fault, began: one.began, ended: loop.now, nodes: one.nodes)
        )
    }

    /// Told to what comes later that its fault is over.
    private final class Flag { var isSet = false }

    // MARK: Processes

    /// Milliseconds within which nodes that were all killed come back, in any order: whoever is there
    /// first must not need what only the last one has.
    private static let spread = 1500

    /// Kills nodes; they start again when this heals, in the order of chance if they are all.
    private func down(_ numbers: [Int]) -> () -> Void {
        for number in numbers {
            nodes.node(number).downs += 1
            nodes.kill(nodes.node(number))
        }
        let spread = numbers.count == nodes.count ? ChaosFaults.spread : 0
        return { [unowned self] in self.up(numbers, within: spread) }
    }

    private func up(_ numbers: [Int], within spread: Int) {
        for number in numbers {
            guard spread > 0, !isOver else {
                up([number])
                continue
            }
            loop.after(milliseconds: random.below(spread)) { [weak self] in self?.up([number]) }
        }
    }

    private func up(_ numbers: [Int]) {
        for number in numbers {
            let node = nodes.node(number)
            node.downs -= 1
            guard node.downs == 0 else { continue }
            do throws(CommandFailure) {
                try nodes.start(node)
            } catch {
                failure = error
            }
        }
    }

    private func pause(_ number: Int) -> () -> Void {
        let process = nodes.node(number).process
        process?.send(SIGSTOP)
        return { process?.send(SIGCONT) }
    }

    /// Half of a write reaches the disk, then the process is killed.
    private func tear(_ number: Int) -> () -> Void {
        let node = nodes.node(number)
        node.downs += 1
        node.faults[.writeMode] = 3
        // If nothing is written in a while, it is killed all the same.
        let isHealed = Flag()
        killOnce(node, by: loop.now + 700_000_000, unless: isHealed) { $0.faults[.writesTorn] > 0 }
        return { [unowned self] in
            isHealed.isSet = true
            node.faults[.writeMode] = 0
            self.nodes.kill(node)
            self.up([number])
        }
    }

    private func killOnce(
        _ node: ChaosNodes.Node,
        by deadline: UInt64,
        unless isHealed: Flag,
        _ condition: @escaping (ChaosNodes.Node) -> Bool
    ) {
        if isHealed.isSet { return }
        guard condition(node) || loop.now >= deadline else {
            loop.after(milliseconds: 1) { [weak self] in
                self?.killOnce(node, by: deadline, unless: isHealed, condition)
            }
            return
        }
        node.faults[.writeMode] = 0
        nodes.kill(node)
    }

    /// All nodes die while their disks are busy, so that what waits behind a sync is lost.
    private func killSyncing(delay: Int) -> () -> Void {
        let all = nodes.nodes
        for node in all {
            node.downs += 1
            node.faults[.syncDelay] += Int64(delay) * 1000
        }
        let isHealed = Flag()
        loop.after(milliseconds: 2 * delay + random.below(2 * delay)) { [unowned self] in
            if isHealed.isSet { return }
            for node in all { node.process?.send(SIGKILL) }
            for node in all { self.nodes.kill(node) }
        }
        return { [unowned self] in
            isHealed.isSet = true
            for node in all {
                node.faults[.syncDelay] -= Int64(delay) * 1000
                self.nodes.kill(node)
            }
            self.up(all.map(\.number), within: ChaosFaults.spread)
        }
    }

    private func restart(from number: Int, left: Int) {
        guard left > 0, !isOver else {
            if let fault = active.first(where: { $0.fault.kind == .rollingRestart })?.fault {
                end(fault)
            }
            return
        }
        let node = nodes.node(number)
        let next = number % nodes.count + 1
        node.downs += 1
        node.process?.send(SIGTERM)
        waitForEnd(node, by: loop.now + 8_000_000_000) { [weak self] in
            guard let self else { return }
            self.up([number])
            self.monitor.forget(number)
            // The next one goes when this one is back, or has had its time.
            self.waitUntilReady(number, by: self.loop.now + 5_000_000_000) {
                self.restart(from: next, left: left - 1)
            }
        }
    }

    private func waitForEnd(
        _ node: ChaosNodes.Node,
        by deadline: UInt64,
        _ then: @escaping () -> Void
    ) {
        guard let process = node.process, process.isRunning else { return then() }
        guard loop.now < deadline, !isOver else {
            nodes.kill(node)
            return then()
        }
        loop.after(milliseconds: 20) { [weak self] in
            self?.waitForEnd(node, by: deadline, then)
        }
    }

    private func waitUntilReady(
        _ number: Int,
        by deadline: UInt64,
        _ then: @escaping () -> Void
    ) {
        guard !monitor.isReady(number), loop.now < deadline, !isOver else { return then() }
        loop.after(milliseconds: 50) { [weak self] in
            self?.waitUntilReady(number, by: deadline, then)
        }
    }

    // MARK: Network

    private func cut(_ relays: [Relay]) -> () -> Void {
        for relay in relays { relay.cut() }
        // What was under way may come late, or the connections may have been given up meanwhile.
        let breaks = random.chance(percent: 50)
        return { for relay in relays { relay.heal(breaks: breaks) } }
    }

    // MARK: Disks

    /// How long after a disk's fault its node may still end of it, in nanoseconds.
    private static let aftermath: UInt64 = 5_000_000_000

    /// - Returns: what is to be done when the fault is over.
    private func mayEnd(_ number: Int) -> () -> Void {
        let node = nodes.node(number)
        node.endingFaults += 1
        return { [loop] in
            node.endingFaults -= 1
            node.mayEndUntil = loop.now + ChaosFaults.aftermath
        }
    }

    private func disk(
        _ number: Int,
        _ place: FaultPage.Place,
        _ mode: Int64
    ) -> () -> Void {
        let isOver = mayEnd(number)
        let page = nodes.node(number).faults
        page[place] = mode
        return {
            page[place] = 0
            isOver()
        }
    }

    private func fill(_ number: Int) -> () -> Void {
        guard nodes.smallDisk?.node == number else { return disk(number, .writeMode, 1) }
        let isOver = mayEnd(number)
        nodes.fillDisk()
        return { [unowned self] in
            self.nodes.emptyDisk()
            isOver()
        }
    }

    private func damage(_ number: Int, _ fault: Int) -> () -> Void {
        let heal = down([number])
        do throws(CommandFailure) {
            let place = try nodes.corrupt(number, &random)
            notes.append("fault \(fault): a bit flipped in \(place ?? "nothing: too little yet")")
        } catch {
            failure = failure ?? error
        }
        return heal
    }
}
