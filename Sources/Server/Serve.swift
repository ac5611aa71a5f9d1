private import Digest
private import Journal
private import Raft
private import Reactor
private import Replica
private import Verification

/// Runs a node until it is told to stop.
///
/// - Returns: the process's exit status: 0 after an orderly stop, 1 if the node could not go on,
///   2 for a bad configuration.
package func serve(configurationAt path: String) -> Int32 {
    let configuration: NodeConfiguration
    let secrets: Secrets
    do throws(ConfigurationError) {
        configuration = try NodeConfiguration.load(path)
        secrets = try Secrets.load(configuration.secretsFile)
    } catch {
        writeToStandardError("\(error)\n")
        return 2
    }
    let writer = LineWriter(descriptor: 2)
    let log = Log(
        level: Log.Level(configuration.log.level),
        format: configuration.log.format == .json ? .json : .logfmt,
        clock: { WallTime(milliseconds: Clock.wallMilliseconds()) },
        sink: { writer.write($0) }
    )
    do {
        while true {
            let status = try run(configuration, secrets, log)
            if status != NodeLoop.startsAnew { return status }
        }
    } catch {
        log.error("node", "cannot go on", ["error": .text(describe(error))])
        return 1
    }
}

private func run(
    _ configuration: NodeConfiguration,
    _ secrets: Secrets,
    _ log: Log
) throws -> Int32 {
    // Before any other thread: they inherit the blocked signals.
    let signals = try SignalSource([
        SignalSource.terminate, SignalSource.interrupt, SignalSource.hangUp,
    ])
    let mailbox = try Mailbox<LoopMessage>()
    let directory = try DataDirectory(configuration.dataDirectory)
    var disk = try directory.disk(reserve: configuration.journalReserveBytes)
    guard try hasKey(of: &disk, secrets, configuration, log) else { return 2 }
    let now = Instant(nanoseconds: Clock.monotonic())
    let replica = try ReplicaNode(
        recovering: &disk,
        configuration: replicaConfiguration(configuration, place: directory.place),
        at: now
    )
    let threads = DiskThreads(
        log: try DiskThread(disk: disk) { mailbox.post(.disk($0)) },
        state: try DiskThread(
            disk: try directory.disk(reserve: configuration.journalReserveBytes),
            endsAtFailure: false
        ) {
            mailbox.post(.state($0))
        },
        intake: try DiskThread(
            disk: try directory.disk(reserve: configuration.journalReserveBytes)
        ) {
            mailbox.post(.intake($0))
        },
        reading: try DiskThread(disk: try directory.readingDisk()) { mailbox.post(.disk($0)) }
    )
    let loop = try NodeLoop(
        configuration: configuration,
        secrets: secrets,
        log: log,
        signals: signals,
        mailbox: mailbox,
        disk: threads,
        replica: replica,
        at: now
    )
    let status = try loop.run()
    if loop.isDiskStalled {
        log.warning("journal", "the disk hangs: the node ends without waiting for it")
        threads.log.abandon()
        threads.state.abandon()
        threads.intake.abandon()
        threads.reading.abandon()
    } else {
        threads.log.stop()
        threads.state.stop()
        threads.intake.stop()
        threads.reading.stop()
    }
    _ = directory.path  // locked until here
    return status
}

/// Whether `digest_key` is the one of the data directory, which is noted at the first start.
private func hasKey(
    of disk: inout FileDisk,
    _ secrets: Secrets,
    _ configuration: NodeConfiguration,
    _ log: Log
) throws -> Bool {
    let mark = secrets.digestKeyMark
    if let known = try DigestKeyMark.read(from: &disk) {
        guard known != mark else { return true }
        log.error(
            "node",
            """
            digest_key is not the one that this data directory was begun or restored with: right digits would be taken \
            for wrong ones; put the old key back
            """,
            [
                "secrets": .text(configuration.secretsFile),
                "data": .text(configuration.dataDirectory),
                "file": .text(DigestKeyMark.file),
            ]
        )
        return false
    }
    do {
        try DigestKeyMark.write(mark, to: &disk)
    } catch {
        // A node starts on a full disk, too; the next start tries again.
        log.warning(
            "node",
            "which digest_key the data directory has could not be noted",
            ["error": .text("\(error)")]
        )
    }
    return true
}

private func replicaConfiguration(
    _ configuration: NodeConfiguration,
    place: UInt64
) -> ReplicaConfiguration {
    var raft = RaftConfiguration(
        node: configuration.node,
        membership: Membership(voters: configuration.peers.map(\.node)),
        seed: randomNumber()
    )
    raft.electionTimeout = configuration.timers.electionTimeout
    raft.heartbeatInterval = configuration.timers.heartbeat
    raft.commitInference = configuration.timers.commitInference
    let journal = JournalConfiguration(
        cluster: configuration.cluster,
        node: configuration.node,
        salt: randomNumber(),
        segmentSize: configuration.journalSegmentBytes
    )
    var replica = ReplicaConfiguration(raft: raft, journal: journal, incarnation: randomNumber())
    replica.state.checkpointBytes = configuration.state.checkpointBytes
    replica.state.checkpointAttempts = configuration.state.checkpointAttempts
    replica.state.cacheBytes = configuration.state.cacheBytes
    replica.state.retention = configuration.state.retention
    var placement = PlacementSettings()
    placement.moves = configuration.movesLeader
    placement.stableFor = configuration.leaderStableFor
    replica.placement = placement
    let timers = configuration.timers
    if !timers.isElectionTimeoutFixed || !timers.isHeartbeatFixed {
        var timing = TimingSettings()
        timing.least = timers.leastElectionTimeout
        timing.most = timers.mostElectionTimeout
        if timers.isElectionTimeoutFixed { timing.fixedElectionTimeout = timers.electionTimeout }
        if timers.isHeartbeatFixed { timing.fixedHeartbeat = timers.heartbeat }
        replica.timing = timing
    }
    replica.requestHold = configuration.timers.requestHold
    replica.diskStall = configuration.timers.diskStall
    replica.maxPendingRequests = configuration.limits.pendingRequests
    replica.digestInterval = configuration.digestInterval
    replica.intake.bytes = configuration.limits.intakeBytes
    replica.intake.age = configuration.limits.intakeAge
    replica.identity = IdentityConfiguration(
        fresh: DirectoryID(high: randomNumber(), low: randomNumber()),
        place: configuration.dataMayMove ? 0 : place
    )
    return replica
}

private func randomNumber() -> UInt64 {
    SecureRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
}

extension Log.Level {
    fileprivate init(_ level: NodeConfiguration.Log.Level) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}

/// An error in words, with the system's own for its numbers.
func describe(_ error: any Error) -> String {
    switch error {
    case let error as DiskError: SystemError(error.operation, code: error.code).description
    case JournalError.disk(let error): SystemError(error.operation, code: error.code).description
    default: "\(error)"
    }
}

func writeToStandardError(_ text: String) { LineWriter(descriptor: 2).write(Array(text.utf8)) }
