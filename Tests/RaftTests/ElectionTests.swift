import Raft
import Testing

@Suite("Elections")
struct ElectionTests {
    @Test("three fresh nodes elect one leader, and its first entry commits")
    func firstElection() {
        let cluster = Cluster()
        cluster.run(milliseconds: 4_000)
        #expect(cluster.members.filter { $0.raft.role == .leader }.count == 1)
        for member in cluster.members {
            #expect(member.raft.leader == cluster.leader)
            #expect(member.raft.commitIndex == LogIndex(1))
        }
        #expect(cluster.violations.isEmpty)
    }

    @Test("a cluster of one elects itself as soon as its vote is on disk")
    func singleVoter() {
        let solo = Solo(nodes: 1)
        solo.waitForDeadline()
        #expect(solo.raft.role == .candidate)
        solo.persist()
        #expect(solo.raft.role == .leader)
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(1))
        #expect(solo.propose(["a"]) == nil)
        #expect(solo.raft.commitIndex == LogIndex(1))
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(2))
        #expect(solo.sent.isEmpty)
    }

    @Test("election time-outs lie between one and two minimum time-outs, and follow from the seed")
    func timeouts() {
        func spans(seed: UInt64) -> [UInt64] {
            let solo = Solo(seed: seed)
            return (0..<50).map { _ in
                let start = solo.now
                solo.waitForDeadline()
                return solo.now.nanoseconds(since: start)
            }
        }
        let drawn = spans(seed: 1)
        #expect(drawn.allSatisfy { (1_000_000_000..<2_000_000_000).contains($0) })
        #expect(Set(drawn).count == 50)
        #expect(drawn == spans(seed: 1))
        #expect(drawn != spans(seed: 2))
    }

    @Test("a deadline called early changes nothing")
    func early() {
        let solo = Solo()
        solo.wait(milliseconds: 999)
        #expect(solo.actions.isEmpty)
        #expect(solo.raft.role == .follower)
    }

    @Test("a pre-vote touches no term and writes nothing")
    func preVote() {
        let solo = Solo([1, 1])
        solo.waitForDeadline()
        #expect(solo.raft.role == .preCandidate)
        #expect(solo.raft.currentTerm == Term(1))
        #expect(solo.writes.isEmpty)
        let request = VoteRequest(lastEntry: id(1, 2), isTransfer: false)
        #expect(solo.sent.map(\.body) == [.preVote(request), .preVote(request)])
        #expect(solo.sent.map(\.term) == [Term(2), Term(2)])
    }

    @Test(
        "election restriction: a vote goes only to a log that is at least as up-to-date",
        arguments: [
            ([1, 1, 2], id(2, 3), true), ([1, 1, 2], id(2, 4), true), ([1, 1, 2], id(3, 1), true),
            ([1, 1, 2], id(2, 2), false), ([1, 1, 2], id(1, 9), false), ([1], .zero, false),
            ([], .zero, true),
        ] as [([UInt64], EntryID, Bool)]
    )
    func electionRestriction(log: [UInt64], last: EntryID, isGranted: Bool) {
        let solo = Solo(log, term: 3)
        let request = VoteRequest(lastEntry: last, isTransfer: false)
        solo.receive(.preVote(request), term: 4)
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: isGranted))])
        solo.receive(.requestVote(request), term: 4)
        solo.persist()
        #expect(solo.granted == (isGranted ? [n2] : []))
    }

    @Test("a node with a shorter log is not elected, even if it asks first")
    func restrictionInCluster() {
        let cluster = Cluster(logs: [[1, 1], [1, 1], [1]])
        #expect(!cluster.elect(n3))
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 500)
        #expect(cluster.terms(n3).prefix(2) == [1, 1])
        #expect(cluster.violations.isEmpty)
    }

    @Test("one vote a term, and the same candidate gets it again")
    func oneVote() {
        let solo = Solo(term: 3)
        let request = VoteRequest(lastEntry: .zero, isTransfer: false)
        solo.receive(.requestVote(request), from: n2, term: 4)
        solo.persist()
        #expect(solo.granted == [n2])
        solo.receive(.requestVote(request), from: n3, term: 4)
        #expect(solo.sent.map(\.body) == [.requestVoteReply(VoteReply(granted: false))])
        solo.receive(.requestVote(request), from: n2, term: 4)
        #expect(solo.granted == [n2])
    }

    @Test("a refused vote does not reset the election timer, a granted one does")
    func refusedVoteKeepsTimer() {
        let solo = Solo([1, 1])
        let deadline = solo.raft.nextDeadline
        solo.now = solo.now.after(milliseconds: 900)
        let poor = VoteRequest(lastEntry: id(1, 1), isTransfer: false)
        solo.receive(.requestVote(poor), term: 5)
        #expect(solo.raft.currentTerm == Term(5))
        #expect(solo.raft.nextDeadline == deadline)
        let good = VoteRequest(lastEntry: id(1, 2), isTransfer: false)
        solo.receive(.requestVote(good), term: 6)
        #expect(solo.raft.nextDeadline > deadline)
    }

    @Test("who hears from a leader refuses votes and keeps its term, unless the leader hands over")
    func lease() {
        let solo = Solo([1])
        solo.append(after: id(1, 1), round: 1, term: 1)
        solo.now = solo.now.after(milliseconds: 999)
        let request = VoteRequest(lastEntry: id(1, 9), isTransfer: false)
        solo.receive(.preVote(request), from: n3, term: 2)
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: false))])
        solo.receive(.requestVote(request), from: n3, term: 2)
        #expect(solo.actions.isEmpty)
        #expect(solo.raft.currentTerm == Term(1))
        let handedOver = VoteRequest(lastEntry: id(1, 9), isTransfer: true)
        solo.receive(.requestVote(handedOver), from: n3, term: 2)
        solo.persist()
        #expect(solo.granted == [n3])
    }

    @Test("a node that was cut off comes back without an election: its pre-votes raised no term")
    func returningNode() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        let term = cluster[n1].raft.currentTerm
        cluster.isolate(n3)
        cluster.run(milliseconds: 30_000)
        #expect(cluster[n3].raft.currentTerm == term)
        cluster.propose("while away", at: n1)
        cluster.heal()
        cluster.run(milliseconds: 3_000)
        #expect(cluster.leader == n1)
        #expect(cluster[n1].raft.currentTerm == term)
        #expect(cluster.count.elections == 1)
        #expect(cluster.applied(n3) == ["while away"])
    }

    @Test("a node stuck in a newer term is taken along by the leader moving past that term")
    func newerTerm() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 2_000)
        // n3 campaigns as if handed leadership, but nobody hears of it.
        cluster.isolate(n3)
        let term = cluster[n1].raft.currentTerm
        cluster.deliver(Message(from: n1, to: n3, term: term, body: .timeoutNow))
        cluster.run(milliseconds: 100)
        #expect(cluster[n3].raft.currentTerm > term)
        cluster.heal()
        let isSettled = cluster.run(atMost: 1_000) {
            cluster[n1].raft.currentTerm > term && cluster[n3].raft.leader == n1
        }
        #expect(isSettled)
        #expect(cluster.leader == n1)
        let settled = cluster[n1].raft.currentTerm
        cluster.run(milliseconds: 5_000)
        #expect(cluster[n1].raft.currentTerm == settled)
        #expect(cluster.propose("on", at: n1) == nil)
        cluster.run(milliseconds: 100)
        #expect(cluster.applied(n3) == ["on"])
        #expect(cluster.violations.isEmpty)
    }

    @Test("a member that claims newer terms cannot keep a leader from leading")
    func newerTermsOfOneMember() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        #expect(solo.raft.commitIndex == LogIndex(1))
        solo.accept(durable: 1, from: n3, term: 9)
        #expect(solo.raft.role == .leader)
        #expect(solo.actions.isEmpty)
    }

    @Test("a leader that is cut off steps down within an election time-out; the rest goes on")
    func checkQuorum() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 500)
        cluster.isolate(n1)
        cluster.propose("lost", at: n1)
        cluster.run(milliseconds: 1_200)
        #expect(cluster[n1].raft.role != .leader)
        #expect(cluster.propose("refused", at: n1) == .notLeader(known: nil))
        let isReplaced = cluster.run(atMost: 4_000) { cluster.leader != nil }
        #expect(isReplaced)
        if let leader = cluster.leader { cluster.propose("kept", at: leader) }
        cluster.run(milliseconds: 500)
        cluster.heal()
        cluster.run(milliseconds: 3_000)
        for member in cluster.members { #expect(cluster.applied(member.id) == ["kept"]) }
        #expect(cluster.violations.isEmpty)
    }

    @Test("a leader whose followers answer stays for good")
    func steadyLeader() {
        let cluster = Cluster(nodes: 5)
        #expect(cluster.elect(n2))
        cluster.isolate(n4)
        cluster.isolate(n5)
        cluster.run(milliseconds: 60_000)
        #expect(cluster.leader == n2)
        #expect(cluster.count.elections == 1)
    }

    @Test("a killed leader whose connections break is replaced within some milliseconds")
    func lostLeader() {
        for seed in UInt64(1)...50 {
            let cluster = Cluster(seed: seed)
            cluster.elect(n1)
            cluster.run(milliseconds: 500)
            cluster.crash(n1, noticed: true)
            let isReplaced = cluster.run(atMost: 400) { cluster.leader != nil }
            #expect(isReplaced, "seed \(seed)")
            #expect(cluster.violations.isEmpty)
        }
    }

    @Test("a broken link to a living leader disturbs nobody")
    func brokenLinkOnly() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 500)
        let term = cluster[n1].raft.currentTerm
        let solo = cluster[n3]
        var actions: [Action] = []
        solo.raft.peerDisconnected(n1, broken: true, at: cluster.now, into: &actions)
        #expect(solo.raft.leader == nil)
        cluster.run(milliseconds: 5_000)
        #expect(cluster.leader == n1)
        #expect(cluster[n1].raft.currentTerm == term)
        #expect(solo.raft.leader == n1)
    }

    @Test("split votes are tried again well before an election time-out")
    func splitVote() {
        let solo = Solo()
        solo.waitForDeadline()
        solo.receive(.preVoteReply(VoteReply(granted: true)), term: 1)
        solo.persist()
        solo.receive(.requestVoteReply(VoteReply(granted: false)), from: n2, term: 1)
        #expect(solo.raft.role == .candidate)
        solo.receive(.requestVoteReply(VoteReply(granted: false)), from: n3, term: 1)
        #expect(solo.raft.role == .follower)
        #expect(solo.raft.nextDeadline.nanoseconds(since: solo.now) < 250_000_000)
    }

    @Test("a refusal from close by leaves a willing voter far away the time to answer")
    func willing() {
        let solo = Solo([1])
        solo.waitForDeadline()
        solo.receive(.preVoteReply(VoteReply(granted: true)), from: n2, term: 2)
        solo.persist()
        #expect(solo.raft.role == .candidate)
        let deadline = solo.raft.nextDeadline
        // Such as of a member that catches up, and grants no vote.
        solo.receive(.requestVoteReply(VoteReply(granted: false)), from: n3, term: 2)
        #expect(solo.raft.role == .candidate)
        #expect(solo.raft.nextDeadline == deadline)
        solo.receive(.requestVoteReply(VoteReply(granted: true)), from: n2, term: 2)
        #expect(solo.raft.role == .leader)

        // Where it was the willing one that refuses, the votes are split: it is tried again soon.
        let split = Solo([1])
        split.waitForDeadline()
        split.receive(.preVoteReply(VoteReply(granted: true)), from: n2, term: 2)
        split.persist()
        let before = split.raft.nextDeadline
        split.receive(.requestVoteReply(VoteReply(granted: false)), from: n2, term: 2)
        #expect(split.raft.nextDeadline < before)
    }

    @Test("votes of strangers, of learners and from other terms do not count")
    func foreignVotes() {
        let solo = Solo(nodes: 5, term: 6) {
            $0.membership = Membership(
                voters: [n1, n2, n3, n4],
                learners: [n5]
            )
        }
        solo.waitForDeadline()
        let yes = Message.Body.requestVoteReply(VoteReply(granted: true))
        let preYes = Message.Body.preVoteReply(VoteReply(granted: true))
        solo.receive(preYes, from: n5, term: 7)
        solo.receive(preYes, from: NodeID(9), term: 7)
        solo.receive(preYes, from: n2, term: 6)
        solo.receive(preYes, from: n2, term: 7)
        solo.receive(preYes, from: n2, term: 7)
        #expect(solo.raft.role == .preCandidate)
        solo.receive(preYes, from: n3, term: 7)
        #expect(solo.raft.role == .candidate)
        solo.persist()
        solo.receive(yes, from: n5, term: 7)
        solo.receive(yes, from: n2, term: 6)
        solo.receive(yes, from: n2, term: 7)
        solo.receive(yes, from: n2, term: 7)
        #expect(solo.raft.role == .candidate)
        solo.receive(yes, from: n4, term: 7)
        #expect(solo.raft.role == .leader)
    }
}
