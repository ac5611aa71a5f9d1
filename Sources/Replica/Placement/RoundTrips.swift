/// Round trips between the voters of a cluster, as far as they are known, in nanoseconds.
///
/// Voters are numbered from 0 in the order of their node numbers.
package struct RoundTrips: Hashable, Sendable {
    package let count: Int
    private var values: [UInt64?]

    package init(count: Int) {
        self.count = count
        values = Array(repeating: nil, count: count * count)
    }

    /// What `a` measured to `b`.
    package subscript(a: Int, b: Int) -> UInt64? {
        get { values[a * count + b] }
        set { values[a * count + b] = newValue }
    }

    /// Between two voters: the longer of what the two measured, or what one of them did.
    package func between(_ a: Int, _ b: Int) -> UInt64? {
        if a == b { return 0 }
        guard let there = self[a, b] else { return self[b, a] }
        return max(there, self[b, a] ?? there)
    }

    /// Whether every pair is known.
    package var isComplete: Bool {
        (0..<count).allSatisfy { a in (0..<a).allSatisfy { between(a, $0) != nil } }
    }
}

/// How long a decision takes where it was asked for, in round trips alone: disks and processors add
/// to it.
extension RoundTrips {
    /// How many others' disks a decision has to be on, besides the one where it was asked for.
    private var othersNeeded: Int { count / 2 }

    /// No protocol that survives the loss of a minority answers sooner: the outcome has to be on as
    /// many other nodes' disks as make a majority.
    ///
    /// - Returns: `nil` if too few round trips are known.
    package func bound(at voter: Int) -> UInt64? {
        guard othersNeeded > 0 else { return 0 }
        let known = (0..<count).compactMap { $0 == voter ? nil : between(voter, $0) }.sorted()
        return known.count >= othersNeeded ? known[othersNeeded - 1] : nil
    }

    /// What this protocol takes with that leader.
    ///
    /// The leader waits for the nearest majority. Another node forwards to the leader and back, and
    /// in between waits for the leader's majority; with commit inference, of three, it is itself the
    /// other half of that majority.
    ///
    /// - Returns: `nil` if too few round trips are known.
    package func decision(at voter: Int, leader: Int, infers: Bool) -> UInt64? {
        guard let majority = bound(at: leader) else { return nil }
        if voter == leader { return majority }
        guard let way = between(voter, leader) else { return nil }
        return infers && count == 3 ? way : way + majority
    }

    /// The mean over all voters of what a decision takes with that leader.
    ///
    /// - Returns: `nil` if not all round trips that it needs are known.
    package func meanDecision(leader: Int, infers: Bool) -> UInt64? {
        var sum: UInt64 = 0
        for voter in 0..<count {
            guard let time = decision(at: voter, leader: leader, infers: infers) else { return nil }
            sum += time
        }
        return sum / UInt64(max(1, count))
    }

    /// The voter that should lead: there the mean of a decision over all regions is least.
    ///
    /// Of three it is where the two shorter sides of the triangle meet. Of equals the one with the
    /// shortest slowest decision, then the first.
    ///
    /// - Returns: `nil` unless every pair is known.
    package func bestLeader(infers: Bool) -> Int? {
        guard isComplete else { return nil }
        var best: (voter: Int, mean: UInt64, slowest: UInt64)?
        for leader in 0..<count {
            let times = (0..<count).compactMap {
                decision(at: $0, leader: leader, infers: infers)
            }
            let mean = times.reduce(0, +) / UInt64(max(1, count))
            let slowest = times.max() ?? 0
            if let best, (best.mean, best.slowest) <= (mean, slowest) { continue }
            best = (leader, mean, slowest)
        }
        return best?.voter
    }
}
