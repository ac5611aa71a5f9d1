import FoundationEssentials
import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("the walk")
    struct Walk {
        private let redirect =
            #"<Response><Redirect method="POST">https://bank.example/ivr/ok</Redirect></Response>"#

        @Test("a call is decided once, and every node says so for ever, through a killed leader")
        func walk() throws {
            try withCluster { cluster in
                let leader = try cluster.leader()
                let others = cluster.numbers.filter { $0 != leader }

                let opened = try cluster.open("va_1", at: others[0])
                #expect(opened.status == 201, "\(opened.text)")
                let again = try cluster.open("va_1", at: others[1])
                #expect(again.status == 200)
                #expect(again.body == opened.body)

                let voice = try cluster.twilio(.voice(), of: "va_1", at: others[1])
                #expect(voice.status == 200)
                #expect(voice.contentType == "text/xml; charset=utf-8")
                #expect(voice.text.contains(#"action="../twilio/va_1?step=1""#), "\(voice.text)")
                let decided = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: others[0]
                )
                #expect(decided.status == 200)
                #expect(decided.disposition == "accepted")
                #expect(decided.text == redirect)
                let ended = try cluster.twilio(.completed(), of: "va_1", at: leader)
                #expect(ended.status == 200)
                #expect(ended.disposition == "late")
                let repeated = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: leader
                )
                #expect(repeated.disposition == "repeated")
                #expect(repeated.text == redirect)

                // Repeats are counted where they arrive and replicated later: once that is done, the
                // leader takes no count with it.
                try eventually("the repeat is in the log") {
                    try repeats(of: "va_1", cluster, at: others[0]) == 1
                }
                cluster.kill(leader)
                for node in others {
                    let answer = try cluster.twilio(
                        .gathered(LocalCluster.digits),
                        of: "va_1",
                        at: node
                    )
                    #expect(answer.status == 200)
                    #expect(answer.disposition == "repeated")
                    #expect(answer.body == decided.body)
                    #expect(answer.contentType == decided.contentType)
                }
                try eventually("both survivors have counted all repeats") {
                    try others.allSatisfy { try repeats(of: "va_1", cluster, at: $0) == 3 }
                }
                let timelines = try others.map { try cluster.timelineResponse("va_1", at: $0) }
                #expect(timelines[0].status == 200)
                #expect(timelines[0].body == timelines[1].body)
                try check(cluster.decode(timelines[0]), opened: others[0], leader: leader)

                try cluster.start(leader)
                try cluster.awaitReady([leader])
                try eventually("the killed node has caught up") {
                    try cluster.timelineResponse("va_1", at: leader, isLocal: true).body
                        == timelines[0].body
                }
                for (callback, first) in [
                    (TwilioCallback.voice(), voice), (.gathered(LocalCluster.digits), decided),
                    (.completed(), ended),
                ] {
                    let answer = try cluster.twilio(callback, of: "va_1", at: leader)
                    #expect(answer.status == 200)
                    #expect(answer.disposition == "repeated")
                    #expect(answer.body == first.body)
                    #expect(answer.contentType == first.contentType)
                }
                try nothingSecret(in: cluster)
            }
        }

        private func repeats(of attempt: String, _ cluster: LocalCluster, at node: Int) throws
            -> Int
        {
            try cluster.timeline(attempt, at: node, isLocal: true).entries
                .reduce(0) { $0 + ($1.repeats ?? 0) }
        }

        private func check(_ timeline: TimelineDocument, opened: Int, leader: Int) throws {
            let entries = timeline.entries
            #expect(timeline.attempt == "va_1")
            #expect(entries.map(\.event) == ["opened", "answered", "digits", "ended"])
            #expect(entries.map(\.disposition) == [nil, "accepted", "accepted", "late"])
            #expect(entries.dropFirst().allSatisfy { $0.provider == "twilio" })
            #expect(entries.map(\.state_after) == ["open", "open", "verified", "verified"])
            #expect(entries.map(\.state_before).dropFirst() == ["open", "open", "verified"])
            #expect(entries.map { $0.repeats ?? 0 } == [0, 0, 3, 0])
            #expect(entries.first?.node == opened)
            #expect(entries.last?.node == leader)
            #expect(zip(entries, entries.dropFirst()).allSatisfy { $0.index < $1.index })
        }

        /// Neither digits nor a secret in any line of a log, or in clear in the journal.
        private func nothingSecret(in cluster: LocalCluster) throws {
            let tokens = cluster.document.tokens
            let secrets = [
                LocalCluster.digits, tokens.ingest, tokens.read, tokens.operate,
                cluster.document.providers.twilio.secret,
            ]
            for node in cluster.numbers {
                let log = try cluster.log(node)
                #expect(log.contains("message=started"), "node \(node) logs nothing: \(log)")
                for secret in secrets {
                    #expect(!log.contains(secret), "the log of node \(node) has \(secret)")
                }
                let data = "\(cluster.directory)/node-\(node)"
                var files = 0
                for name in try FileManager.default.contentsOfDirectory(atPath: data) {
                    let bytes = try Data(contentsOf: URL(filePath: "\(data)/\(name)"))
                    files += bytes.isEmpty ? 0 : 1
                    for secret in secrets {
                        #expect(
                            bytes.firstRange(of: Data(secret.utf8)) == nil,
                            "\(name) of node \(node) has \(secret)"
                        )
                    }
                }
                #expect(files > 0)
            }
        }

        @Test("wrong digits use up tries; the right ones in another call come too late")
        func rejected() throws {
            try withCluster(nodes: 1) { cluster in
                #expect(try cluster.open("va_2", at: 1).status == 201)
                _ = try cluster.twilio(.voice(), of: "va_2", at: 1)
                for step in 1...2 {
                    let answer = try cluster.twilio(
                        .gathered("000000", step: step),
                        of: "va_2",
                        at: 1
                    )
                    #expect(answer.text.contains("?step=\(step + 1)"), "\(answer.text)")
                    let same = try cluster.twilio(
                        .gathered("000000", step: step),
                        of: "va_2",
                        at: 1
                    )
                    #expect(same.disposition == "repeated")
                    #expect(same.body == answer.body)
                }
                let last = try cluster.twilio(.gathered("000000", step: 3), of: "va_2", at: 1)
                #expect(last.text.contains("https://bank.example/ivr/no"))
                let other = try cluster.twilio(
                    .gathered(LocalCluster.digits, call: 2),
                    of: "va_2",
                    at: 1
                )
                #expect(other.disposition == "contradicted")
                #expect(other.body == last.body)
            }
        }

        @Test("a caller waits on the line at one node while the person confirms at another")
        func confirmed() throws {
            try withCluster { cluster in
                let opened = try cluster.send(
                    "PUT",
                    "/v1/attempts/va_3",
                    at: 1,
                    token: cluster.document.tokens.ingest,
                    body: #"{"flow":"app","targets":{"verified":"https://bank.example/ivr/ok"}}"#
                )
                #expect(opened.status == 201, "\(opened.text)")
                let voice = try cluster.twilio(.voice(), of: "va_3", at: 2)
                #expect(voice.text.contains("<Pause length="), "\(voice.text)")
                #expect(voice.text.contains("../twilio/va_3?poll=1"))
                let before = try cluster.commitIndex(at: 2)
                let poll = try cluster.twilio(.polled(1), of: "va_3", at: 3)
                #expect(poll.text.contains("../twilio/va_3?poll=2"), "\(poll.text)")
                #expect(try cluster.commitIndex(at: 2) == before, "a poll is a read")

                let confirmed = try cluster.send(
                    "POST",
                    "/v1/attempts/va_3/callbacks",
                    at: 1,
                    token: cluster.document.tokens.ingest,
                    headers: [("Idempotency-Key", "tap-1")],
                    body: #"{"event":"outcome","outcome":"verified","channel":"app"}"#
                )
                #expect(confirmed.status == 200)
                #expect(confirmed.disposition == "accepted")
                #expect(confirmed.text.contains(#""state":"verified","terminal":true"#))
                try eventually("the waiting call is sent on") {
                    try cluster.twilio(.polled(2), of: "va_3", at: 2).text == redirect
                }
                let denied = try cluster.send(
                    "POST",
                    "/v1/attempts/va_3/callbacks",
                    at: 3,
                    token: cluster.document.tokens.ingest,
                    headers: [("Idempotency-Key", "tap-2")],
                    body: #"{"event":"outcome","outcome":"rejected","channel":"app"}"#
                )
                #expect(denied.disposition == "contradicted")
                #expect(denied.text.contains(#""state":"verified","terminal":true"#))
            }
        }

        @Test("leadership is handed to the node that an operator names")
        func handOver() throws {
            try withCluster { cluster in
                let leader = try cluster.leader()
                let target = leader % 3 + 1
                let body = #"{"node":\#(target)}"#
                func handOver(at node: Int) throws -> Response {
                    try cluster.send(
                        "POST",
                        "/v1/cluster/leader",
                        at: node,
                        token: cluster.document.tokens.operate,
                        body: body
                    )
                }
                let asked = try handOver(at: leader)
                #expect(asked.status == 200, "\(asked.text)")
                #expect(try cluster.leader() == target)
                let again = try handOver(at: target)
                #expect(again.status == 200, "\(again.text)")
                let elsewhere = try handOver(at: leader)
                #expect(elsewhere.status == 409)
                #expect(elsewhere.problem?.name == "not-leader")
                #expect(try cluster.open("va_1", at: leader).status == 201)
            }
        }
    }
}
