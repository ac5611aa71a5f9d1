import HTTP
import Server
import Testing
import Verification

@Suite("The body that opens an attempt")
struct OpenBodyTests {
    let attempt: AttemptID
    init() throws { attempt = try #require(AttemptID("va_1")) }

    private func open(
        _ body: String,
        _ reader: BodyReader = Fixture.reader()
    ) throws(Problem) -> OpenAttempt {
        try reader.open(attempt, Fixture.request(body), origin: Fixture.origin).open
    }

    @Test("all that the body says goes into the command, its digits as a digest only")
    func everything() throws {
        let opening = try Fixture.reader().open(
            attempt,
            Fixture.request(
                """
                {"flow": "login", "subject": "user-8472", "expires_in": 300,
                 "challenge": {"digits": "482913", "max_tries": 5},
                 "targets": {"rejected": "https://bank.example/ivr/no",
                             "verified": "https://bank.example/ivr/ok"}}
                """
            ),
            origin: Fixture.origin
        )
        #expect(
            opening.open
                == OpenAttempt(
                    attempt: attempt,
                    flow: Fixture.flow.digest,
                    subject: "user-8472",
                    expiresInSeconds: 300,
                    challenge: Fixture.digest(attempt, Array("482913".utf8)),
                    maxTries: 5,
                    targets: [
                        Target(state: .verified, url: "https://bank.example/ivr/ok"),
                        Target(state: .rejected, url: "https://bank.example/ivr/no"),
                    ],
                    origin: Fixture.origin
                )
        )
        #expect(opening.flow == Fixture.flow)
        #expect(!"\(opening)".contains("482913"))
    }

    @Test("what the body leaves out is the flow's", arguments: ["", "{}", #"{"flow":null}"#])
    func defaults(body: String) throws {
        let target = Target(state: .verified, url: "https://bank.example/default")
        let command = try open(body, Fixture.reader(targets: [target]))
        #expect(command.expiresInSeconds == 600)
        #expect(command.maxTries == 3)
        #expect(command.challenge == nil)
        #expect(command.subject.isEmpty)
        #expect(command.targets == [target])
    }

    @Test("the body's targets go before the flow's, state by state, and stay sorted")
    func targetsMerge() throws {
        let command = try open(
            #"{"targets": {"expired": "https://bank.example/e", "verified": "https://bank.example/v"}}"#,
            Fixture.reader(targets: [
                Target(state: .verified, url: "https://bank.example/old"),
                Target(state: .rejected, url: "https://bank.example/r"),
            ])
        )
        #expect(command.targets.map(\.state) == [.verified, .rejected, .expired])
        #expect(command.targets.first?.url == "https://bank.example/v")
    }

    @Test(
        "what is wrong is 400 and named by its path",
        arguments: [
            ("{", "body"), ("[]", "body"), ("7", "body"), (#""x""#, "body"), ("{}}", "body"),
            (#"{"flows": "login"}"#, "flows"), (#"{"flow": 7}"#, "flow"),
            (#"{"flow": "other"}"#, "flow"), (#"{"subject": ["x"]}"#, "subject"),
            (#"{"subject": "\#(String(repeating: "x", count: 257))"}"#, "subject"),
            (#"{"expires_in": 9}"#, "expires_in"), (#"{"expires_in": 86401}"#, "expires_in"),
            (#"{"expires_in": -1}"#, "expires_in"), (#"{"expires_in": 60.5}"#, "expires_in"),
            (#"{"expires_in": 1e99}"#, "expires_in"), (#"{"expires_in": "60"}"#, "expires_in"),
            (#"{"challenge": "482913"}"#, "challenge"),
            (#"{"challenge": {"digit": "482913"}}"#, "challenge.digit"),
            (#"{"challenge": {"digits": 482913}}"#, "challenge.digits"),
            (#"{"challenge": {"digits": ""}}"#, "challenge.digits"),
            (#"{"challenge": {"digits": "48291a"}}"#, "challenge.digits"),
            (
                #"{"challenge": {"digits": "\#(String(repeating: "1", count: 33))"}}"#,
                "challenge.digits"
            ),
            (#"{"challenge": {"max_tries": 0}}"#, "challenge.max_tries"),
            (#"{"challenge": {"max_tries": 11}}"#, "challenge.max_tries"),
            (#"{"challenge": {"max_tries": 256}}"#, "challenge.max_tries"),
            (#"{"targets": []}"#, "targets"),
            (#"{"targets": {"open": "https://bank.example/"}}"#, "targets.open"),
            (#"{"targets": {"won": "https://bank.example/"}}"#, "targets.won"),
            (#"{"targets": {"verified": 1}}"#, "targets.verified"),
            (#"{"targets": {"verified": "https://evil.example/"}}"#, "targets.verified"),
            (#"{"targets": {"verified": "https://bank.example/\r\nX: y"}}"#, "targets.verified"),
            (
                #"{"targets": {"verified": "https://bank.example/\#(String(repeating: "x", count: 2048))"}}"#,
                "targets.verified"
            ),
        ]
    )
    func wrong(body: String, field: String) throws {
        let problem = try #require(throws: Problem.self) { try open(body) }
        #expect(problem.status == 400)
        #expect(problem.field == field)
        #expect(!Fixture.text(problem.body).contains("482913"))
    }

    @Test("limits are taken at their edges")
    func edges() throws {
        let subject = String(repeating: "ä", count: 128)
        let command = try open(
            """
            {"subject": "\(subject)", "expires_in": 86400,
             "challenge": {"digits": "\(String(repeating: "#", count: 32))", "max_tries": 10}}
            """
        )
        #expect(command.subject == subject)
        #expect(try open(#"{"expires_in": 10, "challenge": {"digits": "*"}}"#).challenge != nil)
    }

    @Test("without a default flow an attempt must name one")
    func noDefault() throws {
        let problem = try #require(throws: Problem.self) {
            try open("{}", Fixture.reader(hasDefault: false))
        }
        #expect(problem.field == "flow")
    }

    @Test("another content type is 415, none is taken as JSON, parameters and case do not matter")
    func contentType() throws {
        let reader = Fixture.reader()
        for value in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            let request = Fixture.request("{}", [("Content-Type", value)])
            let problem = try #require(throws: Problem.self) {
                try reader.open(attempt, request, origin: Fixture.origin)
            }
            #expect(problem.status == 415)
        }
        for headers in [
            [], [("content-type", "Application/JSON")],
            [("Content-Type", "application/json ; charset=utf-8")],
        ] {
            _ = try reader.open(attempt, Fixture.request("{}", headers), origin: Fixture.origin)
        }
        let empty = Fixture.request("", [("Content-Type", "text/plain")])
        _ = try reader.open(attempt, empty, origin: Fixture.origin)
    }
}
