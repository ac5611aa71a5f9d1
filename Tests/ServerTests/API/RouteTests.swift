import HTTP
import Server
import Testing
import Verification

@Suite("Routes")
struct RouteTests {
    private func method(_ name: String) -> Request.Method {
        switch name {
        case "GET": .get
        case "PUT": .put
        case "POST": .post
        case "DELETE": .delete
        default: .other(name)
        }
    }

    private func path(_ kind: RouteKind) -> String {
        kind.template.split(separator: "/").map { part in
            part == "{attempt}" ? "va_1" : part == "{provider}" ? "twilio" : String(part)
        }.reduce("") { "\($0)/\($1)" }
    }

    @Test("every row of the table is found under its methods", arguments: RouteKind.allCases)
    func rows(kind: RouteKind) {
        for name in kind.methods {
            guard case .route(let route) = Route.match(method(name), path(kind)[...]) else {
                Issue.record("\(name) \(path(kind)) led nowhere")
                continue
            }
            #expect(route.kind == kind)
        }
    }

    @Test(
        "another method is refused with the methods that are served",
        arguments: RouteKind.allCases
    )
    func otherMethods(kind: RouteKind) {
        let served = Set(
            RouteKind.allCases.filter { $0.template == kind.template }.flatMap(\.methods)
        )
        let allow = served.sorted().joined(separator: ", ")
        for other in [Request.Method.delete, .head, .patch, .other("BREW")]
        where !served.contains(other.name) {
            let match = Route.match(other, path(kind)[...])
            #expect(match == .wrongMethod(allow: allow))
            #expect(match.problem?.response.headers.first("allow") == allow)
        }
    }

    @Test("the path's names come through, also percent-encoded")
    func names() throws {
        let attempt = try #require(AttemptID("va:1.x-Y_2"))
        #expect(
            Route.match(.put, "/v1/attempts/va:1.x-Y_2") == .route(.openAttempt(attempt))
        )
        #expect(
            Route.match(.get, "/v1/attempts/va%3A1.x-Y%5f2/timeline") == .route(.timeline(attempt))
        )
        #expect(
            Route.match(.get, "/v1/callbacks/vonage/va:1.x-Y_2")
                == .route(.platformCallback(provider: "vonage", attempt))
        )
    }

    @Test(
        "a name that no attempt can have is 400 and names the field",
        arguments: [
            "/v1/attempts/", "/v1/attempts/a%20b", "/v1/attempts/a%2Fb", "/v1/attempts/a%",
            "/v1/attempts/a%zz", "/v1/attempts/%ff", "/v1/attempts/a+b",
            "/v1/attempts/\(String(repeating: "x", count: 129))",
        ]
    )
    func badNames(path: String) {
        let match = Route.match(.get, path[...])
        #expect(match == .invalidAttempt)
        #expect(match.problem?.status == 400)
        #expect(match.problem?.field == "attempt")
    }

    @Test(
        "what is not in the table is unknown",
        arguments: [
            "", "/", "*", "livez", "/livez/", "/livez/x", "//livez", "/LIVEZ", "/v1", "/v1/",
            "/v1/attempts", "/v1/attempts/a/", "/v1/attempts/a/b", "/v1/attempts/a/timeline/",
            "/v1/attempts/a//timeline", "/v1/attempts/a/callbacks/b", "/v1/callbacks",
            "/v1/callbacks/", "/v1/callbacks/twilio", "/v1/callbacks/twilio/a/",
            "/v1/callbacks/twilio/a/b", "/v1/callbacks//a", "/v1/callbacks/tw%69lio/a",
            "/v1/cluster/", "/v1/cluster/leader/", "/v1/cluster/leader/x", "/v1/feed",
            "/v2/cluster",
            "/v1x/cluster", "/v1/clusters", "/v1/backups/", "/v1/backups//log",
            "/v1/backups/b/", "/v1/backups/b/files", "/v1/backups/b/files/",
            "/v1/backups/b/files/f/g", "/v1/backups/b/log/x", "/v1/backups/b/x",
        ]
    )
    func unknown(path: String) {
        for method in [Request.Method.get, .put, .post, .delete] {
            #expect(Route.match(method, path[...]) == .unknown)
        }
        #expect(Route.match(.get, path[...]).problem?.status == 404)
    }
}
