import Glibc
import HTTP
import Server

/// What the scripts in `cluster/` are made of; they keep files and processes apart from shell.
enum LocalCommands {
    static let all = [initialize, nodes, process, setProcess, waitFor, token, welcome]

    private static let directory = Command.Option(
        name: "--dir",
        value: "DIR",
        help: "the cluster's directory (default .verdict)"
    )
    private static let node = Command.Option(name: "--node", value: "N", help: "this node")

    private static let initialize = Command(
        name: "local init",
        summary: "write the files of a cluster on this machine",
        details: """
            Writes cluster.json, secrets.json5 and a configuration for each node. Where there is a
            cluster already, its files stay as they are; asked for another size or other ports, the
            command exits 2.
            """,
        options: [
            directory,
            .init(name: "--nodes", value: "N", help: "how many, 1…9 (default 3)"),
            .init(
                name: "--base-port",
                value: "P",
                help: "HTTP on P+1…, peers on P+1001… (default 8100)"
            ),
        ]
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        let count = try arguments.integer("--nodes", 1...LocalCluster.maxNodes)
        let highest = 65_535 - LocalCluster.peerPortOffset - LocalCluster.maxNodes
        let port = try arguments.integer("--base-port", 1...highest)
        if ClusterFile.access(cluster.clusterFile) {
            let file = try cluster.load()
            let first = "http://127.0.0.1:\((port ?? 0) + 1)"
            guard count == nil || count == file.nodes.count,
                port == nil || first == file.nodes[0].http
            else {
                throw CommandFailure(
                    .usage,
                    "\(cluster.directory) holds a cluster of \(file.nodes.count) nodes, the first "
                        + "at \(file.nodes[0].http); --fresh makes another"
                )
            }
            return .done
        }
        try cluster.create(nodes: count ?? 3, basePort: port ?? 8100)
        return .done
    }

    private static let nodes = Command(
        name: "local nodes",
        summary: "list the nodes of a cluster on this machine",
        details: "One line a node: number, region, HTTP origin, peer address, process or -.",
        options: [directory],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        for node in try cluster.load().nodes {
            let pid = cluster.process(of: node).map { "\($0)" } ?? "-"
            Terminal.print("\(node.node) \(node.region) \(node.http) \(node.peer) \(pid)")
        }
        return .done
    }

    private static let process = Command(
        name: "local pid",
        summary: "print the process of a node",
        details: """
            Prints nothing and exits 1 if the node does not run. A process is the node's only if
            its command line says so: its number may have gone to another program since.
            """,
        options: [directory, node],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        let member = try cluster.load().node(try number(arguments))
        guard let pid = cluster.process(of: member) else { return .no }
        Terminal.print("\(pid)")
        return .done
    }

    private static let setProcess = Command(
        name: "local set-pid",
        summary: "note the process of a node in cluster.json",
        options: [
            directory, node,
            .init(name: "--pid", value: "PID", help: "its process; 0 if it does not run"),
        ],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        let number = try number(arguments)
        guard let pid = try arguments.integer("--pid", 0...Int(Int32.max)) else {
            throw arguments.failure("--pid is missing")
        }
        try cluster.locked { () throws(CommandFailure) in
            var file = try cluster.load()
            _ = try file.node(number)
            for index in file.nodes.indices where file.nodes[index].node == number {
                file.nodes[index].pid = pid == 0 ? nil : Int32(pid)
            }
            try cluster.save(file)
        }
        return .done
    }

    private static let waitFor = Command(
        name: "local wait",
        summary: "wait until the nodes of a cluster on this machine can commit",
        details: """
            Asks each node until it answers 200. Exits 1 when the time is over, or as soon as a
            node's process has ended.
            """,
        options: [
            directory,
            .init(name: "--node", value: "N", help: "only this node"),
            .init(name: "--alive", help: "until they answer at all (/livez, not /readyz)"),
            .init(name: "--timeout", value: "SECONDS", help: "give up after (default 30)"),
        ],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        let file = try cluster.load()
        var waiting = file.nodes
        if let number = try arguments.integer("--node", 1...LocalCluster.maxNodes) {
            waiting = [try file.node(number)]
        }
        let path = arguments.has("--alive") ? "/livez" : "/readyz"
        let seconds = try arguments.integer("--timeout", 1...3600) ?? 30
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            var reasons: [String] = []
            var left: [ClusterFile.Node] = []
            for node in waiting {
                guard cluster.process(of: node) != nil else {
                    throw CommandFailure(
                        .no,
                        "node \(node.node) does not run; see \(cluster.data(of: node.node))/log"
                    )
                }
                guard let origin = node.origin else { continue }
                do throws(HTTPClient.Failure) {
                    let reply = try HTTPClient.send("GET", origin, path, within: .seconds(1))
                    if reply.status == 200 { continue }
                    reasons.append("node \(node.node): \(ClusterClient.problem(of: reply))")
                } catch {
                    reasons.append("node \(node.node): \(error)")
                }
                left.append(node)
            }
            if left.isEmpty { return .done }
            waiting = left
            guard ContinuousClock.now < deadline else {
                throw CommandFailure(
                    .no,
                    "not ready after \(seconds) s: \(reasons.joined(separator: "; "))"
                )
            }
            usleep(50_000)
        }
    }

    private static let token = Command(
        name: "local token",
        operands: ["ROLE"],
        summary: "print the token of a role: ingest, read or operate",
        options: [directory],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let tokens = try LocalCluster(arguments).load().tokens
        switch arguments.operands[0] {
        case "ingest": Terminal.print(tokens.ingest)
        case "read": Terminal.print(tokens.read)
        case "operate": Terminal.print(tokens.operate)
        default: throw arguments.failure("ROLE must be ingest, read or operate")
        }
        return .done
    }

    private static let welcome = Command(
        name: "local welcome",
        summary: "print the addresses of a cluster on this machine and a first request",
        options: [
            directory,
            .init(name: "--command", value: "PATH", help: "how this command is called there"),
        ],
        isForScripts: true
    ) { arguments throws(CommandFailure) in
        let cluster = try LocalCluster(arguments)
        let file = try cluster.load()
        let verdict = arguments.value("--command") ?? "verdict"
        let rows = file.nodes.map { node in
            [
                "\(node.node)", node.region, node.http, node.peer,
                cluster.process(of: node).map { "\($0)" } ?? "-",
            ]
        }
        let table = Terminal.table(["node", "region", "http", "peer", "pid"], rows, right: [0, 4])
        let body =
            #"{"flow":"login","challenge":{"digits":"482913"},"#
            + #""targets":{"verified":"https://bank.example/ivr/ok"}}"#
        Terminal.print(
            """
            \(table)
            A first request:
              curl -i -X PUT \(file.nodes[0].http)/v1/attempts/va_1 \\
                -H "Authorization: Bearer $(\(verdict) local token ingest --dir \(cluster.directory))" \\
                -H 'Content-Type: application/json' \\
                -d '\(body)'

            More:
              \(verdict) status --cluster \(cluster.clusterFile)
              \(verdict) --help
            """
        )
        return .done
    }

    private static func number(_ arguments: Arguments) throws(CommandFailure) -> Int {
        guard let number = try arguments.integer("--node", 1...LocalCluster.maxNodes) else {
            throw arguments.failure("--node is missing")
        }
        return number
    }
}
