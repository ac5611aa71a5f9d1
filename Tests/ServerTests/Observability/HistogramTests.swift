import Server
import Testing

@Suite("Histogram")
struct HistogramTests {
    /// Small and plain: the first bound that is not below the value.
    private func naiveBucket(_ nanoseconds: UInt64) -> Int {
        var bucket = 0
        while let bound = Histogram.upperBound(of: bucket), bound < nanoseconds { bucket += 1 }
        return bucket
    }

    @Test("a value counts in the first bucket whose bound is not below it")
    func buckets() {
        var values: [UInt64] = [0, 1, 16_383, .max]
        var bucket = 0
        while let bound = Histogram.upperBound(of: bucket) {
            values += [bound - 1, bound, bound + 1]
            bucket += 1
        }
        var random: UInt64 = 88_172_645_463_325_252
        for _ in 0..<2000 {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            values.append(random >> (random & 63))
        }
        for value in values {
            var histogram = Histogram()
            histogram.observe(nanoseconds: value)
            #expect(histogram[naiveBucket(value)] == 1, "value \(value)")
        }
    }

    @Test("bounds rise, each by at most half")
    func bounds() {
        var bucket = 0
        var last: UInt64 = 0
        while let bound = Histogram.upperBound(of: bucket) {
            #expect(bound > last)
            #expect(last == 0 || bound <= last + last / 2)
            last = bound
            bucket += 1
        }
        #expect(last == 1 << 35)
    }

    @Test("a quantile is the bound of the bucket it lies in")
    func quantiles() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == nil)
        for _ in 0..<99 { histogram.observe(nanoseconds: 1_000_000) }
        histogram.observe(nanoseconds: 50_000_000)
        #expect(histogram.quantile(0.5) == Histogram.upperBound(of: naiveBucket(1_000_000)))
        #expect(histogram.quantile(0.99) == Histogram.upperBound(of: naiveBucket(1_000_000)))
        #expect(histogram.quantile(1) == Histogram.upperBound(of: naiveBucket(50_000_000)))
        #expect(histogram.count == 100)
        #expect(histogram.sum == 149_000_000)
    }
}
