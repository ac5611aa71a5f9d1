internal import Verification

/// A seeded source of chance (SplitMix64).
///
/// Each part of the world has a stream of its own, named, so that a change in one part does not
/// shift what another one draws.
struct SeededRandom: Sendable {
    private var state: UInt64

    /// A stream of a run.
    ///
    /// - Parameters:
    ///   - seed: the run's seed.
    ///   - stream: whose draws these are.
    ///   - number: tells streams of one name apart.
    init(seed: UInt64, stream: String, _ number: Int = 0) {
        var hash = Fingerprint()
        for byte in stream.utf8 { hash.fold(UInt64(byte)) }
        hash.fold(UInt64(truncatingIfNeeded: number))
        state = hash.value ^ (seed &* 0xD6E8_FEB8_6659_FD93)
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `bound`; 0 if the bound is 0.
    mutating func below(_ bound: UInt64) -> UInt64 {
        next().multipliedFullWidth(by: bound).high
    }
    mutating func below(_ bound: Int) -> Int { Int(below(UInt64(max(0, bound)))) }

    mutating func between(_ low: UInt64, _ high: UInt64) -> UInt64 {
        low + below(high - low + 1)
    }
    mutating func between(_ low: Int, _ high: Int) -> Int { low + below(high - low + 1) }

    /// True in so many of a million cases.
    mutating func chance(perMillion: UInt64) -> Bool { below(1_000_000) < perMillion }
    mutating func chance(percent: UInt64) -> Bool { below(100) < percent }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[below(elements.count)]
    }
}
