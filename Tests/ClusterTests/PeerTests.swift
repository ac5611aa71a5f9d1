import Digest
import HTTP
import Testing

extension ClusterTests {
    @Suite("the peer port")
    struct Peers {
        @Test("garbage closes the link with a log line, and the node lives")
        func garbage() throws {
            try withCluster(nodes: 1) { cluster in
                let pieces: [[UInt8]] = [
                    Array("GET / HTTP/1.1\r\nHost: node\r\n\r\n".utf8),
                    [UInt8](repeating: 0xff, count: 4096),
                    [UInt8](repeating: 0, count: 4096),
                    (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) },
                ]
                for (number, bytes) in pieces.enumerated() {
                    let connection = try Connection(port: cluster.peerPort(1))
                    try connection.send(bytes)
                    #expect(try connection.isClosed(), "garbage \(number) is borne")
                    try eventually("garbage \(number) is logged") {
                        try refusals(cluster.log(1)) == number + 1
                    }
                }
                // Half a frame and then nothing more.
                let short = try Connection(port: cluster.peerPort(1))
                try short.send(Array("VRD".utf8))
                #expect(try short.isClosed(within: .seconds(10)))
                #expect(cluster.isRunning(1))
                #expect(try cluster.open("va_1", at: 1).status == 201)
            }
        }

        @Test("strangers who hold connections and say nothing do not keep a peer out")
        func flood() throws {
            try withCluster(nodes: 3) { cluster in
                _ = try cluster.leader()
                cluster.kill(3)
                var strangers: [Connection] = []
                for _ in 0..<200 { strangers.append(try Connection(port: cluster.peerPort(1))) }
                try cluster.start(3)
                try eventually("node 3 is let in") {
                    try cluster.log(1).contains("the oldest are closed")
                        && cluster.open("va_1", at: 3).status == 201
                }
                #expect(strangers.count == 200)
            }
        }

        @Test("a frame of another version is refused by its version")
        func otherVersion() throws {
            try withCluster(nodes: 1) { cluster in
                let connection = try Connection(port: cluster.peerPort(1))
                try connection.send(Array("VDCT".utf8) + [9] + [UInt8](repeating: 0, count: 11))
                #expect(try connection.isClosed())
                try eventually("the log names the version") {
                    try cluster.log(1).split(separator: "\n").contains {
                        $0.contains("component=peer") && $0.contains("version 9")
                    }
                }
            }
        }

        @Test("a stranger's endless frame is cut off, long before it fills the memory")
        func endlessFrame() throws {
            try withCluster(nodes: 1) { cluster in
                let connection = try Connection(port: cluster.peerPort(1))
                // A good header, of a body of 16 MiB that never ends.
                let covered: [UInt8] = [2, 3, 0, 0, 0, 0, 0, 1]
                let sum = CRC32C.checksum(of: covered)
                let header = covered + [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: sum >> $0) }
                try connection.send(Array("VDCT".utf8) + header + [0, 0, 0, 0])
                try connection.send([UInt8](repeating: 7, count: 8192))
                #expect(try connection.isClosed())
                // And not because it did not say in time who it is.
                try eventually("the log says why") {
                    try cluster.log(1).contains("before it said who it is")
                }
            }
        }

        private func refusals(_ log: String) -> Int {
            log.split(separator: "\n").count {
                $0.contains("component=peer") && $0.contains("connection refused or closed")
            }
        }

        @Test("a node of another cluster is refused, and both logs say why")
        func otherCluster() throws {
            try withCluster { cluster in
                let other = try LocalCluster(nodes: 2, starts: false)
                let target = try cluster.member(2).peer
                let own = try other.member(2).peer
                try other.edit(other.configuration(of: 1)) {
                    $0.replacingFirst("peer: \"\(own)\"", with: "peer: \"\(target)\"")
                }
                try other.start(1)
                try eventually("the refused node says why") {
                    try other.log(1).contains("refused by the peer")
                }
                try eventually("the refusing node says why") {
                    try cluster.log(2).contains("it is of cluster")
                }
                let names = try [(cluster, 2), (other, 1)].map { some, node in
                    try clusterName(some, node)
                }
                for log in [try cluster.log(2), try other.log(1)] {
                    let line = try #require(
                        log.split(separator: "\n").first { $0.contains("it is of cluster") }
                    )
                    for name in names { #expect(line.contains(name), "\(line)") }
                }
                #expect(other.isRunning(1))
                // The cluster itself takes no notice.
                #expect(try cluster.open("va_1", at: 2).status == 201)
            }
        }

        private func clusterName(_ cluster: LocalCluster, _ node: Int) throws -> String {
            let text = try cluster.text(cluster.configuration(of: node))
            let line = try #require(
                text.split(separator: "\n").first { $0.contains("cluster: \"") }
            )
            return String(line.split(separator: "\"")[1])
        }
    }
}
