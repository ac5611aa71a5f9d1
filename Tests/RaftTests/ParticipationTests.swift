import Raft
import Testing

extension Solo {
    /// The number of the repair, as the last replies carry it.
    fileprivate var repair: UInt64 { sent.compactMap { $0.appendReply?.repair }.last ?? 0 }
}

@Suite("A member that may have lost what it promised")
struct ParticipationTests {
    @Test("barred it neither campaigns nor votes nor acknowledges, whatever is committed")
    func barred() {
        let solo = Solo([1])
        solo.participate(.barred)
        #expect(solo.raft.role == .repairing)
        solo.wait(milliseconds: 60_000)
        #expect(solo.sent.isEmpty)
        let request = VoteRequest(lastEntry: id(3, 9), isTransfer: false)
        solo.receive(.preVote(request), term: 5)
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: false))])
        solo.receive(.requestVote(request), term: 5)
        solo.persist()
        #expect(solo.granted.isEmpty && solo.raft.votedFor == nil)
        solo.append(after: id(1, 1), [5], commit: 2, round: 1, term: 5)
        solo.persist()
        #expect(solo.repair != 0)
        solo.append(after: id(5, 2), commit: 2, round: 2, repair: solo.repair, term: 5)
        solo.persist()
        #expect(solo.raft.participation == .barred)
        solo.participate(.full)
        #expect(solo.raft.role == .follower)
        solo.waitForDeadline()
        #expect(solo.raft.role == .preCandidate)
    }

    @Test("a leader that is barred leaves office at once")
    func barredLeader() {
        let solo = Solo([1])
        solo.becomeLeader()
        solo.participate(.barred)
        #expect(solo.raft.role == .repairing && solo.raft.leader == nil)
    }

    @Test("it does not count again before the entry that let it in")
    func notEarlier() {
        let solo = Solo()
        solo.participate(.repairing(through: LogIndex(4)))
        solo.persist()
        solo.append(after: .zero, [2, 2, 2], commit: 3, round: 1, term: 2)
        solo.persist()
        let repair = solo.repair
        solo.append(after: id(2, 3), commit: 3, round: 2, repair: repair, term: 2)
        #expect(solo.raft.participation == .repairing(through: LogIndex(4)))
        solo.append(after: id(2, 3), [2], commit: 4, round: 3, repair: repair, term: 2)
        #expect(solo.raft.participation != .full)
        solo.persist()
        #expect(solo.raft.participation == .full && solo.raft.votedFor == n2)
        #expect(solo.actions.contains(.repaired(through: LogIndex(4))))
    }

    @Test("its answers confirm no read")
    func noRead() {
        let solo = Solo([1])
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 2, from: n3)
        solo.read(7)
        let round = solo.appends(to: n2).map(\.readRound).max() ?? 0
        solo.accept(durable: 2, round: round, repair: 5)
        #expect(!solo.actions.contains { if case .readReady = $0 { true } else { false } })
        solo.accept(durable: 2, round: round, from: n3)
        #expect(solo.actions.contains { if case .readReady = $0 { true } else { false } })
    }

    @Test("a leader forgets what the directory before acknowledged")
    func replaced() {
        let solo = Solo([1])
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 2)
        #expect(solo.raft.progress.first { $0.node == n2 }?.matchIndex == LogIndex(2))
        solo.replace(n2)
        #expect(solo.raft.progress.first { $0.node == n2 }?.matchIndex == .zero)
    }

    @Test("who is to avoid office starts no campaign, not even when asked, but votes")
    func reluctant() {
        let solo = Solo([1])
        solo.avoidOffice(true)
        solo.wait(milliseconds: 60_000)
        #expect(solo.sent.isEmpty)
        solo.append(after: id(1, 1), round: 1, term: 2)
        solo.persist()
        solo.receive(.timeoutNow, term: 2)
        #expect(solo.raft.role == .follower)
        solo.wait(milliseconds: 60_000)
        solo.receive(.requestVote(VoteRequest(lastEntry: id(2, 2), isTransfer: false)), term: 3)
        solo.persist()
        #expect(solo.granted == [n2])
        solo.avoidOffice(false)
        solo.waitForDeadline()
        #expect(solo.raft.role == .preCandidate)
    }

    @Test("who is to avoid office campaigns when nobody leads for long and nobody else could win")
    func lastResort() {
        let solo = Solo([1, 1])
        solo.append(after: id(1, 2), round: 1, term: 2)
        solo.persist()
        solo.avoidOffice(true)
        func ask(_ last: EntryID) {
            solo.receive(
                .preVote(VoteRequest(lastEntry: last, isTransfer: false)),
                from: n3,
                term: 3
            )
            solo.wait(milliseconds: 0)
        }
        // Another one may come that has as much: it is left the time.
        solo.wait(milliseconds: 2_000)
        ask(id(1, 1))
        #expect(solo.raft.role == .follower)
        solo.wait(milliseconds: 60_000)
        ask(id(1, 2))
        #expect(solo.raft.role == .follower)
        ask(id(1, 1))
        #expect(solo.raft.role == .preCandidate)
        // In the middle of its campaign it is told once more to avoid office: it is the last resort still.
        solo.avoidOffice(false)
        solo.avoidOffice(true)
        solo.wait(milliseconds: 60_000)
        #expect(solo.sent.isEmpty)
        ask(id(1, 1))
        #expect(solo.sent.contains { if case .preVote = $0.body { true } else { false } })
        // It stands back again as soon as somebody leads.
        solo.append(after: id(1, 2), round: 1, term: 4)
        solo.persist()
        solo.wait(milliseconds: 60_000)
        #expect(solo.raft.role == .follower)
    }
}
