/// What a run did, so that one that tests nothing shows.
package struct RunStatistics: Hashable, Sendable {
    package var steps: UInt64 = 0
    package var messages: UInt64 = 0
    package var unsent: UInt64 = 0
    package var losses: UInt64 = 0
    package var duplicates: UInt64 = 0
    package var corruptions: UInt64 = 0
    package var brokenLinks: UInt64 = 0
    package var requests: UInt64 = 0
    package var answeredLocally: UInt64 = 0
    /// Callbacks acknowledged before they were in the log.
    package var takenIn: UInt64 = 0
    package var reads: UInt64 = 0
    package var localReads: UInt64 = 0
    package var retries: UInt64 = 0
    package var crashes: UInt64 = 0
    package var powerCuts: UInt64 = 0
    package var restarts: UInt64 = 0
    package var stopsByDisk: UInt64 = 0
    /// Batches that found no room, and posts that were refused for it.
    package var fullDisks: UInt64 = 0
    package var refusedForRoom: UInt64 = 0
    package var stalledDisks: UInt64 = 0
    package var refusedStarts: UInt64 = 0
    package var damaged: UInt64 = 0
    package var repaired: UInt64 = 0
    package var installs: UInt64 = 0
    package var journalReads: UInt64 = 0
    package var checkpoints: UInt64 = 0
    package var merges: UInt64 = 0
    /// Requests that waited for a record of the state.
    package var loads: UInt64 = 0
    package var replacedDirectories: UInt64 = 0
    package var doubtedClocks: UInt64 = 0
    package var corruptStates: UInt64 = 0
    package var foundByDigest: UInt64 = 0
    /// Bits that flipped in runs of a state, and what was found and mended without a fetched checkpoint.
    package var rottenRuns: UInt64 = 0
    package var foundByScrub: UInt64 = 0
    /// Backups that were taken whole, and nodes that started on one.
    package var backups: UInt64 = 0
    package var restored: UInt64 = 0
    package var elections: UInt64 = 0
    package var committed: UInt64 = 0
    package var attempts: UInt64 = 0
    /// Answers by `Disposition.rawValue`.
    package var dispositions: [Int] = []
    /// Outcomes told, by `AttemptState.rawValue`.
    package var outcomes: [Int] = []
    /// Callbacks answered when only the outcome was left, and IDs refused since they are too old.
    package var withoutDetails = 0
    package var tooOld = 0
    package var faults: [FaultKind: Int] = [:]

    package init() {}
}

package struct RunResult: Sendable {
    package var options: RunOptions
    package var violation: Violation?
    /// Digest of every step.
    package var digest: UInt64
    /// Virtual nanoseconds that passed.
    package var virtualTime: UInt64
    package var statistics: RunStatistics
}
