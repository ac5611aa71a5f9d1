import Raft
import Testing

@Suite("Commit inference: with three voters, a follower and its leader are a quorum")
struct InferenceTests {
    @Test("what is on the own disk and on the leader's is committed, in whichever order one hears")
    func infers() {
        for ownFirst in [true, false] {
            let solo = Solo([1], term: 1)
            solo.append(after: id(1, 1), [1, 1], term: 1)
            let write = solo.lastWrite
            if ownFirst { solo.persist(write) }
            #expect(solo.raft.commitIndex == .zero)
            solo.append(after: id(1, 3), durable: 3, term: 1)
            if !ownFirst {
                #expect(solo.raft.commitIndex == LogIndex(1))
                solo.persist(write)
            }
            #expect(solo.raft.commitIndex == LogIndex(3))
            #expect(solo.actions.contains(.committed(LogIndex(3))))
        }
    }

    @Test("no further than the leader's disk reaches")
    func leaderDisk() {
        let solo = Solo([1], term: 1)
        solo.append(after: id(1, 1), [1, 1, 1], durable: 2, term: 1)
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(2))
    }

    @Test("never an entry of an earlier term, until one of the own term is there (figure 8)")
    func earlierTerm() {
        let solo = Solo([1, 2], term: 3)
        solo.append(after: id(2, 2), durable: 2, term: 3)
        #expect(solo.raft.commitIndex == .zero)
        solo.append(after: id(2, 2), [3], durable: 3, term: 3)
        #expect(solo.raft.commitIndex == .zero)
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(3))
    }

    @Test("what an earlier leader had on its disk says nothing of the next one's")
    func staleLeader() {
        let solo = Solo([1], term: 1)
        solo.append(after: id(1, 1), [1], durable: 5, term: 1)
        solo.append(after: id(1, 2), [2, 2], durable: 1, from: n3, term: 2)
        solo.persist()
        // Entry 1 was inferred in term 1; nothing since.
        #expect(solo.raft.commitIndex == LogIndex(1))
    }

    @Test("not where the leader does not allow it, and not with five voters")
    func switchedOff() {
        let off = Solo([1], term: 1)
        off.append(after: id(1, 1), [1], durable: 2, infers: false, term: 1)
        off.persist()
        #expect(off.raft.commitIndex == .zero)
        let five = Solo([1], nodes: 5, term: 1)
        five.append(after: id(1, 1), [1], durable: 2, term: 1)
        five.persist()
        #expect(five.raft.commitIndex == .zero)
    }

    @Test("a leader says at once what is on its disk, and tells no follower what it can infer")
    func notices() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        solo.accept(durable: 1, from: n3)
        _ = solo.propose(["a"])
        #expect(solo.appends.map(\.leaderDurable) == [LogIndex(1), LogIndex(1)])
        solo.persist()
        #expect(solo.appends.map(\.leaderDurable) == [LogIndex(2), LogIndex(2)])
        #expect(solo.appends.allSatisfy { $0.allowsInference && $0.entries.isEmpty })
        solo.accept(durable: 2)
        #expect(solo.raft.commitIndex == LogIndex(2))
        // Node 2 knows by now; node 3 may not have written it yet, and is told.
        #expect(solo.appends(to: n2).isEmpty)
        #expect(solo.appends(to: n3).map(\.leaderCommit) == [LogIndex(2)])
    }

    @Test("without inference the commit index is told, and nothing of the disk")
    func noNotices() {
        let solo = Solo(change: { $0.commitInference = false })
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        _ = solo.propose(["a"])
        solo.persist()
        #expect(solo.appends.isEmpty)
        solo.accept(durable: 2)
        #expect(solo.appends(to: n2).map(\.leaderCommit) == [LogIndex(2)])
        #expect(solo.raft.commitIndex == LogIndex(2))
    }

    @Test("a read waits for all that a follower may have told its client by then")
    func reads() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        _ = solo.propose(["a"])
        // On this disk and on node 2's, which may have answered from it; this leader does not know.
        solo.persist()
        solo.read(1)
        let round = solo.appends.map(\.readRound).max() ?? 0
        solo.accept(durable: 1, round: round, from: n3)
        #expect(solo.actions.contains(.readReady(read: 1, index: LogIndex(2))))
        #expect(solo.raft.commitIndex == LogIndex(1))
    }

    @Test("a follower's region pays one round trip to the leader")
    func latency() {
        // 40 ms each way to the leader, 100 ms from there to the third node.
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 300)
        cluster.delay = 40_000_000..<40_000_001
        cluster.cut(n1, from: n3)
        cluster.propose("near", at: n1)
        let start = cluster.now
        cluster.run(atMost: 1000) { cluster.applied(n2).contains("near") }
        let inferred = cluster.now.nanoseconds(since: start)
        // Entry and notice leave together but for the leader's disk, 0.2 ms: one way.
        #expect(inferred < 45_000_000)
        #expect(cluster.applied(n1).isEmpty || !cluster.applied(n1).contains("near"))
        #expect(cluster.violations.isEmpty)
    }
}
