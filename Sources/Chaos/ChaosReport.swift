/// All that a report shows.
package struct ChaosReport: Sendable {
    package struct Settings: Sendable {
        package var seed: UInt64
        package var seconds: Int
        package var nodes: Int
        package var regions: [String]
        /// Openings a second.
        package var rate: Int
        package var connections: Int
        package init(
            seed: UInt64,
            seconds: Int,
            nodes: Int,
            regions: [String],
            rate: Int,
            connections: Int
        ) {
            self.seed = seed
            self.seconds = seconds
            self.nodes = nodes
            self.regions = regions
            self.rate = rate
            self.connections = connections
        }
    }

    package var settings: Settings
    package var series: RunSeries
    package var faults: [InjectedFault]
    package var sights: [LeaderSight]
    package var judgement: Judgement
    package var facts: RunFacts
    package var attempts: Int
    package var exchanges: Int
    package var replays: Int
    package var registerOperations: Int
    /// What was not done and why, and what the reader should know.
    package var notes: [String]
    package var interrupted: Bool
    /// The command that runs this again.
    package var command: String

    package init(
        settings: Settings,
        series: RunSeries,
        faults: [InjectedFault],
        sights: [LeaderSight],
        judgement: Judgement,
        facts: RunFacts,
        attempts: Int,
        exchanges: Int,
        replays: Int,
        registerOperations: Int,
        notes: [String],
        interrupted: Bool,
        command: String
    ) {
        self.settings = settings
        self.series = series
        self.faults = faults
        self.sights = sights
        self.judgement = judgement
        self.facts = facts
        self.attempts = attempts
        self.exchanges = exchanges
        self.replays = replays
        self.registerOperations = registerOperations
        self.notes = notes
        self.interrupted = interrupted
        self.command = command
    }

    /// How long after a fault's end a gap is still laid at its door: an election and its patience.
    package static let healing: UInt64 = 2_000_000_000

    /// The share of the run in which there was no gap, in thousandths of a percent.
    package var availability: Int {
        let span = series.end
        guard span > 0 else { return 0 }
        let lost = series.gaps.reduce(0) { $0 + $1.length }
        return Int((span - min(span, lost)) / 1000 * 100_000 / max(1, span / 1000))
    }

    func longestGap(of fault: InjectedFault) -> RunSeries.Gap? {
        series.longestGap(of: fault, among: faults, healing: ChaosReport.healing)
    }

    /// Faults injected, by kind, in the order of their names.
    package var counts: [(kind: FaultKind, count: Int, longestGap: UInt64)] {
        FaultKind.allCases.compactMap { kind in
            let some = faults.filter { $0.plan.kind == kind }
            guard !some.isEmpty else { return nil }
            let gap = some.compactMap {
                longestGap(of: $0)?.length
            }.max()
            return (kind, some.count, gap ?? 0)
        }
    }

    /// What was seen, for a terminal.
    package var text: String {
        var text = """

            \(attempts) attempts, \(exchanges) exchanges (\(replays) of them replays), \
            \(registerOperations) register operations judged
            \(series.decisions.count) decisions, p50 \(milliseconds(series.median)), \
            p99 \(milliseconds(series.p99)), availability \(ChaosReport.percent(availability)) %
            \(faults.count) faults:

            """
        for (kind, count, gap) in counts {
            let name = kind.rawValue
            let pad = String(repeating: " ", count: max(1, 18 - name.count))
            text += "  \(name)\(pad)\(count)×, longest gap "
            text += gap == 0 ? "none\n" : "\(ChaosReport.seconds(gap)) s\n"
        }
        if let gap = series.longestGap {
            text += "longest gap without a decision: \(ChaosReport.seconds(gap.length)) s, "
            text += "from \(ChaosReport.seconds(gap.began)) s on\n"
        }
        let decided = facts.decidedAfter.map(ChaosReport.seconds) ?? "-"
        let ready = facts.readyAfter.map(ChaosReport.seconds) ?? "-"
        text += "after the last fault: decided again in \(decided) s, all ready in \(ready) s "
        text += "(bound \(facts.recoveryBound / 1_000_000_000) s)\n\n"
        for check in judgement.checks {
            let pad = String(repeating: " ", count: max(1, 32 - check.name.count))
            text += "  \(check.holds ? "ok  " : "FAIL")  \(check.name)\(pad)\(check.judged) judged"
            text += check.holds ? "\n" : ", \(check.violations) violations\n"
            for example in check.examples.prefix(5) { text += "          \(example)\n" }
        }
        for note in notes { text += "note: \(note)\n" }
        return text
    }

    /// Seconds with two decimals.
    static func seconds(_ nanoseconds: UInt64) -> String {
        let hundredths = (nanoseconds + 5_000_000) / 10_000_000
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    static func percent(_ thousandths: Int) -> String {
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
