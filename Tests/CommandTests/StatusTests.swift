import FoundationEssentials
import Testing
import verdict

@Suite("the cluster at a glance")
struct StatusTests {
    private let members = (1...3).map { number in
        ClusterFile.Node(
            node: number,
            region: "r\(number)",
            http: "http://127.0.0.1:\(8100 + number)",
            public: "http://127.0.0.1:\(8100 + number)",
            peer: "127.0.0.1:\(9100 + number)",
            pid: nil,
            data: "node-\(number)"
        )
    }
    private func view(_ text: String) throws -> ClusterView {
        try JSONDecoder().decode(ClusterView.self, from: Data(text.utf8))
    }

    @Test("a row is what its node says of itself, reachability what the leader says")
    func rows() throws {
        let leader = try view(
            """
            {"leader": 2, "term": 4, "nodes": [
              {"node": 1, "role": "follower", "commit_index": 7, "applied_index": 7,
               "reachable": true, "round_trip_ms": 0.126},
              {"node": 2, "role": "leader", "commit_index": 42, "applied_index": 41,
               "reachable": true, "round_trip_ms": 0, "disk": "reserve"},
              {"node": 3, "role": "follower", "reachable": false}]}
            """
        )
        let follower = try view(
            """
            {"leader": 2, "term": 4, "nodes": [
              {"node": 1, "role": "follower", "commit_index": 40, "applied_index": 40,
               "reachable": true, "disk": "stalled"},
              {"node": 2, "role": "leader", "commit_index": 40, "reachable": true}]}
            """
        )
        let summary = ClusterSummary(
            members,
            answers: [(1, follower), (2, leader)],
            failures: [3: "no answer in time"]
        )
        #expect(
            summary.table == """
                leader: node 2, term 4

                node  region  role       term  commit  applied  reachable      rtt  disk
                   1  r1      follower      4      40       40  yes        0.13 ms  stalled
                   2  r2      leader        4      42       41  yes        0.00 ms  reserve
                   3  r3      no answer     -       -        -  no               -  -

                best leader: unknown while node 3 is away
                node 3: no answer in time
                """
        )
    }

    @Test("a node that still believes in the leader of an older term is not believed")
    func oldLeader() throws {
        let old = try view(#"{"leader": 1, "term": 4, "nodes": []}"#)
        let new = try view(#"{"leader": 3, "term": 5, "nodes": []}"#)
        let unsure = try view(#"{"leader": null, "term": 6, "nodes": []}"#)
        #expect(ClusterSummary(members, answers: [(1, old), (3, new)], failures: [:]).leader == 3)
        #expect(
            ClusterSummary(members, answers: [(1, old), (2, unsure)], failures: [:]).leader == nil
        )
    }

    @Test("a node that takes no part shows why, not its role")
    func excluded() throws {
        let view = try view(
            """
            {"leader": 2, "term": 4, "nodes": [
              {"node": 1, "role": "repairing", "reachable": true, "condition": "excluded"}]}
            """
        )
        let table = ClusterSummary(members, answers: [(1, view)], failures: [:]).table
        #expect(table.contains("   1  r1      excluded "), "\(table)")
        #expect(!table.contains("repairing"))
    }

    @Test("the best leader is not told from what is known of a node that is away")
    func bestLeader() throws {
        func table(reachable: Bool) throws -> String {
            let view = try view(
                """
                {"leader": 1, "term": 4, "best_leader": 3, "decision_ms": 2, "best_decision_ms": 1,
                 "retention": {"details_seconds": 86400, "forget_after_seconds": 90}, "nodes": [
                  {"node": 1, "role": "leader", "reachable": true},
                  {"node": 2, "role": "follower", "reachable": true},
                  {"node": 3, "role": "follower", "reachable": \(reachable)}]}
                """
            )
            return ClusterSummary(members, answers: [(1, view)], failures: [:]).table
        }
        #expect(
            try table(reachable: true).hasSuffix(
                "best leader: node 3 (r3), a decision takes 1.00 ms of round trips, with this one 2.00 ms"
                    + "\ndecided attempts: details for 1 d, forgotten after 90 s"
            )
        )
        #expect(try table(reachable: false).contains("best leader: unknown while node 3 is away\n"))
    }

    @Test("a token that no node takes is not a cluster that is away")
    func refusedToken() throws {
        let refused = ClusterSummary(
            members,
            answers: [],
            failures: [1: "401", 2: "401", 3: "no answer in time"],
            refusingToken: [1, 2]
        )
        #expect(refused.status == .no)
        #expect(refused.table.hasPrefix("the token is refused: tokens.read"), "\(refused.table)")
        let away = ClusterSummary(members, answers: [], failures: [1: "no answer in time"])
        #expect(away.status == .unreachable)
        #expect(away.table.hasPrefix("no node answers\n"))
    }
}
