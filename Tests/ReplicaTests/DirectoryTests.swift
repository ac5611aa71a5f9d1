import Journal
import Raft
import Replica
import Testing
import Verification

@Suite("Which directory stands for which node")
struct DirectoryTests {
    private func formed() throws -> Cluster {
        let cluster = try Cluster(hasDirectories: true)
        try cluster.awaitLeader()
        try cluster.open("a", at: 0)
        cluster.run(for: .seconds(1))
        return cluster
    }

    private func condition(_ node: Int, _ cluster: Cluster) -> NodeCondition? {
        cluster.look(node) { $0.condition }
    }

    /// An operator lets a node in, by a node that refused it.
    @discardableResult
    private func readmit(_ node: Int, by other: Int, _ cluster: Cluster) throws -> Command {
        let id = cluster.members[node].id
        let knock = cluster.look(other) { $0.knock(of: id) } ?? nil
        let directory = try #require(knock, "n\(other + 1) has refused nobody")
        let command = Command.readmit(
            Readmission(
                node: id.number,
                high: directory.high,
                low: directory.low,
                replaces: cluster.look(other) { $0.directory(of: id) }?
                    .map { .init(high: $0.high, low: $0.low) },
                request: RequestID(node: 0, incarnation: 0, sequence: 0)
            )
        )
        #expect(try cluster.perform(command, at: other) == .noted)
        cluster.run(for: .milliseconds(200))
        for peer in 0..<3 where peer != node { cluster.connect(node, peer) }
        return command
    }

    /// Node 3 starts on a copy of its directory; why the others do not take it.
    private func refusalOf(_ copy: MemoryDisk, _ cluster: Cluster) throws -> IdentityRefusal {
        cluster.crash(2)
        cluster.run(for: .milliseconds(100))
        cluster.members[2].disk = copy
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        return try #require(cluster.refusals.first { $0.node == 2 }?.refusal)
    }

    /// Node 3 is let in, and is as good as before.
    private func comesBack(_ cluster: Cluster) throws {
        cluster.connect(2, 0)
        try readmit(2, by: 0, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        cluster.expectEqualStates()
    }

    @Test("a directory that is let in twice takes part as before: the second word changes nothing")
    func readmittedTwice() throws {
        let cluster = try formed()
        try cluster.elect(0)
        cluster.crash(2)
        cluster.members[2].disk = MemoryDisk()
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        let command = try readmit(2, by: 0, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        try cluster.elect(2)
        let term = cluster.term(2)
        // Another operator said so as well.
        #expect(try cluster.perform(command, at: 1) == .noted)
        try cluster.open("b", at: 1)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        #expect(cluster.leader == 2)
        #expect(cluster.term(2) == term)
        let tags = (0..<3).map { node in cluster.look(node) { $0.greeting?.members } }
        #expect(tags[0] == tags[1] && tags[1] == tags[2])
        cluster.expectEqualStates()
    }

    @Test("a word that comes so late that another directory stands for the node lets nobody in")
    func readmittedTooLate() throws {
        let cluster = try formed()
        try cluster.elect(0)
        func emptied() throws {
            cluster.crash(2)
            cluster.members[2].disk = MemoryDisk()
            try cluster.start(2)
            cluster.run(for: .seconds(1))
        }
        try emptied()
        let first = try readmit(2, by: 0, cluster)
        cluster.run(for: .seconds(1))
        try emptied()
        try readmit(2, by: 0, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        #expect(try cluster.perform(first, at: 1) == .noted)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        cluster.expectEqualStates()
    }

    @Test("a cluster is formed when all its members have met, and not before")
    func forming() throws {
        let cluster = try Cluster(hasDirectories: true, starting: [0, 1])
        cluster.run(for: .seconds(5))
        for node in 0..<2 {
            #expect(condition(node, cluster) == .forming)
            #expect(cluster.look(node) { $0.raft.leader } == .some(nil))
        }
        try cluster.start(2)
        try cluster.awaitLeader()
        cluster.run(for: .milliseconds(100))
        for node in 0..<3 { #expect(condition(node, cluster) == .healthy) }
        // From now on a majority is enough.
        for node in 0..<3 { cluster.crash(node) }
        try cluster.start(0)
        try cluster.start(2)
        try cluster.awaitLeader(knownTo: [0, 2])
    }

    @Test("a restored directory forms a cluster with those restored from the same backup only")
    func restored() throws {
        let cluster = try Cluster(hasDirectories: true, starting: [])
        var identity = DirectoryIdentity(
            cluster: "test",
            node: NodeID(1),
            directory: DirectoryID(high: 77, low: 1),
            run: 0,
            place: 0
        )
        identity.starts = 0
        identity.restoredThrough = EntryID(term: Term(1), index: LogIndex(5))
        var file = IdentityFile(identity)
        for operation in file.write(isThere: false) {
            try cluster.members[0].disk.perform(operation)
        }
        for node in 0..<3 { try cluster.start(node) }
        cluster.run(for: .seconds(5))
        #expect(cluster.leader == nil)
        // The empty ones hear why, and do not go on without the one that has something to lose.
        for node in 1..<3 { #expect(condition(node, cluster) == .excluded) }
        #expect(condition(0, cluster) == .forming)
        #expect(cluster.refusals.filter { $0.judge == 0 }.map(\.node).sorted().first == 1)
        for (_, _, refusal) in cluster.refusals {
            #expect(refusal.description.contains("from one backup"), "\(refusal)")
        }
    }

    @Test("an emptied node is refused by all, takes no part, and comes back when it is let in")
    func emptied() throws {
        let cluster = try formed()
        cluster.crash(2)
        cluster.members[2].disk = MemoryDisk()
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .excluded)
        #expect(Set(cluster.refusals.map(\.judge)).isSuperset(of: [0, 1]))
        let text = cluster.refusals.map(\.refusal.description)
        #expect(text.allSatisfy { $0.contains("verdict readmit 3") })

        // With it and one other there is no majority.
        let leader = try cluster.awaitLeader(knownTo: [0, 1])
        let other = leader == 0 ? 1 : 0
        cluster.crash(leader)
        cluster.run(for: .seconds(5))
        #expect(cluster.look(other) { $0.raft.leader } == .some(nil))
        try cluster.start(leader)
        try cluster.awaitLeader(knownTo: [0, 1])
        try cluster.open("b", at: other)

        // The judges' memory is that of their present processes.
        for judge in 0..<2 { cluster.connect(2, judge) }
        try readmit(2, by: other, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(2, cluster) == .healthy)
        cluster.expectEqualStates()

        // It counts again: with it there is a majority.
        cluster.crash(leader)
        try cluster.awaitLeader(knownTo: [other, 2])
        try cluster.open("c", at: 2)
        // And it stays in over a restart.
        cluster.crash(2)
        try cluster.start(2)
        cluster.run(for: .seconds(2))
        #expect(condition(2, cluster) == .healthy)
    }

    @Test("an older copy in the same place is found by what it promised, and gives up its name")
    func olderCopy() throws {
        let cluster = try formed()
        let copy = cluster.members[2].disk
        let name = cluster.look(2) { $0.directoryIdentity?.directory } ?? nil
        for i in 0..<5 { try cluster.open("more\(i)", at: i % 3) }
        cluster.run(for: .seconds(1))
        let refusal = try refusalOf(copy, cluster)
        guard case .brokenPromise = refusal else {
            Issue.record("\(refusal)")
            return
        }
        #expect(condition(2, cluster) == .excluded)
        let now = cluster.look(2) { $0.directoryIdentity } ?? nil
        #expect(now?.directory != name)
        #expect(now?.copiedFrom == name)
        try comesBack(cluster)
    }

    @Test("a copy from just before the last start is called what it is, and can be let in")
    func copyOfLastStart() throws {
        let cluster = try formed()
        cluster.crash(2)
        let copy = cluster.members[2].disk
        try cluster.start(2)
        try cluster.open("b", at: 0)
        cluster.run(for: .seconds(1))
        let refusal = try refusalOf(copy, cluster)
        guard case .olderCopy(_, let starts, let known) = refusal, starts == known else {
            Issue.record("\(refusal)")
            return
        }
        #expect("\(refusal)".contains("another process was seen with that start"))
        #expect(condition(2, cluster) == .excluded)
        try comesBack(cluster)
    }

    @Test("a directory that lacks what is committed is found whatever term it has come to since")
    func putBackBeforeCommit() throws {
        let cluster = try formed()
        try cluster.elect(0)
        for i in 0..<5 { try cluster.open("more\(i)", at: 0) }
        cluster.run(for: .seconds(1))
        var greeting = try #require(cluster.look(2) { $0.greeting } ?? nil)
        let promised = greeting.lastEntry
        func refusal(_ greeting: PeerIdentity) -> IdentityRefusal? {
            cluster.with(0) {
                $0.refusal(
                    of: greeting,
                    from: self.id(2, cluster),
                    run: cluster.members[2].run,
                    isRunning: false,
                    at: cluster.now
                )
            } ?? nil
        }
        // Another term begins, in which it has promised nothing yet.
        try cluster.elect(1)
        greeting.term = Term(cluster.term(1).number + 3)
        greeting.lastEntry = EntryID(term: promised.term, index: promised.index.previous)
        guard case .brokenPromise = refusal(greeting) else {
            Issue.record("a directory that has lost a committed entry is let in")
            return
        }
        greeting.lastEntry = promised
        #expect(refusal(greeting) == nil)
    }

    private func id(_ node: Int, _ cluster: Cluster) -> NodeID { cluster.members[node].id }

    @Test("a log whose end a new leader replaces by older entries is no older copy")
    func replacedByOlderEntries() throws {
        let cluster = try formed()
        try cluster.elect(0)
        cluster.run(for: .seconds(1))
        func last(_ node: Int) -> EntryID {
            cluster.look(node) { $0.greeting?.lastEntry ?? .zero } ?? .zero
        }
        func begin(_ name: String, at node: Int) throws {
            _ = try cluster.submit(Example.open(name), at: node)
            cluster.run(for: .milliseconds(50))
        }
        // The first node has two more entries of its term, which nobody else gets.
        cluster.cutOff(0)
        for name in ["b", "c"] { try begin(name, at: 0) }
        // The second one leads and has some of a newer term, which nobody else gets either.
        cluster.intercept = { from, _, message in
            guard case .raft(let raft) = message else { return message }
            switch raft.body {
            case .appendEntries(let append):
                return from == 1 && !append.entries.isEmpty ? nil : message
            case .preVote: return from == 2 ? nil : message
            default: return message
            }
        }
        let leads = cluster.run(atMost: .seconds(10)) {
            cluster.look(1) { $0.raft.role == .leader } == true
        }
        try #require(leads)
        for name in ["d", "e", "f"] { try begin(name, at: 1) }
        let newest = last(1)
        cluster.crash(1)
        // The first one leads again. What it sends to the second one are its older entries, so far.
        cluster.heal()
        cluster.connect(0, 2)
        cluster.intercept = { from, to, message in
            guard from == 0, to == 1, case .raft(var raft) = message,
                case .appendEntries(var append) = raft.body
            else { return message }
            append.entries = Array(append.entries.prefix { $0.id.term < newest.term })
            raft.body = .appendEntries(append)
            return .raft(raft)
        }
        _ = try cluster.awaitLeader(knownTo: [0, 2])
        try cluster.start(1)
        cluster.run(for: .seconds(3))
        #expect(last(1) < newest)
        // It has reached the new leader's term, and is started again in the middle.
        #expect(cluster.term(1) == cluster.term(0))
        cluster.crash(1)
        try cluster.start(1)
        cluster.run(for: .seconds(1))
        #expect(!cluster.refusals.contains { $0.node == 1 })
        cluster.intercept = { $2 }
        cluster.run(for: .seconds(3))
        #expect(condition(1, cluster) == .healthy)
        cluster.expectEqualStates()
    }

    @Test("promises are remembered over a restart of those who know them")
    func promisesOutlive() throws {
        let cluster = try formed()
        let copy = cluster.members[2].disk
        for i in 0..<5 { try cluster.open("more\(i)", at: i % 3) }
        cluster.run(for: .seconds(1))
        cluster.crash(2)
        cluster.run(for: .seconds(1))
        for node in 0..<2 { cluster.crash(node) }
        cluster.members[2].disk = copy
        for node in 0..<3 { try cluster.start(node) }
        cluster.run(for: .seconds(2))
        #expect(condition(2, cluster) == .excluded)
    }

    @Test("a copy in another place is known for one")
    func copied() throws {
        let cluster = try formed()
        cluster.crash(1)
        cluster.members[1].place = 77
        try cluster.start(1)
        cluster.run(for: .seconds(1))
        let notices = cluster.notices.filter { $0.node == 1 }.map(\.notice)
        #expect(
            notices.contains {
                if case .identity(.opened(_, .copied, starts: 1, _)) = $0 { true } else { false }
            }
        )
        #expect(condition(1, cluster) == .excluded)
        try readmit(1, by: 0, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(1, cluster) == .healthy)
    }

    @Test("a directory that lost only its IDENTITY keeps its log, and has to be let in")
    func lostIdentity() throws {
        let cluster = try formed()
        cluster.crash(1)
        try cluster.members[1].disk.perform(.remove(file: IdentityFile.name))
        try cluster.start(1)
        #expect(cluster.look(1) { $0.raft.lastIndex } ?? .zero > .zero)
        cluster.run(for: .seconds(1))
        #expect(condition(1, cluster) == .excluded)
        try readmit(1, by: 0, cluster)
        cluster.run(for: .seconds(1))
        #expect(condition(1, cluster) == .healthy)
        cluster.expectEqualStates()
    }

    @Test("a second process with a copy of the directory is refused while the first is there")
    func secondProcess() throws {
        let cluster = try formed()
        let first = try #require(cluster.look(2) { $0.greeting } ?? nil)
        var second = first
        let run = cluster.members[2].run
        func judge(_ run: UInt64, _ isRunning: Bool) -> IdentityRefusal? {
            cluster.with(0) {
                $0.refusal(
                    of: second,
                    from: NodeID(3),
                    run: run,
                    isRunning: isRunning,
                    at: cluster.now
                )
            } ?? nil
        }
        // As many starts, but another process: beside it, or after it with what was there before it.
        #expect(judge(run + 1, true) == .secondProcess(NodeID(3)))
        #expect(
            judge(run + 1, false)
                == .olderCopy(NodeID(3), starts: first.starts, known: first.starts)
        )
        // One more start, but the process before is there.
        second.starts += 1
        #expect(judge(run + 1, true) == .secondProcess(NodeID(3)))
        // It is gone: this is a restart.
        #expect(judge(run + 1, false) == nil)
        // The one that was thought gone comes back.
        second = first
        #expect(
            judge(run, false)
                == .olderCopy(NodeID(3), starts: first.starts, known: first.starts + 1)
        )
    }

    @Test("who was let in under a leader that is gone is let in by those who have not heard of it")
    func gossip() throws {
        let cluster = try formed()
        cluster.crash(2)
        cluster.members[2].disk = MemoryDisk()
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        try readmit(2, by: 0, cluster)
        cluster.run(for: .seconds(1))
        let entry = try #require(
            cluster.look(0) { $0.directoryIdentity?[member: NodeID(3)]?.admittedAt } ?? nil
        )
        #expect(entry > .zero)
        for node in 0..<3 {
            let known = cluster.look(node) { $0.directoryIdentity?[member: NodeID(3)] } ?? nil
            #expect(known?.admittedAt == entry)
        }
    }
}
