import Journal
import Raft
import Replica
import Store
import Testing
import Verification

@Suite("A checkpoint that is fetched")
struct InstallTests {
    @Test("stays whole while newer ones are made, and its runs are merged")
    func pinned() throws {
        let cluster = try Cluster {
            $0.state.checkpointBytes = 1
            $0.state.merge.maxSmallRuns = 2
            $0.state.merge.minDeadBytes = 1
            $0.keepLittleLog()
        }
        try cluster.elect(0)
        cluster.crash(2)
        for i in 0..<40 {
            try cluster.open("a\(i)", at: 0)
            cluster.run(for: .milliseconds(50))
        }
        let before = try #require(cluster.look(0) { $0.counters.merges })
        // Runs do not arrive for a while.
        var isHeld = true
        cluster.intercept = { _, to, message in
            guard isHeld, to == 2, case .pull(.file(let file, _, _)) = message,
                file.hasPrefix("state-")
            else { return message }
            return nil
        }
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        for i in 40..<80 {
            try cluster.open("a\(i)", at: 0)
            cluster.run(for: .milliseconds(50))
        }
        #expect(try #require(cluster.look(0) { $0.counters.merges }) > before)
        isHeld = false
        let isThere = cluster.run(atMost: .seconds(20)) {
            cluster.look(2) { $0.appliedIndex } == cluster.look(0) { $0.appliedIndex }
        }
        #expect(isThere)
        for (node, notice) in cluster.notices where node == 2 {
            if case .installAbandoned(let reason) = notice { Issue.record("\(reason)") }
        }
        #expect(cluster.notices.contains { if case .installed = $0.notice { true } else { false } })
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
        // Nobody asks any more: its files go.
        cluster.run(for: .seconds(40))
        try cluster.open("last", at: 0)
        cluster.run(for: .seconds(2))
        let files = try cluster.members[0].disk.list().filter { $0.hasPrefix("state-") }
        #expect(files.count == cluster.look(0) { $0.stateFiles.count })
    }

    @Test("that is older than the log of the node that needs it: the leader makes another")
    func tooOld() throws {
        let cluster = try Cluster {
            $0.digestInterval = .milliseconds(500)
            $0.keepLittleLog()
            $0.state.checkpointAttempts = $0.raft.node == NodeID(3) ? 1 : 10
        }
        try cluster.elect(0)
        for i in 0..<18 { try cluster.open("a\(i)", at: 0) }
        cluster.run(for: .seconds(1))
        let old = try #require(cluster.look(0) { $0.checkpoint } ?? nil)
        let newer = try #require(cluster.look(2) { $0.checkpoint } ?? nil)
        #expect(old.index < newer.index)
        #expect(cluster.with(2) { $0.rebuild(at: cluster.now) } == true)
        cluster.run(for: .seconds(15))
        let isOfNoUse = cluster.notices.contains {
            $0.notice == .installAbandoned("it is no news")
        }
        #expect(isOfNoUse)
        #expect(cluster.look(2) { $0.isServing } == true)
        cluster.expectEqualStates()
    }

    /// A cluster of which the last node was away for long: several runs are there to be fetched.
    private func behind() throws -> Cluster {
        let cluster = try Cluster {
            $0.state.checkpointAttempts = 4
            $0.state.merge.maxSmallRuns = 100
            $0.keepLittleLog()
        }
        try cluster.elect(0)
        cluster.crash(2)
        for i in 0..<24 {
            try cluster.open("a\(i)", at: 0)
            cluster.run(for: .milliseconds(50))
        }
        cluster.run(for: .seconds(1))
        return cluster
    }

    private func count(_ cluster: Cluster, _ isMeant: (Notice) -> Bool) -> Int {
        cluster.notices.count { isMeant($0.notice) }
    }

    private func isThere(_ cluster: Cluster) -> Bool {
        cluster.run(atMost: .seconds(30)) {
            cluster.look(2) { $0.appliedIndex } == cluster.look(0) { $0.appliedIndex }
                && cluster.look(2) { $0.isFetchingCheckpoint } == false
        }
    }

    @Test("comes from a disk that takes seconds for a piece, in one go")
    func slowSource() throws {
        let cluster = try behind()
        var pieces = 0
        cluster.intercept = { from, _, message in
            if from == 0, case .pull(.file(let file, _, _)) = message, file.hasPrefix("state-") {
                pieces += 1
                if pieces == 2 { cluster.members[0].holdsLoads = true }
            }
            return message
        }
        try cluster.start(2)
        try #require(cluster.run(atMost: .seconds(5)) { !cluster.members[0].heldReads.isEmpty })
        cluster.run(for: .seconds(5))
        cluster.releaseReads(0)
        #expect(isThere(cluster))
        #expect(count(cluster) { if case .installBegun = $0 { true } else { false } } == 1)
        #expect(count(cluster) { if case .installAbandoned = $0 { true } else { false } } == 0)
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
    }

    @Test("goes on where it was when its source has forgotten what it offered")
    func forgottenOffer() throws {
        let cluster = try behind()
        var fetched: [String: Int] = [:]
        var isLost = true
        cluster.intercept = { from, _, message in
            guard from == 0, case .pull(.file(let file, let offset, let bytes)) = message,
                file.hasPrefix("state-"), bytes != nil
            else { return message }
            if isLost, fetched.count == 3 {
                isLost = false
                return .pull(.file(file, offset: offset, nil))
            }
            fetched[file, default: 0] += 1
            return message
        }
        try cluster.start(2)
        #expect(isThere(cluster))
        #expect(!isLost)
        #expect(fetched.count > 4)
        #expect(fetched.values.allSatisfy { $0 == 1 }, "\(fetched)")
        #expect(count(cluster) { if case .installBegun = $0 { true } else { false } } == 2)
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
    }

    @Test("and is given up leaves nothing behind")
    func leftovers() throws {
        let cluster = try behind()
        var pieces = 0
        cluster.intercept = { from, to, message in
            guard from == 0, to == 2 else { return message }
            if case .pull(.file(let file, let offset, _)) = message, file.hasPrefix("state-") {
                pieces += 1
                if pieces > 3 { return .pull(.file(file, offset: offset, nil)) }
            }
            return message
        }
        try cluster.start(2)
        cluster.run(for: .seconds(20))
        let begun = count(cluster) { if case .installBegun = $0 { true } else { false } }
        #expect(begun > 1)
        let runs = { try cluster.members[2].disk.list().count { $0.hasPrefix("state-") } }
        // Each try goes on with what is here.
        #expect(try runs() == 3)
        // Nobody offers anything any more: what is here goes after a while.
        cluster.intercept = { from, to, message in
            if from == 0, to == 2, case .pull = message { nil } else { message }
        }
        cluster.run(for: .seconds(200))
        #expect(try runs() == 0)
    }

    @Test("for which there was no room at the very end is put in place by a later try")
    func noRoomForManifest() throws {
        let cluster = try behind()
        cluster.members[2].disk.fullFor = RunName.manifest + "-"
        try cluster.start(2)
        let isTried = cluster.run(atMost: .seconds(20)) {
            count(cluster) { if case .installAbandoned = $0 { true } else { false } } > 1
        }
        #expect(isTried)
        cluster.run(for: .seconds(1))
        // A try leaves its runs to the next one, and nothing else: else it fills the disk that is full.
        let files = try cluster.members[2].disk.list()
        let runs = files.filter { $0.hasPrefix("state-") }
        let wanted = try cluster.members[0].disk.list().filter { $0.hasPrefix("state-") }
        #expect(runs.count <= wanted.count, "\(runs) of \(wanted)")
        #expect(files.allSatisfy { !$0.hasPrefix(RunName.manifest + "-") }, "\(files)")
        cluster.members[2].disk.fullFor = nil
        #expect(isThere(cluster))
        cluster.run(for: .seconds(1))
        cluster.expectEqualStates()
    }
}
