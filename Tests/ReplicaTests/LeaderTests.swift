import Raft
import Replica
import Testing
import Verification

@Suite("A leader")
struct LeaderTests {
    @Test("lets a deadline pass by itself, at the same entry everywhere")
    func tick() throws {
        let cluster = try Cluster()
        // One time decides, that of the log, however much the clocks differ.
        cluster.members[1].skew = 3_600_000
        cluster.members[2].skew = 7_200_000
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        let contexts = try ["a", "b"].map {
            try cluster.submit(Example.open($0, expiresIn: 10), at: 0)
        }
        cluster.run(for: .milliseconds(100))
        for context in contexts { _ = try cluster.applied(context) }
        cluster.expectEqualStates()
        let before = try #require(cluster.look(0) { $0.appliedIndex })
        cluster.run(for: .milliseconds(9500))
        for node in 0..<3 { #expect(cluster.view("a", at: node)?.state == .open) }
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
        let outcomes = (0..<3).map { cluster.view("a", at: $0)?.outcome }
        #expect(outcomes[0]?.state == .expired)
        #expect(outcomes[0]?.index == EntryIndex(before.number + 1))
        #expect(outcomes[1] == outcomes[0])
        #expect(outcomes[2] == outcomes[0])
        // One tick does for both, and none comes after it.
        cluster.run(for: .seconds(20))
        #expect(cluster.look(0) { $0.appliedIndex } == before.next)
    }

    @Test("lets deadlines pass as before when clocks that were ahead are set right")
    func clockSetBack() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        for node in 0..<2 { cluster.members[node].skew = 3_600_000 }
        cluster.run(for: .seconds(2))
        try cluster.open("a", at: 0, expiresIn: 10)
        try cluster.open("b", at: 0, expiresIn: 20)
        let ahead = Cluster.startOfTime + 3_600_000
        #expect(try #require(cluster.view("b", at: 0)).openedAt.milliseconds > ahead)
        for node in 0..<2 { cluster.members[node].skew = 0 }
        cluster.run(for: .milliseconds(9900))
        for node in 0..<3 { #expect(cluster.view("a", at: node)?.state == .open) }
        cluster.run(for: .milliseconds(300))
        cluster.expectEqualStates()
        #expect(cluster.view("a", at: 1)?.state == .expired)
        #expect(cluster.view("b", at: 1)?.state == .open)
        // The next leader knows no more than the last entry's time, and goes on from there.
        cluster.crash(0)
        try cluster.awaitLeader(otherThan: 0)
        cluster.run(for: .milliseconds(9700))
        #expect(cluster.view("b", at: 1)?.state == .open)
        cluster.run(for: .milliseconds(500))
        try cluster.start(0)
        cluster.expectEqualStates()
        #expect(cluster.view("b", at: 2)?.state == .expired)
    }

    @Test("that is full asks for no turn for a deadline that it cannot let pass")
    func fullAtDeadline() throws {
        let cluster = try Cluster {
            $0.raft.maxUncommittedBytes = 1000
            $0.diskStall = .seconds(60)
        }
        try cluster.elect(0)
        try cluster.open("a", at: 0, expiresIn: 3)
        for node in 0..<3 { cluster.members[node].holdsDisk = true }
        _ = try cluster.submit(
            Example.open("b", subject: String(repeating: "x", count: 1000)),
            at: 0
        )
        // Time would stand still where a turn is asked for at once, again and again.
        cluster.run(for: .seconds(4))
        #expect(cluster.look(0) { $0.raft.proposalRefusal } == .overloaded)
        let wall = cluster.wall(0)
        let next = try #require(cluster.look(0) { $0.nextDeadline(at: cluster.now, wall: wall) })
        #expect(next > cluster.now)
        #expect(cluster.view("a", at: 0)?.state == .open)
        for node in 0..<3 { cluster.releaseDisk(node) }
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
        #expect(cluster.view("a", at: 0)?.state == .expired)
    }

    @Test("that took over lets deadlines pass that the old one had to watch")
    func tickAfterElection() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0, expiresIn: 3)
        cluster.crash(0)
        try cluster.awaitLeader(otherThan: 0)
        cluster.run(for: .seconds(4))
        try cluster.start(0)
        cluster.expectEqualStates()
        #expect(cluster.view("a", at: 0)?.state == .expired)
    }

    @Test("hands over when asked, and requests on the way are answered")
    func transfer() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        let contexts = try (0..<30).map { i in
            let context = try cluster.submit(Example.open("b\(i)"), at: i % 3)
            if i == 15 {
                let refusal = cluster.with(0) {
                    $0.transferLeadership(to: NodeID(2), at: cluster.now)
                }
                #expect(refusal == .some(nil))
            }
            cluster.run(for: .milliseconds(1))
            return context
        }
        #expect(cluster.run(atMost: .milliseconds(100)) { cluster.leader == 1 })
        cluster.run(for: .seconds(2))
        for context in contexts {
            guard case .opened = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                continue
            }
        }
        #expect(
            cluster.notices.contains {
                $0.node == 0 && $0.notice == .transferEnded(to: NodeID(2), succeeded: true)
            }
        )
        let refusal = cluster.with(0) { $0.transferLeadership(to: nil, at: cluster.now) }
        #expect(refusal != .some(nil), "only a leader hands over")
        cluster.expectEqualStates()
    }

    @Test("with a backlog proposes all of it at once, not a part with each house-keeping")
    func backlog() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        let last = try #require(cluster.look(0) { $0.raft.lastIndex })
        let contexts = try (0..<9000).map { try cluster.submit(Example.open("a\($0)"), at: 0) }
        let start = cluster.now
        // Before anything else wakes it.
        cluster.run(for: .milliseconds(1))
        #expect(cluster.look(0) { $0.raft.lastIndex } == last.advanced(by: 9000))
        cluster.run(atMost: .seconds(5)) { contexts.allSatisfy { cluster.completions[$0] != nil } }
        let end = try #require(contexts.compactMap { cluster.completedAt[$0] }.max())
        #expect(end.nanoseconds(since: start) < 60_000_000)
    }

    @Test("takes no more of a backlog of large commands than may wait to be committed")
    func largeBacklog() throws {
        let cluster = try Cluster { $0.raft.maxUncommittedBytes = 3 * 1024 * 1024 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        for node in 0..<3 { cluster.members[node].holdsDisk = true }
        let last = try #require(cluster.look(0) { $0.raft.lastIndex })
        let subject = String(repeating: "x", count: 30_000)
        let contexts = try (0..<300).map {
            try cluster.submit(Example.open("a\($0)", subject: subject), at: 0)
        }
        cluster.run(for: .milliseconds(300))
        // A little over the bound: it is looked at between two proposals of 1 MiB at most.
        let taken = try #require(cluster.look(0) { $0.raft.lastIndex }).distance(from: last)
        #expect((105...140).contains(taken))
        for node in 0..<3 { cluster.releaseDisk(node) }
        cluster.run(atMost: .seconds(4)) { contexts.allSatisfy { cluster.completions[$0] != nil } }
        for context in contexts {
            guard case .opened = try cluster.applied(context) else {
                Issue.record("\(context) was not opened")
                return
            }
        }
    }

    @Test("keeps its own clients' share however much its peers forward")
    func share() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        let context = try cluster.submit(Example.open("mine"), at: 0)
        var tick: [UInt8] = []
        Command.tick.encode(into: &tick)
        let commands = Array(repeating: tick, count: 5000)
        cluster.with(0) { $0.received(.forward(commands), from: NodeID(2), at: cluster.now) }
        let before = try #require(cluster.look(0) { $0.raft.lastIndex })
        cluster.run(for: .milliseconds(1))
        #expect(cluster.look(0) { $0.raft.lastIndex } == before.advanced(by: 5001))
        cluster.run(for: .seconds(1))
        #expect(cluster.completions[context] != nil)
    }

    @Test("counts what it takes from peers by what it costs, empty commands too")
    func emptyCommands() throws {
        let cluster = try Cluster { $0.maxForwardedBytes = 32_000 }
        try cluster.elect(0)
        let commands = [[UInt8]](repeating: [], count: 1001)
        cluster.with(0) { $0.received(.forward(commands), from: NodeID(2), at: cluster.now) }
        #expect(cluster.look(0) { $0.forwardedCount } == 0)
        #expect(cluster.look(0) { $0.counters.forwardsRefused } == 1)
    }

    @Test("a command that no version knows moves nothing, and all say so")
    func undecodable() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.with(0) {
            $0.received(.forward([[0xEE, 1, 2]]), from: NodeID(2), at: cluster.now)
        }
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.counters.undecodable } == 1)
            let said = cluster.notices.filter {
                if case .undecodableEntry = $0.notice { $0.node == node } else { false }
            }
            #expect(said.count == 1)
        }
    }

    @Test("whose entries' time runs back is not obeyed, rather than trusted until a trap")
    func timeRunsBack() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        cluster.expectEqualStates()
        let last = try #require(cluster.look(1) { $0.raft.lastIndex })
        let dropped = try #require(cluster.look(1) { $0.raft.droppedMessages })
        let term = cluster.term(0)
        let append = AppendEntries(
            previous: EntryID(term: term, index: last),
            leaderCommit: last.next,
            leaderDurable: last,
            readRound: 0,
            entries: [
                Entry(
                    id: EntryID(term: term, index: last.next),
                    time: Timestamp(milliseconds: 1),
                    kind: .command,
                    payload: [1]
                )
            ]
        )
        let message = Message(
            from: NodeID(1),
            to: NodeID(2),
            term: term,
            body: .appendEntries(append)
        )
        cluster.with(1) { $0.received(.raft(message), from: NodeID(1), at: cluster.now) }
        cluster.run(for: .milliseconds(1))
        #expect(cluster.look(1) { $0.raft.droppedMessages } == dropped + 1)
        #expect(cluster.look(1) { $0.raft.lastIndex } == last)
        cluster.expectEqualStates()
    }

    @Test("a message under another's name, or of a stranger, is ignored")
    func strangers() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        let term = cluster.term(1)
        let forged = Message(
            from: NodeID(1),
            to: NodeID(2),
            term: Term(term.number + 5),
            body: .requestVote(VoteRequest(lastEntry: .zero, isTransfer: true))
        )
        cluster.with(1) { $0.received(.raft(forged), from: NodeID(3), at: cluster.now) }
        cluster.with(1) { $0.received(.forward([[1]]), from: NodeID(9), at: cluster.now) }
        cluster.run(for: .milliseconds(1))
        #expect(cluster.term(1) == term)
    }

    @Test(
        "round trips and clocks are measured on each link; a pong from the end of time is harmless"
    )
    func roundTrips() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        cluster.run(for: .seconds(3))
        let measured = cluster.look(0) { $0.peerStates.map(\.roundTrip) } ?? []
        for roundTrip in measured {
            #expect((9_900_000...10_100_000).contains(try #require(roundTrip)))
        }
        // To the second: parts of a millisecond are cut off on both sides.
        func offsets(_ node: Int) -> [Int64] {
            let offsets = cluster.look(node) { $0.peerStates.map(\.clockOffset) } ?? []
            return offsets.compactMap { $0 }.map { ($0 + ($0 < 0 ? -500 : 500)) / 1000 }
        }
        #expect(offsets(0) == [0, 0])
        cluster.members[1].skew = 3_600_000
        cluster.run(for: .seconds(1))
        #expect(offsets(0) == [3600, 0])
        #expect(offsets(1) == [-3600, -3600])
        let status = NodeStatus(
            role: .follower,
            term: .zero,
            commitIndex: .zero,
            appliedIndex: .zero
        )
        let late = Instant(nanoseconds: .max - 1)
        for sentAt in [0, .max] as [UInt64] {
            for wall in [0, .max] as [UInt64] {
                let pong = PeerMessage.pong(
                    sentAt: Instant(nanoseconds: sentAt),
                    wall: WallTime(milliseconds: wall),
                    status
                )
                for _ in 0..<50 {
                    cluster.with(0) { $0.received(pong, from: NodeID(2), at: late) }
                }
            }
        }
    }
}
