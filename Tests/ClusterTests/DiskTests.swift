import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("disks that fail, hang or are full")
    struct Disks {
        private static let timers = LocalCluster.quickTimers + ", disk_stall_seconds: 1"

        /// Plays a scenario, or says why it cannot be played here.
        private func unlessNotHere(_ body: () throws -> Void) throws {
            do { try body() } catch let reason as NotHere { print("skipped: \(reason)") }
        }

        private func disk(_ cluster: LocalCluster, _ node: Int) throws -> String? {
            try cluster.view(of: node).node(node)?.disk
        }

        private func metrics(_ cluster: LocalCluster, _ node: Int) throws -> String {
            try cluster.get("/metrics", at: node, token: nil).text
        }

        // MARK: Syncs

        private func withFaultyDisks(
            _ scenario: (LocalCluster, FaultyDisk) throws -> Void
        ) throws {
            try unlessNotHere {
                try withCluster(timers: Disks.timers, starts: false) { cluster in
                    let faulty = try FaultyDisk(in: cluster.directory)
                    for node in cluster.numbers {
                        try cluster.start(node, variables: faulty.variables(for: node))
                    }
                    try cluster.awaitReady()
                    try scenario(cluster, faulty)
                }
            }
        }

        @Test("a failed sync stops the process with a clear message; a restart has lost nothing")
        func failedSync() throws {
            try withFaultyDisks { cluster, faulty in
                #expect(try cluster.open("before", at: 1).status == 201)
                let leader = try cluster.leader()
                for failing in [leader, try cluster.leader() % 3 + 1] {
                    let others = cluster.numbers.filter { $0 != failing }
                    try faulty.fail(failing)
                    // The others commit it whether or not this node dies of it.
                    let attempt = "during-\(failing)"
                    #expect(try cluster.open(attempt, at: others[0]).status == 201)
                    #expect(try cluster.child(failing).exitStatus() == 1)
                    let log = try cluster.log(failing)
                    #expect(log.contains("writing the log failed; the node stops"))
                    #expect(log.contains("sync log-0000000000000001.seg"))
                    _ = try cluster.leader(accordingTo: others)
                    let decided = try cluster.twilio(
                        .gathered(LocalCluster.digits),
                        of: attempt,
                        at: others[1]
                    )
                    #expect(decided.disposition == "accepted")

                    faulty.mend(failing)
                    try cluster.start(failing, variables: faulty.variables(for: failing))
                    try cluster.awaitReady()
                    let again = try cluster.twilio(
                        .gathered(LocalCluster.digits),
                        of: attempt,
                        at: failing
                    )
                    #expect(again.disposition == "repeated" && again.body == decided.body)
                    #expect(try cluster.open("before", at: failing).status == 200)
                }
            }
        }

        @Test("all syncs fail at once: nothing is acknowledged that is lost")
        func allSyncsFail() throws {
            try withFaultyDisks { cluster, faulty in
                var acknowledged: [String] = []
                for number in 1...20 {
                    if number == 15 { for node in cluster.numbers { try faulty.fail(node) } }
                    let attempt = "va_\(number)"
                    let answer = try? cluster.open(attempt, at: number % 3 + 1)
                    if answer?.status == 201 { acknowledged.append(attempt) }
                }
                #expect(acknowledged.count == 14)
                for node in cluster.numbers {
                    faulty.mend(node)
                    // One that had nothing to write may have lived on, or be about to end.
                    if cluster.isRunning(node) { cluster.kill(node) }
                    try cluster.start(node, variables: faulty.variables(for: node))
                }
                try cluster.awaitReady()
                for attempt in acknowledged {
                    #expect(try cluster.open(attempt, at: 1).status == 200, "\(attempt) is lost")
                }
            }
        }

        @Test("a leader whose disk hangs is replaced in seconds, and then is a good follower")
        func hungLeader() throws {
            try withFaultyDisks { cluster, faulty in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                let leader = try cluster.leader()
                let others = cluster.numbers.filter { $0 != leader }
                try faulty.hang(leader)
                let start = ContinuousClock.now
                let answer = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: others[0]
                )
                #expect(answer.status == 200 && answer.disposition == "accepted")
                let next = try cluster.leader(accordingTo: others, besides: leader)
                let time = ContinuousClock.now - start
                print("the leader's disk hung, and another led after \(time)")
                #expect(next != leader)
                #expect(time < .seconds(8))
                // It says what is wrong, and what it knows.
                #expect(try disk(cluster, leader) == "stalled")
                #expect(try cluster.get("/livez", at: leader, token: nil).status == 200)
                let unready = try cluster.get("/readyz", at: leader, token: nil)
                #expect(unready.status == 503 && unready.problem?.name == "disk-stalled")
                #expect(try metrics(cluster, leader).contains("\nverdict_disk_stalled 1\n"))
                #expect(try cluster.log(leader).contains("the disk stalls"))
                let known = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: "va_1",
                    at: leader
                )
                #expect(known.disposition == "repeated" && known.body == answer.body)
                let refused = try cluster.open("refused", at: leader, within: .seconds(4))
                #expect(refused.status == 503 && refused.problem?.name == "disk-stalled")
                let status = try cluster.command("status", "--cluster", cluster.clusterFile)
                #expect(status.status == 0 && status.output.contains("stalled"))
                for number in 2...20 {
                    let attempt = "va_\(number)"
                    #expect(try cluster.open(attempt, at: others[number % 2]).status == 201)
                }

                faulty.mend(leader)
                let newest = try cluster.commitIndex(at: next)
                try eventually("the disk gets on, and the node has all") {
                    try disk(cluster, leader) == "good"
                        && cluster.view(of: leader).node(leader)?.role == "follower"
                        && cluster.commitIndex(at: leader) >= newest
                }
                #expect(try cluster.get("/readyz", at: leader, token: nil).status == 200)
                #expect(try cluster.log(leader).contains("the disk gets on again"))
                // And it can lead.
                let handed = try cluster.send(
                    "POST",
                    "/v1/cluster/leader",
                    at: next,
                    token: cluster.document.tokens.operate,
                    body: #"{"node": \#(leader)}"#
                )
                #expect(handed.status == 200, "\(handed.text)")
                #expect(try cluster.leader() == leader)
                #expect(try cluster.open("last", at: leader).status == 201)
            }
        }

        @Test("a follower's hung disk costs the cluster nothing; the node still ends when told to")
        func hungFollower() throws {
            try withFaultyDisks { cluster, faulty in
                #expect(try cluster.open("va_0", at: 1).status == 201)
                let leader = try cluster.leader()
                let term = try cluster.view(of: leader).term
                let others = cluster.numbers.filter { $0 != leader }
                try faulty.hang(others[0])
                for number in 1...100 {
                    let node = number % 2 == 0 ? leader : others[1]
                    #expect(try cluster.open("va_\(number)", at: node).status == 201)
                }
                try eventually("the node notices") { try disk(cluster, others[0]) == "stalled" }
                try eventually("the others know") {
                    try cluster.view(of: leader).node(others[0])?.disk == "stalled"
                }
                #expect(try cluster.view(of: leader).term == term)
                try cluster.signal(others[0], SIGTERM)
                #expect(try cluster.child(others[0]).exitStatus() == 0)
                faulty.mend(others[0])
                try cluster.start(others[0], variables: faulty.variables(for: others[0]))
                try cluster.awaitReady()
                #expect(try cluster.open("va_100", at: others[0]).status == 200)
            }
        }

        // MARK: Room

        private func withSmallDisks(_ scenario: (LocalCluster) throws -> Void) throws {
            try unlessNotHere {
                try withCluster(timers: Disks.timers, starts: false) { cluster in
                    for node in cluster.numbers {
                        try cluster.edit(cluster.configuration(of: node)) { text in
                            text.replacingFirst(
                                "segment_mib: 1",
                                with: "segment_mib: 1, reserve_mib: 0"
                            )
                        }
                        cluster.fileSystems[node] = try SmallFileSystem(
                            at: cluster.dataDirectory(of: node),
                            mebibytes: 6
                        )
                    }
                    for node in cluster.numbers { try cluster.start(node) }
                    try cluster.awaitReady()
                    try scenario(cluster)
                }
            }
        }

        private static let subject = String(repeating: "s", count: 250)

        /// Opens attempts until a condition holds; returns those that were acknowledged.
        private func open(
            _ name: String,
            at node: Int,
            _ cluster: LocalCluster,
            until isDone: (Response) throws -> Bool
        ) throws -> [String] {
            let connection = try Connection(port: cluster.httpPort(node))
            var acknowledged: [String] = []
            for number in 1...6000 {
                let attempt = "\(name)-\(number)"
                try connection.send(
                    Wire.request(
                        "PUT",
                        "/v1/attempts/\(attempt)",
                        token: cluster.document.tokens.ingest,
                        body: """
                            {"flow":"login","subject":"\(Disks.subject)",\
                            "challenge":{"digits":"\(LocalCluster.digits)","max_tries":3}}
                            """
                    )
                )
                guard let response = try connection.receive().response else {
                    throw Connection.Failure(description: "node \(node) closed")
                }
                if response.status == 201 { acknowledged.append(attempt) }
                if try isDone(response) { return acknowledged }
            }
            throw Child.Failure(description: "6000 attempts opened, and not full")
        }

        @Test("a full disk under the leader: leadership moves, the others go on, and it comes back")
        func fullLeader() throws {
            try withSmallDisks { cluster in
                let leader = try cluster.leader()
                let other = leader % 3 + 1
                try #require(cluster.fileSystems[leader]).fill()
                var acknowledged = try open("a", at: other, cluster) { response in
                    #expect(response.status == 201)
                    return try cluster.view(of: other).leader != leader
                }
                #expect(["reserve", "full"].contains(try disk(cluster, leader)))
                #expect(try cluster.log(leader).contains("the disk is full"))
                // The node takes part as long as its reserve lasts, and then still answers.
                acknowledged += try open("b", at: other, cluster) { response in
                    #expect(response.status == 201)
                    return try cluster.view(of: other).node(leader)?.disk == "full"
                }
                let decided = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: acknowledged[0],
                    at: other
                )
                #expect(decided.disposition == "accepted")
                #expect(cluster.isRunning(leader))
                let refused = try cluster.open("refused", at: leader)
                #expect(refused.status == 507 && refused.problem?.name == "disk-full")
                let unready = try cluster.get("/readyz", at: leader, token: nil)
                #expect(unready.status == 507 && unready.problem?.name == "disk-full")
                #expect(try cluster.get("/readyz", at: other, token: nil).status == 200)
                #expect(
                    try metrics(cluster, leader).contains("verdict_disk_room{room=\"none\"} 1\n")
                )
                // What it has no room for it does not have; a small entry may still have found some.
                let local = try cluster.timeline(acknowledged[0], at: leader, isLocal: true)
                #expect(local.entries.first?.event == "opened")

                try #require(cluster.fileSystems[leader]).empty()
                let newest = try cluster.commitIndex(at: other)
                try eventually("the node has room, and all entries") {
                    try disk(cluster, leader) == "good"
                        && cluster.commitIndex(at: leader) >= newest
                }
                #expect(try cluster.get("/readyz", at: leader, token: nil).status == 200)
                #expect(try cluster.open("again", at: leader).status == 201)
                let same = try cluster.twilio(
                    .gathered(LocalCluster.digits),
                    of: acknowledged[0],
                    at: leader
                )
                #expect(same.disposition == "repeated" && same.body == decided.body)
            }
        }

        @Test("a majority is full: opens get 507, what can decide goes on, all resumes by itself")
        func fullMajority() throws {
            try withSmallDisks { cluster in
                let full = [1, 2]
                for node in full { try #require(cluster.fileSystems[node]).fill() }
                let acknowledged = try open("a", at: 3, cluster) { response in
                    if response.status == 201 { return false }
                    #expect(response.status == 507)
                    let problem = response.problem
                    #expect(problem?.name == "disk-full" && problem?.retry_after != nil)
                    return true
                }
                for node in cluster.numbers {
                    try eventually("node \(node) knows") {
                        try cluster.open("refused-\(node)", at: node).status == 507
                    }
                    try eventually("node \(node) says so, and is ready for callbacks") {
                        let ready = try cluster.get("/readyz", at: node, token: nil)
                        return ready.status == 200
                            && ready.text.contains("no room for new attempts")
                    }
                }
                // What decides goes on until the reserve is used up.
                var hasEnded = false
                var decided: [(attempt: String, first: Response)] = []
                for attempt in acknowledged {
                    let answer = try cluster.twilio(
                        .gathered(LocalCluster.digits),
                        of: attempt,
                        at: decided.count % 3 + 1
                    )
                    if answer.status == 507 {
                        #expect(answer.problem?.name == "disk-full", "\(answer.text)")
                        hasEnded = true
                        break
                    }
                    // The one that met the end of the reserve under way: nothing is claimed of it.
                    if answer.problem?.name == "undecided-in-time" { continue }
                    #expect(answer.status == 200 && answer.disposition == "accepted")
                    decided.append((attempt, answer))
                }
                print(
                    "\(acknowledged.count) opened, then \(decided.count) decided from the reserve"
                )
                #expect(decided.count > 50 && hasEnded)
                // All die, and come back on disks that are still full.
                for node in cluster.numbers { cluster.kill(node) }
                for node in cluster.numbers { try cluster.start(node) }
                func expectAgain(_ attempt: String, _ first: Response) throws {
                    let again = try eventually("\(attempt) is answered again") { () -> Response? in
                        let again = try cluster.twilio(
                            .gathered(LocalCluster.digits),
                            of: attempt,
                            at: 3
                        )
                        return again.status == 200 ? again : nil
                    }
                    #expect(again.disposition == "repeated" && again.body == first.body)
                }
                for (attempt, first) in decided.dropLast() { try expectAgain(attempt, first) }
                for node in full { try #require(cluster.fileSystems[node]).empty() }
                // That the newest entry was committed no disk may say; another one has to follow it first.
                if let (attempt, first) = decided.last { try expectAgain(attempt, first) }
                for node in cluster.numbers {
                    try eventually("node \(node) takes new attempts again") {
                        try cluster.open("new-\(node)", at: node).status == 201
                    }
                    try eventually("its disk is well") { try disk(cluster, node) == "good" }
                }
                for attempt in acknowledged {
                    #expect(try cluster.open(attempt, at: 2).status == 409, "\(attempt) is lost")
                }
            }
        }
    }
}
