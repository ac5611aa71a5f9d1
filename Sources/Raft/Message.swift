/// One message between two nodes.
///
/// A message with an older term is answered or dropped, one with a newer term makes its receiver a
/// follower of that term (dissertation §3.3), but for pre-votes.
package struct Message: Hashable, Sendable {
    package var from: NodeID
    package var to: NodeID
    /// The sender's term; in a pre-vote request the term it would campaign in.
    package var term: Term
    package var body: Body

    @inlinable package init(from: NodeID, to: NodeID, term: Term, body: Body) {
        self.from = from
        self.to = to
        self.term = term
        self.body = body
    }

    package enum Body: Hashable, Sendable {
        case preVote(VoteRequest)
        case preVoteReply(VoteReply)
        case requestVote(VoteRequest)
        case requestVoteReply(VoteReply)
        case appendEntries(AppendEntries)
        case appendEntriesReply(AppendEntriesReply)
        /// The leader asks its successor to campaign at once (dissertation §3.10).
        case timeoutNow
    }
}

/// RequestVote, and PreVote (dissertation §3.4, §9.6).
package struct VoteRequest: Hashable, Sendable {
    /// The last entry of the candidate's log.
    package var lastEntry: EntryID
    /// Set when the leader itself asked for this election, so that voters who still hear from
    /// that leader answer all the same (dissertation §4.2.3).
    package var isTransfer: Bool
    package init(lastEntry: EntryID, isTransfer: Bool) {
        self.lastEntry = lastEntry
        self.isTransfer = isTransfer
    }
}

package struct VoteReply: Hashable, Sendable {
    package var granted: Bool
    /// Where the voter's log ends, with a vote that is granted: the leader it makes sends on from there
    /// at once, instead of finding out first.
    package var lastEntry: EntryID
    package init(granted: Bool, lastEntry: EntryID = .zero) {
        self.granted = granted
        self.lastEntry = lastEntry
    }
}

/// AppendEntries; without entries it is the heartbeat (dissertation §3.5).
package struct AppendEntries: Hashable, Sendable {
    /// The entry directly before `entries`.
    package var previous: EntryID
    package var leaderCommit: LogIndex
    /// The leader's own log is on its disk through this index.
    package var leaderDurable: LogIndex
    /// The follower may infer from `leaderDurable` what is committed (docs/commit-inference.md).
    package var allowsInference: Bool
    /// The leader's read round (ReadIndex, dissertation §6.4), echoed in the reply: a reply to
    /// round r says that the sender still followed this leader after round r began.
    package var readRound: UInt64
    package var entries: [Entry]
    /// The repair (`AppendEntriesReply.repair`) that the leader knows its receiver to be in.
    ///
    /// From then on it counts nothing that this member said before.
    package var repair: UInt64

    package init(
        previous: EntryID,
        leaderCommit: LogIndex,
        leaderDurable: LogIndex,
        allowsInference: Bool = false,
        readRound: UInt64,
        entries: [Entry],
        repair: UInt64 = 0
    ) {
        self.repair = repair
        self.previous = previous
        self.leaderCommit = leaderCommit
        self.leaderDurable = leaderDurable
        self.allowsInference = allowsInference
        self.readRound = readRound
        self.entries = entries
    }
}

package struct AppendEntriesReply: Hashable, Sendable {
    package enum Result: Hashable, Sendable {
        /// The follower's log equals the leader's, and is on disk, through `durable`; it equals
        /// the leader's in memory through `matched`.
        case accepted(durable: LogIndex, matched: LogIndex)
        /// `previous` at `rejected` is not in the follower's log. `hint` is the last entry at or
        /// before it whose term is not greater than the leader's for that index: the leader can
        /// skip whole terms (dissertation §3.5, and etcd's findConflictByTerm).
        case rejected(at: LogIndex, hint: EntryID)
    }
    package var result: Result
    package var readRound: UInt64
    /// False if the follower had no room for entries that it was sent, and has none for them now.
    package var hasRoom: Bool
    /// A number drawn for the repair that the sender is in; 0 if it is in none.
    ///
    /// What such a reply says of the log steers the leader's sending and is no acknowledgement.
    package var repair: UInt64
    package init(
        result: Result,
        readRound: UInt64,
        hasRoom: Bool = true,
        repair: UInt64 = 0
    ) {
        self.result = result
        self.readRound = readRound
        self.hasRoom = hasRoom
        self.repair = repair
    }
}
