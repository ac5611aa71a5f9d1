import HTTP
import Server
import Testing

@Suite("Tokens")
struct AuthorizerTests {
    private let authorizer = Authorizer(
        ingest: [Array("ingest-old".utf8), Array("ingest-new".utf8)],
        read: [Array("read".utf8), Array("both".utf8)],
        operate: [Array("both".utf8), []]
    )

    private func status(_ token: String?, _ scope: Scope) -> Int? {
        authorizer.refusal(bearer: token.map { Array($0.utf8) }, for: scope)?.status
    }

    @Test("a token opens its scope, also the older of two")
    func granted() {
        #expect(status("ingest-old", .ingest) == nil)
        #expect(status("ingest-new", .ingest) == nil)
        #expect(status("read", .read) == nil)
        #expect(status("both", .read) == nil)
        #expect(status("both", .operate) == nil)
    }

    @Test("a token of another scope is 403, an unknown one or none is 401")
    func refused() {
        #expect(status("read", .ingest) == 403)
        #expect(status("ingest-new", .operate) == 403)
        #expect(status(nil, .read) == 401)
        for token in ["", "rea", "read ", "readx", "READ"] { #expect(status(token, .read) == 401) }
    }

    @Test("an empty token in the configuration opens nothing")
    func empty() { #expect(status("", .operate) == 401) }

    @Test("the refusal tells how to authenticate, and what is missing")
    func challenge() {
        let none = authorizer.refusal(bearer: nil, for: .read)?.response
        #expect(none?.headers.first("www-authenticate") == #"Bearer realm="verdict""#)
        let wrong = authorizer.refusal(bearer: Array("read".utf8), for: .operate)?.response
        #expect(
            wrong?.headers.first("www-authenticate")
                == #"Bearer realm="verdict", error="insufficient_scope", scope="operate""#
        )
    }
}
