/// What a leader knows of one other member's log.
package struct Progress {
    package enum State: String, Hashable, Sendable {
        /// Where the logs part is unknown, or the link is new: one message at a time.
        case probe
        /// Messages are sent ahead of their replies.
        case replicate
        /// Like `replicate`, waiting for entries from the journal.
        case reading
    }

    package let node: NodeID
    package let isVoter: Bool
    package internal(set) var state = State.probe
    /// The next entry to send.
    package internal(set) var nextIndex = LogIndex(1)
    /// The member's log equals the leader's, on the member's disk, through this index.
    package internal(set) var matchIndex = LogIndex.zero
    /// When the member last answered in this term.
    package internal(set) var lastReply: Instant
    /// Cost of the entries under way.
    package private(set) var inflightBytes = 0
    /// AppendEntries with entries under way.
    package var inflightAppends: Int { inflight.count }

    /// The member had no room for entries: it gets none until it says that it has.
    package internal(set) var isFull = false
    /// A probe is under way; the next goes with the next heartbeat.
    var probeSent = false
    /// The newest commit index that was sent.
    var sentCommit = LogIndex.zero
    /// How far the leader's disk was said to be.
    var sentDurable = LogIndex.zero
    /// The newest read round that the member echoed.
    var ackedRound: UInt64 = 0
    /// The repair that the member is in; 0 for none.
    ///
    /// Its disk and its word count for nothing meanwhile.
    package internal(set) var repair: UInt64 = 0
    /// The leader's round when it learned of that repair: replies to this round or an older one
    /// may have been sent before the member lost what it acknowledges.
    var repairRound: UInt64 = 0
    /// When the journal was asked, in state `reading`.
    var readSince = Instant(nanoseconds: 0)
    private var inflight = Ring<Inflight>(filler: Inflight(last: .zero, bytes: 0))

    private struct Inflight {
        var last: LogIndex
        var bytes: Int
    }

    /// A voter whose disk and whose word count.
    package var counts: Bool { isVoter && repair == 0 }

    init(node: NodeID, isVoter: Bool, at now: Instant) {
        self.node = node
        self.isVoter = isVoter
        self.lastReply = now
    }

    /// Starts over for a new leader whose log ends before `next`.
    mutating func reset(next: LogIndex, at now: Instant) {
        matchIndex = .zero
        nextIndex = next
        lastReply = now
        sentCommit = .zero
        sentDurable = .zero
        ackedRound = 0
        isFull = false
        repair = 0
        repairRound = 0
        becomeProbe(next: next)
    }

    mutating func becomeProbe(next: LogIndex) {
        state = .probe
        nextIndex = max(next, matchIndex.next)
        probeSent = false
        inflight.removeAll()
        inflightBytes = 0
    }

    mutating func becomeReplicate(next: LogIndex) {
        state = .replicate
        nextIndex = next
    }

    func hasRoom(appends: Int, bytes: Int) -> Bool {
        inflight.count < appends && inflightBytes < bytes
    }

    /// Counts entries sent ahead.
    mutating func sent(through last: LogIndex, bytes: Int) {
        inflight.append(Inflight(last: last, bytes: bytes))
        inflightBytes += bytes
        nextIndex = last.next
    }

    /// The member's disk holds the leader's log through `durable`.
    mutating func acknowledged(through durable: LogIndex) {
        guard durable > matchIndex else { return }
        matchIndex = durable
        nextIndex = max(nextIndex, durable.next)
        while let first = inflight.first, first.last <= durable {
            inflightBytes -= first.bytes
            inflight.removeFirst()
        }
    }
}
