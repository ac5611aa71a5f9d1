import HTTP
import Journal
import Raft
import Reactor
import Replica
import Verification

/// What operators ask: the cluster, readiness, metrics, handing over.
extension NodeLoop {
    func clusterBody() -> ClusterBody {
        let nodes = configuration.peers.map { peer in
            let record = replica.directoryIdentity?[member: peer.node]
            guard peer.node != configuration.node else {
                var own = ClusterBody.Node(
                    node: peer.node.number,
                    region: peer.region,
                    role: replica.raft.role.rawValue,
                    disk: replica.status.disk,
                    commitIndex: replica.raft.commitIndex.number,
                    appliedIndex: replica.appliedIndex.number,
                    isReachable: true,
                    roundTripMilliseconds: 0,
                    http: "http://\(peer.http)"
                )
                own.condition = replica.condition.name
                let depth = replica.intakeDepth(wall: wall)
                own.intake = ClusterBody.Intake(
                    records: depth.records,
                    bytes: depth.bytes,
                    oldestSeconds: depth.oldestMilliseconds / 1000
                )
                own.directory = record?.directory.description
                own.starts = replica.directoryIdentity?.starts
                own.refused = replica.exclusion
                return own
            }
            let state = replica.peerStates.first { $0.node == peer.node }
            let isReachable = state.map { replica.isReachable($0, at: now) } ?? false
            var node = ClusterBody.Node(
                node: peer.node.number,
                region: peer.region,
                role: isReachable ? state?.status?.role.rawValue ?? "unknown" : "unknown",
                disk: isReachable ? state?.status?.disk : nil,
                commitIndex: state?.status?.commitIndex.number,
                appliedIndex: state?.status?.appliedIndex.number,
                isReachable: isReachable,
                roundTripMilliseconds: state?.roundTrip.map { Double($0 / 1000) / 1000 },
                http: "http://\(peer.http)"
            )
            if isReachable, let condition = state?.status?.condition {
                node.condition = condition.name
            }
            node.directory = record?.directory.description
            node.starts = record?.starts
            node.refused = state?.refusal?.description
            return node
        }
        let kept = replica.machine.retention.settings
        var body = ClusterBody(
            leader: replica.raft.leader?.number,
            term: replica.raft.currentTerm.number,
            node: configuration.node.number,
            retention: ClusterBody.Retention(
                detailsSeconds: kept.retentionSeconds,
                forgetAfterSeconds: kept.forgetAfterSeconds
            ),
            nodes: nodes
        )
        let placement = replica.placementView
        func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1000) / 1000 }
        body.bestLeader = placement.best?.number
        body.decisionMilliseconds = placement.mean.map(milliseconds)
        body.bestDecisionMilliseconds = placement.bestMean.map(milliseconds)
        body.electionTimeoutMilliseconds = milliseconds(replica.raft.timing.electionTimeout)
        return body
    }

    /// Why nothing can be asked of the others from here, where the cluster does not count this node in.
    ///
    /// It may be well and have a majority. `nil` if it counts this node in.
    var admissionProblem: Problem? {
        switch replica.condition {
        case .excluded:
            .notAdmitted(
                replica.exclusion ?? "the cluster does not count on this node's data directory"
            )
        case .forming: .notAdmitted("the nodes of the cluster have not all met yet")
        case .healthy, .damaged, .repairing, .quarantined, .rebuilding: nil
        }
    }

    func readiness() -> Response {
        if stopsBy != nil { return Problem.stopping(retryAfter: 1).response }
        switch replica.condition {
        case .quarantined, .rebuilding:
            return Problem.quarantined(isRebuilding: replica.isRebuilding).response
        case .excluded, .forming, .healthy, .damaged, .repairing: break
        }
        if let problem = admissionProblem { return problem.response }
        let depth = replica.intakeDepth(wall: wall)
        let intakeLine = depth.records > 0 ? depth.words + "\n" : ""
        guard replica.canCommit else {
            var problem = Problem.noQuorum(retryAfter: 1, leader: replica.raft.leader?.number)
            if depth.records > 0 { problem.detail += "; \(depth.words)" }
            return problem.response
        }
        // It says what it knows, but may not learn what the others decide.
        if replica.isDiskStalled { return Problem.diskStalled(retryAfter: 2).response }
        switch replica.clusterRoom(at: now) {
        case .none: return noRoom().response
        case .reserve:
            return plain(200, "ready, but there is no room for new attempts\n" + intakeLine)
        case .enough: break
        }
        return plain(
            200,
            (replica.diskRoom == .enough ? "ready\n" : "ready, but this node's disk is full\n")
                + intakeLine
        )
    }

    /// Hands leadership over; answered when another leader is seen, or the transfer failed.
    func handOver(to target: NodeID, _ connection: HTTPConnection) throws(Problem) {
        guard configuration.peers.contains(where: { $0.node == target }) else {
            throw .invalid(field: "node", "is not a node of this cluster")
        }
        switch replica.transferLeadership(to: target, at: now) {
        case nil:
            connection.exchange?.step = .transferring(target)
            needsTurn = true
        case .alreadyLeader:
            answer(connection, handedOver())
        case .notLeader(let known):
            throw .notLeader(leader: known?.number)
        case .notVoter:
            throw .invalid(field: "node", "is not a voter")
        case .transferring, .noTarget:
            throw .noQuorum(retryAfter: 1, leader: replica.raft.leader?.number)
        }
    }

    func transferEnded(to target: NodeID, succeeded: Bool) {
        connections.forEach { connection in
            guard case .transferring(target) = connection.exchange?.step else { return }
            if succeeded {
                answer(connection, handedOver())
            } else {
                answer(
                    connection,
                    Problem.noQuorum(
                        retryAfter: 1,
                        leader: replica.raft.leader?.number
                    ).response
                )
            }
        }
    }

    private func handedOver() -> Response {
        json(
            HandOverBody.bytes(
                leader: replica.raft.leader?.number ?? 0,
                term: replica.raft.currentTerm.number
            )
        )
    }

    /// Lets the directory in that this node refused for a node; answered when the log says so.
    func readmit(_ node: NodeID, _ connection: HTTPConnection) throws(Problem) {
        guard configuration.peers.contains(where: { $0.node == node }) else {
            throw .invalid(field: "node", "is not a node of this cluster")
        }
        guard let directory = replica.knock(of: node) else { throw .notWaiting }
        let readmission = Readmission(
            node: node.number,
            high: directory.high,
            low: directory.low,
            replaces: replica.directory(of: node).map { .init(high: $0.high, low: $0.low) },
            request: RequestID(node: configuration.node.number, incarnation: 0, sequence: 0)
        )
        switch replica.submit(
            .readmit(readmission),
            context: connection.context,
            heldSince: connection.exchange?.startedAt,
            at: now
        )
        {
        case .taken:
            connection.exchange?.step = .readmitting(node, directory)
            needsTurn = true
        case .refused: throw .overloaded(retryAfter: 1)
        }
    }

    func readmitted(
        _ node: NodeID,
        _ directory: DirectoryID,
        _ result: Completion.Result,
        _ connection: HTTPConnection
    ) {
        guard case .applied = result else {
            answer(connection, timedOut().response)
            return
        }
        // Another one may have been let in meanwhile.
        guard replica.directory(of: node) == directory else {
            return answer(connection, Problem.notWaiting.response)
        }
        answer(
            connection,
            json(ReadmissionBody.bytes(node: node.number, directory: "\(directory)"))
        )
    }

    /// Builds this node's state anew from its log.
    func rebuild(_ node: NodeID, _ connection: HTTPConnection) throws(Problem) {
        guard configuration.peers.contains(where: { $0.node == node }) else {
            throw .invalid(field: "node", "is not a node of this cluster")
        }
        guard node == configuration.node else { throw .otherNode(node.number) }
        _ = replica.rebuild(at: now)
        needsTurn = true
        answer(
            connection,
            json(RebuildBody.bytes(node: node.number, condition: replica.condition.name))
        )
    }

    func metricsPage() -> Response {
        let counters = replica.counters
        metrics.proposals = counters.proposed
        metrics.forwards = counters.forwardedOut
        metrics.proposedAgain = counters.sentAgain
        metrics.takenIn = counters.takenIn
        metrics.intakeReplicated = counters.intakeReplicated
        metrics.intakeNotRecorded = counters.intakeNotRecorded
        metrics.intakeRefused = counters.intakeRefused
        metrics.diskStalls = counters.diskStalls
        metrics.timesOutOfRoom = counters.timesOutOfRoom
        metrics.unstoredEntries = replica.raft.unstoredEntries
        metrics.setOutcomes { replica.machine.counters.attempts(in: $0) }
        return Response(
            status: 200,
            contentType: PrometheusText.contentType,
            body: metrics.text(gauges())
        )
    }

    private func gauges() -> Gauges {
        let counters = replica.counters
        var gauges = Gauges(
            node: configuration.node.number,
            region: configuration.region,
            version: VerdictVersion.text
        )
        gauges.role = Gauges.Role(rawValue: replica.raft.role.rawValue) ?? .follower
        gauges.term = replica.raft.currentTerm.number
        gauges.leader = replica.raft.leader?.number ?? 0
        let placement = replica.placementView
        gauges.bestLeader = placement.best?.number ?? 0
        gauges.meanDecision = placement.mean
        gauges.bestMeanDecision = placement.bestMean
        gauges.electionTimeout = replica.raft.timing.electionTimeout
        gauges.placementMoves = replica.counters.placementMoves
        gauges.clockCorrectionMilliseconds = replica.clockCorrection
        gauges.missingEntries = replica.missingEntries
        gauges.commitIndex = replica.raft.commitIndex.number
        gauges.appliedIndex = replica.appliedIndex.number
        gauges.lastLogIndex = replica.raft.lastIndex.number
        gauges.durableIndex = replica.raft.durableIndex.number
        gauges.inferredCommits = replica.raft.inferredCommits
        gauges.attempts = AttemptState.allCases.reduce(0) {
            $0 + replica.machine.counters.attempts(in: $1)
        }
        gauges.checkpointIndex = replica.checkpoint?.index.number ?? 0
        gauges.checkpoints = counters.checkpoints
        gauges.storeFailures = counters.storeFailures
        gauges.residentAttempts = UInt64(replica.machine.residentCount)
        gauges.settledAttempts = UInt64(replica.machine.settledCount)
        gauges.recordLoads = replica.machine.loadCount
        gauges.recordEvictions = replica.machine.evictionCount
        let files = replica.stateFiles
        gauges.runs = UInt64(files.count)
        gauges.runBytes = UInt64(files.bytes)
        gauges.liveRunBytes = UInt64(max(0, files.liveBytes))
        gauges.logScrub = Gauges.Scrub(replica.logScrubCounts)
        gauges.stateScrub = Gauges.Scrub(replica.stateScrubCounts)
        gauges.connections = UInt64(connections.count)
        gauges.waitingProposals = UInt64(replica.forwardedCount)
        gauges.waitingReads = UInt64(replica.pendingReads)
        gauges.heldRequests = UInt64(replica.pendingRequests)
        gauges.waitingWrites = UInt64(replica.journal.pendingBytes)
        let depth = replica.intakeDepth(wall: wall)
        gauges.intakeRecords = UInt64(depth.records)
        gauges.intakeBytes = UInt64(depth.bytes)
        gauges.intakeOldestMilliseconds = depth.oldestMilliseconds
        gauges.diskRoom = Gauges.DiskRoom(replica.diskRoom)
        gauges.isDiskStalled = replica.isDiskStalled
        gauges.diskWaitNanoseconds = replica.diskWait(at: now)
        gauges.condition = replica.condition.name
        gauges.conditions = NodeCondition.allCases.map(\.name)
        gauges.directoryStarts = replica.directoryIdentity?.starts ?? 0
        gauges.digestIndex = replica.machine.digest.marks.last?.index.number ?? 0
        gauges.digestsChecked = replica.machine.counters.checkedDigests
        gauges.digestsUnchecked = replica.machine.counters.uncheckedDigests
        gauges.uptimeSeconds = now.nanoseconds(since: startedAt) / 1_000_000_000
        gauges.peers = links.map { link in
            let state = replica.peerStates.first { $0.node == link.peer }
            return Gauges.Peer(
                node: link.peer.number,
                isConnected: link.isUp,
                roundTripNanoseconds: state?.roundTrip,
                clockOffsetMilliseconds: state?.clockOffset,
                bytesSent: link.bytesSent,
                bytesReceived: bytesReceived(from: link.peer),
                queuedBytes: UInt64(link.output.count)
            )
        }
        return gauges
    }
}

extension IntakeDepth {
    fileprivate var words: String {
        "\(records) \(records == 1 ? "callback" : "callbacks") of \(bytes) bytes in the intake, the oldest for \(oldestMilliseconds / 1000) s"
    }
}
