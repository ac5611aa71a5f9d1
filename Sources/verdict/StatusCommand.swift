import HTTP
import Server
import Verification

/// The cluster at a glance.
enum StatusCommand {
    static let command = Command(
        name: "status",
        summary: "the cluster at a glance",
        details: """
            Asks every node. A node's row shows what it says of itself; "reachable" and "rtt" are
            the leader's view of it. "disk" is good, stalled (a write does not end), reserve (no room
            for new attempts) or full. Callbacks that a node has acknowledged without a majority, and that
            wait for one in its intake, are counted below. Exits 0 if there is a leader, 1 if there is none or no node takes
            the token, 3 if no node answers.
            """,
        options: [
            .cluster, .json,
            .init(name: "--timeout", value: "SECONDS", help: "wait so long for a node (default 1)"),
        ]
    ) { arguments throws(CommandFailure) in
        let file = try ClusterFile.load(arguments)
        let timeout = Duration.seconds(try arguments.integer("--timeout", 1...600) ?? 1)
        let summary = ClusterSummary(asking: file, within: timeout)
        Terminal.print(
            arguments.has("--json")
                ? String(decoding: try JSON.encode(summary), as: UTF8.self) : summary.table
        )
        return summary.status
    }
}

/// What a node says of the cluster: the body of `GET /v1/cluster`.
package struct ClusterView: Decodable, Sendable {
    package struct Node: Decodable, Sendable {
        package var node: Int
        package var role: String?
        var commit_index: UInt64?
        var applied_index: UInt64?
        var reachable: Bool?
        var round_trip_ms: Double?
        var disk: String?
        var condition: String?
        var directory: String?
        var starts: UInt64?
        var refused: String?
        var intake: Intake?
    }
    /// Callbacks that a node has acknowledged and the log does not have yet.
    package struct Intake: Codable, Sendable {
        var records: Int
        var bytes: Int
        var oldest_seconds: UInt64
    }
    /// For how long decided attempts are kept, in seconds.
    package struct Retention: Codable, Sendable {
        var details_seconds: UInt64
        var forget_after_seconds: UInt64?
    }
    package var leader: Int?
    package var term: UInt64
    package var nodes: [Node]
    /// Older nodes do not say.
    var retention: Retention?
    /// The node that would lead best, and the mean of a decision with this leader and that one.
    var best_leader: Int?
    var decision_ms: Double?
    var best_decision_ms: Double?
}

/// The nodes' views put together.
package struct ClusterSummary: Encodable, Sendable {
    package struct Node: Encodable, Sendable {
        package var node: Int
        var region: String
        /// Whether it answered just now.
        var answers: Bool
        /// It did not answer because it does not know the token, or the token may not read.
        var refuses_token = false
        var problem: String?
        package var role: String?
        package var term: UInt64?
        var commit_index: UInt64?
        var applied_index: UInt64?
        var reachable: Bool?
        var round_trip_ms: Double?
        var disk: String?
        /// What it says of itself: `healthy`, or what keeps it from doing all that it is there for.
        var condition: String?
        /// The data directory that stands for it, as it says itself or else as the leader does.
        var directory: String?
        var starts: UInt64?
        /// Why it is not let in.
        var refused: String?
        /// As it says itself.
        var intake: ClusterView.Intake?
    }
    /// Of the highest term that a node knows of.
    package var leader: Int?
    package var term: UInt64?
    package var nodes: [Node] = []
    /// As the leader sees it, or who answers.
    package var best_leader: Int?
    var decision_ms: Double?
    var best_decision_ms: Double?
    var retention: ClusterView.Retention?

    package init(
        _ members: [ClusterFile.Node],
        answers: [(node: Int, view: ClusterView)],
        failures: [Int: String],
        refusingToken: Set<Int> = []
    ) {
        term = answers.map(\.view.term).max()
        leader = answers.first { $0.view.term == term && $0.view.leader != nil }?.view.leader
        // The leader exchanges heartbeats with all; another node only with the leader.
        let judge = answers.first { $0.node == leader } ?? answers.first
        for member in members {
            var row = Node(node: member.node, region: member.region, answers: false)
            if let answer = answers.first(where: { $0.node == member.node }) {
                let own = answer.view.nodes.first { $0.node == member.node }
                row.answers = true
                row.role = own?.role
                row.term = answer.view.term
                row.commit_index = own?.commit_index
                row.applied_index = own?.applied_index
                row.disk = own?.disk
                row.condition = own?.condition
                row.directory = own?.directory
                row.starts = own?.starts
                row.refused = own?.refused
                row.intake = own?.intake
            }
            row.problem = failures[member.node]
            row.refuses_token = refusingToken.contains(member.node)
            let seen = judge?.view.nodes.first { $0.node == member.node }
            row.reachable = seen?.reachable
            row.round_trip_ms = seen?.round_trip_ms
            row.directory = row.directory ?? seen?.directory
            row.starts = row.starts ?? seen?.starts
            row.refused = row.refused ?? seen?.refused
            nodes.append(row)
        }
        retention = judge?.view.retention
        // What is known of the way to a node that is away is old, and it may itself be the best.
        guard away.isEmpty else { return }
        best_leader = judge?.view.best_leader
        decision_ms = judge?.view.decision_ms
        best_decision_ms = judge?.view.best_decision_ms
    }

    /// Asks every node.
    init(asking file: ClusterFile, within timeout: Duration) {
        var answers: [(node: Int, view: ClusterView)] = []
        var failures: [Int: String] = [:]
        var refusingToken: Set<Int> = []
        for node in file.nodes {
            guard let origin = node.origin else { continue }
            do throws(HTTPClient.Failure) {
                let reply = try HTTPClient.send(
                    "GET",
                    origin,
                    "/v1/cluster",
                    headers: [("Authorization", "Bearer \(file.tokens.read)")],
                    within: timeout
                )
                guard reply.status == 200, let view: ClusterView = JSON.decode(reply.body) else {
                    failures[node.node] = ClusterClient.problem(of: reply)
                    if [401, 403].contains(reply.status) { refusingToken.insert(node.node) }
                    continue
                }
                answers.append((node.node, view))
            } catch {
                failures[node.node] = "\(error)"
            }
        }
        self.init(file.nodes, answers: answers, failures: failures, refusingToken: refusingToken)
    }

    /// What a command ends with that needs a leader.
    package var status: ExitStatus {
        if nodes.contains(where: \.answers) { return leader == nil ? .no : .done }
        return nodes.contains(where: \.refuses_token) ? .no : .unreachable
    }

    /// Who leads, or why nobody is known to.
    package var head: String {
        if let leader, let term { return "leader: node \(leader), term \(term)" }
        if nodes.contains(where: \.answers) { return "no leader" }
        return nodes.contains(where: \.refuses_token)
            ? "the token is refused: tokens.read of the cluster file is not one that the nodes take"
            : "no node answers"
    }

    /// Nodes that the leader, or who answers, cannot reach.
    private var away: [Node] { nodes.filter { $0.reachable == false } }

    package var table: String {
        let rows = nodes.map { node in
            [
                "\(node.node)", node.region, node.shownRole,
                node.term.shown, node.commit_index.shown, node.applied_index.shown,
                node.reachable.map { $0 ? "yes" : "no" } ?? "-",
                node.round_trip_ms.map(milliseconds) ?? "-", node.disk ?? "-",
            ]
        }
        var text = head + "\n\n"
        text += Terminal.table(
            ["node", "region", "role", "term", "commit", "applied", "reachable", "rtt", "disk"],
            rows,
            right: [0, 3, 4, 5, 7]
        )
        if let best = nodes.first(where: { $0.node == best_leader }) {
            text += "\nbest leader: node \(best.node) (\(best.region))"
            if let decision_ms, let best_decision_ms {
                text += ", a decision takes \(milliseconds(best_decision_ms)) of round trips"
                text += best_leader == leader ? "" : ", with this one \(milliseconds(decision_ms))"
            }
        } else if leader != nil, !away.isEmpty {
            let numbers = away.map { "\($0.node)" }.joined(separator: ", ")
            text += "\nbest leader: unknown while "
            text += away.count == 1 ? "node \(numbers) is away" : "nodes \(numbers) are away"
        }
        if let retention {
            let kept = RetentionSettings(
                retentionSeconds: retention.details_seconds,
                forgetAfterSeconds: retention.forget_after_seconds
            )
            text += "\ndecided attempts: \(kept)"
        }
        for node in nodes {
            if let problem = node.problem { text += "\nnode \(node.node): \(problem)" }
            if let condition = node.condition, condition != "healthy" {
                text += "\nnode \(node.node) is \(condition)"
            }
            if let intake = node.intake, intake.records > 0 {
                text += "\nnode \(node.node) holds \(intake.records) "
                text += "\(intake.records == 1 ? "callback" : "callbacks") in its intake, "
                text += "the oldest for \(intake.oldest_seconds) s"
            }
            if let refused = node.refused { text += "\nnode \(node.node): \(refused)" }
        }
        return text
    }

    private func milliseconds(_ value: Double) -> String {
        let hundredths = (value * 100).rounded()
        guard hundredths.isFinite, abs(hundredths) < 1e12 else { return "-" }
        let whole = Int(hundredths)
        let fraction = whole % 100
        return "\(whole / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }
}

extension ClusterSummary.Node {
    /// What a node does that takes no part says less of it than why it takes none.
    fileprivate var shownRole: String {
        if refuses_token { return "token refused" }
        guard answers else { return "no answer" }
        if let condition, ["excluded", "forming"].contains(condition) { return condition }
        return role ?? "?"
    }
}

extension UInt64? {
    var shown: String { map(String.init) ?? "-" }
}
