import Raft
import Testing

@Suite("Linearizable reads")
struct ReadTests {
    @Test("a leader answers once a quorum has echoed a round that began after the read")
    func readIndex() {
        let solo = Solo(nodes: 5)
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1, from: n2)
        solo.accept(durable: 1, from: n3)
        #expect(solo.raft.commitIndex == LogIndex(1))
        solo.read(7)
        let round = solo.appends.map(\.readRound).max() ?? 0
        #expect(solo.appends.count == 4)
        solo.accept(durable: 1, round: round - 1, from: n2)
        solo.accept(durable: 1, round: round - 1, from: n3)
        #expect(solo.actions.isEmpty)
        solo.accept(durable: 1, round: round, from: n2)
        solo.accept(durable: 1, round: round, from: n2)
        #expect(solo.actions.isEmpty)
        solo.accept(durable: 1, round: round, from: n3)
        #expect(solo.actions == [.readReady(read: 7, index: LogIndex(1))])
    }

    @Test("reads that come while a round is under way share the next one")
    func batched() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        solo.read(1)
        let first = solo.appends.map(\.readRound).max() ?? 0
        solo.read(2)
        solo.read(3)
        #expect(solo.actions.isEmpty)
        solo.accept(durable: 1, round: first)
        #expect(solo.actions.contains(.readReady(read: 1, index: LogIndex(1))))
        #expect(!solo.actions.contains(.readReady(read: 2, index: LogIndex(1))))
        let second = solo.appends.map(\.readRound).max() ?? 0
        #expect(second > first)
        solo.accept(durable: 1, round: second)
        #expect(
            solo.actions == [
                .readReady(read: 2, index: LogIndex(1)), .readReady(read: 3, index: LogIndex(1)),
            ]
        )
    }

    @Test("a new leader answers no read before it has committed in its own term")
    func waitsForOwnTerm() {
        let solo = Solo([1, 1], committed: 1)
        solo.becomeLeader()
        solo.persist()
        solo.read(1)
        #expect(solo.actions.isEmpty)
        solo.accept(durable: 2, round: 1)
        #expect(solo.actions.allSatisfy { if case .readReady = $0 { false } else { true } })
        solo.accept(durable: 3, round: 1)
        let round = solo.appends.map(\.readRound).max() ?? 0
        solo.accept(durable: 3, round: round)
        #expect(solo.actions == [.readReady(read: 1, index: LogIndex(3))])
    }

    @Test("a cluster of one answers at once")
    func single() {
        let solo = Solo(nodes: 1)
        solo.waitForDeadline()
        solo.persist()
        solo.read(1)
        #expect(solo.actions.isEmpty)
        solo.persist()
        #expect(solo.actions.contains(.readReady(read: 1, index: LogIndex(1))))
        solo.read(2)
        #expect(solo.actions == [.readReady(read: 2, index: LogIndex(1))])
    }

    @Test("a follower refuses")
    func follower() {
        let solo = Solo()
        solo.read(4)
        #expect(solo.actions == [.readRefused(read: 4)])
    }

    @Test("a deposed leader that does not know it answers no read")
    func deposed() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 500)
        cluster.isolate(n1)
        // The others elect a successor and go on; the old leader still believes.
        var actions: [Action] = []
        for id in [n2, n3] {
            cluster[id].raft.peerDisconnected(n1, broken: true, at: cluster.now, into: &actions)
        }
        #expect(cluster.run(atMost: 500) { cluster.leader != n1 })
        let successor = cluster.leader ?? n1
        cluster.propose("newer", at: successor)
        cluster.run(milliseconds: 50)
        #expect(cluster.applied(successor) == ["newer"])
        #expect(cluster[n1].raft.role == .leader)
        let stale = cluster.read(at: n1)
        cluster.run(milliseconds: 2_000)
        #expect(cluster[n1].readsReady[stale] == nil)
        #expect(cluster[n1].readsRefused == [stale])
        let fresh = cluster.read(at: successor)
        cluster.run(milliseconds: 50)
        #expect(cluster[successor].readsReady[fresh] == cluster[successor].raft.commitIndex)
        #expect(cluster.violations.isEmpty)
    }

    @Test("a round whose messages were lost is made up for by the next heartbeat")
    func lostRound() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 150)
        cluster.passes = { _ in false }
        let read = cluster.read(at: n1)
        cluster.passes = { _ in true }
        cluster.run(milliseconds: 150)
        #expect(cluster[n1].readsReady[read] != nil)
    }
}
