extension RaftNode {
    mutating func receivedAppendEntries(
        _ append: AppendEntries,
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        let sender = peerIDs[peer]
        guard term >= currentTerm, peers[peer].isVoter else {
            if peers[peer].isVoter {
                reply(.rejected(at: append.previous.index, hint: .zero), to: sender, into: &actions)
            } else {
                droppedMessages += 1
            }
            return
        }
        if term == currentTerm {
            // Election Safety (§3.6.3): one leader a term. Going on would corrupt both logs.
            invariant(role != .leader, "\(sender) and \(id) both lead term \(term)")
            invariant(
                leader == nil || leader == sender,
                "\(sender) and \(leader?.description ?? "-") both lead term \(term)"
            )
        }
        if term > currentTerm || leader != sender || role == .preCandidate || role == .candidate {
            becomeFollower(term: term, leader: sender, at: now, into: &actions)
        }
        leaderHeard = now
        isLastResort = false
        resetElectionDeadline(at: now)
        let isNewRound = append.readRound > echoedRound
        leaderRound = max(leaderRound, append.readRound)
        if isRepairing { noteCommitted(append) }

        guard log.term(at: append.previous.index) == append.previous.term else {
            invariant(
                append.previous.index > commitIndex,
                "\(sender) has \(append.previous) where \(committedName(append.previous.index)) is committed"
            )
            let hint = log.lastID(
                atOrBefore: append.previous.index,
                termAtMost: append.previous.term
            )
            reply(.rejected(at: append.previous.index, hint: hint), to: sender, into: &actions)
            return
        }
        let entries = entriesWithRoom(append.entries)
        guard take(entries, from: sender) else {
            droppedMessages += 1
            return
        }
        let isCutShort = entries.count < append.entries.count
        let last = append.previous.index.advanced(by: entries.count)
        matched = max(matched, last)
        commit(through: min(append.leaderCommit, matched))
        if append.allowsInference { leaderDurable = max(leaderDurable, append.leaderDurable) }
        if isRepairing { endRepairIfWhole(at: now, into: &actions) }

        if matched > durableIndex { owesAcknowledgement = true }
        // A bare commit index needs no answer: heartbeats, probes and reads have a new round.
        // And a leader whose entries found no room has to hear that it should send no more.
        if isNewRound || isCutShort || (!append.entries.isEmpty && last <= durableIndex) {
            reply(accepted, to: sender, into: &actions)
        }
    }

    /// The first of these entries, as many as the own disk has room for; those that are there already
    /// need none.
    ///
    /// The rest counts as lost on the way: it is neither kept in memory nor acknowledged, so that
    /// neither memory nor what waits for the disk grows behind a disk that is full or hangs.
    private mutating func entriesWithRoom(_ entries: [Entry]) -> [Entry] {
        var isKnown = true
        for position in entries.indices {
            let entry = entries[position]
            if isKnown, log.term(at: entry.index) == entry.term { continue }
            isKnown = false
            guard entry.storedBytes <= room else {
                unstoredEntries += UInt64(entries.count - position)
                unstoredBytes = entry.storedBytes
                return Array(entries[..<position])
            }
            room -= entry.storedBytes
        }
        return entries
    }

    /// False from when an entry found no room, until there is room for one of its size.
    private var hasRoomAgain: Bool { unstoredBytes <= room }

    private func committedName(_ index: LogIndex) -> String {
        EntryID(term: log.term(at: index) ?? .zero, index: index).description
    }

    /// Appends the entries that are not there yet, after removing what conflicts with them (§3.5).
    ///
    /// An entry that is there already stays, and so does what follows it: the message may be an
    /// old one that overtook, or was overtaken by, its successors.
    ///
    /// - Returns: false if their time runs back behind the log's: no correct leader sends that.
    private mutating func take(_ entries: [Entry], from sender: NodeID) -> Bool {
        var known = 0
        while known < entries.count, log.term(at: entries[known].index) == entries[known].term {
            known += 1
        }
        guard known < entries.count else { return true }
        let first = entries[known]
        guard first.time >= log.time(at: first.index.previous) else { return false }
        if first.index <= lastIndex {
            invariant(
                first.index > commitIndex,
                "\(sender) has \(first.id) where \(committedName(first.index)) is committed"
            )
            invariant(
                first.index > matched,
                "\(sender) has \(first.id) where it had \(committedName(first.index))"
            )
            log.truncate(after: first.index.previous)
            writes.truncate(after: first.index.previous)
        }
        for position in known..<entries.count { log.append(entries[position]) }
        writes.append(contentsOf: known == 0 ? entries : Array(entries[known...]))
        return true
    }

    private var accepted: AppendEntriesReply.Result {
        .accepted(durable: min(durableIndex, matched), matched: matched)
    }

    /// Tells the leader how far the log is durable.
    mutating func acknowledge(to leader: NodeID, into actions: inout [Action]) {
        owesAcknowledgement = matched > durableIndex
        reply(accepted, to: leader, into: &actions)
    }

    private mutating func reply(
        _ result: AppendEntriesReply.Result,
        to sender: NodeID,
        into actions: inout [Action]
    ) {
        echoedRound = leaderRound
        if hasRoomAgain { unstoredBytes = 0 }
        send(
            .appendEntriesReply(
                AppendEntriesReply(
                    result: result,
                    readRound: leaderRound,
                    hasRoom: unstoredBytes == 0,
                    repair: isSilent ? repair.number : 0
                )
            ),
            to: sender,
            into: &actions
        )
    }
}
