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
}
