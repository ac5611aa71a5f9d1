/// Counts of durations in fixed log-linear buckets.
///
/// Each power of two from 16.384 µs to 34.36 s is cut in two, so a quantile read from the buckets is
/// at most half too high. `observe` is a shift and an addition; the counts lie inside the value, so
/// nothing is allocated.
package struct Histogram: Sendable {
    /// Everything up to 2^14 ns, 21 powers of two cut in two, and all that is longer.
    static let bucketCount = 44
    private static let firstPower = 14
    private static let lastPower = 35

    private var counts: InlineArray<44, UInt64> = InlineArray(repeating: 0)
    /// Sum of everything observed, in nanoseconds; wraps after 584 years of it.
    package private(set) var sum: UInt64 = 0
    package private(set) var count: UInt64 = 0

    package init() {}

    package mutating func observe(nanoseconds: UInt64) {
        counts[Histogram.bucket(of: nanoseconds)] &+= 1
        sum &+= nanoseconds
        count &+= 1
    }

    /// The number of observations in a bucket, not counting those below it.
    package subscript(bucket: Int) -> UInt64 { counts[bucket] }

    /// Bounds are inclusive, as `le` of the exposition format is: the bucket of `n` is that of the
    /// half-open interval which holds `n - 1`.
    static func bucket(of nanoseconds: UInt64) -> Int {
        guard nanoseconds > 1 << UInt64(firstPower) else { return 0 }
        let below = nanoseconds - 1
        let power = 63 - below.leadingZeroBitCount
        guard power < lastPower else { return bucketCount - 1 }
        let half = Int((below >> UInt64(power - 1)) & 1)
        return 1 + (power - firstPower) * 2 + half
    }

    /// The inclusive upper bound of a bucket in nanoseconds; `nil` for the last, which has none.
    package static func upperBound(of bucket: Int) -> UInt64? {
        guard bucket > 0 else { return 1 << UInt64(firstPower) }
        guard bucket < bucketCount - 1 else { return nil }
        let power = UInt64(firstPower + (bucket - 1) / 2)
        let isUpperHalf = (bucket - 1) % 2 == 1
        return isUpperHalf ? 1 << (power + 1) : (1 << power) + (1 << (power - 1))
    }

    /// An upper bound of the given quantile, in nanoseconds.
    ///
    /// - Parameter fraction: from 0 to 1.
    /// - Returns: `nil` if nothing was observed; `UInt64.max` if it lies beyond the last bound.
    package func quantile(_ fraction: Double) -> UInt64? {
        guard count > 0 else { return nil }
        let rank = max(1, UInt64((fraction * Double(count)).rounded(.up)))
        var seen: UInt64 = 0
        for bucket in 0..<Histogram.bucketCount {
            seen += counts[bucket]
            if seen >= rank { return Histogram.upperBound(of: bucket) ?? .max }
        }
        return .max
    }
}
