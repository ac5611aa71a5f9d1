import HTTP
import Testing

extension ClusterTests {
    /// What is sent, and what must come back.
    struct BadRequest: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: String
        var status: Int
        var problem: String
        var field: String?
        var header: String?
        /// After a message whose end is not known, nothing more can be taken from the connection.
        var closes = false
        var testDescription: String { name }
    }

    @Suite("bad input")
    struct BadInput {
        @Test("each bad request gets its problem document; the log does not grow, the node lives")
        func table() throws {
            try withCluster(nodes: 1) { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let answered = try cluster.twilio(.voice(), of: "va_1", at: 1)
                #expect(answered.status == 200)
                let before = try cluster.commitIndex(at: 1)
                for request in BadRequests(cluster.document.tokens).messages
                    + BadRequests(cluster.document.tokens).requests
                {
                    try send(request, to: cluster)
                }
                #expect(try cluster.commitIndex(at: 1) == before, "the log has grown")
                #expect(cluster.isRunning(1))
                #expect(try cluster.get("/readyz", at: 1, token: nil).status == 200)
                let timeline = try cluster.timeline("va_1", at: 1)
                #expect(timeline.entries.map(\.event) == ["opened", "answered"])
            }
        }

        private func send(_ request: BadRequest, to cluster: LocalCluster) throws {
            let comment = Comment(rawValue: request.name)
            let connection = try Connection(port: cluster.httpPort(1))
            try connection.send(request.bytes)
            let outcome = try connection.receive(within: .seconds(5))
            guard case .response(let response, let keepsAlive) = outcome else {
                Issue.record("\(request.name): closed without an answer")
                return
            }
            #expect(response.status == request.status, comment)
            #expect(response.headers.first("verdict-node") == "1", comment)
            let problem = try #require(response.problem, comment)
            #expect(problem.name == request.problem, comment)
            #expect(problem.status == request.status, comment)
            #expect(!problem.title.isEmpty && !problem.detail.isEmpty, comment)
            #expect(problem.field == request.field, comment)
            if let header = request.header {
                #expect(response.headers.count(header) == 1, comment)
            }
            #expect(keepsAlive != request.closes, comment)
            if request.closes {
                #expect(try connection.isClosed(), comment)
            } else {
                // The connection serves on: it is known where the next request begins.
                try connection.send("GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
                #expect(try connection.receive().response?.status == 200, comment)
            }
        }

        @Test("a callback with a bad signature, a good one for another node or for another attempt")
        func signatures() throws {
            try withCluster { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                #expect(try cluster.open("va_2", at: 1).status == 201)
                let before = try cluster.commitIndex(at: 1)
                let good = try cluster.request(.voice(), of: "va_1", at: 1)
                let bad: [(String, node: Int)] = [
                    (try cluster.request(.voice(), of: "va_1", at: 1, secret: "no such"), 1),
                    (good, 2),
                    (good.replacingFirst("twilio/va_1", with: "twilio/va_2"), 1),
                    (good.replacingFirst("in-progress", with: "incprogress"), 1),
                    (good.replacingFirst("X-Twilio-Signature", with: "X-Twilio-Nothing"), 1),
                ]
                for (request, node) in bad {
                    let connection = try Connection(port: cluster.httpPort(node))
                    try connection.send(request)
                    let response = try #require(try connection.receive().response)
                    #expect(response.status == 403)
                    #expect(response.problem?.name == "bad-signature")
                }
                // Signed well, but for an attempt that was never opened.
                for node in cluster.numbers {
                    let unknown = try cluster.twilio(.voice(), of: "va_9", at: node)
                    #expect(unknown.status == 404)
                    #expect(unknown.problem?.name == "unknown-attempt")
                }
                #expect(try cluster.commitIndex(at: 1) == before)
                for attempt in ["va_1", "va_2"] {
                    #expect(try cluster.timeline(attempt, at: 1).entries.count == 1)
                }
            }
        }

        @Test("a client that closes its side gets all that it asked for before, in order")
        func halfClosed() throws {
            try withCluster(nodes: 1) { cluster in
                for number in 1...3 {
                    #expect(try cluster.open("va_\(number)", at: 1).status == 201)
                }
                let connection = try Connection(port: cluster.httpPort(1))
                // Linearizable reads: none is answered at once, so the others wait behind it.
                let token = cluster.document.tokens.read
                try connection.send(
                    (1...3).map { Wire.request("GET", "/v1/attempts/va_\($0)", token: token) }
                        .joined()
                )
                connection.finishSending()
                for number in 1...3 {
                    let response = try #require(try connection.receive().response)
                    #expect(response.status == 200)
                    #expect(response.text.contains(#""attempt":"va_\#(number)""#))
                }
                #expect(try connection.isClosed())
            }
        }

        @Test("the same key with another meaning is 422, and an attempt opened otherwise is 409")
        func otherMeaning() throws {
            try withCluster(nodes: 1) { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let ingest = cluster.document.tokens.ingest
                let other = try cluster.send(
                    "PUT",
                    "/v1/attempts/va_1",
                    at: 1,
                    token: ingest,
                    body: #"{"flow":"login","subject":"somebody else"}"#
                )
                #expect(other.status == 409)
                #expect(other.problem?.name == "opened-differently")
                func own(_ body: String) throws -> Response {
                    try cluster.send(
                        "POST",
                        "/v1/attempts/va_1/callbacks",
                        at: 1,
                        token: ingest,
                        headers: [("Idempotency-Key", "\"k\"")],
                        body: body
                    )
                }
                let first = try own(#"{"call":"c","event":"answered"}"#)
                #expect(first.status == 200)
                let second = try own(#"{"call":"c","event":"digits","digits":"482913"}"#)
                #expect(second.status == 422)
                #expect(second.disposition == "mismatched")
                #expect(second.text.contains(#""differs":["#))
                let third = try own(#"{"call":"c","event":"answered"}"#)
                #expect(third.disposition == "repeated")
                #expect(third.body == first.body)
            }
        }

        @Test("a request that does not arrive in time gets 408, and an idle connection is closed")
        func slow() throws {
            let timers = "http_head_ms: 300, http_body_ms: 300, http_idle_ms: 300"
            try withCluster(nodes: 1, timers: timers) { cluster in
                let idle = try Connection(port: cluster.httpPort(1))
                let head = try Connection(port: cluster.httpPort(1))
                try head.send("GET /livez HTTP/1.1\r\nHost: no")
                let body = try Connection(port: cluster.httpPort(1))
                try body.send(
                    "PUT /v1/attempts/va_1 HTTP/1.1\r\nHost: node\r\nContent-Length: 9\r\n\r\n{"
                )
                for connection in [head, body] {
                    let outcome = try connection.receive(within: .seconds(5))
                    let response = try #require(outcome.response)
                    #expect(response.status == 408)
                    #expect(response.problem?.name == "request-timed-out")
                    #expect(try connection.isClosed())
                }
                #expect(try idle.isClosed())
            }
        }

        @Test("what is unusual but good is served: chunks, 100-continue, many requests at once")
        func unusual() throws {
            try withCluster(nodes: 1) { cluster in
                let head =
                    "Host: node\r\nAuthorization: Bearer \(cluster.document.tokens.ingest)\r\n"
                    + "Content-Type: application/json\r\n"
                let connection = try Connection(port: cluster.httpPort(1))
                try connection.send(
                    "PUT /v1/attempts/chunks HTTP/1.1\r\n\(head)Transfer-Encoding: chunked\r\n\r\n"
                        + "4;why=not\r\n{\"fl\r\n"
                )
                try connection.send("00d\r\now\":\"login\" }\r\n0\r\n\r\n")
                #expect(try connection.receive().response?.status == 201)
                // The body is sent only when the server asks for it.
                try connection.send(
                    "PUT /v1/attempts/continue HTTP/1.1\r\n\(head)Expect: 100-continue\r\n"
                        + "Content-Length: 2\r\n\r\n"
                )
                #expect(try connection.awaitContinue())
                try connection.send("{}")
                #expect(try connection.receive().response?.status == 201)
                var many = ""
                for number in 1...50 {
                    many += "PUT /v1/attempts/many-\(number) HTTP/1.1\r\n\(head)"
                    many += "Content-Length: 2\r\n\r\n{}"
                    many += "GET /livez HTTP/1.1\r\nHost: node\r\n\r\n"
                }
                try connection.send(many)
                for number in 1...50 {
                    let opened = try connection.receive().response
                    #expect(opened?.status == 201)
                    #expect(opened?.text.contains("\"many-\(number)\"") == true)
                    #expect(try connection.receive().response?.text == "alive\n")
                }
                let old = try Connection(port: cluster.httpPort(1))
                try old.send("GET /livez HTTP/1.0\r\n\r\n")
                #expect(try old.receive().response?.status == 200)
                #expect(try old.isClosed())
            }
        }
    }
}
