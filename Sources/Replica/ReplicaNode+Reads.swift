package import Raft

extension ReplicaNode {
    /// Asks for a linearizable read; a `ReadCompletion` with `context` tells when the state may be
    /// read.
    package mutating func beginRead(
        context: UInt64,
        maxHold: Duration? = nil,
        at now: Instant
    ) {
        reads.append(context: context, deadline: now.advanced(by: hold(atMost: maxHold)))
    }

    package var pendingReads: Int { reads.count }

    /// Starts a round for the reads that came since the last one.
    mutating func startReads(at now: Instant) {
        guard reads.canBeginRound else { return }
        if raft.role == .leader {
            raft.read(reads.beginRound(at: now), at: now, into: &actions)
            settle(at: now)
            if isServing { reads.serve(applied: appliedIndex, into: &output.reads) }
        } else if let leader = raft.leader,
            peers.contains(where: { $0.node == leader && $0.isConnected })
        {
            let round = reads.beginRound(at: now)
            output.messages.append(.init(to: leader, message: .readIndex(round: round)))
        }
    }

    /// Asks the leader again for rounds that it has not answered.
    ///
    /// A leader's own rounds wait in the core, which answers or refuses each.
    mutating func askAgain(at now: Instant) {
        guard raft.role != .leader, let leader = raft.leader,
            peers.contains(where: { $0.node == leader && $0.isConnected })
        else { return }
        for round in reads.takeOverdue(at: now, retryAfter: configuration.forwardRetry) {
            output.messages.append(.init(to: leader, message: .readIndex(round: round)))
        }
    }

    /// The core confirmed a read round, or refused it (`index` is `nil`).
    mutating func readAnswered(_ number: UInt64, index: LogIndex?) {
        if PeerReads.isPeers(number) {
            if let envelope = peerReads.answer(number, index: index) {
                output.messages.append(envelope)
            }
        } else if let index {
            reads.resolved(round: number, index: index)
        } else {
            reads.failed(round: number)
        }
    }

    /// A peer asks this node, as the leader, for a read index.
    mutating func receiveReadIndex(round: UInt64, from peer: NodeID, at now: Instant) {
        guard let number = peerReads.begin(peer: peer, round: round) else { return }
        raft.read(number, at: now, into: &actions)
    }
}

/// Read rounds that this node serves for its peers.
///
/// Their numbers in the core have the highest bit set, so that they never meet `ReadTable`'s own.
struct PeerReads {
    private struct Question {
        var number: UInt64
        var peer: NodeID
        var round: UInt64
    }
    private var questions: [Question] = []
    var count: Int { questions.count }
    private var next: UInt64 = 1 << 63

    static func isPeers(_ number: UInt64) -> Bool { number >= 1 << 63 }

    /// - Returns: its number in the core; `nil` if it is being served already: it was asked again,
    ///   and the answer to come is as good.
    mutating func begin(peer: NodeID, round: UInt64) -> UInt64? {
        guard !questions.contains(where: { $0.peer == peer && $0.round == round }) else {
            return nil
        }
        defer { next += 1 }
        questions.append(Question(number: next, peer: peer, round: round))
        return next
    }

    /// The answer to send, if the question is known.
    mutating func answer(_ number: UInt64, index: LogIndex?) -> ReplicaOutput.Envelope? {
        guard let i = questions.firstIndex(where: { $0.number == number }) else { return nil }
        let question = questions.remove(at: i)
        return ReplicaOutput.Envelope(
            to: question.peer,
            message: .readIndexReply(round: question.round, index: index)
        )
    }
}
