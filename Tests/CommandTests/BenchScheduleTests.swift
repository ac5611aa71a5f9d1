import Testing
import verdict

@Suite("the way of an attempt through the nodes")
struct BenchScheduleTests {
    private typealias Job = BenchSchedule.Job

    /// A schedule that an expectation may move on.
    private final class Script {
        private var schedule: BenchSchedule
        init(_ schedule: BenchSchedule) { self.schedule = schedule }

        func next(at node: Int) -> Job? { schedule.next(at: node) }
        func complete(_ job: Job, at node: Int) { schedule.complete(job, at: node) }
        func retry(_ job: Job, after node: Int) { schedule.retry(job, after: node) }
        func leave(_ node: Int) { schedule.leave(node) }
        var isPrepared: Bool { schedule.isPrepared }
        var decided: [Int] { schedule.decided }
        var decidedCount: Int { schedule.decidedCount }
        var retriesWaiting: [Job] { schedule.retriesWaiting }
    }

    private func schedule(
        _ name: BenchWorkload.Name,
        nodes: Int = 3,
        backlog: Int = 100,
        prepared: Int = 0,
        sampleSize: Int = 10_000
    ) -> Script {
        Script(
            BenchSchedule(
                name: name,
                nodes: nodes,
                backlog: backlog,
                prepared: prepared,
                sampleSize: sampleSize,
                seed: 7
            )
        )
    }

    @Test("fresh opens at one node and decides at the next in the ring", arguments: 0..<3)
    func fresh(node: Int) throws {
        let schedule = schedule(.fresh)
        let next = (node + 1) % 3
        let opening = try #require(schedule.next(at: node))
        #expect(opening == Job(kind: .open, attempt: 1))
        schedule.complete(opening, at: node)
        let callback = try #require(schedule.next(at: next))
        #expect(callback == Job(kind: .decide, attempt: 1))
        #expect(schedule.decidedCount == 0)
        schedule.complete(callback, at: next)
        #expect(schedule.decided == [1])
        // Nothing is left of it: each node opens.
        for node in 0..<3 { #expect(schedule.next(at: node)?.kind == .open) }
    }

    @Test("retry sends each callback three times, to three nodes")
    func retry() throws {
        let schedule = schedule(.retry)
        let opening = try #require(schedule.next(at: 2))
        schedule.complete(opening, at: 2)
        for (node, kind) in [(0, BenchWorkload.Kind.decide), (1, .repeated), (2, .repeated)] {
            let job = try #require(schedule.next(at: node))
            #expect(job.kind == kind && job.attempt == opening.attempt)
            schedule.complete(job, at: node)
        }
        for node in 0..<3 { #expect(schedule.next(at: node)?.kind == .open) }
        #expect(schedule.decided == [1])
    }

    @Test("dup decides as many attempts as it was told, then repeats all of them and opens none")
    func dup() throws {
        let schedule = schedule(.dup, prepared: 50)
        var turns = 0
        while !schedule.isPrepared {
            for node in 0..<3 where !schedule.isPrepared {
                guard let job = schedule.next(at: node) else { continue }
                #expect(job.kind != .repeated)
                schedule.complete(job, at: node)
            }
            turns += 1
            try #require(turns < 1000)
        }
        #expect(schedule.decided.sorted() == Array(1...50))
        var repeated: Set<Int> = []
        for turn in 0..<3000 {
            let job = try #require(schedule.next(at: turn % 3))
            #expect(job.kind == .repeated)
            repeated.insert(job.attempt)
            schedule.complete(job, at: turn % 3)
        }
        #expect(repeated == Set(1...50))
        #expect(schedule.decidedCount == 50)
    }

    @Test("one connection decides what it opens")
    func oneNode() throws {
        let schedule = schedule(.fresh, nodes: 1)
        for attempt in 1...3 {
            let opening = try #require(schedule.next(at: 0))
            #expect(opening == Job(kind: .open, attempt: attempt))
            schedule.complete(opening, at: 0)
            let callback = try #require(schedule.next(at: 0))
            #expect(callback == Job(kind: .decide, attempt: attempt))
            schedule.complete(callback, at: 0)
        }
    }

    @Test("callbacks go in the order in which they came")
    func order() throws {
        let schedule = schedule(.fresh)
        for _ in 0..<50 {
            let job = try #require(schedule.next(at: 0))
            schedule.complete(job, at: 0)
        }
        for attempt in 1...50 { #expect(schedule.next(at: 1)?.attempt == attempt) }
    }

    @Test("a request without an answer is asked again at the next node, its clock running")
    func again() throws {
        let schedule = schedule(.fresh)
        var job = try #require(schedule.next(at: 0))
        job.firstSentAt = 5
        schedule.retry(job, after: 0)
        #expect(schedule.retriesWaiting.map(\.attempt) == [1])
        let second = try #require(schedule.next(at: 1))
        #expect(second.isRetried && second.firstSentAt == 5 && second.kind == .open)
        #expect(schedule.retriesWaiting.isEmpty)
        // What comes after it is a first try again.
        schedule.complete(second, at: 1)
        #expect(schedule.next(at: 2) == Job(kind: .decide, attempt: 1))
    }

    @Test("what waits for a node that is gone goes on to the next, in order")
    func gone() throws {
        let schedule = schedule(.fresh)
        for _ in 0..<3 {
            let job = try #require(schedule.next(at: 0))
            schedule.complete(job, at: 0)
        }
        schedule.leave(1)
        #expect(schedule.next(at: 1)?.kind == .open)
        for attempt in 1...3 {
            #expect(schedule.next(at: 2) == Job(kind: .decide, attempt: attempt))
        }
    }

    @Test("a node that hangs gets no more than its backlog, and the others go on")
    func hung() throws {
        let schedule = schedule(.fresh, backlog: 10)
        var opened = 0
        for turn in 0..<2000 {
            // Node 1 never asks for anything; node 0 asks often enough to open some.
            let node = turn % 4 == 3 ? 2 : 0
            guard let job = schedule.next(at: node) else { continue }
            if job.kind == .open { opened += 1 }
            schedule.complete(job, at: node)
        }
        #expect(opened > 900)
        #expect(opened - schedule.decidedCount <= 31)
        var waiting = 0
        while let job = schedule.next(at: 1), job.kind == .decide { waiting += 1 }
        #expect(waiting == 10)
    }

    @Test(
        "nodes of unequal speed have no attempts pile up",
        arguments: 0..<3
    )
    func unequal(fastest: Int) throws {
        let schedule = schedule(.retry, backlog: 10)
        var opened = 0
        var most = 0
        for turn in 0..<20_000 {
            // One node is nine times as fast as another, and the third five times as fast.
            let node =
                turn % 15 < 9 ? fastest : turn % 15 < 14 ? (fastest + 1) % 3 : (fastest + 2) % 3
            let job = try #require(schedule.next(at: node))
            if job.kind == .open { opened += 1 }
            schedule.complete(job, at: node)
            most = max(most, opened - schedule.decidedCount)
        }
        #expect(opened > 4_000)
        #expect(most <= 31, "\(most) of \(opened)")
    }

    @Test("the sample of decided attempts is of all times of the run")
    func sample() throws {
        let schedule = schedule(.fresh, nodes: 1, sampleSize: 100)
        for _ in 0..<20_000 {
            let job = try #require(schedule.next(at: 0))
            schedule.complete(job, at: 0)
        }
        #expect(schedule.decidedCount == 10_000)
        #expect(schedule.decided.count == 100)
        #expect(Set(schedule.decided).count == 100)
        // Each tenth of the run has ten of a hundred on average.
        let late = schedule.decided.count { $0 > 9_000 }
        #expect((2...25).contains(late), "\(late)")
        #expect((2...25).contains(schedule.decided.count { $0 <= 1_000 }))
    }
}
