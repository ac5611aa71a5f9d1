internal import Raft
internal import Verification

/// What time it is, as far as a majority's clocks show it.
///
/// A leader stamps its own clock, held within a tolerance of what most members' clocks show: log time decides
/// when attempts expire and for how long they are kept, none of which can be taken back, so one clock that
/// is wrong must not decide it. Where less than half of the clocks are wrong, the median of all lies between two that
/// are right, as in approximate agreement (Dolev and others, "Reaching approximate agreement in the presence of
/// faults", JACM 33, 1986).
package enum AgreedTime {
    /// How far the own clock may be from the others', in milliseconds: far more than a synchronized clock is, and than
    /// a pong is under way.
    package static let tolerance: UInt64 = 1000

    /// The time to stamp, in milliseconds since the Unix epoch.
    ///
    /// `clocks` are what the other voters' clocks have reached, as far as it is known; `voters` counts them all.
    /// With `waitsForAll` those that are not known yet are waited for where it depends on them which are right. The
    /// own clock counts if it is within `bound` of what most show.
    ///
    /// - Returns: `nil` while too few clocks are known to tell which are right.
    package static func reading(
        own: UInt64,
        voters: Int,
        clocks: some Sequence<UInt64>,
        waitsForAll: Bool = false,
        within bound: UInt64 = tolerance
    ) -> UInt64? {
        // So many may be wrong; of two, either one.
        let wrong = voters / 2
        guard voters > 1 else { return own }
        // The greatest time that more than `wrong` clocks have reached, and the least that as many have not passed.
        var (highest, lowest) = (UInt64?.none, UInt64?.none)
        func consider(_ time: UInt64) {
            var (notBelow, notAbove) = (own >= time ? 1 : 0, own <= time ? 1 : 0)
            for clock in clocks {
                if clock >= time { notBelow += 1 }
                if clock <= time { notAbove += 1 }
            }
            if notBelow > wrong { highest = max(highest ?? time, time) }
            if notAbove > wrong { lowest = min(lowest ?? time, time) }
        }
        consider(own)
        for clock in clocks { consider(clock) }
        guard let highest, let lowest else { return nil }
        let (sum, isOver) = highest.addingReportingOverflow(bound)
        let latest = isOver ? .max : sum
        let earliest = lowest > bound ? lowest - bound : 0
        if waitsForAll, earliest > latest, clocks.reduce(1, { known, _ in known + 1 }) < voters {
            return nil
        }
        // Where half of the clocks are not known and the others differ, the one behind counts: what is past its time is
        // gone for good, while whose attempt expires when time leaps can be called again.
        return min(max(own, earliest), latest)
    }

    /// How far the own clock is behind what most voters show, in milliseconds; 0 while no majority shows another time
    /// than it does.
    ///
    /// Of two clocks of three that differ nobody knows which one is wrong.
    package static func correction(
        own: UInt64,
        voters: Int,
        clocks: some Sequence<UInt64>,
        tolerance: UInt64
    ) -> Int64 {
        var (ahead, behind) = (0, 0)
        for clock in clocks {
            if clock > own, clock - own > tolerance { ahead += 1 }
            if clock < own, own - clock > tolerance { behind += 1 }
        }
        guard max(ahead, behind) > voters / 2,
            let time = reading(own: own, voters: voters, clocks: clocks, within: 0)
        else { return 0 }
        return Int64(clamping: time) - Int64(clamping: own)
    }
}

/// What a peer's clock showed when it answered, and when the answer came.
struct ClockReading: Hashable, Sendable {
    var wall: WallTime
    var at: Instant

    /// What it has surely reached by now, in milliseconds: how long the answer was under way is not counted.
    @inline(__always)
    func reached(at now: Instant) -> UInt64 {
        let (sum, isOver) = wall.milliseconds.addingReportingOverflow(
            now.nanoseconds(since: at) / 1_000_000
        )
        return isOver ? .max : sum
    }
}

extension ReplicaNode {
    /// This node's clock as far as most members' clocks bear it out; `nil` while too few are known.
    func agreedTime(at now: Instant, wall: WallTime) -> Timestamp? {
        AgreedTime.reading(
            own: wall.milliseconds,
            voters: configuration.raft.membership.voters.count,
            clocks: knownClocks(at: now),
            waitsForAll: now < leaderSince.advanced(by: ReplicaNode.patienceForClocks)
        ).map { Timestamp(milliseconds: $0) }
    }

    /// A new leader knows no more of the time than the last entry's.
    ///
    /// Did it go on from there for a moment, by the one clock that is behind, what it opens then would expire as soon as
    /// it knows better.
    private static var patienceForClocks: Duration { .seconds(2) }

    /// What the other voters' clocks have reached, as far as it is known.
    private func knownClocks(at now: Instant) -> some Sequence<UInt64> {
        let membership = configuration.raft.membership
        return peers.lazy.compactMap { peer -> UInt64? in
            guard membership.isVoter(peer.node) else { return nil }
            return peer.clock?.reached(at: now)
        }
    }

    /// The time of what this node, the leader, would propose now; `nil` while it proposes nothing, since too few
    /// clocks are known.
    func logTime(at now: Instant, wall: WallTime) -> LogTime? {
        agreedTime(at: now, wall: wall).map {
            LogTime(milliseconds: raft.logTime(wall: $0, at: now).milliseconds)
        }
    }

    /// Each voter's clock is known, also of those that are away: half of them being wrong can be told.
    package var knowsAllClocks: Bool {
        knownClocks(at: lastTurnAt).reduce(1) { known, _ in known + 1 }
            == configuration.raft.membership.voters.count
    }

    /// Enough clocks are known in this turn for something to be proposed.
    ///
    /// What waited for them could be lost in a hand-over, and who proposes a thing once would not do so again.
    var isTimeKnown: Bool { agreedTime(at: lastTurnAt, wall: lastWall) != nil }

    /// How far this node's clock is behind what most voters show, in milliseconds; 0 while no majority shows another
    /// time.
    package var clockCorrection: Int64 { clockCorrection(beyond: AgreedTime.tolerance) }

    private func clockCorrection(beyond tolerance: UInt64) -> Int64 {
        AgreedTime.correction(
            own: lastWall.milliseconds,
            voters: configuration.raft.membership.voters.count,
            clocks: knownClocks(at: lastTurnAt),
            tolerance: tolerance
        )
    }

    /// Tells when this node's clock begins to be far from most others', and when it is not any more.
    mutating func watchClock() {
        let tolerance = AgreedTime.tolerance
        let correction = clockCorrection(beyond: isClockDoubted ? tolerance / 2 : tolerance)
        guard (correction != 0) != isClockDoubted else { return }
        isClockDoubted.toggle()
        output.notices.append(
            isClockDoubted ? .clockDoubted(correction: correction) : .clockAgrees
        )
    }
}
