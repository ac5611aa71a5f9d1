import Glibc
import Reactor

/// The closed loop: each connection has one request under way, always.
final class BenchLoop {
    private final class Connection {
        let node: Int
        let slot: Int
        var descriptor: FileDescriptorBox?
        var isConnected = false
        var output = OutputBuffer()
        /// The start of an answer whose end has not come yet.
        var input: [UInt8] = []
        var interest: Poller.Interest = []
        var job: BenchSchedule.Job?
        /// When what is waited for began: the connecting, or this try of the request.
        var since: UInt64 = 0
        /// Nothing is done before this time: the node is not to be had.
        var restsUntil: UInt64 = 0

        init(node: Int, slot: Int) {
            self.node = node
            self.slot = slot
        }
    }

    /// As long as the platform itself would wait.
    private static let timeout: UInt64 = 15_000_000_000
    /// Between looks at the connections that no event is about.
    private static let sweepInterval: UInt64 = 5_000_000

    private var workload: BenchWorkload
    private var schedule: BenchSchedule
    private let addresses: [ResolvedAddress]
    private var connections: [Connection] = []
    private var poller: Poller
    private var events: [Poller.Event] = []
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    private var nextSweep: UInt64 = 0
    /// What this process cannot go on without.
    private var failure: SystemError?

    private(set) var tally = BenchTally()
    private let signals: SignalSource
    /// Ctrl-C, or a request to terminate.
    private(set) var wasStopped = false

    init(
        workload: BenchWorkload,
        name: BenchWorkload.Name,
        addresses: [ResolvedAddress],
        connections count: Int,
        prepared: Int,
        seed: UInt64
    ) throws(SystemError) {
        self.workload = workload
        self.addresses = addresses
        schedule = BenchSchedule(
            name: name,
            nodes: min(addresses.count, count),
            backlog: max(256, 4 * count),
            prepared: prepared,
            seed: seed
        )
        let descriptors = try DescriptorLimit.raise()
        // A few are this process's own.
        guard count + 16 <= descriptors else {
            throw SystemError("\(count) connections with \(descriptors) descriptors", code: EMFILE)
        }
        signals = try SignalSource([SignalSource.interrupt, SignalSource.terminate])
        poller = try Poller()
        for slot in 0..<count {
            connections.append(Connection(node: slot % addresses.count, slot: slot))
        }
    }

    var isPrepared: Bool { schedule.isPrepared }
    var decided: [Int] { schedule.decided }

    /// Whether it was asked to stop since it was looked at last.
    func takeSignal() -> Bool { signals.next() != nil }

    /// Runs until a time of the monotonic clock, or until `done` says so.
    ///
    /// - Throws: what this process lacks; a node's failing is counted instead.
    func run(until end: UInt64, done: () -> Bool = { false }) throws(SystemError) {
        while !done() {
            let now = Clock.monotonic()
            guard now < end, !wasStopped else { return }
            if now >= nextSweep {
                nextSweep = now + BenchLoop.sweepInterval
                if takeSignal() {
                    wasStopped = true
                    return
                }
                for connection in connections { advance(connection, now) }
            }
            let wait = min(end, max(nextSweep, now)) - now
            try poller.wait(nanoseconds: wait, into: &events)
            for event in events { take(event) }
            if let failure { throw failure }
        }
    }

    /// Forgets what was measured so far.
    func resetTally() { tally = BenchTally() }

    /// How long each request has been waiting that was sent and has no right answer yet.
    ///
    /// They are in no histogram: at the end of a run some are always left, but none for long.
    func unanswered(at now: UInt64) -> [UInt64] {
        (connections.compactMap(\.job) + schedule.retriesWaiting).compactMap { job in
            job.firstSentAt.map { now - min($0, now) }
        }
    }

    private func advance(_ connection: Connection, _ now: UInt64) {
        guard connection.restsUntil <= now else { return }
        guard connection.descriptor != nil else {
            connect(connection, now)
            return
        }
        if connection.isConnected, connection.job == nil {
            if let job = schedule.next(at: connection.node) {
                send(job, on: connection, now)
            } else {
                // Look again as soon as anything has happened.
                nextSweep = min(nextSweep, now + 200_000)
            }
        } else if now - min(connection.since, now) > BenchLoop.timeout {
            fail(connection, \.timeouts)
        }
    }

    private func send(_ job: BenchSchedule.Job, on connection: Connection, _ now: UInt64) {
        var job = job
        if job.firstSentAt == nil { job.firstSentAt = now }
        connection.job = job
        connection.since = now
        workload.append(
            job.kind,
            attempt: job.attempt,
            node: connection.node,
            to: &connection.output.bytes
        )
        write(connection)
    }

    private func write(_ connection: Connection) {
        guard let descriptor = connection.descriptor else { return }
        switch connection.output.write(to: descriptor.descriptor) {
        case nil: watch(connection, .read)
        case .wouldBlock: watch(connection, [.read, .write])
        default: fail(connection, \.resets)
        }
    }

    private func connect(_ connection: Connection, _ now: UInt64) {
        do throws(SystemError) {
            let descriptor = FileDescriptorBox(
                try Socket.connect(to: addresses[connection.node])
            )
            try poller.add(
                descriptor.descriptor,
                token: UInt64(connection.slot),
                interest: .write
            )
            connection.descriptor = descriptor
            connection.interest = .write
            connection.since = now
        } catch {
            // Not the node's fault: too many connections for this machine.
            let own = [EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM]
            if own.contains(error.code) { failure = error }
            fail(connection, \.refused)
        }
    }

    private func take(_ event: Poller.Event) {
        let connection = connections[Int(event.token)]
        guard let descriptor = connection.descriptor else { return }
        if !connection.isConnected {
            guard event.isWritable else { return }
            guard Socket.connectionError(descriptor.descriptor) == 0 else {
                fail(connection, \.refused)
                return
            }
            connection.isConnected = true
            watch(connection, .read)
            advance(connection, Clock.monotonic())
            return
        }
        if event.isWritable, !connection.output.isEmpty { write(connection) }
        guard event.isReadable, connection.descriptor != nil else { return }
        switch Socket.read(descriptor.descriptor, into: &buffer) {
        case .bytes(let count): received(connection, count)
        case .wouldBlock: break
        case .closed, .failed:
            // A node may close a connection that asks for nothing.
            if connection.job == nil { close(connection) } else { fail(connection, \.resets) }
        }
    }

    /// Takes what was read into `buffer`; nearly always that is one whole answer.
    private func received(_ connection: Connection, _ count: Int) {
        guard connection.input.isEmpty else {
            connection.input.append(contentsOf: buffer[..<count])
            let input = connection.input
            if takeAnswer(connection, input, input.count) {
                connection.input.removeAll(keepingCapacity: true)
            }
            return
        }
        if !takeAnswer(connection, buffer, count) {
            connection.input.append(contentsOf: buffer[..<count])
        }
    }

    /// - Returns: whether the bytes are done with.
    private func takeAnswer(_ connection: Connection, _ bytes: [UInt8], _ count: Int) -> Bool {
        switch BenchAnswer.scan(bytes, 0..<count) {
        case .needsMore: return false
        case .failed(let reason):
            notedWrong(connection, "\(reason)\n", bytes[..<count])
            connection.job = nil
            close(connection)
        case .answer(let answer):
            guard connection.job != nil, answer.body.upperBound == count else {
                // Nothing was asked for that the rest could answer.
                notedWrong(connection, "an answer to nothing\n", bytes[..<count])
                connection.job = nil
                close(connection)
                return true
            }
            answered(connection, answer, bytes)
        }
        return true
    }

    private func answered(_ connection: Connection, _ answer: BenchAnswer, _ bytes: [UInt8]) {
        guard let job = connection.job else { return }
        let now = Clock.monotonic()
        let judgement = workload.judge(
            answer,
            in: bytes,
            to: job.kind,
            attempt: job.attempt,
            isRetried: job.isRetried
        )
        switch judgement {
        case .right:
            tally.answered(job.kind, nanoseconds: now - (job.firstSentAt ?? connection.since))
            schedule.complete(job, at: connection.node)
        case .wrong: notedWrong(connection, "", bytes[..<answer.body.upperBound])
        case .unavailable:
            tally.unavailable += 1
            schedule.retry(job, after: connection.node)
            connection.restsUntil = now + 20_000_000
        }
        connection.job = nil
        if !answer.keepsAlive { close(connection) }
        advance(connection, now)
    }

    private func notedWrong(_ connection: Connection, _ reason: String, _ bytes: ArraySlice<UInt8>)
    {
        tally.wrong += 1
        guard tally.firstWrong == nil else { return }
        let request = connection.job.map {
            "\($0.kind.name) \(workload.attemptName($0.attempt))\($0.isRetried ? ", again" : "")"
        }
        tally.firstWrong =
            "node \(connection.node + 1) of the file, \(request ?? "nothing asked"): \(reason)"
            + String(decoding: bytes.prefix(2048), as: UTF8.self)
    }

    private func fail(_ connection: Connection, _ counter: WritableKeyPath<BenchTally, UInt64>) {
        tally[keyPath: counter] += 1
        close(connection)
        schedule.leave(connection.node)
        connection.restsUntil = Clock.monotonic() + 50_000_000
    }

    private func close(_ connection: Connection) {
        if let descriptor = connection.descriptor { poller.remove(descriptor.descriptor) }
        connection.descriptor = nil
        connection.isConnected = false
        connection.output.removeAll()
        connection.input.removeAll(keepingCapacity: true)
        if let job = connection.job {
            connection.job = nil
            schedule.retry(job, after: connection.node)
        }
    }

    private func watch(_ connection: Connection, _ interest: Poller.Interest) {
        guard connection.interest != interest, let descriptor = connection.descriptor else {
            return
        }
        connection.interest = interest
        do throws(SystemError) {
            try poller.modify(
                descriptor.descriptor,
                token: UInt64(connection.slot),
                interest: interest
            )
        } catch {
            fail(connection, \.resets)
        }
    }
}
