import Raft
import Testing

@Suite("a member that lost what it promised")
struct RepairTests {
    /// Node 1, whose log may be short.
    private func repairing(_ terms: [UInt64] = [], through: UInt64 = 0) -> Solo {
        let solo = Solo(terms)
        solo.participate(.repairing(through: LogIndex(through)))
        return solo
    }

    private func isRepairing(_ solo: Solo) -> [Bool] {
        solo.sent.compactMap { $0.appendReply?.isRepairing }
    }

    @Test("neither campaigns nor votes")
    func silence() {
        let solo = repairing()
        #expect(solo.raft.role == .learner)
        solo.wait(milliseconds: 60_000)
        #expect(solo.sent.isEmpty)
        let request = VoteRequest(lastEntry: id(3, 9), isTransfer: false)
        solo.receive(.preVote(request), term: 5)
        solo.receive(.requestVote(request), term: 5)
        #expect(solo.sent.isEmpty)
        #expect(solo.raft.votedFor == nil)
        solo.append(after: .zero, [1], round: 1, term: 2)
        solo.receive(.timeoutNow, term: 2)
        #expect(solo.raft.role == .learner)
    }

    @Test("takes entries in, and says that its word does not count")
    func follows() {
        let solo = repairing()
        solo.append(after: .zero, [1, 1], round: 1, term: 2)
        solo.persist()
        #expect(isRepairing(solo).allSatisfy { $0 })
        #expect(!isRepairing(solo).isEmpty)
        #expect(solo.terms == [1, 1])
    }

    @Test("counts again once its log is durable through a commit in the leader's own term")
    func returns() {
        let solo = repairing()
        // Committed, but of an earlier term: a leader that has not counted in its own says nothing.
        solo.append(after: .zero, [1, 1], commit: 2, round: 1, term: 2)
        solo.persist()
        #expect(solo.raft.participation != .full)
        // Of its own term, but not on the disk yet.
        solo.append(after: id(1, 2), [2], commit: 3, round: 2, term: 2)
        #expect(solo.raft.participation != .full)
        solo.persist()
        #expect(solo.raft.participation == .full)
        #expect(solo.raft.role == .follower)
        #expect(solo.raft.votedFor == n2)
        #expect(solo.actions.contains(.repaired(through: LogIndex(3))))
        solo.persist()
        solo.append(after: id(2, 3), [], commit: 3, round: 3, term: 2)
        #expect(isRepairing(solo) == [false])
    }

    @Test("not before the entry that let it in")
    func notEarlier() {
        let solo = repairing(through: 4)
        solo.append(after: .zero, [2, 2, 2], commit: 3, round: 1, term: 2)
        solo.persist()
        #expect(solo.raft.participation != .full)
        solo.append(after: id(2, 3), [2], commit: 4, round: 2, term: 2)
        solo.persist()
        #expect(solo.raft.participation == .full)
    }

    @Test("a new leader has to say it again")
    func newLeader() {
        let solo = repairing()
        solo.append(after: .zero, [2, 2], commit: 2, round: 1, term: 2)
        // The target is known, not durable; then the term ends.
        solo.append(after: id(2, 2), [], commit: 2, round: 1, from: n3, term: 3)
        solo.persist()
        #expect(solo.raft.participation != .full)
        solo.append(after: id(2, 2), [3], commit: 3, round: 2, from: n3, term: 3)
        solo.persist()
        #expect(solo.raft.participation == .full)
        #expect(solo.raft.votedFor == n3)
    }

    @Test("a leader does not count it, and forgets what it acknowledged before")
    func notCounted() {
        let solo = Solo([1, 1])
        solo.becomeLeader()
        solo.persist()
        #expect(solo.propose(["a"]) == nil)
        let last = solo.raft.lastIndex.number
        // Before it lost its disk.
        solo.accept(durable: 2, matched: 2)
        #expect(solo.raft.progress.first { $0.node == n2 }?.matchIndex == LogIndex(2))
        solo.receive(
            .appendEntriesReply(
                AppendEntriesReply(
                    result: .rejected(at: LogIndex(2), hint: .zero),
                    readRound: 0,
                    isRepairing: true
                )
            ),
            term: solo.raft.currentTerm.number
        )
        #expect(solo.raft.progress.first { $0.node == n2 }?.matchIndex == .zero)
        solo.persist()
        solo.receive(
            .appendEntriesReply(
                AppendEntriesReply(
                    result: .accepted(durable: LogIndex(last), matched: LogIndex(last)),
                    readRound: 0,
                    isRepairing: true
                )
            ),
            term: solo.raft.currentTerm.number
        )
        #expect(solo.raft.commitIndex < LogIndex(last))
        // It counts again.
        solo.accept(durable: last)
        #expect(solo.raft.commitIndex == LogIndex(last))
    }

    @Test("its answers keep no leader in office and confirm no read")
    func noQuorum() {
        let solo = Solo([1])
        solo.becomeLeader()
        solo.persist()
        let last = solo.raft.lastIndex.number
        solo.accept(durable: last, from: n3)
        solo.read(7)
        let round = solo.appends(to: n2).map(\.readRound).max() ?? 0
        solo.receive(
            .appendEntriesReply(
                AppendEntriesReply(
                    result: .accepted(durable: LogIndex(last), matched: LogIndex(last)),
                    readRound: round,
                    isRepairing: true
                )
            ),
            term: solo.raft.currentTerm.number
        )
        #expect(!solo.actions.contains { if case .readReady = $0 { true } else { false } })
    }

    @Test("who is to avoid office starts no campaign, not even when asked")
    func reluctant() {
        let solo = Solo([1])
        solo.avoidOffice(true)
        solo.wait(milliseconds: 60_000)
        #expect(solo.sent.isEmpty)
        solo.append(after: id(1, 1), [], round: 1, term: 2)
        solo.receive(.timeoutNow, term: 2)
        #expect(solo.raft.role == .follower)
        // It votes all the same.
        solo.wait(milliseconds: 60_000)
        solo.receive(.requestVote(VoteRequest(lastEntry: id(2, 2), isTransfer: false)), term: 3)
        solo.persist()
        #expect(solo.raft.votedFor == n2)
        solo.avoidOffice(false)
        solo.waitForDeadline()
        #expect(solo.raft.role == .preCandidate)
    }
}
