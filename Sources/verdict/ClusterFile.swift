import FoundationEssentials
import Server

/// A `cluster.json`: where the nodes of a cluster are, and what its callers need to be let in.
package struct ClusterFile: Codable, Sendable {
    package struct Node: Codable, Sendable {
        package var node: Int
        package var region: String
        package var http: String
        /// The origin that platforms sign for this node.
        var `public`: String
        var peer: String
        /// The process, while it runs.
        package var pid: Int32?
        /// The data directory, relative to the file's own.
        package var data: String

        package init(
            node: Int,
            region: String,
            http: String,
            public: String,
            peer: String,
            pid: Int32?,
            data: String
        ) {
            self.node = node
            self.region = region
            self.http = http
            self.public = `public`
            self.peer = peer
            self.pid = pid
            self.data = data
        }
    }
    struct Tokens: Codable, Sendable {
        var ingest: String
        var read: String
        var operate: String
    }
    struct Providers: Codable, Sendable {
        struct Twilio: Codable, Sendable {
            var secret: String
        }
        var twilio: Twilio?
    }
    package var nodes: [Node]
    var tokens: Tokens
    var providers: Providers

    static let defaultPath = ".verdict/cluster.json"

    static func load(_ arguments: Arguments) throws(CommandFailure) -> ClusterFile {
        let path = arguments.value("--cluster") ?? defaultPath
        guard access(path) else {
            throw CommandFailure(
                .unreachable,
                "there is no \(path); start a cluster with cluster/up, or name one with --cluster"
            )
        }
        return try load(path)
    }

    static func access(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    package static func load(_ path: String) throws(CommandFailure) -> ClusterFile {
        let bytes: [UInt8]
        do throws(ConfigurationError) {
            bytes = try ConfigurationFile(reading: path).bytes
        } catch {
            throw CommandFailure(.usage, "\(error)")
        }
        let file: ClusterFile
        do {
            file = try JSONDecoder().decode(ClusterFile.self, from: Data(bytes))
        } catch {
            throw CommandFailure(.usage, "\(path): is not a cluster file: \(fault(error))")
        }
        guard !file.nodes.isEmpty else { throw CommandFailure(.usage, "\(path): has no nodes") }
        for node in file.nodes where WebOrigin(node.http) == nil {
            throw CommandFailure(.usage, "\(path): node \(node.node): http is not an origin")
        }
        return file
    }

    /// What a decoder found wrong, with its place, such as `nodes[0].public is missing`.
    private static func fault(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .keyNotFound(let key, let context):
            return place(context.codingPath + [key]) + " is missing"
        case .valueNotFound(_, let context): return place(context.codingPath) + " is null"
        case .typeMismatch(let type, let context):
            let wanted =
                switch type {
                case is String.Type: "a string"
                case is Int.Type, is Int32.Type: "a number"
                default: "an object or a list as it has to be there"
                }
            return place(context.codingPath) + " is not \(wanted)"
        case .dataCorrupted(let context) where context.codingPath.isEmpty: return "it is not JSON"
        case .dataCorrupted(let context): return place(context.codingPath) + " is not valid"
        @unknown default: return "\(error)"
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        let text = path.reduce(into: "") { text, key in
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return text.isEmpty ? "it" : text
    }

    func node(_ number: Int) throws(CommandFailure) -> Node {
        guard let node = nodes.first(where: { $0.node == number }) else {
            let all = nodes.map { "\($0.node)" }.joined(separator: ", ")
            throw CommandFailure(.usage, "there is no node \(number); there are \(all)")
        }
        return node
    }

    /// The file's bytes, as `load` reads them; a stopped node has `"pid": null`.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
    }
}

extension ClusterFile.Node {
    var origin: WebOrigin? { WebOrigin(http) }

    // Written out so that a stopped node's `pid` is there as null rather than absent.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(node, forKey: .node)
        try container.encode(region, forKey: .region)
        try container.encode(http, forKey: .http)
        try container.encode(`public`, forKey: .public)
        try container.encode(peer, forKey: .peer)
        try container.encode(pid, forKey: .pid)
        try container.encode(data, forKey: .data)
    }
}
