import FoundationEssentials
import HTTP
import Testing

extension ClusterTests {
    @Suite("backups of real clusters")
    struct Backups {
        @Test(
            "a cluster that is copied under load comes back as another one, which answers as it did"
        )
        func comesBack() throws {
            try withCluster { old in
                _ = try old.leader()
                let before = try decide(at: old)
                let backup = old.directory + "/backup"
                let at = ["--cluster", old.clusterFile]

                let load = try Child(
                    ["bench", "--connections", "4", "--seconds", "4", "--json"] + at,
                    output: old.directory + "/load.out",
                    errors: old.directory + "/load.err"
                )
                try eventually("the load is on") { try old.commitIndex(at: 1) > 200 }
                let made = try old.command(
                    ["backup", "--to", backup, "--node", "2", "--json"] + at
                )
                #expect(made.status == 0, "\(made.errors)")
                let copy = try document(made.output)
                #expect(copy.node == 2 && copy.log_from == 1)
                #expect(UInt64(copy.entries) == copy.index)
                #expect(try load.exitStatus(within: .seconds(60)) == 0, "\(load.errors)")
                #expect(try old.commitIndex(at: 1) > copy.index, "nothing went on meanwhile")

                let again = try old.command(["backup", "--to", backup] + at)
                #expect(again.status == 1 && again.errors.contains("is not empty"))
                let looked = try old.command("inspect", backup)
                #expect(looked.status == 0, "\(looked.output)\(looked.errors)")
                #expect(looked.output.contains(copy.state), "\(looked.output)")
                #expect(!looked.output.contains(LocalCluster.digits))
                for node in old.numbers { old.kill(node) }

                try restored(backup, copy, from: old) { new in
                    try answersAsBefore(new, before)
                    try goesOn(new)
                    try expectEqualStates(new)
                }
            }
        }

        /// What was answered, and the timelines.
        private struct Before {
            var answers: [String: Response] = [:]
            var timelines: [String: [UInt8]] = [:]
        }

        private func decide(at cluster: LocalCluster) throws -> Before {
            var before = Before()
            for number in 1...6 {
                let attempt = "va_\(number)"
                let node = number % 3 + 1
                #expect(try cluster.open(attempt, at: node).status == 201)
                let digits = number % 2 == 0 ? LocalCluster.digits : "000000"
                before.answers[attempt] = try cluster.twilio(
                    .gathered(digits),
                    of: attempt,
                    at: node
                )
                before.timelines[attempt] = try cluster.timelineResponse(attempt, at: node).body
            }
            #expect(try cluster.open("va_open", at: 1).status == 201)
            return before
        }

        private func document(_ text: String) throws -> BackupDocument {
            try JSONDecoder().decode(BackupDocument.self, from: Data(text.utf8))
        }

        /// Three nodes on directories made from a backup.
        private func restored(
            _ backup: String,
            _ copy: BackupDocument,
            from old: LocalCluster,
            _ scenario: (LocalCluster) throws -> Void
        ) throws {
            try withCluster(starts: false) { new in
                for node in new.numbers {
                    let data = new.dataDirectory(of: node)
                    let restore = [
                        "restore", "--from", backup, "--data", data, "--node", "\(node)",
                        "--cluster-name", try clusterName(of: new), "--segment-mib", "1",
                    ]
                    let made = try new.command(restore)
                    #expect(made.status == 0, "\(made.errors)")
                    let looked = try new.command("inspect", data, "--json")
                    #expect(looked.status == 0, "\(looked.output)")
                    #expect(looked.output.contains(copy.state), "\(looked.output)")
                    #expect(try new.command(restore).status == 1, "a second time")
                }
                // With a key of its own no node starts: it would take right digits for wrong ones.
                let refused = try new.command("serve", "--config", new.configuration(of: 1))
                #expect(refused.status == 2)
                #expect(refused.errors.contains("digest_key is not the one"), "\(refused.errors)")
                // What the callers know stays theirs.
                try giveKey(of: old, to: new)
                for node in new.numbers { try new.start(node) }
                try new.awaitReady()
                try scenario(new)
            }
        }

        private func giveKey(of old: LocalCluster, to new: LocalCluster) throws {
            let key = try digestKey(of: old)
            let own = try digestKey(of: new)
            try new.edit(new.secretsFile) { $0.replacingFirst(own, with: key) }
        }

        private func digestKey(of cluster: LocalCluster) throws -> String {
            let text = try cluster.text(cluster.secretsFile)
            let line = try #require(text.split(separator: "\n").first { $0.contains("digest_key") })
            return String(try #require(line.split(separator: "\"").dropFirst().first))
        }

        private func clusterName(of cluster: LocalCluster) throws -> String {
            let text = try cluster.text(cluster.configuration(of: 1))
            let line = try #require(text.split(separator: "\n").first { $0.contains("cluster: ") })
            return String(try #require(line.split(separator: "\"").dropFirst().first))
        }

        private func answersAsBefore(_ new: LocalCluster, _ before: Before) throws {
            for number in 1...6 {
                let attempt = "va_\(number)"
                for node in new.numbers {
                    let timeline = try new.timelineResponse(attempt, at: node).body
                    #expect(timeline == before.timelines[attempt], "\(attempt) at \(node)")
                }
            }
            for number in 1...6 {
                let attempt = "va_\(number)"
                let digits = number % 2 == 0 ? LocalCluster.digits : "000000"
                for node in new.numbers {
                    let answer = try new.twilio(.gathered(digits), of: attempt, at: node)
                    #expect(answer.status == before.answers[attempt]?.status)
                    #expect(answer.body == before.answers[attempt]?.body, "\(attempt) at \(node)")
                    #expect(answer.disposition == "repeated")
                }
            }
        }

        private func goesOn(_ new: LocalCluster) throws {
            // What was open is decided by the digits that it was opened with.
            let late = try new.twilio(.gathered(LocalCluster.digits), of: "va_open", at: 2)
            #expect(late.disposition == "accepted" && late.text.contains("ivr/ok"), "\(late.text)")
            for node in new.numbers {
                #expect(try new.open("vn_\(node)", at: node).status == 201)
                let answer = try new.twilio(
                    .gathered(LocalCluster.digits),
                    of: "vn_\(node)",
                    at: node
                )
                #expect(answer.disposition == "accepted" && answer.text.contains("ivr/ok"))
            }
        }

        /// A copy of each node, as of one entry, has the same state.
        private func expectEqualStates(_ cluster: LocalCluster) throws {
            var tries = 0
            let sums = try eventually("all are copied as of one entry", within: .seconds(60)) {
                tries += 1
                // The leader last: it has its state compared, which takes entries.
                let leader = try cluster.leader()
                let copies = try (cluster.numbers.filter { $0 != leader } + [leader]).map { node in
                    let made = try cluster.command(
                        "backup",
                        "--cluster",
                        cluster.clusterFile,
                        "--node",
                        "\(node)",
                        "--to",
                        "\(cluster.directory)/copy-\(tries)-\(node)",
                        "--json"
                    )
                    #expect(made.status == 0, "\(made.errors)")
                    return try document(made.output)
                }
                return Set(copies.map(\.index)).count == 1 ? copies.map(\.state) : nil
            }
            #expect(Set(sums).count == 1, "\(sums)")
        }

        @Test("a node that comes in empty fetches the state where the log does not reach back")
        func comesInEmpty() throws {
            try withCluster(starts: false) { cluster in
                // More than a piece of a checkpoint.
                let filled = cluster.directory + "/filled"
                let backup = cluster.directory + "/backup"
                try FileManager.default.createDirectory(
                    atPath: filled,
                    withIntermediateDirectories: false
                )
                let made = try cluster.command([
                    "bench", "--state", filled, "--decided", "3000", "--backup", backup,
                ])
                #expect(made.status == 0, "\(made.errors)")
                for node in cluster.numbers {
                    let restored = try cluster.command([
                        "restore", "--from", backup, "--data", cluster.dataDirectory(of: node),
                        "--node", "\(node)", "--cluster-name", try clusterName(of: cluster),
                    ])
                    #expect(restored.status == 0, "\(restored.errors)")
                }
                for node in cluster.numbers { try cluster.start(node) }
                try cluster.awaitReady()
                #expect(try cluster.open("va_1", at: 1).status == 201)

                cluster.kill(3)
                try FileManager.default.removeItem(atPath: cluster.dataDirectory(of: 3))
                try cluster.start(3)
                try eventually("the others say what to do") {
                    try cluster.log(1).contains("verdict readmit 3")
                }
                let at = ["--cluster", cluster.clusterFile]
                let readmitted = try cluster.command(["readmit", "3"] + at)
                #expect(readmitted.status == 0, "\(readmitted.errors)")
                try eventually("the state is fetched", within: .seconds(60)) {
                    try cluster.log(3).contains("a fetched checkpoint is in place")
                }
                try cluster.awaitReady([3])
                for attempt in ["va_0-5f3a9c21", "va_2999-5f3a9c21", "va_1"] {
                    let show = ["attempt", "show", attempt, "--node", "3"] + at
                    let shown = try cluster.command(show)
                    #expect(shown.status == 0, "\(attempt): \(shown.errors)")
                    #expect(shown.output.contains(attempt == "va_1" ? "open" : "verified"))
                }
                // It counts again.
                cluster.kill(2)
                try eventually("the two others decide", within: .seconds(30)) {
                    // An open that was not answered in time may have been decided.
                    [200, 201].contains(try cluster.open("va_2", at: 3).status)
                }
            }
        }

        @Test("a restored directory is no member of the cluster that it was copied from")
        func isNoMember() throws {
            try withCluster { cluster in
                _ = try cluster.leader()
                _ = try decide(at: cluster)
                let backup = cluster.directory + "/backup"
                let at = ["--cluster", cluster.clusterFile]
                let made = try cluster.command(["backup", "--to", backup, "--node", "3"] + at)
                #expect(made.status == 0, "\(made.errors)")
                #expect(made.output.contains("of node 3 of cluster"), "\(made.output)")
                cluster.kill(3)
                let data = cluster.dataDirectory(of: 3)
                try FileManager.default.moveItem(atPath: data, toPath: data + ".old")
                let restored = try cluster.command(
                    "restore",
                    "--from",
                    backup,
                    "--data",
                    data,
                    "--node",
                    "3"
                )
                #expect(restored.status == 0, "\(restored.errors)")
                #expect(restored.output.contains("never let their nodes meet"))
                try cluster.start(3)
                try eventually("the node says that it takes no part") {
                    try cluster.log(3).contains("this node takes no part")
                }
                #expect(try cluster.open("va_7", at: 1).status == 201)
                cluster.kill(3)
                // Under another name it is not even listened to: it does not start at all.
                try FileManager.default.removeItem(atPath: data)
                let other = try cluster.command(
                    "restore",
                    "--from",
                    backup,
                    "--data",
                    data,
                    "--node",
                    "3",
                    "--cluster-name",
                    "another"
                )
                #expect(other.status == 0, "\(other.errors)")
                try cluster.start(3)
                #expect(try cluster.child(3).exitStatus() == 1)
                #expect(try cluster.log(3).contains("another"))
            }
        }

        @Test("a restored directory serves only with others from the same backup")
        func oneBackup() throws {
            try withCluster { old in
                _ = try old.leader()
                let first = old.directory + "/first"
                let second = old.directory + "/second"
                let at = ["--cluster", old.clusterFile]
                _ = try decide(at: old)
                #expect(try old.command(["backup", "--to", first] + at).status == 0)
                #expect(try old.open("va_more", at: 1).status == 201)
                #expect(try old.command(["backup", "--to", second] + at).status == 0)
                for node in old.numbers { old.kill(node) }
                try withCluster(starts: false) { new in
                    try giveKey(of: old, to: new)
                    let name = try clusterName(of: new)
                    func restore(_ node: Int, from backup: String) throws {
                        let data = new.dataDirectory(of: node)
                        try FileManager.default.removeItem(atPath: data)
                        let made = try new.command(
                            "restore",
                            "--from",
                            backup,
                            "--data",
                            data,
                            "--node",
                            "\(node)",
                            "--cluster-name",
                            name,
                            "--segment-mib",
                            "1"
                        )
                        #expect(made.status == 0, "\(made.errors)")
                    }
                    // One is of an older backup, and one is empty.
                    try restore(1, from: second)
                    try restore(2, from: first)
                    for node in new.numbers { try new.start(node) }
                    for node in 2...3 {
                        try eventually("node \(node) says what to do") {
                            try new.log(node).contains("from one backup")
                        }
                    }
                    try eventually("node 1 listens, and cannot commit") {
                        (try? new.get("/readyz", at: 1, token: nil).status) == 503
                    }
                    for node in 2...3 {
                        new.kill(node)
                        try restore(node, from: second)
                        try new.start(node)
                    }
                    try new.awaitReady()
                    #expect(try new.get("/v1/attempts/va_more", at: 3).status == 200)
                }
            }
        }

        @Test("the routes let operators only, give what the copy consists of, and nothing else")
        func routes() throws {
            try withCluster(nodes: 1) { cluster in
                try decideAlone(at: cluster)
                let operate = cluster.document.tokens.operate
                func ask(
                    _ method: String,
                    _ rest: String,
                    token: String? = operate
                ) throws -> Response {
                    try cluster.send(method, "/v1/backups\(rest)", at: 1, token: token)
                }
                #expect(try ask("POST", "", token: nil).status == 401)
                for token in [cluster.document.tokens.read, cluster.document.tokens.ingest] {
                    #expect(try ask("POST", "", token: token).status == 403)
                    #expect(
                        try ask("GET", "/0123456789abcdef/log?from=1", token: token).status == 403
                    )
                }
                for name in ["0123456789abcdef", "x", "0123456789ABCDEF", "..", "1"] {
                    #expect(try ask("GET", "/\(name)").problem?.name == "unknown-backup")
                    #expect(try ask("DELETE", "/\(name)").status == 404)
                }
                let begun = try ask("POST", "")
                #expect(begun.status == 201, "\(begun.text)")
                let copy = try JSONDecoder().decode(Begun.self, from: Data(begun.body)).backup
                try eventually("it is ready") {
                    try ask("GET", "/\(copy)").text.contains("\"state\":\"ready\"")
                }
                let checkpoint = try ask("GET", "/\(copy)/files/CHECKPOINT")
                #expect(checkpoint.status == 200)
                #expect(checkpoint.contentType == "application/octet-stream")
                #expect(checkpoint.text.hasPrefix("VDCHKPNT"))
                #expect(try ask("GET", "/\(copy)/log?from=1").status == 200)
                for file in [
                    "IDENTITY", "PROMISE", "LOCK", "log-0000000000000001.seg", "..", "%2e%2e",
                ] {
                    let other = try ask("GET", "/\(copy)/files/\(file)")
                    #expect(other.problem?.name == "unknown-backup", "\(file)")
                }
                for query in ["", "?from=", "?from=x", "?from=-1", "?from=%2b1", "?from=1&from=2"] {
                    let wrong = try ask("GET", "/\(copy)/log\(query)")
                    #expect(wrong.status == 400 && wrong.problem?.field == "from", "\(query)")
                }
                #expect(try ask("GET", "/\(copy)/log?from=99999999").status == 404)
                let far = "/\(copy)/files/CHECKPOINT?offset=9999999999999999999999"
                #expect(try ask("GET", far).problem?.field == "offset")
                #expect(try ask("POST", "").status == 201)
                #expect(try ask("POST", "").problem?.name == "overloaded")
                #expect(try ask("DELETE", "/\(copy)").status == 204)
                #expect(try ask("DELETE", "/\(copy)").status == 404)
                #expect(try ask("GET", "/\(copy)/files/CHECKPOINT").status == 404)
            }
        }

        private struct Begun: Decodable { var backup: String }

        @Test("what is damaged in a run, in a backup, or not there is said with file and place")
        func damage() throws {
            try withCluster(nodes: 1) { cluster in
                try decideAlone(at: cluster)
                let backup = cluster.directory + "/backup"
                let at = ["--cluster", cluster.clusterFile]
                #expect(try cluster.command(["backup", "--to", backup] + at).status == 0)
                cluster.kill(1)
                let data = cluster.dataDirectory(of: 1)
                let whole = try cluster.command("inspect", data)
                #expect(whole.status == 0, "\(whole.output)")
                #expect(whole.output.contains("checkpoint of entry"), "\(whole.output)")
                let run = "state-0000000000000001.run"
                for directory in [data, backup] {
                    try flip("\(directory)/\(run)", at: 100)
                    let damaged = try cluster.command("inspect", directory)
                    #expect(damaged.status == 1)
                    #expect(damaged.output.contains("DAMAGE: \(run)"), "\(damaged.output)")
                    let json = try cluster.command("inspect", directory, "--json")
                    #expect(json.status == 1 && json.output.contains("\"file\":\"\(run)\""))
                }
                let restore = [
                    "restore", "--from", backup, "--data", cluster.directory + "/other", "--node",
                    "1",
                ]
                let refused = try cluster.command(restore)
                #expect(refused.status == 1 && refused.errors.contains(run), "\(refused.errors)")
                try FileManager.default.removeItem(atPath: "\(backup)/BACKUP")
                for words in [["inspect", backup], restore] {
                    let unfinished = try cluster.command(words)
                    #expect(unfinished.status == 1)
                    #expect(unfinished.errors.contains("not finished"), "\(unfinished.errors)")
                }
                // Nobody is there to be copied.
                let nobody = try cluster.command(
                    ["backup", "--to", cluster.directory + "/none"] + at
                )
                #expect(nobody.status == 3)
            }
        }

        private func decideAlone(at cluster: LocalCluster) throws {
            #expect(try cluster.open("va_1", at: 1).status == 201)
            let answer = try cluster.twilio(.gathered(LocalCluster.digits), of: "va_1", at: 1)
            #expect(answer.disposition == "accepted")
        }

        private func flip(_ path: String, at offset: Int) throws {
            let file = URL(filePath: path)
            var bytes = try Data(contentsOf: file)
            bytes[offset] ^= 1
            try bytes.write(to: file)
        }
    }
}

/// What `verdict backup --json` prints.
private struct BackupDocument: Decodable {
    var node: Int
    var index: UInt64
    var state: String
    var log_from: UInt64
    var entries: Int
}
