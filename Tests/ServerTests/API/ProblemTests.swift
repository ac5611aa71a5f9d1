import HTTP
import Server
import Testing
import Verification

@Suite("Problem documents")
struct ProblemTests {
    @Test("a document has its members in one order and leaves out what it lacks")
    func document() {
        let problem = Problem.undecidedInTime(retryAfter: 2, leader: 3)
        let response = problem.response
        #expect(response.status == 503)
        #expect(response.contentType == "application/problem+json")
        #expect(response.headers.first("retry-after") == "2")
        #expect(
            Fixture.text(response.body)
                == #"{"type":"urn:verdict:problem:undecided-in-time","title":"Not committed in time","status":503,"detail":"the request may still be committed; send it again with the same key","leader":3,"retry_after":2}"#
        )
    }

    @Test(
        "each refusal of the state machine has its status",
        arguments: [
            (Refusal.unknownAttempt, 404), (.unknownFlow, 503),
            (.openedDifferently(differs: ["subject"]), 409), (.tooManyAttempts(limit: 9), 507),
            (.tooManyCalls(limit: 9), 429), (.tooManyCallbacks(limit: 9), 429),
            (.tooManyBytes(limit: 9), 429), (.tooManyFlows(limit: 9), 507),
            (.detailsRemoved, 410), (.tooOld, 410),
        ]
    )
    func refusals(refusal: Refusal, status: Int) {
        let problem = Problem(refusal)
        #expect(problem.status == status)
        switch refusal {
        case .openedDifferently: #expect(problem.differs == ["subject"])
        case .unknownFlow: #expect(problem.response.headers.first("retry-after") == "1")
        case .unknownAttempt, .detailsRemoved, .tooOld: #expect(problem.limit == nil)
        default: #expect(Fixture.text(problem.body).contains(#""limit":9"#))
        }
    }

    @Test("what a node cannot do now says when to ask again")
    func later() {
        for problem in [
            Problem.overloaded(retryAfter: 1), .noQuorum(retryAfter: 1),
            .undecidedInTime(retryAfter: 1), .stopping(retryAfter: 1),
        ] {
            #expect(problem.status == 503)
            #expect(problem.response.headers.first("retry-after") == "1")
        }
    }

    @Test("a message the parser refused keeps the parser's status")
    func malformed() {
        for (bytes, status) in [
            ("GET  / HTTP/1.1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        ] {
            var parser = RequestParser()
            parser.feed(Array(bytes.utf8))
            guard case .failed(let error) = parser.next() else {
                Issue.record("the parser took \(bytes)")
                continue
            }
            #expect(Problem(error).status == status)
        }
    }

    @Test("no two kinds have one name")
    func names() {
        #expect(Set(Problem.Kind.all.map(\.name)).count == Problem.Kind.all.count)
    }
}
