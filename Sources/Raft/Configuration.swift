/// Settings of a `RaftNode` that do not change while it runs.
package struct RaftConfiguration: Sendable {
    package var node: NodeID
    package var membership: Membership
    /// An election starts after a silence drawn at random from one to two of these.
    package var electionTimeout: Duration = .milliseconds(1000)
    package var heartbeatInterval: Duration = .milliseconds(100)
    /// Cost of entries in one AppendEntries, at most (but at least one entry).
    package var maxAppendBytes: Int = 256 * 1024
    /// AppendEntries with entries under way to one follower, at most.
    package var maxInflightAppends: Int = 64
    /// Cost of entries under way to one follower, at most.
    package var maxInflightBytes: Int = 4 * 1024 * 1024
    /// Proposals are refused while more than this waits to be committed (cost in bytes).
    package var maxUncommittedBytes: Int = 16 * 1024 * 1024
    /// Applied entries are kept in memory up to this cost, for followers that lag a little.
    package var maxCachedBytes: Int = 16 * 1024 * 1024
    /// Commit inference while this node leads; see docs/commit-inference.md.
    ///
    /// Its followers take an entry for committed as soon as it is on their disk and on the leader's.
    /// Only where there are three voters.
    package var commitInference = true
    /// Longest spread of a campaign that starts because the leader's connection broke.
    package var lostLeaderJitter: Duration = .milliseconds(15)
    /// Seeds the generator of election time-outs; every node needs its own.
    package var seed: UInt64

    package init(node: NodeID, membership: Membership, seed: UInt64) {
        self.node = node
        self.membership = membership
        self.seed = seed
    }
}

/// What a node finds on its disk when it starts.
package struct RecoveredLog: Sendable {
    package var hardState: HardState
    /// The newest entries, contiguous up to the end of the log, and at least all after
    /// `hardState.commitIndex` (and the entry at it, unless that is 0).
    package var tail: [Entry]
    /// The term of every index.
    ///
    /// Each run says that entries from `first` on have `term`, up to the next run. Sorted; the first run starts at index 1 unless the log is empty.
    package var terms: [TermRun]
    package var lastIndex: LogIndex
    /// The entry that the log on disk begins after, committed; zero if nothing is missing before.
    ///
    /// If `tail` is empty this is the last entry of the log.
    package var start: EntryID
    /// Log time of the entry at `start`.
    package var startTime: Timestamp

    package init(
        hardState: HardState = HardState(),
        tail: [Entry] = [],
        terms: [TermRun] = [],
        lastIndex: LogIndex = .zero,
        start: EntryID = .zero,
        startTime: Timestamp = .zero
    ) {
        self.start = start
        self.startTime = startTime
        self.hardState = hardState
        self.tail = tail
        self.terms = terms
        self.lastIndex = lastIndex
    }
}

/// Entries from `first` up to the next run have this term.
package struct TermRun: Hashable, Sendable {
    package var term: Term
    package var first: LogIndex
    package init(term: Term, first: LogIndex) {
        self.term = term
        self.first = first
    }
}
