import Journal
import Raft
import Replica
import Testing
import Verification

@Suite("A backup of a node whose log has a gap")
struct BackupGapTests {
    /// A cluster whose last node lacks a segment of its log, which nobody can give it.
    private func cluster() throws -> Cluster {
        let cluster = try Cluster {
            $0.keepLittleLog()
            $0.keepsLog = true
            $0.state.checkpointAttempts = 20
        }
        try cluster.elect(0)
        for i in 0..<150 { try cluster.open("a\(i)", at: i % 2) }
        cluster.run(for: .seconds(1))
        cluster.crash(2)
        let segments = try cluster.members[2].disk.list().filter { $0.hasSuffix(".seg") }
        try #require(segments.count > 4)
        try cluster.members[2].disk.perform(.remove(file: segments[1]))
        cluster.intercept = { _, to, message in
            if to == 2, case .pull(.entries) = message { return nil }
            return message
        }
        try cluster.start(2)
        try cluster.awaitLeader()
        try #require(cluster.look(2) { $0.journal.holes.count } == 1)
        return cluster
    }

    private func begin(_ cluster: Cluster, at node: Int, allowsGap: Bool) -> BackupRefusal? {
        let now = cluster.now
        return cluster.with(node) { $0.beginBackup(7, allowsGap: allowsGap, at: now) } ?? nil
    }

    private func contents(_ cluster: Cluster, at node: Int) throws -> BackupView.Contents {
        for _ in 0..<100 {
            let now = cluster.now
            if case .ready(let contents)?? = cluster.with(node, { $0.backup(7, at: now) }) {
                return contents
            }
            cluster.run(for: .milliseconds(100))
        }
        throw NotReady()
    }
    private struct NotReady: Error {}

    @Test("is refused; asked for all the same it has the state, and the log behind the gap")
    func behindGap() throws {
        let cluster = try cluster()
        #expect(begin(cluster, at: 2, allowsGap: false) == .logIncomplete)
        #expect(begin(cluster, at: 2, allowsGap: true) == nil)
        let partial = try contents(cluster, at: 2)
        let hole = try #require(cluster.look(2) { $0.journal.holes.first } ?? nil)
        #expect(partial.firstIndex == hole.upperBound.next)
        #expect(partial.firstIndex < partial.entry.index)
        // Others, asked the same way, have no gap, and give all.
        #expect(begin(cluster, at: 1, allowsGap: true) == nil)
        #expect(try contents(cluster, at: 1).firstIndex == LogIndex(1))
        // What is behind the gap can be read, what is in it cannot.
        let now = cluster.now
        let readings = cluster.with(2) { replica in
            [partial.firstIndex.previous, partial.firstIndex].map {
                replica.readBackupLog(7, from: $0.number, context: 1, at: now)
            }
        }
        #expect(readings == [.notInIt, .begun])
    }

    @Test("needs nobody's leave once the gap is closed")
    func closed() throws {
        let cluster = try cluster()
        cluster.intercept = { $2 }
        cluster.run(for: .seconds(10))
        #expect(begin(cluster, at: 2, allowsGap: false) == nil)
        #expect(try contents(cluster, at: 2).firstIndex == LogIndex(1))
    }
}
