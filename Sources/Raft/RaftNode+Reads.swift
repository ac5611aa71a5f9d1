/// Reads that wait for proof that this leader still leads.
struct ReadQueue {
    /// Wait for an entry of this term to be committed, then for a round.
    var waiting: [UInt64] = []
    /// Wait for a quorum to echo `round`, to be answered with `index`.
    var confirming: [UInt64] = []
    var round: UInt64 = 0
    var index = LogIndex.zero
}

extension RaftNode {
    /// Asks for the index that the state machine must have applied for a linearizable read
    /// (ReadIndex, §6.4).
    ///
    /// Answered by `.readReady`, or by `.readRefused` when this node does not lead or stops to.
    /// All reads that wait share one round of heartbeats.
    package mutating func read(_ read: UInt64, at now: Instant, into actions: inout [Action]) {
        guard role == .leader else {
            actions.append(.readRefused(read: read))
            return
        }
        reads.waiting.append(read)
        finish(at: now, into: &actions)
    }

    /// Answers the reads whose round a quorum has echoed, and starts the next round.
    mutating func serveReads(into actions: inout [Action]) {
        if !reads.confirming.isEmpty {
            guard echoes(of: reads.round) >= configuration.membership.quorum else { return }
            for read in reads.confirming {
                actions.append(.readReady(read: read, index: reads.index))
            }
            reads.confirming.removeAll(keepingCapacity: true)
        }
        // Before it has committed in its own term, a leader may not know all that is committed.
        guard !reads.waiting.isEmpty, hasCommittedInTerm else { return }
        if configuration.membership.quorum == 1 {
            for read in reads.waiting {
                actions.append(.readReady(read: read, index: commitIndex))
            }
            reads.waiting.removeAll(keepingCapacity: true)
            return
        }
        swap(&reads.waiting, &reads.confirming)
        // A follower may have told its client of any entry of this log, as far as it goes now.
        reads.index = allowsInference ? lastIndex : commitIndex
        beginRound(into: &actions)
        reads.round = readRound
    }

    private func echoes(of round: UInt64) -> Int {
        var count = 1
        for peer in peers.indices where peers[peer].counts && peers[peer].ackedRound >= round {
            count += 1
        }
        return count
    }

    mutating func refuseReads(into actions: inout [Action]) {
        for read in reads.confirming { actions.append(.readRefused(read: read)) }
        for read in reads.waiting { actions.append(.readRefused(read: read)) }
        reads = ReadQueue()
    }
}
