import Providers
import Raft
import Verification

extension NodeConfiguration {
    /// Reads a configuration file.
    ///
    /// The secrets are read apart, by `Secrets.load`.
    /// - Throws: all findings, each with file, line and field.
    package static func load(_ path: String) throws(ConfigurationError) -> NodeConfiguration {
        try NodeConfiguration(reading: ConfigurationFile(reading: path))
    }

    package init(reading file: ConfigurationFile) throws(ConfigurationError) {
        let document = try ConfigurationDocument(file, isSecret: false)
        let fields = FieldReader(document, document.root, at: .root)

        source = file.path
        cluster = fields.string("cluster", problem: nameProblem)
        node = NodeID(UInt32(fields.integer("node", NodeConfiguration.nodeNumbers)))
        region = fields.string("region", problem: nameProblem)
        dataDirectory = file.resolve(fields.string("data", problem: pathProblem))
        secretsFile = file.resolve(fields.string("secrets", problem: pathProblem))

        let http = fields.listening("http")
        let peerListen = fields.listening("peer")
        if let http, http == peerListen { fields.report("peer", "must differ from http, \(http)") }
        let publicOrigin = fields.parsed(
            "public",
            as: "an origin such as https://node.example, without a trailing slash",
            PublicOrigin.init(_:)
        )
        peers = NodeConfiguration.readPeers(fields, node: node, region: region)

        let prefixes = fields.strings("allowed_targets") { text in
            TargetAllowList.Prefix(text) == nil
                ? "must be a URL such as https://bank.example/ivr/, without a query" : nil
        }
        allowedTargets = TargetAllowList(prefixes.compactMap { .init($0.text) })
        flows = FlowSettings.read(fields.object("flows"), allowing: allowedTargets)
        if !flows.contains(where: { $0.name == FlowSettings.unnamed }) {
            flows.append(FlowSettings(name: FlowSettings.unnamed, kind: .code))
            flows.sort { $0.name < $1.name }
        }

        timers = Timers(reading: fields.object("timers"))
        limits = Limits(reading: fields.object("limits"))
        log = Log(reading: fields.object("log"))
        state = State(reading: fields.object("state"))
        let journal = fields.object("journal")
        journalSegmentBytes = journal.integer("segment_mib", 1...1024, default: 64) * 1024 * 1024
        journalReserveBytes =
            journal.integer("reserve_mib", 0...1_048_576, default: 64) * 1024 * 1024
        dataMayMove = journal.flag("may_move", default: false)
        journal.close()
        let placement = fields.object("placement")
        movesLeader = placement.flag("move_leader", default: true)
        leaderStableFor = .seconds(placement.integer("stable_seconds", 1...86_400, default: 10))
        placement.close()
        let digest = fields.object("digest")
        let seconds = digest.integer("check_seconds", 0...86_400, default: 10)
        digestInterval = seconds == 0 ? nil : .seconds(seconds)
        digest.close()
        fields.close()

        try document.finish()
        guard let http, let peerListen, let publicOrigin else {
            fatalError("an address is missing but was not reported")
        }
        self.http = http
        self.peerListen = peerListen
        self.publicOrigin = publicOrigin
    }

    static let nodeNumbers = 1...65_535

    /// Reads the list of all nodes: this one must be in it, and no two may share a number or an
    /// address.
    private static func readPeers(_ fields: FieldReader, node: NodeID, region: String) -> [Peer] {
        let document = fields.document
        let items = fields.list("peers", isRequired: true)
        var peers: [Peer] = []
        var numbers: [NodeID: FieldPath] = [:]
        var addresses: [SocketAddress: FieldPath] = [:]
        for item in items {
            let reader = FieldReader(document, item.node, at: item.path)
            let number = NodeID(UInt32(reader.integer("node", nodeNumbers)))
            let peerRegion = reader.string("region", problem: nameProblem)
            let address = reader.address("peer")
            let http = reader.address("http")
            reader.close()

            if reader.has("node") {
                let place = item.path.appending("node")
                if let first = numbers[number] {
                    document.report(
                        place,
                        "must differ between nodes: \(number.number) is \(first) too, "
                            + "line \(document.line(of: first))"
                    )
                }
                numbers[number] = numbers[number] ?? place
            }
            for (name, address) in [("peer", address), ("http", http)] {
                guard let address else { continue }
                let place = item.path.appending(name)
                if let first = addresses[address] {
                    document.report(
                        place,
                        "must differ between nodes and between peer and http: \(address) is "
                            + "\(first) too, line \(document.line(of: first))"
                    )
                }
                addresses[address] = addresses[address] ?? place
            }
            if number == node, reader.has("region"), fields.has("region"), peerRegion != region {
                document.report(
                    item.path.appending("region"),
                    "is this node's, and must be \"\(region)\" as at the top, "
                        + "is \"\(peerRegion)\""
                )
            }
            if let address, let http {
                peers.append(
                    Peer(node: number, region: peerRegion, address: address, http: http)
                )
            }
        }
        if fields.has("peers"), fields.has("node"), numbers[node] == nil {
            fields.report("peers", "must list every node, and lacks this one, \(node.number)")
        }
        if items.count > maxNodes {
            fields.report("peers", "must be 1…\(maxNodes) nodes, are \(items.count)")
        }
        return peers.sorted { $0.node < $1.node }
    }

    /// More voters only make a majority slower.
    private static let maxNodes = 15
}

extension NodeConfiguration.Timers {
    fileprivate init(reading fields: FieldReader) {
        self.init()
        func milliseconds(_ name: String, _ range: ClosedRange<Int>, _ other: Duration) -> Duration
        {
            let parts = other.components
            let other = Int(parts.seconds) * 1000 + Int(parts.attoseconds / 1_000_000_000_000_000)
            return .milliseconds(fields.integer(name, range, default: other))
        }
        heartbeat = milliseconds("heartbeat_ms", 5...10_000, heartbeat)
        electionTimeout = milliseconds("election_timeout_ms", 20...60_000, electionTimeout)
        commitInference = fields.flag("commit_inference", default: commitInference)
        requestHold = milliseconds("request_hold_ms", 0...10_000, requestHold)
        httpHead = milliseconds("http_head_ms", 100...120_000, httpHead)
        httpBody = milliseconds("http_body_ms", 100...120_000, httpBody)
        httpIdle = milliseconds("http_idle_ms", 100...3_600_000, httpIdle)
        shutdown = milliseconds("shutdown_ms", 0...60_000, shutdown)
        diskStall = .seconds(
            fields.integer(
                "disk_stall_seconds",
                1...600,
                default: Int(diskStall.components.seconds)
            )
        )
        isHeartbeatFixed = fields.has("heartbeat_ms")
        isElectionTimeoutFixed = fields.has("election_timeout_ms")
        leastElectionTimeout = milliseconds(
            "election_timeout_min_ms",
            50...60_000,
            leastElectionTimeout
        )
        mostElectionTimeout = milliseconds(
            "election_timeout_max_ms",
            50...60_000,
            mostElectionTimeout
        )
        if mostElectionTimeout < leastElectionTimeout {
            fields.report(
                fields.has("election_timeout_max_ms")
                    ? "election_timeout_max_ms" : "election_timeout_min_ms",
                "election_timeout_max_ms must be at least election_timeout_min_ms, "
                    + "is \(mostElectionTimeout) with a minimum of \(leastElectionTimeout)"
            )
        }
        // One lost heartbeat must not cost an election.
        if electionTimeout < heartbeat * 2 {
            fields.report(
                fields.has("election_timeout_ms") ? "election_timeout_ms" : "heartbeat_ms",
                "election_timeout_ms must be at least twice heartbeat_ms, "
                    + "is \(electionTimeout) with a heartbeat of \(heartbeat)"
            )
        }
        fields.close()
    }
}

extension NodeConfiguration.Limits {
    fileprivate init(reading fields: FieldReader) {
        self.init()
        connections = fields.integer("connections", 1...1_000_000, default: connections)
        headBytes = fields.integer("head_bytes", 1024...1_048_576, default: headBytes)
        bodyBytes = fields.integer("body_bytes", 1024...1_048_576, default: bodyBytes)
        pendingRequests = fields.integer(
            "pending_requests",
            1...1_000_000,
            default: pendingRequests
        )
        let mebibyte = 1024 * 1024
        intakeBytes =
            mebibyte * fields.integer("intake_mib", 1...4096, default: intakeBytes / mebibyte)
        intakeAge = .seconds(
            fields.integer(
                "intake_age_seconds",
                1...30 * 24 * 3600,
                default: Int(intakeAge.components.seconds)
            )
        )
        fields.close()
    }
}

extension NodeConfiguration.State {
    fileprivate init(reading fields: FieldReader) {
        self.init()
        let day = 24 * 60 * 60
        let kept = fields.integer("retention_days", 1...36_500, default: 400)
        let forgotten = fields.integer("forget_after_days", 0...36_500, default: 0)
        // Where neither is given, a cluster that was restored keeps the settings that came with its state.
        if fields.has("retention_days") || fields.has("forget_after_days") {
            retention = RetentionSettings(
                retentionSeconds: UInt64(kept * day),
                forgetAfterSeconds: forgotten == 0 ? nil : UInt64(forgotten * day)
            )
        }
        if forgotten != 0, forgotten < kept {
            fields.report(
                "forget_after_days",
                "must be 0 (never) or no less than retention_days, is \(forgotten) with \(kept)"
            )
        }
        checkpointBytes = fields.integer("checkpoint_mib", 1...16_384, default: 64) * 1024 * 1024
        checkpointAttempts = fields.integer(
            "checkpoint_attempts",
            100...100_000_000,
            default: checkpointAttempts
        )
        cacheBytes = fields.integer("cache_mib", 0...1_048_576, default: 128) * 1024 * 1024
        fields.close()
    }
}

extension NodeConfiguration.Log {
    fileprivate init(reading fields: FieldReader) {
        self.init()
        format = fields.choice("format", ["logfmt": .logfmt, "json": .json], default: format)
        level = fields.choice(
            "level",
            ["debug": .debug, "info": .info, "warning": .warning, "error": .error],
            default: level
        )
        fields.close()
    }
}

extension FieldReader {
    fileprivate func address(_ name: String) -> SocketAddress? {
        parsed(name, as: "an address such as 10.0.0.1:9101") { text in
            SocketAddress(text).flatMap { $0.port == 0 ? nil : $0 }
        }
    }
    /// An address to listen at: it must be one of this machine, so names are not looked up.
    fileprivate func listening(_ name: String) -> SocketAddress? {
        parsed(name, as: "an IP address and port such as 127.0.0.1:8101") { text in
            SocketAddress(text).flatMap { $0.isNumeric ? $0 : nil }
        }
    }
}

private func nameProblem(_ text: String) -> String? {
    text.utf8.count <= 64 && Token.isValid(text.utf8)
        ? nil : "must be 1–64 characters of A-Z a-z 0-9 . _ : -"
}

private func pathProblem(_ text: String) -> String? {
    text.isEmpty || text.utf8.contains(0) ? "must be a path" : nil
}
