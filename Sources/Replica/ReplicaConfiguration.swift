package import Journal
package import Raft
package import Store
package import Verification

/// Settings of a `ReplicaNode` that do not change while it runs.
package struct ReplicaConfiguration: Sendable {
    package var raft: RaftConfiguration
    package var journal: JournalConfiguration
    package var limits: VerificationLimits
    /// Drawn anew each time the process starts; tells this run's requests from an earlier run's.
    package var incarnation: UInt64
    /// A request waits this long for its entry to be committed, an election included.
    package var requestHold: Duration = .seconds(10)
    /// A forward that has not shown up in the log after this is sent again; harmless, as the
    /// state machine knows a command proposed twice by its request ID.
    package var forwardRetry: Duration = .milliseconds(1000)
    /// Requests that wait, at most; one more is refused.
    package var maxPendingRequests: Int = 20_000
    /// Bytes of commands that peers forwarded and that wait to be proposed, at most.
    package var maxForwardedBytes: Int = 16 * 1024 * 1024
    /// Repeats answered here are reported to the log this often.
    package var repeatReportInterval: Duration = .seconds(1)
    /// Different repeated callbacks counted between two reports, at most; see `RepeatLedger`.
    package var maxRepeatItems: Int = 100_000
    package var state = StateSettings()
    /// Peers are pinged this often.
    package var pingInterval: Duration = .milliseconds(500)
    /// A disk on which a batch takes longer than this counts as stalled: a leader leaves its office.
    package var diskStall: Duration = .seconds(2)
    /// The data directory; `nil` where there are no directories to mix up (in tests).
    package var identity: IdentityConfiguration?
    /// The leader has the replicas compare their states this often; `nil`: never.
    package var digestInterval: Duration? = .seconds(10)
    /// Bytes of sealed segments and of runs that are read a second to look for damage; 0 for none.
    package var scrubBytesPerSecond = 4 * 1024 * 1024
    /// All segments are read once in this time, and all runs, unless that takes longer.
    package var scrubInterval: Duration = .seconds(60)
    /// The log is kept for the retention time; if not, only as much as a restart needs.
    package var keepsLog = true
    /// A follower without any entry gets a checkpoint that stands for so many, instead of the entries.
    package var snapshotLag: UInt64 = 200_000

    /// Settings of the state store: when checkpoints are made and what stays in memory.
    package struct StateSettings: Sendable {
        /// Bytes of entries applied since the newest checkpoint after which the next one is made.
        package var checkpointBytes = 64 * 1024 * 1024
        /// Changed attempts after which it is made, too.
        package var checkpointAttempts = 100_000
        /// Bytes of records that are encoded in one turn, about.
        package var encodedPerTurn = 64 * 1024
        /// Records whose new places are noted in one turn.
        package var settledPerTurn = 500
        /// Cost of the decided attempts that stay in memory although they are on disk, in bytes.
        package var cacheBytes = 128 * 1024 * 1024
        /// Records loaded at a time, at most, but for what an entry needs.
        package var maxLoads = 512
        /// After a checkpoint that failed the next is made after this.
        package var retryAfter: Duration = .seconds(10)
        /// Bytes of one write to a run; `nil`: as the store has it.
        package var pieceSize: Int?
        /// Bits of the hash of attempts; fewer than 64 only where collisions are wanted.
        package var hashBits = 64
        package var merge = MergePolicy()
        /// How long attempts are kept; a leader proposes it where the state has something else.
        package var retention: RetentionSettings?
        package init() {}
    }

    package var intake = IntakeLimits()
    /// How long a client waits for the intake's disk, at most.
    package var intakeHold = Duration.seconds(2)

    /// Where leadership should be and whether it moves there; `nil`: it stays where it is.
    package var placement: PlacementSettings?
    /// Elections and heartbeats follow measured round trips; `nil`: they go by `raft` alone.
    package var timing: TimingSettings?

    package init(
        raft: RaftConfiguration,
        journal: JournalConfiguration,
        limits: VerificationLimits = VerificationLimits(),
        incarnation: UInt64
    ) {
        self.raft = raft
        self.journal = journal
        self.limits = limits
        self.incarnation = incarnation
    }
}
