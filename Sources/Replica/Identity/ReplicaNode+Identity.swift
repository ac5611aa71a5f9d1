package import Journal
package import Raft
internal import Verification

/// What a node's shell knows of its data directory.
package struct IdentityConfiguration: Sendable {
    /// Drawn anew at each start; becomes the directory's name if it has none of its own.
    package var fresh: DirectoryID
    /// Tells the directory from a copy of it elsewhere; 0 if the shell cannot tell.
    package var place: UInt64
    package init(fresh: DirectoryID, place: UInt64) {
        self.fresh = fresh
        self.place = place
    }
}

/// What an operator may want to know of the directories that nodes keep their promises in.
package enum IdentityNotice: Hashable, Sendable {
    /// A node starts.
    case opened(DirectoryID, DirectoryOrigin, starts: UInt64, copiedFrom: DirectoryID?)
    /// `IDENTITY` was damaged; one of its slots was whole, or it was made anew.
    case damaged(String)
    /// All members have met, once and for all.
    case formed
    /// The cluster does not count on this directory.
    case excluded(String)
    /// This node catches up before it counts again.
    case repairing(through: LogIndex)
    case repaired(through: LogIndex)
    /// From this entry on a directory stands for a node.
    case readmitted(NodeID, DirectoryID, at: LogIndex)
}

extension ReplicaNode {
    /// Numbers of batches that hold no log: those have the highest bit set.
    static var identityBatch: UInt64 { 1 << 63 }

    /// Whether a batch carries log; the simulator's checkers count on it.
    package static func carriesLog(_ batch: DiskBatch) -> Bool {
        batch.number < ReplicaNode.identityBatch
    }

    package var directoryIdentity: DirectoryIdentity? { registry?.identity }
    /// Why the cluster does not take this node, if it said so.
    package var exclusion: String? { registry?.exclusion }
    /// The directory that stands for a node, as this one knows.
    package func directory(of node: NodeID) -> DirectoryID? {
        registry?.identity[member: node]?.directory
    }
    /// The directory that knocked here for a node and was not let in.
    package func knock(of node: NodeID) -> DirectoryID? { registry?.knocks[node] }

    /// Whether this node does all that it is there for.
    @inline(__always)
    package var condition: NodeCondition {
        if isRebuilding { return .rebuilding }
        if quarantine != nil { return .quarantined }
        let whole = scrubbing.state.keepsDamage ? NodeCondition.damaged : .healthy
        guard let registry else { return whole }
        if registry.exclusion != nil { return .excluded }
        switch raft.participation {
        case .full: return whole
        case .repairing: return .repairing
        case .barred: return .forming
        }
    }

    /// What this node says of its directory when it greets a peer; `nil` where nobody asks.
    package var greeting: PeerIdentity? {
        guard let registry else { return nil }
        let last = raft.lastIndex
        return PeerIdentity(
            directory: registry.identity.directory,
            starts: registry.identity.starts,
            term: raft.currentTerm,
            lastEntry: EntryID(term: raft.term(at: last) ?? .zero, index: last),
            isFormed: registry.durable.isFormed && registry.identity.isFormed,
            isRepairing: raft.participation != .full,
            members: registry.tags
        )
    }

    /// Judges a peer by its greeting, before any message of it is taken.
    ///
    /// `greeting` is what the peer says of itself, in its hello or in its answer to one, `run` its
    /// incarnation; `isRunning` says that a connection of an earlier process of the peer is open, and
    /// not silent.
    ///
    /// - Returns: why it is not let in; nil if it is.
    package mutating func refusal(
        of greeting: PeerIdentity?,
        from peer: NodeID,
        run: UInt64,
        isRunning: Bool,
        at now: Instant
    ) -> IdentityRefusal? {
        guard registry != nil, let i = peers.firstIndex(where: { $0.node == peer }) else {
            return nil
        }
        guard let greeting else {
            peers[i].refusal = .noIdentity(peer)
            return .noIdentity(peer)
        }
        let isCommitted = isPromiseCommitted(of: peer)
        let refusal = registry?.refusal(
            of: greeting,
            from: peer,
            run: run,
            isRunning: isRunning,
            isCommitted: isCommitted
        )
        if refusal != .secondProcess(peer) || !isRunning {
            peers[i].isWelcome = refusal == nil
            peers[i].refusal = refusal
        }
        membersChanged(at: now)
        return refusal
    }

    /// A peer did not let this node in.
    package mutating func refused(
        by peer: NodeID,
        _ reason: String,
        kind: RefusalKind,
        at now: Instant
    ) {
        guard kind != .other, registry != nil else { return }
        registry?.refused(reason, voidsPromises: kind == .lostPromises)
        membersChanged(at: now)
    }

    /// A peer says which directory stands for which member.
    mutating func receiveMembers(
        _ tags: [MemberTag],
        isFormed: Bool,
        from peer: NodeID,
        at now: Instant
    ) {
        registry?.learn(tags, isFormed: isFormed, from: peer)
        membersChanged(at: now)
        // It may not have got what was said when this node knew.
        if !isFormed, registry?.durable.isFormed == true { sendMembers(to: peer) }
    }

    /// Carries out what follows from a change of the registry.
    mutating func membersChanged(at now: Instant) {
        guard let replaced = registry?.takeReplaced() else { return }
        for node in replaced {
            if let i = peers.firstIndex(where: { $0.node == node }) { peers[i].isWelcome = false }
            raft.memberReplaced(node, at: now, into: &actions)
            output.disconnects.append(node)
        }
        settleParticipation(at: now)
        if registry?.isExclusionNews == true, let exclusion = registry?.exclusion {
            registry?.exclusionIsTold()
            output.notices.append(.identity(.excluded(exclusion)))
        }
        settle(at: now)
    }

    private mutating func settleParticipation(at now: Instant) {
        guard let wanted = registry?.participation, wanted != raft.participation else { return }
        let before = raft.participation
        // A repair of a damaged log ends by itself.
        if wanted == .full, before != .barred { return }
        raft.participate(wanted, at: now, into: &actions)
        switch wanted {
        case .full where before == .barred: output.notices.append(.identity(.formed))
        case .repairing(let through):
            output.notices.append(.identity(.repairing(through: through)))
        case .full, .barred: break
        }
    }

    /// An entry of the log lets a directory stand for a node.
    mutating func applyReadmission(_ readmission: Readmission, at index: LogIndex, _ now: Instant) {
        let tag = MemberTag(
            node: NodeID(readmission.node),
            directory: DirectoryID(high: readmission.high, low: readmission.low),
            admittedAt: index
        )
        output.notices.append(.identity(.readmitted(tag.node, tag.directory, at: index)))
        registry?.admit(tag)
        membersChanged(at: now)
    }

    /// This node's log makes up for all that it lost.
    mutating func repairEnded(through index: LogIndex) {
        registry?.repaired()
        output.notices.append(.identity(.repaired(through: index)))
    }

    /// Remembers what a peer promises with a message.
    mutating func notePromise(_ message: Message) {
        guard registry != nil else { return }
        var entry = EntryID.zero
        switch message.body {
        case .appendEntriesReply(let reply):
            if case .accepted(let durable, _) = reply.result, raft.role == .leader,
                message.term == raft.currentTerm, reply.repair == 0,
                let term = raft.term(at: durable), durable > .zero
            {
                entry = EntryID(term: term, index: durable)
            }
        case .requestVote, .requestVoteReply, .appendEntries: break
        // A pre-vote is of a term that nobody has begun.
        case .preVote, .preVoteReply, .timeoutNow: return
        }
        note(message.from, term: message.term, entry)
    }

    mutating func note(_ peer: NodeID, term: Term, _ entry: EntryID) {
        let isCommitted = isPromiseCommitted(of: peer)
        registry?.note(peer, term: term, entry: entry, isCommitted: isCommitted)
    }

    private func isPromiseCommitted(of peer: NodeID) -> Bool {
        registry?.identity[member: peer].map { raft.isCommitted($0.promisedEntry) } ?? false
    }

    /// The next write of `IDENTITY`; only while the journal has none under way.
    mutating func identityWrite() -> DiskBatch? {
        guard let operations = registry?.nextWrite() else { return nil }
        identityWrites += 1
        return DiskBatch(
            number: ReplicaNode.identityBatch | identityWrites,
            operations: operations
        )
    }

    mutating func identityWritten(at now: Instant) {
        if registry?.written() == true {
            for peer in peers where peer.isConnected { sendMembers(to: peer.node) }
        }
        membersChanged(at: now)
    }

    mutating func sendMembers(to peer: NodeID) {
        guard let registry else { return }
        output.messages.append(
            .init(to: peer, message: .members(registry.tags, isFormed: registry.durable.isFormed))
        )
    }
}
