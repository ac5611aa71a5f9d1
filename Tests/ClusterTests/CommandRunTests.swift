import FoundationEssentials
import HTTP
import Testing

extension ClusterTests {
    @Suite("the commands against a cluster")
    struct CommandRuns {
        @Test("status, attempts and load: what they print, and their exit statuses")
        func commands() throws {
            try withCluster { cluster in
                let leader = try cluster.leader()
                let at = ["--cluster", cluster.clusterFile]

                let status = try cluster.command(["status"] + at)
                #expect(status.status == 0, "\(status.errors)")
                #expect(status.output.hasPrefix("leader: node \(leader), term "))
                #expect(status.output.split(separator: "\n").count == 6, "\(status.output)")
                let json = try cluster.command(["status", "--json"] + at)
                let view = try JSONDecoder().decode(Status.self, from: Data(json.output.utf8))
                #expect(view.leader == leader)
                #expect(view.nodes.map(\.node) == [1, 2, 3])
                #expect(view.nodes.allSatisfy { $0.answers })

                try attempts(cluster, at)
                try bench(cluster, at)
                try lead(cluster, at)

                for node in cluster.numbers { cluster.kill(node) }
                #expect(try cluster.command(["status"] + at).status == 3)
                #expect(try cluster.command(["attempt", "show", "va_1"] + at).status == 3)
                let load = ["bench", "--seconds", "1", "--warmup", "0"] + at
                #expect(try cluster.command(load).status == 3)
            }
        }

        private func lead(_ cluster: LocalCluster, _ at: [String]) throws {
            let next = try cluster.leader() % 3 + 1
            let handed = try cluster.command(["lead", "\(next)"] + at)
            #expect(handed.status == 0, "\(handed.errors)")
            #expect(handed.output.hasPrefix("node \(next) leads, term "), "\(handed.output)")
            let again = try cluster.command(["lead", "\(next)"] + at)
            #expect(again.status == 0, "\(again.errors)")
            #expect(try cluster.command(["lead", "9"] + at).status == 2)
        }

        private struct Status: Decodable {
            struct Node: Decodable {
                var node: Int
                var answers: Bool
            }
            var leader: Int?
            var nodes: [Node]
        }

        private func attempts(_ cluster: LocalCluster, _ at: [String]) throws {
            let open =
                [
                    "attempt", "open", "va_1", "--flow", "login", "--digits", LocalCluster.digits,
                    "--target", "verified=https://bank.example/ivr/ok",
                ] + at
            let opened = try cluster.command(open)
            #expect(opened.status == 0, "\(opened.errors)")
            #expect(opened.output.hasPrefix("opened\n"))
            let again = try cluster.command(open)
            #expect(again.status == 0)
            #expect(again.output.hasPrefix("was open already\n"), "\(again.output)")
            let other = try cluster.command(
                ["attempt", "open", "va_1", "--subject", "somebody else"] + at
            )
            #expect(other.status == 1)
            #expect(other.errors.contains("409"), "\(other.errors)")
            #expect(other.errors.contains("(differs: challenge"), "\(other.errors)")

            #expect(
                try cluster.twilio(.gathered(LocalCluster.digits), of: "va_1", at: 2).status == 200
            )
            let shown = try cluster.command(["attempt", "show", "va_1", "--node", "3"] + at)
            #expect(shown.status == 0)
            #expect(shown.output.contains("verified"), "\(shown.output)")
            let timeline = try cluster.command(["attempt", "timeline", "va_1"] + at)
            #expect(timeline.status == 0)
            #expect(timeline.output.contains("open → verified"), "\(timeline.output)")
            #expect(timeline.output.contains("digits"))
            let local = try cluster.command(
                ["attempt", "timeline", "va_1", "--local", "--node", "2"] + at
            )
            #expect(local.status == 0 && local.output.contains("open"), "\(local.errors)")
            for text in [opened.output, shown.output, timeline.output] {
                #expect(!text.contains(LocalCluster.digits))
            }

            #expect(try cluster.command(["attempt", "show", "va_9"] + at).status == 1)
            #expect(try cluster.command(["attempt", "timeline", "va_9"] + at).status == 1)
            #expect(try cluster.command(["attempt", "show", "a/b"] + at).status == 2)
            #expect(try cluster.command(["attempt", "show"] + at).status == 2)
            #expect(try cluster.command(["status", "--cluster", "/nonexistent"]).status == 3)
        }

        private struct Load: Decodable {
            struct Latency: Decodable {
                var answers: Int
                var p50: Double
                var max: Double
            }
            struct ReadBack: Decodable {
                var right: Int
                var wrong: Int
                var unreadable: Int
            }
            var workload: String
            var latency_ms: [String: Latency]
            var wrong: Int
            var read_back: ReadBack
        }

        private func bench(_ cluster: LocalCluster, _ at: [String]) throws {
            for (workload, kinds) in [
                ("fresh", ["decided", "opened"]), ("retry", ["decided", "opened", "repeated"]),
                ("dup", ["repeated"]),
            ] {
                let result = try cluster.command(
                    [
                        "bench", "--workload", workload, "--connections", "6", "--seconds", "1",
                        "--warmup", "0", "--attempts", "20", "--json",
                    ] + at
                )
                #expect(result.status == 0, "\(result.errors)\(result.output)")
                let load = try JSONDecoder().decode(Load.self, from: Data(result.output.utf8))
                #expect(load.workload == workload)
                #expect(load.wrong == 0)
                #expect(load.latency_ms.keys.filter { $0 != "together" }.sorted() == kinds)
                #expect(load.latency_ms.values.allSatisfy { $0.answers > 0 && $0.p50 <= $0.max })
                #expect(load.read_back.wrong == 0 && load.read_back.unreadable == 0)
                #expect(load.read_back.right > 0)
                #expect(result.errors.contains("1/1 s"), "no line of progress: \(result.errors)")
            }
        }
    }
}
