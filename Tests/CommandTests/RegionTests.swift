import Replica
import Testing
import verdict

@Suite("regions")
struct RegionTests {
    private func matrix(_ text: String) throws -> RegionMatrix {
        try RegionMatrix(reading: Array(text.utf8), from: "sides.json5")
    }

    private func problem(of text: String) -> String? {
        do throws(CommandFailure) {
            _ = try RegionMatrix(reading: Array(text.utf8), from: "sides.json5")
            return nil
        } catch {
            #expect(error.status == .usage)
            return error.message
        }
    }

    @Test("a matrix is read from a file that people can comment")
    func reading() throws {
        let matrix = try matrix(
            """
            { regions: ["a", "b", "c"], // the nearest first
              round_trip_ms: [[0, 80, 150.5], [80, 0, 220], [150.5, 220, 0]] }
            """
        )
        #expect(matrix.regions == ["a", "b", "c"])
        #expect(matrix.roundTrips.between(2, 0) == 150_500_000)
        #expect(matrix.roundTrips.isComplete)
    }

    @Test("what is wrong with a matrix is said with its place")
    func refusals() {
        let cases = [
            (#"{regions: ["a", "b"], round_trip_ms: [[0, 1], [1, 0]]}"#, "3…9"),
            (#"{regions: ["a", "b", "b"], round_trip_ms: [[0,1,1],[1,0,1],[1,1,0]]}"#, "differ"),
            (#"{regions: ["a", "b", "c c"], round_trip_ms: [[0,1,1],[1,0,1],[1,1,0]]}"#, "c c"),
            (#"{regions: ["a", "b", "c"], round_trip_ms: [[0,1,1],[1,0,1]]}"#, "3 rows"),
            (#"{regions: ["a", "b", "c"], round_trip_ms: [[0,1,1],[1,0,1],[1,1,5]]}"#, "c to c"),
            (#"{regions: ["a", "b", "c"], round_trip_ms: [[0,1,1],[1,0,1],[2,1,0]]}"#, "a to c"),
            (#"{regions: ["a", "b", "c"], round_trip_ms: [[0,-1,1],[-1,0,1],[1,1,0]]}"#, "a to b"),
            (#"{regions: ["a", "b", "c"]}"#, "round_trip_ms"),
        ]
        for (text, expected) in cases {
            let problem = problem(of: text)
            #expect(problem?.contains(expected) == true, "\(text): \(problem ?? "no problem")")
            #expect(problem?.hasPrefix("sides.json5: ") == true)
        }
    }

    @Test(
        "every matrix that has a name is whole, and three and five have one that is taken unasked"
    )
    func known() throws {
        for matrix in RegionMatrix.known {
            #expect(matrix.roundTrips.isComplete, "\(matrix.name)")
            #expect(try RegionMatrix.load(matrix.name) == matrix)
        }
        #expect(RegionMatrix.standard(nodes: 3)?.regions == ["virginia", "ireland", "singapore"])
        #expect(RegionMatrix.standard(nodes: 5)?.count == 5)
        #expect(RegionMatrix.standard(nodes: 4) == nil)
        #expect(throws: CommandFailure.self) { try RegionMatrix.load("no-such-matrix") }
    }

    @Test("a quantile is the least sample that the share does not exceed")
    func quantiles() {
        let latencies = Latencies((1...200).reversed().map { UInt64($0) })
        #expect(latencies.median == 100)
        #expect(latencies.p99 == 198)
        #expect(latencies.quantile(1) == 200)
        #expect(Latencies([]).median == nil)
        #expect(Latencies([7]).p99 == 7)
    }

    // MARK: The report

    private let millisecond: UInt64 = 1_000_000

    /// Medians of fresh decisions in ms, and the p99 of repeats in µs.
    private func report(_ medians: [UInt64], repeats: UInt64 = 500, wrong: [String] = []) throws
        -> RegionReport
    {
        let matrix = try RegionMatrix.load("80-150-220")
        func pass(infers: Bool, _ medians: [UInt64]) -> RegionPass {
            RegionPass(
                infers: infers,
                leader: 1,
                regions: medians.map { median in
                    RegionPass.Region(
                        opened: Latencies([median * millisecond]),
                        decided: Latencies([median * millisecond]),
                        repeated: Latencies([repeats * 1000])
                    )
                },
                failures: [],
                wrong: infers ? wrong : []
            )
        }
        return RegionReport(
            matrix: matrix,
            seconds: 10,
            rate: 20,
            inferring: pass(infers: true, medians),
            plain: pass(infers: false, [82, 162, 232]),
            command: "cluster/regions --matrix 80-150-220"
        )
    }

    @Test("5 % and 2 ms above the bound are within, more is not")
    func targets() throws {
        #expect(try report([86, 86, 159]).meetsTargets)
        let slow = try report([86, 87, 159])
        #expect(!slow.meetsTargets)
        #expect(slow.isMet(0) && !slow.isMet(1) && slow.isMet(2))
        #expect(try !report([80, 80, 150], repeats: 1001).meetsTargets)
        #expect(try report([80, 80, 150], repeats: 1000).meetsTargets)
    }

    @Test("a wrong answer is told, and nothing makes up for it")
    func wrong() throws {
        let report = try report([80, 80, 150], wrong: ["x-1 in region 2: decided with 200, late"])
        #expect(!report.isRight)
        #expect(report.text.contains("1 wrong answers"))
        #expect(report.text.contains("x-1 in region 2"))
        #expect(report.page.contains("wrong answers"))
        #expect(try report.json().contains(#""wrong":1"#))
    }

    @Test("the table has the bound, what was measured, and plain forwarding beside it")
    func text() throws {
        let report = try report([81, 82, 151])
        #expect(report.bestLeader == 1)
        let rows = report.text.split(separator: "\n").filter { $0.hasPrefix("b ") }
        #expect(rows.count == 1)
        let cells = rows[0].split(separator: " ").map(String.init)
        #expect(
            cells == [
                "b", "80.00", "82.00", "82.00", "yes", "0.50", "0.50", "yes", "160.00", "162.00",
                "162.00",
            ]
        )
    }

    @Test("the page draws every region and needs nothing from elsewhere")
    func page() throws {
        var report = try report([81, 82, 151])
        report.failovers = [
            RegionFailover(
                kind: .killed,
                lost: 0,
                survivors: [
                    .init(region: 1, nextDecision: 500 * millisecond),
                    .init(region: 2, nextDecision: 700 * millisecond),
                ],
                bound: 1380 * millisecond,
                lostRepeats: nil,
                dots: [(region: 1, at: 500_000_000, latency: 400_000_000)]
            )
        ]
        #expect(report.meetsTargets)
        let page = report.page
        #expect(page.components("<svg") == 2)
        #expect(page.contains("a, leads") && page.contains("all targets met"))
        #expect(page.contains("a is killed"))
        #expect(!page.contains("http://") && !page.contains("https://"))

        report.failovers[0].survivors[1].nextDecision = nil
        #expect(!report.meetsTargets, "no decision at all is no success")
    }
}

extension String {
    fileprivate func components(_ part: String) -> Int { ranges(of: part).count }
}
