internal import Journal
internal import Store
package import Raft
package import Verification

/// Why a replica does not serve: its state is not what the others have.
package struct Quarantine: Hashable, Sendable {
    package var mismatch: DigestMismatch
    /// The state was built from the log alone, and differs.
    package var isConfirmed = false
}

/// What operators are told of digests.
package enum DigestNotice: Hashable, Sendable {
    case quarantined(DigestMismatch)
    /// No majority of the nodes has the same digest.
    case noMajority(index: EntryIndex)
    /// A peer waits for the checkpoint at this entry, which no majority has confirmed.
    case unconfirmed(index: EntryIndex, peer: NodeID)
    case rebuilding
    /// The owner starts anew from the disk.
    case startsAnew
    /// The state was built from the log alone, and differs.
    case rebuiltInVain(DigestMismatch)
}

/// The digest of the newest checkpoint's entry, which has to be compared before that is handed on.
struct WantedComparison {
    var index = LogIndex.zero
    /// Somebody has asked for it since then, and until shortly before the other.
    var wantedSince: Instant
    var wantedUntil: Instant
    /// An operator was told.
    var isTold = false
    /// The checkpoint stays the newest one until then.
    var holdsUntil: Instant
    /// What peers ask for, whose backups wait, and until when.
    var ofPeers = LogIndex.zero
    var ofPeersUntil = Instant(nanoseconds: 0)
    /// When this node asked its leader last.
    var askedAt: Instant?
    /// Where the last check stands that this leader proposed: none goes out beside it.
    var proposedAt = LogIndex.zero
}

extension ReplicaNode {
    /// Whether answers from this node's state may be given.
    @inline(__always)
    package var isServing: Bool { quarantine == nil && !isRebuilding }

    /// The newest digest of this node's state that others can compare.
    @inline(__always)
    var newestMark: DigestMark? { isRebuilding ? nil : machine.digest.marks.last }

    /// Looks whether an applied entry has shown that this replica differs; `isFromLogAlone` if the state was
    /// built from the log just now, without a checkpoint.
    mutating func noteMismatch(isFromLogAlone: Bool = false, at now: Instant) {
        guard quarantine == nil, let mismatch = machine.mismatch else { return }
        quarantine = Quarantine(mismatch: mismatch, isConfirmed: isFromLogAlone)
        output.notices.append(
            .digest(isFromLogAlone ? .rebuiltInVain(mismatch) : .quarantined(mismatch))
        )
        beginQuarantine(at: now)
    }

    /// The log is sound, only the state is not: this node goes on to vote and to acknowledge, but
    /// it answers nobody and does not lead.
    mutating func beginQuarantine(at now: Instant) {
        // Their entries may be applied without an answer from here on: nothing is claimed.
        output.completions += requests.giveUpAll()
        raft.avoidOffice(true, at: now)
        handOverInQuarantine(at: now)
    }

    mutating func handOverInQuarantine(at now: Instant) {
        guard raft.role == .leader, !isServing else { return }
        // One that serves and has no room is better than one that does not serve.
        let serving = successor(at: now) { $0.condition.serves }
        guard let successor = successor(at: now) ?? serving else { return }
        _ = raft.transferLeadership(to: successor, at: now, into: &actions)
        settle(at: now)
    }

    /// Every so often the leader has the replicas compare what their states have come to.
    mutating func checkDigests(at now: Instant) {
        if !isServing { handOverInQuarantine(at: now) }
        guard let interval = configuration.digestInterval, nextDigestAt <= now else { return }
        nextDigestAt = now.advanced(by: interval)
        let wanted = wantedComparison(at: now)
        let isWanted = wanted > .zero
        guard raft.role == .leader, raft.proposalRefusal == nil,
            comparison.proposedAt <= appliedIndex, machine.digest.isCheckDue || isWanted,
            isTimeKnown
        else { return }
        let agreed = majorityMark
        let newest = machine.digest.marks.last?.index ?? EntryIndex(0)
        let isMarkDue =
            machine.digest.isMarkDue || newest.number < wanted.number
        // What is marked is compared once the others have said what they have there.
        guard agreed != nil || isMarkDue || allHaveNewestMark else { return }
        if agreed == nil, allHaveNewestMark, newest.number > 0 {
            output.notices.append(.digest(.noMajority(index: newest)))
            guard isMarkDue else { return }
        }
        var bytes: [UInt8] = []
        Command.checkDigest(agreed).encode(into: &bytes)
        forwarded.append(bytes)
        comparison.proposedAt = raft.lastIndex.next
        counters.digestChecks += 1
    }

    /// The newest entry as of which somebody waits for a comparison; zero if nobody does.
    private func wantedComparison(at now: Instant) -> LogIndex {
        var wanted = backupComparison ?? .zero
        if isComparisonWanted(at: now) { wanted = max(wanted, comparison.index) }
        if comparison.ofPeersUntil > now { wanted = max(wanted, comparison.ofPeers) }
        return machine.digest.isCompared(EntryIndex(wanted.number)) ? .zero : wanted
    }

    /// Has the state compared as of an entry or a later one, soon: by this node if it leads, else by whoever does.
    mutating func wantComparison(of index: LogIndex, at now: Instant) {
        let pause = Duration.milliseconds(500)
        if raft.role == .leader {
            nextDigestAt = min(nextDigestAt, now.advanced(by: pause))
        } else if let leader = raft.leader, comparison.askedAt?.advanced(by: pause) ?? now <= now {
            comparison.askedAt = now
            output.messages.append(.init(to: leader, message: .pull(.comparisonWanted(index))))
        }
    }

    /// A peer asks that states be compared.
    mutating func comparisonAsked(_ index: LogIndex, at now: Instant) {
        guard configuration.digestInterval != nil, raft.role == .leader, index <= raft.commitIndex,
            !machine.digest.isCompared(EntryIndex(index.number))
        else { return }
        let isOver = comparison.ofPeersUntil <= now
        comparison.ofPeers = isOver ? index : max(comparison.ofPeers, index)
        comparison.ofPeersUntil = now.advanced(by: .seconds(10))
        wantComparison(of: index, at: now)
    }

    /// Whether the checkpoint at an entry may be handed on to a peer: once a majority has said that its states
    /// are the same as of that entry, or of a later one.
    ///
    /// What was changed behind a node's back and is not found yet must not spread: copied to one more node it
    /// would outvote those who are right. So it is compared, as soon as can be. Where nobody compares
    /// there is nothing to wait for; nor where the peer lacks the log without which no majority comes together,
    /// and nothing can be agreed before it has the checkpoint. That only the leader knows, whom the peer asks
    /// next: anybody else hands on nothing that was not compared.
    mutating func mayHandOn(_ index: LogIndex, to peer: NodeID, at now: Instant) -> Bool {
        guard configuration.digestInterval != nil,
            !machine.digest.isCompared(EntryIndex(index.number)),
            raft.role != .leader || canCompare(index, for: peer, at: now)
        else { return true }
        if comparison.index != index {
            comparison.index = index
            comparison.holdsUntil = now.advanced(by: .seconds(30))
        }
        if comparison.wantedUntil <= now {
            comparison.wantedSince = now
            comparison.isTold = false
        }
        comparison.wantedUntil = now.advanced(by: .seconds(10))
        if !comparison.isTold, comparison.wantedSince.advanced(by: .seconds(10)) <= now {
            comparison.isTold = true
            output.notices.append(
                .digest(.unconfirmed(index: EntryIndex(index.number), peer: peer))
            )
        }
        nextDigestAt = min(nextDigestAt, now.advanced(by: .milliseconds(500)))
        return false
    }

    /// Whether the peer has the log, so that the cluster goes on without its state until enough others, who may
    /// be away, have agreed on a digest; or enough others can agree on one at once.
    ///
    /// Who builds its state anew, too, will not: it waits for the same checkpoint.
    private func canCompare(_ index: LogIndex, for peer: NodeID, at now: Instant) -> Bool {
        var ready = 1
        var possible = 1
        var hasLog = false
        for progress in raft.progress where progress.isVoter && progress.counts {
            let state = peers.first { $0.node == progress.node }
            // A leader that has just been elected knows nobody's log yet, but what they said of themselves.
            let reaches =
                progress.matchIndex >= index
                || state?.status.map { max($0.appliedIndex, $0.promised.index) >= index } ?? false
            if progress.node == peer {
                hasLog = reaches
                continue
            }
            let isThere = state.map { isReachable($0, at: now) } ?? false
            let condition = state?.status?.condition
            let isWithoutState = condition == .rebuilding || condition == .quarantined
            if !isThere || !isWithoutState { possible += 1 }
            if isThere, condition?.serves == true, reaches { ready += 1 }
        }
        return (hasLog ? possible : ready) >= configuration.raft.membership.quorum
    }

    /// Somebody waits until the checkpoint can be handed on.
    func isComparisonWanted(at now: Instant) -> Bool {
        comparison.wantedUntil > now
            && !machine.digest.isCompared(EntryIndex(comparison.index.number))
    }

    /// A newer checkpoint would have to be compared again before it can be handed on; so it waits until this one
    /// is, but not for ever.
    func isCheckpointHeld(at now: Instant) -> Bool {
        min(comparison.wantedUntil, comparison.holdsUntil) > now
    }

    /// The newest digest that most nodes have.
    private var majorityMark: DigestMark? {
        let quorum = configuration.raft.membership.quorum
        var candidates = peers.compactMap { $0.status?.mark }
        candidates += machine.digest.marks
        candidates.sort { $0.index > $1.index }
        return candidates.first { candidate in
            if machine.digest.isCompared(candidate) { return false }
            var count = machine.digest.mark(at: candidate.index) == candidate ? 1 : 0
            for peer in peers where peer.status?.mark == candidate { count += 1 }
            return count >= quorum
        }
    }

    private var allHaveNewestMark: Bool {
        guard let newest = machine.digest.marks.last else { return false }
        return peers.allSatisfy { $0.status?.mark?.index == newest.index }
    }

    // MARK: Rebuilding

    /// Has this replica's state built anew, after which whoever owns it starts anew from the disk.
    ///
    /// The log is sound and the others may count on it, so it stays as it is. A state that came from the
    /// log alone comes from there again. Otherwise the leader's checkpoint takes the place of the own one:
    /// going back behind that would take every entry from the beginning, and a start has no use for a log
    /// with a hole, which as long as there is a checkpoint is mended on the way.
    ///
    /// - Returns: false if it is being done already.
    package mutating func rebuild(at now: Instant) -> Bool {
        guard !isRebuilding, !isRetired else { return false }
        isRebuilding = true
        output.completions += requests.giveUpAll()
        raft.avoidOffice(true, at: now)
        output.notices.append(.digest(.rebuilding))
        handOverInQuarantine(at: now)
        if store.manifest == nil {
            isRetired = true
            output.notices.append(.digest(.startsAnew))
        }
        return true
    }
}
