/// The clock that a leader stamps entries with.
///
/// It shows the wall clock, but never runs back, and never more slowly than the monotonic clock:
/// a wall clock that was ahead and is set right must not stop time in the log until it has caught
/// up, since no deadline would pass meanwhile.
struct LogClock {
    /// What it showed at `since`.
    private var base = Timestamp.zero
    private var since: Instant

    /// It starts at the time of the last entry; nobody knows how long ago that was.
    init(after last: Timestamp, at now: Instant) {
        base = last
        since = now
    }

    func reading(wall: Timestamp, at now: Instant) -> Timestamp {
        let elapsed = now.nanoseconds(since: since) / 1_000_000
        let (passed, over) = base.milliseconds.addingReportingOverflow(elapsed)
        return max(wall, over ? base : Timestamp(milliseconds: passed))
    }

    /// Reads it, to stamp entries.
    mutating func stamp(wall: Timestamp, at now: Instant) -> Timestamp {
        let time = reading(wall: wall, at: now)
        // Otherwise the base stays: parts of a millisecond would be lost with each stamp.
        if time == wall {
            base = wall
            since = now
        }
        return time
    }
}
