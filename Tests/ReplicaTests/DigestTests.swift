import Raft
import Replica
import Store
import Testing
import Verification

@Suite("Digests that replicas agree on")
struct DigestTests {
    private func cluster(
        _ change: @escaping (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws -> Cluster {
        try Cluster {
            $0.digestInterval = .milliseconds(500)
            change(&$0)
        }
    }

    private func work(_ cluster: Cluster, _ name: String, _ count: UInt64 = 6) throws {
        try cluster.open(name, at: 0)
        for i in 0..<count {
            let callback = Example.callback(name, .answered, key: "\(name)-\(i)")
            try cluster.perform(.callback(callback), at: Int(i) % 2)
        }
        cluster.run(for: .seconds(2))
    }

    private func isServing(_ node: Int, _ cluster: Cluster) -> Bool {
        cluster.look(node) { $0.isServing } ?? false
    }

    @Test("equal replicas compare their digests, go on, and rest when nothing happens")
    func agreement() throws {
        let cluster = try cluster()
        try cluster.elect(0)
        try work(cluster, "a")
        cluster.run(for: .seconds(3))
        for node in 0..<3 {
            #expect(isServing(node, cluster))
            #expect(cluster.look(node) { $0.machine.counters.checkedDigests } ?? 0 >= 1)
        }
        let last = cluster.look(0) { $0.raft.lastIndex }
        cluster.run(for: .seconds(10))
        #expect(cluster.look(0) { $0.raft.lastIndex } == last)
    }

    @Test("a replica that differs stops serving, and only that one", arguments: [0, 2])
    func quarantine(wrong: Int) throws {
        let cluster = try cluster()
        try cluster.elect(0)
        try work(cluster, "a")
        cluster.spoilState(wrong)
        let right = (0..<3).filter { $0 != wrong }
        try cluster.open("b", at: right[0])
        cluster.run(for: .seconds(4))
        #expect(!isServing(wrong, cluster))
        #expect(cluster.look(wrong) { $0.condition } == .quarantined)
        for node in right { #expect(isServing(node, cluster)) }
        // It does not lead, but its disk still counts.
        let leader = try cluster.awaitLeader(knownTo: right)
        #expect(leader != wrong)
        cluster.crash(right.first { $0 != leader } ?? 0)
        try cluster.open("c", at: leader)
        // Built anew from its log it serves again.
        #expect(cluster.with(wrong) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(1))
        #expect(isServing(wrong, cluster))
        #expect(cluster.view("c", at: wrong) != nil)
        #expect(cluster.digest(wrong) == cluster.digest(leader))
    }

    @Test("a replica that differs merges nothing: what is live it does not know")
    func noMerge() throws {
        var runs = 100
        let cluster = try cluster {
            $0.keepLittleLog()
            $0.state.checkpointBytes = 256
            $0.state.merge.maxSmallRuns = runs
        }
        try cluster.elect(0)
        for i in 0..<8 { try work(cluster, "a\(i)") }
        let before = try #require(cluster.look(2) { $0.stateFiles.count })
        #expect(before > 4)
        // From now on it merges, but that its disk is slow.
        runs = 2
        cluster.crash(2)
        cluster.members[2].holdsLoads = true
        try cluster.start(2)
        cluster.spoilState(2)
        try cluster.open("b", at: 0)
        cluster.run(for: .seconds(4))
        #expect(cluster.look(2) { $0.condition } == .quarantined)
        #expect(!cluster.members[2].heldReads.isEmpty)
        cluster.releaseReads(2)
        cluster.run(for: .seconds(10))
        #expect(cluster.look(2) { $0.condition } == .quarantined)
        #expect(cluster.look(2) { $0.counters.merges } == 0)
        #expect(try #require(cluster.look(2) { $0.stateFiles.count }) >= before)
    }

    @Test("a leader whose state is wrong hands over to one that serves, not to one that rebuilds")
    func successorThatServes() throws {
        let cluster = try cluster()
        try cluster.elect(0)
        try work(cluster, "a")
        // The second node says that it builds its state anew: it would not take office.
        cluster.intercept = { from, to, message in
            guard from == 1 else {
                if case .raft(let raft) = message, case .timeoutNow = raft.body, to == 1 {
                    return nil
                }
                return message
            }
            return message.saying { $0.condition = .rebuilding }
        }
        cluster.run(for: .seconds(2))
        cluster.spoilState(0)
        try cluster.open("b", at: 2)
        cluster.run(for: .seconds(4))
        #expect(!isServing(0, cluster))
        #expect(cluster.leader == 2)
        try cluster.open("c", at: 2)
    }

    @Test("a leader without a state hands over to nobody whom it could not bring up to date")
    func successorWithLog() throws {
        let cluster = try cluster {
            $0.state.checkpointAttempts = 4
            $0.keepLittleLog()
        }
        try cluster.elect(0)
        cluster.crash(2)
        for i in 0..<24 { try cluster.open("a\(i)", at: 0) }
        cluster.run(for: .seconds(1))
        // The last node needs a checkpoint and gets none; the other one serves, though it keeps damage.
        cluster.intercept = { from, to, message in
            if to == 2, case .pull = message { return nil }
            return message.saying { if from == 1 { $0.condition = .damaged } }
        }
        try cluster.start(2)
        cluster.run(for: .seconds(3))
        try #require(cluster.leader == 0)
        #expect(cluster.look(2) { $0.condition } == .healthy)
        #expect(cluster.with(0) { $0.rebuild(at: cluster.now) } == true)
        let isHandedOver = cluster.run(atMost: .seconds(4)) { cluster.leader == 1 }
        #expect(isHandedOver)
        try cluster.open("b", at: 1)
    }

    @Test("a state that came from a checkpoint is built anew from the leader's, and the log stays")
    func rebuiltFromCheckpoint() throws {
        let cluster = try cluster { $0.state.checkpointBytes = 1 }
        try cluster.elect(0)
        try work(cluster, "a")
        cluster.run(for: .seconds(1))
        #expect(cluster.look(2) { $0.checkpoint != nil } == true)
        cluster.spoilState(2)
        try cluster.open("b", at: 0)
        cluster.run(for: .seconds(4))
        #expect(!isServing(2, cluster))
        let last = try #require(cluster.look(2) { $0.raft.lastIndex })
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        // The leader hands its checkpoint on once the third node has said that it has the same state.
        cluster.run(for: .seconds(5))
        #expect(isServing(2, cluster))
        #expect(try #require(cluster.look(2) { $0.raft.lastIndex }) >= last)
        #expect(cluster.view("a", at: 2) != nil)
        #expect(cluster.digest(2) == cluster.digest(0))
        // What it had come to is kept.
        #expect(try cluster.members[2].disk.list().contains { $0.hasPrefix("damaged-CHECKPOINT") })
    }

    @Test("a state that is wrong again when it is built anew stays out, and says so")
    func confirmed() throws {
        // A node with other limits than the rest, which is the operator's mistake.
        let cluster = try cluster {
            if $0.raft.node == NodeID(3) { $0.limits.callbacksPerAttempt = 3 }
        }
        try cluster.elect(0)
        try work(cluster, "a")
        try work(cluster, "b")
        cluster.run(for: .seconds(3))
        #expect(cluster.look(2) { $0.quarantine?.isConfirmed } == .some(false))
        #expect(isServing(0, cluster) && isServing(1, cluster))
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(1))
        #expect(cluster.look(2) { $0.quarantine?.isConfirmed } == .some(true))
        // A restart finds the same.
        cluster.crash(2)
        try cluster.start(2)
        #expect(!isServing(2, cluster))
    }

    @Test("who leads no more hands on nothing that was not compared, and is not asked again")
    func formerLeader() throws {
        let cluster = try cluster { $0.state.checkpointBytes = 1 }
        try cluster.elect(0)
        try work(cluster, "a")
        var asked: PeerMessage?
        cluster.intercept = { from, to, message in
            // Nobody says what its state has come to, and the leader does not hear the question.
            if to == 0, case .pull(.fileWanted) = message {
                asked = message
                return nil
            }
            return message.saying { $0.mark = nil }
        }
        cluster.run(for: .seconds(2))
        try work(cluster, "b")
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(1))
        let question = try #require(asked)
        cluster.with(0) { _ = $0.transferLeadership(to: NodeID(2), at: cluster.now) }
        let leader = try cluster.awaitLeader(otherThan: 0, knownTo: [0, 1])
        #expect(leader == 1)
        var answers = 0
        cluster.intercept = { from, to, message in
            if from == 0, case .pull(.file) = message { answers += 1 }
            return message
        }
        cluster.with(0) { $0.received(question, from: NodeID(3), at: cluster.now) }
        cluster.run(for: .milliseconds(100))
        #expect(answers == 0)
        let isServing = cluster.run(atMost: .seconds(8)) {
            cluster.look(2) { $0.isServing } == true
        }
        #expect(isServing)
        #expect(answers == 0)
        let sources = cluster.notices.compactMap {
            if case .installBegun(_, let source) = $0.notice { source } else { nil }
        }
        #expect(sources == [NodeID(2)])
    }

    @Test("a leader that was just elected waits for the word of a voter far away")
    func freshLeader() throws {
        let cluster = try cluster {
            $0.state.checkpointBytes = 1
            $0.keepLittleLog()
        }
        try cluster.elect(1)
        try work(cluster, "a")
        cluster.crash(2)
        for i in 0..<8 { try work(cluster, "b\(i)") }
        // The next leader's newest checkpoint was compared by nobody, and its voter's answers take their time.
        cluster.intercept = { $2.saying { $0.mark = nil } }
        try cluster.open("c", at: 1)
        cluster.run(for: .seconds(2))
        let isBehind = cluster.look(0) {
            guard let index = $0.checkpoint?.index.number else { return false }
            return !$0.machine.digest.isCompared(EntryIndex(index))
        }
        try #require(isBehind == true)
        var isFar = true
        cluster.intercept = { from, to, message in
            if isFar, from == 1, to == 0, case .raft(let raft) = message,
                case .appendEntriesReply = raft.body
            {
                return nil
            }
            return message.saying { $0.mark = nil }
        }
        cluster.with(1) { _ = $0.transferLeadership(to: NodeID(1), at: cluster.now) }
        try #require(
            cluster.run(atMost: .seconds(3)) {
                cluster.look(0) { $0.raft.role == .leader } == true
            }
        )
        try cluster.start(2)
        cluster.run(for: .milliseconds(200))
        let begun = cluster.notices.count {
            if case .installBegun = $0.notice { true } else { false }
        }
        #expect(begun == 0)
        isFar = false
        cluster.intercept = { $2 }
        let isThere = cluster.run(atMost: .seconds(20)) {
            cluster.look(2) { $0.isServing && $0.checkpoint != nil } == true
        }
        #expect(isThere)
    }

    @Test("what nobody could compare when it was begun is not handed on to its end once it can be")
    func begunUnderExcuse() throws {
        let cluster = try cluster {
            $0.state.checkpointAttempts = 4
            $0.state.merge.maxSmallRuns = 100
            $0.keepLittleLog()
        }
        try cluster.elect(0)
        cluster.crash(2)
        cluster.intercept = { $2.saying { $0.mark = nil } }
        for i in 0..<24 { try cluster.open("a\(i)", at: 0) }
        cluster.run(for: .seconds(2))
        // The last node lacks the log, the other one is away: nobody could agree on anything.
        cluster.crash(1)
        var pieces = 0
        cluster.intercept = { from, to, message in
            if from == 0, to == 2, case .pull(.file(let file, _, _)) = message,
                file.hasPrefix("state-")
            {
                pieces += 1
                if pieces == 1 { cluster.members[0].holdsLoads = true }
            }
            return message.saying { $0.mark = nil }
        }
        try cluster.start(2)
        try #require(
            cluster.run(atMost: .seconds(30)) { !cluster.members[0].heldReads.isEmpty }
        )
        try cluster.start(1)
        try #require(
            cluster.run(atMost: .seconds(3)) { cluster.look(1) { $0.canCommit } == true }
        )
        let before = pieces
        cluster.releaseReads(0)
        cluster.run(for: .seconds(3))
        // The piece that was being read, and no more.
        #expect(pieces == before + 1)
        cluster.intercept = { $2 }
        let isThere = cluster.run(atMost: .seconds(30)) {
            cluster.look(2) { $0.appliedIndex } == cluster.look(0) { $0.appliedIndex }
        }
        #expect(isThere)
    }

    @Test("who waits at a replica that differs is told that nothing is claimed")
    func waiting() throws {
        let cluster = try cluster {
            if $0.raft.node == NodeID(3) { $0.limits.callbacksPerAttempt = 3 }
        }
        try cluster.elect(0)
        try work(cluster, "a")
        cluster.members[2].holdsDisk = true
        let callback = Example.callback("a", .answered, key: "late")
        let context = try cluster.submit(.callback(callback), at: 2)
        cluster.releaseDisk(2)
        cluster.run(for: .seconds(8))
        #expect(cluster.completions[context]?.result != nil)
        #expect(cluster.look(2) { $0.pendingRequests } == 0)
    }
}
