internal import Raft

/// Keeps what a stranger can cause from filling the log: so many lines a second, and a count of
/// those left out.
struct LineLimit {
    let perSecond: Int
    private var second: UInt64 = 0
    private var count = 0
    private var leftOut: UInt64 = 0

    init(perSecond: Int) { self.perSecond = perSecond }

    /// Whether a line may be written now; counts it as left out if not.
    mutating func allows(at now: Instant) -> Bool {
        let current = now.nanoseconds / 1_000_000_000
        if current != second {
            second = current
            count = 0
        }
        count += 1
        if count > perSecond { leftOut += 1 }
        return count <= perSecond
    }

    /// The lines left out since it was last asked.
    mutating func takeLeftOut() -> UInt64 {
        defer { leftOut = 0 }
        return leftOut
    }
}
