internal import Journal
package import Raft
package import Verification

/// Why a replica does not serve: its state is not what the others have.
package struct Quarantine: Hashable, Sendable {
    package var mismatch: DigestMismatch
    /// The state was built anew from the log since, and differed again.
    package var isConfirmed = false
}

/// What operators are told of digests.
package enum DigestNotice: Hashable, Sendable {
    case quarantined(DigestMismatch)
    /// No majority of the nodes has the same digest.
    case noMajority(index: EntryIndex)
    case rebuilding
    case rebuilt(through: LogIndex)
    /// The state was built anew from the log, and differs as before.
    case rebuiltInVain(DigestMismatch)
    case rebuildFailed(String)
}

extension ReplicaNode {
    /// Whether answers from this node's state may be given.
    @inline(__always)
    package var isServing: Bool { quarantine == nil && !isRebuilding }

    /// The newest digest of this node's state that others can compare.
    @inline(__always)
    var newestMark: DigestMark? { isRebuilding ? nil : machine.digest.marks.last }

    /// Looks whether an applied entry has shown that this replica differs.
    mutating func noteMismatch(at now: Instant) {
        guard quarantine == nil, let mismatch = machine.mismatch else { return }
        quarantine = Quarantine(mismatch: mismatch)
        if isRebuilding { return }
        output.notices.append(.digest(.quarantined(mismatch)))
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

    private mutating func handOverInQuarantine(at now: Instant) {
        guard raft.role == .leader, !isServing else { return }
        _ = raft.transferLeadership(to: nil, at: now, into: &actions)
        settle(at: now)
    }

    /// Every so often the leader has the replicas compare what their states have come to.
    mutating func checkDigests(at now: Instant) {
        if !isServing { handOverInQuarantine(at: now) }
        guard let interval = configuration.digestInterval, nextDigestAt <= now else { return }
        nextDigestAt = now.advanced(by: interval)
        guard raft.role == .leader, raft.proposalRefusal == nil, machine.digest.isCheckDue else {
            return
        }
        let agreed = majorityMark
        // What is marked is compared once the others have said what they have there.
        guard agreed != nil || machine.digest.isMarkDue || allHaveNewestMark else { return }
        if agreed == nil, allHaveNewestMark, let newest = machine.digest.marks.last {
            output.notices.append(.digest(.noMajority(index: newest.index)))
            guard machine.digest.isMarkDue else { return }
        }
        var bytes: [UInt8] = []
        Command.checkDigest(agreed).encode(into: &bytes)
        forwarded.append(bytes)
        counters.digestChecks += 1
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

    /// Builds this replica's state anew from its log, beside all else that it does.
    ///
    /// - Returns: false if it is doing so already.
    package mutating func rebuild(at now: Instant) -> Bool {
        guard !isRebuilding else { return false }
        isRebuilding = true
        rebuiltFrom = quarantine
        quarantine = nil
        output.completions += requests.giveUpAll()
        machine = StateMachine(limits: configuration.limits)
        raft.avoidOffice(true, at: now)
        output.notices.append(.digest(.rebuilding))
        handOverInQuarantine(at: now)
        return true
    }

    /// Asks the journal for the next entries to apply, if they are not in memory.
    mutating func readForRebuild() {
        guard isRebuilding, rebuildRead == nil, appliedIndex < raft.commitIndex,
            appliedIndex.next <= raft.evictedIndex
        else { return }
        let from = appliedIndex.next
        guard var read = journal.planRead(from: from, maxBytes: 1 << 20) else { return }
        read.number = nextDiskReadNumber
        nextDiskReadNumber += 1
        rebuildRead = JournalReadTicket(peer: node, from: from, maxBytes: 1 << 20, read: read)
        output.diskReads.append(read)
    }

    /// Entries for the new state have been read.
    mutating func rebuildWasRead(_ result: Result<[Entry], RebuildFailure>, at now: Instant) {
        rebuildRead = nil
        switch result {
        case .success(let entries):
            for entry in entries where entry.index == appliedIndex.next {
                guard entry.index <= raft.commitIndex else { break }
                apply(entry, at: now)
            }
            endRebuildIfDone(at: now)
        case .failure(let failure):
            // What there is of the state is of no use; the old one was none either.
            isRebuilding = false
            quarantine = rebuiltFrom
            output.notices.append(.digest(.rebuildFailed(failure.reason)))
        }
    }

    mutating func endRebuildIfDone(at now: Instant) {
        guard isRebuilding, appliedIndex == raft.commitIndex else { return }
        isRebuilding = false
        if let quarantine {
            self.quarantine?.isConfirmed = true
            output.notices.append(.digest(.rebuiltInVain(quarantine.mismatch)))
            return
        }
        rebuiltFrom = nil
        raft.avoidOffice(false, at: now)
        output.notices.append(.digest(.rebuilt(through: appliedIndex)))
    }
}

struct RebuildFailure: Error {
    var reason: String
}
