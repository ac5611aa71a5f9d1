import FoundationEssentials
import Reactor

/// A node in each region, as real processes, and a relay for each direction between two of them.
final class RegionNodes {
    let directory: String
    let file: ClusterFile
    private let loop: ChaosLoop
    private let cluster: LocalCluster
    private let binary: String
    private let matrix: RegionMatrix
    private(set) var relays: [Relay] = []
    private var processes: [ChaosProcess?]

    /// Writes all files; starts nothing.
    init(
        _ loop: ChaosLoop,
        directory: String,
        matrix: RegionMatrix,
        binary: String
    ) throws(CommandFailure) {
        self.loop = loop
        self.directory = directory
        self.matrix = matrix
        self.binary = binary
        cluster = LocalCluster(directory: directory)
        let count = matrix.count
        let base = try ChaosNodes.freeBasePort(nodes: count)
        try cluster.create(nodes: count, basePort: base)
        file = try cluster.load()
        processes = Array(repeating: nil, count: count)
        do throws(SystemError) {
            for from in 1...count {
                for to in 1...count where to != from {
                    let port = UInt16(base + LocalCluster.peerPortOffset + to)
                    let relay = try Relay(
                        loop: loop,
                        from: from,
                        to: to,
                        target: HostPort(host: "127.0.0.1", port: port)
                    )
                    // Half of the round trip each way.
                    let milliseconds = matrix.milliseconds[from - 1][to - 1]
                    relay.setDelay(nanoseconds: UInt64((milliseconds * 500_000).rounded()))
                    relays.append(relay)
                }
            }
        } catch {
            throw CommandFailure(.no, "\(error)")
        }
    }

    deinit { tearDown() }

    var count: Int { matrix.count }

    func relay(from: Int, to: Int) -> Relay? { relays.first { $0.from == from && $0.to == to } }

    /// Relays that carry what passes between a node and all others, in either direction or in one.
    func relays(of node: Int, incoming: Bool = true, outgoing: Bool = true) -> [Relay] {
        relays.filter { (incoming && $0.to == node) || (outgoing && $0.from == node) }
    }

    func log(of node: Int) -> String { "\(directory)/node-\(node).log" }

    /// `settings` are further lines of a configuration.
    func writeConfigurations(_ settings: String) throws(CommandFailure) {
        for node in file.nodes {
            try write(
                document(for: node, settings),
                to: cluster.configuration(of: node.node),
                mode: 0o644
            )
        }
    }

    private func document(for node: ClusterFile.Node, _ settings: String) -> String {
        let name = "\(directory.split(separator: "/").last ?? "regions")"
        let peers = file.nodes.map { peer in
            let port = relay(from: node.node, to: peer.node)?.port
            let address = port.map { "127.0.0.1:\($0)" } ?? peer.peer
            return "    { node: \(peer.node), region: \"\(matrix.regions[peer.node - 1])\", "
                + "peer: \"\(address)\", http: \"\(peer.http.dropFirst("http://".count))\" },"
        }
        return """
            // Node \(node.node) of a cluster across regions; it reaches the others through relays.
            {
              cluster: "\(name.prefix(60))",
              node: \(node.node),
              region: "\(matrix.regions[node.node - 1])",
              data: "\(cluster.data(of: node.node))",
              secrets: "secrets.json5",
              http: "\(node.http.dropFirst("http://".count))",
              public: "\(node.public)",
              peer: "\(node.peer)",
              peers: [
            \(peers.joined(separator: "\n"))
              ],
              allowed_targets: ["https://bank.example/"],
              flows: { login: { kind: "code", digits: 6, tries: 3 } },
            \(settings)
            }

            """
    }

    // MARK: Processes

    func start(_ node: Int) throws(CommandFailure) {
        guard !(processes[node - 1]?.isRunning ?? false) else { return }
        processes[node - 1] = try ChaosProcess(
            [binary, "serve", "--config", cluster.configuration(of: node)],
            environment: ["SWIFT_BACKTRACE=enable=no"],
            output: log(of: node)
        )
    }

    func startAll() throws(CommandFailure) { for node in 1...count { try start(node) } }

    func kill(_ node: Int) { processes[node - 1]?.end() }
    func send(_ signal: Int32, to node: Int) { processes[node - 1]?.send(signal) }

    /// A node that should run and does not, with its last words.
    func unexpectedEnd(besides node: Int?) -> String? {
        for number in 1...count where number != node {
            guard let process = processes[number - 1], !process.isRunning else { continue }
            return "node \(number) ended with status \(process.status ?? 0): "
                + lastLines(of: number)
        }
        return nil
    }

    func lastLines(of node: Int) -> String {
        guard let data = FileManager.default.contents(atPath: log(of: node)) else { return "" }
        let text = String(decoding: data.suffix(4000), as: UTF8.self)
        return text.split(separator: "\n").suffix(3).joined(separator: " | ")
    }

    /// Ends all processes and relays; safe to call twice.
    func tearDown() {
        for process in processes { process?.end() }
        for relay in relays { relay.close() }
    }
}
