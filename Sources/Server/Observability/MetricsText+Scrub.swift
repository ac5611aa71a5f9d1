extension Metrics {
    /// What is read now and then to find damage before it is needed.
    static func writeScrub(_ gauges: Gauges, _ text: inout PrometheusText) {
        func counter(_ name: String, _ help: String, _ count: (Gauges.Scrub) -> UInt64) {
            text.begin(name, .counter, help: help)
            text.sample([("files", "log")], count(gauges.logScrub))
            text.sample([("files", "state")], count(gauges.stateScrub))
        }
        counter(
            "verdict_scrub_bytes_total",
            "Bytes of sealed segments and of the state's runs that were looked through for damage."
        ) { $0.bytes }
        counter("verdict_scrub_rounds_total", "Times that all of them were.") { $0.rounds }
        counter("verdict_scrub_damages_total", "Damaged places found by it.") { $0.damages }
    }
}
