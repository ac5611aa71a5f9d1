import FoundationEssentials
import HTTP
import Testing

extension ClusterTests {
    @Suite("data directories of real nodes")
    struct Directories {
        @Test("an emptied node is refused, with what to do, and let in again by one command")
        func emptied() throws {
            try withCluster { cluster in
                _ = try cluster.leader()
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let at = ["--cluster", cluster.clusterFile]
                // Nobody is refused: there is nothing to let in.
                let early = try cluster.command(["readmit", "3"] + at)
                #expect(early.status == 1, "\(early.output)")
                #expect(early.errors.contains("409"), "\(early.errors)")

                cluster.kill(3)
                let data = cluster.directory + "/node-3"
                for name in try FileManager.default.contentsOfDirectory(atPath: data)
                where name != "log" {
                    try FileManager.default.removeItem(atPath: "\(data)/\(name)")
                }
                try cluster.start(3)
                try eventually("the node says that it takes no part") {
                    try cluster.log(3).contains("this node takes no part")
                }
                try eventually("the others say what to do") {
                    try cluster.log(1).contains("verdict readmit 3")
                }
                let status = try cluster.command(["status"] + at)
                #expect(status.output.contains("node 3 is excluded"), "\(status.output)")
                // The cluster is well: what is asked of this node says that it is not in it.
                let read = try cluster.get("/v1/attempts/va_1", at: 3)
                #expect(read.status == 503)
                #expect(read.problem?.name == "not-admitted", "\(read.text)")
                #expect(read.headers.first("retry-after") != nil)
                // It has promised nothing yet, and that is no damage.
                let inspected = try cluster.command("inspect", data)
                #expect(inspected.status == 0, "\(inspected.output)")
                // The others go on.
                #expect(try cluster.open("va_2", at: 1).status == 201)

                let readmit = try cluster.command(["readmit", "3"] + at)
                #expect(readmit.status == 0, "\(readmit.errors)")
                try cluster.awaitReady([3])
                try eventually("the node counts again") {
                    try cluster.log(3).contains("takes part again")
                }
                for attempt in ["va_1", "va_2"] {
                    let show = ["attempt", "show", attempt, "--node", "3"] + at
                    #expect(try cluster.command(show).status == 0)
                }
            }
        }

        @Test("a directory can be looked into without a node, whole and damaged")
        func inspect() throws {
            try withCluster(nodes: 1) { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                cluster.kill(1)
                let data = cluster.directory + "/node-1"
                let whole = try cluster.command("inspect", data, "--entries", "1-9")
                #expect(whole.status == 0, "\(whole.output)\(whole.errors)")
                #expect(whole.output.contains("open va_1"), "\(whole.output)")
                #expect(!whole.output.contains(LocalCluster.digits))
                let json = try cluster.command("inspect", data, "--json")
                #expect(json.output.contains("\"damage\":[]"), "\(json.output)")
                // A byte of the first batch, below what was written later.
                let file = URL(filePath: "\(data)/log-0000000000000001.seg")
                var bytes = try Data(contentsOf: file)
                bytes[512 + 60] ^= 1
                try bytes.write(to: file)
                let damaged = try cluster.command("inspect", data)
                #expect(damaged.status == 1)
                #expect(
                    damaged.output.contains("DAMAGE: log-0000000000000001.seg at byte 512"),
                    "\(damaged.output)"
                )
                try FileManager.default.removeItem(atPath: "\(data)/IDENTITY")
                let nameless = try cluster.command("inspect", data)
                #expect(nameless.status == 1)
                #expect(nameless.output.contains("DAMAGE: IDENTITY"), "\(nameless.output)")
            }
        }
    }
}
