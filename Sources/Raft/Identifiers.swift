/// A leader's time of office; at most one leader is elected in each (dissertation §3.3).
package struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    package static let zero = Term(0)
    @inlinable package static func < (a: Term, b: Term) -> Bool { a.number < b.number }
    @inlinable package var next: Term { Term(number + 1) }
    package var description: String { "\(number)" }
}

/// A place in the replicated log.
///
/// Index 1 is the first entry; 0 is before the log.
package struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    package static let zero = LogIndex(0)
    @inlinable package static func < (a: LogIndex, b: LogIndex) -> Bool { a.number < b.number }
    @inlinable package var next: LogIndex { LogIndex(number + 1) }
    /// The index before this one.
    ///
    /// - Precondition: not zero.
    @inlinable package var previous: LogIndex { LogIndex(number - 1) }
    @inlinable package func advanced(by n: Int) -> LogIndex {
        LogIndex(UInt64(Int64(number) + Int64(n)))
    }
    /// The number of entries after `other` up to and including this one; negative if before it.
    @inlinable package func distance(from other: LogIndex) -> Int {
        Int(Int64(number) - Int64(other.number))
    }
    package var description: String { "\(number)" }
}

/// A node's number in its cluster; from the configuration, 1 or more.
///
/// 0 stands for no node.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var number: UInt32
    @inlinable package init(_ number: UInt32) { self.number = number }
    @inlinable package static func < (a: NodeID, b: NodeID) -> Bool { a.number < b.number }
    package var description: String { "n\(number)" }
}

/// A point on this process's monotonic clock.
///
/// Never compared with a wall clock or with log time.
package struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since an arbitrary start.
    package var nanoseconds: UInt64
    @inlinable package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    package static let distantFuture = Instant(nanoseconds: .max)
    @inlinable package static func < (a: Instant, b: Instant) -> Bool {
        a.nanoseconds < b.nanoseconds
    }
    /// This point moved forward by a span; stays at `distantFuture` instead of wrapping.
    @inlinable package func advanced(bySeconds seconds: UInt64 = 0, nanoseconds: UInt64) -> Instant
    {
        let (sum, over) = self.nanoseconds.addingReportingOverflow(
            seconds &* 1_000_000_000 &+ nanoseconds
        )
        return over ? .distantFuture : Instant(nanoseconds: sum)
    }
    @inlinable package func advanced(by span: Duration) -> Instant {
        let parts = span.components
        return advanced(
            bySeconds: UInt64(max(0, parts.seconds)),
            nanoseconds: UInt64(max(0, parts.attoseconds)) / 1_000_000_000
        )
    }
    /// Nanoseconds from `earlier` to here; 0 if `earlier` is later.
    @inlinable package func nanoseconds(since earlier: Instant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }
}

/// A leader's clock as an entry carries it: milliseconds since the Unix epoch, never running
/// backwards along the log.
///
/// Opaque to consensus but for its order.
package struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var milliseconds: UInt64
    @inlinable package init(milliseconds: UInt64) { self.milliseconds = milliseconds }
    package static let zero = Timestamp(milliseconds: 0)
    @inlinable package static func < (a: Timestamp, b: Timestamp) -> Bool {
        a.milliseconds < b.milliseconds
    }
    package var description: String { "\(milliseconds)" }
}
