import Digest
import FoundationEssentials
import HTTP
import Reactor
import Server

/// `verdict bench`: loads a running cluster and says what it gave.
enum BenchCommand {
    static let command = Command(
        name: "bench",
        summary: "load a running cluster; throughput and latency percentiles",
        details: """
            A closed loop: each connection sends its next request when it has the answer to the last.
            fresh opens attempts and decides them by a signed Twilio callback at the next node;
            retry sends each callback three times, to three nodes; dup repeats the callbacks of
            attempts that were decided before. Every answer is checked. Exits 1 if one was wrong.
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
        ]
    ) { arguments throws(CommandFailure) in
        if let directory = arguments.value("--disk") {
            Terminal.print(try DiskBench.measure(directory))
            return .done
        }
        let file = try ClusterFile.load(arguments)
        let text = arguments.value("--workload") ?? "fresh"
        guard let name = BenchWorkload.Name(rawValue: text) else {
            throw arguments.failure("--workload must be fresh, retry or dup, is \"\(text)\"")
        }
        let settings = Settings(
            name: name,
            connections: try arguments.integer("--connections", 1...10_000) ?? 64,
            seconds: try arguments.integer("--seconds", 1...86_400) ?? 10,
            warmup: try arguments.integer("--warmup", 0...3600) ?? 2,
            attempts: try arguments.integer("--attempts", 1...1_000_000) ?? 2000
        )
        let result: BenchResult
        do throws(SystemError) {
            result = try measure(file, settings)
        } catch {
            throw CommandFailure(.unreachable, "\(error)")
        }
        guard result.tally.count > 0 else {
            throw CommandFailure(.unreachable, "no node answered")
        }
        if let path = arguments.value("--report") {
            do {
                try Data(BenchReport.page(result).utf8).write(to: URL(filePath: path))
            } catch {
                throw CommandFailure(.no, "cannot write \(path): \(error)")
            }
        }
        Terminal.print(
            arguments.has("--json") ? BenchReport.json(result) : BenchReport.text(result)
        )
        return result.isRight ? .done : .no
    }

    struct Settings {
        var name: BenchWorkload.Name
        var connections: Int
        var seconds: Int
        var warmup: Int
        var attempts: Int
    }

    private static func measure(
        _ file: ClusterFile,
        _ settings: Settings
    ) throws(SystemError) -> BenchResult {
        let origins = file.nodes.compactMap(\.origin)
        let prefix = "bench-" + Hex.string(SecureRandom.bytes(4))
        let workload = BenchWorkload(
            hosts: origins.map { "\($0.host):\($0.port ?? 80)" },
            origins: file.nodes.map(\.public),
            ingestToken: file.tokens.ingest,
            twilioSecret: file.providers.twilio?.secret ?? "",
            prefix: prefix
        )
        var addresses: [ResolvedAddress] = []
        for origin in origins {
            addresses.append(
                try ResolvedAddress.find(
                    HostPort(host: origin.host, port: origin.port ?? 80)
                )
            )
        }
        let signals = try SignalSource([SignalSource.interrupt, SignalSource.terminate])
        var wasStopped = false
        let loop = try BenchLoop(
            workload: workload,
            name: settings.name,
            addresses: addresses,
            connections: settings.connections,
            prepared: settings.attempts
        ) {
            if signals.next() != nil { wasStopped = true }
            return wasStopped
        }
        if settings.name == .dup {
            Terminal.error("preparing \(settings.attempts) decided attempts")
            try loop.run(until: Clock.monotonic() + 120_000_000_000) { loop.isPrepared }
            guard loop.isPrepared else {
                throw SystemError("prepare \(settings.attempts) decided attempts", code: 110)
            }
        }
        try loop.run(until: Clock.monotonic() + UInt64(settings.warmup) * 1_000_000_000)
        let beforeWrong = loop.tally.wrong
        let firstWrong = loop.tally.firstWrong
        loop.resetTally()

        var result = BenchResult(settings: settings, nodes: file.nodes.count)
        let start = Clock.monotonic()
        var last = LatencyHistogram()
        var lastErrors: UInt64 = 0
        for second in 1...settings.seconds where !wasStopped {
            try loop.run(until: start + UInt64(second) * 1_000_000_000)
            let all = loop.tally.all
            let slice = BenchResult.Slice(
                second: second,
                answered: all.count - last.count,
                errors: loop.tally.errors - lastErrors,
                median: all.subtracting(last).quantile(0.5),
                p99: all.subtracting(last).quantile(0.99)
            )
            result.slices.append(slice)
            Terminal.error(slice.line(of: settings.seconds, wrong: loop.tally.wrong))
            last = all
            lastErrors = loop.tally.errors
        }
        result.nanoseconds = Clock.monotonic() - start
        result.tally = loop.tally
        result.tally.wrong += beforeWrong
        result.tally.firstWrong = firstWrong ?? loop.tally.firstWrong
        result.readBack = readBack(loop.decided, workload, file)
        return result
    }

    /// Reads a sample of what was acknowledged from the nodes in turn, linearizably.
    private static func readBack(
        _ decided: [Int],
        _ workload: BenchWorkload,
        _ file: ClusterFile
    ) -> BenchResult.ReadBack {
        var outcome = BenchResult.ReadBack()
        let stride = max(1, decided.count / 200)
        // A node that does not answer is asked once only.
        var silent: Set<Int> = []
        for (turn, i) in Swift.stride(from: 0, to: decided.count, by: stride).enumerated() {
            let name = workload.attemptName(decided[i])
            let node = turn % file.nodes.count
            guard !silent.contains(node) else {
                outcome.unreadable += 1
                continue
            }
            guard let origin = file.nodes[node].origin,
                let reply = try? HTTPClient.send(
                    "GET",
                    origin,
                    "/v1/attempts/\(name)",
                    headers: [("Authorization", "Bearer \(file.tokens.read)")],
                    within: .seconds(10)
                )
            else {
                silent.insert(node)
                outcome.unreadable += 1
                continue
            }
            let view: AttemptState? = JSON.decode(reply.body)
            if reply.status == 200, view?.state == "verified" {
                outcome.right += 1
            } else {
                outcome.wrong.append(name)
            }
        }
        return outcome
    }

    private struct AttemptState: Decodable {
        var state: String
    }
}
