internal import Raft
internal import Replica
internal import Verification

/// Directories and states that are replaced, wrong or built anew.
extension ClusterChecker {
    // MARK: Directories and states

    /// A node's directory was emptied, or is an older copy from now on.
    mutating func replaced(_ node: Int) {
        let before = records[node]
        records[node] = NodeRecord()
        records[node].isOut = true
        records[node].isReplaced = true
        records[node].lost = before.durable.log
        records[node].hadPromised =
            before.hadPromised || before.durable.log.last > .zero || before.durable.term > .zero
        for (vote, candidate) in votes where vote.node == node { formerVotes[vote] = candidate }
        votes = votes.filter { $0.key.node != node }
    }

    /// A node whose directory was replaced takes part again.
    mutating func observeReturn(_ node: Int, at now: UInt64) {
        records[node].isOut = false
        records[node].lost = LogShape()
        // Who had promised nothing lost nothing.
        let everything = records[node].hadPromised ? UInt64(committed.count) : 0
        let through = records[node].admittedAt ?? everything
        for entry in committed.prefix(Int(through))
        where records[node].durable.log.term(at: entry.id.index) != entry.id.term {
            fail(
                "a lost directory takes no part",
                "n\(node + 1) takes part again without \(entry.id) on its disk",
                at: now
            )
            break
        }
        records[node].admittedAt = nil
        records[node].hadPromised = false
    }

    mutating func corrupted(_ node: Int) { records[node].isCorrupt = true }
    mutating func rebuilt(_ node: Int) { records[node].isCorrupt = false }

    mutating func damaged(_ node: Int) { records[node].isRotten = true }

    /// A node starts anew from a checkpoint of another one: its log may begin after that, and holds all
    /// that it stands for.
    mutating func installed(_ node: Int, _ entry: EntryID) { records[node].installed = entry }
    mutating func fetching(_ node: Int) { records[node].isFetching = true }

    mutating func setRepairing(_ node: Int, _ isRepairing: Bool, promised: LogShape?) {
        records[node].isRepairing = isRepairing
        records[node].promised = isRepairing ? promised : nil
        if !isRepairing { records[node].isRotten = false }
    }

    // MARK: Whole states

    /// The whole state as of a committed entry, by the log alone.
    mutating func stateFingerprint(at index: UInt64) -> UInt64 {
        if let known = references[index] { return known }
        let sum = reference.fingerprint(at: index, committed, book)
        references[index] = sum
        return sum
    }

    /// A checkpoint found on a disk is the state as it was at its entry.
    mutating func compareCheckpoint(
        _ node: Int,
        _ index: UInt64,
        _ fingerprint: UInt64,
        at now: UInt64
    ) {
        guard stateFingerprint(at: index) != fingerprint else { return }
        fail(
            "state store",
            "n\(node + 1) has a checkpoint at \(index) that is not the state at that entry",
            at: now
        )
    }

    /// Replicas that applied the same entries are equal; and one that is looked at closely is what the log makes of it.
    mutating func compareAll(
        _ node: Int,
        _ replica: inout ReplicaNode,
        closely: Bool = false,
        at now: UInt64
    ) {
        guard !records[node].isCorrupt, violation == nil else { return }
        let fingerprint = replica.canonicalFingerprint(
            reading: disks[node],
            remembering: &canonical
        )
        if comparesAfresh {
            var nothing = CanonicalRecords()
            invariant(
                replica.canonicalFingerprint(reading: disks[node], remembering: &nothing)
                    == fingerprint,
                "what is remembered of n\(node + 1)'s disk is not what is on it"
            )
        }
        let index = replica.appliedIndex.number
        if let other = digests[index], other != fingerprint {
            fail(
                "state machine safety",
                "n\(node + 1) at \(index) differs from another replica at the same index",
                at: now
            )
        }
        digests[index] = fingerprint
        guard closely, stateFingerprint(at: index) != fingerprint else { return }
        fail(
            "state machine safety",
            "n\(node + 1) at \(index) is not what the log makes of a replica",
            at: now
        )
    }
}
