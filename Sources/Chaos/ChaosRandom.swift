/// A seeded source of chance (SplitMix64).
///
/// Each purpose has a stream of its own, named, so that drawing more for one shifts nothing else.
package struct ChaosRandom: Sendable {
    private var state: UInt64

    package init(seed: UInt64, stream: String, _ number: Int = 0) {
        state = seed &* 0xD6E8_FEB8_6659_FD93
        for byte in stream.utf8 {
            state ^= UInt64(byte)
            _ = next()
        }
        state ^= UInt64(truncatingIfNeeded: number) &* 0xC2B2_AE3D_27D4_EB4F
        _ = next()
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `bound`; 0 if that is not above 0.
    package mutating func below(_ bound: Int) -> Int {
        bound <= 0 ? 0 : Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }
    package mutating func between(_ low: Int, _ high: Int) -> Int { low + below(high - low + 1) }
    package mutating func chance(percent: Int) -> Bool { below(100) < percent }
    package mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[below(elements.count)]
    }
    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        for place in elements.indices.dropFirst().reversed() {
            elements.swapAt(place, below(place + 1))
        }
    }
}
