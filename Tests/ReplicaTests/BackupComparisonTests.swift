import Raft
import Replica
import Testing
import Verification

@Suite("A backup is of a state that a majority has")
struct BackupComparisonTests {
    private func cluster(every interval: Duration = .seconds(10)) throws -> Cluster {
        let cluster = try Cluster { $0.digestInterval = interval }
        try cluster.elect(0)
        for i in 0..<6 { try cluster.open("a\(i)", at: 0) }
        cluster.run(for: .seconds(1))
        return cluster
    }

    private func begin(at node: Int, _ cluster: Cluster) throws {
        let now = cluster.now
        let refusal = try #require(cluster.with(node) { $0.beginBackup(7, at: now) })
        try #require(refusal == nil)
    }

    /// Whether its state was compared, once it is ready.
    private func awaitReady(
        at node: Int,
        _ cluster: Cluster,
        atMost span: Duration
    ) -> Bool? {
        let end = cluster.now.advanced(by: span)
        while cluster.now < end {
            let now = cluster.now
            if case .ready(let contents)?? = cluster.with(node, { $0.backup(7, at: now) }) {
                return contents.isCompared
            }
            cluster.run(for: .milliseconds(100))
        }
        return nil
    }

    @Test("a leader has it compared at once, though the cluster rests and the interval is long")
    func leader() throws {
        let cluster = try cluster()
        try begin(at: 0, cluster)
        #expect(awaitReady(at: 0, cluster, atMost: .seconds(4)) == true)
    }

    @Test("a follower asks its leader for it, however long the interval is")
    func follower() throws {
        let cluster = try cluster(every: .seconds(3600))
        try begin(at: 1, cluster)
        #expect(awaitReady(at: 1, cluster, atMost: .seconds(4)) == true)
    }

    @Test("where nothing came since but comparisons it waits for none", arguments: [0, 1])
    func idle(node: Int) throws {
        let cluster = try cluster()
        try begin(at: 0, cluster)
        #expect(awaitReady(at: 0, cluster, atMost: .seconds(4)) == true)
        _ = cluster.with(0) { $0.endBackup(7) }
        cluster.run(for: .seconds(30))
        let last = cluster.look(node) { $0.raft.lastIndex }
        try begin(at: node, cluster)
        #expect(awaitReady(at: node, cluster, atMost: .seconds(1)) == true)
        #expect(cluster.look(node) { $0.raft.lastIndex } == last)
    }

    @Test("a state that is another one than the others' is not handed out", arguments: [0, 1])
    func wrong(node: Int) throws {
        let cluster = try cluster()
        cluster.run(for: .seconds(30))
        for i in 0..<6 { try cluster.open("b\(i)", at: 0) }
        cluster.spoilState(node)
        try cluster.open("c", at: 0)
        try begin(at: node, cluster)
        #expect(awaitReady(at: node, cluster, atMost: .seconds(28)) == nil)
        try expectQuarantined(node, cluster)
    }

    @Test("nor one that missed its last change, after which nothing came", arguments: [0, 1])
    func missedTheLast(node: Int) throws {
        let cluster = try cluster()
        cluster.run(for: .seconds(30))
        try cluster.open("c", at: 0)
        cluster.run(for: .milliseconds(200))
        cluster.missLastOpen(node)
        try begin(at: node, cluster)
        #expect(awaitReady(at: node, cluster, atMost: .seconds(28)) == nil)
        try expectQuarantined(node, cluster)
    }

    /// It has been found, and a node that does not serve gives nothing out.
    private func expectQuarantined(_ node: Int, _ cluster: Cluster) throws {
        #expect(cluster.look(node) { $0.condition } == .quarantined)
        let now = cluster.now
        #expect(cluster.with(node) { $0.backup(7, at: now) } == .some(nil))
    }

    @Test("without a majority it is handed out after half a minute, and says so")
    func alone() throws {
        let cluster = try cluster()
        cluster.crash(1)
        cluster.crash(2)
        try begin(at: 0, cluster)
        #expect(awaitReady(at: 0, cluster, atMost: .seconds(29)) == nil)
        #expect(awaitReady(at: 0, cluster, atMost: .seconds(5)) == false)
    }
}
