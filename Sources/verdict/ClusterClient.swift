import HTTP
import Server

/// Asks the nodes of a cluster.
struct ClusterClient {
    let file: ClusterFile
    /// The nodes in the order in which they are asked.
    let nodes: [ClusterFile.Node]
    let timeout: Duration

    /// Options that every command with a client takes.
    static let options: [Command.Option] = [
        .cluster,
        .init(name: "--node", value: "N", help: "ask this node only"),
        .init(name: "--timeout", value: "SECONDS", help: "wait so long for each node (default 12)"),
    ]

    init(_ arguments: Arguments) throws(CommandFailure) {
        file = try ClusterFile.load(arguments)
        if let number = try arguments.integer("--node", 1...65_535) {
            nodes = [try file.node(number)]
        } else {
            nodes = file.nodes
        }
        // Longer than a node holds a request through an election.
        timeout = .seconds(try arguments.integer("--timeout", 1...600) ?? 12)
    }

    /// The same, but for one node only.
    func only(_ node: ClusterFile.Node) -> ClusterClient {
        ClusterClient(file: file, nodes: [node], timeout: timeout)
    }

    private init(file: ClusterFile, nodes: [ClusterFile.Node], timeout: Duration) {
        self.file = file
        self.nodes = nodes
        self.timeout = timeout
    }

    /// Sends a request to one node after another until one answers it.
    ///
    /// Only for requests that may be carried out twice: a node that gave no answer may have done it.
    func send(
        _ method: String,
        _ target: String,
        token: String,
        body: [UInt8]? = nil,
        takesRefusals: Bool = false
    ) throws(CommandFailure) -> Response {
        var headers = [("Authorization", "Bearer \(token)"), ("Accept", "application/json")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        var failures: [String] = []
        for node in nodes {
            guard let origin = node.origin else { continue }
            do throws(HTTPClient.Failure) {
                let reply = try HTTPClient.send(
                    method,
                    origin,
                    target,
                    headers: headers,
                    body: body,
                    within: timeout
                )
                if takesRefusals || reply.status < 500 { return reply }
                failures.append("node \(node.node): \(ClusterClient.problem(of: reply))")
            } catch {
                failures.append("node \(node.node) at \(node.http): \(error)")
            }
        }
        throw CommandFailure(.unreachable, failures.joined(separator: "\n         "))
    }

    /// What a reply that is an error says.
    static func problem(of reply: Response) -> String {
        guard let problem: Problem = JSON.decode(reply.body) else { return "\(reply.status)" }
        var text = "\(reply.status) \(problem.title ?? "")"
        if let detail = problem.detail { text += ": \(detail)" }
        if let field = problem.field { text += " (\(field))" }
        if let differs = problem.differs, !differs.isEmpty {
            text += " (differs: \(differs.joined(separator: ", ")))"
        }
        return text
    }

    private struct Problem: Decodable {
        var title: String?
        var detail: String?
        var field: String?
        var differs: [String]?
    }
}
