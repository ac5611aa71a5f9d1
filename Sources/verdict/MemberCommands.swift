import HTTP

/// Bring a node back that its cluster does not count on, or whose state differs.
enum MemberCommands {
    static let all = [readmit, rebuild]

    private static let readmit = Command(
        name: "readmit",
        operands: ["N"],
        summary: "let node N in with the data directory that it has now",
        details: """
            For a node whose directory was emptied, lost, or put back from an older copy, and which the
            others therefore refuse (verdict status says so). Start it first. It gets the whole log from
            the others, and neither votes nor acknowledges anything before it has caught up.
            Exits 1 if no node refuses it.
            """,
        options: [.json] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let node = try number(arguments)
        let client = try ClusterClient(arguments)
        var refusals: [String] = []
        // Only a node that refuses it knows which directory to let in.
        for asked in client.nodes where asked.node != node {
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
        throw CommandFailure(.no, refusals.joined(separator: "\n         "))
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

    private struct Readmitted: Decodable { var directory: String }

    private static func number(_ arguments: Arguments) throws(CommandFailure) -> Int {
        guard let text = arguments.operands.first, let number = Int(text), number > 0 else {
            throw arguments.failure("N must be a node's number")
        }
        return number
    }

    private static func body(_ node: Int) -> [UInt8] { Array("{\"node\":\(node)}".utf8) }
}
