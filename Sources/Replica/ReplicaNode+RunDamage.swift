import Journal
import Raft
import Store
import Verification

/// What is done about damage in a run of the state.
extension ReplicaNode {
    /// From when peers are told of damage until something is done about it: what they know is as old as the last ping.
    private static var announcement: Duration { .seconds(2) }
    /// Between two tries of a leader to hand over before it gives its state up.
    private static var handOverPause: Duration { .seconds(1) }

    /// Decides what is done about what was found in a run.
    ///
    /// - What nobody needs (a record of which another run has a newer version, zeroes behind a record, header and
    ///   trailer) goes with the run, which is merged.
    /// - What is in memory is written again, after which the place is one that nobody needs.
    /// - What only the others still have is kept, and the peers are told: this node is `damaged`. A leader hands over to
    ///   one that is not. Then a whole state is fetched, if that can be done (`mayGiveUp`); else it is asked again in the
    ///   next round: perhaps nobody will ever read that record, and who does has the state given up all the same
    ///   (`loadFailed`).
    mutating func judgeRun(at now: Instant) {
        // Where the newest versions lie is being noted.
        if case .settling = checkpointing.phase { return }
        if case .moving = merging.phase { return }
        guard let run = store.run(scrubbing.state.handle) else { return endRunScrub() }
        var mending = StateStore.Mending.merge
        var kept: String?
        for finding in scrubbing.state.findings {
            let remedy = remedy(of: finding)
            if remedy != .merged { mending = .keep }
            if remedy == .writtenAgain { checkpointing.isWanted = true }
            if remedy == .kept { kept = finding.failure.reason }
            let place = StateScrub.Place(run: run.sequence, offset: finding.offset)
            let before = scrubbing.state.known.updateValue(remedy, forKey: place)
            if before == nil { scrubbing.state.counts.damages += 1 }
            guard before != remedy else { continue }
            output.notices.append(.runDamaged(finding.failure.reason, remedy))
        }
        store.mend(scrubbing.state.handle, mending)
        noteKept(at: now)
        guard let kept, let since = scrubbing.state.keptSince else { return endRunScrub() }
        handOverDamaged(at: now)
        let told = since.advanced(by: ReplicaNode.announcement)
        guard told <= now else {
            scrubbing.state.restsUntil = told
            return
        }
        guard mayGiveUp(at: now) else { return endRunScrub() }
        guard raft.role != .leader else {
            guard raft.isTransferring || wholeSuccessor(at: now) != nil else {
                return endRunScrub()
            }
            scrubbing.state.restsUntil = now.advanced(by: ReplicaNode.handOverPause)
            return
        }
        giveUpState(kept)
    }

    mutating func noteKept(at now: Instant) {
        guard scrubbing.state.known.values.contains(.kept) else {
            scrubbing.state.keptSince = nil
            return
        }
        guard scrubbing.state.keptSince == nil else { return }
        scrubbing.state.keptSince = now
        scrubbing.state.keptAt = appliedIndex
    }

    /// Whether this node may do without its state until it has fetched another one.
    ///
    /// Somebody has to take its own for whole: where all have the same record damaged nobody has it any more, and a
    /// state with all others is worth more than none. Enough others have to serve to confirm what it fetches. And of
    /// several that are damaged one at a time does without, in the order of their numbers: what it fetches is looked
    /// through on the way, so damage of a leader that has not found it yet does not spread (`damage(in:at:of:_:at:)`).
    private func mayGiveUp(at now: Instant) -> Bool {
        let others = otherVoters(at: now)
        let serving = others.count {
            $0.condition.serves && keepsUp($0.node, among: others, at: now)
        }
        // Without comparing there is nothing to confirm.
        let needed = configuration.digestInterval == nil ? 1 : configuration.raft.membership.quorum
        return serving >= needed
            && others.contains { $0.condition == .healthy }
            && !others.contains {
                $0.condition == .rebuilding || $0.condition == .damaged && $0.node < node
            }
    }

    /// Whether a voter has applied what this node had when it told of its damage, and hears the others.
    ///
    /// One that lags, or that the next leader cannot reach, could not confirm a fetched state for as long as that lasts.
    private func keepsUp(
        _ voter: NodeID,
        among others: [(node: NodeID, condition: NodeCondition)],
        at now: Instant
    ) -> Bool {
        guard let i = peers.firstIndex(where: { $0.node == voter }),
            let applied = peers[i].status?.appliedIndex, applied >= scrubbing.state.keptAt
        else { return false }
        return hearsAll(i, others, at: now)
    }

    private func hearsAll(
        _ peer: Int,
        _ others: [(node: NodeID, condition: NodeCondition)],
        at now: Instant
    ) -> Bool {
        others.allSatisfy { $0.node == peers[peer].node || hears(peer, $0.node, at: now) }
    }

    /// The other voters that can be reached, and what they say of themselves.
    func otherVoters(at now: Instant) -> [(node: NodeID, condition: NodeCondition)] {
        peers.compactMap { peer in
            guard configuration.raft.membership.isVoter(peer.node), isReachable(peer, at: now),
                let condition = peer.status?.condition
            else { return nil }
            return (peer.node, condition)
        }
    }

    private mutating func handOverDamaged(at now: Instant) {
        guard raft.role == .leader, !raft.isTransferring, let next = wholeSuccessor(at: now)
        else { return }
        _ = raft.transferLeadership(to: next, at: now, into: &actions)
        settle(at: now)
    }

    /// One with a whole state that can lead, and that hears all those whom this node hears.
    private func wholeSuccessor(at now: Instant) -> NodeID? {
        let others = otherVoters(at: now)
        let reaching = peers.indices.filter { hearsAll($0, others, at: now) }.map { peers[$0].node }
        return successor(at: now) { peer, status in
            status.condition == .healthy && status.room == .enough && !status.isDiskStalled
                && reaching.contains(peer)
        }
    }

    private mutating func remedy(of finding: StateScrub.Finding) -> RunRemedy {
        switch finding.failure.part {
        case .list: return .kept
        case .header, .trailer, .padding: return .merged
        case .record:
            guard let entry = finding.entry else { return .kept }
            let place = store.place(of: entry, in: scrubbing.state.handle)
            guard machine.isNewest(place) else { return .merged }
            return machine.writeAgain(place) ? .writtenAgain : .kept
        }
    }

    /// A merge cannot read what it is to copy: it ends, and the run is looked through at once.
    mutating func mergeFoundDamage(_ error: JournalError, at now: Instant) {
        guard configuration.scrubBytesPerSecond > 0, merging.input < merging.inputs.count else {
            return giveUpState("\(error)")
        }
        let handle = merging.inputs[merging.input]
        abandonMerge(at: now)
        store.mend(handle, .keep)
        scrubbing.state.urgent = handle
        // What was passed already is looked at again.
        guard scrubbing.state.handle == handle, scrubbing.state.read == nil else { return }
        if case .resting = scrubbing.state.phase { return }
        endRunScrub()
    }

    // MARK: For checkers

    /// Places of runs that are known to be damaged, and those of them that are kept so.
    package var knownDamages: (all: Int, kept: Int) {
        let known = scrubbing.state.known.values
        return (known.count, known.count { $0 == .kept })
    }

    /// Whether the newest durable checkpoint has a file.
    package func hasRun(_ file: String) -> Bool {
        store.manifest?.runs.contains { $0.file == file } ?? false
    }
}
