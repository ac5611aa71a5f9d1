/// What `cluster.json` says, read as any script would.
struct ClusterDocument: Decodable {
    struct Node: Decodable {
        var node: Int
        var http: String
        var `public`: String
        var peer: String
        var data: String
    }
    struct Tokens: Decodable {
        var ingest: String
        var read: String
        var operate: String
    }
    struct Providers: Decodable {
        struct Twilio: Decodable { var secret: String }
        var twilio: Twilio
    }
    var nodes: [Node]
    var tokens: Tokens
    var providers: Providers
}

/// The body of `GET /v1/cluster`.
struct ClusterView: Decodable {
    struct Node: Decodable {
        var node: Int
        var role: String
        var commit_index: UInt64?
        var applied_index: UInt64?
        var disk: String?
    }
    var leader: Int?
    var term: UInt64
    var nodes: [Node]

    func node(_ number: Int) -> Node? { nodes.first { $0.node == number } }
}

struct AttemptDocument: Decodable {
    var attempt: String
    var state: String
    var terminal: Bool
    var tries_left: Int?
}

struct TimelineDocument: Decodable {
    struct Entry: Decodable {
        var index: UInt64
        var event: String
        var node: Int?
        var provider: String?
        var disposition: String?
        var state_before: String
        var state_after: String
        var repeats: Int?
    }
    var attempt: String
    var entries: [Entry]
}

/// An RFC 9457 document.
struct ProblemDocument: Decodable {
    var type: String
    var title: String
    var status: Int
    var detail: String
    var field: String?
    var retry_after: Int?

    var name: String { String(type.dropFirst("urn:verdict:problem:".count)) }
}
