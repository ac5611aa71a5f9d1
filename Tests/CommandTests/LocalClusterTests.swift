import FoundationEssentials
import Glibc
import Providers
import Server
import Testing
import Verification
import verdict

@Suite("clusters on one machine")
struct LocalClusterTests {
    /// A directory that goes with its value.
    private final class TemporaryDirectory {
        let path: String
        init() throws {
            path = FileManager.default.temporaryDirectory.path + "/verdict-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        var files: [String] {
            get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
        }
        func bytes(_ name: String) throws -> [UInt8] {
            try ConfigurationFile(reading: "\(path)/\(name)").bytes
        }
        func local(_ command: String, _ words: String...) -> verdict.ExitStatus {
            Commands.run(["local", command, "--dir", path] + words)
        }
        func cluster() throws -> ClusterFile { try ClusterFile.load("\(path)/cluster.json") }
    }

    @Test("the files that are written are good, and belong together")
    func good() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("init", "--nodes", "5", "--base-port", "7100") == .done)
        let file = try directory.cluster()
        #expect(file.nodes.map(\.http).first == "http://127.0.0.1:7101")
        #expect(file.nodes.map(\.region).prefix(3) == ["us-east", "eu-west", "ap-south"])
        for node in file.nodes {
            let configuration = try NodeConfiguration.load(
                "\(directory.path)/node-\(node.node).json5"
            )
            #expect(configuration.publicOrigin.description == node.http)
            #expect(configuration.region == node.region)
            #expect(configuration.dataDirectory == "\(directory.path)/node-\(node.node)")
            #expect(configuration.peers.count == 5)
            #expect(configuration.peerListen.port == UInt16(8100 + node.node))
            #expect(configuration.flow(named: "login")?.kind == .code)
            #expect(configuration.flow(named: "app")?.kind == .confirm)
            #expect(configuration.allowedTargets.refusal(of: "https://bank.example/x") == nil)
            _ = try Secrets.load(configuration.secretsFile)
        }
    }

    @Test("nobody but the owner may use the files with secrets, and none is left half written")
    func modes() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("init", "--nodes", "1") == .done)
        for name in ["cluster.json", "secrets.json5"] {
            _ = try ConfigurationFile(reading: "\(directory.path)/\(name)", isSecret: true)
        }
        #expect(
            try directory.files == ["cluster.json", "node-1", "node-1.json5", "secrets.json5"]
        )
    }

    @Test("secrets are made once: a second start keeps every file")
    func once() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("init") == .done)
        let names = ["cluster.json", "node-1.json5", "secrets.json5"]
        let before = try names.map(directory.bytes)
        #expect(directory.local("init") == .done)
        #expect(directory.local("init", "--nodes", "3", "--base-port", "8100") == .done)
        #expect(directory.local("init", "--nodes", "4") == .usage)
        #expect(directory.local("init", "--base-port", "8200") == .usage)
        #expect(try names.map(directory.bytes) == before)

        let other = try TemporaryDirectory()
        #expect(other.local("init") == .done)
        #expect(try other.bytes("secrets.json5") != before[2])
    }

    @Test("a process number that belongs to another program is not a node")
    func foreignProcess() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("init") == .done)
        // This very test runs under that number, and is no node.
        #expect(directory.local("set-pid", "--node", "2", "--pid", "\(getpid())") == .done)
        #expect(try directory.cluster().nodes.map(\.pid) == [nil, getpid(), nil])
        #expect(directory.local("pid", "--node", "2") == .no)
        #expect(directory.local("pid", "--node", "1") == .no)
        #expect(directory.local("wait", "--timeout", "1") == .no)

        #expect(directory.local("set-pid", "--node", "2", "--pid", "0") == .done)
        #expect(try directory.cluster().nodes.map(\.pid) == [nil, nil, nil])
        #expect(directory.local("set-pid", "--node", "4", "--pid", "5") == .usage)
        #expect(directory.local("pid", "--node", "4") == .usage)
    }

    @Test("where there is no cluster, commands say so")
    func noCluster() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("nodes") == .no)
        #expect(directory.local("init", "--nodes", "10") == .usage)
        #expect(directory.local("init", "--base-port", "65000") == .usage)
        #expect(try directory.files == [])
    }

    @Test(
        "a cluster file that lacks something is refused with what and where",
        arguments: [
            (
                #"{"nodes": [{"node": 1, "region": "r", "http": "http://h:1"}]}"#,
                "nodes[0].public is missing"
            ),
            (#"{"nodes": []}"#, "tokens is missing"),
            (#"{"nodes": [{"node": "1"}]}"#, "nodes[0].node is not a number"),
            (#"{"nodes": [], "tokens": {"ingest": 1}}"#, "tokens.ingest is not a string"),
            (#"{"nodes": 1}"#, "nodes is not an object or a list as it has to be there"),
            (#"{"nodes""#, "it is not JSON"),
        ]
    )
    func badClusterFile(text: String, fault: String) throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/cluster.json"
        try Data(text.utf8).write(to: URL(filePath: path))
        #expect {
            try ClusterFile.load(path)
        } throws: { error in
            (error as? CommandFailure)?.message == "\(path): is not a cluster file: \(fault)"
        }
    }

    @Test("a directory of somebody else's is not taken for one without damage")
    func inspectForeign() throws {
        let directory = try TemporaryDirectory()
        #expect(Commands.run(["inspect", directory.path]) == .no)
        try Data("x".utf8).write(to: URL(filePath: "\(directory.path)/notes.txt"))
        #expect(Commands.run(["inspect", directory.path]) == .no)
    }

    @Test("a node cannot let itself in, and nobody who answers is a cluster that is away")
    func readmit() throws {
        let directory = try TemporaryDirectory()
        #expect(directory.local("init", "--base-port", "1") == .done)
        let at = ["--cluster", "\(directory.path)/cluster.json", "--timeout", "1"]
        #expect(Commands.run(["readmit", "3", "--node", "3"] + at) == .no)
        #expect(Commands.run(["readmit", "3"] + at) == .unreachable)
        #expect(Commands.run(["lead", "3"] + at) == .unreachable)
        #expect(Commands.run(["lead", "9"] + at) == .usage)
    }
}
