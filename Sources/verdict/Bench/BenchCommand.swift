import FoundationEssentials

/// `verdict bench`: loads a running cluster and says what it gave.
enum BenchCommand {
    static let command = Command(
        name: "bench",
        summary: "load a running cluster; throughput and latency percentiles",
        details: """
            A closed loop: each connection sends its next request when it has the answer to the last.
            fresh opens attempts and decides them by a signed Twilio callback at the next node;
            retry sends each callback three times, to three nodes; dup repeats the callbacks of
            attempts that were decided before. Every answer is checked: status, disposition, bytes.
            What gets no answer is asked again at the next node, and its latency counts from its first
            try. In the end a sample is read back. Exits 1 if an answer was wrong or an outcome lost.
            Ctrl-C ends the load and prints what was measured.
            """,
        options: [
            .cluster, .json,
            .init(name: "--workload", value: "NAME", help: "fresh (default), retry or dup"),
            .init(name: "--connections", value: "C", help: "1…10000, over all nodes (default 64)"),
            .init(name: "--seconds", value: "S", help: "how long to measure (default 10)"),
            .init(name: "--warmup", value: "S", help: "seconds before that (default 2)"),
            .init(
                name: "--attempts",
                value: "N",
                help: "decided attempts that dup uses (default 2000)"
            ),
            .init(name: "--report", value: "FILE", help: "write a page of HTML"),
            .init(
                name: "--disk",
                value: "DIR",
                help: "only measure this directory's disk: 4 KiB writes with fdatasync"
            ),
            .init(
                name: "--state",
                value: "DIR",
                help:
                    "only measure the state store: fill DIR with --decided attempts, or with 0 load it"
            ),
            .init(name: "--decided", value: "N", help: "attempts for --state (default 0)"),
            .init(
                name: "--backup",
                value: "DIR2",
                help: "with --state: also as a backup, of which verdict restore makes a cluster"
            ),
        ]
    ) { arguments throws(CommandFailure) in
        if let directory = arguments.value("--disk") {
            Terminal.print(try DiskBench.measure(directory))
            return .done
        }
        if let directory = arguments.value("--state") {
            let decided = try arguments.integer("--decided", 0...1_000_000_000) ?? 0
            Terminal.print(try StateBench.measure(directory, attempts: decided))
            if let backup = arguments.value("--backup") {
                Terminal.print(try StateBench.backUp(directory, to: backup))
            }
            return .done
        }
        let file = try ClusterFile.load(arguments)
        let text = arguments.value("--workload") ?? "fresh"
        guard let name = BenchWorkload.Name(rawValue: text) else {
            throw arguments.failure("--workload must be fresh, retry or dup, is \"\(text)\"")
        }
        let settings = BenchRun.Settings(
            name: name,
            connections: try arguments.integer("--connections", 1...10_000) ?? 64,
            seconds: try arguments.integer("--seconds", 1...86_400) ?? 10,
            warmup: try arguments.integer("--warmup", 0...3600) ?? 2,
            attempts: try arguments.integer("--attempts", 1...1_000_000) ?? 2000
        )
        let result = try BenchRun(file, settings).result()
        Terminal.print(
            arguments.has("--json") ? BenchReport.json(result) : BenchReport.text(result)
        )
        if let path = arguments.value("--report") {
            do {
                try Data(BenchReport.page(result).utf8).write(to: URL(filePath: path))
            } catch {
                throw CommandFailure(.no, "cannot write \(path): \(error)")
            }
        }
        return result.isRight ? .done : .no
    }
}
