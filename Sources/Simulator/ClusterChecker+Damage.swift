internal import Raft
internal import Replica

/// Checks what a node does whose disk was damaged behind its back.
extension ClusterChecker {
    /// A node came back on a damaged disk: it may have less than it promised, but then it must know,
    /// and term and vote are there all the same.
    mutating func recoveredFromDamage(
        _ node: Int,
        _ replica: inout ReplicaNode,
        _ found: DurableState,
        _ before: NodeRecord,
        at now: UInt64
    ) {
        let states = [before.durable, before.underWay ?? before.durable]
        if !states.contains(where: { $0.term == found.term && $0.vote == found.vote }) {
            fail(
                "promises survive damage",
                """
                n\(node + 1) recovered term \(found.term), vote \(found.vote?.description ?? "-"); it \
                had promised term \(before.durable.term), vote \
                \(before.durable.vote?.description ?? "-")
                """,
                at: now
            )
        }
        let isWhole =
            states.contains { $0.log == found.log }
            || isInstalled(found, before, replica.raft.isRepairing)
        if (!isWhole || before.isRepairing) && !replica.raft.isRepairing {
            fail(
                "damage is no torn tail",
                """
                n\(node + 1) goes on with a log through \(found.log.lastID) as if it had not promised \
                \(before.durable.log.lastID)
                """,
                at: now
            )
        }
        if isWhole, !before.isRepairing {
            // Nothing was lost, or it was found in the copy.
            setRepairing(node, replica.raft.isRepairing, promised: found.log)
        } else {
            setRepairing(node, true, promised: before.promised ?? before.durable.log)
        }
    }

    /// The log begins anew after a fetched checkpoint: what was promised before is in it, or was never
    /// committed; term and vote are what they were.
    func isInstalled(_ found: DurableState, _ before: NodeRecord, _ isRepairing: Bool) -> Bool {
        guard let entry = before.installed, found.log.lastID == entry,
            before.durable.log.last < entry.index || isRepairing
        else { return false }
        return [before.durable, before.underWay ?? before.durable].contains {
            $0.term == found.term && $0.vote == found.vote
        }
    }

    /// A message of a node that lacks what it promised: it claims nothing.
    mutating func observeRepairing(_ message: Message, from node: Int, at now: UInt64) {
        let claim: String?
        switch message.body {
        case .preVote, .requestVote: claim = "campaigns"
        case .preVoteReply(let reply), .requestVoteReply(let reply):
            claim = reply.granted ? "votes" : nil
        case .appendEntriesReply(let reply):
            if case .accepted = reply.result, reply.repair == 0 {
                claim = "acknowledges"
            } else {
                claim = nil
            }
        case .appendEntries, .timeoutNow: claim = "leads"
        }
        guard let claim else { return }
        fail(
            "repairing nodes count for nothing",
            "n\(node + 1) \(claim) in term \(message.term) though its log is not whole again",
            at: now
        )
    }

    /// A node says that its log is whole again: from now on nobody may count on what it promised
    /// before, so all that is committed is on the disks of a majority without that.
    mutating func repairEnds(_ node: Int, at now: UInt64) {
        setRepairing(node, false, promised: nil)
        repairs += 1
        let last = records[node].durable.log.last
        var index = last.next
        while index.number <= UInt64(committed.count) {
            let id = committed[Int(index.number) - 1].id
            let holders = records.filter { $0.holds(id) }.count
            if holders < quorum {
                fail(
                    "repair ends in time",
                    """
                    n\(node + 1) takes part again with a log through \(last), though \(id) is committed \
                    and on \(holders) disks
                    """,
                    at: now
                )
                return
            }
            index = index.next
        }
    }
}
