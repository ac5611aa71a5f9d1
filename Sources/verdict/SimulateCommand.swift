import Glibc
import Simulator

/// Runs whole clusters in a deterministic world.
enum SimulateCommand {
    static let command = Command(
        name: "simulate",
        summary: "look for broken promises in simulated clusters",
        details: """
            Each run is a cluster of one, three or five whole nodes, their network, disks and clocks,
            and the platforms that call them, in one deterministic world that a seed decides. Faults
            come for as long as the seed says; then the world heals, and the cluster has to.
            On a broken promise prints the seed, what was broken and the command that replays it.
            """,
        options: [
            .init(name: "--seed", value: "K", help: "the first seed (default: drawn)"),
            .init(
                name: "--runs",
                value: "N",
                help: "seeds to run (default 1 with --seed, else 20)"
            ),
            .init(name: "--minutes", value: "M", help: "virtual minutes of a run (default 10)"),
            .init(name: "--seconds", value: "S", help: "stop starting runs after S real seconds"),
            .init(name: "--jobs", value: "J", help: "processes at a time (default: one a core)"),
            .init(name: "--nodes", value: "N", help: "nodes, instead of what the seed draws"),
            .init(name: "--keep-going", help: "do not stop at the first violation"),
            .init(name: "--corpus", value: "FILE", help: "run the seeds of a file instead"),
            .init(name: "--trace", help: "print what happens"),
            .init(name: "--trace-from", value: "S", help: "the same, from virtual second S on"),
            .init(name: "--minimize", help: "leave out what a failing run does not need"),
            .init(name: "--drop-faults", value: "LIST", help: "planned faults left out: 0-4,7"),
            .init(name: "--drop-attempts", value: "LIST", help: "planned attempts left out"),
            .init(
                name: "--without",
                value: "LIST",
                help: "of loss, duplication, reordering, corruption, jitter, skew, directories"
            ),
            .init(name: "--mutant", value: "NAME", help: "plant this bug (mutant builds only)"),
            .init(name: "--mutants", help: "find every planted bug (mutant builds only)"),
            .init(name: "--worker", help: "print results for a parent process"),
            .init(name: "--stride", value: "N", help: "distance between seeds"),
        ],
        run: run
    )

    private static func run(_ arguments: Arguments) throws(CommandFailure) -> ExitStatus {
        let options = try options(arguments)
        let usual = arguments.has("--mutants") ? 200 : arguments.has("--seed") ? 1 : 20
        let runs = try arguments.integer("--runs", 1...Int.max) ?? usual
        if arguments.has("--worker") { return try work(options, runs, arguments) }
        if arguments.has("--trace") || arguments.has("--trace-from") {
            return try trace(options, arguments)
        }
        let extra = try mutant(arguments)
        if arguments.has("--minimize") { return try minimize(options, extra) }
        var search = SimulateSearch(
            options: options,
            extra: extra,
            jobs: try arguments.integer("--jobs", 1...256)
                ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        )
        search.seconds = try arguments.integer("--seconds", 1...1_000_000)
        if arguments.has("--mutants") {
            return try SimulateMutants.run(search, from: options.seed, upTo: UInt64(runs))
        }
        if let file = arguments.value("--corpus") { return try corpus(file, search) }
        Terminal.print("base seed \(options.seed)")
        var totals = RunTotals()
        let goesOn = arguments.has("--keep-going")
        let limit = search.seconds != nil && !arguments.has("--runs") ? 1_000_000 : runs
        try search.run(from: options.seed, runs: UInt64(limit)) { report in
            totals.add(report)
            Terminal.print(report.summary)
            if let violation = report.violation {
                var failed = options
                failed.seed = report.seed
                explain(violation, failed, extra)
            }
            return report.violation == nil || goesOn
        }
        Terminal.print(totals.text)
        return totals.violations == 0 ? .done : .no
    }

    /// Says what was broken and how to see it again.
    static func explain(_ violation: Violation, _ options: RunOptions, _ extra: [String]) {
        let words = (options.arguments + extra).joined(separator: " ")
        Terminal.print(
            """
            VIOLATION of \(violation.checker), seed \(options.seed), after \
            \(violation.at / 1_000_000) virtual ms
              \(violation.what)
              replay:   verdict simulate \(words) --trace
              minimize: verdict simulate \(words) --minimize
            """
        )
    }

    private static func options(_ arguments: Arguments) throws(CommandFailure) -> RunOptions {
        let seed =
            try arguments.integer("--seed", 0...Int.max) ?? Int.random(in: 0..<1_000_000_000)
        var options = RunOptions(seed: UInt64(seed))
        options.minutes = try arguments.integer("--minutes", 1...100_000) ?? 10
        options.nodes = try arguments.integer("--nodes", 1...9)
        options.droppedFaults = try list("--drop-faults", arguments)
        options.droppedAttempts = try list("--drop-attempts", arguments)
        for name in (arguments.value("--without") ?? "").split(separator: ",") {
            guard let ambient = RunOptions.Ambient(rawValue: String(name)) else {
                throw arguments.failure("--without does not know \"\(name)\"")
            }
            options.without.insert(ambient)
        }
        return options
    }

    private static func list(_ name: String, _ arguments: Arguments) throws(CommandFailure)
        -> Set<Int>
    {
        guard let text = arguments.value(name) else { return [] }
        guard let numbers = RunOptions.numbers(in: text) else {
            throw arguments.failure("\(name) must be like 0-4,7, is \"\(text)\"")
        }
        return numbers
    }

    private static func mutant(_ arguments: Arguments) throws(CommandFailure) -> [String] {
        guard let name = arguments.value("--mutant") else { return [] }
        guard SimulateMutants.names.contains(name) else {
            throw arguments.failure(
                SimulateMutants.names.isEmpty
                    ? "this build holds no mutants" : "there is no mutant \"\(name)\""
            )
        }
        return ["--mutant", name]
    }

    // MARK: One process

    /// Runs seeds in this process, and tells the parent of each.
    private static func work(
        _ options: RunOptions,
        _ runs: Int,
        _ arguments: Arguments
    ) throws(CommandFailure) -> ExitStatus {
        let stride = try arguments.integer("--stride", 1...100_000) ?? 1
        var options = options
        for _ in 0..<runs {
            Terminal.print("begin\t\(options.seed)")
            let start = processorTime()
            let result = World(options).run()
            Terminal.print(RunReport(result, took: processorTime() - start).line)
            options.seed += UInt64(stride)
        }
        return .done
    }

    private static func trace(
        _ options: RunOptions,
        _ arguments: Arguments
    ) throws(CommandFailure) -> ExitStatus {
        let since = try arguments.integer("--trace-from", 0...1_000_000) ?? 0
        _ = try mutant(arguments)
        let world = World(options, since: UInt64(since) * 1_000_000_000) { Terminal.print($0) }
        let start = processorTime()
        let result = world.run()
        Terminal.print(RunReport(result, took: processorTime() - start).summary)
        Terminal.print("digest of the trace: \(result.digest)")
        return result.violation == nil ? .done : .no
    }

    private static func minimize(
        _ options: RunOptions,
        _ extra: [String]
    ) throws(CommandFailure) -> ExitStatus {
        guard let violation = try SimulateSearch.once(options, extra: extra).violation else {
            Terminal.print("seed \(options.seed) does not fail")
            return .done
        }
        var minimizer = SimulateMinimizer(options, checker: violation.checker, extra: extra)
        try minimizer.minimize()
        let smallest = try SimulateSearch.once(minimizer.options, extra: extra)
        explain(smallest.violation ?? violation, minimizer.options, extra)
        return .no
    }

    /// Milliseconds of processor time that this process has used.
    private static func processorTime() -> UInt64 {
        UInt64(clock()) * 1000 / UInt64(CLOCKS_PER_SEC)
    }

    // MARK: Corpus

    /// Runs the seeds of a file: one a line, `SEED [MINUTES]`, with `#` before why it is there.
    private static func corpus(
        _ file: String,
        _ search: SimulateSearch
    ) throws(CommandFailure) -> ExitStatus {
        var totals = RunTotals()
        for (number, line) in try lines(of: file).enumerated() {
            let words = line.prefix { $0 != "#" }.split(separator: " ")
            guard !words.isEmpty else { continue }
            var options = search.options
            guard let seed = UInt64(words[0]), words.count <= 2,
                let minutes = words.count == 2 ? Int(words[1]) : options.minutes
            else { throw CommandFailure(.usage, "\(file):\(number + 1): not a seed: \(line)") }
            options.seed = seed
            options.minutes = minutes
            let report = try SimulateSearch.once(options)
            totals.add(report)
            Terminal.print(report.summary)
            if let violation = report.violation { explain(violation, options, []) }
        }
        Terminal.print(totals.text)
        return totals.violations == 0 ? .done : .no
    }

    private static func lines(of file: String) throws(CommandFailure) -> [Substring] {
        guard let stream = unsafe fopen(file, "r") else {
            throw CommandFailure(.usage, "\(file) cannot be read: errno \(errno)")
        }
        defer { unsafe fclose(stream) }
        var bytes: [UInt8] = []
        while case let byte = unsafe fgetc(stream), byte >= 0 { bytes.append(UInt8(byte)) }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }
}
