package import Journal
package import Raft
package import Verification

/// What a `ReplicaNode` asks of its surroundings since the last time it was emptied.
///
/// The parts may be carried out in any order.
package struct ReplicaOutput {
    package struct Envelope: Hashable, Sendable {
        package var to: NodeID
        package var message: PeerMessage
    }

    package var messages: [Envelope] = []
    package var completions: [Completion] = []
    package var reads: [ReadCompletion] = []
    /// To be done on the disk; `ReplicaNode.batchCompleted` is called when it is durable, or
    /// `batchFoundNoRoom` if it was not begun for lack of room.
    package var batch: DiskBatch?
    package var diskReads: [DiskRead] = []
    package var notices: [Notice] = []
    /// Links to these peers have to go: another directory stands for them now.
    package var disconnects: [NodeID] = []

    package init() {}

    /// Empties all parts, keeping their memory.
    package mutating func removeAll() {
        messages.removeAll(keepingCapacity: true)
        completions.removeAll(keepingCapacity: true)
        reads.removeAll(keepingCapacity: true)
        batch = nil
        diskReads.removeAll(keepingCapacity: true)
        notices.removeAll(keepingCapacity: true)
        disconnects.removeAll(keepingCapacity: true)
    }

    package var isEmpty: Bool {
        messages.isEmpty && completions.isEmpty && reads.isEmpty && batch == nil
            && diskReads.isEmpty && notices.isEmpty && disconnects.isEmpty
    }
}

/// A request has its result.
package struct Completion: Hashable, Sendable {
    package enum Result: Hashable, Sendable {
        case applied(Applied)
        /// Not committed within the hold time. It may be committed later: nothing is claimed.
        case timedOut
    }
    /// As given to `ReplicaNode.submit`.
    package var context: UInt64
    package var submittedAt: Instant
    package var result: Result
}

/// A linearizable read may be served from the state now, or could not be made so in time.
package struct ReadCompletion: Hashable, Sendable {
    package var context: UInt64
    package var isReady: Bool
}

/// Something an operator would want in the log.
package enum Notice: Hashable, Sendable {
    case roleChanged(RoleChange)
    case transferEnded(to: NodeID, succeeded: Bool)
    /// A read of the journal found damage or failed; the peer that needed it cannot catch up.
    case journalReadFailed(String)
    /// A committed entry does not decode in this version; it moved nothing.
    case undecodableEntry(LogIndex, String)
    /// A batch has been under way for so long.
    case diskStalled(Duration)
    /// The batch that stalled is done.
    case diskGetsOn(after: Duration)
    /// There is no room for another segment; `reserve` is what entries may still take up, in bytes.
    case diskFull(DiskError, reserve: Int)
    /// A further segment could be made after there had been no room for it.
    case diskHasRoomAgain
    case identity(IdentityNotice)
    case digest(DigestNotice)
    case placement(PlacementNotice)
    /// An unfinished write at the end of the log was cut off.
    case tornTailCut(TornTail)
    /// Part of the log is not what was written.
    case logDamaged(LogDamage)
}

/// What became of a request that was handed in.
package enum Submission: Hashable, Sendable {
    /// Its result will come as a `Completion`.
    case taken(RequestID)
    case refused(SubmitRefusal)
}

/// Why a request was not taken.
package enum SubmitRefusal: Hashable, Sendable {
    case tooManyPending(limit: Int)
    case tooLarge(limit: Int)
}
