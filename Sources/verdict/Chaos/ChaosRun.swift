import Chaos
import Digest
import Glibc
import HTTP
import Reactor
import Server

/// One chaos run: real nodes under load and faults, healed, heard again, read, and judged.
final class ChaosRun {
    struct Settings {
        var seed: UInt64
        var seconds = 60
        var nodes = 3
        var rate = 40
        var readRate = 20
        var connections = 96
        /// Milliseconds that a platform waits.
        var patience = 4000
        /// Seconds that recovery may take.
        var recovery = 60
        /// Requests that are sent again in the end.
        var replays = 60_000
        var kinds: Set<FaultKind> = []
        var binary = "/proc/self/exe"
        var faultsSource: String?
        var directory: String
    }
    /// It was told to stop at once.
    struct Aborted: Error {}

    private let settings: Settings
    private let loop: ChaosLoop
    private let signals: SignalSource
    private let nodes: ChaosNodes
    private let requests: ChaosRequests
    private let addresses: [ResolvedAddress]
    private let schedule: FaultSchedule
    private let progress = ChaosProgress()
    private var notes: [String] = []
    private var facts = RunFacts()
    /// When the load began, and whether it goes on.
    private var loadBegan: UInt64 = 0
    private var isLoaded = false
    private var isInterrupted = false
    private var isAborted = false
    private var failure: CommandFailure?

    init(_ settings: Settings) throws(CommandFailure) {
        self.settings = settings
        do throws(SystemError) {
            signals = try SignalSource([SignalSource.interrupt, SignalSource.terminate])
            _ = try DescriptorLimit.raise()
            loop = try ChaosLoop()
        } catch {
            throw CommandFailure(.no, "\(error)")
        }
        nodes = try ChaosNodes(
            loop,
            directory: settings.directory,
            count: settings.nodes,
            binary: settings.binary
        )
        requests = try ChaosRequests(nodes.file)
        addresses = nodes.file.nodes.compactMap { node in
            node.origin.flatMap {
                ResolvedAddress.numeric(HostPort(host: $0.host, port: $0.port ?? 80))
            }
        }
        var random = ChaosRandom(seed: settings.seed, stream: "disk")
        schedule = FaultSchedule(
            seed: settings.seed,
            seconds: settings.seconds,
            nodes: settings.nodes,
            diskNode: random.below(settings.nodes),
            kinds: settings.kinds
        )
    }

    /// Stops all processes and takes away what was mounted.
    func tearDown() { nodes.tearDown() }

    // MARK: The parts of a run

    func result() throws -> (report: ChaosReport, history: History) {
        let faults = try prepare()
        Terminal.error(
            "seed \(settings.seed): \(faults.count) faults in \(settings.seconds) s\n"
                + schedule.text
        )
        for node in nodes.nodes { try nodes.start(node) }
        let monitor = ChaosMonitor(loop, requests, addresses: addresses)
        guard try run(seconds: 30, { monitor.allReady }) else {
            let ends = nodes.nodes.map { nodes.lastLines(of: $0.number) }
            throw CommandFailure(.no, "the nodes are not ready: \(ends.joined(separator: "\n"))")
        }
        let load = ChaosLoad(
            loop,
            ChaosLoad.Settings(
                seed: settings.seed,
                rate: settings.rate,
                readRate: settings.readRate,
                connections: settings.connections,
                patience: UInt64(settings.patience) * 1_000_000
            ),
            requests,
            addresses: addresses,
            regions: nodes.file.nodes.map(\.region)
        )
        load.begin()
        isLoaded = true
        loadBegan = loop.now
        let director = ChaosFaults(loop, nodes, load, monitor, seed: settings.seed)
        director.plan(schedule, only: Set(faults.map(\.number)), from: loadBegan)
        try chaos(load, director, monitor, until: loadBegan + seconds(settings.seconds))
        let end = try heal(load, director, monitor)
        let sweep = try settle(load, director, monitor)
        progress.say("judging")
        return judge(load, director, monitor, sweep, end: end)
    }

    private func seconds(_ number: Int) -> UInt64 { UInt64(number) * 1_000_000_000 }

    /// - Returns: the faults that can be brought about on this machine.
    private func prepare() throws(CommandFailure) -> [PlannedFault] {
        let wanted = schedule.faults
        var isPreloadable = false
        if wanted.contains(where: { $0.kind.needsPreload || $0.kind == .fullDisk }) {
            let problem = try nodes.compile(settings.faultsSource)
            isPreloadable = problem == nil
            if let problem { notes.append("no faults of clocks and disks: \(problem)") }
        }
        var canFill = isPreloadable
        if let fault = wanted.first(where: { $0.kind == .fullDisk }) {
            let megabytes = 64 + settings.seconds * settings.rate / 200
            if let problem = try nodes.mount(fault.node + 1, megabytes: megabytes) {
                notes.append(
                    "\(problem); a full disk is "
                        + (isPreloadable ? "said to be full by the library" : "left out")
                )
            } else {
                canFill = true
            }
        }
        try nodes.writeConfigurations()
        return wanted.filter { fault in
            if fault.kind == .fullDisk { return canFill }
            return isPreloadable || !fault.kind.needsPreload
        }
    }

    private func chaos(
        _ load: ChaosLoad,
        _ director: ChaosFaults,
        _ monitor: ChaosMonitor,
        until end: UInt64
    ) throws {
        tellProgress(load, director, monitor)
        try run(until: end) { self.isInterrupted }
        if isInterrupted { Terminal.error("\nended early; again to stop at once") }
        try director.takeFailure()
    }

    /// Ends all faults, and waits until the cluster decides again.
    ///
    /// - Returns: when the load was at its end, for what is shown over time.
    private func heal(
        _ load: ChaosLoad,
        _ director: ChaosFaults,
        _ monitor: ChaosMonitor
    ) throws -> UInt64 {
        isLoaded = false
        progress.say("all faults are over; waiting for recovery")
        director.endAll()
        for node in nodes.nodes where node.downs == 0 { try nodes.start(node) }
        monitor.forget()
        let healed = loop.now
        facts.healed = healed
        facts.recoveryBound = seconds(settings.recovery)
        var decided: UInt64?
        load.decided = { sent, ended in
            if sent >= healed, decided == nil { decided = ended }
        }
        var ready: UInt64?
        try run(until: healed + facts.recoveryBound) {
            if ready == nil, monitor.allReady { ready = self.loop.now }
            return decided != nil && ready != nil
        }
        facts.decidedAfter = decided.map { $0 - healed }
        facts.readyAfter = ready.map { $0 - healed }
        // What was posted into the faults is still being retried; new attempts show the calm.
        try run(seconds: 2) { false }
        load.stopOpening()
        let end = loop.now
        try run(until: end + seconds(settings.recovery)) { load.pending == 0 }
        return end
    }

    private func settle(
        _ load: ChaosLoad,
        _ director: ChaosFaults,
        _ monitor: ChaosMonitor
    ) throws -> ChaosSweep {
        let sweep = ChaosSweep(loop, load, requests, addresses: addresses)
        let isOver = { self.isOver }
        progress.say("hearing answers again")
        try sweep.replay(limit: settings.replays, until: isOver)
        // The log's time may be ahead by as much as a clock was, and deadlines with it.
        let wait = AttemptScript.grace * 1000 + director.largestLead + 2000
        progress.say("waiting \(wait / 1000) s for deadlines")
        try run(until: loop.now + UInt64(wait) * 1_000_000) { false }
        try run(seconds: settings.recovery) { monitor.isLevel }
        progress.say("reading \(load.opened.count) attempts at \(settings.nodes) nodes")
        try sweep.read(until: isOver)
        let patience = loop.now + seconds(settings.recovery)
        while !isOver(), loop.now < patience {
            // Repeats are counted in batches; they may still be on their way.
            let wrong = try sweep.readAgain(until: isOver) { _ in false }
            if wrong == 0 { break }
            try run(seconds: 1) { false }
        }
        facts.unread = sweep.unread
        facts.unexpectedEnds = nodes.unexpectedEnds
        if isAborted { throw Aborted() }
        monitor.end()
        load.abandon()
        sweep.abandon()
        return sweep
    }

    private func judge(
        _ load: ChaosLoad,
        _ director: ChaosFaults,
        _ monitor: ChaosMonitor,
        _ sweep: ChaosSweep,
        end: UInt64
    ) -> (report: ChaosReport, history: History) {
        let history = load.history
        if load.heldBack > 0 {
            notes.append("\(load.heldBack) openings were left out: too much waited already")
        }
        if load.givenUp > 0 {
            notes.append("\(load.givenUp) deliveries were given up after their last try")
        }
        let places = history.byAttempt()
        let operations = places.indices.reduce(0) {
            $0 + history.registerOperations(of: $1, places[$1]).count
        }
        let report = ChaosReport(
            settings: ChaosReport.Settings(
                seed: settings.seed,
                seconds: settings.seconds,
                nodes: settings.nodes,
                regions: nodes.file.nodes.map(\.region),
                rate: settings.rate,
                connections: settings.connections
            ),
            series: RunSeries(history, end: end),
            faults: director.injected.sorted { $0.began < $1.began },
            sights: monitor.sights.filter { $0.at <= end },
            judgement: Judgement(history, views: sweep.views, facts),
            facts: facts,
            attempts: history.scripts.count,
            exchanges: history.exchanges.count,
            replays: sweep.replays,
            registerOperations: operations,
            notes: notes + director.notes,
            interrupted: isInterrupted,
            command: "cluster/chaos --seconds \(settings.seconds) --seed \(settings.seed)"
        )
        return (report, history)
    }

    // MARK: Turning the loop

    private var isOver: Bool {
        while let signal = signals.next() {
            if signal == SignalSource.terminate || isInterrupted { isAborted = true }
            isInterrupted = true
        }
        if failure == nil {
            do throws(CommandFailure) {
                try nodes.supervise()
            } catch {
                failure = error
            }
        }
        return isAborted || failure != nil
    }

    @discardableResult
    private func run(seconds: Int, _ condition: () -> Bool) throws -> Bool {
        try run(until: loop.now + self.seconds(seconds), condition)
    }

    @discardableResult
    private func run(until end: UInt64, _ condition: () -> Bool) throws -> Bool {
        let holds = try loop.run(until: end) { condition() || isOver }
        if isAborted { throw Aborted() }
        if let failure { throw failure }
        return holds && condition()
    }

    private func tellProgress(
        _ load: ChaosLoad,
        _ director: ChaosFaults,
        _ monitor: ChaosMonitor,
        since earlier: Int = 0
    ) {
        guard isLoaded else { return }
        let decisions = load.decisions
        let latency = load.takeRecent()
        progress.tell(
            """
            \((loop.now - loadBegan) / 1_000_000_000)/\(settings.seconds) s  \(decisions - earlier)/s  \
            p50 \(latency.quantile(0.5) / 1_000_000) ms  p99 \(latency.quantile(0.99) / 1_000_000) ms  \
            leader \(monitor.leader.map(String.init) ?? "none") term \(monitor.term)  \
            waiting \(load.underWay)  violations \(load.liveViolations + nodes.unexpectedEnds.count)  \
            \(director.names.joined(separator: ", "))
            """
        )
        loop.after(milliseconds: 1000) { [weak self, weak load, weak director, weak monitor] in
            guard let self, let load, let director, let monitor else { return }
            self.tellProgress(load, director, monitor, since: decisions)
        }
    }
}

/// The line that says how a run is going: one that changes on a terminal, one in a while elsewhere.
final class ChaosProgress {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var told = 0

    func tell(_ text: String) {
        told += 1
        if isTerminal {
            write("\r\u{1b}[K" + text)
        } else if told % 5 == 1 {
            write(text + "\n")
        }
    }

    func say(_ text: String) { write((isTerminal ? "\r\u{1b}[K" : "") + text + "\n") }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        unsafe bytes.withUnsafeBytes { buffer in
            // Nobody is left to be told if it fails.
            unsafe _ = Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
        }
    }
}
