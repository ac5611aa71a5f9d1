import HTTP
import Server
import Testing
import Verification

@Suite("A callback in Verdict's own form")
struct CallbackBodyTests {
    let attempt: AttemptID
    init() throws { attempt = try #require(AttemptID("va_1")) }

    private func read(_ body: String, key: String? = nil) throws(Problem) -> Callback {
        var headers = [("Content-Type", "application/json")]
        if let key { headers.append(("Idempotency-Key", key)) }
        return try Fixture.reader().callback(
            attempt,
            Fixture.request(body, headers),
            origin: Fixture.origin
        )
    }

    @Test("all that the body says goes into the command, its digits as a digest only")
    func everything() throws {
        let callback = try read(
            """
            {"call": "CA5ef8", "event": "digits", "sequence": 3, "digits": "482913",
             "occurred_at": "2026-11-23T17:52:06.562Z", "channel": "sms"}
            """
        )
        #expect(
            callback
                == Callback(
                    attempt: attempt,
                    key: CallbackKey(logged: "verdict/call/CA5ef8/digits/3"),
                    provider: "verdict",
                    call: "CA5ef8",
                    event: .digits,
                    sequence: 3,
                    digits: Fixture.digest(attempt, Array("482913".utf8)),
                    status: nil,
                    outcome: nil,
                    channel: "sms",
                    occurredAt: WallTime(milliseconds: 1_795_456_326_562),
                    origin: Fixture.origin
                )
        )
        #expect(!"\(callback)".contains("482913"))
    }

    @Test("a key is the same with and without quotes")
    func keys() throws {
        let body = #"{"event": "digits", "digits": "1"}"#
        #expect(try read(body, key: "k-1").key.text == "verdict/key/k-1")
        #expect(try read(body, key: #""k-1""#).key.text == "verdict/key/k-1")
        #expect(try read(body, key: #""a\"b""#).key.text == #"verdict/key/a"b"#)
    }

    @Test(
        "a key that cannot be one is 400",
        arguments: ["", #""""#, #""open"#, "schlüssel", String(repeating: "k", count: 256)]
    )
    func badKeys(key: String) throws {
        let problem = try #require(throws: Problem.self) {
            try read(#"{"event": "cancel"}"#, key: key)
        }
        #expect(problem.status == 400)
        #expect(problem.field == "Idempotency-Key")
    }

    @Test("two keys are none")
    func twoKeys() throws {
        let request = Fixture.request(
            #"{"event": "cancel"}"#,
            [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        )
        let problem = try #require(throws: Problem.self) {
            try Fixture.reader().callback(attempt, request, origin: Fixture.origin)
        }
        #expect(problem.field == "Idempotency-Key")
    }

    @Test(
        "without a key what the callback says is its key",
        arguments: [
            (#"{"call": "c", "event": "ringing"}"#, "verdict/call/c/ringing/-"),
            (#"{"call": "c", "event": "ended", "sequence": 0}"#, "verdict/call/c/ended/0"),
            (#"{"event": "outcome", "outcome": "verified"}"#, "verdict/channel/voice/outcome/-"),
            (
                #"{"event": "outcome", "outcome": "rejected", "channel": "app", "sequence": 2}"#,
                "verdict/channel/app/outcome/2"
            ),
            (#"{"event": "cancel", "call": "c"}"#, "verdict/call/c/cancel/-"),
            (#"{"event": "poll"}"#, "verdict/channel/voice/poll/-"),
        ]
    )
    func derivedKeys(body: String, key: String) throws {
        #expect(try read(body).key.text == key)
    }

    @Test("a call that ended without a status is completed, and every status has its name")
    func endStatus() throws {
        #expect(try read(#"{"call": "c", "event": "ended"}"#).status == .completed)
        for status in EndStatus.allCases {
            let body = #"{"call": "c", "event": "ended", "status": "\#(status.name)"}"#
            #expect(try read(body).status == status)
        }
        #expect(try read(#"{"call": "c", "event": "answered"}"#).status == nil)
    }

    @Test(
        "what is wrong is 400 and named, with or without a key",
        arguments: [
            ("", "body"), ("nonsense", "body"), ("{}", "event"), (#"{"event": null}"#, "event"),
            (#"{"event": "Digits"}"#, "event"), (#"{"event": 1}"#, "event"),
            (#"{"event": "cancel", "verdict": 1}"#, "verdict"),
            (#"{"event": "ringing"}"#, "call"), (#"{"event": "ended"}"#, "call"),
            (#"{"event": "cancel", "call": "a/b"}"#, "call"),
            (#"{"event": "cancel", "call": ""}"#, "call"),
            (#"{"event": "cancel", "sequence": -1}"#, "sequence"),
            (#"{"event": "cancel", "sequence": 1.5}"#, "sequence"),
            (#"{"event": "cancel", "sequence": "1"}"#, "sequence"),
            (#"{"event": "cancel", "channel": "a b"}"#, "channel"),
            (#"{"event": "cancel", "channel": ""}"#, "channel"),
            (
                #"{"event": "cancel", "channel": "\#(String(repeating: "c", count: 33))"}"#,
                "channel"
            ),
            (#"{"event": "cancel", "occurred_at": "yesterday"}"#, "occurred_at"),
            (#"{"event": "outcome"}"#, "outcome"),
            (#"{"event": "outcome", "outcome": "expired"}"#, "outcome"),
            (#"{"event": "cancel", "outcome": "verified"}"#, "outcome"),
            (#"{"event": "ended", "call": "c", "outcome": "verified"}"#, "outcome"),
            (#"{"event": "ended", "call": "c", "status": "no-answer"}"#, "status"),
            (#"{"event": "answered", "call": "c", "status": "completed"}"#, "status"),
            (#"{"event": "digits", "call": "c", "sequence": 1}"#, "digits"),
            (#"{"event": "digits", "call": "c", "sequence": 1, "digits": 482913}"#, "digits"),
            (#"{"event": "digits", "call": "c", "sequence": 1, "digits": "48 13"}"#, "digits"),
            (#"{"event": "poll", "digits": "482913"}"#, "digits"),
        ]
    )
    func wrong(body: String, field: String) throws {
        for key in [nil, "k"] {
            let problem = try #require(throws: Problem.self) { try read(body, key: key) }
            #expect(problem.status == 400)
            #expect(problem.field == field)
            #expect(!Fixture.text(problem.body).contains("482913"))
        }
    }

    @Test("digits need a key, or a call and a sequence: else two tries would look like one")
    func digitsIdentity() throws {
        let alone = try #require(throws: Problem.self) {
            try read(#"{"event": "digits", "digits": "1", "sequence": 4}"#)
        }
        #expect(alone.field == "call")
        let unnumbered = try #require(throws: Problem.self) {
            try read(#"{"event": "digits", "digits": "1", "call": "c"}"#)
        }
        #expect(unnumbered.field == "sequence")
        _ = try read(#"{"event": "digits", "digits": "1"}"#, key: "k")
    }

    @Test("another content type is 415")
    func contentType() throws {
        let request = Fixture.request(#"{"event": "cancel"}"#, [("Content-Type", "text/json")])
        let problem = try #require(throws: Problem.self) {
            try Fixture.reader().callback(attempt, request, origin: Fixture.origin)
        }
        #expect(problem.status == 415)
    }

    @Test("a hand-over names a node")
    func handOver() throws {
        let reader = Fixture.reader()
        #expect(try reader.handOver(Fixture.request(#"{"node": 2}"#)) == 2)
        for body in ["", "{}", #"{"node": 0}"#, #"{"node": "2"}"#, #"{"node": 4294967296}"#] {
            let problem = try #require(throws: Problem.self) {
                try reader.handOver(Fixture.request(body))
            }
            #expect(problem.field == (body.isEmpty ? "body" : "node"))
        }
    }

    @Test("a read is linearizable unless it says local")
    func consistency() throws {
        #expect(try ReadConsistency(query: nil) == .linearizable)
        #expect(try ReadConsistency(query: "a=1&consistency=local") == .local)
        #expect(try ReadConsistency(query: "consistency=linearizable") == .linearizable)
        let problem = try #require(throws: Problem.self) {
            try ReadConsistency(query: "consistency=maybe")
        }
        #expect(problem.field == "consistency")
    }
}
