import HTTP
import Raft
import Reactor

/// The closed loop: each connection has one request under way, always.
///
/// A connection belongs to one node. The callbacks of an attempt go to the next node in the ring
/// than its opening did: they wait there for a connection that has its answer.
final class BenchLoop {
    struct Job {
        var kind: BenchWorkload.Kind
        var attempt: Int
        /// How many more repeats follow.
        var repeatsLeft = 0
        var isRetried = false
    }

    private final class Connection {
        let node: Int
        let slot: Int
        var descriptor: FileDescriptorBox?
        var isConnected = false
        var output = OutputBuffer()
        var parser = ResponseParser()
        var interest: Poller.Interest = []
        var job: Job?
        var sentAt: UInt64 = 0
        /// Nothing is done before this time: the node is not to be had.
        var restsUntil: UInt64 = 0

        init(node: Int, slot: Int) {
            self.node = node
            self.slot = slot
        }
    }

    private let workload: BenchWorkload
    private let name: BenchWorkload.Name
    private let addresses: [ResolvedAddress]
    private var connections: [Connection] = []
    /// Jobs that wait for a connection to a node; only nodes that have one get any.
    private var queues: [[Job]]
    private let ring: Int
    private var poller: Poller
    private var events: [Poller.Event] = []
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    private var nextAttempt = 0
    /// For `dup`: attempts that are opened and decided before the measurement.
    private let preparedCount: Int
    private var prepared = 0
    private var nextRepeat = 0
    private var random: UInt64 = 0x9e37_79b9_7f4a_7c15
    /// Attempts whose outcome was acknowledged.
    private(set) var decided: [Int] = []

    private(set) var tally = BenchTally()
    private let isStopped: () -> Bool

    init(
        workload: BenchWorkload,
        name: BenchWorkload.Name,
        addresses: [ResolvedAddress],
        connections count: Int,
        prepared: Int,
        isStopped: @escaping () -> Bool
    ) throws(SystemError) {
        self.workload = workload
        self.name = name
        self.addresses = addresses
        self.ring = min(addresses.count, count)
        self.queues = Array(repeating: [], count: addresses.count)
        self.preparedCount = name == .dup ? prepared : 0
        self.isStopped = isStopped
        poller = try Poller()
        for slot in 0..<count {
            connections.append(Connection(node: slot % addresses.count, slot: slot))
        }
    }

    var isPrepared: Bool { prepared >= preparedCount }

    /// Runs until a time of the monotonic clock, or until `done` says so.
    func run(until end: UInt64, done: () -> Bool = { false }) throws(SystemError) {
        while !isStopped(), !done() {
            let now = Clock.monotonic()
            guard now < end else { return }
            for connection in connections { advance(connection, now) }
            try poller.wait(nanoseconds: min(end - now, 20_000_000), into: &events)
            for event in events { take(event) }
        }
    }

    /// Forgets what was measured so far.
    func resetTally() { tally = BenchTally() }

    private func advance(_ connection: Connection, _ now: UInt64) {
        guard connection.restsUntil <= now else { return }
        if connection.descriptor == nil { connect(connection, now) }
        guard connection.isConnected else {
            return
        }
        if connection.job == nil {
            guard let job = nextJob(for: connection.node) else { return }
            send(job, on: connection, now)
        } else if now - connection.sentAt > 15_000_000_000 {
            // As long as the platform itself would wait.
            fail(connection, \.timeouts)
        }
    }

    private func nextJob(for node: Int) -> Job? {
        if !queues[node].isEmpty { return queues[node].removeLast() }
        switch name {
        case .fresh, .retry: break
        case .dup:
            if isPrepared {
                nextRepeat = (nextRepeat + 7919) % max(decided.count, 1)
                return Job(kind: .repeated, attempt: decided[nextRepeat])
            }
            guard nextAttempt < preparedCount else { return nil }
        }
        nextAttempt += 1
        return Job(kind: .open, attempt: nextAttempt)
    }

    private func send(_ job: Job, on connection: Connection, _ now: UInt64) {
        connection.job = job
        connection.sentAt = now
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
        } catch {
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
        guard event.isReadable else { return }
        switch Socket.read(descriptor.descriptor, into: &buffer) {
        case .bytes(let count):
            connection.parser.feed(buffer[..<count])
            takeResponses(connection)
        case .wouldBlock: break
        case .closed, .failed: fail(connection, \.resets)
        }
    }

    private func takeResponses(_ connection: Connection) {
        while connection.descriptor != nil {
            switch connection.parser.next() {
            case .response(let response, let keepsAlive):
                answered(connection, response)
                if !keepsAlive { close(connection) }
            case .needsMore: return
            default:
                tally.wrong += 1
                close(connection)
                return
            }
        }
    }

    private func answered(_ connection: Connection, _ response: Response) {
        let now = Clock.monotonic()
        guard let job = connection.job else {
            // An answer to nothing.
            tally.wrong += 1
            return
        }
        connection.job = nil
        switch BenchWorkload.judge(response, to: job.kind, isRetried: job.isRetried) {
        case .right:
            tally.answered(job.kind, nanoseconds: now - connection.sentAt)
            follow(job, at: connection.node)
        case .wrong:
            tally.wrong += 1
            if tally.firstWrong == nil {
                tally.firstWrong =
                    "\(job.kind.name) \(workload.attemptName(job.attempt)): "
                    + "\(response.status) \(String(decoding: response.body, as: UTF8.self))"
            }
        case .unavailable:
            tally.unavailable += 1
            retry(job, from: connection.node)
            connection.restsUntil = now + 20_000_000
        }
        advance(connection, now)
    }

    /// What comes after a right answer, at the next node.
    private func follow(_ job: Job, at node: Int) {
        let next = (node + 1) % ring
        switch job.kind {
        case .open:
            queues[next].append(
                Job(kind: .decide, attempt: job.attempt, repeatsLeft: name == .retry ? 2 : 0)
            )
        case .decide, .repeated:
            if job.kind == .decide {
                if preparedCount > 0 || decided.count < 100_000 { decided.append(job.attempt) }
                if !isPrepared { prepared += 1 }
            }
            guard job.repeatsLeft > 0 else { return }
            queues[next].append(
                Job(kind: .repeated, attempt: job.attempt, repeatsLeft: job.repeatsLeft - 1)
            )
        }
    }

    /// A platform that got no answer asks again, elsewhere.
    private func retry(_ job: Job, from node: Int) {
        var job = job
        job.isRetried = true
        queues[(node + 1) % ring].append(job)
    }

    private func fail(_ connection: Connection, _ counter: WritableKeyPath<BenchTally, UInt64>) {
        tally[keyPath: counter] += 1
        close(connection)
        // What waits for this node goes on to the next one, as a platform's would.
        let next = (connection.node + 1) % ring
        if next != connection.node {
            queues[next].append(contentsOf: queues[connection.node])
            queues[connection.node].removeAll()
        }
        connection.restsUntil = Clock.monotonic() + 50_000_000
    }

    private func close(_ connection: Connection) {
        if let descriptor = connection.descriptor { poller.remove(descriptor.descriptor) }
        connection.descriptor = nil
        connection.isConnected = false
        connection.output.removeAll()
        connection.parser = ResponseParser()
        if let job = connection.job {
            connection.job = nil
            retry(job, from: connection.node)
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

/// What was measured.
struct BenchTally {
    var latency: [LatencyHistogram] = Array(
        repeating: LatencyHistogram(),
        count: BenchWorkload.Kind.allCases.count
    )
    var wrong: UInt64 = 0
    var firstWrong: String?
    var unavailable: UInt64 = 0
    var refused: UInt64 = 0
    var resets: UInt64 = 0
    var timeouts: UInt64 = 0

    mutating func answered(_ kind: BenchWorkload.Kind, nanoseconds: UInt64) {
        latency[kind.rawValue].add(nanoseconds: nanoseconds)
    }
    var count: UInt64 { latency.reduce(0) { $0 + $1.count } }
    var errors: UInt64 { unavailable + refused + resets + timeouts }
    var all: LatencyHistogram {
        latency.reduce(into: LatencyHistogram()) { $0.add($1) }
    }
}
