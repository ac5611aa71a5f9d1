import Journal
import Raft
import Replica
import Testing
import Verification

@Suite("What an answer stands on")
struct DurabilityTests {
    @Test("no answer leaves before a majority of the disks has the entry", arguments: 0..<3)
    func majority(receiver: Int) throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: receiver)
        cluster.run(for: .seconds(1))
        // One disk of three goes on: whosever it is, that is no majority.
        for free in 0..<3 {
            for node in 0..<3 where node != free { cluster.members[node].holdsDisk = true }
            let callback = Example.callback(
                "a",
                .digits,
                key: "free\(free)",
                digits: Example.wrong
            )
            let context = try cluster.submit(.callback(callback), at: receiver)
            cluster.run(for: .milliseconds(200))
            #expect(cluster.completions[context] == nil, "answered with the disk of \(free) alone")
            for node in 0..<3 {
                #expect(cluster.timeline("a", at: node).count == 1 + free)
                // Nor is a retry answered from what may still be lost.
                let known = cluster.look(node) { $0.machine.knownAnswer(to: callback) }
                #expect(known == .some(nil))
            }
            let second = (free + 1) % 3
            cluster.releaseDisk(second)
            cluster.run(for: .milliseconds(200))
            #expect(try cluster.decision(context).disposition == .accepted)
            for node in 0..<3 { cluster.releaseDisk(node) }
            cluster.run(for: .milliseconds(300))
        }
        cluster.expectEqualStates()
        #expect(cluster.term(0) == cluster.term(1))
    }

    @Test("all that was answered is there when all have died at once")
    func restartOfAll() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        for i in 1...40 as ClosedRange<UInt64> {
            let callback = Example.callback("a", .answered, key: "k\(i)")
            try cluster.perform(.callback(callback), at: Int(i) % 3)
        }
        try cluster.open("b", at: 1)
        cluster.expectEqualStates()
        let before = cluster.digest(0)
        let timeline = cluster.timeline("a", at: 0)
        let indexes = (0..<3).map { node in cluster.look(node) { $0.appliedIndex } }
        for node in 0..<3 { cluster.crash(node) }
        for node in 0..<3 { try cluster.start(node) }
        try cluster.awaitLeader()
        cluster.expectEqualStates()
        for node in 0..<3 {
            #expect(cluster.timeline("a", at: node) == timeline)
            #expect(cluster.view("b", at: node)?.state == .open)
            // One entry more: the new leader's.
            #expect(cluster.look(node) { $0.appliedIndex } == indexes[node]?.next)
        }
        // The state but for the newest index and time.
        for node in 0..<3 { #expect(cluster.digest(node).dropFirst(16) == before.dropFirst(16)) }
    }

    @Test("a replica that starts has, before it hears anything, the state its disk says")
    func replay() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        for i in 0..<20 { try cluster.open("a\(i)", at: i % 3) }
        cluster.expectEqualStates()
        let applied = try #require(cluster.look(0) { $0.appliedIndex })
        let digest = cluster.digest(0)
        cluster.crash(0)
        cluster.cutOff(0)
        try cluster.start(0)
        // The commit index on disk is a hint that may lie a little behind.
        let replayed = try #require(cluster.look(0) { $0.appliedIndex })
        #expect(replayed <= applied)
        #expect(replayed.distance(from: .zero) >= applied.distance(from: .zero) - 5)
        cluster.heal()
        try cluster.awaitLeader()
        cluster.expectEqualStates()
        #expect(cluster.digest(0).dropFirst(16) == digest.dropFirst(16))
    }

    @Test("one that lagged is caught up from the journal once memory has forgotten")
    func laggard() throws {
        let cluster = try Cluster { $0.raft.maxCachedBytes = 4096 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.cutOff(2)
        for i in 0..<150 { try cluster.open("a\(i)", at: i % 2) }
        let evicted = try #require(cluster.look(0) { $0.raft.evictedIndex })
        let behind = try #require(cluster.look(2) { $0.raft.lastIndex })
        try #require(evicted > behind)
        #expect(cluster.diskReads == 0)
        cluster.heal()
        cluster.expectEqualStates()
        #expect(cluster.diskReads > 0)
        #expect(cluster.view("a149", at: 2)?.state == .open)
        #expect(cluster.leader == 0)
    }

    @Test("while the disk hangs, reads for a peer that lags do not pile up")
    func hangingReads() throws {
        let cluster = try Cluster {
            $0.raft.maxCachedBytes = 4096
            $0.raft.maxAppendBytes = 8192
        }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.cutOff(2)
        for i in 0..<150 { try cluster.open("a\(i)", at: i % 2) }
        cluster.members[0].holdsReads = true
        cluster.heal()
        cluster.run(for: .seconds(5))
        #expect(cluster.leader == 0)
        #expect(cluster.diskReads == 1)
        cluster.resetLink(0, 2)
        cluster.run(for: .seconds(1))
        #expect(cluster.diskReads == 1)
        cluster.releaseReads(0)
        cluster.expectEqualStates()
        #expect(cluster.diskReads > 1)
    }

    @Test("a journal read that fails is said once each try, and tried again while it is needed")
    func failingReads() throws {
        let cluster = try Cluster { $0.raft.maxCachedBytes = 4096 }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.cutOff(2)
        for i in 0..<150 { try cluster.open("a\(i)", at: i % 2) }
        var disk = cluster.members[0].disk
        for file in try disk.list() { try cluster.members[0].disk.perform(.remove(file: file)) }
        cluster.members[0].holdsDisk = true
        cluster.heal()
        cluster.run(for: .seconds(3))
        var failures = 0
        for case (0, .journalReadFailed) in cluster.notices { failures += 1 }
        #expect((2...12).contains(failures))
        cluster.members[0].disk = disk
        cluster.releaseDisk(0)
        cluster.expectEqualStates()
    }

    @Test("a log that is damaged behind its checkpoint, where a peer needs it, is mended")
    func damagedBehindCheckpoint() throws {
        let cluster = try Cluster {
            $0.keepLittleLog()
            $0.keepsLog = true
            $0.raft.maxCachedBytes = 0
            $0.state.checkpointBytes = 1 << 26
            $0.state.checkpointAttempts = 1_000_000
        }
        try cluster.elect(0)
        try cluster.open("z", at: 0)
        cluster.cutOff(2)
        for i in 0..<150 { try cluster.open("a\(i)", at: i % 2) }
        let segments = try cluster.members[0].disk.list().filter { $0.hasSuffix(".seg") }
        try #require(segments.count > 4)
        try cluster.members[0].disk.flip(segments[1], at: 700)
        cluster.heal()
        let isThere = cluster.run(atMost: .seconds(30)) {
            cluster.look(2) { $0.appliedIndex } == cluster.look(0) { $0.appliedIndex }
        }
        #expect(isThere)
        cluster.run(for: .seconds(2))
        cluster.expectEqualStates()
        #expect(cluster.look(0) { $0.journal.holes.isEmpty } == true)
    }
}
