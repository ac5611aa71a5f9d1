package import Journal
package import Raft
import Store
package import Verification

/// One copy of the system: a Raft node, its journal and the state machine, wired together.
///
/// Sans-I/O: messages, finished disk work, requests and the time go in; messages, disk work and
/// answers come out in `output`. The owner calls what happened, then `turn`, then carries `output`
/// out. The same code runs under the reactor and under the simulator.
package struct ReplicaNode: ~Copyable {
    package let configuration: ReplicaConfiguration
    package var output = ReplicaOutput()
    package internal(set) var raft: RaftNode
    package internal(set) var journal: LogJournal
    /// Only this room changes it; the simulator may, to see that a changed state is found.
    package var machine: StateMachine

    /// Actions of the core not carried out yet; empty between calls.
    var actions: [Action] = []
    var requests: RequestTable
    var reads: ReadTable
    var peerReads = PeerReads()
    var peers: [PeerState]
    var ledger: RepeatLedger
    /// The report of repeats under way, until it is seen applied.
    var report: RepeatBatch?
    /// The place of the report under way in `requests`.
    var reportSequence: UInt64 = 0
    var nextReportNumber: UInt64 = 1
    var nextReportAt: Instant
    /// Commands that peers forwarded, to be proposed in the next turn.
    var forwarded = ForwardQueue()
    /// The number of the last forward sent.
    var lastForward: UInt64 = 0
    /// The index of the last tick proposed here; one is under way while it is not applied.
    var tickIndex = LogIndex.zero
    /// The newest applied entry that may have changed the state, by the log and not by what the state made of it; after
    /// a start the newest one of all.
    var mayHaveChangedAt: LogIndex
    /// This node's wall clock at its last turn.
    var lastWall = WallTime(milliseconds: 0)
    var lastTurnAt: Instant
    var nextHousekeepingAt: Instant
    var nextPingAt: Instant
    var journalReads: [JournalReadTicket] = []
    /// Journal reads that could not be planned yet.
    var deferredReads: [JournalReadTicket] = []
    var nextDiskReadNumber: UInt64 = 1
    var diskWatch = DiskWatch()
    /// What the peers were last told of `diskRoom`.
    var announcedRoom = DiskRoom.enough
    /// The next request to propose is larger than what the disk has room for, or it is not known what time it is.
    var isQueueHeld = false
    /// When this node took office last.
    var leaderSince: Instant
    /// This node's clock is far from most members'.
    var isClockDoubted = false
    /// Part of the log is missing on this disk.
    var isLogIncomplete = false
    /// Which directory stands for each member; `nil` where nobody asks.
    var registry: MemberRegistry?
    var identityWrites: UInt64 = 0
    /// The journal had the disk last.
    private var isRegistrysTurn = true
    /// What is known of the peers' promises is written down then.
    var nextNotesAt: Instant
    /// Set while this replica's state is known to differ from the others'.
    package internal(set) var quarantine: Quarantine?
    package internal(set) var isRebuilding = false
    var nextDigestAt: Instant
    var comparison: WantedComparison
    var pulling = Pulling()
    var installing: Installing?
    /// Since when nobody has had a state to fetch in the place of one that cannot be read.
    var helplessSince: Instant?
    /// When a piece of one was written last.
    var helpedAt: Instant
    /// What was fetched last was damaged where it came from: it is not asked for again before.
    var nextFetchAt: Instant?
    /// Copies that were refused, since they are damaged or cannot be read where they come from.
    var damagedFetches = 0
    /// Above the numbers of all runs that were fetched, for good or not.
    var nextFetchedRun: UInt64 = 0
    /// Another state was put in the place of this one: the owner starts anew from the disk.
    package internal(set) var isRetired = false

    var store: StateStore
    var checkpointing = Checkpointing()
    var merging = Merging()
    var scrubbing = Scrubbing()
    var loads = LoadTable()
    /// Entries through this one were looked at for what they need loaded.
    var prefetched = LogIndex.zero
    /// The next entry to be applied waits for a load.
    var isApplyBlocked = false
    /// Why the state cannot be used any more.
    var stateFault: String?
    var hasSetAside = false
    /// Attempts whose waiters were told in this turn or the last, and are asked for right after.
    var served: [AttemptID] = []
    var servedBefore = 0
    /// Used over and over, to save allocations.
    var placesToLoad: [RecordPlace] = []
    /// The index of the last settings proposed here.
    var settingsIndex = LogIndex.zero
    var intake: Intake
    /// A majority could not be reached since then.
    var cannotCommitSince: Instant?
    /// What is done is written down with the next batch.
    var isIntakeTidyDue = false
    /// A read is under way that says whether there are attempts which the log did not find.
    var isIntakeAsking = false
    /// Room is looked for again then.
    var nextIntakeTryAt: Instant
    var placement: Placement
    var backups: [Backup] = []
    var backupReads = BackupReads()
    package var counters = ReplicaCounters()
    /// As in `RaftNode`: without it each call of a method that does not change the node copies all of it.
    private let place: (any Sendable)? = nil

    /// When this process began.
    let startedAt: Instant

    static let housekeepingInterval = Duration.milliseconds(100)
    static let notesInterval = Duration.seconds(30)

    /// Reads the journal, rebuilds the state through the last index known committed, and starts
    /// as a follower.
    ///
    /// - Throws: `JournalError` if the disk cannot be read, is damaged, or is another node's.
    package init(
        recovering disk: inout some Disk,
        configuration: ReplicaConfiguration,
        at now: Instant
    ) throws(JournalError) {
        try RestoreMark.check(&disk)
        let foundIntake = try ReplicaNode.recoverIntake(from: &disk, configuration)
        output.notices += foundIntake.notices
        var intake = foundIntake.intake
        let start = try RecoveredState.recover(from: &disk, configuration, &intake)
        if let torn = start.tornTail { output.notices.append(.tornTailCut(torn)) }
        for damage in start.damage { output.notices.append(.logDamaged(damage)) }
        if let reason = start.setAside { output.notices.append(.checkpointSetAside(reason)) }
        let log = start.log
        var registry: MemberRegistry?
        if let identity = configuration.identity {
            let opened = try MemberRegistry.open(
                on: &disk,
                configuration,
                identity,
                hasLog: log.lastIndex > .zero || log.hardState.currentTerm > .zero
            )
            registry = opened.registry
            for admitted in start.machine.readmissions { registry?.admit(MemberTag(admitted)) }
            output.notices += opened.notices
        }
        self.configuration = configuration
        startedAt = now
        helpedAt = now
        leaderSince = now
        self.registry = registry
        self.raft = RaftNode(
            configuration: configuration.raft,
            recovered: log,
            participation: registry?.participation ?? .full,
            at: now
        )
        self.store = start.store
        self.counters = start.counters
        self.checkpointing.appliedBytes = start.appliedBytes
        self.journal = start.journal
        self.machine = start.machine
        self.mayHaveChangedAt = LogIndex(self.machine.appliedIndex.number)
        self.intake = intake
        self.cannotCommitSince = now
        self.nextIntakeTryAt = now
        self.requests = RequestTable(limit: configuration.maxPendingRequests)
        self.reads = ReadTable(incarnation: configuration.incarnation)
        self.ledger = RepeatLedger(maxItems: configuration.maxRepeatItems)
        self.peers = configuration.raft.membership.others(than: configuration.raft.node)
            .map { PeerState(node: $0) }
        self.placement = Placement(peers: peers.count, configuration.placement)
        self.nextReportAt = now.advanced(by: configuration.repeatReportInterval)
        self.lastTurnAt = now
        self.nextHousekeepingAt = now
        self.nextPingAt = now
        self.nextNotesAt = now.advanced(by: ReplicaNode.notesInterval)
        self.comparison = WantedComparison(
            wantedSince: now,
            wantedUntil: now,
            holdsUntil: now
        )
        self.nextDigestAt = configuration.digestInterval.map { now.advanced(by: $0) } ?? now
        noteMismatch(isFromLogAlone: store.manifest == nil, at: now)
        raft.applied(
            through: max(
                LogIndex(self.machine.appliedIndex.number),
                start.stateFault == nil ? .zero : store.manifest?.entry.index ?? .zero
            )
        )
        if let fault = start.stateFault { giveUpState(fault) }
        refreshRoom()
    }

    @inline(__always)
    package var node: NodeID { configuration.raft.node }
    @inline(__always)
    package var appliedIndex: LogIndex { LogIndex(machine.appliedIndex.number) }

    /// Does what the calls since the last turn made possible: proposals and forwards in one batch,
    /// the next batch for the disk, answers.
    ///
    /// Then reads `output`.
    ///
    /// - Parameters:
    /// - wall: this node's clock; becomes log time if this node leads, unless that is ahead or most clocks
    ///   are far from it.
    /// - Returns: whether committed entries are left to apply, or requests to propose, so that
    ///   another turn is due at once.
    @discardableResult
    package mutating func turn(at now: Instant, wall: WallTime) -> Bool {
        lastWall = wall
        lastTurnAt = now
        if raft.nextDeadline <= now {
            raft.deadlineReached(at: now, into: &actions)
            settle(at: now)
        }
        if nextHousekeepingAt <= now { keepHouse(at: now) }
        let hasMore = applyCommitted(at: now)
        forwarded.applied(through: appliedIndex)
        proposeTickIfDue(at: now, wall: wall)
        proposeSettingsIfDue()
        drainIntake(at: now)
        askForIntake(at: now)
        sendRequests(at: now, wall: wall)
        startReads(at: now)
        settle(at: now)
        takeIntakesAnswer()
        takeDiskWork(at: now)
        takeIntakeWork()
        prefetch()
        var hasCheckpointWork = driveCheckpoint(at: now)
        if driveMerge(at: now) { hasCheckpointWork = true }
        if output.background == nil { output.background = nextInstallBatch() }
        if output.background == nil, installing?.isWriting != true, !isRetired {
            output.background = nextBackground()
        }
        // What a blocked entry waits for must be there all at once.
        let hasEvictions =
            !isApplyBlocked && machine.evict(keeping: configuration.state.cacheBytes)
        releaseServed()
        return hasMore || canProposeMore || hasCheckpointWork || hasEvictions
    }

    /// At most one batch is under way, whether it is the journal's or the registry's.
    private mutating func takeDiskWork(at now: Instant) {
        if registry?.isWriting == true || journal.isBatchUnderWay { return }
        // They take turns: neither may keep the other waiting for ever on a slow disk.
        let batch =
            isRegistrysTurn
            ? identityWrite() ?? journal.nextBatch() : journal.nextBatch() ?? identityWrite()
        guard let batch else { return }
        isRegistrysTurn = ReplicaNode.carriesLog(batch)
        output.batch = batch
        diskWatch.begun(at: now)
        refreshRoom()
    }

    /// When `turn` has to be called, if nothing else happens before.
    @inline(__always)
    package func nextDeadline(at now: Instant, wall: WallTime) -> Instant {
        var deadline = min(raft.nextDeadline, nextHousekeepingAt)
        // While proposals are refused the house-keeping looks again: a deadline that has passed
        // would call for one turn after the other in vain.
        if raft.role == .leader, tickIndex <= appliedIndex, raft.proposalRefusal == nil,
            let due = machine.nextDeadline, let time = logTime(at: now, wall: wall)
        {
            let wait = due.milliseconds.subtractingReportingOverflow(time.milliseconds)
            // The house-keeping comes sooner than any long wait ends.
            let milliseconds = wait.overflow ? 0 : min(wait.partialValue, 60_000)
            deadline = min(deadline, now.advanced(nanoseconds: milliseconds * 1_000_000))
        }
        return deadline
    }

    /// The batch and all before it are on stable storage.
    package mutating func batchCompleted(_ number: UInt64, at now: Instant) {
        guard number < ReplicaNode.identityBatch else {
            identityWritten(at: now)
            diskGetsOn(at: now)
            return
        }
        let hadRoom = journal.hasRoom
        let write = journal.completed(number)
        diskGetsOn(at: now)
        if !hadRoom, journal.hasRoom { output.notices.append(.diskHasRoomAgain) }
        raft.persisted(write, at: now, into: &actions)
        settle(at: now)
        pull(at: now)
    }

    /// Hands leadership to `target`, or to the best caught-up voter.
    ///
    /// - Returns: why it was not begun; `nil` if it was, and a notice tells how it ended.
    package mutating func transferLeadership(
        to target: NodeID?,
        at now: Instant
    ) -> TransferRefusal? {
        let refusal = raft.transferLeadership(
            to: target ?? successor(at: now),
            at: now,
            into: &actions
        )
        settle(at: now)
        return refusal
    }

    /// Whether a command submitted now would likely be committed: a leader is known and has
    /// committed in its term.
    package var canCommit: Bool {
        guard isServing, let leader = raft.leader else { return false }
        if leader == node { return raft.term(at: raft.commitIndex) == raft.currentTerm }
        for at in peers.indices where peers[at].node == leader { return peers[at].isConnected }
        return false
    }

    /// Carries out what the core asked for.
    mutating func settle(at now: Instant) {
        var i = 0
        while i < actions.count {
            switch actions[i] {
            case .send(let message):
                output.messages.append(.init(to: message.to, message: .raft(message)))
            case .persist(let write):
                journal.append(write)
            case .committed:
                break  // `applyCommitted` asks the core how far
            case .roleChanged(let change):
                roleChanged(change, at: now)
            case .readReady(let number, let index):
                readAnswered(number, index: index)
            case .readRefused(let number):
                readAnswered(number, index: nil)
            case .readEntries(let peer, let from, let maxBytes):
                planJournalRead(
                    JournalReadTicket(peer: peer, from: from, maxBytes: maxBytes)
                )
            case .repaired(let index):
                repairEnded(through: index)
            case .transferEnded(let target, let succeeded):
                output.notices.append(.transferEnded(to: target, succeeded: succeeded))
            }
            i += 1
        }
        actions.removeAll(keepingCapacity: true)
        refreshRoom()
    }

    private mutating func roleChanged(_ change: RoleChange, at now: Instant) {
        counters.roleChanges += 1
        if change.role == .leader { leaderSince = now }
        output.notices.append(.roleChanged(change))
        // What was proposed or forwarded in another term may be lost: all that waits is sent
        // again, to whoever leads now. A command that was not lost is known by its request ID.
        requests.requeueAll()
        reads.requeueAll()
        forgetForwarded()
        tickIndex = .zero
        settingsIndex = .zero
        comparison.proposedAt = .zero
        leaderChanged(change.leader, at: now)
    }

    /// What is due every 100 ms: time-outs, lost forwards, pings, the report of repeats.
    private mutating func keepHouse(at now: Instant) {
        nextHousekeepingAt = now.advanced(by: ReplicaNode.housekeepingInterval)
        counters.sentAgain = requests.sentAgain
        for completion in requests.expire(at: now, retryAfter: configuration.forwardRetry) {
            counters.timedOut += 1
            output.completions.append(completion)
        }
        for completion in reads.expire(at: now) { output.reads.append(completion) }
        keepLoads(at: now)
        askAgain(at: now)
        watchDisk(at: now)
        watchIntake(at: now)
        watchClock()
        watchGaps()
        if nextPingAt <= now {
            nextPingAt = now.advanced(by: pingInterval)
            for peer in peers where peer.isConnected {
                output.messages.append(
                    .init(to: peer.node, message: .ping(sentAt: now, status))
                )
                // Until all have met it is said again and again: any message may be lost.
                if registry?.durable.isFormed == false { sendMembers(to: peer.node) }
                guard sharesRoundTrips else { continue }
                output.messages.append(
                    .init(to: peer.node, message: .roundTrips(roundTripReport(at: now)))
                )
            }
        }
        watchPlacement(at: now)
        if nextNotesAt <= now {
            nextNotesAt = now.advanced(by: ReplicaNode.notesInterval)
            registry?.keepNotes()
        }
        checkDigests(at: now)
        // What room there is, is for what decides.
        if nextReportAt <= now, clusterRoom(at: now) == .enough {
            nextReportAt = now.advanced(by: configuration.repeatReportInterval)
            makeReport(at: now)
            // More than one report's worth waits: the next goes as soon as this one is applied.
            if !ledger.isEmpty { nextReportAt = now }
        }
        pull(at: now)
        scrub(at: now)
        keepInstalling(at: now)
        startAnewWithoutHelp(at: now)
        watchOffers(at: now)
        watchBackups(at: now)
        let deferred = deferredReads
        deferredReads.removeAll()
        // Only a leader has anyone to read for.
        if raft.role == .leader { for ticket in deferred { planJournalRead(ticket) } }
    }
}

extension Membership {
    func others(than node: NodeID) -> [NodeID] {
        (voters + learners).filter { $0 != node }.sorted()
    }
}

/// Counts since this process started, for metrics.
package struct ReplicaCounters: Hashable, Sendable {
    package var applied: UInt64 = 0
    package var undecodable: UInt64 = 0
    package var submitted: UInt64 = 0
    package var answeredLocally: UInt64 = 0
    /// Commands proposed here, forwarded ones included.
    package var proposed: UInt64 = 0
    /// Requests sent again: their first proposal or forward may have been lost.
    package var sentAgain: UInt64 = 0
    /// Commands forwarded to the leader, each as often as it was.
    package var forwardedOut: UInt64 = 0
    /// Commands taken from peers to be proposed: definitions too, copies not.
    package var forwardedIn: UInt64 = 0
    package var forwardsRefused: UInt64 = 0
    package var timedOut: UInt64 = 0
    package var roleChanges: UInt64 = 0
    /// How often a batch took longer than `ReplicaConfiguration.diskStall`.
    package var diskStalls: UInt64 = 0
    /// How often the disk turned out to have no room for another segment.
    package var timesOutOfRoom: UInt64 = 0
    /// Checks of the digest proposed here.
    package var digestChecks: UInt64 = 0
    /// Callbacks taken into the intake, those of them that came into the log, those that found no place
    /// in their attempt there, and those not taken in for lack of room.
    package var takenIn: UInt64 = 0
    package var intakeReplicated: UInt64 = 0
    package var intakeNotRecorded: UInt64 = 0
    package var intakeRefused: UInt64 = 0
    /// Entries fetched from others for segments that were missing or damaged.
    package var entriesFetched: UInt64 = 0
    package var checkpointsBegun: UInt64 = 0
    package var checkpoints: UInt64 = 0
    package var merges: UInt64 = 0
    package var storeFailures: UInt64 = 0
    /// How often this node, leading, handed over by itself to a better place.
    package var placementMoves: UInt64 = 0
    package init() {}
}
