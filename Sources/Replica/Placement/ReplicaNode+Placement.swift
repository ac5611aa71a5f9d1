package import Raft

/// What a node knows of the ways between all nodes, and what follows from it.
struct Placement {
    /// What was heard, or said, since then counts as being so now.
    static let recently = Duration.seconds(2)

    /// By place in `ReplicaNode.peers`.
    var meters: [RoundTripMeter]
    var reports: [RoundTripReport?]
    var reportedAt: [Instant]
    var policy: PlacementPolicy
    /// Keeps apart moves to a node that hears more of the others.
    var reachBackoff = MoveBackoff(first: .seconds(10), longest: .seconds(300))
    /// When the leader looks at the matrix again.
    var nextLookAt = Instant(nanoseconds: 0)
    /// What was committed at the last look: everybody has to have it by the next one.
    var committedAtLastLook = LogIndex.zero
    /// The leader that was last known: its turn does not come when it is lost.
    var lastLeader: NodeID?

    init(peers: Int, _ settings: PlacementSettings?) {
        meters = Array(repeating: RoundTripMeter(), count: peers)
        reports = Array(repeating: nil, count: peers)
        reportedAt = Array(repeating: Instant(nanoseconds: 0), count: peers)
        policy = PlacementPolicy(settings ?? PlacementSettings())
    }
}

/// Where leadership should be, as one node sees it.
package struct PlacementView: Hashable, Sendable {
    /// `nil` until all round trips are known.
    package var best: NodeID?
    /// The mean of a decision over all regions, in nanoseconds of round trips: with the leader there
    /// is, and with the best one.
    package var mean: UInt64?
    package var bestMean: UInt64?
}

/// Leadership moves by itself.
package enum PlacementNotice: Hashable, Sendable {
    /// To where decisions take less time in the mean.
    case movesToBest(NodeID)
    /// To a node that hears another one that the leader does not, and all that the leader hears.
    case movesToReach(NodeID, of: NodeID)
    /// The election time-out follows the round trips, by more than a little.
    case electionTimeout(Duration)
}

extension ReplicaNode {
    private static var lookInterval: Duration { .seconds(1) }

    private var voters: [NodeID] { raft.configuration.membership.voters.sorted() }

    /// Round trips between all voters, from own measurements and the others' reports.
    package var roundTrips: RoundTrips {
        let voters = voters
        var trips = RoundTrips(count: voters.count)
        for (place, voter) in voters.enumerated() {
            for (other, peer) in voters.enumerated() where other != place {
                if voter == node {
                    guard let i = peers.firstIndex(where: { $0.node == peer }) else { continue }
                    trips[place, other] = placement.meters[i].least
                } else {
                    guard let i = peers.firstIndex(where: { $0.node == voter }),
                        let trip = placement.reports[i]?[peer]?.roundTrip
                    else { continue }
                    trips[place, other] = UInt64(trip) * 1000
                }
            }
        }
        return trips
    }

    private var infers: Bool { raft.configuration.commitInference }

    package var placementView: PlacementView {
        let voters = voters
        let trips = roundTrips
        let best = trips.bestLeader(infers: infers)
        let leader = raft.leader.flatMap { voters.firstIndex(of: $0) }
        return PlacementView(
            best: best.map { voters[$0] },
            mean: leader.flatMap { trips.meanDecision(leader: $0, infers: infers) },
            bestMean: best.flatMap { trips.meanDecision(leader: $0, infers: infers) }
        )
    }

    var sharesRoundTrips: Bool { configuration.placement != nil || configuration.timing != nil }

    /// What this node says of its ways to the others.
    func roundTripReport(at now: Instant) -> RoundTripReport {
        RoundTripReport(
            peers.indices.map { i in
                RoundTripReport.Item(
                    node: peers[i].node,
                    roundTrip: placement.meters[i].least.map {
                        UInt32(clamping: max(1, $0 / 1000))
                    },
                    silence: peers[i].lastHeardAt.map {
                        UInt32(clamping: now.nanoseconds(since: $0) / 1_000_000)
                    } ?? .max
                )
            }
        )
    }

    mutating func received(_ report: RoundTripReport, from peer: Int, at now: Instant) {
        placement.reports[peer] = report
        placement.reportedAt[peer] = now
    }

    /// A leader changes: what was seen while it led tells nothing of the next one.
    mutating func leaderChanged(_ leader: NodeID?, at now: Instant) {
        placement.policy.interrupt()
        if let leader { placement.lastLeader = leader }
        followRoundTrips(at: now)
    }

    /// Looks at the ways between the nodes; part of the house-keeping.
    mutating func watchPlacement(at now: Instant) {
        let isTimeToLook = placement.nextLookAt <= now
        if isTimeToLook {
            placement.nextLookAt = now.advanced(by: ReplicaNode.lookInterval)
            followRoundTrips(at: now)
        }
        guard raft.role == .leader, let settings = configuration.placement, settings.moves else {
            return
        }
        if moveToReach(at: now) { return }
        guard isTimeToLook else { return }
        defer { placement.committedAtLastLook = raft.commitIndex }
        let voters = voters
        guard let own = voters.firstIndex(of: node), isAllWell(at: now) else {
            return placement.policy.interrupt()
        }
        let target = placement.policy.look(at: roundTrips, leader: own, infers: infers, now: now)
        // One with a damaged state is not better, unless this one has such a state itself.
        guard let target, condition != .healthy || isHealthy(voters[target]) else { return }
        handOver(to: voters[target], .movesToBest(voters[target]), at: now)
    }

    private mutating func handOver(to target: NodeID, _ notice: PlacementNotice, at now: Instant) {
        placement.policy.moved(at: now)
        guard raft.transferLeadership(to: target, at: now, into: &actions) == nil else { return }
        counters.placementMoves += 1
        output.notices.append(.placement(notice))
        settle(at: now)
    }

    /// Whether every voter is there, healthy and up to date, and hears every other one.
    private func isAllWell(at now: Instant) -> Bool {
        guard !raft.isTransferring, condition.serves, diskRoom == .enough, !isDiskStalled,
            raft.term(at: raft.commitIndex) == raft.currentTerm
        else { return false }
        for progress in raft.progress where progress.isVoter {
            guard let i = peers.firstIndex(where: { $0.node == progress.node }),
                progress.state == .replicate, !progress.isFull, progress.repair == 0,
                progress.matchIndex >= placement.committedAtLastLook,
                isReachable(peers[i], at: now), isWell(i)
            else { return false }
            for other in voters where other != progress.node && other != node {
                guard hears(i, other, at: now) else { return false }
            }
        }
        return true
    }

    private func isWell(_ peer: Int) -> Bool {
        guard let status = peers[peer].status else { return false }
        return status.condition.serves && status.room == .enough && !status.isDiskStalled
    }

    private func isHealthy(_ voter: NodeID) -> Bool {
        peers.first { $0.node == voter }?.status?.condition == .healthy
    }

    private func freshReport(of peer: Int, at now: Instant) -> RoundTripReport? {
        guard placement.reportedAt[peer].advanced(by: Placement.recently) > now else { return nil }
        return placement.reports[peer]
    }

    /// Whether a peer says that it has heard another node lately; true where nobody says such things.
    func hears(_ peer: Int, _ other: NodeID, at now: Instant) -> Bool {
        guard sharesRoundTrips else { return true }
        return freshReport(of: peer, at: now)?[other]?.isHeard ?? false
    }

    // MARK: Reach

    /// A voter cannot hear this leader, or be heard by it, while another one hears both and is not said
    /// to be unheard by that voter: that one leads better.
    ///
    /// Both ways count: a node that hears nothing is heard by everybody, and leads no better under one
    /// than under another.
    ///
    /// - Returns: whether leadership is on its way.
    private mutating func moveToReach(at now: Instant) -> Bool {
        guard configuration.timing != nil, !raft.isTransferring,
            placement.reachBackoff.allows(at: now),
            raft.term(at: raft.commitIndex) == raft.currentTerm
        else { return false }
        let voters = voters.filter { $0 != node && isWithinReach($0, at: now) }
        let lost = voters.filter { silentSince($0, at: now) != nil }
        guard !lost.isEmpty, lost.count < voters.count else { return false }
        let trips = roundTrips
        let margin = (trips.longest / 2) + 150_000_000
        // Of those with a whole state first.
        let candidates = voters.filter { !lost.contains($0) }
        let inOrder =
            candidates.filter { isHealthy($0) } + candidates.filter { !isHealthy($0) }
        for candidate in inOrder {
            guard let i = peers.firstIndex(where: { $0.node == candidate }), isWell(i),
                let report = freshReport(of: i, at: now)
            else { continue }
            let hearsAll = voters.allSatisfy { other in
                if other == candidate { return true }
                guard let heard = lastHeard(other, by: i, in: report) else { return false }
                let since = silentSince(other, at: now)
                let earliest =
                    since.map { $0.nanoseconds + margin }
                    ?? now.nanoseconds - min(now.nanoseconds, Placement.recently.nanosecondCount)
                return heard > earliest && !isDeaf(other, to: candidate, since: earliest, at: now)
            }
            guard hearsAll else { continue }
            placement.reachBackoff.moved(at: now)
            handOver(to: candidate, .movesToReach(candidate, of: lost[0]), at: now)
            return true
        }
        return false
    }

    /// Whether it may be of use to a voter that leadership moves: somebody hears it, and it does not say that it
    /// hears nobody.
    ///
    /// Who is down or deaf keeps no one from leading where all others hear each other.
    private func isWithinReach(_ voter: NodeID, at now: Instant) -> Bool {
        guard let i = peers.firstIndex(where: { $0.node == voter }) else { return false }
        let isHeardHere = peers[i].lastHeardAt.map { now < $0.advanced(by: Placement.recently) }
        guard
            isHeardHere ?? false
                || peers.indices.contains(where: { other in
                    other != i && freshReport(of: other, at: now)?[voter]?.isHeard ?? false
                })
        else { return false }
        guard let report = freshReport(of: i, at: now) else { return true }
        return report.items.contains(where: \.isHeard)
    }

    /// When a peer that reports heard another one last, in this node's nanoseconds; `nil` if never.
    private func lastHeard(
        _ other: NodeID,
        by peer: Int,
        in report: RoundTripReport
    ) -> UInt64? {
        guard let silence = report[other]?.silence, silence != .max else { return nil }
        let age = (placement.meters[peer].least ?? 0) / 2 + UInt64(silence) * 1_000_000
        let sentAt = placement.reportedAt[peer].nanoseconds
        return sentAt > age ? sentAt - age : 0
    }

    /// Whether a voter said lately, after `since`, that it has not heard the candidate since then.
    private func isDeaf(
        _ voter: NodeID,
        to candidate: NodeID,
        since: UInt64,
        at now: Instant
    ) -> Bool {
        guard let i = peers.firstIndex(where: { $0.node == voter }),
            let report = freshReport(of: i, at: now),
            placement.reportedAt[i].nanoseconds > since
        else { return false }
        return (lastHeard(candidate, by: i, in: report) ?? 0) <= since
    }

    /// Since when this leader and a voter do not hear each other, one or both; `nil` if they do, or not
    /// for long enough to tell.
    private func silentSince(_ voter: NodeID, at now: Instant) -> Instant? {
        guard let i = peers.firstIndex(where: { $0.node == voter }) else { return nil }
        // One that was never heard has been silent since this process began.
        let heard = peers[i].lastHeardAt ?? startedAt
        let patience = raft.timing.electionTimeout
        if now.nanoseconds(since: heard) >= patience { return heard }
        // It is heard, and says that it does not hear this node.
        guard let silence = freshReport(of: i, at: now)?[node]?.silence else { return nil }
        let age = UInt64(silence) * 1_000_000
        let reported = placement.reportedAt[i].nanoseconds
        guard age >= patience, reported > age else { return nil }
        return Instant(nanoseconds: reported - age)
    }

    // MARK: Timers

    /// How often peers are pinged: often enough to notice within an election time-out who does not hear
    /// whom.
    var pingInterval: Duration {
        guard configuration.timing != nil else { return configuration.pingInterval }
        let quarter = Duration.nanoseconds(Int64(raft.timing.electionTimeout / 4))
        return min(max(quarter, ReplicaNode.housekeepingInterval), configuration.pingInterval)
    }

    /// Derives the pace of elections from the round trips.
    private mutating func followRoundTrips(at now: Instant) {
        guard let settings = configuration.timing else { return }
        let trips = roundTrips
        let voters = voters
        guard trips.isComplete, voters.count > 1, let own = voters.firstIndex(of: node) else {
            return
        }
        // What this node measures now counts too: a way that has become slow.
        let slowest = peers.compactMap(\.roundTrip).max() ?? 0
        let present = voters.indices.filter { place in
            voters[place] == node
                || peers.contains { $0.node == voters[place] && isReachable($0, at: now) }
        }
        var timing = DerivedTiming.timing(
            trips,
            own: own,
            leader: (raft.leader ?? placement.lastLeader).flatMap { voters.firstIndex(of: $0) },
            present: present,
            longest: max(trips.longest, slowest),
            names: voters,
            settings
        )
        // Small changes are noise.
        let before = raft.timing
        let difference =
            timing.electionTimeout > before.electionTimeout
            ? timing.electionTimeout - before.electionTimeout
            : before.electionTimeout - timing.electionTimeout
        if difference <= before.electionTimeout / 20, before.spread == DerivedTiming.spread {
            timing.electionTimeout = before.electionTimeout
            timing.heartbeat = before.heartbeat
            timing.transfer = before.transfer
        } else {
            output.notices.append(
                .placement(.electionTimeout(.nanoseconds(Int64(timing.electionTimeout))))
            )
        }
        if timing != before { raft.setTiming(timing, at: now) }
    }
}

extension RoundTrips {
    /// The longest that is known, in nanoseconds.
    package var longest: UInt64 {
        var longest: UInt64 = 0
        for a in 0..<count { for b in 0..<a { longest = max(longest, between(a, b) ?? 0) } }
        return longest
    }
}
