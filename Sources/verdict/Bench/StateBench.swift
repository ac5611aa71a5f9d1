import FoundationEssentials
import Journal
import Raft
import Reactor
import Replica
import Store
import Verification

/// What many decided attempts cost.
///
/// Memory, the time of a start, and the longest step of the loop that
/// a checkpoint takes. Done with the production state machine and state store on real files, without a
/// log.
enum StateBench {
    private static let cluster = "bench"
    private static let node = NodeID(1)
    /// As a node has them.
    private static let settings = ReplicaConfiguration.StateSettings()
    private static let attemptsPerCheckpoint = settings.checkpointAttempts
    private static let encodedPerTurn = settings.encodedPerTurn
    private static let settledPerTurn = settings.settledPerTurn
    private static let cacheBytes = settings.cacheBytes

    /// The times that a kind of step took.
    private struct Longest {
        private var times = LatencyHistogram()
        mutating func measure<Result>(_ body: () throws -> Result) rethrows -> Result {
            let start = Clock.monotonic()
            defer { times.add(nanoseconds: Clock.monotonic() - start) }
            return try body()
        }
        /// Median, 99.9th percentile and maximum, in microseconds.
        var text: String {
            "\(times.quantile(0.5) / 1000) \(times.quantile(0.999) / 1000) \(times.maximum / 1000)"
        }
    }

    private static let flow = FlowDefinition(
        digest: FlowDigest(bytes: [UInt8](repeating: 7, count: 32)),
        name: "login",
        kind: .code,
        prompt: "Please enter your code.",
        retryPrompt: "That was wrong.",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 30,
        expirySeconds: 600,
        waitSeconds: 2
    )

    /// Fills an empty directory, or with `attempts` 0 starts on a filled one.
    ///
    /// - Returns: what was measured, for people.
    static func measure(_ directory: String, attempts: Int) throws(CommandFailure) -> String {
        do {
            return attempts == 0 ? try start(directory) : try fill(directory, attempts)
        } catch {
            throw CommandFailure(.no, "\(directory): \(error)")
        }
    }

    private static func start(_ directory: String) throws -> String {
        let before = residentBytes()
        let begun = Clock.monotonic()
        var disk = try FileDisk(directory: directory)
        var store = try StateStore.open(on: &disk, cluster: cluster, node: node)
        guard let manifest = store.manifest else { return "no checkpoint in \(directory)\n" }
        var machine = try StateMachine(
            restoring: manifest.head,
            limits: VerificationLimits(),
            hash: AttemptHash(key: manifest.hashKey)
        )
        machine.reservePlaces(Int(manifest.attempts))
        try store.forEachRecord(on: &disk) { place, _ in machine.place(place) }
        let took = Clock.monotonic() - begun
        let after = residentBytes()
        let count = max(1, machine.settledCount)
        return """
            \(count) attempts in \(store.runCount) runs of \(store.runBytes) bytes: loaded in \
            \(took / 1_000_000) ms, \(after - before) bytes of memory, \
            \((after - before) / count) an attempt

            """
    }

    private static func fill(_ directory: String, _ attempts: Int) throws -> String {
        var disk = try FileDisk(directory: directory)
        var store = try StateStore.open(on: &disk, cluster: cluster, node: node)
        var machine = StateMachine(hash: AttemptHash(key: 42))
        var index: UInt64 = 0
        var longest = (begin: Longest(), encode: Longest(), settle: Longest(), evict: Longest())
        let begun = Clock.monotonic()
        func apply(_ command: Verification.Command) {
            index += 1
            _ = machine.apply(
                command,
                at: EntryIndex(index),
                time: LogTime(milliseconds: 1_700_000_000_000 + index / 10)
            )
        }
        apply(.defineFlow(flow))
        for number in 0..<attempts {
            guard let id = AttemptID("va_\(number)-5f3a9c21") else { continue }
            let origin = Origin(
                node: 1,
                region: "us-east",
                receivedAt: WallTime(milliseconds: 1_700_000_000_000),
                request: RequestID(node: 1, incarnation: 99, sequence: index)
            )
            apply(
                .open(
                    OpenAttempt(
                        attempt: id,
                        flow: flow.digest,
                        subject: "user-\(number)",
                        expiresInSeconds: 600,
                        challenge: [UInt8](repeating: 3, count: 32),
                        maxTries: 3,
                        targets: [Target(state: .verified, url: "https://bank.example/ivr/ok")],
                        origin: origin
                    )
                )
            )
            apply(
                .callback(
                    Callback(
                        attempt: id,
                        key: CallbackKey(
                            provider: "twilio",
                            call: "CA\(number)",
                            event: .digits,
                            sequence: 1
                        ),
                        provider: "twilio",
                        call: "CA\(number)",
                        event: .digits,
                        sequence: 1,
                        digits: [UInt8](repeating: 3, count: 32),
                        status: nil,
                        outcome: nil,
                        channel: "voice",
                        occurredAt: WallTime(milliseconds: 1_700_000_000_000),
                        origin: origin
                    )
                )
            )
            guard machine.dirtyCount >= attemptsPerCheckpoint || number == attempts - 1 else {
                continue
            }
            try checkpoint(&machine, &store, &disk, index, &longest)
        }
        let took = Clock.monotonic() - begun
        return """
            \(attempts) attempts in \(took / 1_000_000) ms, \(store.runCount) runs of \
            \(store.runBytes) bytes, \(residentBytes()) bytes resident
            µs a step (p50, p99.9, max): begin \(longest.begin.text), encode \(longest.encode.text), \
            settle \(longest.settle.text), evict \(longest.evict.text)

            """
    }

    private static func checkpoint(
        _ machine: inout StateMachine,
        _ store: inout StateStore,
        _ disk: inout FileDisk,
        _ index: UInt64,
        _ longest: inout (begin: Longest, encode: Longest, settle: Longest, evict: Longest)
    ) throws {
        longest.begin.measure {
            store.beginCheckpoint(
                Manifest(
                    cluster: cluster,
                    node: node,
                    entry: EntryID(term: Term(1), index: LogIndex(index)),
                    time: Timestamp(milliseconds: machine.time.milliseconds),
                    terms: [TermRun(term: Term(1), first: LogIndex(1))],
                    hashKey: machine.hash.key,
                    attempts: machine.openedCount,
                    nextRun: 0,
                    runs: [],
                    head: machine.beginCheckpoint()
                )
            )
        }
        var written: [(item: EncodedRecords.Item, location: RecordLocation)] = []
        var isComplete = false
        while !isComplete {
            isComplete = longest.encode.measure {
                let isComplete = machine.encodeCheckpoint(maxBytes: encodedPerTurn)
                let encoded = machine.takeEncoded()
                var start = 0
                for item in encoded.items {
                    let location = store.write(
                        encoded.bytes[start..<item.end],
                        RecordLabel(item)
                    )
                    written.append((item, location))
                    start = item.end
                }
                if isComplete { store.sealCheckpoint() }
                return isComplete
            }
            while let batch = longest.encode.measure({ store.nextBatch(mayPublish: true) }) {
                for operation in batch.operations { try disk.perform(operation) }
                _ = store.completed(batch.number, .success(()))
            }
        }
        var next = 0
        while next < written.count {
            let end = min(next + settledPerTurn, written.count)
            longest.settle.measure {
                for (item, location) in written[next..<end] {
                    if let old = machine.settle(item, at: location) { store.superseded(old) }
                    store.isLive(location)
                }
            }
            next = end
        }
        longest.settle.measure { machine.endCheckpoint() }
        while longest.evict.measure({ machine.evict(keeping: cacheBytes) }) {}
    }

    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
            return 0
        }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * 4096
    }
}
