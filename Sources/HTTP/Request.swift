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

/// Header fields in the order they came; names compare without case.
package struct Headers: Sendable {
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String
    }
    package private(set) var fields: [Field]

    package init(_ fields: [(String, String)] = []) {
        self.fields = fields.map { Field(name: $0.0, value: $0.1) }
    }
    package mutating func append(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }
    /// The first value of a field.
    ///
    /// - Parameter name: in lower case.
    package func first(_ name: String) -> String? {
        for field in fields where Headers.equal(field.name, lowercase: name) {
            return field.value
        }
        return nil
    }
    /// How often a field occurs.
    ///
    /// - Parameter name: in lower case.
    package func count(_ name: String) -> Int {
        fields.reduce(0) { $0 + (Headers.equal($1.name, lowercase: name) ? 1 : 0) }
    }
    static func equal(_ name: String, lowercase other: String) -> Bool {
        let a = name.utf8
        let b = other.utf8
        guard a.count == b.count else { return false }
        return zip(a, b).allSatisfy { x, y in
            x == y || ((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(x) && x | 0x20 == y)
        }
    }
}
