/// Bad requests, whole as they go over the wire.
struct BadRequests {
    private let tokens: ClusterDocument.Tokens
    init(_ tokens: ClusterDocument.Tokens) { self.tokens = tokens }

    private typealias Bad = ClusterTests.BadRequest

    /// What is no message of HTTP/1.1 as this server takes it: the connection is closed after it.
    var messages: [ClusterTests.BadRequest] {
        func bad(_ name: String, _ bytes: String, _ status: Int = 400) -> Bad {
            Bad(
                name: name,
                bytes: bytes,
                status: status,
                problem: status == 413 ? "too-large" : "malformed-message",
                closes: true
            )
        }
        /// A request that opens an attempt, with lines in its head; smuggles one more if it can.
        func put(_ lines: String, _ body: String = "{}") -> String {
            "PUT /v1/attempts/va_x HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer \(tokens.ingest)"
                + "\r\n\(lines)\r\n\r\n\(body)"
        }
        let smuggled =
            "PUT /v1/attempts/va_y HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n"
            + "Authorization: Bearer \(tokens.ingest)\r\n\r\n"
        let long = String(repeating: "a", count: 20_000)
        return [
            bad(
                "both lengths",
                put("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n\(smuggled)")
            ),
            bad(
                "both lengths, the other way round",
                put("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n\(smuggled)")
            ),
            bad("two lengths", put("Content-Length: 2\r\nContent-Length: 3", "{}\(smuggled)")),
            bad("two equal lengths", put("Content-Length: 2\r\nContent-Length: 2")),
            bad("a list of lengths", put("Content-Length: 2, 2")),
            bad("a signed length", put("Content-Length: +2")),
            bad("a negative length", put("Content-Length: -2")),
            bad("a length in hex", put("Content-Length: 0x2")),
            bad("a length beyond all numbers", put("Content-Length: 99999999999999999999")),
            bad("a bare LF in the head", put("Content-Length: 2\nX-Other: 1")),
            bad("a bare CR in a value", put("X-Other: a\rb\r\nContent-Length: 2")),
            bad("a folded line", put("X-Other: a\r\n b\r\nContent-Length: 2")),
            bad("a space before the colon", put("Content-Length : 2")),
            bad("a name with a space", put("Content Length: 2")),
            bad("a field without a colon", put("Content-Length")),
            bad("a NUL in a value", put("X-Other: a\u{0}b")),
            bad("another coding", put("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")),
            bad("chunked not at the end", put("Transfer-Encoding: chunked, identity")),
            bad("an obscured coding", put("Transfer-Encoding: xchunked", "0\r\n\r\n")),
            bad("a bad chunk size", put("Transfer-Encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n")),
            bad(
                "a chunk longer than its size",
                put("Transfer-Encoding: chunked", "1\r\n{}\r\n0\r\n\r\n")
            ),
            bad("a chunk with bare LF", put("Transfer-Encoding: chunked", "2\n{}\n0\n\n")),
            bad("no Host", "GET /livez HTTP/1.1\r\n\r\n"),
            bad("two Hosts", "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            bad("a fragment", "GET /livez#x HTTP/1.1\r\nHost: node\r\n\r\n"),
            bad("no version", "GET /livez\r\n\r\n"),
            bad("two spaces", "GET  /livez HTTP/1.1\r\nHost: node\r\n\r\n"),
            bad("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            bad("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            bad("a hello of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n"),
            bad("a long target", "GET /\(long) HTTP/1.1\r\nHost: node\r\n\r\n", 414),
            bad("a long field", put("X-Long: \(long)"), 431),
            bad(
                "many fields",
                put((1...100).map { "X-\($0): 1" }.joined(separator: "\r\n")),
                431
            ),
            bad("a long body announced", put("Content-Length: 70000", ""), 413),
            bad(
                "a long body sent",
                put("Content-Length: 70000", String(repeating: "x", count: 70_000)),
                413
            ),
            bad(
                "a long body in chunks",
                put(
                    "Transfer-Encoding: chunked",
                    "11170\r\n\(String(repeating: "x", count: 70_000))\r\n0\r\n\r\n"
                ),
                413
            ),
            bad("an expectation", put("Expect: the-unexpected\r\nContent-Length: 2"), 417),
        ]
    }

    /// Good messages that ask for what cannot be had; the connection goes on.
    var requests: [ClusterTests.BadRequest] {
        bodies + routes + access
    }

    private var bodies: [ClusterTests.BadRequest] {
        func open(_ name: String, _ body: String, _ field: String) -> Bad {
            Bad(
                name: name,
                bytes: Wire.request("PUT", "/v1/attempts/va_x", token: tokens.ingest, body: body),
                status: 400,
                problem: "invalid-request",
                field: field
            )
        }
        func callback(_ name: String, _ body: String, _ field: String) -> Bad {
            Bad(
                name: name,
                bytes: Wire.request(
                    "POST",
                    "/v1/attempts/va_1/callbacks",
                    token: tokens.ingest,
                    body: body
                ),
                status: 400,
                problem: "invalid-request",
                field: field
            )
        }
        let target = #"{"targets":{"verified":"https://"#
        return [
            open("no JSON", "flow=login", "body"),
            open("JSON cut off", #"{"flow":"login""#, "body"),
            open("an array", "[]", "body"),
            open("JSON of great depth", String(repeating: "[", count: 30_000), "body"),
            open("an unknown member", #"{"flwo":"login"}"#, "flwo"),
            open("an unknown inner member", #"{"challenge":{"code":"1"}}"#, "challenge.code"),
            open("a wrong type", #"{"expires_in":"600"}"#, "expires_in"),
            open("a fraction", #"{"expires_in":60.5}"#, "expires_in"),
            open("a number that is too large", #"{"expires_in":1e99}"#, "expires_in"),
            open("an expiry out of range", #"{"expires_in":9}"#, "expires_in"),
            open("an unknown flow", #"{"flow":"nothing"}"#, "flow"),
            open("letters for digits", #"{"challenge":{"digits":"48a913"}}"#, "challenge.digits"),
            open("no tries", #"{"challenge":{"digits":"1","max_tries":0}}"#, "challenge.max_tries"),
            open("a target elsewhere", target + #"evil.example/"}}"#, "targets.verified"),
            open(
                "a target that reads two ways",
                target + #"bank.example@evil.example/"}}"#,
                "targets.verified"
            ),
            callback("an event that is none", #"{"call":"c","event":"rang"}"#, "event"),
            callback("no event", #"{"call":"c"}"#, "event"),
            callback("digits without a key", #"{"event":"digits","digits":"1"}"#, "call"),
            callback(
                "digits of another event",
                #"{"call":"c","event":"ringing","digits":"1"}"#,
                "digits"
            ),
            callback(
                "a negative sequence",
                #"{"call":"c","event":"ringing","sequence":-1}"#,
                "sequence"
            ),
            callback("a call with spaces", #"{"call":"c d","event":"ringing"}"#, "call"),
            callback(
                "no time",
                #"{"call":"c","event":"ringing","occurred_at":"yesterday"}"#,
                "occurred_at"
            ),
            Bad(
                name: "another content type",
                bytes: Wire.request(
                    "PUT",
                    "/v1/attempts/va_x",
                    token: tokens.ingest,
                    headers: [("Content-Type", "text/plain")],
                    body: "{}"
                ),
                status: 415,
                problem: "unsupported-type"
            ),
            Bad(
                name: "a node that is none",
                bytes: Wire.request(
                    "POST",
                    "/v1/cluster/leader",
                    token: tokens.operate,
                    body: #"{"node":9}"#
                ),
                status: 400,
                problem: "invalid-request",
                field: "node"
            ),
        ]
    }

    private var routes: [ClusterTests.BadRequest] {
        func bad(
            _ name: String,
            _ method: String,
            _ path: String,
            _ status: Int,
            _ problem: String,
            field: String? = nil
        ) -> Bad {
            Bad(
                name: name,
                bytes: Wire.request(method, path, token: tokens.read),
                status: status,
                problem: problem,
                field: field,
                header: status == 405 ? "allow" : nil
            )
        }
        let long = String(repeating: "a", count: 129)
        return [
            bad("an unknown route", "GET", "/v2/attempts", 404, "unknown-route"),
            bad("a slash too many", "GET", "/v1/cluster/", 404, "unknown-route"),
            bad("a way out", "GET", "/v1/../../etc/passwd", 404, "unknown-route"),
            bad("an attempt that is none", "GET", "/v1/attempts/va_9", 404, "unknown-attempt"),
            bad(
                "a timeline of none",
                "GET",
                "/v1/attempts/va_9/timeline",
                404,
                "unknown-attempt"
            ),
            bad(
                "a provider that is none",
                "POST",
                "/v1/callbacks/acme/va_1",
                404,
                "unknown-provider"
            ),
            bad("a wrong method", "DELETE", "/v1/attempts/va_1", 405, "wrong-method"),
            bad("a method of its own", "BREW", "/livez", 405, "wrong-method"),
            bad(
                "a name with a space",
                "GET",
                "/v1/attempts/a%20b",
                400,
                "invalid-request",
                field: "attempt"
            ),
            bad(
                "a name too long",
                "GET",
                "/v1/attempts/\(long)",
                400,
                "invalid-request",
                field: "attempt"
            ),
            bad(
                "a broken escape",
                "GET",
                "/v1/attempts/a%2",
                400,
                "invalid-request",
                field: "attempt"
            ),
            bad(
                "a consistency that is none",
                "GET",
                "/v1/attempts/va_1?consistency=maybe",
                400,
                "invalid-request",
                field: "consistency"
            ),
        ]
    }

    private var access: [ClusterTests.BadRequest] {
        func bad(_ name: String, _ token: String?, _ status: Int, _ problem: String) -> Bad {
            Bad(
                name: name,
                bytes: Wire.request("PUT", "/v1/attempts/va_x", token: token, body: "{}"),
                status: status,
                problem: problem,
                header: "www-authenticate"
            )
        }
        return [
            bad("no token", nil, 401, "unauthenticated"),
            bad("a wrong token", String(tokens.ingest.reversed()), 401, "unauthenticated"),
            bad("a token cut off", String(tokens.ingest.dropLast()), 401, "unauthenticated"),
            bad("an empty token", "", 401, "unauthenticated"),
            bad("a token of another scope", tokens.read, 403, "forbidden"),
            bad("a token of more power, but another scope", tokens.operate, 403, "forbidden"),
            Bad(
                name: "a callback without a signature",
                bytes: Wire.request(
                    "POST",
                    "/v1/callbacks/twilio/va_1",
                    token: tokens.ingest,
                    headers: [("Content-Type", "application/x-www-form-urlencoded")],
                    body: "CallSid=CA1&CallStatus=in-progress"
                ),
                status: 403,
                problem: "bad-signature"
            ),
        ]
    }
}
