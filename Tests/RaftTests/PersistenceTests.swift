import Raft
import Testing

@Suite("Nothing is said before it is on disk")
struct PersistenceTests {
    @Test("a vote is held until term and vote are durable")
    func voteHeld() {
        let solo = Solo([1])
        let request = VoteRequest(lastEntry: id(1, 1), isTransfer: false)
        solo.receive(.requestVote(request), term: 2)
        #expect(solo.sent.isEmpty)
        #expect(solo.writes.map(\.hardState) == [HardState(currentTerm: Term(2), votedFor: n2)])
        solo.persist()
        #expect(solo.granted == [n2])
    }

    @Test("an acknowledgement is held until its entries are durable, and covers all that are")
    func acknowledgementHeld() {
        let solo = Solo(term: 1)
        solo.append(after: .zero, [1, 1], term: 1)
        #expect(solo.replies.isEmpty)
        let first = solo.lastWrite
        solo.append(after: id(1, 2), [1], term: 1)
        #expect(solo.replies.isEmpty)
        solo.persist(first)
        #expect(solo.replies == [.accepted(durable: LogIndex(2), matched: LogIndex(3))])
        solo.persist()
        #expect(solo.replies == [.accepted(durable: LogIndex(3), matched: LogIndex(3))])
        solo.persist()
        #expect(solo.actions.isEmpty)
    }

    @Test("a heartbeat is answered at once, with what is durable by then")
    func heartbeatAtOnce() {
        let solo = Solo(term: 1)
        solo.append(after: .zero, [1], term: 1)
        solo.append(after: id(1, 1), round: 5, term: 1)
        #expect(solo.replies == [.accepted(durable: .zero, matched: LogIndex(1))])
        #expect(solo.sent.compactMap { $0.appendReply?.readRound } == [5])
    }

    @Test("a new term is on disk before even a heartbeat of it is answered")
    func termHeld() {
        let solo = Solo([1])
        solo.append(after: id(1, 1), round: 1, term: 2)
        #expect(solo.sent.isEmpty)
        #expect(solo.writes.map { $0.hardState?.currentTerm } == [Term(2)])
        solo.persist()
        #expect(solo.replies == [.accepted(durable: LogIndex(1), matched: LogIndex(1))])
    }

    @Test("a candidate asks for votes, and counts its own, once its candidacy is on disk")
    func ownVoteHeld() {
        let solo = Solo(nodes: 2)
        solo.waitForDeadline()
        solo.receive(.preVoteReply(VoteReply(granted: true)), term: 1)
        #expect(solo.raft.role == .candidate)
        #expect(solo.sent.isEmpty)
        solo.receive(.requestVoteReply(VoteReply(granted: true)), term: 1)
        #expect(solo.raft.role == .candidate)
        solo.persist()
        #expect(solo.raft.role == .leader)
    }

    @Test("what was to be said in an older term is dropped with that term")
    func heldOfOlderTerm() {
        let solo = Solo([1])
        let request = VoteRequest(lastEntry: id(1, 1), isTransfer: false)
        solo.receive(.requestVote(request), from: n2, term: 2)
        let first = solo.lastWrite
        solo.receive(.requestVote(request), from: n3, term: 3)
        solo.persist(first)
        #expect(solo.sent.isEmpty)
        solo.persist()
        #expect(solo.granted == [n3])
        #expect(solo.sent.map(\.term) == [Term(3)])
    }

    @Test("a write that finishes after its entries were cut off acknowledges none of them")
    func supersededWrite() {
        let solo = Solo([1], term: 1)
        solo.append(after: id(1, 1), [1, 1, 1], from: n2, term: 1)
        let old = solo.lastWrite
        // A new leader has other entries from index 3 on.
        solo.append(after: id(1, 2), [2], from: n3, term: 2)
        #expect(solo.writes.map(\.truncateAfter) == [LogIndex(2)])
        solo.persist(old)
        #expect(solo.raft.durableIndex == LogIndex(2))
        #expect(solo.raft.lastIndex == LogIndex(3))
        for case .accepted(let durable, _) in solo.replies { #expect(durable <= LogIndex(2)) }
        solo.persist()
        #expect(solo.raft.durableIndex == LogIndex(3))
        #expect(solo.replies.last == .accepted(durable: LogIndex(3), matched: LogIndex(3)))
    }

    @Test("a longer durable log is never reported beyond what this leader's log is known to equal")
    func durableBeyondMatched() {
        let solo = Solo([1, 1, 1, 1], term: 1)
        solo.append(after: id(1, 2), round: 1, term: 2)
        solo.persist()
        #expect(solo.replies == [.accepted(durable: LogIndex(2), matched: LogIndex(2))])
    }

    @Test("cutting off and appending is one write")
    func oneWrite() {
        let solo = Solo([1, 1, 1])
        solo.append(after: id(1, 1), [2, 2], commit: 1, term: 2)
        #expect(solo.writes.count == 1)
        let write = solo.writes.first
        #expect(write?.truncateAfter == LogIndex(1))
        #expect(write?.entries.map(\.id) == [id(2, 2), id(2, 3)])
        #expect(write?.hardState == HardState(currentTerm: Term(2), commitIndex: LogIndex(1)))
    }

    @Test("the commit index goes along with writes, and causes none")
    func commitHint() {
        let solo = Solo(term: 1)
        solo.append(after: .zero, [1], term: 1)
        #expect(solo.writes.map(\.hardState) == [nil])
        solo.persist()
        solo.append(after: id(1, 1), commit: 1, term: 1)
        #expect(solo.actions == [.committed(LogIndex(1))])
        solo.append(after: id(1, 1), [1], commit: 1, term: 1)
        #expect(solo.writes.map { $0.hardState?.commitIndex } == [LogIndex(1)])
        solo.append(after: id(1, 2), [1], commit: 1, term: 1)
        #expect(solo.writes.map(\.hardState) == [nil])
    }

    @Test("a leader sends before its own disk is done, and does not count itself until it is")
    func leaderSendsFirst() {
        let solo = Solo()
        solo.becomeLeader()
        #expect(solo.appends(to: n2).map { $0.entries.map(\.id) } == [[id(1, 1)]])
        solo.accept(durable: 1)
        #expect(solo.raft.commitIndex == .zero)
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(1))
        // A majority of others is enough, and leaderDurable says how far the own disk is.
        _ = solo.propose(["a"])
        #expect(solo.appends(to: n2).map(\.leaderDurable) == [LogIndex(1)])
        solo.accept(durable: 2)
        #expect(solo.raft.commitIndex == LogIndex(1))
        solo.accept(durable: 2, from: n3)
        #expect(solo.raft.commitIndex == LogIndex(2))
        #expect(solo.raft.durableIndex == LogIndex(1))
    }

    @Test("a crash before anything is durable forgets it safely")
    func crashBeforeDurable() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 200)
        cluster.holdDisk(n2)
        cluster.holdDisk(n3)
        cluster.propose("forgotten", at: n1)
        cluster.run(milliseconds: 200)
        #expect(cluster.applied(n1).isEmpty)
        for member in cluster.members { cluster.crash(member.id) }
        cluster.restart(n2)
        cluster.restart(n3)
        #expect(cluster.elect(n2))
        cluster.propose("kept", at: n2)
        cluster.run(milliseconds: 200)
        cluster.restart(n1)
        cluster.run(milliseconds: 2_000)
        for member in cluster.members { #expect(cluster.applied(member.id) == ["kept"]) }
        #expect(cluster.violations.isEmpty)
    }

    @Test(
        "a vote that was given is remembered after a crash; one that was not sent may be forgotten"
    )
    func voteAcrossCrash() {
        let cluster = Cluster(term: 1)
        let request = VoteRequest(lastEntry: .zero, isTransfer: false)
        let body = Message.Body.requestVote(request)
        cluster.deliver(Message(from: n2, to: n1, term: Term(2), body: body))
        cluster.run(milliseconds: 1)
        cluster.crash(n1)
        cluster.restart(n1)
        #expect(cluster[n1].raft.votedFor == n2)
        cluster.holdDisk(n1)
        cluster.deliver(Message(from: n2, to: n1, term: Term(3), body: body))
        cluster.crash(n1)
        cluster.restart(n1)
        #expect(cluster[n1].raft.currentTerm == Term(2))
        #expect(cluster.violations.isEmpty)
    }
}
