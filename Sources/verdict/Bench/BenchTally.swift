import Glibc

/// What was measured.
struct BenchTally {
    var latency: [LatencyHistogram] = Array(
        repeating: LatencyHistogram(),
        count: BenchWorkload.Kind.allCases.count
    )
    var wrong: UInt64 = 0
    var firstWrong: String?
    var unavailable: UInt64 = 0
    var refused: UInt64 = 0
    var resets: UInt64 = 0
    var timeouts: UInt64 = 0

    mutating func answered(_ kind: BenchWorkload.Kind, nanoseconds: UInt64) {
        latency[kind.rawValue].add(nanoseconds: nanoseconds)
    }
    var count: UInt64 { latency.reduce(0) { $0 + $1.count } }
    var errors: UInt64 { unavailable + refused + resets + timeouts }
    var all: LatencyHistogram {
        latency.reduce(into: LatencyHistogram()) { $0.add($1) }
    }
}

/// What the load costs the machine that it may share with the nodes.
enum ProcessorTime {
    /// Nanoseconds that this process has had of a processor.
    static func used() -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
