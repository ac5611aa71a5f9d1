import HTTP

/// Choose who leads, and bring a node back that its cluster does not count on, or whose state differs.
enum MemberCommands {
    static let all = [lead, readmit, rebuild]

    private static let lead = Command(
        name: "lead",
        operands: ["N"],
        summary: "hand leadership over to node N",
        details: """
            Asks all nodes who leads, and has that node hand over; it is done when node N leads. A node that
            leads already goes on. Unless placement.move_leader is false, leadership moves on by itself to where
            decisions take least. Exits 1 if there is no leader, or node N cannot be reached by it.
            """,
        options: [
            .cluster, .json,
            .init(
                name: "--timeout",
                value: "SECONDS",
                help: "wait so long for each node (default 12)"
            ),
        ]
    ) { arguments throws(CommandFailure) in
        let node = try number(arguments)
        let client = try ClusterClient(arguments)
        _ = try client.file.node(node)
        let cluster = ClusterSummary(asking: client.file, within: client.timeout)
        guard let leader = cluster.leader else {
            throw CommandFailure(cluster.status, cluster.head)
        }
        guard cluster.nodes.first(where: { $0.node == node })?.reachable != false else {
            throw CommandFailure(
                .no,
                "node \(node) cannot be reached by the leader, node \(leader): start it first"
            )
        }
        let reply = try client.only(client.file.node(leader)).send(
            "POST",
            "/v1/cluster/leader",
            token: client.file.tokens.operate,
            body: body(node)
        )
        guard reply.status == 200, let done: HandedOver = JSON.decode(reply.body) else {
            throw CommandFailure(.no, "node \(leader): \(ClusterClient.problem(of: reply))")
        }
        Terminal.print(
            arguments.has("--json")
                ? String(decoding: reply.body, as: UTF8.self)
                : "node \(done.leader) leads, term \(done.term)"
        )
        return done.leader == node ? .done : .no
    }

    private static let readmit = Command(
        name: "readmit",
        operands: ["N"],
        summary: "let node N in with the data directory that it has now",
        details: """
            For a node whose directory was emptied, lost, or put back from an older copy, and which the
            others therefore refuse (verdict status says so). Start it first. It gets the whole log from
            the others, and neither votes nor acknowledges anything before it has caught up.
            Exits 1 if no node refuses it, 3 if none of the others can be reached.
            """,
        options: [.json] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let node = try number(arguments)
        let client = try ClusterClient(arguments)
        let others = client.nodes.filter { $0.node != node }
        guard !others.isEmpty else {
            throw CommandFailure(
                .no,
                client.file.nodes.contains { $0.node != node }
                    ? "node \(node) cannot let itself in: ask another node, or leave --node out"
                    : "node \(node) is the only node: there is no other that could let it in"
            )
        }
        var refusals: [String] = []
        var status = ExitStatus.unreachable
        // Only a node that refuses it knows which directory to let in.
        for asked in others {
            let reply: Response
            do throws(CommandFailure) {
                reply = try client.only(asked).send(
                    "POST",
                    "/v1/cluster/readmit",
                    token: client.file.tokens.operate,
                    body: body(node)
                )
            } catch {
                refusals.append(error.message)
                continue
            }
            guard reply.status == 200, let done: Readmitted = JSON.decode(reply.body) else {
                refusals.append("node \(asked.node): \(ClusterClient.problem(of: reply))")
                status = .no
                continue
            }
            Terminal.print(
                arguments.has("--json")
                    ? String(decoding: reply.body, as: UTF8.self)
                    : "node \(node) is let in with data directory \(done.directory); it counts "
                        + "again when it has caught up"
            )
            return .done
        }
        throw CommandFailure(status, refusals.joined(separator: "\n         "))
    }

    private static let rebuild = Command(
        name: "rebuild",
        operands: ["N"],
        summary: "build node N's state anew from its log",
        details: """
            For a node that found its state to differ from the others' (quarantined in verdict status).
            It goes on to vote and to acknowledge, and serves again when its state agrees.
            If it differs again, only an empty data directory and verdict readmit mend it.
            """,
        options: [
            .cluster, .json,
            .init(
                name: "--timeout",
                value: "SECONDS",
                help: "wait so long for the node (default 12)"
            ),
        ]
    ) { arguments throws(CommandFailure) in
        let node = try number(arguments)
        let client = try ClusterClient(arguments)
        let reply = try client.only(client.file.node(node)).send(
            "POST",
            "/v1/cluster/rebuild",
            token: client.file.tokens.operate,
            body: body(node)
        )
        guard reply.status == 200 else {
            throw CommandFailure(.no, "node \(node): \(ClusterClient.problem(of: reply))")
        }
        Terminal.print(
            arguments.has("--json")
                ? String(decoding: reply.body, as: UTF8.self)
                : "node \(node) builds its state anew; verdict status says when it is healthy"
        )
        return .done
    }

    private struct HandedOver: Decodable {
        var leader: Int
        var term: UInt64
    }

    private struct Readmitted: Decodable { var directory: String }

    private static func number(_ arguments: Arguments) throws(CommandFailure) -> Int {
        guard let text = arguments.operands.first, let number = Int(text), number > 0 else {
            throw arguments.failure("N must be a node's number")
        }
        return number
    }

    private static func body(_ node: Int) -> [UInt8] { Array("{\"node\":\(node)}".utf8) }
}
