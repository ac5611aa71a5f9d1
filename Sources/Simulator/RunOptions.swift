/// Which run: the seed, and what is left out of what it would do.
package struct RunOptions: Hashable, Sendable {
    /// Faults that are no event but a property of the world.
    package enum Ambient: String, Hashable, Sendable, CaseIterable {
        case loss
        case duplication
        case reordering
        case corruption
        case jitter
        case skew
    }

    package var seed: UInt64
    /// Virtual minutes.
    package var minutes: Double = 10
    /// Instead of what the seed draws.
    package var nodes: Int?
    /// Numbers of planned faults that do not happen.
    package var droppedFaults: Set<Int> = []
    /// Numbers of planned attempts that do not happen.
    package var droppedAttempts: Set<Int> = []
    package var without: Set<Ambient> = []

    package init(seed: UInt64) { self.seed = seed }
}
