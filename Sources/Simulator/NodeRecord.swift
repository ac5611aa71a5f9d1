internal import Journal
internal import Raft
internal import Verification

/// What the checkers remember of one node.
struct NodeRecord {
    /// The log in memory.
    var log = LogShape()
    /// What was on the disk at the last finished sync.
    var durable = DurableState()
    /// What will be once the batch under way is done.
    var underWay: DurableState?
    var commit = LogIndex.zero
    var applied = LogIndex.zero
    var role = Role.follower
    var term = Term.zero
    /// Where requests stand that it appended as the leader of `officeTerm`.
    var standing: [RequestID: LogIndex] = [:]
    /// The same of reports of repeats, which are numbered apart.
    var standingReports: [RequestID: LogIndex] = [:]
    var officeTerm = Term.zero
    /// The last time that it stamped as a leader, and at which virtual time.
    var stamp: UInt64 = 0
    var stampedAt: UInt64 = 0
    /// Its disk was damaged behind its back: what it finds there may be less than it promised.
    var isRotten = false
    /// The last entry of a checkpoint that was fetched and not yet started from.
    var installed: EntryID?
    /// A checkpoint is being fetched: it may be in place before the process hears of it.
    var isFetching = false
    /// Its directory was emptied or is an older copy: it takes no part until it has caught up.
    var isOut = false
    /// Set until a process has started on the other directory.
    var isReplaced = false
    /// What it had promised before.
    var lost = LogShape()
    /// It had promised something by then.
    var hadPromised = false
    /// The entry that let its directory in, and which that is; saying so once more changes nothing.
    var admittedAt: UInt64?
    var admitted: DirectoryID?
    /// Its replica's state was changed behind its back.
    var isCorrupt = false
    /// It came back with less than it had promised, and must count for nothing until it has it again.
    var isRepairing = false
    /// What its disk had promised before the damage, while it is repairing.
    ///
    /// Whoever heard of it may still count on it: that is why it must not vote.
    var promised: LogShape?

    /// The node's disk has an entry, or others may believe so.
    func holds(_ id: EntryID) -> Bool {
        durable.log.term(at: id.index) == id.term || promised?.term(at: id.index) == id.term
    }
}

extension NodeRecord {
    /// The earliest time that this leader may stamp now; stamps are in whole milliseconds.
    func timePassed(at now: UInt64) -> UInt64 {
        let passed = (now - stampedAt) / 1_000_000
        return stamp + (passed > 0 ? passed - 1 : 0)
    }
}

extension NodeRecord {
    /// - Returns: false if the directory stood for this node already, or another one than it should replace.
    mutating func readmitted(
        _ directory: DirectoryID,
        inPlaceOf replaced: DirectoryID?,
        at index: UInt64
    ) -> Bool {
        guard directory != admitted else { return false }
        if let replaced, let admitted, replaced != admitted { return false }
        admitted = directory
        admittedAt = index
        return true
    }
}

/// One committed entry.
struct CommittedEntry {
    var id: EntryID
    /// The term of the leader that committed it, which may be later than the entry's own.
    var inTerm: Term
    var time: UInt64
    var request: RequestID?
    var expectation: DomainModel.Expectation
    /// Attempts that this entry may have changed.
    var touched: [AttemptID]
    /// Without it the state would be another one, whatever follows.
    var changesState: Bool
}
