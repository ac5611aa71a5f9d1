import Digest
import Reactor
import Replica
import Server

/// One run across regions: for each way of working a cluster of its own, its leader in place, loaded
/// in every region.
final class RegionRun {
    /// Where the leader is to be.
    enum Leader: Hashable {
        case best, worst
        case node(Int)
    }
    struct Settings {
        var matrix: RegionMatrix
        var seconds = 10
        var warmup = 2
        var rate = 20
        var leader = Leader.best
        var isPlainMeasured = true
        var losses: [RegionLoss] = []
        /// In which a region is cut off and healed.
        var rounds = 0
        var binary = "/proc/self/exe"
        var directory: String
        var command: String
    }
    /// It was told to stop.
    struct Stopped: Error {}

    let settings: Settings
    let loop: ChaosLoop
    private let signals: SignalSource
    private var current: RegionNodes?
    private var isStopped = false
    private var failure: CommandFailure?
    /// The node whose end is part of the run.
    var lostNode: Int?

    init(_ settings: Settings) throws(CommandFailure) {
        self.settings = settings
        do throws(SystemError) {
            signals = try SignalSource([SignalSource.interrupt, SignalSource.terminate])
            _ = try DescriptorLimit.raise()
            loop = try ChaosLoop()
        } catch {
            throw CommandFailure(.no, "\(error)")
        }
    }

    deinit { tearDown() }

    /// Stops all processes.
    func tearDown() { current?.tearDown() }

    func result() throws -> RegionReport {
        let inferring = try pass(infers: true)
        let plain = settings.isPlainMeasured ? try pass(infers: false) : nil
        var report = RegionReport(
            matrix: settings.matrix,
            seconds: settings.seconds,
            rate: settings.rate,
            inferring: inferring,
            plain: plain,
            command: settings.command
        )
        report.failovers = try failovers()
        report.rounds = try rounds()
        return report
    }

    // MARK: A cluster

    struct Cluster {
        var nodes: RegionNodes
        var monitor: ChaosMonitor
        var load: RegionLoad
        var addresses: [ResolvedAddress]
    }

    /// Starts a cluster with its leader where it is to be.
    func start(_ name: String, infers: Bool) throws -> Cluster {
        let matrix = settings.matrix
        tearDown()
        let nodes = try RegionNodes(
            loop,
            directory: "\(settings.directory)/\(name)",
            matrix: matrix,
            binary: settings.binary
        )
        current = nodes
        // To the best place leadership moves by itself; it need not take its time.
        let moves = settings.leader == .best
        try nodes.writeConfigurations(
            """
              timers: { commit_inference: \(infers) },
              placement: { move_leader: \(moves), stable_seconds: 2 },
            """
        )
        try nodes.startAll()
        let addresses = nodes.file.nodes.compactMap { node in
            node.origin.flatMap {
                ResolvedAddress.numeric(HostPort(host: $0.host, port: $0.port ?? 80))
            }
        }
        let requests = try ChaosRequests(nodes.file)
        let monitor = ChaosMonitor(loop, requests, addresses: addresses)
        guard try run(seconds: 30, { monitor.allReady && monitor.leader != nil }) else {
            let ends = (1...nodes.count).map { nodes.lastLines(of: $0) }
            throw CommandFailure(.no, "the nodes are not ready:\n\(ends.joined(separator: "\n"))")
        }
        try place(nodes, monitor, infers: infers)
        let longest = matrix.milliseconds.flatMap { $0 }.max() ?? 0
        let load = try RegionLoad(
            loop,
            nodes.file,
            addresses: addresses,
            regions: matrix.regions,
            rate: settings.rate,
            patience: 15_000_000_000,
            settling: Int(longest) * 2 + 300
        )
        return Cluster(nodes: nodes, monitor: monitor, load: load, addresses: addresses)
    }

    private func wantedLeader(infers: Bool) -> Int? {
        let trips = settings.matrix.roundTrips
        switch settings.leader {
        case .node(let number): return number
        case .best: return trips.bestLeader(infers: infers).map { $0 + 1 }
        case .worst:
            return (0..<trips.count).max {
                (trips.meanDecision(leader: $0, infers: infers) ?? 0)
                    < (trips.meanDecision(leader: $1, infers: infers) ?? 0)
            }.map { $0 + 1 }
        }
    }

    /// Waits until leadership is where it is to be, or has it handed over.
    func place(_ nodes: RegionNodes, _ monitor: ChaosMonitor, infers: Bool) throws {
        guard let wanted = wantedLeader(infers: infers) else { return }
        let addresses = nodes.file.nodes.compactMap { node in
            node.origin.flatMap {
                ResolvedAddress.numeric(HostPort(host: $0.host, port: $0.port ?? 80))
            }
        }
        let client = ChaosClient(
            loop,
            name: "operator",
            number: -2,
            addresses: addresses,
            limit: 2
        )
        // To the best place it moves by itself if that is worth it; then nobody asks for a while.
        let movesUntil = settings.leader == .best ? loop.now + 10_000_000_000 : 0
        var asksAt: UInt64 = 0
        let isThere = try run(seconds: 30) {
            guard let leader = monitor.leader else { return false }
            if leader == wanted { return true }
            let moves =
                self.loop.now < movesUntil
                && self.isWorthMoving(from: leader, to: wanted, infers: infers)
            if !moves, self.loop.now >= asksAt {
                asksAt = self.loop.now + 2_000_000_000
                self.handOver(nodes, client, from: leader, to: wanted)
            }
            return false
        }
        client.abandon()
        guard isThere else {
            throw CommandFailure(
                .no,
                "node \(wanted) does not lead: \(nodes.lastLines(of: monitor.leader ?? wanted))"
            )
        }
    }

    /// Clearly more than what a leader demands that moves by itself.
    private func isWorthMoving(from leader: Int, to best: Int, infers: Bool) -> Bool {
        let trips = settings.matrix.roundTrips
        guard let here = trips.meanDecision(leader: leader - 1, infers: infers),
            let there = trips.meanDecision(leader: best - 1, infers: infers)
        else { return false }
        return here > there + max(here / 10, 5_000_000)
    }

    private func handOver(_ nodes: RegionNodes, _ client: ChaosClient, from: Int, to: Int) {
        let host = nodes.file.nodes[from - 1].http.dropFirst("http://".count)
        let body = "{\"node\":\(to)}"
        let text =
            "POST /v1/cluster/leader HTTP/1.1\r\nHost: \(host)\r\n"
            + "Authorization: Bearer \(nodes.file.tokens.operate)\r\n"
            + "Content-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        // Whether it worked shows in who leads.
        client.send(
            ChaosClient.Request(
                node: from - 1,
                bytes: Array(text.utf8),
                patience: 5_000_000_000
            ) { _, _, _ in }
        )
    }

    /// Ends a cluster: nothing of it runs any more.
    func end(_ cluster: Cluster) {
        cluster.monitor.end()
        cluster.load.abandon()
        cluster.nodes.tearDown()
        current = nil
    }

    // MARK: Measuring

    private func pass(infers: Bool) throws -> RegionPass {
        let name = infers ? "commit inference" : "plain forwarding"
        Terminal.error("\(settings.matrix.name), \(name): starting \(settings.matrix.count) nodes")
        let cluster = try start(infers ? "inferring" : "plain", infers: infers)
        let leader = cluster.monitor.leader
        let term = cluster.monitor.term
        Terminal.error("node \(leader ?? 0) leads; \(settings.seconds) s of load")
        cluster.load.begin()
        try run(seconds: settings.warmup) { false }
        let began = loop.now
        try run(seconds: settings.seconds) { false }
        let ended = loop.now
        cluster.load.stop()
        try run(seconds: 10) { cluster.load.underWay == 0 }
        let stayed = cluster.monitor.term == term && cluster.monitor.leader == leader
        if let end = cluster.nodes.unexpectedEnd(besides: nil) { throw CommandFailure(.no, end) }
        let samples = cluster.load.samples.filter { $0.sent >= began && $0.sent < ended }
        let regions = settings.matrix.regions.indices.map { region in
            func latencies(_ kind: RegionLoad.Kind) -> Latencies {
                Latencies(
                    samples.filter { $0.region == region && $0.kind == kind }.map(\.latency)
                )
            }
            return RegionPass.Region(
                opened: latencies(.opened),
                decided: latencies(.decided),
                repeated: latencies(.repeated)
            )
        }
        let failures = cluster.load.failures.map { failure in
            "\(settings.matrix.regions[failure.region]): \(failure.kind): \(failure.what)"
        }
        let wrong = cluster.load.wrong
        end(cluster)
        return RegionPass(
            infers: infers,
            leader: stayed ? leader : nil,
            regions: regions,
            failures: failures,
            wrong: wrong
        )
    }

    // MARK: Turning the loop

    private var isOver: Bool {
        while signals.next() != nil { isStopped = true }
        if failure == nil, let end = current?.unexpectedEnd(besides: lostNode) {
            failure = CommandFailure(.no, end)
        }
        return isStopped || failure != nil
    }

    @discardableResult
    func run(seconds: Int, _ condition: () -> Bool) throws -> Bool {
        try run(until: loop.now + UInt64(seconds) * 1_000_000_000, condition)
    }

    @discardableResult
    func run(until end: UInt64, _ condition: () -> Bool) throws -> Bool {
        let holds = try loop.run(until: end) { condition() || isOver }
        if isStopped { throw Stopped() }
        if let failure { throw failure }
        return holds && condition()
    }
}
