import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("through faults")
    struct Faults {
        @Test("clients that take all connections leave descriptors for the log: the node goes on")
        func descriptorsRunOut() throws {
            let cluster = try LocalCluster(nodes: 1, starts: false)
            try cluster.start(1, descriptors: 64)
            try cluster.awaitReady()
            let writer = try Connection(port: cluster.httpPort(1))
            try writer.send(Wire.request("GET", "/livez", token: nil))
            #expect(try writer.receive().response?.status == 200)
            let others = try (1...80).map { _ in try Connection(port: cluster.httpPort(1)) }
            let refused = try #require(others.last)
            #expect(try refused.receive().response?.status == 503)
            // Until another file of the journal has to be made.
            let subject = String(repeating: "s", count: 250)
            let segment = cluster.directory + "/node-1/log-0000000000000002.seg"
            var number = 0
            while unsafe access(segment, F_OK) != 0 {
                number += 1
                try #require(number < 10_000, "no further segment is made")
                try writer.send(
                    Wire.request(
                        "PUT",
                        "/v1/attempts/va_\(number)",
                        token: cluster.document.tokens.ingest,
                        body: #"{"flow":"login","subject":"\#(subject)"}"#
                    )
                )
                try #require(try writer.receive().response?.status == 201)
            }
            #expect(cluster.isRunning(1))
        }

        @Test("all nodes killed at once: everything that was acknowledged is there, byte for byte")
        func allKilled() throws {
            try withCluster { cluster in
                var acknowledged: [(attempt: String, node: Int, opened: Response)] = []
                var decided: [String: Response] = [:]
                for number in 1...6 {
                    let attempt = "va_\(number)"
                    let node = number % 3 + 1
                    let opened = try cluster.open(attempt, at: node)
                    #expect(opened.status == 201)
                    acknowledged.append((attempt, node, opened))
                    if number <= 4 {
                        decided[attempt] = try cluster.twilio(
                            .gathered(number == 4 ? "000000" : LocalCluster.digits),
                            of: attempt,
                            at: number % 3 + 1
                        )
                    }
                }
                acknowledged += try openWhileKilling(cluster)

                for node in cluster.numbers { try cluster.start(node) }
                try cluster.awaitReady()
                for (attempt, node, opened) in acknowledged {
                    let again = try cluster.open(attempt, at: node % 3 + 1)
                    #expect(again.status == 200, "\(attempt) is lost")
                    #expect(again.body == opened.body)
                }
                for (attempt, first) in decided {
                    for node in cluster.numbers {
                        let again = try cluster.twilio(
                            .gathered(attempt == "va_4" ? "000000" : LocalCluster.digits),
                            of: attempt,
                            at: node
                        )
                        #expect(again.status == 200)
                        #expect(again.disposition == "repeated")
                        #expect(again.body == first.body)
                    }
                }
            }
        }

        /// Kills all nodes in the middle of a stream of requests; returns what was answered.
        private func openWhileKilling(_ cluster: LocalCluster) throws -> [(
            attempt: String, node: Int, opened: Response
        )] {
            let perNode = 60
            var answered: [(attempt: String, node: Int, opened: Response)] = []
            var connections: [(node: Int, Connection)] = []
            for node in cluster.numbers {
                let connection = try Connection(port: cluster.httpPort(node))
                let requests = (1...perNode).map { number in
                    Wire.request(
                        "PUT",
                        "/v1/attempts/stream-\(node)-\(number)",
                        token: cluster.document.tokens.ingest,
                        body: LocalCluster.openBody
                    )
                }
                try connection.send(requests.joined())
                connections.append((node, connection))
            }
            for (position, (node, connection)) in connections.enumerated() {
                for number in 1...perNode {
                    if position == 0, number == 5 { cluster.numbers.forEach(cluster.kill) }
                    guard let response = try? connection.receive().response else { break }
                    #expect(response.status == 201)
                    answered.append(("stream-\(node)-\(number)", node, response))
                }
            }
            #expect(answered.count >= 4)
            return answered
        }

        @Test(
            "a killed leader costs less than an election time-out: the callback is held, not lost"
        )
        func killedLeader() throws {
            // With the timers that a node has by default.
            try withCluster(timers: "") { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let leader = try cluster.leader()
                let survivor = cluster.numbers.first { $0 != leader } ?? 0
                cluster.kill(leader)
                let start = ContinuousClock.now
                let answer = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: survivor
                )
                let time = ContinuousClock.now - start
                print("after the leader was killed, a callback was decided within \(time)")
                #expect(answer.status == 200)
                #expect(answer.disposition == "accepted")
                #expect(time < .seconds(5))
                #expect(try cluster.leader(besides: leader) != leader)
            }
        }

        @Test("a frozen leader is replaced; thawed, it steps down and gives the same answers")
        func frozenLeader() throws {
            try withCluster { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let leader = try cluster.leader()
                let others = cluster.numbers.filter { $0 != leader }
                try cluster.signal(leader, SIGSTOP)
                let answer = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: others[0]
                )
                #expect(answer.status == 200)
                #expect(answer.disposition == "accepted")
                #expect(try cluster.leader(accordingTo: others) != leader)

                try cluster.signal(leader, SIGCONT)
                let same = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: leader
                )
                #expect(same.status == 200)
                #expect(same.disposition == "repeated")
                #expect(same.body == answer.body)
                try eventually("the old leader has stepped down") {
                    try cluster.view(of: leader).node(leader)?.role == "follower"
                }
                _ = try cluster.leader()
            }
        }

        @Test("without a majority a call is held with a document, a decided attempt has its answer")
        func noQuorum() throws {
            let timers = LocalCluster.quickTimers + ", request_hold_ms: 600"
            try withCluster(timers: timers) { cluster in
                #expect(try cluster.open("decided", at: 1).status == 201)
                #expect(try cluster.open("open", at: 1).status == 201)
                let decided = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "decided",
                    at: 1
                )
                #expect(decided.disposition == "accepted")
                try eventually("node 3 has it too") {
                    try cluster.timeline("open", at: 3, isLocal: true).entries.count == 1
                }
                cluster.kill(1)
                cluster.kill(2)

                let start = ContinuousClock.now
                let refused = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "open",
                    at: 3
                )
                let time = ContinuousClock.now - start
                #expect(time > .milliseconds(500) && time < .seconds(5), "held for \(time)")
                #expect(refused.status == 200 && refused.disposition == nil)
                #expect(refused.headers.first("verdict-pending") == "hold")
                let again = try #require(refused.redirect)
                #expect(again.hasPrefix("../twilio/open?step=1&digest="), "\(refused.text)")
                #expect(refused.text.contains("<Pause "))
                // What it asks for again is held again, and is still the same.
                let query = String(again.dropFirst("../twilio/open".count))
                let held = try cluster.twilio(.redirected(to: query), of: "open", at: 3)
                #expect(held.body == refused.body)
                // Where a platform has no such words (our own form) it is 503.
                let own = try cluster.send(
                    "POST",
                    "/v1/attempts/open/callbacks",
                    at: 3,
                    token: cluster.document.tokens.ingest,
                    body: #"{"event":"outcome","outcome":"verified","channel":"app"}"#
                )
                #expect(own.status == 503)
                let problem = try #require(own.problem)
                #expect(["no-quorum", "undecided-in-time"].contains(problem.name))
                #expect(own.headers.first("retry-after") == problem.retry_after.map { "\($0)" })
                #expect(problem.retry_after != nil)

                let known = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "decided",
                    at: 3
                )
                #expect(known.status == 200)
                #expect(known.disposition == "repeated")
                #expect(known.body == decided.body)
                let polled = try cluster.twilio(.polled(1), of: "decided", at: 3)
                #expect(polled.status == 200 && polled.body == decided.body)
                let shown: AttemptDocument = try cluster.decode(
                    cluster.get("/v1/attempts/decided", at: 3)
                )
                #expect(shown.state == "verified")
                #expect(try cluster.get("/v1/attempts/open", at: 3).status == 503)
                #expect(try cluster.get("/livez", at: 3, token: nil).status == 200)
                try eventually("node 3 knows that it is alone") {
                    try cluster.get("/readyz", at: 3, token: nil).status == 503
                }

                let status = try cluster.command("status", "--cluster", cluster.clusterFile)
                #expect(status.status == 1)
                #expect(status.output.hasPrefix("no leader\n"), "\(status.output)")

                for node in [1, 2] { try cluster.start(node) }
                try cluster.awaitReady()
                let healed = try cluster.twilio(.redirected(to: query), of: "open", at: 3)
                #expect(healed.status == 200)
                // What was held may have been decided as soon as the cluster healed; so may the outcome
                // of the other channel, which is the same here.
                #expect(["accepted", "repeated", "late"].contains(healed.disposition))
                #expect(healed.body == decided.body)
                let timeline = try cluster.timeline("open", at: 3)
                let digits = timeline.entries.filter { $0.event == "digits" }
                #expect(digits.count == 1, "held again is no second try: \(digits)")
            }
        }

        @Test("leaders are killed one after the other under load; no acknowledged outcome is lost")
        func rollingKills() throws {
            try withCluster { cluster in
                var outcomes: [(attempt: String, digits: String, body: [UInt8])] = []
                var number = 0
                for round in 1...4 {
                    let leader = try cluster.leader()
                    let others = cluster.numbers.filter { $0 != leader }
                    for turn in 1...12 {
                        number += 1
                        let attempt = "va_\(number)"
                        let digits = number % 3 == 0 ? "000000" : LocalCluster.digits
                        // Sent twice at once to two nodes: only one of them can be the first.
                        let node = others[turn % 2]
                        #expect(try [200, 201].contains(cluster.open(attempt, at: node).status))
                        let pair = try others.map { node in
                            let connection = try Connection(port: cluster.httpPort(node))
                            try connection.send(
                                cluster.request(.gathered(digits), of: attempt, at: node)
                            )
                            return connection
                        }
                        if turn == 6 { cluster.kill(leader) }
                        let answers = try pair.map { try $0.receive().response }
                        let dispositions = answers.map { $0?.disposition ?? "none" }.sorted()
                        #expect(
                            dispositions == ["accepted", "repeated"]
                                || dispositions == ["repeated", "repeated"],
                            "\(attempt) in round \(round)"
                        )
                        #expect(answers[0]?.body == answers[1]?.body)
                        outcomes.append((attempt, digits, answers[0]?.body ?? []))
                    }
                    try cluster.start(leader)
                    try cluster.awaitReady()
                }
                for node in cluster.numbers {
                    for (attempt, digits, body) in outcomes {
                        let again = try cluster.twilio(.gathered(digits), of: attempt, at: node)
                        #expect(again.disposition == "repeated")
                        #expect(again.body == body, "\(attempt) at node \(node)")
                    }
                }
                let last = "va_\(number)"
                try eventually("all nodes tell the same of each attempt") {
                    let told = try cluster.numbers.map {
                        try cluster.timelineResponse(last, at: $0, isLocal: true).body
                    }
                    return told.allSatisfy { $0 == told[0] }
                }
                for (attempt, _, _) in outcomes {
                    let entries = try cluster.timeline(attempt, at: 1).entries
                    #expect(entries.map(\.event) == ["opened", "digits"], "\(attempt)")
                }
            }
        }
    }
}
