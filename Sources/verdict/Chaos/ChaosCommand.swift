import Chaos
import Digest
import FoundationEssentials
import Glibc

/// `verdict chaos`: real nodes under load and faults, judged afterwards.
enum ChaosCommand {
    static let command = Command(
        name: "chaos",
        summary: "real nodes under load and faults; judge what clients were told",
        details: """
            Starts a cluster of its own, posts signed callbacks of many attempts to it as platforms do,
            and brings about faults that a seed decides: kills, pauses, cuts, bad disks, wrong clocks.
            Then it heals the cluster, hears the answers again from every node, reads every timeline, and
            judges it all. Exits 1 if a promise is broken. cluster/chaos builds first and gives it what
            it needs for faults of disks and clocks.

            Ctrl-C ends the faults early and judges what there is; again, or SIGTERM, stops at once.
            All processes, mounts and files go with it; files stay if a promise is broken.
            """,
        options: [
            .init(name: "--seconds", value: "S", help: "load and faults for so long (default 60)"),
            .init(
                name: "--seed",
                value: "K",
                help: "what is posted and what breaks (default random)"
            ),
            .init(name: "--nodes", value: "N", help: "3…5 (default 3)"),
            .init(name: "--rate", value: "R", help: "attempts opened a second (default 40)"),
            .init(name: "--reads", value: "R", help: "reads a second (default 20)"),
            .init(name: "--connections", value: "C", help: "of all platforms (default 96)"),
            .init(
                name: "--patience-ms",
                value: "MS",
                help: "how long a platform waits for an answer (default 4000)"
            ),
            .init(
                name: "--recovery",
                value: "S",
                help: "how long recovery may take after the last fault (default 60)"
            ),
            .init(
                name: "--replays",
                value: "N",
                help: "requests sent again in the end (default 60000)"
            ),
            .init(
                name: "--faults",
                value: "LIST",
                help: "only these kinds, separated by commas; \"none\" for none"
            ),
            .init(name: "--history", value: "FILE", help: "write the history as JSON lines"),
            .init(name: "--report", value: "FILE", help: "write a page of HTML"),
            .json,
            .init(name: "--binary", value: "FILE", help: "the nodes run this build"),
            .init(name: "--faults-source", value: "FILE", help: "cluster/faults.c"),
            .init(
                name: "--data",
                value: "DIR",
                help: "where the nodes' files are, in a new directory (default: temporary)"
            ),
            .init(name: "--keep", help: "leave the files there"),
        ]
    ) { arguments throws(CommandFailure) in
        let settings = try settings(arguments)
        var isKept = arguments.has("--keep")
        let run: ChaosRun
        do throws(CommandFailure) {
            run = try ChaosRun(settings)
        } catch {
            remove(settings.directory)
            throw error
        }
        defer {
            run.tearDown()
            if isKept {
                Terminal.error("the nodes' files are in \(settings.directory)")
            } else {
                remove(settings.directory)
            }
        }
        do {
            let (report, history) = try run.result()
            // Nothing more is asked of the nodes, and writing takes its time.
            run.tearDown()
            if let path = arguments.value("--history") { try save(history, to: path) }
            if let path = arguments.value("--report") { try save(report.page, to: path) }
            Terminal.print(arguments.has("--json") ? try report.json() : report.text)
            if report.judgement.holds { return .done }
            isKept = true
            Terminal.error("again: \(report.command)")
            return .no
        } catch is ChaosRun.Aborted {
            throw CommandFailure(.no, "stopped; nothing was judged")
        } catch let failure as CommandFailure {
            isKept = true
            throw failure
        } catch {
            isKept = true
            throw CommandFailure(.no, "\(error)")
        }
    }

    private static func settings(
        _ arguments: Arguments
    ) throws(CommandFailure) -> ChaosRun.Settings {
        var seed = UInt64.random(in: 1...999_999)
        if let text = arguments.value("--seed") {
            guard let number = UInt64(text), number < 1 << 53 else {
                throw arguments.failure("--seed must be a whole number, is \"\(text)\"")
            }
            seed = number
        }
        var settings = ChaosRun.Settings(seed: seed, directory: try makeDirectory(arguments))
        func take(
            _ name: String,
            _ range: ClosedRange<Int>,
            _ path: WritableKeyPath<ChaosRun.Settings, Int>
        ) throws(CommandFailure) {
            if let number = try arguments.integer(name, range) { settings[keyPath: path] = number }
        }
        do throws(CommandFailure) {
            try take("--seconds", 1...86_400, \.seconds)
            try take("--nodes", 3...ChaosNodes.regions.count, \.nodes)
            try take("--rate", 1...5000, \.rate)
            try take("--reads", 0...1000, \.readRate)
            try take("--connections", 12...4000, \.connections)
            try take("--patience-ms", 100...60_000, \.patience)
            try take("--recovery", 1...3600, \.recovery)
            try take("--replays", 0...10_000_000, \.replays)
            settings.kinds = try kinds(arguments)
        } catch {
            remove(settings.directory)
            throw error
        }
        settings.faultsSource = arguments.value("--faults-source")
        if let binary = arguments.value("--binary") { settings.binary = binary }
        return settings
    }

    private static func kinds(_ arguments: Arguments) throws(CommandFailure) -> Set<FaultKind> {
        guard let text = arguments.value("--faults") else {
            return Set(FaultKind.allCases)
        }
        if text == "none" { return [] }
        var kinds: Set<FaultKind> = []
        for word in text.split(separator: ",") {
            guard let kind = FaultKind(rawValue: String(word)) else {
                let all = FaultKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw arguments.failure("--faults: \"\(word)\" is none of \(all)")
            }
            kinds.insert(kind)
        }
        return kinds
    }

    private static func makeDirectory(_ arguments: Arguments) throws(CommandFailure) -> String {
        let name = "verdict-chaos-\(Hex.string(SecureRandom.bytes(6)))"
        var parent = FileManager.default.temporaryDirectory.path
        if let given = arguments.value("--data") {
            guard !given.isEmpty else { throw arguments.failure("--data must be a path") }
            parent = given.hasPrefix("/") ? given : "\(currentDirectory())/\(given)"
        }
        while parent.count > 1, parent.hasSuffix("/") { parent.removeLast() }
        try verdict.makeDirectory(parent)
        try verdict.makeDirectory("\(parent)/\(name)")
        return "\(parent)/\(name)"
    }

    private static func remove(_ directory: String) {
        do {
            try FileManager.default.removeItem(atPath: directory)
        } catch {
            Terminal.error("\(directory) cannot be removed: \(error)")
        }
    }

    private static func save(_ text: String, to path: String) throws(CommandFailure) {
        do {
            try Data(text.utf8).write(to: URL(filePath: path))
        } catch {
            throw CommandFailure(.no, "cannot write \(path): \(error)")
        }
    }

    /// All operations in the order in which they began, one a line.
    private static func save(_ history: History, to path: String) throws(CommandFailure) {
        let places = history.byAttempt()
        var operations: [RegisterOperation] = []
        for attempt in places.indices {
            operations += history.registerOperations(of: attempt, places[attempt])
        }
        operations.sort { $0.invoked < $1.invoked }
        var text = ""
        for operation in operations { text += operation.json + "\n" }
        try save(text, to: path)
    }
}
