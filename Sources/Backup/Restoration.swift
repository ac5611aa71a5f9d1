import Digest
package import Journal
package import Raft
import Store
import Verification

/// Makes the data directory of a node of a new cluster from a backup.
package struct Restoration: Sendable {
    /// Whose directory it will be.
    package struct Target: Sendable {
        package var cluster: String
        package var node: NodeID
        /// Drawn for this directory: its name.
        package var directory: DirectoryID
        /// Drawn for this directory's log.
        package var salt: UInt64
        package var segmentSize: Int

        package init(
            cluster: String,
            node: NodeID,
            directory: DirectoryID,
            salt: UInt64,
            segmentSize: Int
        ) {
            self.cluster = cluster
            self.node = node
            self.directory = directory
            self.salt = salt
            self.segmentSize = segmentSize
        }
    }

    /// What may be in a directory that counts as empty.
    private static let lock = "LOCK"
    private static let pieceSize = 1024 * 1024
    /// Cost of the entries of one write.
    private static let writeCost = 1024 * 1024

    private let backup: BackupManifest
    private let target: Target
    private let checkpoint: Manifest

    /// Restores a backup, which is checked before, into an empty directory, which is checked after.
    ///
    /// While it goes on the directory has a file (`RestoreMark`) with which no node starts on it.
    ///
    /// - Throws: `JournalError` with what is wrong with the backup, or with the directory.
    package static func restore(
        from source: inout some Disk,
        to disk: inout some Disk,
        as target: Target
    ) throws(JournalError) -> BackupInspection {
        let found = try BackupInspection(&source)
        if let damage = found.damage.first {
            throw .damaged(file: damage.file, offset: damage.offset, what: damage.what)
        }
        guard let checkpoint = found.state?.manifest else {
            throw .missing(file: RunName.manifest)
        }
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        if names.contains(RestoreMark.file) { throw .unfinishedRestore(file: RestoreMark.file) }
        if let name = names.first(where: { $0 != lock }) {
            throw .damaged(file: name, offset: 0, what: "the directory is not empty")
        }
        let restoration = Restoration(
            backup: found.manifest,
            target: target,
            checkpoint: checkpoint
        )
        try restoration.write(from: &source, to: &disk)
        try restoration.check(&disk)
        try perform([.remove(file: RestoreMark.file), .syncDirectory], &disk)
        return found
    }

    private static func perform(
        _ operations: [DiskOperation],
        _ disk: inout some Disk
    ) throws(JournalError) {
        do {
            for operation in operations { try disk.perform(operation) }
        } catch { throw .disk(error) }
    }

    // MARK: Writing

    private func write(
        from source: inout some Disk,
        to disk: inout some Disk
    ) throws(JournalError) {
        let mark = RestoreMark.file
        try Self.perform(
            [.create(file: mark, size: 0), .sync(file: mark), .syncDirectory],
            &disk
        )
        for run in checkpoint.runs { try copy(run, from: &source, to: &disk) }
        try writeLog(from: &source, to: &disk)
        try writeCheckpoint(&disk)
        var identity = DirectoryIdentity(
            cluster: target.cluster,
            node: target.node,
            directory: target.directory,
            run: 0,
            place: 0
        )
        // No process has started on it, and it may be moved to where one will.
        identity.starts = 0
        identity.restoredThrough = backup.entry
        var file = IdentityFile(identity)
        try Self.perform(file.write(isThere: false) + [.syncDirectory], &disk)
        if backup.digestKeyMark != 0 { try DigestKeyMark.write(backup.digestKeyMark, to: &disk) }
    }

    private func copy(
        _ run: Run,
        from source: inout some Disk,
        to disk: inout some Disk
    ) throws(JournalError) {
        try Self.perform([.create(file: run.file, size: 0)], &disk)
        var at = 0
        while at < run.bytes {
            let bytes: [UInt8]
            do {
                bytes = try source.read(
                    run.file,
                    at: at,
                    count: min(Self.pieceSize, run.bytes - at)
                )
            } catch { throw .disk(error) }
            guard !bytes.isEmpty else {
                throw .damaged(file: run.file, offset: at, what: "the file ends here")
            }
            try Self.perform([.write(file: run.file, offset: at, bytes: bytes)], &disk)
            at += bytes.count
        }
        try Self.perform([.sync(file: run.file)], &disk)
    }

    /// The log is the same entries in segments of the new node: none of its promises, which were another's.
    private func writeLog(
        from source: inout some Disk,
        to disk: inout some Disk
    ) throws(JournalError) {
        var writer = LogWriter(self)
        let files = backup.files.map(\.name).filter { EntryFile.first(in: $0) != nil }.sorted()
        for name in files {
            guard let first = EntryFile.first(in: name) else { continue }
            var batch = EntryBatch()
            try EntryFile.forEach(in: name, first: first, on: &source) {
                (entry, _) throws(JournalError) in
                guard let entries = batch.add(entry, limit: Self.writeCost) else { return }
                try writer.write(entries, &disk)
            }
            try writer.write(batch.rest, &disk)
        }
        try writer.finish(&disk)
    }

    private func writeCheckpoint(_ disk: inout some Disk) throws(JournalError) {
        var manifest = checkpoint
        manifest.cluster = target.cluster
        manifest.node = target.node
        manifest.isFetched = false
        // The directories that were let in are those of the cluster that it comes from.
        var machine = try checkpoint.state()
        machine.forgetAdmissions()
        manifest.head = machine.encodeHead()
        let file = RunName.temporary(1)
        try Self.perform(
            [
                .create(file: file, size: 0),
                .write(file: file, offset: 0, bytes: manifest.encoded()),
                .sync(file: file), .syncDirectory,
                .rename(from: file, to: RunName.manifest), .syncDirectory,
            ],
            &disk
        )
    }

    // MARK: Checking

    private func check(_ disk: inout some Disk) throws(JournalError) {
        let state = try StateInspection(&disk)
        let log = try LogInspection(&disk)
        if let damage = state.damage.first ?? log.damage.first ?? log.tornTail {
            throw .damaged(file: damage.file, offset: damage.offset, what: damage.what)
        }
        guard state.digest == backup.state, state.manifest?.entry == backup.entry else {
            throw .damaged(
                file: RunName.manifest,
                offset: 0,
                what: "the state is not that of the backup"
            )
        }
        let entries = log.segments.reduce(0) { $0 + $1.entries }
        guard log.lastEntry == backup.entry, log.hardState.commitIndex == backup.entry.index,
            entries == backup.entry.index.next.distance(from: backup.firstIndex)
        else {
            throw .damaged(
                file: log.segments.last?.file ?? "the log",
                offset: 0,
                what: "the log has \(entries) entries through \(log.lastEntry)"
            )
        }
        guard log.identity?.directory == target.directory,
            log.identity?.restoredThrough == backup.entry
        else {
            throw .damaged(file: IdentityFile.name, offset: 0, what: "it is not what was written")
        }
    }

    /// Entries gathered for one write.
    private struct EntryBatch {
        private(set) var rest: [Entry] = []
        private var cost = 0

        mutating func add(_ entry: Entry, limit: Int) -> [Entry]? {
            rest.append(entry)
            cost += entry.cost
            guard cost >= limit else { return nil }
            defer {
                rest = []
                cost = 0
            }
            return rest
        }
    }

    /// Writes the log by the journal's own means.
    private struct LogWriter: ~Copyable {
        private let restoration: Restoration
        private var journal: LogJournal?
        private var number: UInt64 = 0

        init(_ restoration: Restoration) { self.restoration = restoration }

        private var term: Term { restoration.backup.entry.term }

        private mutating func begin(
            at time: Timestamp,
            _ disk: inout some Disk
        ) throws(JournalError) {
            guard journal == nil else { return }
            let chain = EntryChain(
                from: restoration.backup.firstIndex,
                through: restoration.backup.entry.index,
                terms: restoration.checkpoint.terms
            )
            let before = chain.before
            journal = try LogJournal.begin(
                on: &disk,
                configuration: JournalConfiguration(
                    cluster: restoration.target.cluster,
                    node: restoration.target.node,
                    salt: restoration.target.salt,
                    segmentSize: restoration.target.segmentSize
                ),
                after: before,
                time: time,
                terms: restoration.checkpoint.terms.filter { $0.first <= before.index }
            )
            try append(HardState(currentTerm: term, commitIndex: before.index), [], &disk)
        }

        mutating func write(
            _ entries: [Entry],
            _ disk: inout some Disk
        ) throws(JournalError) {
            guard let first = entries.first else { return }
            try begin(at: first.time, &disk)
            try append(nil, entries, &disk)
        }

        mutating func finish(_ disk: inout some Disk) throws(JournalError) {
            try begin(at: restoration.backup.time, &disk)
            let last = restoration.backup.entry.index
            try append(HardState(currentTerm: term, commitIndex: last), [], &disk)
        }

        private mutating func append(
            _ state: HardState?,
            _ entries: [Entry],
            _ disk: inout some Disk
        ) throws(JournalError) {
            number += 1
            journal?.append(
                LogWrite(number: WriteNumber(number), entries: entries, hardState: state)
            )
            try journal?.flush(on: &disk)
        }
    }
}
