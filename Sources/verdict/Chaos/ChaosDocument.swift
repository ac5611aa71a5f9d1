import Chaos

/// What `verdict chaos --json` prints of a run.
extension ChaosReport {
    private struct Document: Encodable {
        struct Fault: Encodable {
            var kind: String
            var count: Int
            /// Without a decision while it lasted or right after.
            var longest_gap_ms: Double
        }
        struct Check: Encodable {
            var name: String
            var promise: String
            var judged: Int
            var violations: Int
            var examples: [String]
        }
        var seed: UInt64
        var seconds: Int
        var nodes: Int
        var rate: Int
        var connections: Int
        var attempts: Int
        var exchanges: Int
        var replays: Int
        var register_operations: Int
        var decisions: Int
        var p50_ms: Double
        var p99_ms: Double
        var availability_percent: Double
        var longest_gap_ms: Double
        var longest_gap_from_ms: Double?
        var faults: [Fault]
        var decided_after_ms: Double?
        var ready_after_ms: Double?
        var recovery_bound_ms: Double
        var checks: [Check]
        var holds: Bool
        var interrupted: Bool
        var notes: [String]
        var command: String
    }

    func json() throws(CommandFailure) -> String {
        let milliseconds = { (nanoseconds: UInt64) in Double(nanoseconds) / 1e6 }
        return String(
            decoding: try JSON.encode(
                Document(
                    seed: settings.seed,
                    seconds: settings.seconds,
                    nodes: settings.nodes,
                    rate: settings.rate,
                    connections: settings.connections,
                    attempts: attempts,
                    exchanges: exchanges,
                    replays: replays,
                    register_operations: registerOperations,
                    decisions: series.decisions.count,
                    p50_ms: milliseconds(series.median),
                    p99_ms: milliseconds(series.p99),
                    availability_percent: Double(availability) / 1000,
                    longest_gap_ms: milliseconds(series.longestGap?.length ?? 0),
                    longest_gap_from_ms: series.longestGap.map { milliseconds($0.began) },
                    faults: counts.map {
                        Document.Fault(
                            kind: $0.kind.rawValue,
                            count: $0.count,
                            longest_gap_ms: milliseconds($0.longestGap)
                        )
                    },
                    decided_after_ms: facts.decidedAfter.map(milliseconds),
                    ready_after_ms: facts.readyAfter.map(milliseconds),
                    recovery_bound_ms: milliseconds(facts.recoveryBound),
                    checks: judgement.checks.map {
                        Document.Check(
                            name: $0.name,
                            promise: $0.promise,
                            judged: $0.judged,
                            violations: $0.violations,
                            examples: $0.examples
                        )
                    },
                    holds: judgement.holds,
                    interrupted: interrupted,
                    notes: notes,
                    command: command
                )
            ),
            as: UTF8.self
        )
    }
}
