import Raft
import Testing

@Suite("A disk that is full or hangs")
struct RoomTests {
    private func reply(_ solo: Solo) -> AppendEntriesReply? { solo.sent.last?.appendReply }

    @Test("a follower takes what it has room for, acknowledges no more, and says that it is full")
    func follower() {
        let solo = Solo()
        solo.append(after: .zero, [1], term: 1)
        solo.persist()
        let one = Entry.storedBytes(of: 3)
        solo.setRoom(2 * one)
        solo.append(after: id(1, 1), [1, 1, 1, 1], term: 1)
        #expect(solo.terms == [1, 1, 1])
        #expect(solo.writes.flatMap(\.entries).map(\.index.number) == [2, 3])
        #expect(reply(solo)?.hasRoom == false)
        #expect(reply(solo)?.result == .accepted(durable: LogIndex(1), matched: LogIndex(3)))
        #expect(solo.raft.unstoredEntries == 2)
        // Heartbeats are answered, with the same.
        solo.persist()
        solo.append(after: id(1, 3), round: 1, term: 1)
        #expect(reply(solo)?.hasRoom == false)
        #expect(reply(solo)?.result == .accepted(durable: LogIndex(3), matched: LogIndex(3)))
        solo.setRoom(one)
        solo.append(after: id(1, 3), round: 2, term: 1)
        #expect(reply(solo)?.hasRoom == true)
        solo.append(after: id(1, 3), [1], term: 1)
        solo.persist()
        #expect(reply(solo)?.result == .accepted(durable: LogIndex(4), matched: LogIndex(4)))
    }

    @Test("what is there already needs no room")
    func known() {
        let solo = Solo()
        solo.append(after: .zero, [1, 1], term: 1)
        solo.persist()
        solo.setRoom(0)
        solo.append(after: .zero, [1, 1], term: 1)
        #expect(reply(solo)?.hasRoom == true)
        #expect(reply(solo)?.result == .accepted(durable: LogIndex(2), matched: LogIndex(2)))
    }

    @Test("a follower that is full commits only what it has")
    func commitOfFull() {
        let solo = Solo()
        solo.append(after: .zero, [1], term: 1)
        solo.setRoom(0)
        solo.append(after: id(1, 1), [1, 1], commit: 3, term: 1)
        #expect(solo.raft.commitIndex == LogIndex(1))
    }

    @Test("a full follower gets heartbeats only, and all it lacks once it has room")
    func leaderOfFull() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        _ = solo.propose(["a", "b"])
        solo.acceptFull(durable: 1, matched: 2)
        #expect(solo.appends(to: n2).allSatisfy { $0.entries.isEmpty })
        #expect(solo.raft.progress[0].isFull)
        _ = solo.propose(["c"])
        for _ in 1...5 {
            solo.waitForDeadline()
            let appends = solo.appends(to: n2)
            #expect(!appends.isEmpty && appends.allSatisfy(\.entries.isEmpty))
            #expect(appends.allSatisfy { $0.previous == id(1, 2) })
            solo.acceptFull(durable: 2, matched: 2)
            solo.accept(durable: 0, from: n3)  // keeps the leader in office
            #expect(solo.appends(to: n2).isEmpty)
        }
        solo.accept(durable: 2)
        #expect(solo.appends(to: n2).flatMap(\.entries).map(\.index.number) == [3, 4])
        #expect(!solo.raft.progress[0].isFull)
    }

    @Test("a leader without room takes no proposal, whole or not at all")
    func leader() {
        let solo = Solo()
        solo.becomeLeader()
        solo.setRoom(RaftNode.leastRoom + 200)
        #expect(solo.propose([String(repeating: "x", count: 2000)]) == .noRoom)
        #expect(solo.raft.lastIndex == LogIndex(1))
        #expect(solo.propose([String(repeating: "x", count: 300)]) == nil)
        #expect(solo.propose(["y"]) == .noRoom, "the room is counted down")
        solo.setRoom(RaftNode.leastRoom)
        #expect(solo.propose(["y"]) == nil)
    }

    @Test("a node whose disk is stuck neither campaigns nor promises its vote")
    func stuck() {
        let solo = Solo([1])
        solo.raft.isDiskStuck = true
        for _ in 1...5 {
            solo.waitForDeadline()
            #expect(solo.raft.role == .follower && solo.sent.isEmpty)
            #expect(solo.raft.currentTerm == Term(1))
        }
        solo.receive(
            .preVote(VoteRequest(lastEntry: id(1, 1), isTransfer: false)),
            from: n3,
            term: 2
        )
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: false))])
        solo.append(after: id(1, 1), from: n2, term: 1)
        solo.receive(.timeoutNow, from: n2, term: 1)
        #expect(solo.raft.role == .follower)
        solo.raft.isDiskStuck = false
        solo.waitForDeadline()
        #expect(solo.raft.role == .preCandidate)
    }

    @Test("a disk that gets stuck between pre-vote and vote stops the campaign")
    func stuckCandidate() {
        let solo = Solo([1])
        solo.waitForDeadline()
        solo.raft.isDiskStuck = true
        solo.receive(.preVoteReply(VoteReply(granted: true)), from: n2, term: 2)
        #expect(solo.raft.currentTerm == Term(1) && solo.raft.role != .candidate)
    }

    @Test("a leader that steps down refuses its reads and ends its transfer")
    func stepDown() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        solo.read(7)
        #expect(solo.transfer(to: n3) == nil)
        solo.stepDown()
        #expect(solo.raft.role == .follower && solo.raft.leader == nil)
        #expect(solo.actions.contains(.readRefused(read: 7)))
        #expect(solo.actions.contains(.transferEnded(to: n3, succeeded: false)))
        #expect(solo.raft.currentTerm == Term(1))
    }
}
