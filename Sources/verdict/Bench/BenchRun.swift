import Digest
import HTTP
import Reactor
import Server

/// One run: what is needed first, the warm-up, the measurement, and the reading back.
struct BenchRun {
    struct Settings {
        var name: BenchWorkload.Name
        var connections: Int
        var seconds: Int
        var warmup: Int
        var attempts: Int
    }

    private static let second: UInt64 = 1_000_000_000

    private let file: ClusterFile
    private let settings: Settings
    private let workload: BenchWorkload
    private let loop: BenchLoop

    init(_ file: ClusterFile, _ settings: Settings) throws(CommandFailure) {
        self.file = file
        self.settings = settings
        let origins = file.nodes.compactMap(\.origin)
        if let secure = origins.first(where: \.isSecure) {
            throw CommandFailure(.usage, "\(secure): https is not supported here")
        }
        guard let secret = file.providers.twilio?.secret else {
            throw CommandFailure(.usage, "the cluster file has no Twilio secret to sign with")
        }
        workload = BenchWorkload(
            hosts: origins.map { String($0.description.dropFirst("http://".count)) },
            origins: file.nodes.map(\.public),
            ingestToken: file.tokens.ingest,
            twilioSecret: secret,
            prefix: "bench-" + Hex.string(SecureRandom.bytes(4))
        )
        do throws(SystemError) {
            var addresses: [ResolvedAddress] = []
            for origin in origins {
                let place = HostPort(host: origin.host, port: origin.port ?? 80)
                addresses.append(try ResolvedAddress.find(place))
            }
            loop = try BenchLoop(
                workload: workload,
                name: settings.name,
                addresses: addresses,
                connections: settings.connections,
                prepared: settings.attempts,
                seed: .random(in: .min ... .max)
            )
        } catch {
            throw CommandFailure(.unreachable, "\(error)")
        }
    }

    /// - Throws: why nothing could be measured.
    func result() throws(CommandFailure) -> BenchResult {
        if settings.name == .dup { try prepare() }
        try run(until: Clock.monotonic() + UInt64(settings.warmup) * BenchRun.second)
        guard !loop.wasStopped else {
            throw CommandFailure(.no, "stopped before anything was measured")
        }
        var result = try measure()
        guard result.tally.count > 0 || result.tally.wrong > 0 else {
            throw CommandFailure(.unreachable, "no node answered")
        }
        // One signal ends the load, another one the reading.
        var isStopped = false
        result.readBack.read(loop.decided, workload, file) {
            if loop.takeSignal() { isStopped = true }
            return isStopped
        }
        return result
    }

    private func prepare() throws(CommandFailure) {
        Terminal.error("preparing \(settings.attempts) decided attempts")
        let limit: UInt64 = 120
        try run(until: Clock.monotonic() + limit * BenchRun.second) {
            loop.isPrepared || loop.tally.wrong > 0
        }
        guard loop.tally.wrong == 0 else {
            throw CommandFailure(.no, "a wrong answer: \(loop.tally.firstWrong ?? "")")
        }
        guard !loop.wasStopped else {
            throw CommandFailure(.no, "stopped before anything was measured")
        }
        guard loop.isPrepared else {
            throw CommandFailure(
                .unreachable,
                "\(settings.attempts) attempts are not decided within \(limit) s"
            )
        }
    }

    private func measure() throws(CommandFailure) -> BenchResult {
        // Wrong is wrong, also while warming up.
        let earlier = loop.tally
        loop.resetTally()
        var result = BenchResult(settings: settings, nodes: file.nodes.count)
        let processorTime = ProcessorTime.used()
        let start = Clock.monotonic()
        var last = LatencyHistogram()
        var lastErrors: UInt64 = 0
        var lastTime = start
        for second in 1...settings.seconds where !loop.wasStopped {
            try run(until: start + UInt64(second) * BenchRun.second)
            let now = Clock.monotonic()
            let all = loop.tally.all
            let recent = all.subtracting(last)
            let slice = BenchResult.Slice(
                second: second,
                answered: recent.count,
                nanoseconds: now - lastTime,
                errors: loop.tally.errors - lastErrors,
                median: recent.quantile(0.5),
                p99: recent.quantile(0.99)
            )
            result.slices.append(slice)
            Terminal.error(
                slice.line(of: settings.seconds, wrong: loop.tally.wrong + earlier.wrong)
            )
            last = all
            lastErrors = loop.tally.errors
            lastTime = now
        }
        result.nanoseconds = lastTime - start
        result.processorTime = ProcessorTime.used() - processorTime
        result.tally = loop.tally
        result.tally.wrong += earlier.wrong
        result.tally.firstWrong = earlier.firstWrong ?? loop.tally.firstWrong
        result.unanswered = loop.unanswered(at: lastTime)
        return result
    }

    private func run(until end: UInt64, done: () -> Bool = { false }) throws(CommandFailure) {
        do throws(SystemError) {
            try loop.run(until: end, done: done)
        } catch {
            throw CommandFailure(.unreachable, "\(error)")
        }
    }
}
