import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("what is never told")
    struct Silence {
        @Test(
            "no secret and no digit is in a log, whatever is sent or misconfigured",
            arguments: ["logfmt", "json"]
        )
        func logs(format: String) throws {
            try withCluster(nodes: 1, starts: false) { cluster in
                try cluster.edit(cluster.configuration(of: 1)) {
                    $0.replacingFirst(
                        "  allowed_targets:",
                        with:
                            "  log: { level: \"debug\", format: \"\(format)\" },\n  allowed_targets:"
                    )
                }
                try cluster.start(1)
                try cluster.awaitReady()
                let secrets = try secrets(of: cluster)
                #expect(secrets.count == 6)

                #expect(try cluster.open("va_1", at: 1).status == 201)
                #expect(try cluster.twilio(.voice(), of: "va_1", at: 1).status == 200)
                for digits in ["000000", LocalCluster.digits] {
                    let answer = try cluster.twilio(
                        .gathered(digits, step: digits == "000000" ? 1 : 2),
                        of: "va_1",
                        at: 1
                    )
                    #expect(answer.disposition == "accepted")
                }
                let answers = try misplaced(in: cluster, secrets)
                for answer in answers {
                    #expect((400..<500).contains(answer.status), "\(answer.text)")
                    expectSilence(answer.text, secrets, "an answer")
                }
                try reloadMisplaced(secrets, in: cluster)

                let log = try cluster.log(1)
                #expect(log.split(separator: "\n").count > 5)
                expectSilence(log, secrets, "the log")
                let metrics = try cluster.get("/metrics", at: 1, token: nil)
                #expect(metrics.status == 200)
                expectSilence(metrics.text, secrets, "the metrics")
                let timeline = try cluster.timelineResponse("va_1", at: 1)
                #expect(timeline.status == 200)
                expectSilence(timeline.text, secrets, "the timeline")
                #expect(cluster.isRunning(1))
            }
        }

        /// Digits, tokens, the platform's secret, and the key of the digests.
        private func secrets(of cluster: LocalCluster) throws -> [String] {
            let tokens = cluster.document.tokens
            let text = try cluster.text(cluster.secretsFile)
            let key = try #require(text.firstMatch(of: /digest_key: "([0-9a-f]+)"/)).1
            return [
                LocalCluster.digits, tokens.ingest, tokens.read, tokens.operate,
                cluster.document.providers.twilio.secret, String(key),
            ]
        }

        private func expectSilence(_ text: String, _ secrets: [String], _ what: String) {
            for secret in secrets {
                #expect(!text.contains(secret), "\(what) has \(secret)")
            }
        }

        /// Requests with secrets and digits in every place where they do not belong.
        private func misplaced(
            in cluster: LocalCluster,
            _ secrets: [String]
        ) throws -> [Response] {
            let ingest = cluster.document.tokens.ingest
            var answers: [Response] = []
            for secret in secrets {
                let bodies = [
                    #"{"challenge":{"digits":"x\#(secret)"}}"#, #"{"challenge":"\#(secret)"}"#,
                    #"{"flow":"\#(secret)"}"#, #"{"challenge":{"digits":"\#(secret)""#,
                    #"{"targets":{"verified":"https://evil.example/\#(secret)"}}"#,
                ]
                for body in bodies {
                    answers.append(
                        try cluster.send(
                            "PUT",
                            "/v1/attempts/va_x",
                            at: 1,
                            token: ingest,
                            body: body
                        )
                    )
                }
                answers.append(
                    try cluster.send(
                        "POST",
                        "/v1/attempts/va_1/callbacks",
                        at: 1,
                        token: ingest,
                        body: #"{"call":"c","event":"ringing","digits":"\#(secret)"}"#
                    )
                )
                answers.append(try cluster.get("/v1/\(secret)?token=\(secret)", at: 1))
                answers.append(try cluster.send("GET", "/v1/cluster", at: 1, token: "x\(secret)"))
                answers.append(
                    try cluster.twilio(.gathered(secret), of: "va_1", at: 1, secret: "x\(secret)")
                )
                // No message of HTTP at all, and a peer that is none.
                for port in [try cluster.httpPort(1), try cluster.peerPort(1)] {
                    let connection = try Connection(port: port)
                    try connection.send("\(secret) \(secret)\r\n\(secret)\n\r\n\r\n")
                    #expect(try connection.isClosedInTheEnd())
                }
            }
            return answers
        }

        /// Files of secrets that are no good, with a secret wherever one could be written by mistake.
        private func reloadMisplaced(_ secrets: [String], in cluster: LocalCluster) throws {
            let file = cluster.secretsFile
            let good = try cluster.text(file)
            let tokens = cluster.document.tokens
            let changes: [(String, String)] = [
                (#"read: ["\#(tokens.read)"]"#, #""\#(tokens.read)": "read""#),
                (#"read: ["\#(tokens.read)"]"#, "read: \(tokens.read)"),
                (#"read: ["\#(tokens.read)"]"#, #"read: "\#(tokens.read)""#),
                (#"["\#(tokens.read)"]"#, #"["\#(tokens.read)", "\#(tokens.ingest)"]"#),
                (#"["\#(tokens.read)"]"#, #"[{ "\#(tokens.read)": 1 }]"#),
                (#""\#(tokens.read)"]"#, #""\#(tokens.read)]"#),
                ("digest_key:", "digest_key "),
                (#"digest_key: ""#, #"digest_key: "z"#),
                ("secrets: [", "shared_keys: { x: "),
            ]
            for (number, (old, new)) in changes.enumerated() {
                try cluster.edit(file) { $0.replacingFirst(old, with: new) }
                let checked = try cluster.command("serve", "--config", cluster.configuration(of: 1))
                #expect(checked.status == 2, "\(new) is taken")
                #expect(checked.errors.contains("secrets.json5"), "\(checked.errors)")
                expectSilence(checked.errors, secrets, "standard error")
                try cluster.signal(1, SIGHUP)
                try eventually("the node refuses change \(number)") {
                    try refusals(cluster.log(1)) == number + 1
                }
                try cluster.edit(file) { _ in good }
            }
            // The old ones are still in use.
            #expect(try cluster.view(of: 1).leader == 1)
        }

        private func refusals(_ log: String) -> Int {
            log.split(separator: "\n").count { $0.contains("secrets not reloaded") }
        }
    }
}
