import Raft
import Testing

@Suite("Replication")
struct ReplicationTests {
    @Test("a proposal is applied by all nodes in the same order")
    func replicates() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        for number in 1...20 { cluster.propose("\(number)", at: n1) }
        cluster.run(milliseconds: 100)
        for member in cluster.members {
            #expect(cluster.applied(member.id) == (1...20).map(String.init))
        }
        #expect(cluster.violations.isEmpty)
    }

    @Test("the commit index reaches followers at once, not with the next heartbeat")
    func commitAtOnce() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 150)
        cluster.propose("a", at: n1)
        // There and back and there again, with two disk writes: under four milliseconds.
        cluster.run(milliseconds: 4)
        #expect(cluster.applied(n3) == ["a"])
    }

    @Test("one call sends a follower as few messages as the size limit allows")
    func batches() {
        let solo = Solo { $0.maxAppendBytes = 10 * (Entry.headerCost + 1) }
        solo.becomeLeader()
        solo.accept(durable: 1)
        _ = solo.propose(Array(repeating: "x", count: 35))
        #expect(solo.appends(to: n2).map(\.entries.count) == [10, 10, 10, 5])
        #expect(solo.writes.map(\.entries.count) == [35])
    }

    @Test("times along a leader's log never go back")
    func times() {
        let solo = Solo([1, 1, 1])
        solo.becomeLeader()
        _ = solo.propose(["a"], wall: 50)
        _ = solo.propose(["b", "c"], wall: 20)
        _ = solo.propose(["d"], wall: 60)
        let all = solo.raft.entries(from: LogIndex(1), through: LogIndex(99), maxBytes: 10_000)
        #expect(all.map(\.time.milliseconds) == [1, 2, 3, 3, 50, 50, 50, 60])
    }

    // MARK: The commit rule

    @Test("an entry of an old term is not committed by counting, only along with a newer one")
    func oldTermNotCounted() {
        let solo = Solo([1, 2], nodes: 5, term: 3)
        solo.becomeLeader()
        solo.persist()
        #expect(solo.terms == [1, 2, 4])
        for peer in [n2, n3, n4, n5] { solo.accept(durable: 2, from: peer) }
        #expect(solo.raft.commitIndex == .zero)
        solo.accept(durable: 3, from: n2)
        #expect(solo.raft.commitIndex == .zero)
        solo.accept(durable: 3, from: n3)
        #expect(solo.raft.commitIndex == LogIndex(3))
    }

    /// The paper's figure 8 up to (c): 2/2 is on three of five disks, and not committed.
    private func figure8() -> Cluster {
        let cluster = Cluster(nodes: 5, logs: [[1, 2], [1, 2], [1], [1], [1, 3]], term: 3) {
            $0.maxAppendBytes = 1
        }
        // The leader of term 4 gets its old entry through, but no entry of its own term.
        cluster.isolate(n5)
        cluster.passes = { $0.append?.entries.allSatisfy { $0.term < Term(4) } ?? true }
        cluster.elect(n1)
        cluster.run(milliseconds: 500)
        return cluster
    }

    @Test("figure 8 (d): an old entry on a majority may still be overwritten")
    func figure8d() {
        let cluster = figure8()
        #expect(cluster[n1].raft.currentTerm == Term(4))
        let holders = cluster.members.filter { $0.hasOnDisk(id(2, 2)) }.map(\.id)
        #expect(holders == [n1, n2, n3, n4])
        for member in cluster.members { #expect(member.raft.commitIndex == .zero) }
        cluster.crash(n1)
        cluster.heal()
        cluster.passes = { _ in true }
        #expect(cluster.elect(n5))
        cluster.run(milliseconds: 500)
        cluster.restart(n1)
        cluster.run(milliseconds: 1_000)
        for member in cluster.members {
            #expect(cluster.terms(member.id).prefix(2) == [1, 3])
            #expect(member.log == cluster[n5].log)
        }
        #expect(cluster.violations.isEmpty)
    }

    @Test("figure 8 (e): once an entry of the new term is on a majority, the old one stays")
    func figure8e() {
        let cluster = figure8()
        cluster.passes = { _ in true }
        cluster.run(milliseconds: 500)
        #expect(cluster[n1].raft.commitIndex == LogIndex(3))
        cluster.crash(n1)
        cluster.heal()
        #expect(!cluster.elect(n5))
        #expect(cluster.elect(n2))
        cluster.run(milliseconds: 500)
        #expect(cluster.terms(n5).prefix(3) == [1, 2, 4])
        #expect(cluster.violations.isEmpty)
    }

    // MARK: Logs that differ

    @Test("figure 7: followers of every shape end up with the leader's log")
    func figure7() {
        let leader: [UInt64] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
        let shapes: [[UInt64]] = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6],
            [1, 1, 1, 4],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
            [1, 1, 1, 4, 4, 4, 4],
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        let cluster = Cluster(nodes: 7, logs: [leader] + shapes, term: 7)
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 1_000)
        for member in cluster.members {
            #expect(cluster.terms(member.id) == leader + [8])
            #expect(member.log == cluster[n1].log)
        }
        #expect(cluster.violations.isEmpty)
    }

    @Test("a rejection skips whole terms, not one entry a round trip")
    func skipsTerms() {
        let terms = Array(repeating: UInt64(1), count: 5) + Array(repeating: 4, count: 200)
        let solo = Solo(terms)
        solo.becomeLeader()
        #expect(solo.appends(to: n2).map(\.previous) == [id(4, 205)])
        // The follower has terms 1 and 2: its last entry with a term of at most 4 is 2/100.
        solo.reject(at: 205, hint: id(2, 100))
        #expect(solo.appends(to: n2).map(\.previous) == [id(1, 5)])
    }

    @Test("the follower's hint skips its own newer terms")
    func hint() {
        let solo = Solo([1, 1, 2, 2, 3, 3], term: 3)
        solo.append(after: id(1, 5), term: 4)
        solo.persist()
        #expect(solo.replies == [.rejected(at: LogIndex(5), hint: id(1, 2))])
        solo.append(after: id(4, 9), term: 4)
        #expect(solo.replies == [.rejected(at: LogIndex(9), hint: id(3, 6))])
    }

    @Test("divergent logs after several terms meet in a few round trips")
    func divergent() {
        var sent = 0
        let a: [UInt64] = [1, 1] + Array(repeating: 3, count: 50) + Array(repeating: 5, count: 50)
        let b: [UInt64] = [1, 1] + Array(repeating: 2, count: 70) + Array(repeating: 4, count: 70)
        let cluster = Cluster(logs: [a, a, b], term: 5)
        cluster.passes = {
            if $0.to == n3, $0.append != nil { sent += 1 }
            return true
        }
        #expect(cluster.elect(n1))
        cluster.run(atMost: 500) { cluster[n3].log == cluster[n1].log }
        #expect(cluster[n3].log == cluster[n1].log)
        #expect(sent < 10)
        #expect(cluster.violations.isEmpty)
    }

    // MARK: Messages that come twice, late or not at all

    @Test("an append that comes again, late, cuts nothing off")
    func duplicates() {
        let solo = Solo(term: 1)
        solo.append(after: .zero, [1], term: 1)
        solo.append(after: id(1, 1), [1, 1], commit: 2, term: 1)
        solo.persist()
        solo.append(after: .zero, [1], term: 1)
        #expect(solo.raft.lastIndex == LogIndex(3))
        #expect(solo.writes.isEmpty)
        #expect(solo.replies == [.accepted(durable: LogIndex(3), matched: LogIndex(3))])
        #expect(solo.raft.commitIndex == LogIndex(2))
    }

    @Test("an append that overtook its predecessor is rejected, and fits when that has come")
    func reordered() {
        let solo = Solo(term: 1)
        solo.append(after: id(1, 1), [1], term: 1)
        #expect(solo.replies == [.rejected(at: LogIndex(1), hint: .zero)])
        solo.append(after: .zero, [1], term: 1)
        solo.append(after: id(1, 1), [1], term: 1)
        solo.persist()
        #expect(solo.replies == [.accepted(durable: LogIndex(2), matched: LogIndex(2))])
    }

    @Test("the commit index covers only what is known to equal the leader's log")
    func commitOnlyMatched() {
        let solo = Solo([1, 1, 1], term: 1)
        solo.append(after: id(1, 1), commit: 3, round: 1, term: 2)
        #expect(solo.raft.commitIndex == LogIndex(1))
    }

    @Test("stale replies move nothing back")
    func staleReplies() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        _ = solo.propose(["a", "b"])
        solo.accept(durable: 3)
        #expect(solo.raft.commitIndex == LogIndex(1) || solo.raft.commitIndex == .zero)
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(3))
        solo.accept(durable: 1)
        solo.reject(at: 1, hint: .zero)
        #expect(solo.raft.progress[0].matchIndex == LogIndex(3))
        #expect(solo.raft.progress[0].nextIndex == LogIndex(4))
        #expect(solo.raft.progress[0].state == .replicate)
    }

    @Test("a lost append is noticed by the next heartbeat and sent again")
    func lostAppend() {
        let cluster = Cluster()
        #expect(cluster.elect(n1))
        cluster.run(milliseconds: 150)
        cluster.passes = { $0.to != n3 || $0.append?.entries.isEmpty ?? true }
        cluster.propose("lost on its way to n3", at: n1)
        cluster.run(milliseconds: 10)
        cluster.passes = { _ in true }
        cluster.run(milliseconds: 150)
        #expect(cluster.applied(n3) == ["lost on its way to n3"])
    }

    @Test("with loss, duplicates and reordering everything arrives once and in order")
    func roughNetwork() {
        let cluster = Cluster(seed: 5)
        cluster.lossPercent = 10
        cluster.duplicatePercent = 20
        cluster.delay = 100_000..<40_000_000
        #expect(cluster.elect(n1))
        var accepted: [String] = []
        for number in 1...200 {
            if cluster.propose("\(number)", at: n1) == nil { accepted.append("\(number)") }
            cluster.run(milliseconds: 5)
        }
        cluster.lossPercent = 0
        cluster.run(milliseconds: 2_000)
        #expect(accepted.count == 200)
        for member in cluster.members { #expect(cluster.applied(member.id) == accepted) }
        #expect(cluster.violations.isEmpty)
    }

    @Test("messages no correct member sends are counted and change nothing")
    func hostile() {
        let solo = Solo([1, 1], term: 1)
        let good = AppendEntries(
            previous: id(1, 2),
            leaderCommit: .zero,
            leaderDurable: .zero,
            readRound: 0,
            entries: []
        )
        func bad(_ change: (inout AppendEntries) -> Void) -> Message.Body {
            var append = good
            change(&append)
            return .appendEntries(append)
        }
        let before = solo.raft.nextDeadline
        solo.receive(.appendEntries(good), from: NodeID(9), term: 1)
        solo.receive(.appendEntries(good), from: n1, term: 1)
        solo.receive(.appendEntries(good), from: n2, to: n3, term: 1)
        solo.receive(.appendEntries(good), term: .max)
        solo.receive(bad { $0.entries = [entry(1, 4)] }, term: 1)
        solo.receive(bad { $0.entries = [entry(1, 3), entry(1, 5)] }, term: 1)
        solo.receive(bad { $0.entries = [entry(2, 3)] }, term: 1)
        solo.receive(bad { $0.previous = id(2, 9) }, term: 1)
        solo.receive(bad { $0.previous = id(0, 2) }, term: 1)
        solo.receive(bad { $0.previous = id(1, .max) }, term: 1)
        solo.receive(bad { $0.leaderCommit = LogIndex(.max) }, term: 1)
        solo.receive(bad { $0.readRound = .max }, term: 1)
        let vote = VoteRequest(lastEntry: id(5, 9), isTransfer: true)
        solo.receive(.requestVote(vote), term: 5)
        #expect(solo.raft.droppedMessages == 13)
        #expect(solo.raft.currentTerm == Term(1))
        #expect(solo.raft.leader == nil)
        #expect(solo.raft.nextDeadline == before)
        #expect(solo.terms == [1, 1])

        solo.becomeLeader()
        solo.persist()
        let dropped = solo.raft.droppedMessages
        solo.accept(durable: 9)
        solo.accept(durable: 3, round: 99)
        solo.accept(durable: 3, matched: 2)
        #expect(solo.raft.droppedMessages == dropped + 3)
        #expect(solo.raft.commitIndex == .zero)
    }

    @Test("no sequence of replies and requests, however wild, stops a node")
    func wildMessages() {
        for seed in UInt64(1)...50 {
            var dice = Dice(seed: seed)
            let solo = Solo([1, 1, 2, 3, 3], nodes: 5) {
                $0.maxInflightAppends = 2
                $0.maxAppendBytes = 40
            }
            if dice.chance(70) { solo.becomeLeader() }
            func number() -> UInt64 {
                dice.pick([UInt64(dice.below(12)), UInt64(dice.below(12)), dice.roll(), .max])
            }
            func wildID() -> EntryID { id(number(), number()) }
            for _ in 0..<300 {
                let term = dice.chance(80) ? solo.raft.currentTerm.number : number()
                let before = solo.raft.currentTerm
                let committed = solo.raft.commitIndex
                let from = NodeID(UInt32(dice.below(7)))
                let request = VoteRequest(lastEntry: wildID(), isTransfer: dice.chance(20))
                let reply = VoteReply(granted: dice.chance(50))
                let result: AppendEntriesReply.Result =
                    dice.chance(50)
                    ? .accepted(durable: LogIndex(number()), matched: LogIndex(number()))
                    : .rejected(at: LogIndex(number()), hint: wildID())
                let answer = AppendEntriesReply(result: result, readRound: number())
                let bodies: [Message.Body] = [
                    .preVote(request), .preVoteReply(reply), .requestVote(request),
                    .requestVoteReply(reply), .appendEntriesReply(answer),
                    .appendEntriesReply(answer), .appendEntriesReply(answer), .timeoutNow,
                ]
                solo.receive(dice.pick(bodies), from: from, term: term)
                #expect(solo.raft.currentTerm >= before)
                #expect(solo.raft.commitIndex >= committed)
                if dice.chance(10) { _ = solo.propose(["a", "b"]) }
                if dice.chance(20) { solo.persist() }
                if dice.chance(10) { solo.waitForDeadline() }
            }
        }
    }

    @Test("an append of an older term is answered with the newer term")
    func olderTerm() {
        let solo = Solo([1], term: 5)
        solo.append(after: id(1, 1), [1], term: 4)
        #expect(solo.sent.map(\.term) == [Term(5)])
        #expect(solo.raft.lastIndex == LogIndex(1))
    }

    @Test("proof that two leaders share a term stops the node")
    func twoLeaders() async {
        await #expect(processExitsWith: .failure) {
            let solo = Solo(term: 1)
            solo.append(after: .zero, [1], from: n2, term: 1)
            solo.append(after: .zero, [1], from: n3, term: 1)
        }
    }

    @Test("proof that committed entries conflict stops the node")
    func conflictBelowCommit() async {
        await #expect(processExitsWith: .failure) {
            let solo = Solo([1, 1], committed: 2)
            solo.append(after: id(1, 1), [2], from: n2, term: 2)
        }
    }
}
