import Raft
import Testing

@Suite("the pace of elections")
struct TimingTests {
    private static let millisecond: UInt64 = 1_000_000

    private func timing(
        electionTimeout: UInt64 = 400,
        heartbeat: UInt64 = 50,
        turn: UInt64 = 0,
        heir: NodeID? = nil
    ) -> ElectionTiming {
        ElectionTiming(
            electionTimeout: electionTimeout * TimingTests.millisecond,
            heartbeat: heartbeat * TimingTests.millisecond,
            turn: turn * TimingTests.millisecond,
            spread: 25 * TimingTests.millisecond,
            transfer: 1000 * TimingTests.millisecond,
            heir: heir
        )
    }

    /// Milliseconds from the last message of a leader to the campaign.
    private func silence(_ timing: ElectionTiming, seed: UInt64) -> UInt64 {
        let solo = Solo([1], term: 2, seed: seed)
        solo.raft.setTiming(timing, at: solo.now)
        solo.append(after: id(1, 1), from: n2, term: 2)
        return solo.raft.nextDeadline.nanoseconds(since: solo.now) / TimingTests.millisecond
    }

    @Test("who is first campaigns after the time-out, who is second a turn later")
    func turns() {
        for seed in 1...50 as ClosedRange<UInt64> {
            #expect((400..<425).contains(silence(timing(), seed: seed)))
            #expect((884..<909).contains(silence(timing(turn: 484), seed: seed)))
        }
    }

    @Test("after a broken connection too everybody waits for his turn")
    func brokenConnection() {
        for (turn, range) in [(0, 0..<16), (484, 484..<500)] as [(UInt64, Range<UInt64>)] {
            // A time-out that is further off than the turn.
            let solo = Solo([1], term: 2)
            solo.raft.setTiming(timing(electionTimeout: 1000, turn: turn), at: solo.now)
            solo.append(after: id(1, 1), from: n2, term: 2)
            solo.disconnect(n2, broken: true)
            let wait = solo.raft.nextDeadline.nanoseconds(since: solo.now)
            #expect(range.contains(wait / TimingTests.millisecond))
        }
    }

    @Test("a leader's heartbeats follow the new pace at once")
    func heartbeats() {
        let solo = Solo()
        solo.becomeLeader()
        #expect(
            solo.raft.nextDeadline.nanoseconds(since: solo.now) == 100 * TimingTests.millisecond
        )
        solo.raft.setTiming(timing(heartbeat: 30), at: solo.now)
        #expect(
            solo.raft.nextDeadline.nanoseconds(since: solo.now) == 30 * TimingTests.millisecond
        )
        solo.waitForDeadline()
        #expect(
            solo.raft.nextDeadline.nanoseconds(since: solo.now) == 30 * TimingTests.millisecond
        )
    }

    @Test("who refuses a pre-vote since its own log is longer, and hears no leader, tries itself")
    func longerLog() {
        let shorter = VoteRequest(lastEntry: id(1, 1), isTransfer: false)
        let solo = Solo([1, 1])
        solo.raft.setTiming(timing(turn: 500), at: solo.now)
        solo.wait(milliseconds: 10)
        solo.receive(.preVote(shorter), from: n3, term: 2)
        #expect(solo.sent.map(\.body) == [.preVoteReply(VoteReply(granted: false))])
        // Within a quarter of a time-out, not within its turn and a whole one.
        solo.wait(milliseconds: 250)
        #expect(solo.raft.role == .preCandidate)

        // With a leader there is nothing to try for.
        let content = Solo([1, 1], term: 2)
        content.append(after: id(1, 2), from: n2, term: 2)
        content.receive(.preVote(shorter), from: n3, term: 3)
        content.wait(milliseconds: 250)
        #expect(content.raft.role == .follower)

        // Who asks with a longer log is not stood in the way of.
        let other = Solo([1, 1])
        other.raft.setTiming(timing(turn: 500), at: other.now)
        let longer = VoteRequest(lastEntry: id(1, 3), isTransfer: false)
        other.receive(.preVote(longer), from: n3, term: 2)
        other.wait(milliseconds: 250)
        #expect(other.raft.role == .follower)
    }

    /// Seed 502005254: one with a shorter log asked again and again, and those who refused stood all at once, each time.
    @Test("and not at the same time as others who refuse the same")
    func longerLogs() {
        let shorter = VoteRequest(lastEntry: id(1, 1), isTransfer: false)
        let waits = (1...8 as ClosedRange<UInt64>).map { seed in
            let solo = Solo([1, 1], seed: seed)
            solo.wait(milliseconds: 10)
            solo.receive(.preVote(shorter), from: n3, term: 2)
            return solo.raft.nextDeadline.nanoseconds(since: solo.now)
        }
        #expect(Set(waits).count == waits.count)
        #expect((waits.max() ?? 0) - (waits.min() ?? 0) > 100 * TimingTests.millisecond)
    }

    @Test("a leader that hears nobody any more leaves its office to whose turn is first")
    func heir() {
        for (heir, expected) in [(n3, n3), (nil, n2)] as [(NodeID?, NodeID)] {
            let solo = Solo()
            solo.becomeLeader()
            solo.persist()
            solo.accept(durable: 1, from: n2)
            solo.raft.setTiming(timing(heir: heir), at: solo.now)
            var asked: [NodeID] = []
            for _ in 0..<20 where solo.raft.role == .leader {
                solo.waitForDeadline()
                asked += solo.sent.filter { $0.body == .timeoutNow }.map(\.to)
            }
            #expect(solo.raft.role == .follower)
            #expect(asked == [expected])
        }
    }

    @Test("cut off one way, the leader is replaced without a time-out of the others")
    func deafLeader() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 300)
        cluster.cut(n2, from: n1, oneWay: true)
        cluster.cut(n3, from: n1, oneWay: true)
        // Its own patience, and no second one of the others.
        cluster.run(milliseconds: 1000 + 150)
        #expect(cluster.leader == n2 || cluster.leader == n3)
        #expect(cluster.violations.isEmpty)
    }

    @Test("a new leader sends on from where its voters' logs end, and waits for no probe")
    func knownLogs() {
        let solo = Solo([1, 1, 1])
        solo.waitForDeadline()
        solo.receive(.preVoteReply(VoteReply(granted: true)), from: n2, term: 2)
        solo.persist()
        solo.receive(
            .requestVoteReply(VoteReply(granted: true, lastEntry: id(1, 2))),
            from: n2,
            term: 2
        )
        #expect(solo.raft.role == .leader)
        #expect(solo.appends(to: n2).map(\.previous) == [id(1, 2)])
        #expect(solo.appends(to: n2).map(\.entries.count) == [2])
        #expect(solo.propose(["a"]) == nil)
        #expect(solo.appends(to: n2).map(\.entries.count) == [1], "not held back by a probe")
        // The other's log is unknown: it is probed, with one message at a time.
        #expect(solo.appends(to: n3).isEmpty)

        // The member lost its end since then: it says so, and is probed.
        solo.reject(at: 2, hint: id(1, 1), from: n2)
        #expect(solo.appends(to: n2).map(\.previous) == [id(1, 1)])
    }

    @Test("a voter whose log ends in an entry that the leader has not got is probed")
    func unknownEnd() {
        let solo = Solo([1, 1, 3], term: 3)
        solo.waitForDeadline()
        solo.receive(.preVoteReply(VoteReply(granted: true)), from: n2, term: 4)
        solo.persist()
        solo.receive(
            .requestVoteReply(VoteReply(granted: true, lastEntry: id(2, 3))),
            from: n2,
            term: 4
        )
        #expect(solo.appends(to: n2).map(\.previous) == [id(3, 3)])
        #expect(solo.propose(["a"]) == nil)
        #expect(solo.appends(to: n2).isEmpty)
    }

    @Test("a vote says where the voter's log ends, a refusal does not")
    func votesTell() {
        let solo = Solo([1, 1], term: 3)
        solo.receive(
            .requestVote(VoteRequest(lastEntry: id(2, 2), isTransfer: false)),
            from: n2,
            term: 4
        )
        solo.persist()
        #expect(
            solo.sent.map(\.body) == [
                .requestVoteReply(VoteReply(granted: true, lastEntry: id(1, 2)))
            ]
        )
        solo.receive(
            .requestVote(VoteRequest(lastEntry: id(2, 2), isTransfer: false)),
            from: n3,
            term: 4
        )
        #expect(solo.sent.map(\.body) == [.requestVoteReply(VoteReply(granted: false))])
    }
}
