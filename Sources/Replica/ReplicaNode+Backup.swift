package import Journal
package import Raft
import Store
internal import Verification

/// A copy of this node that somebody takes while it runs: of its state at one entry, and of the log up to there.
///
/// What it consists of stays until whoever copies it says so, or does not ask any more: newer checkpoints are made,
/// runs are merged and old segments outlive their time meanwhile.
struct Backup {
    enum Phase {
        /// Waits for a checkpoint that stands for this entry or a later one.
        case preparing(LogIndex)
        /// Waits until that state is known to be what a majority has.
        case comparing(Pinned, since: Instant)
        case ready(Pinned, isCompared: Bool)
    }
    struct Pinned {
        var manifest: Manifest
        /// The manifest's file.
        var bytes: [UInt8]
        /// Its runs, pinned in the store.
        var handles: [Int]
        /// The oldest entry that is copied.
        var firstIndex: LogIndex
    }
    var id: UInt64
    var phase: Phase
    var askedAt: Instant
    /// Of a log with a gap what is behind it will do.
    var allowsGap: Bool
}

/// Reads under way for backups.
struct BackupReads {
    enum Part {
        case file
        /// Entries from this one through the other.
        case log(from: LogIndex, through: LogIndex)
    }
    struct Read {
        var context: UInt64
        var part: Part
        var read: DiskRead
    }
    var reads: [Read] = []
}

/// What a backup consists of, as far as it is known.
package enum BackupView: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        package var name: String
        package var bytes: Int
        /// CRC-32C: of a checkpoint without its last four bytes, which have it, of a run's list of records.
        package var checksum: UInt32
    }

    /// What a backup of `entry` consists of: the state as of that entry, and the log through it.
    package struct Contents: Hashable, Sendable {
        package var entry: EntryID
        /// Of that entry, in log time.
        package var time: Timestamp
        /// The oldest entry of the log that is copied.
        package var firstIndex: LogIndex
        /// A majority of the nodes has said that its states are the same as of that entry or a later one.
        package var isCompared: Bool
        package var files: [File]
    }

    case preparing
    case ready(Contents)
}

/// Why a backup is not begun.
package enum BackupRefusal: Hashable, Sendable {
    /// As many are being taken as may.
    case tooMany
    /// Nothing was applied yet.
    case nothingThere
    /// This node's state is not to be trusted, or it is about to have another.
    case notServing
    /// Part of the log is not on this disk, and is fetched from the others.
    case logIncomplete
}

/// A piece of a backup has been read, or could not be.
package struct BackupPiece: Hashable, Sendable {
    package var context: UInt64
    package var result: Result<[UInt8], JournalError>
}

/// Whether a piece of a backup is read.
package enum BackupReading: Hashable, Sendable {
    /// A `BackupPiece` will tell.
    case begun
    case known([UInt8])
    /// The backup is over, or there never was one.
    case unknownBackup
    /// It is not ready, or consists of other things.
    case notInIt
}

extension ReplicaNode {
    /// Who has not asked for so long has what it wanted, or will begin anew.
    private static let backupPatience = Duration.seconds(30)
    /// Backups at a time.
    private static let maxBackups = 2
    /// Bytes of one piece: read, checked and written within a fraction of a turn.
    package static let backupPiece = 256 * 1024
    /// How long a backup waits for a majority that compares its state: a cluster without one needs a backup most.
    private static let comparisonPatience = Duration.seconds(30)

    /// Backups whose parts are kept.
    package var backupsUnderWay: Int { backups.count }

    /// Begins a backup of what is applied by now, under a number that the caller drew.
    ///
    /// Where part of the log is missing and cannot be had from anybody just now, `allowsGap` has the copy's log begin
    /// behind that: the state stands for all of it.
    ///
    /// - Returns: why not; `nil` if it was begun, and `backup` tells when it is ready.
    package mutating func beginBackup(
        _ id: UInt64,
        allowsGap: Bool = false,
        at now: Instant
    ) -> BackupRefusal? {
        guard isServing, installing == nil, !isRetired else { return .notServing }
        guard backups.count < ReplicaNode.maxBackups else { return .tooMany }
        guard appliedIndex > .zero else { return .nothingThere }
        guard missingEntries == 0 || allowsGap else { return .logIncomplete }
        backups.append(
            Backup(
                id: id,
                phase: .preparing(appliedIndex),
                askedAt: now,
                allowsGap: allowsGap
            )
        )
        journal.isHeld = true
        prepareBackups(at: now)
        return nil
    }

    /// What has become of a backup; `nil` if it is over, or was never begun.
    package mutating func backup(_ id: UInt64, at now: Instant) -> BackupView? {
        guard isServing, let at = backups.firstIndex(where: { $0.id == id }) else { return nil }
        backups[at].askedAt = now
        prepareBackups(at: now)
        guard case .ready(let pinned, let isCompared) = backups[at].phase else {
            return .preparing
        }
        let manifest = pinned.manifest
        let files =
            [
                BackupView.File(
                    name: RunName.manifest,
                    bytes: pinned.bytes.count,
                    checksum: Manifest.checksum(of: pinned.bytes)
                )
            ]
            + manifest.runs.map {
                BackupView.File(name: $0.file, bytes: $0.bytes, checksum: $0.footerChecksum)
            }
        return .ready(
            BackupView.Contents(
                entry: manifest.entry,
                time: manifest.time,
                firstIndex: pinned.firstIndex,
                isCompared: isCompared,
                files: files
            )
        )
    }

    /// Lets go of what a backup consists of.
    ///
    /// - Returns: false if it was over already.
    package mutating func endBackup(_ id: UInt64) -> Bool {
        guard backups.contains(where: { $0.id == id }) else { return false }
        endBackups { $0.id == id }
        return true
    }

    // MARK: Pieces

    /// Reads a piece of a file of a backup.
    package mutating func readBackup(
        _ id: UInt64,
        file: String,
        offset: UInt64,
        context: UInt64,
        at now: Instant
    ) -> BackupReading {
        guard isServing, let at = backups.firstIndex(where: { $0.id == id }) else {
            return .unknownBackup
        }
        backups[at].askedAt = now
        guard case .ready(let pinned, _) = backups[at].phase else { return .notInIt }
        if file == RunName.manifest {
            guard offset < UInt64(pinned.bytes.count) else { return .notInIt }
            let start = Int(offset)
            let end = min(start + ReplicaNode.backupPiece, pinned.bytes.count)
            return .known(Array(pinned.bytes[start..<end]))
        }
        guard let run = pinned.manifest.runs.first(where: { $0.file == file }),
            offset < UInt64(run.bytes)
        else { return .notInIt }
        let read = DiskRead(
            number: 0,
            file: file,
            offset: Int(offset),
            count: min(ReplicaNode.backupPiece, run.bytes - Int(offset))
        )
        begin(read, .file, context)
        return .begun
    }

    /// Reads entries of the log of a backup, from one of them on.
    package mutating func readBackupLog(
        _ id: UInt64,
        from index: UInt64,
        context: UInt64,
        at now: Instant
    ) -> BackupReading {
        guard isServing, let at = backups.firstIndex(where: { $0.id == id }) else {
            return .unknownBackup
        }
        backups[at].askedAt = now
        guard case .ready(let pinned, _) = backups[at].phase,
            index >= pinned.firstIndex.number, index <= pinned.manifest.entry.index.number,
            let read = journal.planRead(
                from: LogIndex(index),
                maxBytes: ReplicaNode.backupPiece
            )
        else { return .notInIt }
        begin(
            read,
            .log(from: LogIndex(index), through: pinned.manifest.entry.index),
            context
        )
        return .begun
    }

    private mutating func begin(_ read: DiskRead, _ part: BackupReads.Part, _ context: UInt64) {
        var read = read
        read.number = nextDiskReadNumber
        nextDiskReadNumber += 1
        backupReads.reads.append(BackupReads.Read(context: context, part: part, read: read))
        // Beside the log's own thread: no commit waits for it.
        output.loads.append(read)
    }

    /// - Returns: whether the read was for a backup.
    mutating func backupRead(_ number: UInt64, _ result: Result<[UInt8], DiskError>) -> Bool {
        guard let i = backupReads.reads.firstIndex(where: { $0.read.number == number }) else {
            return false
        }
        let done = backupReads.reads.remove(at: i)
        output.backupPieces.append(
            BackupPiece(context: done.context, result: piece(of: done, result))
        )
        return true
    }

    private func piece(
        of done: BackupReads.Read,
        _ result: Result<[UInt8], DiskError>
    ) -> Result<[UInt8], JournalError> {
        do throws(JournalError) {
            let bytes: [UInt8]
            do { bytes = try result.get() } catch { throw JournalError.disk(error) }
            guard case .log(let from, let through) = done.part else {
                guard bytes.count == done.read.count else {
                    throw .damaged(
                        file: done.read.file,
                        offset: done.read.offset + bytes.count,
                        what: "the file ends here"
                    )
                }
                return .success(bytes)
            }
            let entries = try journal.entries(
                in: bytes,
                of: done.read,
                from: from,
                maxBytes: ReplicaNode.backupPiece
            )
            var records: [UInt8] = []
            records.reserveCapacity(bytes.count)
            for entry in entries where entry.index <= through {
                EntryRecords.append(entry, to: &records)
            }
            return .success(records)
        } catch {
            return .failure(error)
        }
    }

    // MARK: Keeping house

    /// Backups that wait for a checkpoint get it, or have one made; and then wait until it is compared, so that no
    /// copy is made of a state that nobody has found yet to be another one than the others'.
    mutating func prepareBackups(at now: Instant) {
        for at in backups.indices {
            if case .preparing(let index) = backups[at].phase {
                guard let manifest = store.manifest, manifest.entry.index >= index else {
                    checkpointing.isWanted = true
                    continue
                }
                let pinned = Backup.Pinned(
                    manifest: manifest,
                    bytes: manifest.encoded(),
                    handles: store.pinCheckpoint(),
                    firstIndex: backups[at].allowsGap
                        ? min(firstBehindGaps, manifest.entry.index.next) : journal.firstIndex
                )
                backups[at].phase = .comparing(pinned, since: now)
            }
            guard case .comparing(let pinned, let since) = backups[at].phase else { continue }
            let entry = pinned.manifest.entry.index
            let isCompared = isCompared(entry)
            let isOver = since.advanced(by: ReplicaNode.comparisonPatience) <= now
            if isCompared || isOver || configuration.digestInterval == nil {
                backups[at].phase = .ready(pinned, isCompared: isCompared)
            } else {
                wantComparison(of: entry, at: now)
            }
        }
    }

    /// From here on this disk has all of the log.
    private var firstBehindGaps: LogIndex {
        journal.holes.reduce(journal.firstIndex) { max($0, $1.upperBound.next) }
    }

    /// Whether a majority has said that its states are the same as of an entry, or as of one after which nothing came but
    /// such comparisons.
    private func isCompared(_ index: LogIndex) -> Bool {
        if machine.digest.isCompared(EntryIndex(index.number)) { return true }
        return !machine.digest.isCheckDue
            && machine.digest.isCompared(EntryIndex(mayHaveChangedAt.number))
    }

    /// The newest entry as of which the state is to be compared before a backup of it is handed out.
    var backupComparison: LogIndex? {
        var newest: LogIndex?
        for backup in backups {
            guard case .comparing(let pinned, _) = backup.phase else { continue }
            newest = max(newest ?? .zero, pinned.manifest.entry.index)
        }
        return newest
    }

    /// Lets go of what nobody asks for any more.
    mutating func watchBackups(at now: Instant) {
        guard !backups.isEmpty else { return }
        prepareBackups(at: now)
        let patience = ReplicaNode.backupPatience
        for backup in backups where backup.askedAt.advanced(by: patience) <= now {
            output.notices.append(.backupGivenUp(backup.id))
        }
        endBackups { $0.askedAt.advanced(by: patience) <= now }
    }

    private mutating func endBackups(where isOver: (Backup) -> Bool) {
        for backup in backups where isOver(backup) {
            switch backup.phase {
            case .preparing: break
            case .comparing(let pinned, _), .ready(let pinned, _):
                for handle in pinned.handles { store.unpin(handle) }
            }
        }
        backups.removeAll(where: isOver)
        journal.isHeld = !backups.isEmpty
    }
}
