internal import Raft
internal import Replica

/// Where leadership is, in a world with regions.
extension World {
    func note(_ notice: PlacementNotice, _ host: Host) {
        let name = "n\(host.number + 1)"
        switch notice {
        case .movesToBest(let node):
            trace.note(now, "\(name) hands over to \(node), the best place")
            moved(host)
        case .movesToReach(let node, let other):
            trace.note(now, "\(name) hands over to \(node), which hears \(other)")
            moved(host)
        case .electionTimeout(let timeout):
            trace.note(now, "\(name)'s election time-out is \(timeout)")
        }
    }

    /// Moves in a healed world, at most: one to the best place, and one more, since what the leader has
    /// measured last may be of the time before.
    private static let mostMoves = 2

    private func moved(_ host: Host) {
        guard healedAt != nil else { return }
        movesAfterHealing += 1
        guard movesAfterHealing > World.mostMoves else { return }
        checker.fail(
            "leadership does not flap",
            "n\(host.number + 1) moves it, the \(movesAfterHealing)th time since all is well",
            at: now
        )
    }

    /// The round trips that the plan has.
    private var plannedTrips: RoundTrips {
        var trips = RoundTrips(count: hosts.count)
        for a in hosts.indices {
            for b in hosts.indices where a != b {
                trips[a, b] = plan.delays[a][b] + plan.delays[b][a]
            }
        }
        return trips
    }

    /// In the end of a world in which leadership moves, it is where it is best, or nearly.
    func checkPlacement() {
        guard plan.placement != nil, let healedAt, now - healedAt > 60 * WorldPlan.second,
            hosts.allSatisfy({ !$0.isQuarantined && $0.process != nil }),
            let leader = hosts.first(where: { $0.process?.replica.raft.role == .leader }),
            let process = leader.process,
            // An election in the last moments leaves no time for it.
            now - leaderSince > 45 * WorldPlan.second
        else { return }
        let infers = plan.infers[leader.number]
        let trips = plannedTrips
        // By trying all, rather than by asking the code under test for the best.
        let means = hosts.indices.map { trips.meanDecision(leader: $0, infers: infers) ?? 0 }
        let mean = means[leader.number]
        let bestMean = means.min() ?? 0
        // What jitter and turns add to what is measured is a part of what is compared.
        let noise = 4 * (plan.jitter + plan.turnDelay) + 6 * WorldPlan.millisecond
        guard mean > bestMean + mean / 8 + noise else { return }
        checker.fail(
            "leadership ends at the best place",
            """
            n\(leader.number + 1) leads, where a decision takes \(mean / 1000) µs in the mean, \
            elsewhere it would take \(bestMean / 1000); it knows of \
            \(process.replica.placementView.best?.description ?? "none")
            """,
            at: now
        )
    }
}
