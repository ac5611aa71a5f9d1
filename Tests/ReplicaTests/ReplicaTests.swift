import Raft
import Replica
import Testing
import Verification

@Suite("a replica wires consensus, journal and state machine")
struct ReplicaTests {
    @Test("a follower's request is committed by the leader and answered at the follower")
    func forwarded() throws {
        let script = try Script()
        let leader = try script.elect()
        let follower = leader % 3 + 1
        let opened = try script.open("va_1", at: follower)
        guard case .applied(.opened(isNew: true, _)) = try script.result(opened, at: follower)
        else {
            Issue.record("not opened")
            return
        }
        let context = try script.submit(
            .callback(script.callback("va_1", at: follower)),
            at: follower
        )
        let decision = try script.decision(context, at: follower)
        #expect(decision.disposition == .accepted)
        #expect(decision.answer.state == .verified)
    }

    @Test("no answer leaves before a majority's disks have the entry")
    func durable() throws {
        let script = try Script()
        let leader = try script.elect()
        for node in script.nodes { node.holdsDisk = true }
        let context = try script.open("va_1", at: leader)
        try script.pass(.milliseconds(300))
        #expect(script[leader].completions[context] == nil)
        script[leader].holdsDisk = false
        try script.pass(.milliseconds(300))
        // One disk of three is not a majority, though all three hold the entry in memory.
        #expect(script.nodes.allSatisfy { $0.replica.raft.lastIndex > LogIndex(1) })
        #expect(script[leader].completions[context] == nil)
        script[leader % 3 + 1].holdsDisk = false
        guard case .applied(.opened(isNew: true, _)) = try script.result(context, at: leader) else {
            Issue.record("not opened")
            return
        }
    }

    @Test("a forward that is lost is sent again, and one that was not lost counts once")
    func lostForward() throws {
        let script = try Script()
        let leader = try script.elect()
        let follower = leader % 3 + 1
        _ = try script.result(try script.open("va_1", at: follower), at: follower)
        var lost = 0
        script.loses = { message in
            guard case .forward = message, lost == 0 else { return false }
            lost += 1
            return true
        }
        let first = try script.submit(
            .callback(script.callback("va_1", digits: [9], at: follower)),
            at: follower
        )
        #expect(try script.decision(first, at: follower).answer.state == .open)
        #expect(lost == 1)

        // Now the forward arrives, but the follower hears nothing for so long that it asks again.
        script.loses = { _ in false }
        script.cut = [[leader, follower]]
        let second = try script.submit(
            .callback(script.callback("va_1", sequence: 2, digits: [9], at: follower)),
            at: follower
        )
        try script.pass(.milliseconds(50))
        script.cut = []
        #expect(try script.decision(second, at: follower).answer.state == .open)
        try script.pass(.seconds(3))
        let view = script[follower].replica.machine.attempt(try script.attempt("va_1"))
        #expect(view?.triesLeft == 1)
        #expect(view?.counts.repeated == 0)
    }

    @Test("requests that wait at a follower when the leader dies are answered by the next one")
    func leaderDies() throws {
        let script = try Script()
        let leader = try script.elect()
        let follower = leader % 3 + 1
        _ = try script.result(try script.open("va_1", at: follower), at: follower)
        script.kill(leader)
        let context = try script.submit(
            .callback(script.callback("va_1", at: follower)),
            at: follower
        )
        let died = script.now
        #expect(try script.decision(context, at: follower).answer.state == .verified)
        #expect(script.now.nanoseconds(since: died) < 1_000_000_000)
    }

    @Test("without a majority a request is told that it timed out, never anything else")
    func noQuorum() throws {
        let script = try Script()
        let leader = try script.elect()
        let survivor = leader % 3 + 1
        _ = try script.result(try script.open("va_1", at: survivor), at: survivor)
        script.kill(leader)
        script.kill(6 - leader - survivor)
        let asked = script.now
        let context = try script.submit(
            .callback(script.callback("va_1", at: survivor)),
            at: survivor
        )
        #expect(try script.result(context, at: survivor) == .timedOut)
        #expect(script.now.nanoseconds(since: asked) >= 10_000_000_000)
        #expect(script[survivor].replica.pendingRequests == 0)
    }

    @Test("a known key is answered by every node alone, and its repeats are reported once")
    func localAnswers() throws {
        let script = try Script()
        let leader = try script.elect()
        _ = try script.result(try script.open("va_1", at: leader), at: leader)
        let callback = try script.callback("va_1", at: leader)
        let first = try script.decision(
            try script.submit(.callback(callback), at: leader),
            at: leader
        )
        try script.pass(.milliseconds(200))
        for id in 1...3 as ClosedRange<UInt32> {
            let known = script[id].replica.answerLocally(callback)
            let again = try #require(known)
            #expect(again.disposition == .repeated)
            #expect(again.answer == first.answer)
        }
        try script.pass(.seconds(5))
        for id in 1...3 as ClosedRange<UInt32> {
            let timeline = script[id].replica.machine.timeline(callback.attempt)
            let entries = try #require(timeline)
            #expect(entries.last?.repeats == 3)
        }
        #expect(script.state(1) == script.state(2) && script.state(2) == script.state(3))
    }

    @Test("a linearizable read at a follower sees what was acknowledged before it began")
    func reads() throws {
        let script = try Script()
        let leader = try script.elect()
        let follower = leader % 3 + 1
        // The follower hears of no commit: only the read makes it wait for one.
        _ = try script.result(try script.open("va_1", at: leader), at: leader)
        script[follower].replica.beginRead(context: 77, at: script.now)
        try script.wait("the read") { script[follower].reads[77] != nil }
        #expect(script[follower].reads[77] == true)
        let state = script[follower].replica.machine.state(of: try script.attempt("va_1"))
        #expect(state == .open)
    }

    @Test("a leader that is cut off serves no linearizable read")
    func deposedRead() throws {
        let script = try Script()
        let leader = try script.elect()
        let others = [1, 2, 3].filter { $0 != leader } as [UInt32]
        for other in others {
            script.cut.insert([leader, other])
            script.cut.insert([other, leader])
        }
        script[leader].replica.beginRead(context: 5, at: script.now)
        try script.wait("another leader") {
            others.contains { script[$0].replica.raft.role == .leader }
        }
        try script.wait("the read's end") { script[leader].reads[5] != nil }
        #expect(script[leader].reads[5] == false)
    }

    @Test("a node that was away for longer than the leader's memory catches up from the journal")
    func laggard() throws {
        let script = try Script()
        let leader = try script.elect()
        let laggard = leader % 3 + 1
        script.kill(laggard)
        for number in 0..<200 {
            let name = "va_\(number)"
            _ = try script.result(try script.open(name, at: leader), at: leader)
        }
        #expect(script[leader].replica.raft.evictedIndex > LogIndex(100))
        try script.start(laggard)
        try script.wait("the laggard") {
            script[laggard].replica.appliedIndex >= script[leader].replica.appliedIndex
        }
        #expect(script.state(laggard) == script.state(leader))
    }

    @Test("all replicas restarted from their disks have the same state again")
    func restart() throws {
        let script = try Script()
        let leader = try script.elect()
        for number in 0..<20 {
            _ = try script.result(try script.open("va_\(number)", at: leader), at: leader)
        }
        try script.pass(.milliseconds(300))
        let before = script.state(1)
        #expect(script.state(2) == before && script.state(3) == before)
        for id in 1...3 as ClosedRange<UInt32> { script.kill(id) }
        for id in 1...3 as ClosedRange<UInt32> { try script.start(id) }
        _ = try script.elect()
        try script.pass(.milliseconds(500))
        for id in 1...3 as ClosedRange<UInt32> {
            let attempt = try script.attempt("va_19")
            #expect(script[id].replica.machine.state(of: attempt) == .open)
        }
        #expect(script.state(1) == script.state(2) && script.state(2) == script.state(3))
    }

    @Test("an attempt expires at the same entry everywhere, without any traffic")
    func expiry() throws {
        let script = try Script()
        let leader = try script.elect()
        _ = try script.result(
            try script.open("va_1", at: leader, expiresIn: 12),
            at: leader
        )
        let attempt = try script.attempt("va_1")
        try script.pass(.seconds(11))
        #expect(script[leader].replica.machine.state(of: attempt) == .open)
        try script.pass(.seconds(2))
        let outcomes = script.nodes.map { $0.replica.machine.attempt(attempt)?.outcome }
        #expect(outcomes[0]?.state == .expired)
        #expect(outcomes.allSatisfy { $0 == outcomes[0] })
    }

    @Test("an open whose flow was lost with a leader is proposed again behind the definition")
    func lostDefinition() throws {
        let script = try Script()
        let leader = try script.elect()
        let follower = leader % 3 + 1
        var stripped = 0
        script.loses = { message in
            // The first forward loses its definition: only the open is proposed.
            guard case .forward(let commands) = message, commands.count == 2, stripped == 0 else {
                return false
            }
            stripped += 1
            script[leader].replica.received(
                .forward([commands[1]]),
                from: NodeID(follower),
                at: script.now
            )
            return true
        }
        let context = try script.open("va_1", at: follower)
        guard case .applied(.opened(isNew: true, _)) = try script.result(context, at: follower)
        else {
            Issue.record("not opened")
            return
        }
        #expect(stripped == 1)
    }

    @Test("one request more than may wait is refused, and there is room again afterwards")
    func backPressure() throws {
        let script = try Script()
        let leader = try script.elect()
        for node in script.nodes { node.holdsDisk = true }
        let limit = script[leader].replica.configuration.maxPendingRequests
        let command = Command.callback(try script.callback("va_1", at: leader))
        for context in 0..<UInt64(limit) {
            guard
                case .taken = script[leader].replica.submit(
                    command,
                    context: context,
                    at: script.now
                )
            else {
                Issue.record("refused too early")
                return
            }
        }
        let refused = script[leader].replica.submit(command, context: 0, at: script.now)
        #expect(refused == .refused(.tooManyPending(limit: limit)))
        for node in script.nodes { node.holdsDisk = false }
        try script.wait("all are answered") { script[leader].replica.pendingRequests == 0 }
        guard case .taken = script[leader].replica.submit(command, context: 0, at: script.now)
        else {
            Issue.record("still refused")
            return
        }
    }

    @Test("leadership is handed to the node that is asked for, and requests go on")
    func transfer() throws {
        let script = try Script()
        let leader = try script.elect()
        let target = leader % 3 + 1
        let refusal = script[leader].replica.transferLeadership(
            to: NodeID(target),
            at: script.now
        )
        #expect(refusal == nil)
        let context = try script.open("va_1", at: leader)
        guard case .applied(.opened(isNew: true, _)) = try script.result(context, at: leader) else {
            Issue.record("not opened")
            return
        }
        #expect(script.leader == target)
    }
}
