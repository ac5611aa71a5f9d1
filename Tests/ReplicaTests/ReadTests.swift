import Raft
import Replica
import Testing
import Verification

@Suite("Linearizable reads")
struct ReadTests {
    @Test("at any node see what was acknowledged before they began", arguments: 0..<3, 0..<3)
    func seesAcknowledged(writer: Int, reader: Int) throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("z", at: writer)
        for i in 0..<5 {
            try cluster.open("a\(i)", at: writer)
            var seen: AttemptView?
            cluster.readServed = { _, node in seen = cluster.view("a\(i)", at: node) }
            let context = cluster.beginRead(at: reader)
            cluster.run(atMost: .seconds(1)) { cluster.reads[context] != nil }
            #expect(cluster.reads[context] == true)
            #expect(seen != nil, "read \(i) missed the write")
        }
        #expect(cluster.look(reader) { $0.pendingReads } == 0)
    }

    @Test("are not served by a leader that was deposed, nor by who asks it")
    func deposed() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.run(for: .seconds(1))
        // The old leader's messages pass, but it hears nothing: nobody tells it of the new term.
        cluster.intercept = { from, to, message in
            if to == 0 { return nil }
            if from == 0, case .raft = message { return nil }
            return message
        }
        let right = Example.callback("a", .digits, sequence: 1, digits: Example.right)
        #expect(cluster.run(atMost: .seconds(5)) { (cluster.leader ?? 0) != 0 })
        var stale = 0
        cluster.readServed = { _, node in
            if cluster.view("a", at: node)?.state != .verified { stale += 1 }
        }
        try cluster.perform(.callback(right), at: cluster.leader ?? 1)
        let contexts = (0..<3).map { cluster.beginRead(at: $0) }
        cluster.run(for: .seconds(2))
        #expect(cluster.reads[contexts[0]] == nil)
        #expect(cluster.reads[contexts[1]] == true)
        #expect(cluster.reads[contexts[2]] == true)
        #expect(stale == 0)
        cluster.run(for: .seconds(4))
        #expect(cluster.reads[contexts[0]] == false, "given up after the hold")
        cluster.intercept = { $2 }
        cluster.expectEqualStates()
    }

    @Test("an isolated leader serves none although it has not noticed yet")
    func isolatedLeader() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.cutOff(0)
        let context = cluster.beginRead(at: 0)
        cluster.run(for: .milliseconds(100))
        #expect(cluster.look(0) { $0.raft.role } == .leader)
        #expect(cluster.reads[context] == nil)
        cluster.run(for: .milliseconds(400))
        #expect(cluster.look(0) { $0.raft.role } != .leader)
        #expect(cluster.reads[context] == nil)
        cluster.heal()
        try cluster.awaitLeader()
        cluster.run(atMost: .seconds(3)) { cluster.reads[context] != nil }
        #expect(cluster.reads[context] == true, "served by the next leader within the hold")
    }

    @Test("a question or answer that was lost is asked again")
    func lost() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        var questions = 0
        var answers = 0
        cluster.intercept = { _, _, message in
            switch message {
            case .readIndex:
                questions += 1
                return questions == 1 ? nil : message
            case .readIndexReply:
                answers += 1
                return answers == 1 ? nil : message
            default: return message
            }
        }
        let context = cluster.beginRead(at: 1)
        cluster.run(for: .seconds(3))
        #expect(cluster.reads[context] == true)
        #expect(questions == 3)
        #expect(answers == 2)
    }

    @Test(
        "that the leader cannot confirm for long are asked in few rounds, and all served at last"
    )
    func slowLeader() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        var questions = 0
        var answersPass = false
        cluster.intercept = { _, _, message in
            switch message {
            case .readIndex: questions += 1
            case .readIndexReply: return answersPass ? message : nil
            default: break
            }
            return message
        }
        var contexts: [UInt64] = []
        for _ in 0..<2000 {
            contexts.append(cluster.beginRead(at: 1))
            cluster.run(for: .milliseconds(1))
        }
        #expect(cluster.look(1) { $0.pendingReads } == 2000)
        // Each round goes again after 400 ms.
        #expect((64...64 * 6).contains(questions))
        answersPass = true
        cluster.run(for: .milliseconds(600))
        #expect(contexts.allSatisfy { cluster.reads[$0] == true })
    }

    @Test("a question that comes five times before it is answered is answered once")
    func askedAgain() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        var answers = 0
        cluster.intercept = { _, _, message in
            if case .readIndexReply(round: 7, index: _?) = message { answers += 1 }
            return message
        }
        for _ in 0..<5 {
            cluster.with(0) {
                $0.received(.readIndex(round: 7), from: NodeID(2), at: cluster.now)
            }
        }
        cluster.run(for: .seconds(1))
        #expect(answers == 1)
        // Once answered, the same number is a new question.
        cluster.with(0) { $0.received(.readIndex(round: 7), from: NodeID(2), at: cluster.now) }
        cluster.run(for: .seconds(1))
        #expect(answers == 2)
    }

    @Test("an answer to the run before is not taken for one to this run")
    func answerOfEarlierRun() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.run(for: .seconds(1))
        // The first run's answer is kept back.
        var kept: PeerMessage?
        cluster.intercept = { from, to, message in
            if from == 0, to == 1, case .readIndexReply = message, kept == nil {
                kept = message
                return nil
            }
            return message
        }
        _ = cluster.beginRead(at: 1)
        cluster.run(atMost: .seconds(1)) { kept != nil }
        let old = try #require(kept)
        guard case .readIndexReply(_, let index?) = old else {
            Issue.record("\(old)")
            return
        }
        // What that answer asks for is applied here, and known to be committed after a restart.
        for name in ["b", "c", "d"] { try cluster.open(name, at: 1) }
        cluster.run(for: .milliseconds(300))
        cluster.crash(1)
        let right = Example.callback("a", .digits, sequence: 1, digits: Example.right)
        try cluster.perform(.callback(right), at: 0)
        // The new run cannot hear the log, so that its state is old.
        cluster.intercept = { from, to, message in
            guard to == 1 else { return message }
            if case .raft(let raft) = message, case .appendEntries(var append) = raft.body {
                append.entries = []
                append.leaderCommit = .zero
                return .raft(
                    Message(
                        from: raft.from,
                        to: raft.to,
                        term: raft.term,
                        body: .appendEntries(append)
                    )
                )
            }
            return message
        }
        try cluster.start(1)
        cluster.run(for: .milliseconds(200))
        #expect(try #require(cluster.look(1) { $0.appliedIndex }) >= index)
        let context = cluster.beginRead(at: 1)
        cluster.run(for: .milliseconds(1))
        cluster.with(1) { $0.received(old, from: NodeID(1), at: cluster.now) }
        cluster.run(for: .milliseconds(200))
        #expect(cluster.view("a", at: 1)?.state != .verified)
        #expect(cluster.reads[context] == nil, "served from a state older than what was answered")
        cluster.intercept = { $2 }
        cluster.run(atMost: .seconds(3)) { cluster.reads[context] != nil }
        #expect(cluster.view("a", at: 1)?.state == .verified)
    }
}
