import Raft
import Replica
import Testing
import Verification

@Suite("Who hears whom")
struct ReachTests {
    private func regions() throws -> Cluster {
        let cluster = try Cluster { configuration in
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
}
