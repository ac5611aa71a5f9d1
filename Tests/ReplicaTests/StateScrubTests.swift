import Journal
import Raft
import Replica
import Store
import Testing
import Verification

@Suite("Damage in the state is found without being asked for")
struct StateScrubTests {
    /// Decided attempts are in one run of each node, and nowhere else.
    private func cluster(
        _ change: @escaping (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws -> Cluster {
        let cluster = try Cluster {
            $0.scrubBytesPerSecond = 1 << 20
            $0.scrubInterval = .seconds(3)
            $0.digestInterval = .milliseconds(500)
            $0.state.checkpointAttempts = 10
            $0.state.cacheBytes = 0
            $0.state.merge.minDeadBytes = 1 << 20
            change(&$0)
        }
        try cluster.elect(0)
        return cluster
    }

    /// One in which all is decided and in runs, on all nodes.
    private func settled(
        _ change: @escaping (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws -> Cluster {
        let cluster = try cluster(change)
        try decide(0..<12, cluster)
        settle(cluster)
        return cluster
    }

    private func decide(_ numbers: Range<Int>, _ cluster: Cluster, at node: Int = 0) throws {
        for number in numbers {
            try cluster.open("a\(number)", at: node)
            let right = Example.callback("a\(number)", .digits, digits: Example.right)
            try cluster.perform(.callback(right), at: node)
        }
    }

    /// All that is decided is in runs, on all nodes.
    private func settle(_ cluster: Cluster) {
        cluster.run(for: .seconds(4))
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.machine.settledCount } ?? 0 > 0)
        }
    }

    private func runs(_ cluster: Cluster, _ node: Int) throws -> [String] {
        try cluster.members[node].disk.list().filter { RunName.sequence($0) != nil }
    }

    /// Changes the first record of the first run of a node; `at` is in its payload.
    private func rot(_ cluster: Cluster, _ node: Int, at offset: Int = 64 + 8 + 5) throws -> String
    {
        let file = try #require(try runs(cluster, node).first)
        let byte = try cluster.members[node].disk.read(file, at: offset, count: 1)
        try cluster.members[node].disk.perform(
            .write(file: file, offset: offset, bytes: [byte[0] ^ 4])
        )
        return file
    }

    private func remedies(_ cluster: Cluster, _ node: Int) -> [RunRemedy] {
        cluster.notices.compactMap { from, notice in
            if from == node, case .runDamaged(_, let remedy) = notice { remedy } else { nil }
        }
    }

    private func hasGivenUp(_ cluster: Cluster, _ node: Int) -> Bool {
        cluster.notices.contains { from, notice in
            if from == node, case .stateDamaged = notice { true } else { false }
        }
    }

    private func damage(_ cluster: Cluster, _ node: Int) throws -> [String] {
        var disk = cluster.members[node].disk
        return try StateInspection(&disk).damage.map(\.file)
    }

    @Test("a whole state is looked through round by round, and nothing happens")
    func whole() throws {
        let cluster = try settled()
        cluster.run(for: .seconds(12))
        for node in 0..<3 {
            let counts = try #require(cluster.look(node) { $0.stateScrubCounts })
            #expect(counts.rounds >= 3 && counts.damages == 0)
            #expect(counts.bytes > 0)
            #expect(remedies(cluster, node).isEmpty && !hasGivenUp(cluster, node))
        }
    }

    @Test(
        "a cold record: the state comes from the others, while the cluster decides",
        arguments: [0, 2]
    )
    func coldRecord(node: Int) throws {
        let cluster = try settled()
        _ = try rot(cluster, node)
        #expect(try !damage(cluster, node).isEmpty)
        let isFound = cluster.run(atMost: .seconds(15)) { hasGivenUp(cluster, node) }
        #expect(isFound)
        // Nothing waits for it.
        try decide(100..<103, cluster, at: 1)
        cluster.run(for: .seconds(10))
        #expect(cluster.look(node) { $0.isServing } == true)
        #expect(try damage(cluster, node).isEmpty)
        try decide(200..<203, cluster, at: node)
        cluster.run(for: .seconds(1))
        for other in 0..<3 where other != node { #expect(!hasGivenUp(cluster, other)) }
        let isFetched = cluster.notices.contains { from, notice in
            if from == node, case .installed = notice { true } else { false }
        }
        #expect(isFetched)
    }

    @Test("a read that goes wrong once is none")
    func onceWrong() throws {
        let cluster = try settled()
        let rounds = try #require(cluster.look(2) { $0.stateScrubCounts.rounds })
        let file = try rot(cluster, 2)
        // As soon as it was read once it is whole again.
        let bytes = try #require(cluster.look(2) { $0.stateScrubCounts.bytes })
        cluster.run(atMost: .seconds(10)) {
            cluster.look(2) { $0.stateScrubCounts.bytes > bytes } == true
        }
        let offset = 64 + 8 + 5
        let byte = try cluster.members[2].disk.read(file, at: offset, count: 1)
        try cluster.members[2].disk.perform(
            .write(file: file, offset: offset, bytes: [byte[0] ^ 4])
        )
        cluster.run(for: .seconds(10))
        #expect(cluster.look(2) { $0.stateScrubCounts.rounds } ?? 0 > rounds + 1)
        #expect(cluster.look(2) { $0.stateScrubCounts.damages } == 0)
        #expect(!hasGivenUp(cluster, 2))
    }

    @Test("a record of which there is a newer version goes with its run")
    func superseded() throws {
        // From its second start on.
        let cluster = try settled { if $0.incarnation == 1 { $0.scrubBytesPerSecond = 0 } }
        // It changes: a late callback, and another checkpoint.
        for number in 0..<11 {
            let late = Example.callback("a\(number)", .ringing, key: "late-\(number)")
            try cluster.perform(.callback(late), at: 0)
        }
        try decide(20..<32, cluster)
        settle(cluster)
        let file = try rot(cluster, 2)
        cluster.crash(2)
        try cluster.start(2)
        try cluster.awaitLeader()
        cluster.run(for: .seconds(10))
        #expect(remedies(cluster, 2) == [.merged])
        #expect(!hasGivenUp(cluster, 2))
        #expect(try !runs(cluster, 2).contains(file))
        #expect(try damage(cluster, 2).isEmpty)
        #expect(cluster.look(2) { $0.stateScrubCounts.damages } == 1)
        cluster.run(for: .seconds(1))
        try cluster.perform(
            .callback(Example.callback("a0", .ringing, key: "later")),
            at: 2
        )
    }

    @Test("header and trailer: the run is written anew", arguments: [20, -3])
    func ends(offset: Int) throws {
        let cluster = try settled()
        let file = try #require(try runs(cluster, 2).first)
        let size = try cluster.members[2].disk.size(of: file)
        _ = try rot(cluster, 2, at: offset >= 0 ? offset : size + offset)
        cluster.run(for: .seconds(10))
        #expect(remedies(cluster, 2) == [.merged])
        #expect(!hasGivenUp(cluster, 2))
        #expect(try !runs(cluster, 2).contains(file))
        #expect(try damage(cluster, 2).isEmpty)
    }

    @Test("a record that is in memory is written again, and the damaged one merged away")
    func inMemory() throws {
        let cluster = try settled { $0.state.cacheBytes = 1 << 20 }
        let file = try rot(cluster, 2)
        cluster.run(for: .seconds(10))
        #expect(remedies(cluster, 2).first == .writtenAgain)
        // The next checkpoint has it.
        try decide(20..<21, cluster)
        cluster.run(for: .seconds(12))
        #expect(remedies(cluster, 2) == [.writtenAgain, .merged])
        #expect(!hasGivenUp(cluster, 2))
        #expect(try !runs(cluster, 2).contains(file))
        #expect(try damage(cluster, 2).isEmpty)
    }

    @Test("a node that nobody could give a state keeps what it has, says so once, and asks again")
    func alone() throws {
        let cluster = try settled()
        _ = try rot(cluster, 2)
        cluster.crash(1)
        cluster.run(for: .seconds(20))
        #expect(remedies(cluster, 2) == [.kept])
        #expect(cluster.look(2) { $0.stateScrubCounts.damages } == 1)
        #expect(!hasGivenUp(cluster, 2))
        #expect(cluster.look(2) { $0.isServing } == true)
        try decide(100..<103, cluster, at: 2)
        // Its merges leave the run alone.
        #expect(cluster.look(2) { $0.isServing } == true)
        try cluster.start(1)
        cluster.run(for: .seconds(20))
        #expect(hasGivenUp(cluster, 2))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try damage(cluster, 2).isEmpty)
    }

    @Test("a node that could not read its state has it again, though nobody may hand on another")
    func unhelped() throws {
        let cluster = try settled {
            $0.scrubBytesPerSecond = 0
            $0.digestInterval = .seconds(3600)
        }
        // With whom the leader's state could be compared is away for good.
        cluster.crash(1)
        cluster.members[2].disk.unreadable = (try #require(try runs(cluster, 2).first), 200)
        let late = Example.callback("a0", .ringing, key: "late")
        try cluster.perform(.callback(late), at: 0)
        cluster.run(for: .seconds(10))
        #expect(hasGivenUp(cluster, 2))
        cluster.members[2].disk.unreadable = nil
        cluster.run(for: .seconds(40))
        #expect(cluster.look(2) { $0.isServing } == false)
        cluster.run(for: .seconds(30))
        #expect(cluster.look(2) { $0.isServing } == true)
    }

    @Test("two nodes damaged in different places: one after the other has a whole state again")
    func two() throws {
        let cluster = try settled()
        _ = try rot(cluster, 0)
        let file = try #require(try runs(cluster, 1).first)
        var disk = cluster.members[1].disk
        let list = try StateInspection(&disk).runs.first { $0.file == file }
        #expect(list?.records ?? 0 > 4)
        // Some record in the middle.
        _ = try rot(cluster, 1, at: 64 + 1500)
        cluster.run(for: .seconds(60))
        for node in 0..<3 {
            #expect(cluster.look(node) { $0.isServing } == true)
            #expect(try damage(cluster, node).isEmpty, "node \(node)")
        }
        #expect(hasGivenUp(cluster, 0) && hasGivenUp(cluster, 1) && !hasGivenUp(cluster, 2))
    }

    @Test("two followers that find damage at once never do without a state together")
    func atOnce() throws {
        let cluster = try settled()
        _ = try rot(cluster, 1)
        _ = try rot(cluster, 2, at: 64 + 1500)
        var worst = 0
        cluster.run(atMost: .seconds(60)) {
            let without = (0..<3).count { cluster.look($0) { $0.isServing } != true }
            worst = max(worst, without)
            return false
        }
        #expect(worst == 1)
        for node in 0..<3 { #expect(try damage(cluster, node).isEmpty, "node \(node)") }
    }

    @Test("a record that is damaged everywhere: nobody gives up all others for it")
    func everywhere() throws {
        let cluster = try settled()
        for node in 0..<3 { _ = try rot(cluster, node) }
        cluster.run(for: .seconds(30))
        for node in 0..<3 {
            #expect(remedies(cluster, node) == [.kept])
            #expect(!hasGivenUp(cluster, node))
            #expect(cluster.look(node) { $0.condition } == .damaged)
        }
        try decide(100..<103, cluster)
    }

    @Test("a run that cannot be read where it is fetched from is asked for again after a while")
    func unreadableSource() throws {
        let cluster = try settled { $0.scrubBytesPerSecond = 0 }
        let file = try #require(try runs(cluster, 0).first)
        cluster.members[0].disk.unreadable = (file, 100)
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(30))
        let begun = cluster.notices.count {
            if case .installBegun = $0.notice { true } else { false }
        }
        #expect((2...8).contains(begun))
        cluster.members[0].disk.unreadable = nil
        cluster.run(for: .seconds(10))
        #expect(cluster.look(2) { $0.isServing } == true)
    }

    @Test("a damaged run of the leader is not taken over while another node is whole")
    func notSpread() throws {
        let cluster = try settled { $0.scrubBytesPerSecond = 0 }
        _ = try rot(cluster, 0)
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(4))
        #expect(cluster.look(2) { $0.isServing } == false)
        let isRefused = cluster.notices.contains {
            guard case .installAbandoned(let reason) = $0.notice else { return false }
            return reason.contains("damaged")
        }
        #expect(isRefused)
        // Another one leads: it comes from there.
        cluster.with(0) { _ = $0.transferLeadership(to: NodeID(2), at: cluster.now) }
        try #require(try cluster.awaitLeader(otherThan: 0, knownTo: [0, 1]) == 1)
        cluster.run(for: .seconds(15))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try damage(cluster, 2).isEmpty)
    }

    /// Where the record of an attempt lies in the first run, by the order of opening.
    private func record(_ ordinal: UInt64, _ cluster: Cluster, _ node: Int) throws -> FooterEntry {
        var disk = cluster.members[node].disk
        let size = try disk.size(of: RunName.manifest)
        let manifest = try Manifest(try disk.read(RunName.manifest, at: 0, count: size))
        var scan = FooterScan(try #require(manifest.runs.first))
        while let (offset, count) = scan.next {
            try scan.take(try disk.read(scan.run.file, at: offset, count: count))
        }
        return try #require(scan.entries.first { $0.ordinal == ordinal })
    }

    @Test("a leader whose run a peer refuses looks through it at once, and hands over")
    func refused() throws {
        let cluster = try settled { $0.scrubInterval = .seconds(3600) }
        _ = try rot(cluster, 0)
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(30))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try damage(cluster, 2).isEmpty)
        // Its peer was without a state then, so it has to keep what it has until its next round.
        #expect(remedies(cluster, 0) == [.kept])
        #expect(cluster.leader != 0 && !hasGivenUp(cluster, 0))
    }

    @Test("a damaged leader hands over to no hung or full disk", arguments: [0, 1, 2])
    func successorsDisk(trouble: Int) throws {
        let cluster = try settled()
        cluster.intercept = { from, _, message in
            guard from == 1, trouble > 0 else { return message }
            return message.saying {
                if trouble == 1 { $0.isDiskStalled = true } else { $0.room = .none }
            }
        }
        _ = try rot(cluster, 0)
        let isHandedOver = cluster.run(atMost: .seconds(20)) {
            cluster.leader != nil && cluster.leader != 0
        }
        #expect(isHandedOver)
        // Of two that are as far as each other the first is asked.
        #expect(cluster.leader == (trouble > 0 ? 2 : 1))
    }

    @Test("a damaged header of the leader's does not keep it from being copied")
    func copiedHeader() throws {
        let cluster = try settled { $0.scrubBytesPerSecond = 0 }
        _ = try rot(cluster, 0, at: 30)
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(5))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try damage(cluster, 2).isEmpty)
    }

    @Test("what cannot be read is looked for record by record", arguments: [5, 2])
    func unreadable(ordinal: UInt64) throws {
        let cluster = try settled()
        // Of some there is a newer version, and what lies beside it has none.
        for number in 4..<8 {
            let late = Example.callback("a\(number)", .ringing, key: "late-\(number)")
            try cluster.perform(.callback(late), at: 0)
        }
        try decide(20..<30, cluster)
        settle(cluster)
        let file = try #require(try runs(cluster, 2).first)
        let offset = try record(ordinal, cluster, 2).offset + 20
        cluster.members[2].disk.unreadable = (file, offset)
        cluster.run(for: .seconds(25))
        #expect(remedies(cluster, 2) == [ordinal == 5 ? .merged : .kept])
        #expect(hasGivenUp(cluster, 2) == (ordinal != 5))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try !runs(cluster, 2).contains(file))
    }

    @Test("a list that is damaged: the state comes from the others")
    func list() throws {
        let cluster = try settled()
        let file = try #require(try runs(cluster, 2).first)
        let size = try cluster.members[2].disk.size(of: file)
        _ = try rot(cluster, 2, at: size - 50)
        cluster.run(for: .seconds(20))
        #expect(hasGivenUp(cluster, 2))
        #expect(cluster.look(2) { $0.isServing } == true)
        #expect(try damage(cluster, 2).isEmpty)
    }

    @Test("a cluster of one keeps a damaged record, and goes on; its merges leave the run alone")
    func lone() throws {
        let cluster = try Cluster(starting: [0]) {
            $0.raft.membership = Membership(voters: [NodeID(1)])
            $0.scrubBytesPerSecond = 1 << 20
            $0.scrubInterval = .seconds(3)
            $0.digestInterval = .milliseconds(500)
            $0.state.checkpointAttempts = 5
            $0.state.cacheBytes = 0
            $0.state.merge.maxSmallRuns = 2
            $0.state.merge.maxBytes = 1 << 28
            // So that it could not begin anew from the log.
            $0.keepLittleLog()
        }
        try cluster.awaitLeader()
        try decide(0..<12, cluster)
        cluster.run(for: .seconds(2))
        let file = try rot(cluster, 0)
        // Merges find it before the next round does.
        try decide(20..<50, cluster)
        cluster.run(for: .seconds(25))
        #expect(remedies(cluster, 0) == [.kept])
        #expect(!hasGivenUp(cluster, 0))
        #expect(cluster.members[0].run == 1)
        #expect(try runs(cluster, 0).contains(file))
        #expect(cluster.look(0) { $0.counters.merges } ?? 0 > 0)
        try decide(60..<62, cluster)
    }

    // MARK: Nodes that not all hear

    private func regions() throws -> Cluster {
        try settled {
            $0.timing = TimingSettings()
            $0.placement = PlacementSettings()
        }
    }

    @Test("a leader that alone hears all keeps its damage, and leads on")
    func centerIsDamaged() throws {
        let cluster = try regions()
        cluster.intercept = { from, to, message in
            from + to == 2 && from != 1 ? nil : message
        }
        cluster.run(for: .seconds(10))
        #expect(cluster.leader == 1)
        try decide(50..<75, cluster, at: 1)
        _ = try rot(cluster, 1)
        for number in 100..<160 {
            try decide(number..<number + 1, cluster, at: 1)
            cluster.run(for: .milliseconds(500))
        }
        #expect(cluster.leader == 1)
        #expect(remedies(cluster, 1) == [.kept])
        #expect(!hasGivenUp(cluster, 1))
        for node in 0..<3 { #expect(try cluster.decides("b\(node)", at: node), "\(node)") }
        // Once all hear each other it has its state mended.
        cluster.intercept = { $2 }
        cluster.run(for: .seconds(40))
        #expect(hasGivenUp(cluster, 1))
        #expect(cluster.look(1) { $0.condition } == .healthy)
    }

    @Test("a state is not given up while another node lags, which could not confirm a new one")
    func besideOneThatLags() throws {
        let cluster = try regions()
        cluster.intercept = { _, to, message in
            if to == 1, case .raft(let raft) = message, case .appendEntries(let append) = raft.body,
                !append.entries.isEmpty
            {
                nil
            } else {
                message
            }
        }
        try decide(50..<75, cluster)
        cluster.run(for: .seconds(3))
        _ = try rot(cluster, 2)
        for number in 100..<160 {
            try decide(number..<number + 1, cluster)
            cluster.run(for: .milliseconds(500))
        }
        #expect(remedies(cluster, 2) == [.kept])
        #expect(!hasGivenUp(cluster, 2))
        #expect(cluster.look(2) { $0.isServing } == true)
    }

    @Test("where all keep damage, leadership still goes to where all are heard")
    func reachOfDamaged() throws {
        let cluster = try regions()
        for node in 0..<3 { _ = try rot(cluster, node) }
        cluster.run(for: .seconds(15))
        for node in 0..<3 { #expect(cluster.look(node) { $0.condition } == .damaged) }
        if cluster.leader != 0 { try cluster.elect(0) }
        cluster.intercept = { from, to, message in
            from + to == 2 && from != 1 ? nil : message
        }
        cluster.run(for: .seconds(30))
        #expect(cluster.leader == 1)
        for node in 0..<3 { #expect(try cluster.decides("b\(node)", at: node), "\(node)") }
    }
}
