import Raft
import Testing

/// A member whose disk lost its log behind entry 1/3, in a term and with a vote that it still has.
private func damaged(term: UInt64 = 4, votedFor: NodeID? = nil) -> Solo {
    Solo([1, 1, 1], term: term, votedFor: votedFor, committed: 2, isRepairing: true)
}

extension Solo {
    fileprivate var isRepairing: Bool { raft.isRepairing }
    /// The number of the repair, as the last replies carry it.
    fileprivate var repair: UInt64 { sent.compactMap { $0.appendReply?.repair }.last ?? 0 }
}

@Suite("A member whose log was damaged")
struct RepairTests {
    @Test("neither campaigns, nor votes, nor obeys a leader that wants it to succeed")
    func countsForNothing() {
        let solo = damaged()
        #expect(solo.raft.role == .repairing && solo.raft.nextDeadline == .distantFuture)
        for _ in 0..<20 { solo.wait(milliseconds: 1000) }
        #expect(solo.sent.isEmpty)
        let request = VoteRequest(lastEntry: id(4, 90), isTransfer: true)
        solo.receive(.preVote(request), term: 6)
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: false))])
        solo.receive(.requestVote(request), term: 6)
        solo.persist()
        #expect(solo.sent.map(\.body) == [.requestVoteReply(VoteReply(granted: false))])
        solo.append(after: id(1, 3), [6], commit: 3, round: 1, term: 6)
        solo.persist()
        solo.receive(.timeoutNow, term: 6)
        #expect(solo.sent.isEmpty && solo.raft.role == .repairing)
    }

    @Test("takes entries, and says in each reply that it acknowledges nothing")
    func receives() {
        let solo = damaged()
        solo.append(after: id(1, 3), [2, 4, 4], commit: 5, round: 1, term: 4)
        let repair = solo.repair
        #expect(repair != 0)
        solo.persist()
        #expect(solo.replies == [.accepted(durable: LogIndex(6), matched: LogIndex(6))])
        #expect(solo.repair == repair)
        #expect(solo.raft.commitIndex == LogIndex(5))
    }

    @Test(
        "is whole again with an own-term commit that was told after its leader knew of the repair"
    )
    func ends() {
        let solo = damaged()
        solo.append(after: id(1, 3), [2, 4, 4], commit: 5, round: 1, term: 4)
        let repair = solo.repair
        solo.persist()
        // Sent before the leader knew: it may still count what was acknowledged once.
        solo.append(after: id(4, 6), commit: 6, round: 2, term: 4)
        #expect(solo.isRepairing)
        // Of another repair of this node.
        solo.append(after: id(4, 6), commit: 6, round: 3, repair: repair ^ 2, term: 4)
        #expect(solo.isRepairing)
        solo.append(after: id(4, 6), [4, 4], commit: 6, round: 4, repair: repair, term: 4)
        #expect(!solo.isRepairing && solo.raft.role == .follower)
        // Nothing is said of it before it is durable.
        #expect(solo.sent.isEmpty)
        #expect(
            solo.writes.map(\.hardState) == [
                HardState(currentTerm: Term(4), votedFor: n2, commitIndex: LogIndex(6))
            ]
        )
        solo.persist()
        #expect(solo.replies.last == .accepted(durable: LogIndex(8), matched: LogIndex(8)))
        #expect(solo.sent.allSatisfy { $0.appendReply?.repair == 0 })
        #expect(solo.raft.nextDeadline < .distantFuture)
    }

    @Test("stays in repair until its log is durable through that commit")
    func waitsForDisk() {
        let solo = damaged()
        solo.append(after: id(1, 3), round: 1, term: 4)
        let repair = solo.repair
        solo.append(after: id(1, 3), [4], commit: 5, round: 2, repair: repair, term: 4)
        solo.append(after: id(4, 4), [4], commit: 5, round: 3, repair: repair, term: 4)
        let last = solo.lastWrite
        solo.persist(WriteNumber(last.number - 1))
        #expect(solo.isRepairing)
        solo.persist(last)
        #expect(!solo.isRepairing)
    }

    @Test(
        "is not whole before it has what was on its leader's disk, of which it may have inferred commits"
    )
    func waitsForInferred() {
        let solo = damaged()
        solo.append(after: id(1, 3), round: 1, term: 4)
        let repair = solo.repair
        // Entry 5 was on both disks before the damage, and nobody but this node counted it.
        solo.append(after: id(1, 3), [4], commit: 4, round: 2, durable: 5, repair: repair, term: 4)
        solo.persist()
        #expect(solo.isRepairing)
        // What came to be on the leader's disk later was never answered for.
        solo.append(after: id(4, 4), [4], commit: 4, round: 3, durable: 9, repair: repair, term: 4)
        solo.persist()
        #expect(!solo.isRepairing)

        let plain = damaged()
        plain.append(after: id(1, 3), round: 1, infers: false, term: 4)
        plain.append(
            after: id(1, 3),
            [4],
            commit: 4,
            round: 2,
            durable: 5,
            infers: false,
            repair: plain.repair,
            term: 4
        )
        plain.persist()
        #expect(!plain.isRepairing)
    }

    @Test("is not whole with a commit of an earlier term, and starts over in a new one")
    func olderTerms() {
        let solo = damaged()
        solo.append(after: id(1, 3), [2, 2], round: 1, term: 4)
        solo.persist()
        let repair = solo.repair
        solo.append(after: id(2, 5), commit: 5, round: 2, repair: repair, term: 4)
        #expect(solo.isRepairing)
        solo.append(after: id(2, 5), [5], commit: 5, round: 1, from: n3, term: 5)
        solo.persist()
        solo.append(after: id(5, 6), commit: 5, round: 2, repair: repair, from: n3, term: 5)
        #expect(solo.isRepairing)
        solo.append(after: id(5, 6), commit: 6, round: 3, repair: repair, from: n3, term: 5)
        #expect(!solo.isRepairing && solo.raft.votedFor == n3)
    }

    @Test("keeps the vote that it gave before the damage")
    func keepsVote() {
        let solo = damaged(votedFor: n3)
        solo.append(after: id(1, 3), [4], round: 1, term: 4)
        solo.persist()
        solo.append(after: id(4, 4), commit: 4, round: 2, repair: solo.repair, term: 4)
        #expect(!solo.isRepairing && solo.raft.votedFor == n3)
    }
}

@Suite("The leader of a member whose log was damaged")
struct RepairLeaderTests {
    /// Leads term 2 with five entries of it behind 1/1, all acknowledged by node 2 but the last.
    private func leader() -> Solo {
        let solo = Solo([1])
        solo.becomeLeader()
        #expect(solo.propose(["a", "b", "c"]) == nil)
        solo.persist()
        return solo
    }

    @Test("forgets what it acknowledged, and counts nothing that was said before the damage")
    func forgets() {
        let solo = leader()
        solo.accept(durable: 3, matched: 5, round: 0)
        #expect(solo.raft.commitIndex == LogIndex(3))
        solo.accept(durable: 1, round: 0, repair: 77)
        #expect(solo.raft.progress[0].matchIndex == LogIndex(1))
        #expect(solo.raft.progress[0].repair == 77)
        // An acknowledgement that was long under way.
        solo.accept(durable: 5, round: 0)
        #expect(solo.raft.commitIndex == LogIndex(3))
        // Nor does what it has by now count.
        solo.accept(durable: 5, round: 0, repair: 77)
        #expect(solo.raft.commitIndex == LogIndex(3))
        solo.accept(durable: 5, from: n3)
        #expect(solo.raft.commitIndex == LogIndex(5))
    }

    @Test("tells it that the repair is known, and counts it again when it is whole")
    func countsAgain() {
        let solo = leader()
        solo.accept(durable: 1, round: 0, repair: 77)
        #expect(!solo.appends(to: n2).isEmpty)
        #expect(solo.appends(to: n2).allSatisfy { $0.repair == 77 })
        #expect(solo.appends(to: n3).allSatisfy { $0.repair == 0 })
        solo.wait(milliseconds: 100)
        let round = solo.appends(to: n2).last?.readRound ?? 0
        solo.accept(durable: 5, round: round, repair: 77)
        #expect(solo.raft.commitIndex == .zero)
        solo.accept(durable: 5, round: round)
        #expect(solo.raft.commitIndex == LogIndex(5))
        solo.wait(milliseconds: 100)
        #expect(solo.appends(to: n2).allSatisfy { $0.repair == 0 })
    }

    @Test("does not hand leadership over to it")
    func noSuccessor() {
        let solo = leader()
        solo.accept(durable: 5, round: 0, repair: 77)
        #expect(solo.transfer(to: n2) == .noTarget)
        solo.wait(milliseconds: 100)
        solo.accept(durable: 2, round: 1, from: n3)
        #expect(solo.transfer(to: nil) == nil)
        #expect(solo.raft.role == .leader)
    }
}
