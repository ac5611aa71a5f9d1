import Digest
import Glibc
import Server

/// The files of a cluster on this machine, all under one directory.
///
/// `cluster.json` is written last and stands for the whole: without it there is no cluster.
struct LocalCluster {
    /// Absolute.
    let directory: String

    var clusterFile: String { "\(directory)/cluster.json" }
    var secretsFile: String { "\(directory)/secrets.json5" }
    func configuration(of node: Int) -> String { "\(directory)/node-\(node).json5" }
    func data(of node: Int) -> String { "\(directory)/node-\(node)" }

    static let maxNodes = 9
    /// Peers listen this far above HTTP.
    static let peerPortOffset = 1000
    private static let regions = [
        "us-east", "eu-west", "ap-south", "us-west", "eu-north", "ap-east", "sa-east", "af-south",
        "me-central",
    ]

    init(_ arguments: Arguments) throws(CommandFailure) {
        let given = arguments.value("--dir") ?? ".verdict"
        guard !given.isEmpty else { throw arguments.failure("--dir must be a path") }
        directory = given.hasPrefix("/") ? given : "\(currentDirectory())/\(given)"
    }

    /// The cluster of a directory, given as an absolute path.
    init(directory: String) { self.directory = directory }

    func load() throws(CommandFailure) -> ClusterFile {
        guard ClusterFile.access(clusterFile) else {
            throw CommandFailure(
                .no,
                "there is no cluster in \(directory); cluster/up starts one"
            )
        }
        return try ClusterFile.load(clusterFile)
    }

    /// Writes all files, with secrets drawn at random.
    func create(nodes count: Int, basePort: Int) throws(CommandFailure) {
        let secrets = LocalSecrets()
        let name = "local-\(randomHex(bytes: 4))"
        let nodes = (1...count).map { number in
            ClusterFile.Node(
                node: number,
                region: LocalCluster.regions[number - 1],
                http: "http://127.0.0.1:\(basePort + number)",
                public: "http://127.0.0.1:\(basePort + number)",
                peer: "127.0.0.1:\(basePort + LocalCluster.peerPortOffset + number)",
                pid: nil,
                data: "node-\(number)"
            )
        }
        try makeDirectory(directory)
        try write(secrets.document, to: secretsFile, mode: 0o600)
        for node in nodes {
            try makeDirectory(data(of: node.node))
            try write(
                document(for: node, of: nodes, cluster: name),
                to: configuration(of: node.node),
                mode: 0o644
            )
        }
        try save(
            ClusterFile(
                nodes: nodes,
                tokens: .init(
                    ingest: secrets.ingest,
                    read: secrets.read,
                    operate: secrets.operate
                ),
                providers: .init(twilio: .init(secret: secrets.twilio))
            )
        )
    }

    func save(_ file: ClusterFile) throws(CommandFailure) {
        let text: String
        do {
            text = String(decoding: try file.encoded(), as: UTF8.self)
        } catch {
            throw CommandFailure(.no, "\(clusterFile): cannot be written: \(error)")
        }
        try write(text, to: clusterFile, mode: 0o600)
    }

    /// Does something while no other command of this directory changes its files.
    func locked(_ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
        let path = "\(directory)/lock"
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandFailure(.no, "\(path): cannot be opened: errno \(errno)")
        }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else {
                throw CommandFailure(.no, "\(path): cannot be locked: errno \(errno)")
            }
        }
        try body()
    }

    /// The node's process, if it runs; a number that another program has got since is not it.
    func process(of node: ClusterFile.Node) -> Int32? {
        guard let pid = node.pid, pid > 1 else { return nil }
        let words = commandLine(of: pid)
        let expected = ["serve", "--config", configuration(of: node.node)]
        return words.dropFirst().elementsEqual(expected) ? pid : nil
    }

    private func document(
        for node: ClusterFile.Node,
        of nodes: [ClusterFile.Node],
        cluster: String
    ) -> String {
        let peers = nodes.map { peer in
            "    { node: \(peer.node), region: \"\(peer.region)\", peer: \"\(peer.peer)\", "
                + "http: \"\(peer.http.dropFirst("http://".count))\" },"
        }
        return """
            // Node \(node.node) of a cluster on one machine, written by cluster/up.
            {
              cluster: "\(cluster)",
              node: \(node.node),
              region: "\(node.region)",
              data: "\(node.data)", // relative to this file
              secrets: "secrets.json5",

              http: "\(node.http.dropFirst("http://".count))",
              public: "\(node.public)", // what platforms call and sign
              peer: "\(node.peer)",
              peers: [
            \(peers.joined(separator: "\n"))
              ],

              allowed_targets: ["https://bank.example/"],
              flows: {
                login: { kind: "code", digits: 6, tries: 3 },
                app: { kind: "confirm" },
              },
            }

            """
    }
}

/// The secrets of a cluster on this machine.
private struct LocalSecrets {
    let ingest = randomHex(bytes: 24)
    let read = randomHex(bytes: 24)
    let operate = randomHex(bytes: 24)
    let twilio = randomHex(bytes: 16)
    let digestKey = randomHex(bytes: 32)

    var document: String {
        """
        // The secrets of this cluster, drawn at random by cluster/up; the same for all its nodes.
        {
          tokens: {
            ingest: ["\(ingest)"],
            read: ["\(read)"],
            operate: ["\(operate)"],
          },
          digest_key: "\(digestKey)", // never to be changed
          providers: {
            twilio: { secrets: ["\(twilio)"] },
          },
        }

        """
    }
}

/// Bytes that nobody can guess, in hex.
private func randomHex(bytes count: Int) -> String { Hex.string(SecureRandom.bytes(count)) }
