internal import Digest
package import HTTP

/// What a token allows.
package enum Scope: Int, Hashable, Sendable, CaseIterable {
    case ingest, read, operate
    package var name: String {
        switch self {
        case .ingest: "ingest"
        case .read: "read"
        case .operate: "operate"
        }
    }
}

/// Says whether a bearer token allows a scope.
///
/// Tokens are held and compared as SHA-256 digests: every digest is compared to its end, for every
/// token of every scope, so the time taken tells neither a length nor a prefix nor which scope
/// matched. A scope may have several tokens, so that they can be changed without a gap; one with
/// none is closed.
package struct Authorizer: Sendable {
    private struct Known: Sendable {
        let scope: Scope
        let digest: [UInt8]
    }
    private let known: [Known]

    /// Empty tokens are left out, since they would let anybody in.
    package init(ingest: [[UInt8]], read: [[UInt8]], operate: [[UInt8]]) {
        var known: [Known] = []
        for (scope, tokens) in [(Scope.ingest, ingest), (.read, read), (.operate, operate)] {
            for token in tokens where !token.isEmpty {
                known.append(Known(scope: scope, digest: SHA256.hash(of: token)))
            }
        }
        self.known = known
    }

    /// Looks at the `Authorization` header of a request.
    ///
    /// - Returns: the refusal to send; `nil` if its bearer token allows the scope.
    package func refusal(_ headers: Headers, for scope: Scope) -> Problem? {
        refusal(bearer: headers.firstBytes("authorization").flatMap(BearerToken.parse), for: scope)
    }

    /// Looks at a token; `nil` if the request has none.
    ///
    /// - Returns: the refusal to send; `nil` if the token allows the scope.
    package func refusal(bearer: [UInt8]?, for scope: Scope) -> Problem? {
        guard let bearer else { return .unauthenticated(tokenGiven: false) }
        let presented = SHA256.hash(of: bearer)
        var isKnown = false
        var isAllowed = false
        for token in known where constantTimeEqual(token.digest, presented) {
            isKnown = true
            if token.scope == scope { isAllowed = true }
        }
        guard isKnown else { return .unauthenticated(tokenGiven: true) }
        return isAllowed ? nil : .forbidden(needs: scope)
    }
}
