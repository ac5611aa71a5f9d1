import Chaos
import Testing

@Suite("the report")
struct ReportTests {
    private func report(_ facts: RunFacts, faults: Int = 1) -> ChaosReport {
        var history = History()
        history.clients = ["platform"]
        history.scripts = [AttemptScript(seed: 1, number: 0, regions: 3)]
        let body = history.intern([])
        // Two decisions a second, and none from 4 s to 7 s.
        for half in 0..<20 where !(8..<14).contains(half) {
            let time = UInt64(half) * 500_000_000
            history.add(
                Exchange(
                    client: 0,
                    attempt: 0,
                    node: 1,
                    kind: .open,
                    invoked: time,
                    returned: time + 3_000_000,
                    end: .answered(.init(status: 201, disposition: nil, told: .open, body: body))
                )
            )
        }
        let plan = FaultSchedule(
            seed: 1,
            seconds: 60,
            nodes: 3,
            diskNode: 0,
            kinds: [.killLeader]
        ).faults[0]
        return ChaosReport(
            settings: .init(
                seed: 1,
                seconds: 10,
                nodes: 3,
                regions: ["a", "b", "c"],
                rate: 2,
                connections: 4
            ),
            series: RunSeries(history, end: 10_000_000_000),
            faults: (0..<faults).map { _ in
                InjectedFault(plan: plan, began: 3_600_000_000, ended: 5_000_000_000, nodes: [2])
            },
            sights: [LeaderSight(at: 1, node: 2, term: 3, leads: true)],
            judgement: Judgement(history, views: [[]], facts),
            facts: facts,
            attempts: 1,
            exchanges: 14,
            replays: 0,
            registerOperations: 0,
            notes: ["a <note>"],
            interrupted: false,
            command: "cluster/chaos --seed 1"
        )
    }

    private var good: RunFacts {
        var facts = RunFacts()
        facts.decidedAfter = 1
        facts.readyAfter = 1
        facts.recoveryBound = 2_000_000_000
        return facts
    }

    @Test("the longest gap is found, and laid at the fault's door")
    func gap() {
        let report = report(good)
        #expect(report.series.longestGap?.length == 3_497_000_000 + 3_000_000)
        #expect(report.counts.map(\.count) == [1])
        #expect(report.counts[0].longestGap == 3_500_000_000)
        #expect(report.series.median == 3_000_000)
    }

    @Test("a page needs nothing from elsewhere, and quotes what it was told")
    func page() {
        let page = report(good).page
        #expect(page.contains("all promises held") && page.contains("<svg"))
        #expect(!page.contains("http://") && !page.contains("https://"))
        #expect(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf\""))
        #expect(page.contains("a &lt;note&gt;"))
        #expect(page.contains("kill-leader") && page.contains("3.50 s"))
    }

    @Test("a broken promise is on the page and in the text")
    func broken() {
        var facts = good
        facts.unexpectedEnds = ["node 2 ended <by itself>"]
        let report = report(facts)
        #expect(report.page.contains("1 violation</span>"))
        #expect(report.page.contains("node 2 ended &lt;by itself&gt;"))
        #expect(report.text.contains("FAIL  nodes stay up"))
    }
}
