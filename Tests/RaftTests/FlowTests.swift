import Raft
import Testing

@Suite("Flow control, memory and laggards")
struct FlowTests {
    @Test("appends under way to a follower are limited in number, and go on with its answers")
    func inflightAppends() {
        let solo = Solo {
            $0.maxAppendBytes = 1
            $0.maxInflightAppends = 3
        }
        solo.becomeLeader()
        solo.accept(durable: 1)
        _ = solo.propose(["a", "b", "c", "d", "e"])
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[2], [3], [4]])
        #expect(solo.raft.progress[0].inflightAppends == 3)
        solo.accept(durable: 3)
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[5], [6]])
    }

    @Test("appends under way to a follower are limited in bytes")
    func inflightBytes() {
        let solo = Solo {
            $0.maxAppendBytes = 1
            $0.maxInflightBytes = 2 * (Entry.headerCost + 1)
        }
        solo.becomeLeader()
        solo.accept(durable: 1)
        _ = solo.propose(["a", "b", "c", "d"])
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[2], [3]])
        #expect(solo.raft.progress[0].inflightBytes == 2 * (Entry.headerCost + 1))
        solo.accept(durable: 2)
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[4]])
    }

    @Test("back-pressure: proposals are refused while too much waits, and taken again afterwards")
    func backPressure() {
        let solo = Solo { $0.maxUncommittedBytes = 100 }
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        #expect(solo.propose([String(repeating: "x", count: 90)]) == nil)
        #expect(solo.raft.proposalRefusal == .overloaded)
        #expect(solo.propose(["y", "z"]) == .overloaded)
        #expect(solo.raft.lastIndex == LogIndex(2))
        solo.persist()
        solo.accept(durable: 2)
        #expect(solo.raft.proposalRefusal == nil)
        #expect(solo.propose(["y", "z"]) == nil)
    }

    @Test("a new leader counts the uncommitted entries it inherits")
    func inheritedBackPressure() {
        let solo = Solo([1, 1, 1]) { $0.maxUncommittedBytes = 100 }
        solo.becomeLeader()
        #expect(solo.raft.proposalRefusal == .overloaded)
    }

    @Test("a leader whose own disk hangs takes no more than its memory may hold")
    func hungDisk() {
        let solo = Solo {
            $0.maxCachedBytes = 200
            $0.maxUncommittedBytes = 300
        }
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        solo.accept(durable: 1, from: n3)
        var taken = 0
        while solo.propose([String(repeating: "x", count: 68)]) == nil, taken < 50 {
            taken += 1
            for peer in [n2, n3] { solo.accept(durable: UInt64(taken) + 1, from: peer) }
            #expect(solo.raft.commitIndex == solo.raft.lastIndex)
            solo.applied(solo.raft.commitIndex.number)
            // What the own journal cannot give back yet stays in memory.
            #expect(solo.raft.evictedIndex <= solo.raft.durableIndex)
        }
        #expect(taken == 6)
        #expect(solo.raft.proposalRefusal == .overloaded)
        solo.persist()
        // Down to what may be cached: the two newest entries, of 100 bytes each.
        #expect(solo.raft.evictedIndex == LogIndex(5))
    }

    @Test("a leader whose own disk lagged takes proposals again once it has caught up")
    func lateDisk() {
        let solo = Solo {
            $0.maxCachedBytes = 200
            $0.maxUncommittedBytes = 300
        }
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        var last: UInt64 = 1
        while solo.propose([String(repeating: "x", count: 68)]) == nil {
            last += 1
            for peer in [n2, n3] { solo.accept(durable: last, from: peer) }
            // Applied before it is durable here, so nothing may leave memory yet.
            solo.applied(last)
        }
        #expect(solo.raft.proposalRefusal == .overloaded)
        // Nothing is left to apply: only the disk moves.
        solo.persist()
        #expect(solo.raft.cachedBytes <= 200)
        #expect(solo.raft.proposalRefusal == nil)
    }

    @Test("only applied entries leave memory, and the entry at the applied index stays")
    func eviction() {
        let solo = Solo(nodes: 1) { $0.maxCachedBytes = 1 }
        solo.waitForDeadline()
        solo.persist()
        _ = solo.propose(["a", "b", "c", "d"])
        solo.persist()
        #expect(solo.raft.commitIndex == LogIndex(5))
        #expect(solo.raft.evictedIndex == .zero)
        solo.applied(4)
        #expect(solo.raft.evictedIndex == LogIndex(3))
        let kept = solo.raft.entries(from: LogIndex(4), through: LogIndex(5), maxBytes: 1_000)
        #expect(kept.map(\.index.number) == [4, 5])
        #expect(solo.raft.term(at: LogIndex(1)) == Term(1))
        #expect(solo.raft.cachedBytes == kept.reduce(0) { $0 + $1.cost })
    }

    @Test("entries are handed out up to a cost, but at least one")
    func cappedEntries() {
        let solo = Solo([1, 1, 1, 1])
        func count(_ maxBytes: Int) -> Int {
            solo.raft.entries(from: LogIndex(2), through: LogIndex(4), maxBytes: maxBytes).count
        }
        let cost = Entry.headerCost + 3
        #expect(count(0) == 1)
        #expect(count(2 * cost - 1) == 1)
        #expect(count(2 * cost) == 2)
        #expect(count(100 * cost) == 3)
    }

    @Test("terms are known at every index, in memory or not")
    func termsEverywhere() {
        var terms: [UInt64] = []
        for term in UInt64(1)...40 { terms += Array(repeating: term * 2, count: Int(term % 5) + 1) }
        let solo = Solo(terms, committed: UInt64(terms.count))
        #expect(solo.raft.evictedIndex == LogIndex(UInt64(terms.count) - 1))
        #expect(solo.terms == terms)
        #expect(solo.raft.term(at: .zero) == .zero)
        #expect(solo.raft.term(at: solo.raft.lastIndex.next) == nil)
    }

    @Test("a laggard is served from the journal, then from memory")
    func laggard() {
        let cluster = Cluster {
            $0.maxCachedBytes = 500
            $0.maxAppendBytes = 400
        }
        #expect(cluster.elect(n1))
        cluster.isolate(n3)
        for number in 1...200 {
            cluster.propose("\(number)", at: n1)
            cluster.run(milliseconds: 3)
        }
        #expect(cluster[n1].raft.evictedIndex > LogIndex(100))
        cluster.heal()
        cluster.run(milliseconds: 1_000)
        #expect(cluster.count.journalReads > 5)
        #expect(cluster.applied(n3) == (1...200).map(String.init))
        #expect(cluster.violations.isEmpty)
    }

    /// A leader that waits for the journal on behalf of n2, from index 3.
    private func reading() -> Solo {
        let solo = Solo([1, 1, 1, 1, 1, 1], committed: 6)
        solo.becomeLeader()
        solo.persist()
        solo.reject(at: 6, hint: id(1, 2))
        solo.accept(durable: 2)
        return solo
    }

    @Test("answers of the journal that do not fit are ignored")
    func foreignAnswers() {
        let solo = reading()
        let request = Action.readEntries(for: n2, from: LogIndex(3), maxBytes: 256 * 1024)
        #expect(solo.actions.contains(request))
        let all = entries([1, 1, 1, 1, 1, 1])
        solo.entriesRead(for: n3, from: 3, Array(all[2...3]))
        #expect(solo.actions.isEmpty)
        solo.entriesRead(for: n2, from: 4, Array(all[3...4]))
        #expect(solo.actions.isEmpty)
        solo.entriesRead(for: n2, from: 3, [])
        #expect(solo.actions.isEmpty)
        solo.entriesRead(for: n2, from: 3, [entry(9, 3)])
        #expect(solo.actions.isEmpty)
        solo.entriesRead(for: n2, from: 3, [all[2], all[4]])
        #expect(solo.actions.isEmpty)
        solo.entriesRead(for: n2, from: 3, Array(all[2...3]))
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[3, 4]])
        // It asks for the rest at once.
        #expect(solo.raft.progress[0].state == .reading)
        #expect(solo.raft.progress[0].nextIndex == LogIndex(5))
        // The same answer again is stale now.
        solo.entriesRead(for: n2, from: 3, Array(all[2...3]))
        #expect(solo.actions.isEmpty)
    }

    @Test("an answer of the journal that never comes is asked for again")
    func missingAnswer() {
        let solo = reading()
        var asked = 0
        for _ in 0..<15 {
            solo.accept(durable: 2)
            solo.waitForDeadline()
            asked += solo.actions.filter { if case .readEntries = $0 { true } else { false } }.count
        }
        #expect(asked == 1)
    }

    @Test("a broken link sends nothing but heartbeats until it is back, then one probe")
    func disconnected() {
        let solo = Solo()
        solo.becomeLeader()
        solo.persist()
        solo.accept(durable: 1)
        solo.disconnect(n2, broken: true)
        _ = solo.propose(["a"])
        #expect(solo.appends(to: n2).isEmpty)
        solo.connect(n2)
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[2]])
        _ = solo.propose(["b"])
        #expect(solo.appends(to: n2).isEmpty)
        solo.accept(durable: 1, matched: 2)
        #expect(solo.appends(to: n2).map { $0.entries.map(\.index.number) } == [[3]])
    }
}
