import Glibc
import Simulator

/// Runs whole clusters in a deterministic world.
enum SimulateCommand {
    static let command = Command(
        name: "simulate",
        summary: "look for broken promises in simulated clusters",
        options: [
            .init(name: "--seed", value: "K", help: "the first run's seed (default: drawn)"),
            .init(name: "--runs", value: "N", help: "runs (default 1 with a seed, else 20)"),
            .init(name: "--minutes", value: "M", help: "virtual minutes of each run (default 10)"),
            .init(name: "--trace", help: "print what happens"),
        ]
    ) { arguments throws(CommandFailure) in
        let seed =
            try arguments.integer("--seed", 0...Int.max) ?? Int.random(in: 0...1_000_000_000)
        let runs = try arguments.integer("--runs", 1...Int.max) ?? 1
        let minutes = try arguments.integer("--minutes", 1...100_000) ?? 10
        for number in 0..<runs {
            var options = RunOptions(seed: UInt64(seed + number))
            options.minutes = Double(minutes)
            let start = clock()
            Terminal.error("seed \(options.seed)")
            let world = World(
                options,
                print: arguments.has("--trace") ? { Terminal.print($0) } : nil
            )
            let result = world.run()
            let took = Double(clock() - start) / Double(CLOCKS_PER_SEC)
            Terminal.print(
                "seed \(options.seed) \(result.digest) \(result.virtualTime / 1_000_000_000)s in \(took)s \(result.statistics)"
            )
            if let violation = result.violation {
                Terminal.print("VIOLATION \(violation)")
                return .no
            }
        }
        return .done
    }
}
