/// One member of a Raft cluster: events in, actions out.
///
/// It has no clock, disk or network of its own. Whoever drives it hands it messages, finished
/// writes and the time, and carries out the actions that come back, in any order (Ongaro,
/// *Consensus: Bridging Theory and Practice*, 2014; section numbers in this module are its).
package struct RaftNode: ~Copyable {
    package let configuration: RaftConfiguration
    package internal(set) var role: Role
    package internal(set) var currentTerm: Term
    package internal(set) var votedFor: NodeID?
    /// The leader of the current term, as far as known and not lost.
    package internal(set) var leader: NodeID?
    package internal(set) var commitIndex: LogIndex
    /// The disk lost entries that this node may have acknowledged, and the log is not yet known to
    /// have them again.
    ///
    /// Until then it neither votes, nor campaigns, nor acknowledges; it receives entries like a
    /// learner. docs/protocol.md has the argument.
    package internal(set) var isRepairing: Bool
    /// The same, but without an end of its own; see `Participation`.
    var isBarred: Bool
    /// Set by `avoidOffice`.
    var isReluctant = false
    /// It campaigns all the same: nobody else could win, see `takeTurn`.
    var isLastResort = false
    /// Messages that were ignored since they could not have come from a correct member.
    package internal(set) var droppedMessages: UInt64 = 0
    /// How often the commit index moved by inference.
    package internal(set) var inferredCommits: UInt64 = 0
    /// Entries that were not taken since the own disk had no room for them.
    package internal(set) var unstoredEntries: UInt64 = 0

    /// Bytes of entries (`Entry.storedBytes`) that the own disk takes, as its owner knows.
    ///
    /// What does not find room is not taken into the log at all, neither here nor on disk.
    package var room = Int.max
    /// The own disk does not get on, says its owner: a term or vote would not become durable.
    ///
    /// Such a node neither campaigns nor promises its vote; to leave office is its owner's part
    /// (`transferLeadership`, `stepDown`), who knows which of the others are better off.
    package var isDiskStuck = false
    /// Size of the entry that last found no room; 0 when there was room for all.
    var unstoredBytes = 0

    var log: RaftLog
    var writes: WriteLedger
    /// Messages that wait for term and vote to be durable, oldest first.
    var held: [(gate: WriteNumber, message: Message)] = []
    var appliedIndex = LogIndex.zero
    var random: Random
    var repair: Repair

    // Elections.
    package internal(set) var timing: ElectionTiming
    var electionDeadline: Instant
    /// When the leader was last heard from, or this node left that office.
    var leaderHeard: Instant
    /// Votes, or pre-votes, of the campaign under way.
    var granted: [NodeID] = []
    /// Where the logs of voters end that gave this candidate their vote.
    var voterLogs: [(voter: NodeID, last: EntryID)] = []
    var refused: [NodeID] = []
    /// Who granted the pre-vote before this election and has not answered in it yet.
    var willing: [NodeID] = []

    // Following.
    /// The log equals the log of this term's leader through here, at least.
    var matched: LogIndex
    /// The leader's newest read round, and the newest that a reply echoed.
    var leaderRound: UInt64 = 0
    var echoedRound: UInt64 = 0
    /// What this term's leader said to be on its disk, of its log, if it allows inference.
    var leaderDurable = LogIndex.zero
    /// The leader waits to hear that entries are durable.
    var owesAcknowledgement = false

    // Leading.
    var peers: [Progress]
    let peerIDs: [NodeID]
    let isVoter: Bool
    var heartbeatDeadline: Instant
    var officeSince: Instant
    var clock: LogClock
    /// Cost of the entries after the commit index.
    var uncommittedBytes = 0
    var readRound: UInt64 = 0
    var reads = ReadQueue()
    var transfer: Transfer?

    /// Makes the type one that is passed by its address: without it, each call of a method that does not
    /// change the node copies all of it (Swift 6.3).
    private let place: (any Sendable)? = nil

    // What the driver was told.
    var announcedCommit: LogIndex
    var announcedRole: RoleChange

    /// A follower with what was found on its disk.
    ///
    /// The state machine may apply through `commitIndex` at once; `.committed` tells only of
    /// moves after it.
    package init(
        configuration: RaftConfiguration,
        recovered: RecoveredLog,
        participation: Participation = .full,
        at now: Instant
    ) {
        let hard = recovered.hardState
        invariant(
            hard.commitIndex <= recovered.lastIndex,
            "recovered log ends at \(recovered.lastIndex), committed through \(hard.commitIndex)"
        )
        let members = configuration.membership
        self.configuration = configuration
        isVoter = members.isVoter(configuration.node)
        // In local variables: the optimizer of Swift 6.3 destroys properties that were never set if one
        // of them is changed in a branch before all are.
        var repair = Repair()
        if case .repairing(let through) = participation { repair.through = through }
        let repairs = hard.isRepairing || participation.isRepair
        isRepairing = repairs
        isBarred = participation == .barred
        role = repairs || participation == .barred ? .repairing : isVoter ? .follower : .learner
        currentTerm = hard.currentTerm
        votedFor = hard.votedFor
        commitIndex = hard.commitIndex
        matched = hard.commitIndex
        announcedCommit = hard.commitIndex
        announcedRole = RoleChange(role: role, term: hard.currentTerm, leader: nil)
        log = RaftLog(recovered)
        writes = WriteLedger(durableIndex: recovered.lastIndex, commitIndex: hard.commitIndex)
        var random = Random(seed: configuration.seed)
        if repairs || participation == .barred { repair.number = random.next() | 1 }
        self.random = random
        self.repair = repair
        let electionTimeout = configuration.electionTimeout.wholeNanoseconds
        let heartbeat = configuration.heartbeatInterval.wholeNanoseconds
        invariant(electionTimeout > 0, "no election time-out")
        invariant(heartbeat > 0, "no heartbeat interval")
        timing = ElectionTiming(electionTimeout: electionTimeout, heartbeat: heartbeat)
        peers = (members.voters + members.learners).filter { $0 != configuration.node }
            .map { Progress(node: $0, isVoter: members.isVoter($0), at: now) }
        peerIDs = peers.map(\.node)
        leaderHeard = now
        heartbeatDeadline = now
        officeSince = now
        clock = LogClock(after: .zero, at: now)
        electionDeadline = now
        // Alone, there is nobody to wait for.
        if members.quorum > 1 { resetElectionDeadline(at: now) }
    }

    /// Whether an entry is known to be committed, with this term.
    package func isCommitted(_ entry: EntryID) -> Bool {
        entry.index > .zero && entry.index <= commitIndex && log.term(at: entry.index) == entry.term
    }

    /// The newest entry that this node keeps for as long as its term lasts; zero while that is not durable.
    ///
    /// It is durable, and the leader of the term has the same. What lies behind it in the log may be replaced yet.
    package var promisedEntry: EntryID {
        guard writes.isHardStateDurable else { return .zero }
        let index = role == .leader ? durableIndex : min(durableIndex, matched)
        return EntryID(term: log.term(at: index) ?? .zero, index: index)
    }

    package var id: NodeID { configuration.node }
    /// The last entry in memory, durable or not.
    @inline(__always)
    package var lastIndex: LogIndex { log.lastIndex }
    /// The own log is known to be durable through here.
    @inline(__always)
    package var durableIndex: LogIndex { writes.durableIndex }
    /// A restart knows that entries through this one are committed.
    package var durableCommitIndex: LogIndex { writes.durableCommit }
    /// Entries through this index are not in memory any more.
    @inline(__always)
    package var evictedIndex: LogIndex { log.evicted }
    /// Cost of the entries in memory, in bytes.
    @inline(__always)
    package var cachedBytes: Int { log.cachedBytes }
    package func term(at index: LogIndex) -> Term? { log.term(at: index) }
    /// The terms of the log through an index.
    package func terms(through index: LogIndex) -> [TermRun] {
        Array(log.runs.prefix { $0.first <= index })
    }

    /// What this node, as leader, knows of the others' logs; without meaning in other roles.
    package var progress: [Progress] { peers }

    /// Entries in memory, capped by cost but at least one.
    ///
    /// - Precondition: `from` is after `evictedIndex`.
    package func entries(from: LogIndex, through: LogIndex, maxBytes: Int) -> [Entry] {
        log.entries(from: from, through: through, maxBytes: maxBytes)
    }

    /// Says that the state machine has applied the entries through an index, so that they may
    /// leave memory.
    ///
    /// The entry at the applied index stays, and so does what is not on the own disk yet: a lagging
    /// follower is served from there.
    package mutating func applied(through index: LogIndex) {
        invariant(index <= commitIndex, "applied \(index), committed \(commitIndex)")
        guard index > appliedIndex else { return }
        appliedIndex = index
        evict()
    }

    /// Lets entries leave memory that are applied and on the own disk.
    ///
    /// Called when either has moved: others may commit while the own disk lags, and what is kept
    /// too long makes this leader refuse proposals.
    mutating func evict() {
        guard appliedIndex > .zero else { return }
        log.evict(
            through: min(appliedIndex.previous, durableIndex),
            limit: configuration.maxCachedBytes
        )
    }

    /// When `deadlineReached` must be called next.
    @inline(__always)
    package var nextDeadline: Instant {
        var next = Instant.distantFuture
        if role == .leader {
            next = heartbeatDeadline
        } else if mayCampaign {
            next = electionDeadline
        }
        if let transfer { next = min(next, transfer.deadline) }
        return next
    }

    /// Lets time-outs that are due take effect; harmless when called early.
    package mutating func deadlineReached(at now: Instant, into actions: inout [Action]) {
        guard now >= nextDeadline else { return }
        endTransferIfOverdue(at: now, into: &actions)
        if role == .leader {
            if now >= heartbeatDeadline { heartbeat(at: now, into: &actions) }
        } else if mayCampaign, now >= electionDeadline {
            if isDiskStuck {
                // It could not win: let somebody else try.
                becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
                resetElectionDeadline(at: now)
            } else {
                startPreVote(at: now, into: &actions)
            }
        }
        finish(at: now, into: &actions)
    }

    /// Takes in a message of another member.
    package mutating func received(
        _ message: Message,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard message.to == id, message.isWellFormed,
            let peer = peerIDs.firstIndex(of: message.from)
        else {
            droppedMessages += 1
            return
        }
        switch message.body {
        case .preVote(let request):
            receivedPreVote(request, from: peer, term: message.term, at: now, into: &actions)
        case .preVoteReply(let reply):
            receivedPreVoteReply(reply, from: peer, term: message.term, at: now, into: &actions)
        case .requestVote(let request):
            receivedRequestVote(request, from: peer, term: message.term, at: now, into: &actions)
        case .requestVoteReply(let reply):
            receivedVoteReply(reply, from: peer, term: message.term, at: now, into: &actions)
        case .appendEntries(let append):
            receivedAppendEntries(append, from: peer, term: message.term, at: now, into: &actions)
        case .appendEntriesReply(let reply):
            receivedAppendReply(reply, from: peer, term: message.term, at: now, into: &actions)
        case .timeoutNow:
            receivedTimeoutNow(from: peer, term: message.term, at: now, into: &actions)
        }
        finish(at: now, into: &actions)
    }

    /// A link to a member came up: what was sent before may be lost.
    package mutating func peerConnected(
        _ peer: NodeID,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard role == .leader, let peer = peerIDs.firstIndex(of: peer) else { return }
        peers[peer].becomeProbe(next: peers[peer].matchIndex.next)
        finish(at: now, into: &actions)
    }

    /// A link to a member went down.
    ///
    /// It is `broken` if the connection was reset or closed by the member's system (its process
    /// died), not just timed out. If it was the leader, waiting for its heartbeats is useless.
    package mutating func peerDisconnected(
        _ peer: NodeID,
        broken: Bool,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard let position = peerIDs.firstIndex(of: peer) else { return }
        if role == .leader {
            peers[position].becomeProbe(next: peers[position].matchIndex.next)
            // Nothing but heartbeats until the link is up again.
            peers[position].probeSent = true
        } else if broken, peer == leader {
            loseLeader(at: now)
        }
        finish(at: now, into: &actions)
    }

    /// Ends each call: sends what became possible, hands out the write, tells what changed.
    mutating func finish(at now: Instant, into actions: inout [Action]) {
        if role == .leader { lead(at: now, into: &actions) } else { inferCommit() }
        let hard = HardState(
            currentTerm: currentTerm,
            votedFor: votedFor,
            commitIndex: commitIndex,
            isRepairing: isRepairing
        )
        if let write = writes.take(hardState: hard) { actions.append(.persist(write)) }
        if commitIndex > announcedCommit {
            announcedCommit = commitIndex
            actions.append(.committed(commitIndex))
        }
        let current = RoleChange(role: role, term: currentTerm, leader: leader)
        if current != announcedRole {
            announcedRole = current
            actions.append(.roleChanged(current))
        }
    }

    /// Moves the commit index forward.
    mutating func commit(through index: LogIndex) {
        guard index > commitIndex else { return }
        invariant(index <= lastIndex, "commit \(index) behind the end \(lastIndex)")
        if role == .leader {
            var at = commitIndex
            while at < index {
                at = at.next
                uncommittedBytes -= log.cost(at: at)
            }
        }
        commitIndex = index
    }
}
