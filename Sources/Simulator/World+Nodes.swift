internal import Journal
internal import Raft
internal import Replica
internal import Verification

extension World {
    private func configuration(of host: Host) -> ReplicaConfiguration {
        var raft = RaftConfiguration(
            node: host.id,
            membership: Membership(voters: hosts.map(\.id)),
            seed: host.random.next()
        )
        raft.electionTimeout = .nanoseconds(Int64(plan.electionTimeout))
        raft.heartbeatInterval = .nanoseconds(Int64(plan.heartbeat))
        raft.commitInference = plan.infers[Int(host.id.number) - 1]
        raft.maxAppendBytes = plan.maxAppendBytes
        raft.maxInflightAppends = plan.maxInflightAppends
        raft.maxCachedBytes = plan.maxCachedBytes
        raft.maxUncommittedBytes = plan.maxUncommittedBytes
        let journal = JournalConfiguration(
            cluster: "simulated",
            node: host.id,
            salt: host.random.next(),
            segmentSize: plan.segmentSize,
            tailBytes: plan.maxCachedBytes,
            maxPendingBytes: plan.maxPendingBytes
        )
        var replica = ReplicaConfiguration(
            raft: raft,
            journal: journal,
            incarnation: UInt64(host.run)
        )
        replica.requestHold = .nanoseconds(Int64(plan.requestHold))
        replica.forwardRetry = .nanoseconds(Int64(plan.forwardRetry))
        replica.maxForwardedBytes = plan.maxUncommittedBytes
        replica.state = plan.state
        if !plan.retentions.isEmpty { replica.state.retention = plan.retentions[host.number] }
        replica.keepsLog = plan.keepsLog
        if !plan.keepsLog { replica.snapshotLag = 30 }
        replica.diskStall = .nanoseconds(Int64(plan.diskStall))
        replica.digestInterval = .nanoseconds(Int64(plan.digestInterval))
        replica.scrubInterval = .nanoseconds(Int64(plan.scrubInterval))
        replica.intake.fileSize = 4096
        replica.intake.bytes = plan.requestHold / WorldPlan.second % 3 == 0 ? 2048 : 256 * 1024
        replica.placement = plan.placement
        replica.timing = plan.timing
        replica.identity = IdentityConfiguration(
            fresh: DirectoryID(high: host.directories.next(), low: host.directories.next()),
            place: host.disk.place
        )
        return replica
    }

    // MARK: Up

    /// The process starts on what its disk has.
    func restart(_ node: Int, run: Int) {
        let host = hosts[node]
        guard host.process == nil, host.run == run, !host.isQuarantined else { return }
        host.run += 1
        statistics.restarts += 1
        let configuration = configuration(of: host)
        compareCheckpoint(host, configuration)
        let replica: ReplicaNode
        do throws(JournalError) {
            replica = try ReplicaNode(
                recovering: &host.disk,
                configuration: configuration,
                at: instant
            )
        } catch {
            refusedToStart(host, error)
            return
        }
        let process = Process(replica: replica, run: host.run)
        host.process = process
        host.isPaused = false
        host.inbox = []
        calmSince = now
        trace.fold(UInt64(node) << 8 | 2)
        trace.note(
            now,
            """
            n\(node + 1) starts: term \(process.replica.raft.currentTerm), log ends at \
            \(process.replica.raft.lastIndex), applied \(process.replica.appliedIndex)
            """
        )
        started(host, process)
        checker.recovered(node, &process.replica, at: now)
        for peer in hosts.indices where peer != node && hosts[peer].process != nil {
            queue.schedule(.connect(node, peer), at: now + 1000)
        }
        host.turnAt = .max
        wake(node, after: 0)
    }

    /// The checkpoint on a disk is the state as it was at its entry.
    private func compareCheckpoint(_ host: Host, _ configuration: ReplicaConfiguration) {
        guard !checker.records[host.number].isRotten, !host.isCorrupt else { return }
        var disk = host.disk
        disk.clearFaults()
        let found: (entry: EntryID, fingerprint: UInt64)?
        do throws(JournalError) {
            found = try ReplicaNode.canonicalFingerprint(
                ofCheckpointOn: &disk,
                version: { host.disk.version(of: $0) },
                configuration: configuration,
                remembering: &checker.canonical
            )
        } catch {
            guard !host.disk.isStateDamaged else { return }
            checker.fail(
                "state store",
                "n\(host.number + 1) has a checkpoint that cannot be used: \(error)",
                at: now
            )
            return
        }
        guard let found else { return }
        checker.compareCheckpoint(
            host.number,
            found.entry.index.number,
            found.fingerprint,
            at: now
        )
    }

    private func refusedToStart(_ host: Host, _ error: JournalError) {
        statistics.refusedStarts += 1
        trace.note(now, "n\(host.number + 1) does not start: \(error)")
        if case .disk(let error) = error {
            if error.code == SimulatedDisk.powerLost { powerLost(host.number) }
            // Its supervisor tries again.
            restartLater(host, after: 2 * WorldPlan.second)
            return
        }
        guard checker.records[host.number].isRotten else {
            checker.fail(
                "recovery",
                "n\(host.number + 1) refuses a disk that nothing damaged: \(error)",
                at: now
            )
            return
        }
        host.isQuarantined = true
    }

    func restartLater(_ host: Host, after delay: UInt64) {
        queue.schedule(.restart(node: host.number, run: host.run), at: now + delay)
    }

    // MARK: Down

    /// The process ends: its memory is gone, what it wrote stays in the page cache.
    func kill(_ node: Int) {
        let host = hosts[node]
        guard let process = host.process else { return }
        statistics.crashes += 1
        trace.fold(UInt64(node) << 8 | 3)
        trace.note(now, "n\(node + 1) dies")
        host.process = nil
        host.isPaused = false
        host.queues = DiskQueue.idle
        host.termWhenStalled = nil
        host.inbox = []
        linksLost(of: node, isMachine: false)
        connectionsLost(process)
    }

    /// The machine loses its power: what was not synced may be lost.
    func cutPower(_ node: Int) {
        let host = hosts[node]
        statistics.powerCuts += 1
        trace.fold(UInt64(node) << 8 | 4)
        trace.note(now, "n\(node + 1) loses power")
        if let process = host.process {
            beginWhatIsUnderWay(host)
            host.process = nil
            linksLost(of: node, isMachine: true)
            connectionsLost(process)
        }
        host.isPaused = false
        host.inbox = []
        host.queues = DiskQueue.idle
        host.termWhenStalled = nil
        powerLost(node)
    }

    func powerLost(_ node: Int) {
        let host = hosts[node]
        host.disk.clearFaults()
        let survival = host.random.pick(
            [SimulatedDisk.Survival.nothing, .everything, .someSectors, .someSectors, .prefix]
        )
        host.disk.cutPower(survival, &host.random)
    }

    // MARK: Turns

    /// Makes sure that a turn comes soon.
    func wake(_ node: Int, after delay: UInt64) { scheduleTurn(hosts[node], at: now + delay) }

    private func scheduleTurn(_ host: Host, at time: UInt64) {
        guard time < host.turnAt, let process = host.process else { return }
        host.turnAt = time
        queue.schedule(.turn(node: host.number, run: process.run), at: time)
    }

    func lookAtClocks() {
        checker.observeClocks(hosts.map { $0.wall(at: now).milliseconds }, at: now)
    }

    func turn(_ node: Int, run: Int) {
        let host = hosts[node]
        guard let process = host.process, process.run == run else { return }
        // A turn that came earlier has replaced this one.
        guard host.turnAt <= now else { return }
        host.turnAt = .max
        if now >= checker.clocksSeenAt + WorldPlan.millisecond * 100 { lookAtClocks() }
        let wall = host.wall(at: now)
        let hasMore = process.replica.turn(at: instant, wall: wall)
        checker.observe(node, &process.replica, at: now)
        checker.observeRest(node, &process.replica, at: now)
        let isIdle = !carryOut(host, process) && !hasMore
        guard host.process === process else { return }
        checkStalledLeader(host, process)
        if hasMore { wake(node, after: plan.turnAgain) }
        let deadline = process.replica.nextDeadline(at: instant, wall: wall).nanoseconds
        host.idleTurns = isIdle && deadline <= instant.nanoseconds ? host.idleTurns + 1 : 0
        if host.idleTurns > 100 {
            checker.fail("rests when idle", "n\(node + 1) asks for turns that do nothing", at: now)
        }
        if deadline != .max {
            // A deadline in wall time is in whole milliseconds; it must not be asked for again and
            // again within the same one.
            let wait = max(deadline, instant.nanoseconds + 10_000) - instant.nanoseconds
            scheduleTurn(host, at: now + wait)
        }
    }

    /// - Returns: whether there was anything.
    private func carryOut(_ host: Host, _ process: Process) -> Bool {
        guard !process.replica.output.isEmpty else { return false }
        var output = ReplicaOutput()
        swap(&output, &process.replica.output)
        if let batch = output.batch { begin(batch, on: .log, host, process) }
        if let batch = output.intake { begin(batch, on: .intake, host, process) }
        for envelope in output.messages {
            if case .raft(let message) = envelope.message {
                checker.observe(message, from: host.number, at: now)
            }
            send(envelope.message, from: host.number, to: Int(envelope.to.number) - 1)
        }
        for read in output.diskReads {
            let delay = (20_000 + host.random.below(400_000)) * host.slowFactor
            queue.schedule(
                .diskRead(node: host.number, run: process.run, read),
                at: now + delay
            )
        }
        for peer in output.disconnects {
            breakLink(host.number, Int(peer.number) - 1, broken: false)
        }
        if let batch = output.background { begin(batch, on: .background, host, process) }
        for read in output.loads {
            let delay = (10_000 + host.random.below(400_000)) * host.slowFactor
            queue.schedule(
                .diskRead(node: host.number, run: process.run, read),
                at: now + delay
            )
        }
        for notice in output.notices {
            note(notice, host)
            // It cannot be used any more: the process ends, and a restart goes by the log.
            guard host.process === process else { return true }
        }
        for completion in output.completions { completed(completion, process) }
        for read in output.reads { readCompleted(read, process) }
        for load in output.loaded { loadCompleted(load, process) }
        for piece in output.backupPieces { backupPieceIsRead(piece) }
        return true
    }

    /// Whether so many nodes have a state that they could agree on one: without that a state is handed on unseen.
    private var hasMajorityWithState: Bool {
        let others = hosts.filter { host in
            guard let process = host.process else { return true }
            let condition = process.replica.condition
            return condition != .rebuilding && condition != .quarantined
        }
        return others.count > hosts.count / 2
    }

    private func note(_ notice: Notice, _ host: Host) {
        switch notice {
        case .roleChanged(let change):
            if change.role == .leader { leaderSince = now }
            trace.fold(change.term.number << 8 | UInt64(host.number))
            trace.note(
                now,
                """
                n\(host.number + 1) is \(change.role.rawValue) in term \(change.term), leader \
                \(change.leader?.description ?? "-")
                """
            )
        case .transferEnded(let target, let succeeded):
            trace.note(
                now,
                "n\(host.number + 1) handed over to \(target): \(succeeded)"
            )
        case .journalReadFailed(let what):
            trace.note(now, "n\(host.number + 1) cannot read its journal: \(what)")
        case .installBegun(let entry, let peer):
            let source = hosts[Int(peer.number) - 1]
            host.fetchesDamage = source.disk.isStateDamaged
            // What it had when its state became another one it hands on as it was, whatever is made of it since.
            let isRight = source.newestSound.map { entry.index <= $0.index } ?? false
            // Nor is it handed on while a majority could say that it is wrong.
            let isWrong = source.isCorrupt && !isRight && hasMajorityWithState
            host.fetchesWrong = isWrong ? source.number : nil
            checker.fetching(host.number)
            trace.note(now, "n\(host.number + 1) fetches the checkpoint at \(entry) from \(peer)")
        case .installAbandoned(let what):
            // Nor is it calm while a leader has to give what is damaged.
            if !damagedRecords.isEmpty { calmSince = now }
            trace.note(now, "n\(host.number + 1) gives up fetching a checkpoint: \(what)")
        case .installed(let entry):
            statistics.installs += 1
            trace.note(now, "n\(host.number + 1) has the checkpoint at \(entry) of another node")
            checker.installed(host.number, entry)
            host.disk.hasFetchedDamage = host.fetchesDamage
            host.fetchesDamage = false
            if let source = host.fetchesWrong {
                checker.fail(
                    "digest",
                    "n\(host.number + 1) has the checkpoint of n\(source + 1), whose state is wrong",
                    at: now
                )
            }
            host.soundCheckpoint = entry
            kill(host.number)
            restartLater(host, after: WorldPlan.millisecond)
        case .tornTailCut(let tail):
            trace.note(now, "n\(host.number + 1) cut \(tail.file) at \(tail.offset): \(tail.what)")
        case .logDamaged(let damage):
            statistics.damaged += 1
            trace.note(now, "n\(host.number + 1) found damage: \(damage.error)")
        case .logIncomplete(let missing):
            trace.note(now, "n\(host.number + 1) lacks \(missing) entries of the log")
        case .logComplete: trace.note(now, "n\(host.number + 1) has all of the log")
        case .clockDoubted(let correction):
            statistics.doubtedClocks += 1
            trace.note(now, "n\(host.number + 1) doubts its clock, by \(correction) ms")
        case .clockAgrees: trace.note(now, "n\(host.number + 1) doubts its clock no more")
        case .retentionChanged(let settings, _, _):
            trace.note(now, "n\(host.number + 1) keeps attempts: \(settings)")
        case .checkpointDone(let index, let records, let runs):
            statistics.checkpoints += 1
            trace.note(
                now,
                "n\(host.number + 1) has a checkpoint at \(index): \(records) records, \(runs) runs"
            )
            // Not only at a start: what is wrong in one the next may have right. What is written while its time ends may be
            // right one entry later.
            let isLookedAt = index.number % 8 == 0 || !plan.retentions.isEmpty
            if isLookedAt, let process = host.process {
                compareCheckpoint(host, process.replica.configuration)
            }
        case .merged(let before, let after):
            statistics.merges += 1
            // A wrong state says what is live: what its checkpoint had may be gone, and the log alone cannot be read
            // from its beginning where that was removed for its age, or a segment of it was made again.
            if host.isCorrupt {
                host.soundCheckpoint = nil
                if host.process.map({ !$0.replica.journal.reachesBack }) ?? false {
                    checker.damaged(host.number)
                }
            }
            trace.note(now, "n\(host.number + 1) merged runs: \(before) bytes became \(after)")
        case .backupGivenUp: trace.note(now, "n\(host.number + 1) gives a backup up")
        case .storeFailed(let work, let error):
            trace.note(now, "n\(host.number + 1): a \(work) failed: \(error)")
        case .checkpointSetAside(let what):
            trace.note(now, "n\(host.number + 1) does without its checkpoint: \(what)")
        case .stateDamaged(let what, _):
            trace.note(now, "n\(host.number + 1)'s state is damaged: \(what)")
            calmSince = now
            checkThatDamaged(host, what)
        case .runDamaged(let what, let remedy):
            statistics.foundByScrub += 1
            trace.note(now, "n\(host.number + 1)'s state is damaged: \(what): \(remedy)")
            checkThatDamaged(host, what)
        case .undecodableEntry(let index, let what):
            checker.fail(
                "no entry from nowhere",
                "n\(host.number + 1): entry \(index) does not decode: \(what)",
                at: now
            )
        case .diskStalled:
            statistics.stalledDisks += 1
            trace.note(now, "n\(host.number + 1)'s disk stalls")
        case .diskGetsOn(let time):
            trace.note(now, "n\(host.number + 1)'s disk gets on after \(time)")
        case .diskFull(_, let reserve):
            trace.note(now, "n\(host.number + 1)'s disk is full, reserve \(reserve)")
        case .diskHasRoomAgain:
            trace.note(now, "n\(host.number + 1)'s disk has room again")
        case .intakeRecovered(let records):
            trace.note(now, "n\(host.number + 1) has \(records) callbacks in its intake")
        case .intakeDamaged(let damage):
            trace.note(now, "n\(host.number + 1)'s \(damage.file) is damaged at \(damage.range)")
            if !host.hasLost {
                checker.fail(
                    "recovery",
                    "n\(host.number + 1): an unfinished write of the intake counts as damage",
                    at: now
                )
            }
        case .intakeUndecodable(let number):
            checker.fail(
                "no entry from nowhere",
                "n\(host.number + 1): record \(number) of the intake does not decode",
                at: now
            )
        case .intakeNotRecorded(let attempt, let key, let refusal):
            trace.note(now, "n\(host.number + 1): \(attempt) \(key) of the intake: \(refusal)")
        case .identity(let notice): note(notice, host)
        case .digest(let notice): note(notice, host)
        case .placement(let notice): note(notice, host)
        }
    }

    /// Damage of a state that a node finds is damage.
    private func checkThatDamaged(_ host: Host, _ what: String) {
        guard !checker.records[host.number].isRotten, !host.isCorrupt,
            !statistics.faults.keys.contains(.failRead), !host.disk.isStateDamaged,
            !host.fetchesDamage
        else { return }
        checker.fail(
            "state store",
            "n\(host.number + 1) cannot read a record that nothing damaged: \(what)",
            at: now
        )
    }

    /// A leader whose disk hangs does not lead for long: it notices by itself, by the progress of what
    /// is under way, and no heartbeat that it still can send keeps it in office.
    ///
    /// Nor does a node campaign that knows that it could not keep its own vote.
    private func checkStalledLeader(_ host: Host, _ process: Process) {
        let term = process.replica.raft.currentTerm
        if !process.replica.isDiskStalled {
            host.termWhenStalled = nil
        } else if let before = host.termWhenStalled {
            if process.replica.raft.role == .candidate, term > before {
                checker.fail(
                    "hung candidate",
                    "n\(host.number + 1) campaigns in term \(term) while its disk hangs",
                    at: now
                )
            }
        } else {
            host.termWhenStalled = term
        }
        guard hosts.count > 1, host.isHung || host.isLogHung, host[.log].isStalled,
            process.replica.raft.role == .leader
        else {
            host.leadsStalledSince = nil
            return
        }
        let since = host.leadsStalledSince ?? now
        if host.leadsStalledSince == nil { host.stallPatience = plan.electionTimeout }
        host.leadsStalledSince = since
        // A successor has the time of a hand-over to take over, which follows the round trips: those of when it began.
        let timing = process.replica.raft.timing
        host.stallPatience = max(host.stallPatience, timing.electionTimeout, timing.transfer)
        let limit = plan.diskStall + host.stallPatience + WorldPlan.second / 2
        guard now - since > limit else { return }
        checker.fail(
            "hung leader",
            """
            n\(host.number + 1) leads term \(term), and its disk has \
            done nothing for \((now - since) / 1_000_000) ms
            """,
            at: now
        )
    }
}
