/// Why leadership is not handed over.
package enum TransferRefusal: Hashable, Sendable {
    case notLeader(known: NodeID?)
    /// The target leads already.
    case alreadyLeader
    /// One at a time.
    case transferring(to: NodeID)
    /// Not a voter of this cluster.
    case notVoter(NodeID)
    /// No other voter has answered lately.
    case noTarget
}

/// A leadership transfer under way (§3.10).
struct Transfer {
    var target: NodeID
    var deadline: Instant
    private(set) var sentTimeoutNow = false

    init(target: NodeID, deadline: Instant) {
        self.target = target
        self.deadline = deadline
    }

    mutating func timeoutNowIsSent() { sentTimeoutNow = true }
}

extension RaftNode {
    /// Hands leadership over to a voter; nil: to the one whose log is the most complete.
    ///
    /// Proposals are refused until `.transferEnded`, which comes within `ElectionTiming.transfer`.
    ///
    /// - Returns: why nothing was started; nil when it was.
    package mutating func transferLeadership(
        to target: NodeID?,
        at now: Instant,
        into actions: inout [Action]
    ) -> TransferRefusal? {
        guard role == .leader else { return .notLeader(known: leader) }
        if let transfer { return .transferring(to: transfer.target) }
        if target == id { return .alreadyLeader }
        guard let successor = target ?? bestSuccessor(at: now) else { return .noTarget }
        guard let peer = peerIDs.firstIndex(of: successor), peers[peer].isVoter else {
            return .notVoter(successor)
        }
        guard peers[peer].counts else { return .noTarget }
        transfer = Transfer(
            target: successor,
            deadline: now.advanced(nanoseconds: timing.transfer)
        )
        finish(at: now, into: &actions)
        return nil
    }

    /// Leaves office without a successor; the others elect one after an election time-out.
    package mutating func stepDown(at now: Instant, into actions: inout [Action]) {
        guard role == .leader else { return }
        endTransfer(succeeded: false, into: &actions)
        becomeFollower(term: currentTerm, leader: nil, at: now, into: &actions)
        finish(at: now, into: &actions)
    }

    /// A transfer is under way.
    package var isTransferring: Bool { transfer != nil }

    private func bestSuccessor(at now: Instant) -> NodeID? {
        var best: Int?
        for peer in peers.indices {
            guard peers[peer].counts, !peers[peer].isFull,
                now.nanoseconds(since: peers[peer].lastReply) < electionNanoseconds
            else { continue }
            if let best, peers[peer].matchIndex <= peers[best].matchIndex { continue }
            best = peer
        }
        return best.map { peerIDs[$0] }
    }

    /// Asks the target to campaign once it has the whole log on its disk.
    mutating func continueTransfer(into actions: inout [Action]) {
        guard let target = transfer?.target, transfer?.sentTimeoutNow == false,
            let peer = peerIDs.firstIndex(of: target), peers[peer].counts,
            peers[peer].matchIndex == lastIndex
        else { return }
        transfer?.timeoutNowIsSent()
        send(.timeoutNow, to: target, into: &actions)
    }

    /// Repeats the request with each heartbeat: it may have been lost.
    mutating func resendTimeoutNow(into actions: inout [Action]) {
        guard let transfer, transfer.sentTimeoutNow else { return }
        send(.timeoutNow, to: transfer.target, into: &actions)
    }

    mutating func receivedTimeoutNow(
        from peer: Int,
        term: Term,
        at now: Instant,
        into actions: inout [Action]
    ) {
        guard term == currentTerm, role == .follower, leader == peerIDs[peer], mayCampaign,
            !isDiskStuck
        else {
            return
        }
        campaign(isTransfer: true, at: now, into: &actions)
    }

    /// Ends a transfer, if one is under way: with success when another leader was seen, whoever
    /// that is, and without when this node was elected again.
    mutating func endTransfer(succeeded: Bool, into actions: inout [Action]) {
        guard let ended = transfer else { return }
        transfer = nil
        actions.append(.transferEnded(to: ended.target, succeeded: succeeded))
    }

    mutating func endTransferIfOverdue(at now: Instant, into actions: inout [Action]) {
        guard let transfer, now >= transfer.deadline else { return }
        endTransfer(succeeded: false, into: &actions)
    }
}
