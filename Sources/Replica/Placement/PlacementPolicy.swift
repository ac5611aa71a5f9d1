package import Raft

/// When a leader hands over to the node that should lead.
package struct PlacementSettings: Hashable, Sendable {
    /// Whether leadership moves by itself; where it should be is known all the same.
    package var moves = true
    /// The mean of a decision over all regions has to be shorter there by so much.
    package var leastGain: Duration = .milliseconds(5)
    /// And by so many hundredths of what it is here.
    package var leastGainPercent: UInt64 = 10
    /// For so long, with all nodes well, without a break.
    package var stableFor: Duration = .seconds(10)
    /// After a move this node makes none for so long; twice as long after each further one.
    package var firstBackoff: Duration = .seconds(30)
    package var longestBackoff: Duration = .seconds(600)
    package init() {}
}

/// Decides when leadership moves, slowly: round trips change, and a move costs every region a pause.
package struct PlacementPolicy: Hashable, Sendable {
    private let settings: PlacementSettings
    /// The node to move to, by its place among the voters, and since when it has been that.
    private var candidate: Int?
    private var since = Instant(nanoseconds: 0)
    private var backoff: MoveBackoff

    package init(_ settings: PlacementSettings) {
        self.settings = settings
        backoff = MoveBackoff(first: settings.firstBackoff, longest: settings.longestBackoff)
    }

    /// What the leader saw does not count any more: it leads no longer, or not all is well.
    package mutating func interrupt() { candidate = nil }

    /// A look of the leader at the matrix, while all is well.
    ///
    /// - Returns: the voter to hand over to now.
    package mutating func look(
        at trips: RoundTrips,
        leader: Int,
        infers: Bool,
        now: Instant
    ) -> Int? {
        guard let best = trips.bestLeader(infers: infers), best != leader,
            let here = trips.meanDecision(leader: leader, infers: infers),
            let there = trips.meanDecision(leader: best, infers: infers),
            isWorthIt(from: here, to: there)
        else {
            candidate = nil
            return nil
        }
        if candidate != best {
            candidate = best
            since = now
        }
        guard since.advanced(by: settings.stableFor) <= now, backoff.allows(at: now) else {
            return nil
        }
        return best
    }

    /// A move was begun.
    package mutating func moved(at now: Instant) {
        candidate = nil
        backoff.moved(at: now)
    }

    private func isWorthIt(from here: UInt64, to there: UInt64) -> Bool {
        guard there < here else { return false }
        let gain = here - there
        return gain >= settings.leastGain.nanosecondCount
            && gain >= here / 100 * settings.leastGainPercent
    }
}

/// Keeps moves apart: the longer, the more there were lately.
package struct MoveBackoff: Hashable, Sendable {
    private let first: Duration
    private let longest: Duration
    private var current: Duration
    private var nextAt = Instant(nanoseconds: 0)

    package init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
        current = first
    }

    package func allows(at now: Instant) -> Bool { nextAt <= now }

    package mutating func moved(at now: Instant) {
        // After a calm of many times the last wait it begins anew.
        if nextAt.advanced(by: current * 8) <= now { current = first }
        nextAt = now.advanced(by: current)
        current = min(current * 2, longest)
    }
}

extension Duration {
    /// Whole nanoseconds; 0 if negative.
    var nanosecondCount: UInt64 {
        let parts = components
        guard parts.seconds >= 0, parts.attoseconds >= 0 else { return 0 }
        return UInt64(parts.seconds) &* 1_000_000_000 &+ UInt64(parts.attoseconds) / 1_000_000_000
    }
}
