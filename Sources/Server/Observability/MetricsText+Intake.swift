extension Metrics {
    /// What was acknowledged before it stood in the log.
    func writeIntake(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.gauge(
            "verdict_intake_records",
            gauges.intakeRecords,
            "Callbacks held that were acknowledged and are not in the log yet."
        )
        text.gauge("verdict_intake_bytes", gauges.intakeBytes, "Their bytes.")
        text.begin(
            "verdict_intake_oldest_seconds",
            .gauge,
            help: "How long ago the oldest of them was received."
        )
        text.sample([], nanoseconds: gauges.intakeOldestMilliseconds * 1_000_000)
        text.counter("verdict_intake_taken_total", takenIn, "Callbacks taken in.")
        text.counter(
            "verdict_intake_replicated_total",
            intakeReplicated,
            "Callbacks of the intake that came into the log."
        )
        text.counter(
            "verdict_intake_not_recorded_total",
            intakeNotRecorded,
            "Those of them for which their attempt had no place, or that had no attempt."
        )
        text.counter(
            "verdict_intake_refused_total",
            intakeRefused,
            "Callbacks not taken in for lack of room."
        )
        text.counter(
            "verdict_intake_damages_total",
            intakeDamages,
            "Damaged parts of the intake that were found."
        )
        text.begin(
            "verdict_intake_sync_duration_seconds",
            .histogram,
            help: "Time of one sync of the intake."
        )
        text.histogram([], intakeSyncTime)
    }
}
