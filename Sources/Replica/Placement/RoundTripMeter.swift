/// Round trips measured to one peer: the least of the last few.
///
/// A round trip is never shorter than the way, and often longer: by what waits in a queue, a processor,
/// a packet sent again. So the least is what the way takes, and one slow sample changes nothing.
package struct RoundTripMeter: Hashable, Sendable {
    /// Samples that count.
    package static let window = 24
    /// Until there are so many the way is not known.
    package static let enough = 4

    private var samples: [UInt64] = []
    private var next = 0

    package init() {}

    /// Takes in a round trip, in nanoseconds.
    package mutating func add(_ sample: UInt64) {
        if samples.count < RoundTripMeter.window {
            samples.append(sample)
        } else {
            samples[next] = sample
        }
        next = (next + 1) % RoundTripMeter.window
    }

    /// In nanoseconds; `nil` until enough were measured.
    package var least: UInt64? {
        samples.count < RoundTripMeter.enough ? nil : samples.min()
    }
}
