import FoundationEssentials
import Glibc
import HTTP
import Providers

/// A cluster of real processes in a directory of its own; all of it goes with this value.
final class LocalCluster {
    let directory: String
    private(set) var document: ClusterDocument
    private var nodes: [Int: Child] = [:]
    private var commands = 0
    /// Small file systems that hold nodes' data directories.
    var fileSystems: [Int: SmallFileSystem] = [:]

    /// Timers that make a test quick without making a busy machine's elections restless.
    static let quickTimers = "heartbeat_ms: 50, election_timeout_ms: 400"

    /// Writes the files of a cluster and, unless told otherwise, starts it and waits until every
    /// node can commit.
    init(nodes count: Int = 3, timers: String = quickTimers, starts: Bool = true) throws {
        let manager = FileManager.default
        directory = manager.temporaryDirectory.path + "/verdict-cluster-\(UUID().uuidString)"
        try manager.createDirectory(atPath: directory, withIntermediateDirectories: true)
        document = ClusterDocument(
            nodes: [],
            tokens: .init(ingest: "", read: "", operate: ""),
            providers: .init(twilio: .init(secret: ""))
        )
        let base = try Loopback.freeBasePort(nodes: count)
        let made = try command(
            "local",
            "init",
            "--dir",
            directory,
            "--nodes",
            "\(count)",
            "--base-port",
            "\(base)"
        )
        guard made.status == 0 else { throw Child.Failure(description: made.errors) }
        document = try JSONDecoder().decode(
            ClusterDocument.self,
            from: Data(contentsOf: URL(filePath: clusterFile))
        )
        for node in numbers {
            try edit(configuration(of: node)) { text in
                text.replacingFirst(
                    "  allowed_targets:",
                    with: """
                          timers: { \(timers) },
                          journal: { segment_mib: 1 },
                          allowed_targets:
                        """
                )
            }
        }
        guard starts else { return }
        for node in numbers { try start(node) }
        try awaitReady()
    }

    deinit {
        for child in nodes.values { child.end() }
        fileSystems = [:]
        try? FileManager.default.removeItem(atPath: directory)
    }

    var numbers: [Int] { document.nodes.map(\.node) }
    var clusterFile: String { directory + "/cluster.json" }
    var secretsFile: String { directory + "/secrets.json5" }
    func configuration(of node: Int) -> String { "\(directory)/node-\(node).json5" }
    func dataDirectory(of node: Int) -> String { "\(directory)/node-\(node)" }
    private func logFile(of node: Int) -> String { "\(directory)/node-\(node).log" }

    func httpPort(_ node: Int) throws -> UInt16 { try port(of: member(node).http) }
    func peerPort(_ node: Int) throws -> UInt16 { try port(of: member(node).peer) }
    func member(_ node: Int) throws -> ClusterDocument.Node {
        guard let member = document.nodes.first(where: { $0.node == node }) else {
            throw Child.Failure(description: "there is no node \(node)")
        }
        return member
    }
    private func port(of text: String) throws -> UInt16 {
        guard let port = text.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw Child.Failure(description: "\(text) has no port")
        }
        return port
    }

    // MARK: Processes

    func start(
        _ node: Int,
        descriptors: Int? = nil,
        variables: [String: String] = [:]
    ) throws {
        nodes[node]?.end()
        nodes[node] = try Child(
            ["serve", "--config", configuration(of: node)],
            output: logFile(of: node),
            errors: logFile(of: node),
            descriptors: descriptors,
            variables: variables
        )
    }

    func child(_ node: Int) throws -> Child {
        guard let child = nodes[node] else {
            throw Child.Failure(description: "node \(node) was not started")
        }
        return child
    }
    func isRunning(_ node: Int) -> Bool { nodes[node]?.isRunning ?? false }
    func kill(_ node: Int) { nodes[node]?.end() }
    func signal(_ node: Int, _ signal: Int32) throws { try child(node).send(signal) }
    func log(_ node: Int) throws -> String { try child(node).errors }

    /// Runs a command to its end, all its outputs in hand.
    func command(_ words: [String]) throws -> (status: Int32, output: String, errors: String) {
        commands += 1
        let path = "\(directory)/command-\(commands)"
        let child = try Child(words, output: path + ".out", errors: path + ".err")
        let status = try child.exitStatus(within: .seconds(60))
        return (status, child.output, child.errors)
    }

    func command(_ words: String...) throws -> (status: Int32, output: String, errors: String) {
        try command(words)
    }

    /// Gives everybody the right to read a file.
    func allowEverybody(_ path: String) throws {
        guard unsafe chmod(path, 0o644) == 0 else {
            throw Child.Failure(description: "\(path): errno \(errno)")
        }
    }

    func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }

    func edit(_ path: String, _ change: (String) -> String) throws {
        let old = try text(path)
        let new = change(old)
        guard new != old else { throw Child.Failure(description: "\(path) was not changed") }
        // In place: a file of secrets keeps its mode.
        let handle = unsafe Glibc.open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
        guard handle >= 0 else { throw Child.Failure(description: "\(path): errno \(errno)") }
        defer { close(handle) }
        let bytes = Array(new.utf8)
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe write(handle, buffer.baseAddress, buffer.count)
        }
        guard count == bytes.count else {
            throw Child.Failure(description: "\(path) was not written whole")
        }
    }

    // MARK: What it says of itself

    func awaitReady(_ some: [Int]? = nil) throws {
        for node in some ?? numbers {
            try eventually("node \(node) can commit") {
                guard isRunning(node) else {
                    throw Child.Failure(description: "node \(node) ended:\n\(try log(node))")
                }
                return try get("/readyz", at: node, token: nil).status == 200
            }
        }
    }

    func view(of node: Int) throws -> ClusterView {
        try decode(get("/v1/cluster", at: node, within: .seconds(2)))
    }

    /// The leader that all of the given nodes agree on, by default all that run.
    func leader(accordingTo some: [Int]? = nil, besides other: Int? = nil) throws -> Int {
        let asked = some ?? numbers.filter(isRunning)
        return try eventually("nodes \(asked) agree on a leader") {
            let views = try asked.map { try view(of: $0) }
            guard let leader = views[0].leader, leader != other,
                views.allSatisfy({ $0.leader == leader && $0.term == views[0].term })
            else { return nil }
            return leader
        }
    }

    func commitIndex(at node: Int) throws -> UInt64 {
        guard let index = try view(of: node).node(node)?.commit_index else {
            throw Child.Failure(description: "node \(node) does not know its commit index")
        }
        return index
    }

    // MARK: Requests

    func send(
        _ method: String,
        _ target: String,
        at node: Int,
        token: String?,
        headers: [(String, String)] = [],
        body: String? = nil,
        within limit: Duration = .seconds(15)
    ) throws -> Response {
        let connection = try Connection(port: httpPort(node))
        try connection.send(
            Wire.request(method, target, token: token, headers: headers, body: body)
        )
        guard let response = try connection.receive(within: limit).response else {
            throw Connection.Failure(description: "node \(node) closed without an answer")
        }
        return response
    }

    func get(
        _ target: String,
        at node: Int,
        token: String? = "read",
        within limit: Duration = .seconds(15)
    ) throws -> Response {
        try send(
            "GET",
            target,
            at: node,
            token: token == nil ? nil : document.tokens.read,
            within: limit
        )
    }

    static let digits = "482913"
    static let openBody = """
        {"flow":"login","subject":"user-8472","challenge":{"digits":"\(digits)","max_tries":3},\
        "targets":{"verified":"https://bank.example/ivr/ok","rejected":"https://bank.example/ivr/no"}}
        """

    func open(
        _ attempt: String,
        at node: Int,
        within limit: Duration = .seconds(15)
    ) throws -> Response {
        try send(
            "PUT",
            "/v1/attempts/\(attempt)",
            at: node,
            token: document.tokens.ingest,
            body: LocalCluster.openBody,
            within: limit
        )
    }

    /// A callback as Twilio sends it, signed for the node it goes to.
    func twilio(
        _ callback: TwilioCallback,
        of attempt: String,
        at node: Int,
        secret: String? = nil,
        within limit: Duration = .seconds(15)
    ) throws -> Response {
        let connection = try Connection(port: httpPort(node))
        try connection.send(request(callback, of: attempt, at: node, secret: secret))
        guard let response = try connection.receive(within: limit).response else {
            throw Connection.Failure(description: "node \(node) closed without an answer")
        }
        return response
    }

    /// The bytes of such a callback.
    func request(
        _ callback: TwilioCallback,
        of attempt: String,
        at node: Int,
        secret: String? = nil
    ) throws -> String {
        let target = "/v1/callbacks/twilio/\(attempt)" + callback.query
        let signature = TwilioSignature.sign(
            url: try member(node).public + target,
            form: callback.form,
            authToken: secret ?? document.providers.twilio.secret
        )
        return Wire.request(
            "POST",
            target,
            token: nil,
            headers: [
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("X-Twilio-Signature", signature),
            ],
            body: callback.form.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        )
    }

    func timeline(
        _ attempt: String,
        at node: Int,
        isLocal: Bool = false
    ) throws -> TimelineDocument {
        try decode(timelineResponse(attempt, at: node, isLocal: isLocal))
    }
    func timelineResponse(
        _ attempt: String,
        at node: Int,
        isLocal: Bool = false
    ) throws -> Response {
        try get(
            "/v1/attempts/\(attempt)/timeline\(isLocal ? "?consistency=local" : "")",
            at: node
        )
    }

    func decode<Value: Decodable>(_ response: Response) throws -> Value {
        guard response.status == 200 || response.status == 201 else {
            throw Connection.Failure(description: "answered \(response.status): \(response.text)")
        }
        return try JSONDecoder().decode(Value.self, from: Data(response.body))
    }
}

/// One of the callbacks of a call; the values need no escaping in a form.
struct TwilioCallback {
    var query = ""
    var form: [(String, String)]

    private static func call(_ number: Int, _ more: [(String, String)]) -> [(String, String)] {
        let digits = String(number)
        let call = "CA" + String(repeating: "0", count: 32 - digits.count) + digits
        return [("AccountSid", "AC" + String(repeating: "0", count: 32)), ("CallSid", call)] + more
    }

    /// The call is answered and asks what to do.
    static func voice(call: Int = 1) -> TwilioCallback {
        TwilioCallback(form: TwilioCallback.call(call, [("CallStatus", "in-progress")]))
    }
    /// Digits keyed in at a step of the conversation.
    static func gathered(_ digits: String, step: Int = 1, call: Int = 1) -> TwilioCallback {
        TwilioCallback(
            query: "?step=\(step)",
            form: TwilioCallback.call(call, [("CallStatus", "in-progress"), ("Digits", digits)])
        )
    }
    /// The call asks again whether there is something to do.
    static func polled(_ number: Int, call: Int = 1) -> TwilioCallback {
        TwilioCallback(
            query: "?poll=\(number)",
            form: TwilioCallback.call(call, [("CallStatus", "in-progress")])
        )
    }
    /// The call asks for the URL that a document named; digits are sent only once.
    static func redirected(to query: String, call: Int = 1) -> TwilioCallback {
        TwilioCallback(
            query: query,
            form: TwilioCallback.call(call, [("CallStatus", "in-progress")])
        )
    }
    /// The call has ended, as the platform tells beside it.
    static func completed(call: Int = 1) -> TwilioCallback {
        TwilioCallback(
            form: TwilioCallback.call(
                call,
                [
                    ("CallStatus", "completed"), ("CallbackSource", "call-progress-events"),
                    ("SequenceNumber", "2"),
                ]
            )
        )
    }
}

enum Wire {
    static func request(
        _ method: String,
        _ target: String,
        token: String?,
        headers: [(String, String)] = [],
        body: String? = nil
    ) -> String {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: node\r\n"
        if let token { text += "Authorization: Bearer \(token)\r\n" }
        if body != nil, !headers.contains(where: { $0.0 == "Content-Type" }) {
            text += "Content-Type: application/json\r\n"
        }
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        return text + "\r\n" + (body ?? "")
    }
}

extension Response {
    var text: String { String(decoding: body, as: UTF8.self) }
    /// Where a document sends its call.
    var redirect: String? {
        guard let start = text.firstRange(of: #"<Redirect method="POST">"#),
            let end = text.firstRange(of: "</Redirect>")
        else { return nil }
        return text[start.upperBound..<end.lowerBound].split(separator: "&amp;")
            .joined(separator: "&")
    }
    var disposition: String? { headers.first("verdict-disposition") }
    var problem: ProblemDocument? {
        guard contentType == "application/problem+json" else { return nil }
        return try? JSONDecoder().decode(ProblemDocument.self, from: Data(body))
    }
}

extension String {
    /// With the first occurrence of a text replaced.
    func replacingFirst(_ old: String, with new: String) -> String {
        guard let range = firstRange(of: old) else { return self }
        return replacingCharacters(in: range, with: new)
    }
    private func replacingCharacters(in range: Range<Index>, with new: String) -> String {
        self[..<range.lowerBound] + new + self[range.upperBound...]
    }
}
