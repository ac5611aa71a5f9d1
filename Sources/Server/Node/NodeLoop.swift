import Digest
import HTTP
import Journal
import Providers
import Raft
import Reactor
import Replica
import Verification

/// A node: the one thread that owns its state and carries out what `ReplicaNode` asks for.
///
/// A turn takes in all that is ready (requests, messages, finished disk work), lets the replica make
/// one batch of it, and only then writes, once a socket. Deliberately not `Sendable`.
final class NodeLoop {
    let configuration: NodeConfiguration
    var secrets: Secrets
    var authorizer: Authorizer
    var bodies: BodyReader
    /// Definitions and targets of the configured flows, ready for the log.
    let flows: [String: ConfiguredFlow]
    let log: Log
    var metrics = Metrics()

    var poller: Poller
    let signals: SignalSource
    let mailbox: Mailbox<LoopMessage>
    let disk: DiskThreads
    var replica: ReplicaNode

    var httpListener: Listener?
    /// HTTP connections, at most: as configured, or fewer where descriptors are few.
    let maxConnections: Int
    let peerListener: Listener
    var connections = ConnectionTable()
    var links: [PeerLink]
    var inbound: [InboundPeer?] = []
    var nextGeneration: UInt64 = 1

    var now: Instant
    var wall: WallTime
    let startedAt: Instant
    /// What HTTP answers carry as `Date`; made anew each second.
    var date = ""
    var dateSecond: UInt64 = 0
    /// `Verdict-Node` of every answer.
    let nodeHeader: String

    var events: [Poller.Event] = []
    var mail: [LoopMessage] = []
    var readBuffer = [UInt8](repeating: 0, count: 256 * 1024)
    /// Connections and links with something to write at the end of the turn.
    var dirtyConnections: [HTTPConnection] = []
    /// Connections whose answer is out and that may hold a further request.
    var readyConnections: [HTTPConnection] = []
    /// Another turn is due at once.
    var needsTurn = false
    var nextSweepAt: Instant
    /// The HTTP listener is not watched until then: descriptors had run out.
    var acceptsAgainAt: Instant?
    /// The same for the peer listener.
    var acceptsPeersAgainAt: Instant?

    /// Bounds the log lines about strangers at the peer port.
    var strangerLines = LineLimit(perSecond: 5)
    /// Peers that were not let in for their data directory, and when that was last logged.
    var loggedRefusals: [NodeID: (reason: String, at: Instant)] = [:]
    /// When a flood of strangers at the peer port was last logged.
    var strangerFloodLoggedAt: Instant?
    /// Set when the node is to stop: it hands over and drains until then.
    var stopsBy: Instant?
    var transferIsUnderWay = false
    /// Ends the loop for another to begin on what is on the disk; no process's exit status.
    static let startsAnew: Int32 = -1
    var exitStatus: Int32?
    /// The last leader that was known, to count changes.
    private var lastLeader: NodeID?

    init(
        configuration: NodeConfiguration,
        secrets: Secrets,
        log: Log,
        signals: consuming SignalSource,
        mailbox: Mailbox<LoopMessage>,
        disk: DiskThreads,
        replica: consuming ReplicaNode,
        at now: Instant
    ) throws(SystemError) {
        self.configuration = configuration
        self.secrets = secrets
        self.log = log
        self.signals = signals
        self.mailbox = mailbox
        self.disk = disk
        self.replica = replica
        self.now = now
        self.startedAt = now
        self.wall = WallTime(milliseconds: Clock.wallMilliseconds())
        self.nextSweepAt = now
        self.nodeHeader = String(configuration.node.number)
        self.authorizer = Authorizer(secrets)
        self.flows = NodeLoop.prepare(configuration.flows)
        self.bodies = NodeLoop.makeBodyReader(configuration, flows, secrets)
        let descriptors = try DescriptorLimit.raise()
        maxConnections = NodeLoop.connectionLimit(
            configured: configuration.limits.connections,
            descriptors: descriptors
        )
        if maxConnections < configuration.limits.connections {
            log.warning(
                "http",
                "the process may have too few descriptors open for all connections it is to take",
                [
                    "descriptors": .number(Int64(descriptors)),
                    "configured": .number(Int64(configuration.limits.connections)),
                    "connections": .number(Int64(maxConnections)),
                ]
            )
        }
        poller = try Poller()
        httpListener = try Listener(on: HostPort(configuration.http))
        peerListener = try Listener(on: HostPort(configuration.peerListen))
        links = []
        for peer in configuration.peers where peer.node != configuration.node {
            links.append(
                PeerLink(
                    peer: peer.node,
                    region: peer.region,
                    address: HostPort(peer.address),
                    slot: links.count,
                    at: now
                )
            )
        }
        try poller.add(
            self.signals.descriptor,
            token: PollToken.make(.signals),
            interest: .read
        )
        try poller.add(
            mailbox.event.descriptor,
            token: PollToken.make(.mailbox),
            interest: .read
        )
        try poller.add(
            peerListener.descriptor,
            token: PollToken.make(.peerListener),
            interest: .read
        )
        try watchHTTPListener()
    }

    /// Runs until the node is told to stop, or has to.
    ///
    /// - Returns: the exit status.
    func run() throws(SystemError) -> Int32 {
        log.info(
            "node",
            "started",
            [
                "node": .number(Int64(configuration.node.number)),
                "region": .text(configuration.region),
                "http": .text("\(configuration.http.host):\(httpListener?.port ?? 0)"),
                "peer": .text("\(configuration.peerListen.host):\(peerListener.port)"),
                "applied": .number(Int64(replica.appliedIndex.number)),
                "last_index": .number(Int64(replica.raft.lastIndex.number)),
            ]
        )
        while exitStatus == nil {
            try poller.wait(nanoseconds: timeout(), into: &events)
            readClocks()
            for event in events { dispatch(event) }
            turn()
            metrics.turned(nanoseconds: Clock.monotonic() - now.nanoseconds)
        }
        return exitStatus ?? 1
    }

    private func readClocks() {
        now = Instant(nanoseconds: Clock.monotonic())
        let milliseconds = Clock.wallMilliseconds()
        wall = WallTime(milliseconds: milliseconds)
        if milliseconds / 1000 != dateSecond {
            dateSecond = milliseconds / 1000
            date = IMFFixdate.string(secondsSinceEpoch: dateSecond)
        }
    }

    private func timeout() -> UInt64 {
        if needsTurn { return 0 }
        var deadline = min(replica.nextDeadline(at: now, wall: wall), nextSweepAt)
        for link in links { deadline = min(deadline, link.deadline) }
        return deadline.nanoseconds(since: now)
    }

    private func turn() {
        needsTurn = false
        driveLinks()
        applyCommitted()
        if replica.turn(at: now, wall: wall) { needsTurn = true }
        carryOut()
        serveFurtherRequests()
        flush()
        if nextSweepAt <= now { sweep() }
        if stopsBy != nil { continueStopping() }
    }

    /// A part of the replica's turn, done before it to be measured by itself.
    private func applyCommitted() {
        guard replica.appliedIndex < replica.raft.commitIndex else { return }
        let start = Clock.monotonic()
        if replica.applyCommitted(at: now) { needsTurn = true }
        metrics.applyTime.observe(nanoseconds: Clock.monotonic() - start)
    }

    private func dispatch(_ event: Poller.Event) {
        let slot = PollToken.slot(event.token)
        let generation = PollToken.generation(event.token)
        switch PollToken.kind(event.token) {
        case .signals: takeSignals()
        case .mailbox: takeMail()
        case .httpListener: acceptConnections()
        case .peerListener: acceptPeers()
        case .http:
            guard let connection = connections.find(slot: slot, generation: generation) else {
                return
            }
            connectionIsReady(connection, event)
        case .peerInbound: inboundIsReady(slot: slot, generation: generation)
        case .peerOutbound: linkIsReady(slot: slot, generation: generation, event)
        case nil: log.error("node", "event of an unknown kind")
        }
    }

    /// Carries out what the replica asked for, in any order.
    private func carryOut() {
        if let batch = replica.output.batch {
            for case .write(_, _, let bytes) in batch.operations {
                metrics.journalBytesWritten += UInt64(bytes.count)
            }
            disk.log.submit(batch)
        }
        for read in replica.output.diskReads { disk.log.submit(read) }
        if let batch = replica.output.background {
            for case .write(_, _, let bytes) in batch.operations {
                metrics.stateBytesWritten += UInt64(bytes.count)
            }
            disk.state.submit(batch)
        }
        for read in replica.output.loads { disk.reading.submit(read) }
        if let batch = replica.output.intake { disk.intake.submit(batch) }
        for envelope in replica.output.messages { send(envelope) }
        // Answers may submit or read anew, which fills the output again: it is emptied first.
        let completions = replica.output.completions
        let reads = replica.output.reads
        let loaded = replica.output.loaded
        let pieces = replica.output.backupPieces
        let notices = replica.output.notices
        let disconnects = replica.output.disconnects
        replica.output.removeAll()
        for node in disconnects { disconnect(node) }
        for notice in notices { note(notice) }
        for completion in completions { complete(completion) }
        for read in reads { readIsDone(read) }
        for load in loaded { loadIsDone(load) }
        for piece in pieces { backupPieceIsRead(piece) }
    }

    private func takeMail() {
        mailbox.drain(into: &mail)
        for message in mail {
            switch message {
            case .disk(let completion): diskIsDone(completion)
            case .state(let completion): stateIsWritten(completion)
            case .intake(let completion): intakeIsDone(completion)
            case .resolved(let slot, let result): addressIsKnown(slot: slot, result)
            }
        }
        mail.removeAll(keepingCapacity: true)
    }

    private func diskIsDone(_ completion: DiskCompletion) {
        switch completion {
        case .batch(let number, .success, let sync, _):
            metrics.syncTime.observe(nanoseconds: sync)
            metrics.journalSyncs += 1
            replica.batchCompleted(number, at: now)
        case .batch(_, .failure(let error), _, _):
            // What was written since the last good sync may or may not be on the disk, and the
            // system may call it clean: this process's memory is no evidence any more.
            log.error(
                "journal",
                "writing the log failed; the node stops, and a restart goes by what the disk has",
                ["error": .text(describe(error))]
            )
            exitStatus = 1
        case .read(let number, let result):
            replica.readCompleted(number, result, at: now)
        case .noRoom(let number, let error):
            replica.batchFoundNoRoom(number, error, at: now)
        }
    }

    /// A batch beside the log's is done, or has failed, which stops nothing.
    private func stateIsWritten(_ completion: DiskCompletion) {
        guard case .batch(let number, let result, _, _) = completion else { return }
        replica.backgroundCompleted(number, result, at: now)
    }

    private func note(_ notice: Notice) {
        switch notice {
        case .roleChanged(let change):
            count(change)
            log.info(
                "raft",
                "role changed",
                [
                    "role": .text(change.role.rawValue),
                    "term": .number(Int64(change.term.number)),
                    "leader": .number(Int64(change.leader?.number ?? 0)),
                ]
            )
        case .transferEnded(let target, let succeeded):
            transferIsUnderWay = false
            log.info(
                "raft",
                "leadership transfer ended",
                ["to": .number(Int64(target.number)), "succeeded": .flag(succeeded)]
            )
            transferEnded(to: target, succeeded: succeeded)
        case .journalReadFailed(let reason):
            log.error(
                "journal",
                "reading the log for a peer failed",
                ["error": .text(reason)]
            )
        case .retentionChanged(let settings, let before, let index):
            log.warning(
                "state",
                "the time for which attempts are kept changed",
                [
                    "now": .text("\(settings)"), "before": .text("\(before)"),
                    "index": .count(index.number),
                ]
            )
        case .logIncomplete(let missing):
            log.warning(
                "journal",
                "part of the log is not on this disk: it is fetched from the others",
                ["entries": .count(missing)]
            )
        case .logComplete:
            log.info("journal", "nothing is missing in the log any more")
        case .clockDoubted(let correction):
            log.warning(
                "replica",
                "this node's clock is far from most members': what it stamps follows theirs",
                ["correction_ms": .number(correction)]
            )
        case .clockAgrees:
            log.info("replica", "this node's clock agrees with most members' again")
        case .checkpointDone(let index, let records, let runs):
            log.info(
                "state",
                "checkpoint made",
                [
                    "index": .number(Int64(index.number)), "records": .number(Int64(records)),
                    "runs": .number(Int64(runs)),
                ]
            )
        case .merged(let before, let after):
            log.info(
                "state",
                "runs merged",
                ["bytes": .number(Int64(before)), "left": .number(Int64(after))]
            )
        case .storeFailed(let work, let error):
            log.error(
                "state",
                "writing state files failed and is tried again; the newest checkpoint still holds",
                ["work": .text(work), "error": .text(describe(error))]
            )
        case .checkpointSetAside(let reason):
            log.error(
                "state",
                "the checkpoint could not be used and was moved aside; the state was rebuilt from the log",
                ["error": .text(reason)]
            )
        case .stateDamaged(let reason, let isAlone):
            log.error(
                "state",
                isAlone
                    ? "a record of the state cannot be read: the node starts anew, without its checkpoint if the whole log is there"
                    : "a record of the state cannot be read: this node stops serving and fetches the leader's checkpoint",
                ["error": .text(reason)]
            )
        case .runDamaged(let reason, let remedy): noteRunDamage(reason, remedy)
        case .undecodableEntry(let index, let reason):
            log.error(
                "replica",
                "an entry of the log does not decode in this version; it moved nothing",
                ["index": .number(Int64(index.number)), "error": .text(reason)]
            )
        case .installBegun(let entry, let peer):
            log.info(
                "state",
                "the leader has not got the entries that this node needs: its checkpoint is fetched",
                ["entry": .text("\(entry)"), "from": .number(Int64(peer.number))]
            )
        case .installAbandoned(let reason):
            log.warning(
                "state",
                "fetching the checkpoint was given up; it begins anew",
                ["reason": .text(reason)]
            )
        case .installed(let entry):
            log.info(
                "state",
                "a fetched checkpoint is in place: the node starts anew from it",
                ["entry": .text("\(entry)")]
            )
            exitStatus = NodeLoop.startsAnew
        case .diskStalled, .diskGetsOn, .diskFull, .diskHasRoomAgain:
            noteDisk(notice)
        case .intakeRecovered, .intakeDamaged, .intakeUndecodable, .intakeNotRecorded:
            noteIntake(notice)
        case .backupGivenUp(let id): backupIsGivenUp(id)
        case .identity(let notice): note(notice)
        case .digest(let notice): note(notice)
        case .placement(let notice): note(notice)
        case .tornTailCut(let tail):
            log.info(
                "journal",
                "an unfinished write at the end of the log was cut off",
                [
                    "file": .text(tail.file), "offset": .number(Int64(tail.offset)),
                    "found": .text(tail.what),
                ]
            )
        case .logDamaged(let damage):
            metrics.logDamages += 1
            log.error(
                "journal",
                damage.endsLog
                    ? "the log is damaged: this node neither votes nor acknowledges until it is repaired from the others"
                    : "a sealed part of the log is damaged: it is repaired from the others",
                [
                    "error": .text("\(damage.error)"),
                    "evidence": .text(damage.evidence.joined(separator: " ")),
                ]
            )
        }
    }

    /// A node that takes no connections is of no use: it stops and says so.
    private func watchAgain(_ what: StaticString, _ watch: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try watch()
        } catch {
            log.error(what, "the listener cannot be watched", ["error": .text("\(error)")])
            exitStatus = 1
        }
    }

    private func count(_ change: RoleChange) {
        if change.role == .candidate { metrics.electionsStarted += 1 }
        if change.role == .leader { metrics.electionsWon += 1 }
        if let leader = change.leader, leader != lastLeader {
            lastLeader = leader
            metrics.leaderChanges += 1
        }
    }

    /// Closes what took too long; every 250 ms.
    private func sweep() {
        nextSweepAt = now.advanced(by: .milliseconds(250))
        if let again = acceptsAgainAt, again <= now {
            acceptsAgainAt = nil
            watchAgain("http") { () throws(SystemError) in try watchHTTPListener() }
        }
        if let again = acceptsPeersAgainAt, again <= now {
            acceptsPeersAgainAt = nil
            watchAgain("peer") { () throws(SystemError) in
                try poller.add(
                    peerListener.descriptor,
                    token: PollToken.make(.peerListener),
                    interest: .read
                )
            }
        }
        connections.forEach { checkTimeout($0) }
        for case let peer? in inbound where peer.peer == nil {
            if peer.since.advanced(by: PeerLink.greetingTimeout) <= now {
                closeInbound(peer, "it did not say who it is in time")
            }
        }
    }
}

/// The threads that work on a node's data directory.
struct DiskThreads: Sendable {
    /// Writes the log, and reads it back for peers.
    var log: DiskThread
    /// Writes checkpoints, so that the log never waits for them.
    var state: DiskThread
    /// Writes the intake, so that no callback waits there for the log.
    var intake: DiskThread
    /// Reads records of the state.
    var reading: DiskThread
}

/// What other threads tell the loop.
enum LoopMessage: Sendable {
    case disk(DiskCompletion)
    /// Of the thread that writes checkpoints.
    case state(DiskCompletion)
    /// Of the intake's own thread.
    case intake(DiskCompletion)
    /// Where the peer of this link is.
    case resolved(slot: Int, Result<[ResolvedAddress], SystemError>)
}

extension HostPort {
    init(_ address: SocketAddress) { self.init(host: address.host, port: address.port) }
}
