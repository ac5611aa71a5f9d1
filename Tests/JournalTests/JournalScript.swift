import Journal
import Raft
import Testing

/// What a log should hold: the naive twin of the journal.
struct ModelLog: Hashable {
    var entries: [Entry] = []
    var hardState = HardState()

    var last: LogIndex { entries.last?.index ?? .zero }

    mutating func apply(_ write: LogWrite) {
        if let after = write.truncateAfter { entries.removeAll { $0.index > after } }
        entries += write.entries
        hardState = write.hardState ?? hardState
    }

    var runs: [TermRun] {
        var runs: [TermRun] = []
        for entry in entries where entry.term != runs.last?.term {
            runs.append(TermRun(term: entry.term, first: entry.index))
        }
        return runs
    }

    var committed: [Entry] { entries.filter { $0.index <= hardState.commitIndex } }

    /// A write that appends entries of a term, truncating first if `from` is not after the end.
    func write(
        _ number: UInt64,
        term: UInt64,
        from: UInt64,
        sizes: [Int],
        commit: UInt64? = nil,
        salt: UInt8 = 0
    ) -> LogWrite {
        LogWrite(
            number: WriteNumber(number),
            truncateAfter: from <= last.number ? LogIndex(from - 1) : nil,
            entries: sizes.enumerated().map { at, size in
                Entry(
                    id: EntryID(term: Term(term), index: LogIndex(from + UInt64(at))),
                    time: Timestamp(milliseconds: 1_000 + from + UInt64(at)),
                    kind: size == 0 ? .noop : .command,
                    payload: (0..<size).map { UInt8(truncatingIfNeeded: $0 + at) &+ salt | 1 }
                )
            },
            hardState: commit.map {
                HardState(
                    currentTerm: Term(term),
                    votedFor: NodeID(UInt32(term % 3) + 1),
                    commitIndex: LogIndex($0)
                )
            }
        )
    }
}

func configuration(
    cluster: String = "test",
    node: UInt32 = 1,
    salt: UInt64 = 0x5A17,
    segmentSize: Int = 4096,
    tailBytes: Int = 1 << 20,
    canRepair: Bool = false
) -> JournalConfiguration {
    var configuration = JournalConfiguration(
        cluster: cluster,
        node: NodeID(node),
        salt: salt,
        segmentSize: segmentSize,
        tailBytes: tailBytes
    )
    configuration.canRepair = canRepair
    return configuration
}

/// What recovery found, in a form that can be compared and kept.
struct Found {
    var log: RecoveredLog
    var committed: [Entry]
    var tornTail: TornTail?
    var damage: [LogDamage]
    var model: ModelLog { ModelLog(entries: log.tail, hardState: log.hardState) }
}

func recover(
    _ disk: inout CrashDisk,
    _ configuration: JournalConfiguration = configuration(),
    after checkpoint: LogCheckpoint = .none
) throws(JournalError) -> Found {
    var committed: [Entry] = []
    let recovered = try LogJournal.recover(
        from: &disk,
        configuration: configuration,
        after: checkpoint
    ) {
        committed.append($0)
    }
    return Found(
        log: recovered.log,
        committed: committed,
        tornTail: recovered.tornTail,
        damage: recovered.damage
    )
}

/// Macros cannot look into a `LogJournal`, which has no copies.
func required<T>(_ value: T?) throws -> T { try #require(value) }

extension LogJournal {
    /// Carries out work until none is left; returns the newest durable write.
    mutating func finish(on disk: inout CrashDisk) throws(DiskError) -> WriteNumber {
        var durable = WriteNumber.zero
        while let batch = nextBatch() {
            if try disk.perform(batch) {
                durable = max(durable, completed(batch.number))
            } else {
                foundNoRoom(batch.number)
            }
        }
        return durable
    }
}

extension CrashDisk {
    /// - Returns: false if the batch was not begun for lack of room.
    mutating func perform(_ batch: DiskBatch) throws(DiskError) -> Bool {
        for (position, operation) in batch.operations.enumerated() {
            do throws(DiskError) {
                try perform(operation)
            } catch {
                guard batch.isUntouched(by: error, at: position) else { throw error }
                return false
            }
        }
        return true
    }
}

/// Some terms of a follower's life: votes, appends, conflicts, commits, a batch larger than a
/// segment; the inner arrays are handed over together and share a batch.
func lifeOfAFollower() -> [[LogWrite]] {
    var model = ModelLog()
    var number: UInt64 = 0
    func write(
        term: UInt64,
        from: UInt64? = nil,
        _ sizes: [Int] = [],
        commit: UInt64? = nil
    ) -> LogWrite {
        number += 1
        let write = model.write(
            number,
            term: term,
            from: from ?? model.last.number + 1,
            sizes: sizes,
            commit: commit
        )
        model.apply(write)
        return write
    }
    return [
        [write(term: 1, commit: 0)],
        [write(term: 1, [0, 40], commit: 0), write(term: 1, [100])],
        [write(term: 1, [30, 30], commit: 2)],
        [write(term: 2, commit: 2)],
        [write(term: 2, from: 4, [0, 500, 20])],  // drops 4 and 5 of term 1
        [write(term: 2, [300], commit: 6), write(term: 3, commit: 6)],
        [write(term: 3, from: 7, [7])],
        [write(term: 3, [1, 2, 3, 4]), write(term: 3, from: 9, [5], commit: 8)],
        [write(term: 3)],  // changes nothing
        [write(term: 4, from: 10, [0, 5_000])],  // more than a segment
        [write(term: 4, [64], commit: 11)],
        [write(term: 5, from: 12, [9, 9, 9, 9], commit: 11)],
        [write(term: 5, [200], commit: 16)],
    ]
}
