package import Journal
package import Raft
import Store
import Verification

/// The checkpoint under way.
struct Checkpointing {
    enum Phase {
        case idle
        /// Records are encoded, some a turn.
        case encoding
        /// All are encoded: the disk has to finish.
        case writing
        /// The checkpoint is durable: where the records lie is noted, some a turn.
        case settling
    }
    var phase = Phase.idle
    /// The entry whose state is written.
    var entry = EntryID.zero
    /// Records written, in the order of the run.
    var written: [(item: EncodedRecords.Item, location: RecordLocation)] = []
    /// Those before are settled.
    var settled = 0
    /// Cost of the entries applied since the newest checkpoint was begun.
    var appliedBytes = 0
    var retryAt: Instant?
    /// A peer asked for a checkpoint, and there is none yet.
    var isWanted = false
}

extension ReplicaNode {
    /// Does a slice of the checkpoint under way, or begins one that is due.
    ///
    /// - Returns: whether more can be done at once.
    mutating func driveCheckpoint(at now: Instant) -> Bool {
        switch checkpointing.phase {
        case .idle:
            guard isCheckpointDue(at: now) else { return false }
            beginCheckpoint()
            return true
        case .encoding:
            guard store.wantsRecords else { return false }
            let isComplete = machine.encodeCheckpoint(
                maxBytes: configuration.state.encodedPerTurn
            )
            writeEncoded()
            if isComplete {
                store.sealCheckpoint()
                checkpointing.phase = .writing
            }
            return true
        case .writing: return false
        case .settling:
            settleRecords()
            return true
        }
    }

    private func isCheckpointDue(at now: Instant) -> Bool {
        guard isServing, installing == nil, !isRetired, appliedIndex > checkpointedIndex,
            now >= checkpointing.retryAt ?? now,
            !isCheckpointHeld(at: now)
        else { return false }
        return checkpointing.isWanted
            || checkpointing.appliedBytes >= configuration.state.checkpointBytes
            || machine.dirtyCount >= configuration.state.checkpointAttempts
    }

    /// The entry that the newest durable checkpoint stands for; the log from the next one on is what
    /// a restart replays.
    package var checkpoint: EntryID? { store.checkpointEntry }

    /// The files of the newest durable checkpoint.
    package var stateFiles: (count: Int, bytes: Int, liveBytes: Int) {
        (store.runCount, store.runBytes, store.liveBytes)
    }

    /// Nothing is being written of the state, nor read: for whoever changes it behind its back.
    package var isStateAtRest: Bool {
        checkpointing.phase == .idle && !merging.isUnderWay && loads.isEmpty && !isRetired
    }

    private var checkpointedIndex: LogIndex { store.checkpointEntry?.index ?? .zero }

    private mutating func beginCheckpoint() {
        guard let term = raft.term(at: appliedIndex) else {
            fatalError("invariant broken: entry \(appliedIndex) was applied and is not in the log")
        }
        let entry = EntryID(term: term, index: appliedIndex)
        checkpointing.entry = entry
        counters.checkpointsBegun += 1
        checkpointing.isWanted = false
        checkpointing.appliedBytes = 0
        checkpointing.written.removeAll(keepingCapacity: true)
        checkpointing.settled = 0
        checkpointing.phase = .encoding
        store.beginCheckpoint(
            Manifest(
                cluster: configuration.journal.cluster,
                node: node,
                entry: entry,
                time: Timestamp(milliseconds: machine.time.milliseconds),
                terms: raft.terms(through: appliedIndex),
                hashKey: machine.hash.key,
                attempts: machine.openedCount,
                nextRun: 0,
                runs: [],
                head: machine.beginCheckpoint()
            )
        )
    }

    private mutating func writeEncoded() {
        let encoded = machine.takeEncoded()
        var start = 0
        for item in encoded.items {
            let location = store.write(encoded.bytes[start..<item.end], RecordLabel(item))
            checkpointing.written.append((item, location))
            start = item.end
        }
    }

    private mutating func settleRecords() {
        let end = min(
            checkpointing.settled + configuration.state.settledPerTurn,
            checkpointing.written.count
        )
        for (item, location) in checkpointing.written[checkpointing.settled..<end] {
            if let old = machine.settle(item, at: location) { store.superseded(old) }
            store.isLive(location)
        }
        checkpointing.settled = end
        guard end == checkpointing.written.count else { return }
        machine.endCheckpoint()
        checkpointing.phase = .idle
        checkpointing.written = []
    }

    /// The next work for the queue beside the log's.
    mutating func nextBackground() -> DiskBatch? {
        if stateFault != nil, isAlone {
            guard !store.isBatchUnderWay, !hasSetAside, journal.reachesBack else { return nil }
            hasSetAside = true
            return store.setAsideBatch()
        }
        let entry = checkpointing.entry
        return store.nextBatch(
            mayPublish: raft.durableIndex >= entry.index && raft.term(at: entry.index) == entry.term
        )
    }

    /// What the log has of before this time need not be kept.
    var logKeptFrom: Timestamp {
        Timestamp(
            milliseconds: configuration.keepsLog
                ? machine.retention.detailsMark.milliseconds : .max
        )
    }

    /// The batch of `output.background` is done, or its first failing step has stopped it.
    package mutating func backgroundCompleted(
        _ number: UInt64,
        _ result: Result<Void, DiskError>,
        at now: Instant
    ) {
        if installCompleted(number, result, at: now) { return }
        switch store.completed(number, result) {
        case .wrote: break
        case .checkpoint(let manifest):
            checkpointing.phase = .settling
            counters.checkpoints += 1
            journal.checkpointed(through: manifest.entry.index)
            journal.removeSegments(before: logKeptFrom, through: oldestOffered)
            output.notices.append(
                .checkpointDone(
                    manifest.entry.index,
                    records: checkpointing.written.count,
                    runs: manifest.runs.count
                )
            )
            prepareBackups(at: now)
        case .merge: mergePublished()
        case .setAside:
            isRetired = true
            output.notices.append(.digest(.startsAnew))
        case .failed(let work, let error):
            counters.storeFailures += 1
            output.notices.append(.storeFailed("\(work)", error))
            if work == .merge { abandonMerge(at: now) }
            guard work == .checkpoint else { return }
            machine.abandonCheckpoint()
            checkpointing.phase = .idle
            checkpointing.written = []
            checkpointing.retryAt = now.advanced(by: configuration.state.retryAfter)
        }
    }
}
