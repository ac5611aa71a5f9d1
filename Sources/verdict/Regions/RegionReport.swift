import Replica

/// Latencies of one kind of request, summed up; nanoseconds.
package struct Latencies: Sendable {
    /// Sorted.
    package let values: [UInt64]

    package init(_ values: [UInt64]) { self.values = values.sorted() }

    package var count: Int { values.count }
    package var median: UInt64? { quantile(0.5) }
    package var p99: UInt64? { quantile(0.99) }

    /// The least value that this share of all does not exceed.
    package func quantile(_ share: Double) -> UInt64? {
        guard !values.isEmpty else { return nil }
        let rank = Int((Double(values.count) * share).rounded(.up))
        return values[min(max(rank, 1), values.count) - 1]
    }
}

/// What a run gave in each region, with the nodes in one way of working.
package struct RegionPass: Sendable {
    package struct Region: Sendable {
        package var opened: Latencies
        package var decided: Latencies
        package var repeated: Latencies
        package init(opened: Latencies, decided: Latencies, repeated: Latencies) {
            self.opened = opened
            self.decided = decided
            self.repeated = repeated
        }
    }
    /// Whether followers inferred commits.
    package var infers: Bool
    /// The node that led all the while, from 1; `nil` if leadership moved.
    package var leader: Int?
    package var regions: [Region]
    package var failures: [String]
    package var wrong: [String]

    package init(
        infers: Bool,
        leader: Int?,
        regions: [Region],
        failures: [String],
        wrong: [String]
    ) {
        self.infers = infers
        self.leader = leader
        self.regions = regions
        self.failures = failures
        self.wrong = wrong
    }
}

/// All that a run across regions shows.
package struct RegionReport: Sendable {
    package var matrix: RegionMatrix
    package var seconds: Int
    /// Attempts a second in each region.
    package var rate: Int
    package var inferring: RegionPass
    /// Plain forwarding.
    package var plain: RegionPass?
    package var failovers: [RegionFailover] = []
    package var rounds: RegionRounds?
    package var command: String

    package init(
        matrix: RegionMatrix,
        seconds: Int,
        rate: Int,
        inferring: RegionPass,
        plain: RegionPass?,
        command: String
    ) {
        self.matrix = matrix
        self.seconds = seconds
        self.rate = rate
        self.inferring = inferring
        self.plain = plain
        self.command = command
    }

    var passes: [RegionPass] { [inferring] + (plain.map { [$0] } ?? []) }

    /// The bound, and what each way of working takes with its leader, in nanoseconds.
    package func bound(_ region: Int) -> UInt64 { matrix.roundTrips.bound(at: region) ?? 0 }
    package func expected(_ region: Int, _ pass: RegionPass) -> UInt64? {
        pass.leader.flatMap {
            matrix.roundTrips.decision(at: region, leader: $0 - 1, infers: pass.infers)
        }
    }
    package var bestLeader: Int? { matrix.roundTrips.bestLeader(infers: true).map { $0 + 1 } }

    /// How far a median may lie above what it is judged by.
    package static func allowance(_ nanoseconds: UInt64) -> UInt64 {
        nanoseconds / 20 + 2_000_000
    }
    /// Repeats are answered within this at p99.
    package static let repeatLimit: UInt64 = 1_000_000

    /// What a region's median is judged by: for three regions the bound, where the leader is at the
    /// best corner; elsewhere what the protocol takes with this leader.
    package func target(_ region: Int) -> UInt64 {
        expected(region, inferring) ?? bound(region)
    }

    package func isMet(_ region: Int) -> Bool {
        guard let median = inferring.regions[region].decided.median else { return false }
        let target = target(region)
        return median <= target + RegionReport.allowance(target)
    }
    package func repeatsAreMet(_ region: Int) -> Bool {
        guard let p99 = inferring.regions[region].repeated.p99 else { return false }
        return p99 <= RegionReport.repeatLimit
    }

    package var isRight: Bool {
        passes.allSatisfy { $0.wrong.isEmpty } && rounds?.isRight ?? true
    }
    package var meetsTargets: Bool {
        matrix.regions.indices.allSatisfy { isMet($0) && repeatsAreMet($0) }
            && failovers.allSatisfy(\.isMet)
    }
}

extension RegionReport {
    static func shown(_ nanoseconds: UInt64?) -> String {
        guard let nanoseconds else { return "-" }
        let hundredths = (nanoseconds + 5_000) / 10_000
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }

    package var text: String {
        let mark = { (holds: Bool) in holds ? "yes" : "NO" }
        var headings = [
            "region", "leads", "bound", "p50", "p99", "within", "repeat p50", "p99", "within",
        ]
        if plain != nil { headings += ["plain", "p50", "p99"] }
        let rows = matrix.regions.indices.map { region in
            let own = inferring.regions[region]
            var row = [
                matrix.regions[region], inferring.leader == region + 1 ? "*" : "",
                RegionReport.shown(bound(region)), RegionReport.shown(own.decided.median),
                RegionReport.shown(own.decided.p99), mark(isMet(region)),
                RegionReport.shown(own.repeated.median), RegionReport.shown(own.repeated.p99),
                mark(repeatsAreMet(region)),
            ]
            if let plain {
                row += [
                    RegionReport.shown(expected(region, plain)),
                    RegionReport.shown(plain.regions[region].decided.median),
                    RegionReport.shown(plain.regions[region].decided.p99),
                ]
            }
            return row
        }
        var text = """
            \(matrix.name): \(matrix.count) regions, \(rate) attempts a second in each for \
            \(seconds) s; all times in ms
            leader: \(inferring.leader.map { matrix.regions[$0 - 1] } ?? "moved while it was measured")\
            ; best corner: \(bestLeader.map { matrix.regions[$0 - 1] } ?? "-")

            \(Terminal.table(headings, rows, right: Set(2..<headings.count).subtracting([5, 8])))
            """
        text += """
            within: p50 of fresh decisions at most 5 % + 2 ms above \(
                matrix.count == 3 ? "the bound" : "what the protocol takes from there"
            ); p99 of repeats at most 1 ms
            """
        for pass in passes {
            let name = pass.infers ? "commit inference" : "plain forwarding"
            let count = pass.regions.reduce(0) { $0 + $1.decided.count }
            text += "\n\(name): \(count) decisions, \(pass.failures.count) requests failed, "
            text += "\(pass.wrong.count) wrong answers"
            for line in pass.wrong.prefix(3) { text += "\n  wrong: \(line)" }
            for line in pass.failures.prefix(3) { text += "\n  failed: \(line)" }
        }
        if !failovers.isEmpty { text += "\n\n" + failoverText }
        if let rounds { text += "\n\n" + rounds.text }
        return text + "\n"
    }

    // MARK: JSON

    private struct Document: Encodable {
        struct Times: Encodable {
            var count: Int
            var p50_ms: Double?
            var p99_ms: Double?
            init(_ latencies: Latencies) {
                count = latencies.count
                p50_ms = latencies.median.map { Double($0) / 1e6 }
                p99_ms = latencies.p99.map { Double($0) / 1e6 }
            }
        }
        struct Plain: Encodable {
            var expected_ms: Double?
            var decided: Times
            var repeated: Times
        }
        struct Region: Encodable {
            var region: String
            var node: Int
            var bound_ms: Double
            var expected_ms: Double?
            var decided: Times
            var opened: Times
            var repeated: Times
            var is_met: Bool
            var plain: Plain?
        }
        struct Rounds: Encodable {
            var rounds: Int
            var acknowledged: Int
            var taken_in: Int
            var posted_again: Int
            var lost: [String]
            var twice: [String]
        }
        struct Failover: Encodable {
            struct Region: Encodable {
                var region: String
                var next_decision_ms: Double?
            }
            var kind: String
            var bound_ms: Double
            var regions: [Region]
            var lost: String
            var repeats_of_lost: Times?
            var is_met: Bool
        }
        var matrix: String
        var round_trip_ms: [[Double]]
        var leader: Int?
        var best_leader: Int?
        var regions: [Region]
        var failed: Int
        var wrong: Int
        var meets_targets: Bool
        var failovers: [Failover]
        var rounds: Rounds?
        var command: String
    }

    package func json() throws(CommandFailure) -> String {
        let milliseconds = { (nanoseconds: UInt64) in Double(nanoseconds) / 1e6 }
        let regions = matrix.regions.indices.map { region in
            let own = inferring.regions[region]
            return Document.Region(
                region: matrix.regions[region],
                node: region + 1,
                bound_ms: milliseconds(bound(region)),
                expected_ms: expected(region, inferring).map(milliseconds),
                decided: Document.Times(own.decided),
                opened: Document.Times(own.opened),
                repeated: Document.Times(own.repeated),
                is_met: isMet(region),
                plain: plain.map { plain in
                    Document.Plain(
                        expected_ms: expected(region, plain).map(milliseconds),
                        decided: Document.Times(plain.regions[region].decided),
                        repeated: Document.Times(plain.regions[region].repeated)
                    )
                }
            )
        }
        let failovers = failovers.map { one in
            Document.Failover(
                kind: one.kind.rawValue,
                bound_ms: milliseconds(one.bound),
                regions: one.survivors.map {
                    Document.Failover.Region(
                        region: matrix.regions[$0.region],
                        next_decision_ms: $0.nextDecision.map(milliseconds)
                    )
                },
                lost: matrix.regions[one.lost],
                repeats_of_lost: one.lostRepeats.map { Document.Times($0) },
                is_met: one.isMet
            )
        }
        return String(
            decoding: try JSON.encode(
                Document(
                    matrix: matrix.name,
                    round_trip_ms: matrix.milliseconds,
                    leader: inferring.leader,
                    best_leader: bestLeader,
                    regions: regions,
                    failed: passes.reduce(0) { $0 + $1.failures.count },
                    wrong: passes.reduce(0) { $0 + $1.wrong.count },
                    meets_targets: meetsTargets,
                    failovers: failovers,
                    rounds: rounds.map {
                        Document.Rounds(
                            rounds: $0.rounds,
                            acknowledged: $0.acknowledged,
                            taken_in: $0.takenIn,
                            posted_again: $0.again,
                            lost: $0.lost,
                            twice: $0.twice
                        )
                    },
                    command: command
                )
            ),
            as: UTF8.self
        )
    }
}
