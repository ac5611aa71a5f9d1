import FoundationEssentials
import HTTP
import Testing

extension ClusterTests {
    @Suite("a node that comes in by a checkpoint")
    struct Checkpoints {
        private static let settings = "state: { checkpoint_attempts: 100, snapshot_lag: 50 },"
        private static let attempts = 120

        /// The node's file of the metrics that begins with these words.
        private static func metric(_ name: String, at node: Int, _ cluster: LocalCluster) throws
            -> Int
        {
            let text = try cluster.get("/metrics", at: node, token: nil).text
            let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            return try #require(line.flatMap { Int($0.dropFirst(name.count + 1)) }, "\(name)")
        }

        private static func fill(_ cluster: LocalCluster) throws -> [(
            attempt: String, body: [UInt8]
        )] {
            try (1...attempts).map { number in
                let attempt = "va_\(number)"
                try #require(try cluster.open(attempt, at: 1).status == 201)
                let decided = try cluster.twilio(.gathered(LocalCluster.digits), of: attempt, at: 1)
                try #require(decided.disposition == "accepted")
                return (attempt, decided.body)
            }
        }

        private static func empty(_ node: Int, _ cluster: LocalCluster) throws {
            cluster.kill(node)
            let data = cluster.dataDirectory(of: node)
            for name in try FileManager.default.contentsOfDirectory(atPath: data) {
                try FileManager.default.removeItem(atPath: "\(data)/\(name)")
            }
            try cluster.start(node)
            try eventually("node \(node) says that it takes no part") {
                try cluster.log(node).contains("this node takes no part")
            }
            let readmit = try cluster.command(
                "readmit",
                "\(node)",
                "--cluster",
                cluster.clusterFile
            )
            try #require(readmit.status == 0, "\(readmit.errors)")
        }

        @Test(
            "an emptied node fetches a checkpoint and the log behind it; repeats, timelines and new decisions are as elsewhere"
        )
        func emptied() throws {
            try withCluster(settings: Checkpoints.settings) { cluster in
                let decided = try Checkpoints.fill(cluster)
                let leader = try cluster.leader()
                try eventually("the leader has a checkpoint") {
                    try Checkpoints.metric("verdict_checkpoint_index", at: leader, cluster) > 50
                }
                let other = cluster.numbers.first { $0 != leader } ?? 1
                try Checkpoints.empty(other, cluster)
                try eventually("a fetched checkpoint is in place") {
                    try cluster.log(other).contains("a fetched checkpoint is in place")
                }
                try cluster.awaitReady([other])
                try eventually("it takes part again") {
                    try cluster.log(other).contains("takes part again")
                }
                for (attempt, body) in decided {
                    let again = try cluster.twilio(
                        .gathered(LocalCluster.digits),
                        of: attempt,
                        at: other
                    )
                    #expect(again.disposition == "repeated" && again.body == body, "\(attempt)")
                }
                for attempt in ["va_1", "va_\(Checkpoints.attempts)"] {
                    try eventually("the timeline of \(attempt) is the same everywhere") {
                        let lines = try cluster.numbers.map {
                            try cluster.get("/v1/attempts/\(attempt)/timeline", at: $0).body
                        }
                        return lines.allSatisfy { $0 == lines[0] }
                    }
                }

                // It is as good as any: without the third node it makes the majority, and it can be started again.
                let third = cluster.numbers.first { $0 != leader && $0 != other } ?? 1
                cluster.kill(third)
                _ = try cluster.leader(accordingTo: [leader, other])
                #expect(try cluster.open("after", at: other).status == 201)
                cluster.kill(other)
                try cluster.start(other)
                try cluster.awaitReady([other])
                #expect(try cluster.get("/v1/attempts/after", at: other).status == 200)
            }
        }

        @Test("killed again and again while it fetches, it has the checkpoint in the end")
        func killed() throws {
            try withCluster(settings: Checkpoints.settings) { cluster in
                let decided = try Checkpoints.fill(cluster)
                let leader = try cluster.leader()
                try eventually("the leader has a checkpoint") {
                    try Checkpoints.metric("verdict_checkpoint_index", at: leader, cluster) > 50
                }
                let other = cluster.numbers.first { $0 != leader } ?? 1
                try Checkpoints.empty(other, cluster)
                for _ in 1...4 {
                    try eventually("it begins to fetch, or has it") {
                        let log = try cluster.log(other)
                        return try log.contains("its checkpoint is fetched")
                            || cluster.get("/readyz", at: other, token: nil).status == 200
                    }
                    cluster.kill(other)
                    try cluster.start(other)
                }
                try cluster.awaitReady([other])
                let (attempt, body) = try #require(decided.last)
                let again = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: attempt,
                    at: other
                )
                #expect(again.disposition == "repeated" && again.body == body)
            }
        }
    }
}
