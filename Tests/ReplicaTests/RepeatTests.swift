import Raft
import Replica
import Testing
import Verification

@Suite("A callback that was answered before")
struct RepeatTests {
    private static func retried(_ callback: Callback) -> Callback {
        var copy = callback
        copy.origin.receivedAt = WallTime(milliseconds: 42)
        return copy
    }

    /// A cluster with one attempt that has seen wrong digits.
    private static func cluster() throws -> (Cluster, Callback, Decision) {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        let callback = Example.callback("a", .digits, sequence: 1, digits: Example.wrong)
        let context = try cluster.submit(.callback(callback), at: 1)
        cluster.run(for: .milliseconds(500))
        let decision = try cluster.decision(context)
        cluster.expectEqualStates()
        return (cluster, callback, decision)
    }

    @Test("is answered by every node alone with the same answer, cut off or not")
    func local() throws {
        let (cluster, callback, first) = try RepeatTests.cluster()
        // What comes later changes nothing of it.
        let right = Example.callback("a", .digits, sequence: 2, digits: Example.right)
        try cluster.perform(.callback(right), at: 2)
        cluster.expectEqualStates()
        for node in 0..<3 { cluster.cutOff(node) }
        cluster.run(for: .seconds(2))
        #expect(cluster.leader == nil)
        for node in 0..<3 {
            let again = RepeatTests.retried(callback)
            let decision = try #require(cluster.with(node) { $0.answerLocally(again) } ?? nil)
            #expect(decision.disposition == .repeated)
            #expect(decision.answer == first.answer)
            #expect(cluster.look(node) { $0.pendingRequests } == 0)
        }
    }

    @Test("is not answered locally with another meaning, or an unknown key")
    func mismatch() throws {
        let (cluster, callback, _) = try RepeatTests.cluster()
        var other = callback
        other.digits = Example.right
        #expect(cluster.with(1) { $0.answerLocally(other) } == .some(nil))
        let unknown = Example.callback("a", .digits, sequence: 7, digits: Example.wrong)
        #expect(cluster.with(1) { $0.answerLocally(unknown) } == .some(nil))
        #expect(cluster.look(1) { $0.counters.answeredLocally } == 0)
    }

    private static func expectRepeats(
        _ count: UInt64,
        _ cluster: Cluster,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        cluster.expectEqualStates(sourceLocation: sourceLocation)
        for node in 0..<3 {
            let line = cluster.timeline("a", at: node).last
            #expect(line?.repeats == count, sourceLocation: sourceLocation)
            #expect(
                cluster.view("a", at: node)?.counts.repeated == count,
                sourceLocation: sourceLocation
            )
            #expect(cluster.view("a", at: node)?.triesLeft == 2, sourceLocation: sourceLocation)
        }
    }

    @Test("is counted where it came in, and every node's timeline tells of it")
    func reported() throws {
        let (cluster, callback, _) = try RepeatTests.cluster()
        for i in 0..<9 {
            cluster.with(i % 3) { _ = $0.answerLocally(RepeatTests.retried(callback)) }
        }
        cluster.run(for: .seconds(3))
        RepeatTests.expectRepeats(9, cluster)
        // No report where there is nothing to report.
        let applied = cluster.look(0) { $0.appliedIndex }
        cluster.run(for: .seconds(5))
        #expect(cluster.look(0) { $0.appliedIndex } == applied)
    }

    @Test("is counted once although its report was proposed three times")
    func reportedThrice() throws {
        let (cluster, callback, _) = try RepeatTests.cluster()
        for _ in 0..<4 { cluster.with(1) { _ = $0.answerLocally(RepeatTests.retried(callback)) } }
        var forwards = 0
        cluster.intercept = { from, _, message in
            guard from == 1, case .forward(var forward) = message else { return message }
            forwards += 1
            // Under other names, or the leader would know the copies.
            for copy in 1...2 as ClosedRange<UInt64> {
                var again = forward.requests[0]
                again.sequence += copy << 32
                forward.requests.append(again)
            }
            return .forward(forward)
        }
        cluster.run(for: .seconds(3))
        #expect(forwards == 1)
        #expect(cluster.look(0) { $0.counters.forwardedIn } == 6)
        RepeatTests.expectRepeats(4, cluster)
    }

    @Test("is counted once although the leader died with its report")
    func leaderDies() throws {
        let (cluster, callback, _) = try RepeatTests.cluster()
        for _ in 0..<4 { cluster.with(1) { _ = $0.answerLocally(RepeatTests.retried(callback)) } }
        var isForwarded = false
        cluster.intercept = { from, _, message in
            if from == 1, case .forward = message { isForwarded = true }
            return message
        }
        try #require(cluster.run(atMost: .seconds(3)) { isForwarded })
        // The entry has gone out to both when the leader dies: the new one has it, and gets the
        // report once more.
        cluster.run(for: .milliseconds(9))
        cluster.crash(0)
        cluster.with(1) { _ = $0.answerLocally(RepeatTests.retried(callback)) }
        try cluster.awaitLeader()
        cluster.run(for: .seconds(3))
        try cluster.start(0)
        RepeatTests.expectRepeats(5, cluster)
    }

    @Test("many different ones are all reported, more than a report's worth within a second")
    func many() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        var callbacks: [Callback] = []
        for attempt in 0..<12 {
            try cluster.open("a\(attempt)", at: 0)
            let contexts = try (0..<200).map { key in
                let callback = Example.callback("a\(attempt)", .answered, key: "k\(key)")
                callbacks.append(callback)
                return try cluster.submit(.callback(callback), at: 1)
            }
            cluster.run(atMost: .seconds(2)) { cluster.completions[contexts[199]] != nil }
        }
        cluster.expectEqualStates()
        for callback in callbacks {
            let decision = cluster.with(1) { $0.answerLocally(callback) } ?? nil
            #expect(decision?.disposition == .repeated)
        }
        cluster.run(for: .milliseconds(1600))
        for attempt in 0..<12 {
            #expect(cluster.view("a\(attempt)", at: 2)?.counts.repeated == 200)
        }
    }
}
