import Raft
import Testing

@Suite("Leadership transfer")
struct TransferTests {
    @Test("leadership moves to the target in some milliseconds, without a pre-vote")
    func success() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 200)
        #expect(cluster.transfer(from: n1, to: n3) == nil)
        cluster.run(milliseconds: 20)
        #expect(cluster.leader == n3)
        #expect(cluster[n1].raft.leader == n3)
        #expect(cluster[n1].transfers == [true])
        #expect(cluster.propose("a", at: n3) == nil)
        cluster.run(milliseconds: 20)
        #expect(cluster.applied(n1) == ["a"])
        #expect(cluster.violations.isEmpty)
    }

    @Test("without a target the voter with the most complete log gets it")
    func bestTarget() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.cut(n1, from: n2)
        cluster.propose("a", at: n1)
        cluster.run(milliseconds: 50)
        #expect(cluster.transfer(from: n1, to: nil) == nil)
        cluster.run(milliseconds: 50)
        #expect(cluster.leader == n3)
    }

    @Test("a target that is behind is brought up first; proposals are refused meanwhile")
    func behind() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        _ = solo.propose(["a"])
        #expect(solo.transfer(to: n2) == nil)
        #expect(!solo.sent.contains { $0.isTimeoutNow })
        #expect(solo.propose(["b"]) == .transferring(to: n2))
        #expect(solo.transfer(to: n3) == .transferring(to: n2))
        solo.accept(durable: 1, matched: 2)
        #expect(!solo.sent.contains { $0.isTimeoutNow })
        solo.accept(durable: 2)
        #expect(solo.sent(to: n2).contains { $0.isTimeoutNow })
    }

    @Test("a transfer that does not come about ends after an election time-out")
    func abort() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 200)
        cluster.cut(n1, from: n3)
        cluster.propose("a", at: n1)
        #expect(cluster.transfer(from: n1, to: n3) == nil)
        #expect(cluster.propose("b", at: n1) == .transferring(to: n3))
        cluster.run(milliseconds: 900)
        #expect(cluster[n1].transfers.isEmpty)
        cluster.run(milliseconds: 200)
        #expect(cluster[n1].transfers == [false])
        #expect(cluster.leader == n1)
        #expect(cluster.propose("c", at: n1) == nil)
        cluster.run(milliseconds: 50)
        #expect(cluster.applied(n2) == ["a", "c"])
    }

    @Test("what cannot be a target is refused, and so is a transfer by a follower")
    func refusals() {
        let solo = Solo(nodes: 5) {
            $0.membership = Membership(
                voters: [n1, n2, n3],
                learners: [n4]
            )
        }
        #expect(solo.transfer(to: n2) == .notLeader(known: nil))
        solo.becomeLeader()
        #expect(solo.transfer(to: n1) == .alreadyLeader)
        #expect(solo.transfer(to: n4) == .notVoter(n4))
        #expect(solo.transfer(to: NodeID(9)) == .notVoter(NodeID(9)))
        let single = Solo(nodes: 1)
        single.waitForDeadline()
        single.persist()
        #expect(single.transfer(to: nil) == .noTarget)
    }

    @Test("only the current leader may ask a node to campaign")
    func timeoutNowOfOthers() {
        let solo = Solo([1], term: 2)
        solo.append(after: id(1, 1), from: n2, term: 2)
        solo.receive(.timeoutNow, from: n3, term: 2)
        solo.receive(.timeoutNow, from: n2, term: 1)
        #expect(solo.raft.role == .follower)
        solo.receive(.timeoutNow, from: n2, term: 2)
        #expect(solo.raft.role == .candidate)
        solo.persist()
        let request = VoteRequest(lastEntry: id(1, 1), isTransfer: true)
        #expect(solo.sent.map(\.body) == [.requestVote(request), .requestVote(request)])
    }
}
