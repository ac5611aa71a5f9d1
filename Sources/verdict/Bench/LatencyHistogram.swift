/// Counts of latencies in classes of 1.6 % width, from a microsecond to over an hour.
///
/// Log-linear: 64 classes to each doubling, so that a percentile is right to within one class
/// whatever its size, and adding is O(1) without allocation.
package struct LatencyHistogram: Sendable {
    private static let classesPerDoubling = 64
    private var counts = [UInt64](repeating: 0, count: 64 * 34)
    package private(set) var count: UInt64 = 0
    /// Nanoseconds.
    package private(set) var maximum: UInt64 = 0
    private var sum: UInt64 = 0

    package init() {}

    package mutating func add(nanoseconds: UInt64) {
        counts[LatencyHistogram.position(of: nanoseconds / 1000)] += 1
        count += 1
        sum += nanoseconds
        maximum = max(maximum, nanoseconds)
    }

    package mutating func add(_ other: LatencyHistogram) {
        for i in counts.indices { counts[i] += other.counts[i] }
        count += other.count
        sum += other.sum
        maximum = max(maximum, other.maximum)
    }

    /// What was added here since `earlier`, a former state of this histogram; its maximum is that of
    /// the whole.
    package func subtracting(_ earlier: LatencyHistogram) -> LatencyHistogram {
        var difference = self
        for i in counts.indices { difference.counts[i] -= earlier.counts[i] }
        difference.count -= earlier.count
        difference.sum -= earlier.sum
        return difference
    }

    /// Nanoseconds; 0 if nothing was added.
    package var mean: UInt64 { count == 0 ? 0 : sum / count }

    /// The latency that this share of all does not exceed, in nanoseconds: the upper end of its
    /// class, and never more than the maximum.
    package func quantile(_ share: Double) -> UInt64 {
        guard count > 0 else { return 0 }
        let rank = max(1, UInt64((Double(count) * share).rounded(.up)))
        var seen: UInt64 = 0
        for (position, number) in counts.enumerated() where number > 0 {
            seen += number
            if seen >= rank {
                return min(maximum, LatencyHistogram.upperEnd(of: position) * 1000)
            }
        }
        return maximum
    }

    private static func position(of microseconds: UInt64) -> Int {
        let value = max(1, microseconds)
        let doubling = 63 - value.leadingZeroBitCount
        // Below 64 µs each microsecond is a class of its own.
        guard doubling >= 6 else { return Int(value) }
        let within = Int(value >> UInt64(doubling - 6)) - 64
        return min((doubling - 5) * classesPerDoubling + within, 64 * 34 - 1)
    }

    private static func upperEnd(of position: Int) -> UInt64 {
        guard position >= classesPerDoubling else { return UInt64(position) }
        let doubling = position / classesPerDoubling + 5
        let within = UInt64(position % classesPerDoubling)
        return ((64 + within + 1) << UInt64(doubling - 6)) - 1
    }
}
