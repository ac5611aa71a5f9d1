import Journal
import Raft
import Replica
import Testing
import Verification

@Suite("Disks that hang or are full")
struct DiskTroubleTests {
    private func disk(_ cluster: Cluster, _ node: Int) -> DiskRoom? {
        cluster.look(node) { $0.diskRoom }
    }

    private func callback(_ key: String) -> Command {
        .callback(Example.callback("a", .answered, key: key))
    }

    /// Has everybody write until the segments are nearly full and no further one can be made.
    private func fill(_ cluster: Cluster, _ nodes: [Int], at node: Int) throws {
        for full in nodes { cluster.members[full].disk.isFull = true }
        var number = 0
        while nodes.contains(where: { disk(cluster, $0) == .enough }) {
            number += 1
            try #require(number < 1000, "never full")
            let command = Example.open("fill\(number)", subject: String(repeating: "s", count: 250))
            let context = try cluster.submit(command, definition: Example.flow, at: node)
            cluster.run(atMost: .seconds(1)) { cluster.completions[context] != nil }
        }
    }

    @Test("a leader whose disk hangs hands over to a voter whose disk is well, and comes back")
    func hungLeader() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.members[0].holdsDisk = true
        let context = try cluster.submit(callback("k"), at: 0)
        // The others commit it; the own disk is only noticed to hang after a while.
        cluster.run(for: .milliseconds(1500))
        #expect(try cluster.decision(context).disposition == .accepted)
        #expect(cluster.leader == 0)
        let start = cluster.now
        let isReplaced = cluster.run(atMost: .seconds(3)) {
            guard let leader = cluster.leader else { return false }
            return leader != 0 && cluster.look(0) { $0.raft.role } == .follower
        }
        #expect(isReplaced)
        #expect(cluster.now.nanoseconds(since: start) < 1_500_000_000)
        #expect(cluster.look(0) { $0.isDiskStalled } == true)
        #expect(
            cluster.notices.contains { $0.node == 0 && $0.notice == .diskStalled(.seconds(2)) }
        )
        // Meanwhile the others go on, and the node says what it knows; it promises nothing.
        try cluster.perform(callback("k2"), at: 1)
        if case .callback(let known) = callback("k") {
            let answer = cluster.with(0) { $0.answerLocally(known) }
            #expect(answer != .some(nil))
        }
        cluster.run(for: .seconds(5))
        #expect(cluster.leader != 0)
        #expect(cluster.look(1) { $0.peerStates[0].status?.isDiskStalled } == true)
        cluster.releaseDisk(0)
        cluster.expectEqualStates()
        #expect(cluster.look(0) { $0.isDiskStalled } == false)
        #expect(
            cluster.notices.contains { entry in
                if case .diskGetsOn = entry.notice { entry.node == 0 } else { false }
            }
        )
        // A good follower, that can lead again.
        try cluster.elect(0)
        try cluster.perform(callback("k3"), at: 1)
    }

    @Test("a leader whose disk hangs while it hands over in vain does not try another one")
    func hangsWhileHandingOver() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.members[0].holdsDisk = true
        _ = try cluster.submit(callback("k"), at: 0)
        // It was asked to hand over shortly before, and nobody takes over.
        cluster.intercept = { _, _, message in
            guard case .raft(let raft) = message, case .timeoutNow = raft.body else {
                return message
            }
            return nil
        }
        cluster.run(for: .milliseconds(1900))
        let refusal = cluster.with(0) { $0.transferLeadership(to: NodeID(3), at: cluster.now) }
        #expect(refusal == .some(nil))
        let start = cluster.now
        let isReplaced = cluster.run(atMost: .seconds(3)) {
            cluster.look(0) { $0.raft.role } == .follower
        }
        #expect(isReplaced)
        let limit = try #require(cluster.look(0) { $0.raft.timing.transfer })
        #expect(cluster.now.nanoseconds(since: start) < limit + limit / 2)
    }

    @Test("a leader whose disk hangs steps down where nobody can take over, and leads again after")
    func hungAlone() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        for node in 0..<3 { cluster.members[node].holdsDisk = true }
        _ = try cluster.submit(callback("k"), at: 0)
        let hasNone = cluster.run(atMost: .seconds(4)) {
            (0..<3).allSatisfy { node in cluster.look(node) { $0.raft.role } != .leader }
        }
        #expect(hasNone)
        let terms = (0..<3).map(cluster.term)
        cluster.run(for: .seconds(20))
        #expect((0..<3).map(cluster.term) == terms, "nobody campaigns in vain")
        for node in 0..<3 { cluster.releaseDisk(node) }
        try cluster.awaitLeader()
        try cluster.perform(callback("k"), at: 1)
        cluster.expectEqualStates()
    }

    @Test("a follower's hung disk costs nothing and does not fill its memory")
    func hungFollower() throws {
        let cluster = try Cluster { $0.journal.maxPendingBytes = 4096 }
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.members[2].holdsDisk = true
        let leader = cluster.term(0)
        for i in 1...100 {
            try cluster.perform(callback("k\(i)"), at: i % 2, within: .milliseconds(200))
        }
        cluster.run(for: .seconds(5))
        #expect(cluster.term(0) == leader && cluster.leader == 0)
        let waiting = cluster.look(2) { $0.journal.pendingBytes } ?? 0
        #expect(waiting > 1000 && waiting <= 4096)
        #expect(cluster.look(2) { $0.raft.unstoredEntries > 0 } == true)
        cluster.releaseDisk(2)
        cluster.expectEqualStates()
    }

    @Test("a leader without room hands over to a node that has some")
    func fullLeader() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        try fill(cluster, [0], at: 1)
        #expect(cluster.run(atMost: .seconds(3)) { cluster.leader.map { $0 != 0 } ?? false })
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.clusterRoom(at: cluster.now) } == .enough)
        }
        try cluster.open("b", at: 0)
        // Even when its reserve is gone the others go on, and it tells what it knows.
        for i in 1...400 {
            try cluster.perform(callback("k\(i)"), at: i % 2 + 1)
        }
        #expect(disk(cluster, 0) == DiskRoom.none)
        #expect(cluster.look(0) { $0.clusterRoom(at: cluster.now) } == DiskRoom.none)
        #expect(cluster.look(1) { $0.clusterRoom(at: cluster.now) } == .enough)
        if case .callback(let known) = callback("k1") {
            #expect(cluster.with(0) { $0.answerLocally(known) } != .some(nil))
        }
        #expect(cluster.leader != 0)
        let behind = cluster.look(0) { $0.raft.durableIndex } ?? .zero
        let ahead = cluster.look(1) { $0.raft.durableIndex } ?? .zero
        #expect(behind < ahead)
        cluster.members[0].disk.isFull = false
        cluster.expectEqualStates()
        #expect(disk(cluster, 0) == .enough)
        #expect(cluster.notices.contains { $0.node == 0 && $0.notice == .diskHasRoomAgain })
    }

    @Test("where a majority is full, callbacks are decided as long as the reserve lasts")
    func fullMajority() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        try fill(cluster, [0, 1], at: 0)
        cluster.run(for: .seconds(1))
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.clusterRoom(at: cluster.now) } == .reserve)
        }
        var accepted: [Command] = []
        var refused: UInt64?
        for i in 1...1000 where refused == nil {
            let context = try cluster.submit(callback("k\(i)"), at: i % 3)
            cluster.run(atMost: .seconds(6)) { cluster.completions[context] != nil }
            if case .timedOut = cluster.completions[context]?.result {
                refused = context
            } else {
                #expect(try cluster.decision(context).disposition == .accepted)
                accepted.append(callback("k\(i)"))
            }
        }
        #expect(accepted.count > 20, "the reserve is used")
        #expect(refused != nil, "and it ends")
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.clusterRoom(at: cluster.now) } == DiskRoom.none)
        }
        // A restart on the full disks finds all that was answered.
        for node in 0..<3 { cluster.crash(node) }
        for node in 0..<3 { try cluster.start(node) }
        try cluster.awaitLeader()
        cluster.run(for: .seconds(1))
        for case .callback(let callback) in accepted {
            let known = cluster.look(2) { $0.machine.knownAnswer(to: callback) }
            #expect(known != .some(nil), "lost")
        }
        for node in 0..<3 { cluster.members[node].disk.isFull = false }
        #expect(
            cluster.run(atMost: .seconds(5)) {
                (0..<3).allSatisfy { node in
                    cluster.look(node) { $0.clusterRoom(at: cluster.now) } == .enough
                }
            }
        )
        try cluster.open("b", at: 1)
        cluster.expectEqualStates()
    }

    @Test("a majority without room is told apart from a majority that is not there")
    func unreachable() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        try fill(cluster, [2], at: 0)
        cluster.crash(0)
        cluster.crash(1)
        cluster.run(for: .seconds(3))
        #expect(cluster.look(2) { $0.clusterRoom(at: cluster.now) } == .enough)
        try cluster.start(0)
        cluster.run(for: .seconds(1))
        #expect(cluster.look(0) { $0.clusterRoom(at: cluster.now) } == .reserve)
    }
}
