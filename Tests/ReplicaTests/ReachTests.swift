import Raft
import Replica
import Testing
import Verification

@Suite("Who hears whom")
struct ReachTests {
    private func regions(size: Int = 3) throws -> Cluster {
        let cluster = try Cluster(size: size) { configuration in
            configuration.timing = TimingSettings()
            configuration.placement = PlacementSettings()
        }
        try cluster.elect(0)
        // Until all ways are measured.
        cluster.run(for: .seconds(5))
        return cluster
    }

    /// Counts who takes over from whom while a world is as it is.
    private func changes(of cluster: Cluster, for seconds: Int) throws -> [Int] {
        var leaders: [Int] = []
        for _ in 0..<(seconds * 20) {
            cluster.run(for: .milliseconds(50))
            guard let leader = cluster.leader, leader != leaders.last else { continue }
            leaders.append(leader)
        }
        return leaders
    }

    @Test("a leader that a follower cannot hear hands over, once, to the node that all hear")
    func corner() throws {
        let cluster = try regions()
        cluster.intercept = { from, to, message in
            from + to == 2 && from != to && from != 1 ? nil : message
        }
        #expect(try changes(of: cluster, for: 60).suffix(1) == [1])
        #expect(try changes(of: cluster, for: 60) == [1])
        let contexts = try (0..<3).map { try cluster.submit(Example.open("a\($0)"), at: $0) }
        cluster.run(for: .seconds(1))
        for context in contexts { _ = try cluster.applied(context) }
    }

    @Test("a node that hears nothing is heard by all: leadership does not go to and fro for it")
    func deaf() throws {
        let cluster = try regions()
        cluster.intercept = { _, to, message in to == 0 ? nil : message }
        let leader = try cluster.awaitLeader(otherThan: 0, knownTo: [1, 2])
        #expect(try changes(of: cluster, for: 60) == [leader])
        let contexts = try (1...2).map { try cluster.submit(Example.open("a\($0)"), at: $0) }
        cluster.run(for: .seconds(1))
        for context in contexts { _ = try cluster.applied(context) }
    }

    @Test("a follower that hears nothing moves nothing")
    func deafFollower() throws {
        let cluster = try regions()
        cluster.intercept = { _, to, message in to == 2 ? nil : message }
        #expect(try changes(of: cluster, for: 60) == [0])
    }

    @Test("a node that hears nothing and is heard by one only moves leadership once, at most")
    func deafAndCut() throws {
        let cluster = try regions()
        cluster.intercept = { from, to, message in
            to == 2 || (from == 2 && to == 0) ? nil : message
        }
        #expect(try changes(of: cluster, for: 60).count <= 2)
        #expect(try changes(of: cluster, for: 60).count == 1)
    }

    /// Nothing goes between two nodes.
    private func cut(_ a: Int, _ b: Int, _ cluster: Cluster) {
        cluster.intercept = { from, to, message in
            (from, to) == (a, b) || (from, to) == (b, a) ? nil : message
        }
    }

    @Test("whichever ways are cut among three, leadership comes to rest where most can decide")
    func allCuts() throws {
        let ways = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]
        // With 1 and 2 exchanged a cut is the same one.
        let exchanged = [2, 3, 0, 1, 5, 4]
        func other(_ mask: Int) -> Int {
            ways.indices.reduce(0) { $0 | (mask >> $1 & 1) << exchanged[$1] }
        }
        for mask in 0..<64 where mask <= other(mask) {
            let cluster = try regions()
            let dead = ways.indices.filter { mask >> $0 & 1 == 1 }.map { ways[$0] }
            cluster.intercept = { from, to, message in
                dead.contains { $0 == (from, to) } ? nil : message
            }
            func both(_ a: Int, _ b: Int) -> Bool {
                a == b || !dead.contains { $0 == (a, b) || $0 == (b, a) }
            }
            cluster.run(for: .seconds(15))
            #expect(try changes(of: cluster, for: 20).count <= 1, "\(dead)")
            let center = (0..<3).first { node in (0..<3).allSatisfy { both(node, $0) } }
            let able = try (0..<3).count { try cluster.decides("x\($0)", at: $0) }
            if center != nil { #expect(able == 3, "\(dead)") }
            if both(0, 1) || both(0, 2) || both(1, 2) { #expect(able >= 2, "\(dead)") }
        }
    }

    @Test(
        "a leader that has not heard a node since its own start hands over to one that does",
        arguments: 0..<4
    )
    func neverHeard(round: Int) throws {
        let cluster = try regions()
        cluster.cannotConnect = [(0, 2)]
        cut(0, 2, cluster)
        for node in 0..<3 { cluster.crash(node) }
        cluster.run(for: .milliseconds(100 * round))
        for node in round % 2 == 0 ? [0, 1, 2] : [2, 1, 0] { try cluster.start(node) }
        cluster.run(for: .seconds(60))
        for node in 0..<3 { #expect(try cluster.decides("x\(node)", at: node), "\(node)") }
    }

    @Test("of five: one that is down or deaf keeps nobody from leading where the others hear all")
    func fiveWithOneLost() throws {
        for isDeaf in [false, true] {
            let cluster = try regions(size: 5)
            if isDeaf {
                cluster.intercept = { $1 == 4 ? nil : $2 }
            } else {
                cluster.crash(4)
            }
            cluster.run(for: .seconds(20))
            if cluster.leader != 0 { try cluster.elect(0) }
            cluster.intercept = { from, to, message in
                from + to == 2 && from != 1 || isDeaf && to == 4 ? nil : message
            }
            cluster.run(for: .seconds(30))
            #expect(try changes(of: cluster, for: 60).count == 1)
            for node in 0..<4 {
                #expect(try cluster.decides("x\(node)", at: node), "\(node), deaf: \(isDeaf)")
            }
        }
    }

    @Test("of five: cuts at random make leadership rest, wherever it can", arguments: 0..<4)
    func fiveAtRandom(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let rate = Int.random(in: 10..<40, using: &random)
        let cluster = try regions(size: 5)
        var dead: Set<Int> = []
        for a in 0..<5 {
            for b in 0..<5 where a != b && Int.random(in: 0..<100, using: &random) < rate {
                dead.insert(a * 5 + b)
            }
        }
        cluster.intercept = { dead.contains($0 * 5 + $1) ? nil : $2 }
        cluster.run(for: .seconds(15))
        #expect(try changes(of: cluster, for: 30).count <= 1)
    }
}
