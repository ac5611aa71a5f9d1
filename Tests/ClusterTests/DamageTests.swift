import FoundationEssentials
import HTTP
import Testing

extension ClusterTests {
    @Suite("on disks that lose data")
    struct Damage {
        /// What happens to the files of a node while it is down.
        private struct Harm: CustomTestStringConvertible, Sendable {
            var testDescription: String
            var inflict: @Sendable (NodeFiles) throws -> Void
        }

        private static let harms: [Harm] = [
            Harm(testDescription: "a flipped byte") { files in
                try files.change(1) { $0[$0.used / 3] ^= 0x10 }
            },
            Harm(testDescription: "a zeroed page") { files in
                try files.change(1) { bytes in
                    let page = bytes.used / 2 / 4096 * 4096
                    for at in page..<page + 4096 { bytes[at] = 0 }
                }
            },
            Harm(testDescription: "a segment cut short") { files in
                try files.change(1) { $0.removeLast($0.count - 100_000) }
            },
            Harm(testDescription: "a lost segment") { try files(remove: 1, in: $0) },
            Harm(testDescription: "segments that changed places") { files in
                let first = try files.read(1)
                let second = try files.read(2)
                try files.change(1) { $0 = second }
                try files.change(2) { $0 = first }
            },
        ]

        private static func files(remove segment: Int, in files: NodeFiles) throws {
            try FileManager.default.removeItem(atPath: files.path(segment))
        }

        @Test(
            "a node whose files were damaged repairs from the others and takes part",
            arguments: harms
        )
        private func repairs(_ harm: Harm) throws {
            try withCluster { cluster in
                let opened = try fill(cluster)
                let decided = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "stream-1",
                    at: 1
                )
                #expect(decided.disposition == "accepted")
                cluster.kill(2)
                let files = NodeFiles(cluster, 2)
                try harm.inflict(files)
                try cluster.start(2)
                try awaitWhole(2, cluster)
                let log = try cluster.log(2)
                #expect(log.contains("neither votes nor acknowledges until it is repaired"))
                #expect(try files.evidence().isEmpty == false)

                // It has everything, and is as good as any: with node 1 gone it makes the majority.
                cluster.kill(1)
                _ = try cluster.leader(accordingTo: [2, 3])
                #expect(try cluster.open("after", at: 2).status == 201)
                for (attempt, body) in opened {
                    let again = try open(attempt, at: 2, cluster)
                    #expect(again.status == 200 && again.body == body, "\(attempt)")
                }
                let repeated = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "stream-1",
                    at: 2
                )
                #expect(repeated.disposition == "repeated" && repeated.body == decided.body)
                // Damage is found once; a restart finds a whole log.
                cluster.kill(2)
                try cluster.start(2)
                try cluster.awaitReady([2])
                #expect(try cluster.view(of: 2).node(2)?.role != "repairing")
            }
        }

        @Test(
            "damage at two nodes of three, one after the other and in different places, loses nothing"
        )
        func twoNodes() throws {
            try withCluster { cluster in
                let opened = try fill(cluster)
                for node in [2, 3] {
                    cluster.kill(node)
                    try NodeFiles(cluster, node).change(1) { bytes in
                        bytes[bytes.used / (node + 1)] ^= 0x01
                    }
                    try cluster.start(node)
                    try awaitWhole(node, cluster)
                }
                // What was never damaged goes: nothing may depend on it.
                cluster.kill(1)
                _ = try cluster.leader(accordingTo: [2, 3])
                for (attempt, body) in opened {
                    #expect(try open(attempt, at: 3, cluster).body == body, "\(attempt)")
                }
            }
        }

        @Test("a node whose log and promises are both damaged does not start, and says what to do")
        func promiseLost() throws {
            try withCluster { cluster in
                _ = try fill(cluster, count: 40)
                cluster.kill(2)
                let files = NodeFiles(cluster, 2)
                try files.change(1) { $0[$0.used / 3] ^= 0x10 }
                try files.change("PROMISE") { bytes in
                    for at in bytes.indices { bytes[at] = 0xFF }
                }
                try cluster.start(2)
                #expect(try cluster.child(2).exitStatus() == 1)
                let log = try cluster.log(2)
                #expect(log.contains("PROMISE is damaged or missing"), "\(log)")
                #expect(log.contains("Move its data directory away"), "\(log)")
                #expect(try cluster.open("still", at: 1).status == 201)
            }
        }

        @Test("a node alone in its cluster refuses a damaged log and changes nothing")
        func alone() throws {
            try withCluster(nodes: 1) { cluster in
                _ = try fill(cluster, count: 40)
                cluster.kill(1)
                let files = NodeFiles(cluster, 1)
                try files.change(1) { $0[$0.used / 3] ^= 0x10 }
                let before = try files.read(1)
                try cluster.start(1)
                #expect(try cluster.child(1).exitStatus() == 1)
                #expect(try cluster.log(1).contains("is damaged at byte"))
                #expect(try files.read(1) == before)
                #expect(try files.evidence().isEmpty)
            }
        }

        // MARK: Helpers

        private static let body = {
            let subject = String(repeating: "s", count: 250)
            let targets = #""targets":{"verified":"https://bank.example/ivr/ok"}"#
            let challenge = #""challenge":{"digits":"\#(LocalCluster.digits)","max_tries":3}"#
            return #"{"flow":"login","subject":"\#(subject)",\#(challenge),\#(targets)}"#
        }()

        private func request(_ attempt: String, _ cluster: LocalCluster) -> String {
            Wire.request(
                "PUT",
                "/v1/attempts/\(attempt)",
                token: cluster.document.tokens.ingest,
                body: Damage.body
            )
        }

        private func open(
            _ attempt: String,
            at node: Int,
            _ cluster: LocalCluster
        ) throws -> Response {
            let connection = try Connection(port: cluster.httpPort(node))
            try connection.send(request(attempt, cluster))
            return try #require(try connection.receive().response)
        }

        /// Opens attempts until each node has a second segment.
        private func fill(
            _ cluster: LocalCluster,
            count: Int = 2_600
        ) throws -> [(attempt: String, body: [UInt8])] {
            let connection = try Connection(port: cluster.httpPort(1))
            var opened: [(String, [UInt8])] = []
            for number in 1...count {
                try connection.send(request("stream-\(number)", cluster))
                // Some at a time, so that they share batches.
                guard number % 50 == 0 || number == count else { continue }
                for done in (number - 1) / 50 * 50 + 1...number {
                    let response = try #require(try connection.receive().response)
                    try #require(response.status == 201, "\(response.text)")
                    if done % 100 == 1 { opened.append(("stream-\(done)", response.body)) }
                }
            }
            guard count > 1_000 else { return opened }
            for node in cluster.numbers {
                try eventually("node \(node) has a second segment in use") {
                    try NodeFiles(cluster, node).read(2).used > 4096
                }
            }
            return opened
        }

        private func awaitWhole(_ node: Int, _ cluster: LocalCluster) throws {
            try cluster.awaitReady([node])
            try eventually("node \(node) has repaired") {
                let role = try cluster.view(of: node).node(node)?.role
                return role == "follower" || role == "leader"
            }
        }
    }
}

/// The files of a node that is down.
private struct NodeFiles {
    let directory: String

    init(_ cluster: LocalCluster, _ node: Int) {
        directory = "\(cluster.directory)/node-\(node)"
    }

    func path(_ segment: Int) -> String {
        let digits = String(segment, radix: 16)
        return "\(directory)/log-\(String(repeating: "0", count: 16 - digits.count))\(digits).seg"
    }

    func read(_ segment: Int) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: path(segment))))
    }

    func change(_ segment: Int, _ change: (inout [UInt8]) throws -> Void) throws {
        try write(path(segment), change)
    }

    func change(_ file: String, _ change: (inout [UInt8]) throws -> Void) throws {
        try write("\(directory)/\(file)", change)
    }

    private func write(_ path: String, _ change: (inout [UInt8]) throws -> Void) throws {
        var bytes = Array(try Data(contentsOf: URL(filePath: path)))
        try change(&bytes)
        try Data(bytes).write(to: URL(filePath: path))
    }

    /// Names of what was moved aside.
    func evidence() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasPrefix("damaged-") }
    }
}

extension [UInt8] {
    /// Bytes up to the last that is not zero.
    fileprivate var used: Int { (lastIndex { $0 != 0 } ?? 0) + 1 }
}
