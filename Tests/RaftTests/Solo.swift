import Raft

/// One node whose peers are played by the test.
final class Solo {
    var raft: RaftNode
    var now = Instant.start
    /// What the last call asked for.
    private(set) var actions: [Action] = []
    private(set) var lastWrite = WriteNumber.zero

    /// Node 1 of a cluster, with these terms on disk.
    init(
        _ terms: [UInt64] = [],
        nodes: Int = 3,
        term: UInt64? = nil,
        votedFor: NodeID? = nil,
        committed: UInt64 = 0,
        isRepairing: Bool = false,
        seed: UInt64 = 7,
        change: (inout RaftConfiguration) -> Void = { _ in }
    ) {
        var configuration = RaftConfiguration(
            node: n1,
            membership: Membership(voters: (1...nodes).map { NodeID(UInt32($0)) }),
            seed: seed
        )
        change(&configuration)
        let hard = HardState(
            currentTerm: Term(term ?? terms.last ?? 0),
            votedFor: votedFor,
            commitIndex: LogIndex(committed),
            isRepairing: isRepairing
        )
        raft = RaftNode(
            configuration: configuration,
            recovered: recovered(entries(terms), hardState: hard),
            at: now
        )
    }

    private func call(_ body: (inout RaftNode, Instant, inout [Action]) -> Void) {
        actions = []
        body(&raft, now, &actions)
        for case .persist(let write) in actions { lastWrite = write.number }
    }

    // MARK: What happens to it

    func receive(_ body: Message.Body, from: NodeID = n2, to: NodeID = n1, term: UInt64) {
        let message = Message(from: from, to: to, term: Term(term), body: body)
        call { $0.received(message, at: $1, into: &$2) }
    }

    /// AppendEntries of a leader: the entries have these terms.
    func append(
        after previous: EntryID,
        _ terms: [UInt64] = [],
        commit: UInt64 = 0,
        round: UInt64 = 0,
        durable: UInt64 = 0,
        infers: Bool = true,
        repair: UInt64 = 0,
        from: NodeID = n2,
        term: UInt64
    ) {
        let list = terms.enumerated().map {
            let index = previous.index.number + UInt64($0) + 1
            return entry($1, index, "\($1)/\(index)")
        }
        let append = AppendEntries(
            previous: previous,
            leaderCommit: LogIndex(commit),
            leaderDurable: LogIndex(durable),
            allowsInference: infers,
            readRound: round,
            entries: list,
            repair: repair
        )
        receive(.appendEntries(append), from: from, term: term)
    }

    func accept(
        durable: UInt64,
        matched: UInt64? = nil,
        round: UInt64 = 0,
        repair: UInt64 = 0,
        from: NodeID = n2,
        term: UInt64? = nil
    ) {
        let result = AppendEntriesReply.Result.accepted(
            durable: LogIndex(durable),
            matched: LogIndex(matched ?? durable)
        )
        receive(
            .appendEntriesReply(
                AppendEntriesReply(result: result, readRound: round, repair: repair)
            ),
            from: from,
            term: term ?? raft.currentTerm.number
        )
    }

    /// A follower's answer that says that it has no room for more.
    func acceptFull(durable: UInt64, matched: UInt64, from: NodeID = n2) {
        let reply = AppendEntriesReply(
            result: .accepted(durable: LogIndex(durable), matched: LogIndex(matched)),
            readRound: 0,
            hasRoom: false
        )
        receive(.appendEntriesReply(reply), from: from, term: raft.currentTerm.number)
    }

    func setRoom(_ bytes: Int) { raft.room = bytes }
    func stepDown() { call { $0.stepDown(at: $1, into: &$2) } }

    func reject(at: UInt64, hint: EntryID, from: NodeID = n2) {
        let result = AppendEntriesReply.Result.rejected(at: LogIndex(at), hint: hint)
        receive(
            .appendEntriesReply(AppendEntriesReply(result: result, readRound: 0)),
            from: from,
            term: raft.currentTerm.number
        )
    }

    func persist() { persist(lastWrite) }
    func persist(_ number: WriteNumber) { call { $0.persisted(number, at: $1, into: &$2) } }
    func propose(_ payloads: [String], wall: UInt64 = 100) -> ProposalRefusal? {
        var refusal: ProposalRefusal?
        call {
            refusal = $0.propose(
                payloads.map { Array($0.utf8) },
                wall: Timestamp(milliseconds: wall),
                at: $1,
                into: &$2
            )
        }
        return refusal
    }
    func read(_ number: UInt64) { call { $0.read(number, at: $1, into: &$2) } }
    func transfer(to target: NodeID?) -> TransferRefusal? {
        var refusal: TransferRefusal?
        call { refusal = $0.transferLeadership(to: target, at: $1, into: &$2) }
        return refusal
    }
    func disconnect(_ peer: NodeID, broken: Bool) {
        call { $0.peerDisconnected(peer, broken: broken, at: $1, into: &$2) }
    }
    func connect(_ peer: NodeID) { call { $0.peerConnected(peer, at: $1, into: &$2) } }
    func entriesRead(for peer: NodeID, from: UInt64, _ entries: [Entry]) {
        call {
            $0.entriesRead(for: peer, from: LogIndex(from), entries: entries, at: $1, into: &$2)
        }
    }
    func applied(_ index: UInt64) { raft.applied(through: LogIndex(index)) }

    func participate(_ participation: Participation) {
        call { $0.participate(participation, at: $1, into: &$2) }
    }
    func replace(_ peer: NodeID) { call { $0.memberReplaced(peer, at: $1, into: &$2) } }
    func avoidOffice(_ isReluctant: Bool) { raft.avoidOffice(isReluctant, at: now) }

    func wait(milliseconds: Int) {
        now = now.after(milliseconds: milliseconds)
        call { $0.deadlineReached(at: $1, into: &$2) }
    }
    func waitForDeadline() {
        now = max(now, raft.nextDeadline)
        call { $0.deadlineReached(at: $1, into: &$2) }
    }

    /// Wins an election with the votes of the first other voters; their logs stay unknown.
    func becomeLeader() {
        waitForDeadline()
        let quorum = raft.configuration.membership.quorum
        let voters = (2...max(quorum, 2)).map { NodeID(UInt32($0)) }.prefix(quorum - 1)
        let term = raft.currentTerm.next.number
        for voter in voters {
            receive(.preVoteReply(VoteReply(granted: true)), from: voter, term: term)
        }
        persist()
        for voter in voters {
            receive(.requestVoteReply(VoteReply(granted: true)), from: voter, term: term)
        }
    }

    // MARK: What it asked for

    var sent: [Message] {
        actions.compactMap { if case .send(let message) = $0 { message } else { nil } }
    }
    func sent(to peer: NodeID) -> [Message] { sent.filter { $0.to == peer } }
    var appends: [AppendEntries] { sent.compactMap(\.append) }
    func appends(to peer: NodeID) -> [AppendEntries] { sent(to: peer).compactMap(\.append) }
    var replies: [AppendEntriesReply.Result] { sent.compactMap { $0.appendReply?.result } }
    var writes: [LogWrite] {
        actions.compactMap { if case .persist(let write) = $0 { write } else { nil } }
    }
    var granted: [NodeID] {
        sent.compactMap {
            if case .requestVoteReply(let reply) = $0.body, reply.granted { $0.to } else { nil }
        }
    }
    /// The terms of the log in memory.
    var terms: [UInt64] {
        (0..<raft.lastIndex.number).map {
            raft.term(at: LogIndex($0 + 1))?.number ?? 0
        }
    }
}
