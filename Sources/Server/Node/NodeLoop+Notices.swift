import Digest
import Journal
import Raft
import Replica
import Verification

/// Log lines about data directories and digests.
extension NodeLoop {
    func note(_ notice: IdentityNotice) {
        switch notice {
        case .opened(let directory, let origin, let starts, let copiedFrom):
            opened(directory, origin, starts, copiedFrom)
        case .damaged(let what):
            log.warning("identity", "IDENTITY was damaged", ["what": .text(what)])
        case .formed:
            log.info("identity", "the cluster is formed and knows this node: it takes part")
        case .excluded(let reason):
            log.error(
                "identity",
                "the cluster does not count on this data directory: this node takes no part",
                ["reason": .text(reason)]
            )
        case .repairing(let through):
            log.warning(
                "identity",
                "this node catches up before it votes or acknowledges again",
                ["through": .count(through.number)]
            )
        case .repaired(let through):
            log.info(
                "identity",
                "this node has caught up and takes part again",
                ["through": .count(through.number)]
            )
        case .readmitted(let node, let directory, let index):
            log.info(
                "identity",
                "another data directory stands for a node from here on",
                [
                    "peer": .number(Int64(node.number)), "directory": .text("\(directory)"),
                    "index": .count(index.number),
                ]
            )
        }
    }

    private func opened(
        _ directory: DirectoryID,
        _ origin: DirectoryOrigin,
        _ starts: UInt64,
        _ copiedFrom: DirectoryID?
    ) {
        switch origin {
        case .known:
            log.info(
                "identity",
                "data directory opened",
                ["directory": .text("\(directory)"), "starts": .count(starts)]
            )
        case .fresh:
            log.info("identity", "data directory is new", ["directory": .text("\(directory)")])
        case .lost:
            log.warning(
                "identity",
                """
                the data directory has a log but no whole IDENTITY: it has a new one, which a cluster \
                that was formed does not know (verdict readmit)
                """,
                ["directory": .text("\(directory)")]
            )
        case .copied:
            log.warning(
                "identity",
                """
                the data directory was copied from another place: it has a new identity, which a \
                cluster that was formed does not know (verdict readmit)
                """,
                [
                    "directory": .text("\(directory)"),
                    "copy_of": .text(copiedFrom?.description ?? ""),
                ]
            )
        }
    }

    /// A place of the state on disk is not what was written.
    func noteRunDamage(_ reason: String, _ remedy: RunRemedy) {
        let fields: Log.Fields = ["error": .text(reason)]
        switch remedy {
        case .merged:
            log.warning(
                "state",
                "the state is damaged where nothing counts: the file is written anew",
                fields
            )
        case .writtenAgain:
            log.warning(
                "state",
                "a record of the state is damaged: it is written again from memory",
                fields
            )
        case .kept:
            log.error(
                "state",
                "the state is damaged, and not all other nodes are well: it is kept until they are",
                fields
            )
        }
    }

    func note(_ notice: PlacementNotice) {
        switch notice {
        case .movesToBest(let node):
            let view = replica.placementView
            log.info(
                "placement",
                "leadership moves to where decisions take less time",
                [
                    "to": .number(Int64(node.number)),
                    "mean_us": .count((view.mean ?? 0) / 1000),
                    "best_mean_us": .count((view.bestMean ?? 0) / 1000),
                ]
            )
        case .movesToReach(let node, let other):
            log.warning(
                "placement",
                "leadership moves to a node that hears one that this node does not",
                ["to": .number(Int64(node.number)), "hears": .number(Int64(other.number))]
            )
        case .electionTimeout(let timeout):
            log.info(
                "placement",
                "the election time-out follows the round trips",
                ["election_timeout": .text("\(timeout)")]
            )
        }
    }

    func note(_ notice: DigestNotice) {
        switch notice {
        case .quarantined(let mismatch):
            log.error(
                "digest",
                "this replica's state differs from the others': it stops serving (verdict rebuild)",
                fields(of: mismatch)
            )
        case .noMajority(let index):
            metrics.digestDisputes += 1
            log.error(
                "digest",
                "no majority of the nodes has the same state",
                ["index": .count(index.number)]
            )
        case .unconfirmed(let index, let peer):
            log.warning(
                "digest",
                "a node waits for this node's checkpoint until a majority has confirmed that it is right: start the nodes that are down",
                ["index": .count(index.number), "peer": .number(Int64(peer.number))]
            )
        case .rebuilding: log.info("digest", "the state is built anew from the log")
        case .startsAnew:
            log.info("digest", "the node starts anew, from its log")
            exitStatus = NodeLoop.startsAnew
        case .rebuiltInVain(let mismatch):
            log.error(
                "digest",
                """
                the state was built from the log alone and differs: this node's log, limits or \
                version is not the others'; empty its data directory and readmit it
                """,
                fields(of: mismatch)
            )
        }
    }

    private func fields(of mismatch: DigestMismatch) -> Log.Fields {
        [
            "index": .count(mismatch.agreed.index.number), "found_at": .count(mismatch.at.number),
            "own": .text(Hex.string(mismatch.own)),
            "agreed": .text(Hex.string(mismatch.agreed.digest)),
        ]
    }
}
