import Server
import Testing
import Verification

@Suite("Metrics")
struct MetricsTests {
    private func rendered(_ metrics: Metrics, _ gauges: Gauges) throws -> Exposition {
        try Exposition(Fixture.text(metrics.text(gauges)))
    }

    private func busy() -> (Metrics, Gauges) {
        var metrics = Metrics()
        metrics.answered(.callback, status: 200, nanoseconds: 1_500_000)
        metrics.answered(.callback, status: 200, nanoseconds: 40_000_000_000)
        metrics.answered(.openAttempt, status: 201, nanoseconds: 10)
        metrics.answered(.openAttempt, status: 418, nanoseconds: 10)
        metrics.answeredNoRoute(status: 404)
        metrics.commitTime.observe(nanoseconds: 700_000)
        metrics.syncTime.observe(nanoseconds: 230_000)
        metrics.applyTime.observe(nanoseconds: 9_000)
        metrics.turned(nanoseconds: 12_000_000)
        metrics.turned(nanoseconds: 40_000)
        metrics.decided(.accepted)
        metrics.decided(.accepted)
        metrics.decided(.stale)
        metrics.setOutcomes { $0 == .verified || $0 == .open ? 1 : 0 }
        metrics.refused(.tooManyCalls(limit: 1))
        metrics.electionsStarted = 2
        var gauges = Gauges(node: 1, region: "a\"b\\c\nd", version: "0.1")
        gauges.role = .leader
        gauges.term = 4
        gauges.leader = 1
        gauges.commitIndex = 42
        gauges.diskRoom = .reserve
        gauges.isDiskStalled = true
        gauges.diskWaitNanoseconds = 2_500_000_000
        metrics.diskStalls = 3
        gauges.waitingProposals = 5
        gauges.logScrub = Gauges.Scrub(bytes: 700, rounds: 2, damages: 0)
        gauges.stateScrub = Gauges.Scrub(bytes: 900, rounds: 3, damages: 1)
        gauges.peers = [
            Gauges.Peer(
                node: 2,
                isConnected: true,
                roundTripNanoseconds: 81_000_000,
                clockOffsetMilliseconds: -3_600_005
            ),
            Gauges.Peer(node: 3, isConnected: false),
        ]
        return (metrics, gauges)
    }

    @Test("what was counted can be scraped")
    func values() throws {
        let (metrics, gauges) = busy()
        let text = try rendered(metrics, gauges)
        #expect(
            text.value("verdict_http_requests_total", ["route": "callback", "status": "200"]) == 2
        )
        #expect(
            text.value("verdict_http_requests_total", ["route": "open_attempt", "status": "other"])
                == 1
        )
        #expect(text.value("verdict_http_requests_total", ["route": "none", "status": "404"]) == 1)
        #expect(
            text.value("verdict_http_request_duration_seconds_sum", ["route": "callback"])
                == 40.0015
        )
        #expect(text.value("verdict_journal_sync_duration_seconds_sum") == 0.00023)
        #expect(text.value("verdict_loop_turn_duration_seconds_count") == 2)
        #expect(text.value("verdict_loop_turn_longest_seconds") == 0.012)
        #expect(text.value("verdict_callbacks_total", ["disposition": "accepted"]) == 2)
        #expect(text.value("verdict_callbacks_total", ["disposition": "stale"]) == 1)
        #expect(text.value("verdict_callbacks_total", ["disposition": "late"]) == 0)
        #expect(text.value("verdict_outcomes_total", ["state": "verified"]) == 1)
        #expect(text.value("verdict_refusals_total", ["reason": "too_many_calls"]) == 1)
        #expect(text.value("verdict_raft_term") == 4)
        #expect(text.value("verdict_raft_role", ["role": "leader"]) == 1)
        #expect(text.value("verdict_raft_role", ["role": "follower"]) == 0)
        #expect(text.value("verdict_raft_elections_started_total") == 2)
        #expect(text.value("verdict_disk_room", ["room": "reserve"]) == 1)
        #expect(text.value("verdict_disk_room", ["room": "enough"]) == 0)
        #expect(text.value("verdict_disk_stalled") == 1)
        #expect(text.value("verdict_disk_wait_seconds") == 2.5)
        #expect(text.value("verdict_disk_stalls_total") == 3)
        #expect(text.value("verdict_queue_depth", ["queue": "proposals"]) == 5)
        #expect(text.value("verdict_scrub_bytes_total", ["files": "log"]) == 700)
        #expect(text.value("verdict_scrub_bytes_total", ["files": "state"]) == 900)
        #expect(text.value("verdict_scrub_rounds_total", ["files": "log"]) == 2)
        #expect(text.value("verdict_scrub_rounds_total", ["files": "state"]) == 3)
        #expect(text.value("verdict_scrub_damages_total", ["files": "log"]) == 0)
        #expect(text.value("verdict_scrub_damages_total", ["files": "state"]) == 1)
        #expect(text.value("verdict_peer_connected", ["peer": "3"]) == 0)
        #expect(text.value("verdict_peer_round_trip_seconds", ["peer": "2"]) == 0.081)
        #expect(text.value("verdict_peer_round_trip_seconds", ["peer": "3"]) == nil)
        #expect(text.value("verdict_peer_clock_offset_seconds", ["peer": "2"]) == -3600.005)
        #expect(text.value("verdict_peer_clock_offset_seconds", ["peer": "3"]) == nil)
        #expect(
            text.value(
                "verdict_build_info",
                ["version": "0.1", "node": "1", "region": "a\"b\\c\nd"]
            ) == 1
        )
    }

    @Test("every family has a unit or a plain name, and every histogram adds up")
    func shape() throws {
        let (metrics, gauges) = busy()
        for (name, family) in try rendered(metrics, gauges).families {
            #expect(name.hasPrefix("verdict_"))
            #expect((family.kind == "counter") == name.hasSuffix("_total"), "\(name)")
            guard family.kind == "histogram" else { continue }
            #expect(name.hasSuffix("_seconds"))
            var last: [String: (bound: Double, count: Double)] = [:]
            for sample in family.samples {
                let route = sample.labels["route"] ?? ""
                switch sample.name {
                case "\(name)_bucket":
                    let text = try #require(sample.labels["le"])
                    let bound = text == "+Inf" ? .infinity : try #require(Double(text))
                    if let before = last[route] {
                        #expect(bound > before.bound)
                        #expect(sample.value >= before.count)
                    }
                    last[route] = (bound, sample.value)
                case "\(name)_count":
                    #expect(last[route]?.bound == .infinity)
                    #expect(last[route]?.count == sample.value)
                default: #expect(sample.name == "\(name)_sum")
                }
            }
        }
    }

    @Test("the reader of this test refuses what a scraper would")
    func readerIsStrict() {
        for text in [
            "x 1\n", "# HELP x h\n# TYPE x gauge\nx{a=\"1\",a=\"2\"} 1\n",
            "# HELP x h\n# TYPE x gauge\nx 1\nx 2\n", "# HELP x h\n# TYPE x gauge\nx{a=\"b} 1\n",
            "# HELP x h\n# TYPE x gauge\nx one\n", "# HELP x h\n# TYPE x gauge\nx 1",
            "# HELP x h\n# TYPE y gauge\n", "# HELP x h\n# TYPE x number\n",
        ] {
            #expect(throws: Exposition.Failure.self) { try Exposition(text) }
        }
    }
}
