import HTTP
import Testing

extension ClusterTests {
    @Suite("what a node does not start with")
    struct Start {
        @Test("a data directory of another node or another cluster is refused, naming both")
        func foreignData() throws {
            try withCluster(nodes: 2) { cluster in
                for node in cluster.numbers { cluster.kill(node) }
                let name = try clusterName(cluster)
                try cluster.edit(cluster.configuration(of: 2)) {
                    $0.replacingFirst("data: \"node-2\"", with: "data: \"node-1\"")
                }
                try cluster.start(2)
                #expect(try cluster.child(2).exitStatus() == 1)
                var log = try cluster.log(2)
                #expect(log.contains("belongs to node 1, this is node 2"), "\(log)")

                try cluster.edit(cluster.configuration(of: 1)) {
                    $0.replacingFirst("cluster: \"\(name)\"", with: "cluster: \"other\"")
                }
                try cluster.start(1)
                #expect(try cluster.child(1).exitStatus() == 1)
                log = try cluster.log(1)
                #expect(log.contains("belongs to cluster"), "\(log)")
                #expect(log.contains(name) && log.contains("other"), "\(log)")

                // Nothing was done to the data: under its own name the node comes back.
                try cluster.edit(cluster.configuration(of: 1)) {
                    $0.replacingFirst("cluster: \"other\"", with: "cluster: \"\(name)\"")
                }
                try cluster.edit(cluster.configuration(of: 2)) {
                    $0.replacingFirst("data: \"node-1\"", with: "data: \"node-2\"")
                }
                for node in cluster.numbers { try cluster.start(node) }
                try cluster.awaitReady()
            }
        }

        private func clusterName(_ cluster: LocalCluster) throws -> String {
            let text = try cluster.text(cluster.configuration(of: 1))
            return String(try #require(text.firstMatch(of: /cluster: "([^"]+)"/)).1)
        }

        @Test("a second process on a data directory in use is refused, and the first goes on")
        func secondProcess() throws {
            try withCluster(nodes: 1) { cluster in
                let second = try cluster.command(
                    "serve",
                    "--config",
                    cluster.configuration(of: 1)
                )
                #expect(second.status == 1)
                #expect(second.errors.contains("in use by another process"), "\(second.errors)")
                #expect(second.errors.contains("\(try cluster.child(1).process)"))
                #expect(try cluster.open("va_1", at: 1).status == 201)
            }
        }

        @Test("an address in use ends a node with a message that names it")
        func addressInUse() throws {
            try withCluster(nodes: 1) { cluster in
                try cluster.edit(cluster.configuration(of: 1)) {
                    $0.replacingFirst("data: \"node-1\"", with: "data: \"elsewhere\"")
                }
                let second = try cluster.command(
                    "serve",
                    "--config",
                    cluster.configuration(of: 1)
                )
                #expect(second.status == 1)
                #expect(second.errors.contains("127.0.0.1:\(try cluster.httpPort(1))"))
            }
        }

        @Test("a bad configuration is named by file, line and field, and the exit status is 2")
        func badConfiguration() throws {
            try withCluster(nodes: 1, starts: false) { cluster in
                let path = cluster.configuration(of: 1)
                #expect(try cluster.command("check-config", path).status == 0)
                try cluster.edit(path) {
                    $0.replacingFirst("heartbeat_ms: 50", with: "hearbeat_ms: 50")
                        .replacingFirst("digits: 6", with: "digits: 600")
                }
                let text = try cluster.text(path)
                func line(_ part: String) throws -> Int {
                    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
                    return try #require(lines.firstIndex { $0.contains(part) }) + 1
                }
                for words in [["serve", "--config", path], ["check-config", path]] {
                    let result = try cluster.command(words)
                    #expect(result.status == 2)
                    for place in [
                        "\(path):\(try line("hearbeat_ms")): timers.hearbeat_ms: ",
                        "\(path):\(try line("digits: 600")): flows.login.digits: ",
                    ] {
                        #expect(result.errors.contains(place), "\(result.errors)")
                    }
                    #expect(result.output.isEmpty)
                }
            }
        }

        @Test("secrets that others may read are refused")
        func openSecrets() throws {
            try withCluster(nodes: 1, starts: false) { cluster in
                try cluster.allowEverybody(cluster.secretsFile)
                let result = try cluster.command("serve", "--config", cluster.configuration(of: 1))
                #expect(result.status == 2)
                #expect(result.errors.contains("secrets.json5"), "\(result.errors)")
            }
        }
    }
}
