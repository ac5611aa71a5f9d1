import Raft
import Testing

@Suite("Random faults")
struct RandomSafetyTests {
    /// Faults of one run; the seed also draws which of them exist in it.
    private func chaos(seed: UInt64) -> Cluster {
        var dice = Dice(seed: seed &* 7919)
        let nodes = dice.pick([1, 3, 3, 3, 5])
        let cluster = Cluster(nodes: nodes, seed: seed) {
            $0.electionTimeout = .milliseconds(100)
            $0.heartbeatInterval = .milliseconds(20)
            $0.maxAppendBytes = 150
            $0.maxInflightAppends = 3
            $0.maxInflightBytes = 400
            $0.maxUncommittedBytes = 2_000
            $0.maxCachedBytes = 300
            $0.lostLeaderJitter = .milliseconds(5)
        }
        cluster.lossPercent = dice.pick([0, 0, 5, 20])
        cluster.duplicatePercent = dice.pick([0, 10])
        cluster.delay = dice.pick([1_000_000..<1_000_001, 100_000..<30_000_000])
        cluster.diskDelay = dice.pick([200_000, 5_000_000])
        cluster.isOrderRandom = dice.chance(50)
        let crashes = dice.chance(70)
        let partitions = dice.chance(60)
        let slowDisks = dice.chance(40)
        let ids = cluster.members.map(\.id)
        for step in 0..<120 {
            cluster.run(milliseconds: dice.below(50))
            let id = dice.pick(ids)
            switch dice.below(14) {
            case 0 where crashes:
                cluster.crash(id, written: dice.below(4), noticed: dice.chance(50))
            case 1, 2: cluster.restart(id)
            case 3 where partitions: cluster.isolate(id)
            case 4 where partitions: cluster.cut(id, from: dice.pick(ids), oneWay: dice.chance(50))
            case 5: cluster.heal()
            case 6 where slowDisks: cluster.holdDisk(id)
            case 7: cluster.releaseDisk(id)
            case 8: if let leader = cluster.leader { cluster.transfer(from: leader, to: nil) }
            case 9: cluster.read(at: id)
            case 10: if let leader = cluster.leader { cluster.read(at: leader) }
            default:
                // Whoever believes to lead takes it, so that deposed leaders append too.
                for member in cluster.members where member.raft.role == .leader {
                    let texts = (0...dice.below(6)).map { "\(step).\($0)" }
                    cluster.propose(texts, at: member.id)
                }
            }
        }
        // Everything is mended: now the cluster has to get on.
        cluster.lossPercent = 0
        cluster.heal()
        for id in ids {
            cluster.releaseDisk(id)
            cluster.restart(id)
        }
        return cluster
    }

    /// Proposes until all nodes have applied a proposal: a deposed leader may take one in vain.
    private func getsOn(_ cluster: Cluster) -> Bool {
        for attempt in 0..<10 {
            if let leader = cluster.leader { cluster.propose("end \(attempt)", at: leader) }
            let isDone = cluster.run(atMost: 300) {
                cluster.members.allSatisfy {
                    cluster.applied($0.id).last == "end \(attempt)"
                }
            }
            if isDone { return true }
        }
        return false
    }

    @Test("no safety property breaks under faults, and a healed cluster gets on")
    func safety() {
        var total = Cluster.Counts()
        var committed = 0
        for seed in UInt64(1)...300 {
            let cluster = chaos(seed: seed)
            #expect(getsOn(cluster), "seed \(seed): not all applied a proposal after healing")
            cluster.checkLogs()
            #expect(cluster.violations.isEmpty, "seed \(seed): \(cluster.violations.prefix(3))")
            total.elections += cluster.count.elections
            total.crashes += cluster.count.crashes
            total.reads += cluster.count.reads
            total.transfers += cluster.count.transfers
            total.journalReads += cluster.count.journalReads
            total.truncations += cluster.count.truncations
            committed += cluster.committed.count
        }
        // A run in which something never happened proves nothing about it.
        #expect(total.elections > 300)
        #expect(total.crashes > 300)
        #expect(total.reads > 300)
        #expect(total.transfers > 30)
        #expect(total.journalReads > 100)
        #expect(total.truncations > 30)
        #expect(committed > 10_000)
    }

    @Test("the same seed gives the same run")
    func determinism() {
        let a = chaos(seed: 42)
        let b = chaos(seed: 42)
        #expect(a.now == b.now)
        #expect(a.committed == b.committed)
        #expect(a.members.map(\.log) == b.members.map(\.log))
    }
}
