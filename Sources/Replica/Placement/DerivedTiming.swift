package import Raft

/// How elections and heartbeats follow measured round trips.
package struct TimingSettings: Hashable, Sendable {
    /// The election time-out stays within these, whatever is measured.
    package var least: Duration = .milliseconds(400)
    package var most: Duration = .milliseconds(5000)
    /// Set by whoever configures it, and not derived.
    package var fixedElectionTimeout: Duration?
    package var fixedHeartbeat: Duration?
    package init() {}
}

/// The pace for a cluster whose round trips are known.
package struct DerivedTiming: Hashable, Sendable {
    private static let millisecond: UInt64 = 1_000_000

    /// The silence that starts an election, in nanoseconds.
    ///
    /// What a silence has to outlast is a lost packet: two heartbeats' time, then a quarter of a round
    /// trip until the sender's system takes it for lost (RFC 8985), and a round trip for its repeat.
    package static func electionTimeout(longest: UInt64, _ settings: TimingSettings) -> UInt64 {
        if let fixed = settings.fixedElectionTimeout { return fixed.nanosecondCount }
        let derived = 100 * millisecond + longest + longest / 4
        let bounded = min(
            max(derived, settings.least.nanosecondCount),
            settings.most.nanosecondCount
        )
        // A heartbeat that is set must fit in four times.
        return max(bounded, 4 * (settings.fixedHeartbeat?.nanosecondCount ?? 0))
    }

    /// An eighth of the time-out, from 25 to 150 ms.
    package static func heartbeat(electionTimeout: UInt64, _ settings: TimingSettings) -> UInt64 {
        if let fixed = settings.fixedHeartbeat { return fixed.nanosecondCount }
        let eighth = min(max(electionTimeout / 8, 25 * millisecond), 150 * millisecond)
        return max(1, min(eighth, electionTimeout / 2))
    }

    /// The voters in the order of their turns when `leader` is lost: those first from which the others
    /// are nearest.
    ///
    /// Round trips count in steps of 10 ms, so that nodes that measured a little differently agree.
    package static func order(_ trips: RoundTrips, besides leader: Int?, _ voters: [Int]) -> [Int] {
        let candidates = voters.filter { $0 != leader }
        func reach(_ voter: Int) -> UInt64 {
            candidates.reduce(0) {
                $0 + ((trips.between(voter, $1) ?? 0) / (10 * millisecond))
            }
        }
        return candidates.sorted { (reach($0), $0) < (reach($1), $1) }
    }

    /// How long a voter lets those before it try: within this an election that nothing disturbs is won.
    ///
    /// Pre-vote and vote are two round trips; disks and processors have the rest.
    package static func turn(place: Int, longest: UInt64) -> UInt64 {
        UInt64(place) * (2 * longest + 50 * millisecond)
    }

    package static let spread = 25 * millisecond

    /// The pace of one voter.
    package static func timing(
        _ trips: RoundTrips,
        own: Int,
        leader: Int?,
        present: [Int],
        longest: UInt64,
        names: [NodeID],
        _ settings: TimingSettings
    ) -> ElectionTiming {
        let electionTimeout = electionTimeout(longest: longest, settings)
        let order = order(trips, besides: leader, present)
        let place = order.firstIndex(of: own) ?? 0
        var between: UInt64 = 0
        for a in order { for b in order { between = max(between, trips.between(a, b) ?? 0) } }
        return ElectionTiming(
            electionTimeout: electionTimeout,
            heartbeat: heartbeat(electionTimeout: electionTimeout, settings),
            turn: turn(place: place, longest: between),
            spread: spread,
            transfer: max(1000 * millisecond, 2 * electionTimeout),
            heir: order.first { $0 != own }.map { names[$0] }
        )
    }
}
