import Raft
import Replica
import Testing
import Verification

@Suite("Requests at a follower")
struct ForwardTests {
    @Test("are forwarded, committed, and answered where they came in")
    func forwarded() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        let digits = Example.callback("a", .digits, sequence: 1, digits: Example.right)
        guard case .decided(let decision) = try cluster.perform(.callback(digits), at: 2) else {
            Issue.record("no decision")
            return
        }
        #expect(decision.disposition == .accepted)
        #expect(decision.answer.next == .redirect(url: "https://bank.example/ok"))
        cluster.expectEqualStates()
        for node in 0..<3 { #expect(cluster.view("a", at: node)?.state == .verified) }
        #expect(cluster.look(1) { $0.counters.forwardedOut } == 2)
        #expect(cluster.look(0) { $0.counters.forwardedIn } == 3)
    }

    @Test("a forward that is lost is sent again, and what already waits is not proposed twice")
    func lost() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        // The first forward is lost, the second comes through but its outcome is late: a third
        // goes out.
        var forwards = 0
        cluster.intercept = { from, to, message in
            guard from == 1, to == 0, case .forward = message else { return message }
            forwards += 1
            if forwards == 2 {
                cluster.members[0].holdsDisk = true
                cluster.members[2].holdsDisk = true
            }
            return forwards == 1 ? nil : message
        }
        let wrong = Example.callback("a", .digits, sequence: 1, digits: Example.wrong)
        let context = try cluster.submit(.callback(wrong), at: 1)
        cluster.run(for: .seconds(2))
        #expect(forwards == 3)
        cluster.releaseDisk(0)
        cluster.releaseDisk(2)
        cluster.run(for: .seconds(1))
        #expect(try cluster.decision(context).disposition == .accepted)
        cluster.expectEqualStates()
        for node in 0..<3 {
            let view = try #require(cluster.view("a", at: node))
            #expect(view.triesLeft == 2)
            #expect(view.counts.callbacks == 1)
            #expect(view.counts.repeated == 0)
        }
        #expect(cluster.look(0) { $0.counters.forwardedIn } == 3)
    }

    @Test("what the leader has applied but not its follower is proposed twice, and counts once")
    func doubled() throws {
        let cluster = try Cluster { $0.forwardRetry = .milliseconds(100) }
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        var forwards = 0
        cluster.intercept = { from, to, message in
            switch message {
            case .forward where from == 1: forwards += 1
            // The follower is not told until it has asked again.
            case .raft where from == 0 && to == 1 && forwards == 1: return nil
            default: break
            }
            return message
        }
        let wrong = Example.callback("a", .digits, sequence: 1, digits: Example.wrong)
        let context = try cluster.submit(.callback(wrong), at: 1)
        cluster.run(for: .seconds(2))
        #expect(forwards == 2)
        #expect(try cluster.decision(context).disposition == .accepted)
        cluster.expectEqualStates()
        for node in 0..<3 {
            let view = try #require(cluster.view("a", at: node))
            #expect(view.triesLeft == 2)
            #expect(view.counts.callbacks == 1)
            #expect(view.counts.repeated == 0)
        }
        #expect(cluster.look(0) { $0.counters.forwardedIn } == 4)
    }

    @Test("do not fill a slow leader's log with copies, however often they are sent again")
    func slowLeader() throws {
        let cluster = try Cluster {
            $0.requestHold = .seconds(30)
            // It is slow, but does not count as hung.
            $0.diskStall = .seconds(60)
        }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.expectEqualStates()
        let before = try #require(cluster.look(0) { $0.raft.lastIndex })
        cluster.members[0].holdsDisk = true
        cluster.members[2].holdsDisk = true
        let contexts = try (0..<50).map { try cluster.submit(Example.open("a\($0)"), at: 1) }
        // Links that are reset have everything sent again at once.
        for _ in 0..<5 {
            cluster.run(for: .seconds(2))
            cluster.resetLink(0, 1)
        }
        cluster.run(for: .seconds(1))
        #expect(try #require(cluster.look(1) { $0.counters.sentAgain }) > 400)
        #expect(cluster.leader == 0)
        #expect(cluster.look(0) { $0.raft.lastIndex } == before.advanced(by: 50))
        cluster.releaseDisk(0)
        cluster.releaseDisk(2)
        cluster.run(for: .seconds(2))
        for context in contexts {
            guard case .opened(isNew: true, _) = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                return
            }
        }
        cluster.expectEqualStates()
        #expect(cluster.look(0) { $0.raft.lastIndex } == before.advanced(by: 50))
    }

    @Test("a hand-over that fails does not make the leader forget what stands in its log")
    func failedTransfer() throws {
        let cluster = try Cluster {
            $0.requestHold = .seconds(30)
            // It is slow, but does not count as hung.
            $0.diskStall = .seconds(60)
        }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.expectEqualStates()
        let before = try #require(cluster.look(0) { $0.raft.lastIndex })
        cluster.members[0].holdsDisk = true
        cluster.members[2].holdsDisk = true
        for i in 0..<5 { _ = try cluster.submit(Example.open("a\(i)"), at: 1) }
        cluster.run(for: .milliseconds(50))
        let refusal = cluster.with(0) {
            $0.transferLeadership(to: NodeID(3), at: cluster.now)
        }
        #expect(refusal == .some(nil))
        // One more comes, and is refused while the transfer is under way.
        _ = try cluster.submit(Example.open("b"), at: 1)
        cluster.run(for: .milliseconds(100))
        #expect(try #require(cluster.look(0) { $0.counters.forwardsRefused }) > 0)
        cluster.run(for: .seconds(3))
        let ended = Notice.transferEnded(to: NodeID(3), succeeded: false)
        #expect(cluster.notices.contains { $0.node == 0 && $0.notice == ended })
        #expect(cluster.leader == 0)
        #expect(try #require(cluster.look(1) { $0.counters.sentAgain }) >= 12)
        #expect(cluster.look(0) { $0.raft.lastIndex } == before.advanced(by: 6))
        cluster.releaseDisk(0)
        cluster.releaseDisk(2)
        cluster.expectEqualStates()
    }

    @Test("are proposed again by a leader whose log lost them while it was out of office")
    func backInOffice() throws {
        let cluster = try Cluster { $0.requestHold = .seconds(60) }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.expectEqualStates()
        let before = try #require(cluster.look(0) { $0.raft.lastIndex })
        var isFirstOffice = true
        cluster.intercept = { from, to, message in
            switch message {
            // What the first leader takes stays in its own log,
            case .raft(let raft) where from == 0 && isFirstOffice:
                if case .appendEntries(let append) = raft.body, !append.entries.isEmpty {
                    return nil
                }
            // the next one is the third node,
            case .raft(let raft) where from == 1:
                if case .preVote = raft.body { return nil }
            // and it is never asked.
            case .forward where to == 2: return nil
            default: break
            }
            return message
        }
        let context = try cluster.submit(Example.open("a"), at: 1)
        cluster.run(for: .milliseconds(100))
        #expect(cluster.look(0) { $0.raft.lastIndex } == before.next)
        cluster.cutOff(0)
        try #require(try cluster.awaitLeader(otherThan: 0, knownTo: [1, 2]) == 2)
        isFirstOffice = false
        cluster.heal()
        cluster.run(for: .seconds(1))
        #expect(cluster.completions[context] == nil)
        try cluster.elect(0)
        cluster.run(for: .seconds(1))
        guard case .opened(isNew: true, _) = try cluster.applied(context) else {
            Issue.record("not opened")
            return
        }
        cluster.expectEqualStates()
    }

    @Test("a link that was reset loses no request")
    func reset() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        let context = try cluster.submit(
            Example.open("a"),
            definition: Example.flow,
            at: 1
        )
        cluster.run(for: .milliseconds(1))
        cluster.resetLink(0, 1)
        let asked = cluster.now
        cluster.run(atMost: .seconds(5)) { cluster.completions[context] != nil }
        guard case .opened(isNew: true, _) = try cluster.applied(context) else {
            Issue.record("not opened")
            return
        }
        // At once, not with the next repetition of lost forwards.
        let took = try #require(cluster.completedAt[context]).nanoseconds(since: asked)
        #expect(took < 100_000_000)
    }

    @Test("that wait while the leader dies are answered after the election")
    func leaderDies() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        let callbacks = (1...2).map {
            Example.callback("a", .digits, sequence: $0, digits: Example.wrong)
        }
        let early = try cluster.submit(.callback(callbacks[0]), at: 1)
        cluster.run(for: .milliseconds(3))
        cluster.crash(0)
        let late = try cluster.submit(.callback(callbacks[1]), at: 2)
        cluster.run(atMost: .seconds(5)) {
            cluster.completions[early] != nil && cluster.completions[late] != nil
        }
        #expect(try cluster.decision(early).disposition == .accepted)
        #expect(try cluster.decision(late).disposition == .accepted)
        try cluster.start(0)
        cluster.expectEqualStates()
        #expect(cluster.view("a", at: 0)?.triesLeft == 1)
    }

    @Test("that find no quorum within the hold are told so, and nothing is claimed")
    func timeOut() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 1)
        cluster.cutOff(1)
        let callback = Example.callback("a", .digits, sequence: 1, digits: Example.right)
        let context = try cluster.submit(.callback(callback), at: 1)
        let submitted = cluster.now
        cluster.run(for: .seconds(6))
        #expect(cluster.completions[context]?.result == .timedOut)
        let waited = try #require(cluster.completedAt[context]).nanoseconds(since: submitted)
        #expect((5_000_000_000...5_100_000_000).contains(waited))
        #expect(cluster.look(1) { $0.pendingRequests } == 0)
        #expect(cluster.look(1) { $0.counters.timedOut } == 1)
        cluster.heal()
        cluster.expectEqualStates()
        #expect(cluster.view("a", at: 1)?.state == .open)
    }

    @Test("an open succeeds even if its flow's definition was lost on the way")
    func lostDefinition() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        var isFirst = true
        cluster.intercept = { from, _, message in
            guard from == 1, case .forward(var forward) = message, isFirst else { return message }
            isFirst = false
            #expect(forward.requests.map { $0.definition == nil } == [false])
            forward.requests[0].definition = nil
            return .forward(forward)
        }
        try cluster.open("a", at: 1)
        #expect(!isFirst)
        cluster.expectEqualStates()
        // It is one attempt, opened once; the refusal in between moved nothing.
        #expect(cluster.timeline("a", at: 2).count == 1)
    }

    @Test("an open whose flow cannot be defined is refused, not tried for ever")
    func noDefinition() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        let context = try cluster.submit(Example.open("a"), at: 1)
        cluster.run(for: .seconds(1))
        #expect(try cluster.applied(context) == .refused(.unknownFlow))
    }

    @Test("more than may wait are refused at once, with the limit")
    func tooMany() throws {
        let cluster = try Cluster { $0.maxPendingRequests = 3 }
        try cluster.elect(0)
        cluster.cutOff(1)
        for i in 1...3 { _ = try cluster.submit(Example.open("a\(i)"), at: 1) }
        let submission = cluster.with(1) {
            $0.submit(Example.open("b"), context: 99, at: cluster.now)
        }
        #expect(submission == .refused(.tooManyPending(limit: 3)))
        cluster.run(for: .seconds(6))
        cluster.heal()
        try cluster.awaitLeader()
        try cluster.open("c", at: 1)
    }

    @Test("one that no frame could carry is refused at once")
    func tooLarge() throws {
        let cluster = try Cluster()
        let subject = String(repeating: "x", count: PeerFrame.maxPayloadLength)
        let submission = cluster.with(0) {
            $0.submit(Example.open("a", subject: subject), context: 1, at: cluster.now)
        }
        #expect(submission == .refused(.tooLarge(limit: PeerFrame.maxPayloadLength)))
        // A definition is an entry like any other.
        var flow = Example.flow
        flow.prompt = subject
        let opening = cluster.with(0) {
            $0.submit(Example.open("a"), definition: flow, context: 2, at: cluster.now)
        }
        #expect(opening == .refused(.tooLarge(limit: PeerFrame.maxPayloadLength)))
        #expect(cluster.look(0) { $0.pendingRequests } == 0)
    }

    @Test("what the leader has no room for is asked again until all are answered")
    func forwardedBytesBound() throws {
        let cluster = try Cluster { $0.maxForwardedBytes = 3000 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        var refusals = 0
        cluster.intercept = { _, _, message in
            if case .forwardRefused = message { refusals += 1 }
            return message
        }
        var contexts: [UInt64] = []
        for i in 0..<60 {
            contexts.append(try cluster.submit(Example.open("a\(i)"), at: 1 + i % 2))
            if i % 5 == 4 { cluster.run(for: .milliseconds(1)) }
        }
        // Both followers' forwards arrive within one turn of the leader.
        for i in 60..<90 {
            contexts.append(try cluster.submit(Example.open("a\(i)"), at: 1 + i % 2))
        }
        cluster.run(atMost: .seconds(5)) { contexts.allSatisfy { cluster.completions[$0] != nil } }
        for context in contexts {
            guard case .opened(_, let view) = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                continue
            }
            #expect(view.counts.callbacks == 0)
        }
        #expect(refusals > 0)
        cluster.expectEqualStates()
    }

    @Test("a leader that stays full is not buried in what it refuses")
    func fullLeader() throws {
        let cluster = try Cluster { $0.maxForwardedBytes = 0 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        let contexts = try (0..<100).map { try cluster.submit(Example.open("a\($0)"), at: 1) }
        cluster.run(for: .seconds(4))
        // At 0, 100, 200, 400 and 800 ms, then every 400 ms, each rounded up by the house-keeping.
        let forwarded = try #require(cluster.look(1) { $0.counters.forwardedOut })
        #expect((900...1300).contains(forwarded))
        // Another leader has room: nobody waits for the patience to end.
        cluster.with(0) { _ = $0.transferLeadership(to: NodeID(2), at: cluster.now) }
        #expect(cluster.run(atMost: .milliseconds(200)) { cluster.leader == 1 })
        cluster.run(for: .milliseconds(100))
        for context in contexts {
            guard case .opened = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                return
            }
        }
    }

    @Test("a backlog larger than a frame, or than what a leader takes at once, gets through")
    func largeBacklog() throws {
        let cluster = try Cluster { $0.maxForwardedBytes = 1024 * 1024 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        var largest = 0
        cluster.intercept = { _, _, message in
            if case .forward(let forward) = message {
                largest = max(largest, forward.requests.reduce(0) { $0 + $1.command.count })
            }
            return message
        }
        let subject = String(repeating: "x", count: 30_000)
        let contexts = try (0..<100).map {
            try cluster.submit(Example.open("a\($0)", subject: subject), at: 1)
        }
        cluster.run(atMost: .seconds(5)) { contexts.allSatisfy { cluster.completions[$0] != nil } }
        for context in contexts {
            guard case .opened = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                return
            }
        }
        #expect(largest <= 256 * 1024)
    }
}
