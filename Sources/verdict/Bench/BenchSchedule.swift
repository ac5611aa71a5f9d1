/// Which request a node gets next.
///
/// A connection belongs to one node and asks here whenever it has its answer. An attempt goes round
/// the ring of nodes: opened at one, decided at the next, and its repeats go on from there. Pure, so
/// that tests can follow it.
package struct BenchSchedule: Sendable {
    package struct Job: Hashable, Sendable {
        package var kind: BenchWorkload.Kind
        package var attempt: Int
        /// How many repeats follow.
        package var repeatsLeft = 0
        /// Whether an earlier try got no answer.
        package var isRetried = false
        /// When it was sent first, in nanoseconds; `nil` before that.
        ///
        /// The latency counts from here: who had to ask again waited all that time.
        package var firstSentAt: UInt64?

        package init(kind: BenchWorkload.Kind, attempt: Int, repeatsLeft: Int = 0) {
            self.kind = kind
            self.attempt = attempt
            self.repeatsLeft = repeatsLeft
        }
    }

    /// Jobs in their order, so that none waits until its attempt expires.
    private struct Queue: Sendable {
        private var jobs: [Job] = []
        private var head = 0
        var count: Int { jobs.count - head }
        var waiting: ArraySlice<Job> { jobs[head...] }

        mutating func append(_ job: Job) { jobs.append(job) }
        mutating func popFirst() -> Job? {
            guard head < jobs.count else { return nil }
            defer {
                head += 1
                if head == jobs.count {
                    jobs.removeAll(keepingCapacity: true)
                    head = 0
                } else if head > 1024, head > jobs.count / 2 {
                    jobs.removeFirst(head)
                    head = 0
                }
            }
            return jobs[head]
        }
    }

    private let name: BenchWorkload.Name
    private let backlog: Int
    private var queues: [Queue]
    private var openedCount = 0
    /// For `dup`: how many attempts are decided before the measurement.
    private let preparedCount: Int
    /// Attempts whose outcome was acknowledged: a fair sample of them, or all that `dup` prepared.
    package private(set) var decided: [Int] = []
    private let sampleSize: Int
    package private(set) var decidedCount = 0
    private var random: UInt64

    /// A schedule for the first `nodes` of the cluster, those that have connections.
    ///
    /// As many callbacks as `backlog` may wait for one node; then they go on along the ring, in the
    /// last resort to where they come from. Else a node that is slow or hangs would have attempts
    /// pile up without end. As many decided attempts as `sampleSize` are remembered.
    package init(
        name: BenchWorkload.Name,
        nodes: Int,
        backlog: Int,
        prepared: Int,
        sampleSize: Int = 10_000,
        seed: UInt64
    ) {
        self.name = name
        self.backlog = backlog
        queues = Array(repeating: Queue(), count: nodes)
        preparedCount = name == .dup ? prepared : 0
        self.sampleSize = max(sampleSize, preparedCount)
        random = seed | 1
    }

    package var isPrepared: Bool { decidedCount >= preparedCount }

    /// The next request for a node; `nil` if there is none at the moment.
    package mutating func next(at node: Int) -> Job? {
        if let job = queues[node].popFirst() { return job }
        switch name {
        case .fresh, .retry: break
        case .dup:
            if isPrepared {
                return Job(kind: .repeated, attempt: decided[draw(below: decided.count)])
            }
            guard openedCount < preparedCount else { return nil }
        }
        openedCount += 1
        return Job(kind: .open, attempt: openedCount)
    }

    /// Takes a right answer of a node, and plans what comes after it.
    package mutating func complete(_ job: Job, at node: Int) {
        switch job.kind {
        case .open:
            let repeats = name == .retry ? 2 : 0
            place(Job(kind: .decide, attempt: job.attempt, repeatsLeft: repeats), after: node)
        case .decide, .repeated:
            if job.kind == .decide { remember(job.attempt) }
            guard job.repeatsLeft > 0 else { return }
            place(
                Job(kind: .repeated, attempt: job.attempt, repeatsLeft: job.repeatsLeft - 1),
                after: node
            )
        }
    }

    /// A platform that got no answer from a node asks again, elsewhere.
    package mutating func retry(_ job: Job, after node: Int) {
        var job = job
        job.isRetried = true
        place(job, after: node)
    }

    /// A node is not to be had: what waits for it goes on to the next, as a platform's would.
    package mutating func leave(_ node: Int) {
        let next = (node + 1) % queues.count
        guard next != node else { return }
        while let job = queues[node].popFirst() { queues[next].append(job) }
    }

    /// Requests that were sent, got no answer, and wait to be sent again.
    package var retriesWaiting: [Job] {
        queues.flatMap { $0.waiting.filter { $0.firstSentAt != nil } }
    }

    private mutating func place(_ job: Job, after node: Int) {
        for step in 1...queues.count {
            let next = (node + step) % queues.count
            if queues[next].count < backlog {
                queues[next].append(job)
                return
            }
        }
        queues[(node + 1) % queues.count].append(job)
    }

    /// Keeps each decided attempt with the same chance (Vitter's algorithm R).
    private mutating func remember(_ attempt: Int) {
        decidedCount += 1
        guard decided.count == sampleSize else {
            decided.append(attempt)
            return
        }
        let place = draw(below: decidedCount)
        if place < sampleSize { decided[place] = attempt }
    }

    /// Marsaglia's xorshift; a choice of nodes and attempts needs no better.
    private mutating func draw(below limit: Int) -> Int {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int(random % UInt64(limit))
    }
}
