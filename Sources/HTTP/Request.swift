/// A whole request: head and body, checked against limits and against smuggling.
package struct Request: Sendable {
    package enum Method: Hashable, Sendable {
        case get, head, post, put, delete, options, patch
        case other(String)
        package var name: String {
            switch self {
            case .get: "GET"
            case .head: "HEAD"
            case .post: "POST"
            case .put: "PUT"
            case .delete: "DELETE"
            case .options: "OPTIONS"
            case .patch: "PATCH"
            case .other(let name): name
            }
        }
    }

    package var method: Method
    /// The request target as it came: path and query, escapes untouched.
    package var target: String
    package var headers: Headers
    package var body: [UInt8]
    /// Whether the connection may serve another request after this one.
    package var keepsAlive: Bool

    package init(
        method: Method,
        target: String,
        headers: Headers = Headers(),
        body: [UInt8] = [],
        keepsAlive: Bool = true
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.keepsAlive = keepsAlive
    }

    /// The target up to the question mark, escapes untouched.
    package var path: Substring { target.prefix { $0 != "?" } }
    /// The target after the question mark; `nil` without one.
    package var query: Substring? {
        guard let mark = target.firstIndex(of: "?") else { return nil }
        return target[target.index(after: mark)...]
    }
}
