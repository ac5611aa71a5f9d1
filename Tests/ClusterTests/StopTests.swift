import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("an orderly stop")
    struct Stop {
        /// A client that has one request under way on each of its connections.
        private final class Client {
            let node: Int
            let connection: Connection
            var attempt = ""
            init(_ node: Int, _ cluster: LocalCluster) throws {
                self.node = node
                connection = try Connection(port: cluster.httpPort(node))
            }
        }

        @Test("SIGTERM hands leadership over and drains: clients see answers, 503 or a clean close")
        func drain() throws {
            try withCluster { cluster in
                let leader = try cluster.leader()
                var clients = try cluster.numbers.flatMap { node in
                    try (1...3).map { _ in try Client(node, cluster) }
                }
                var acknowledged: [String] = []
                var number = 0
                var stopping = 0
                var closed = 0
                var rounds = 0
                var roundsAfterwards = 0
                while roundsAfterwards < 10 {
                    rounds += 1
                    #expect(rounds < 5000)
                    for client in clients {
                        number += 1
                        client.attempt = "va_\(number)"
                        try client.connection.send(
                            Wire.request(
                                "PUT",
                                "/v1/attempts/\(client.attempt)",
                                token: cluster.document.tokens.ingest,
                                body: LocalCluster.openBody
                            )
                        )
                    }
                    if rounds == 10 { try cluster.signal(leader, SIGTERM) }
                    var open: [Client] = []
                    for client in clients {
                        switch try client.connection.receive() {
                        case .closed:
                            closed += 1
                            #expect(client.node == leader)
                        case .response(let response, let keepsAlive):
                            if response.status == 201 {
                                acknowledged.append(client.attempt)
                            } else {
                                #expect(client.node == leader)
                                #expect(response.status == 503, "\(response.text)")
                                #expect(response.problem?.name == "stopping")
                                stopping += 1
                            }
                            if keepsAlive { open.append(client) }
                        }
                    }
                    clients = open
                    if !cluster.isRunning(leader) { roundsAfterwards += 1 }
                }
                #expect(try cluster.child(leader).exitStatus() == 0)
                let log = try cluster.log(leader)
                #expect(log.contains(#"message="leadership transfer ended""#), "\(log)")
                #expect(log.contains("succeeded=true"), "\(log)")
                #expect(log.contains("drained=true"), "\(log)")
                #expect(clients.count == 6, "only the stopping node closes connections")
                let new = try cluster.leader(besides: leader)
                for attempt in acknowledged {
                    let answer = try cluster.get(
                        "/v1/attempts/\(attempt)?consistency=local",
                        at: new
                    )
                    #expect(answer.status == 200, "\(attempt) is lost")
                }
                print(
                    "stopped after \(rounds) rounds: \(acknowledged.count) answered, "
                        + "\(stopping) refused, \(closed) closed"
                )
            }
        }

        @Test("a request that came with the signal is answered, on old connections and on new ones")
        func cameWithTheSignal() throws {
            try withCluster(nodes: 1) { cluster in
                let old = try Connection(port: cluster.httpPort(1))
                let livez = Wire.request("GET", "/livez", token: nil)
                try old.send(livez)
                #expect(try old.receive().response?.status == 200)
                // Asleep, so that the node finds the signal before the requests.
                try cluster.signal(1, SIGSTOP)
                try cluster.signal(1, SIGTERM)
                try old.send(livez)
                let new = try Connection(port: cluster.httpPort(1))
                try new.send(livez)
                try cluster.signal(1, SIGCONT)
                for connection in [old, new] {
                    #expect(try connection.receive().response?.status == 200)
                    #expect(try connection.isClosed())
                }
                #expect(try cluster.child(1).exitStatus(within: .seconds(5)) == 0)
            }
        }

        @Test(
            "an idle connection and one in the middle of a request do not hold a node up for long"
        )
        func slowClients() throws {
            try withCluster(nodes: 1, timers: "shutdown_ms: 500") { cluster in
                let idle = try Connection(port: cluster.httpPort(1))
                let slow = try Connection(port: cluster.httpPort(1))
                try slow.send("PUT /v1/attempts/va_1 HTTP/1.1\r\nHost: no")
                #expect(try cluster.get("/livez", at: 1, token: nil).status == 200)
                try cluster.signal(1, SIGTERM)
                #expect(try idle.isClosed())
                #expect(try cluster.child(1).exitStatus(within: .seconds(5)) == 0)
                #expect(try slow.isClosed())
            }
        }
    }
}
