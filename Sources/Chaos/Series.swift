/// What a run looked like over time.
package struct RunSeries: Sendable {
    /// One second.
    package struct Slice: Hashable, Sendable {
        /// Callbacks and openings that were decided, repeats not counted.
        package var decisions = 0
        /// All good answers.
        package var answers = 0
        /// 503 and the like, and requests without an answer.
        package var failures = 0
        /// Nanoseconds, of decisions.
        package var median: UInt64 = 0
        package var p99: UInt64 = 0
        package var slowest: UInt64 = 0
    }

    /// A stretch of time without a decision.
    package struct Gap: Hashable, Sendable {
        package var began: UInt64
        package var ended: UInt64
        package var length: UInt64 { ended - began }

        package init(began: UInt64, ended: UInt64) {
            self.began = began
            self.ended = ended
        }
    }

    package private(set) var slices: [Slice]
    /// When something was decided, sorted; nanoseconds since the run began.
    package let decisions: [UInt64]
    /// When the load and the faults ended.
    package let end: UInt64
    package private(set) var median: UInt64 = 0
    package private(set) var p99: UInt64 = 0
    /// Stretches without a decision that a person would notice, in order.
    package private(set) var gaps: [Gap] = []

    /// Nanoseconds from which on a stretch counts as a gap.
    package static let shortestGap: UInt64 = 250_000_000

    /// Looks at what returned before `end`, in nanoseconds since the run began.
    package init(_ history: History, end: UInt64) {
        self.end = end
        let second: UInt64 = 1_000_000_000
        slices = Array(repeating: Slice(), count: Int((end + second - 1) / second))
        var latencies = [[UInt64]](repeating: [], count: slices.count)
        var times: [UInt64] = []
        for exchange in history.exchanges where !exchange.isReplay && exchange.returned < end {
            let place = Int(exchange.returned / second)
            guard let answer = exchange.goodAnswer else {
                slices[place].failures += 1
                continue
            }
            slices[place].answers += 1
            guard RunSeries.isDecision(exchange, answer) else { continue }
            slices[place].decisions += 1
            latencies[place].append(exchange.returned - exchange.invoked)
            times.append(exchange.returned)
        }
        decisions = times.sorted()
        for place in slices.indices {
            latencies[place].sort()
            slices[place].median = RunSeries.quantile(latencies[place], 50)
            slices[place].p99 = RunSeries.quantile(latencies[place], 99)
            slices[place].slowest = latencies[place].last ?? 0
        }
        let all = latencies.flatMap { $0 }.sorted()
        // Before the first decision nothing had been asked for long.
        for (earlier, later) in zip(decisions, decisions.dropFirst() + [end])
        where later >= earlier + RunSeries.shortestGap {
            gaps.append(Gap(began: earlier, ended: later))
        }
        median = RunSeries.quantile(all, 50)
        p99 = RunSeries.quantile(all, 99)
    }

    /// Whether an answer says that an entry was committed for this very request.
    package static func isDecision(_ exchange: Exchange, _ answer: Exchange.Answer) -> Bool {
        switch exchange.kind {
        case .open: answer.status == 201
        case .post:
            answer.disposition.map { $0 != .repeated && $0 != .mismatched } ?? false
        case .read, .localRead: false
        }
    }

    private static func quantile(_ sorted: [UInt64], _ percent: Int) -> UInt64 {
        sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    package var longestGap: Gap? { gaps.max { $0.length < $1.length } }

    /// The faults at whose door a gap is laid: those that were under way when it began, or else those
    /// that had ended less than `healing` before.
    package static func causes(
        of gap: Gap,
        among faults: [InjectedFault],
        healing: UInt64
    ) -> [InjectedFault] {
        // The last decision before a fault comes a little before it.
        let begin = gap.began + min(300_000_000, gap.length)
        let active = faults.filter { $0.began <= begin && $0.ended >= gap.began }
        guard active.isEmpty else { return active }
        return faults.filter { $0.began <= gap.ended && $0.ended + healing >= gap.began }
    }

    /// The longest stretch without a decision that is laid at a fault's door.
    package func longestGap(
        of fault: InjectedFault,
        among faults: [InjectedFault],
        healing: UInt64
    ) -> Gap? {
        gaps.filter {
            RunSeries.causes(of: $0, among: faults, healing: healing).contains(fault)
        }.max { $0.length < $1.length }
    }
}

/// What a node said of the cluster at some time.
package struct LeaderSight: Hashable, Sendable {
    /// Nanoseconds since the run began.
    package var at: UInt64
    package var node: Int
    package var term: UInt64
    /// Whether this node said that it leads.
    package var leads: Bool

    package init(at: UInt64, node: Int, term: UInt64, leads: Bool) {
        self.at = at
        self.node = node
        self.term = term
        self.leads = leads
    }
}
