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
    /// To be done beside `batch`, on a queue of its own; `ReplicaNode.backgroundCompleted` is called
    /// when it is durable, or has failed.
    package var background: DiskBatch?
    /// Reads of records; they may go on beside both batches, and `readCompleted` is called.
    package var loads: [DiskRead] = []
    package var loaded: [LoadCompletion] = []
    package var backupPieces: [BackupPiece] = []
    /// To be done beside `batch`, on a queue of its own; `ReplicaNode.intakeWritten` is called when it is
    /// durable, or `intakeFoundNoRoom` if it was not begun for lack of room.
    package var intake: DiskBatch?
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
        intake = nil
        diskReads.removeAll(keepingCapacity: true)
        background = nil
        loads.removeAll(keepingCapacity: true)
        loaded.removeAll(keepingCapacity: true)
        backupPieces.removeAll(keepingCapacity: true)
        notices.removeAll(keepingCapacity: true)
        disconnects.removeAll(keepingCapacity: true)
    }

    package var isEmpty: Bool {
        messages.isEmpty && completions.isEmpty && reads.isEmpty && batch == nil
            && diskReads.isEmpty && background == nil && loads.isEmpty && loaded.isEmpty
            && backupPieces.isEmpty && intake == nil && notices.isEmpty && disconnects.isEmpty
    }
}

/// A request has its result.
package struct Completion: Hashable, Sendable {
    package enum Result: Hashable, Sendable {
        case applied(Applied)
        /// Not committed within the hold time. It may be committed later: nothing is claimed.
        case timedOut
        /// Durable in the intake: it comes into the log. Where it `isRepeat`, the log had the same callback by another
        /// way meanwhile.
        case takenIn(isRepeat: Bool)
        /// There was no room for it in the intake.
        case notTakenIn
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

/// An attempt that was asked for can be read from the state now, or could not be loaded in time.
package struct LoadCompletion: Hashable, Sendable {
    package var context: UInt64
    package var isReady: Bool
}

/// Whether an attempt can be read from the state.
package enum Availability: Hashable, Sendable {
    /// It is in memory, or does not exist.
    case ready
    /// A `LoadCompletion` will tell.
    case loading
    /// Too many wait for records already.
    case refused
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
    /// The leader's entries begin later than what this node needs: its checkpoint is fetched.
    case installBegun(EntryID, from: NodeID)
    case installAbandoned(String)
    /// A fetched checkpoint has taken the place of the state: `ReplicaNode.isRetired`, and whoever owns it
    /// makes another from the disk.
    case installed(EntryID)
    /// Part of the log is not what was written.
    case logDamaged(LogDamage)
    /// Decided attempts are kept for another time than before, as of an entry.
    case retentionChanged(RetentionSettings, before: RetentionSettings, at: LogIndex)
    /// So many entries of the log are not on this disk, and are fetched from the others; or they are there again, or
    /// are not to be had any more.
    case logIncomplete(missing: UInt64)
    case logComplete
    /// This node's clock is far from what most members' clocks show, which are so many milliseconds ahead of it: what
    /// it stamps follows them.
    case clockDoubted(correction: Int64)
    case clockAgrees
    /// A checkpoint is durable.
    case checkpointDone(LogIndex, records: Int, runs: Int)
    /// Nobody has asked for a piece of a backup for a while: its files are not kept any more.
    case backupGivenUp(UInt64)
    /// A checkpoint, a merge or a removal failed; the newest checkpoint still holds.
    case storeFailed(String, DiskError)
    /// Runs were merged; bytes of all before and after.
    case merged(before: Int, after: Int)
    /// The checkpoint found at start could not be used and was moved aside: the state was rebuilt from
    /// the log.
    case checkpointSetAside(String)
    /// A place of a run of the state is not what was written, and what is done about it.
    case runDamaged(String, RunRemedy)
    /// A record of the state cannot be read: this node stops serving until it has another state.
    case stateDamaged(String, isAlone: Bool)
    /// So many acknowledged callbacks were found in the intake that may not stand in the log yet.
    case intakeRecovered(records: Int)
    /// Part of the intake is not what was written: the callbacks in it are lost.
    case intakeDamaged(IntakeDamage)
    /// A record of the intake does not decode in this version.
    case intakeUndecodable(number: UInt64)
    /// A callback that was taken in found no place in its attempt.
    case intakeNotRecorded(AttemptID, CallbackKey, Refusal)
}

/// What is done about damage in a run of the state.
package enum RunRemedy: Hashable, Sendable {
    /// Nothing that counts was in it: the run is merged, so that the damaged bytes go.
    case merged
    /// It is in memory, and is written again with the next checkpoint.
    case writtenAgain
    /// Only other nodes have it, and they are not all well: it is kept until they are.
    case kept
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
