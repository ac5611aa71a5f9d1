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
}
