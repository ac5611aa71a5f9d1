import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("the intake")
    struct Intake {
        private static let timers = LocalCluster.quickTimers + ", request_hold_ms: 600"

        private static func own(
            _ body: String,
            key: String,
            _ cluster: LocalCluster
        ) throws -> Response {
            try cluster.send(
                "POST",
                "/v1/attempts/decided/callbacks",
                at: 3,
                token: cluster.document.tokens.ingest,
                headers: [("Idempotency-Key", key)],
                body: body
            )
        }

        /// What node 3 has acknowledged is in the log.
        private static func awaitEmpty(_ cluster: LocalCluster) throws {
            try eventually("the intake is empty") {
                try cluster.get("/metrics", at: 3, token: nil).text
                    .contains("\nverdict_intake_records 0\n")
            }
        }

        @Test(
            "two of three nodes are dead: a status callback is acknowledged, outlives kill -9, and is in every timeline once"
        )
        func statusCallback() throws {
            try withCluster(timers: Intake.timers) { cluster in
                #expect(try cluster.open("open", at: 3).status == 201)
                #expect(try cluster.open("decided", at: 3).status == 201)
                let decided = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "decided",
                    at: 3
                )
                #expect(decided.disposition == "accepted")
                let answer = try Intake.own(
                    #"{"event":"outcome","outcome":"verified","channel":"app"}"#,
                    key: "before",
                    cluster
                )
                try Intake.awaitEmpty(cluster)
                cluster.kill(1)
                cluster.kill(2)

                // Held through what might be an election, and taken in at its end.
                let taken = try cluster.twilio(.completed(), of: "open", at: 3)
                #expect(taken.status == 200 && taken.body.isEmpty && taken.disposition == nil)
                #expect(taken.headers.first("verdict-pending") == "intake")
                try eventually("node 3 knows that it is alone") {
                    try cluster.get("/readyz", at: 3, token: nil).status == 503
                }
                // A decided attempt's are answered with the outcome, in whatever form they come.
                let late = try cluster.twilio(.completed(call: 2), of: "decided", at: 3)
                #expect(late.status == 200 && late.disposition == "late")
                let against = try Intake.own(
                    #"{"event":"outcome","outcome":"rejected","channel":"app"}"#,
                    key: "against",
                    cluster
                )
                #expect(against.status == 200 && against.disposition == "contradicted")
                #expect(against.body == answer.body)

                let unready = try cluster.get("/readyz", at: 3, token: nil)
                #expect(unready.text.contains("3 callbacks of "), "\(unready.text)")
                let metrics = try cluster.get("/metrics", at: 3, token: nil).text
                #expect(metrics.contains("\nverdict_intake_records 3\n"))
                let status = try cluster.command("status", "--cluster", cluster.clusterFile)
                #expect(
                    status.output.contains("node 3 holds 3 callbacks in its intake"),
                    "\(status.output)"
                )

                cluster.kill(3)
                for node in cluster.numbers { try cluster.start(node) }
                try cluster.awaitReady()
                try Intake.awaitEmpty(cluster)
                for node in cluster.numbers {
                    let open = try cluster.timeline("open", at: node).entries
                    #expect(open.filter { $0.event == "ended" }.map(\.node) == [3])
                    let lines = try cluster.timeline("decided", at: node).entries
                    #expect(lines.filter { $0.event == "ended" }.map(\.disposition) == ["late"])
                    let outcomes = lines.filter { $0.event == "outcome" }
                    #expect(outcomes.compactMap(\.disposition) == ["late", "contradicted"])
                    #expect(lines.allSatisfy { ($0.repeats ?? 0) == 0 })
                }
                for node in cluster.numbers {
                    let again = try cluster.send(
                        "POST",
                        "/v1/attempts/decided/callbacks",
                        at: node,
                        token: cluster.document.tokens.ingest,
                        headers: [("Idempotency-Key", "against")],
                        body: #"{"event":"outcome","outcome":"rejected","channel":"app"}"#
                    )
                    #expect(again.disposition == "repeated" && again.body == against.body)
                }
            }
        }

        @Test("cut and healed again and again, no acknowledged callback is lost or counts twice")
        func rounds() throws {
            try withCluster(timers: Intake.timers) { cluster in
                #expect(try cluster.open("open", at: 3).status == 201)
                var calls = 0
                for round in 1...5 {
                    for node in [1, 2] { try cluster.signal(node, SIGSTOP) }
                    for _ in 1...3 {
                        calls += 1
                        let taken = try cluster.twilio(.completed(call: calls), of: "open", at: 3)
                        #expect(taken.status == 200, "round \(round)")
                    }
                    if round % 2 == 0 {
                        cluster.kill(3)
                        try cluster.start(3)
                    }
                    for node in [1, 2] { try cluster.signal(node, SIGCONT) }
                    try cluster.awaitReady()
                }
                try eventually("all are replicated") {
                    try cluster.timeline("open", at: 1).entries
                        .filter { $0.event == "ended" }.count == calls
                }
                let lines = try cluster.timeline("open", at: 2).entries
                #expect(lines.allSatisfy { ($0.repeats ?? 0) == 0 })
            }
        }
    }
}
