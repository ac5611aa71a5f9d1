import Digest
package import Journal
import Raft
package import Store

/// A backup, every byte of it checked against what it says of itself and of each other.
package struct BackupInspection: Sendable {
    package let manifest: BackupManifest
    /// `nil` if no checkpoint could be read.
    package private(set) var state: StateInspection?
    /// Entries of the log.
    package private(set) var entries = 0
    package private(set) var damage: [LogInspection.Damage] = []
    /// Files that are none of the backup's.
    package private(set) var otherFiles: [String] = []

    /// Whether a directory holds a finished backup, or files of one.
    package static func isBackup(_ names: [String]) -> Bool {
        names.contains {
            $0 == BackupManifest.name || $0 == BackupManifest.unfinished
                || EntryFile.first(in: $0) != nil
        }
    }

    /// Reads a backup.
    ///
    /// - Throws: `JournalError` if there is none, if it is of a newer version, or if a file cannot be read.
    package init(_ disk: inout some Disk) throws(JournalError) {
        manifest = try BackupManifest.read(from: &disk)
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        let known = Set(manifest.files.map(\.name) + [BackupManifest.name])
        otherFiles = names.filter { !known.contains($0) }
        for file in manifest.files {
            guard names.contains(file.name) else {
                note(file.name, 0, "the file is missing")
                continue
            }
            try check(file, &disk)
        }
        try checkContents(&disk)
    }

    /// One that is being made: its files are hashed, and its contents are checked.
    init(making manifest: BackupManifest, on disk: inout some Disk) throws(JournalError) {
        self.manifest = manifest
        try checkContents(&disk)
    }

    private mutating func check(
        _ file: BackupManifest.File,
        _ disk: inout some Disk
    ) throws(JournalError) {
        let (bytes, sha256) = try Self.hash(file.name, &disk)
        if bytes != file.bytes {
            note(file.name, min(bytes, file.bytes), "\(bytes) bytes instead of \(file.bytes)")
        } else if sha256 != file.sha256 {
            note(file.name, 0, "its SHA-256 does not match")
        }
    }

    static func hash(
        _ file: String,
        _ disk: inout some Disk
    ) throws(JournalError) -> (bytes: Int, sha256: [UInt8]) {
        do {
            let size = try disk.size(of: file)
            var hash = SHA256()
            var at = 0
            while at < size {
                let piece = try disk.read(file, at: at, count: min(1024 * 1024, size - at))
                if piece.isEmpty { break }
                hash.update(piece)
                at += piece.count
            }
            return (at, hash.finalize())
        } catch {
            throw .disk(error)
        }
    }

    // MARK: Contents

    private mutating func checkContents(_ disk: inout some Disk) throws(JournalError) {
        let state = try StateInspection(&disk)
        self.state = state
        damage += state.damage
        guard let checkpoint = state.manifest else {
            if state.damage.isEmpty { note(RunName.manifest, 0, "the file is missing") }
            return
        }
        guard checkpoint.cluster == manifest.cluster, checkpoint.node == manifest.node,
            checkpoint.entry == manifest.entry, checkpoint.time == manifest.time
        else {
            note(RunName.manifest, 0, "this is the checkpoint of another backup")
            return
        }
        if let digest = state.digest,
            digest != manifest.state || UInt64(state.attempts) != manifest.attempts
        {
            note(RunName.manifest, 0, "the state is not the one that was copied")
        }
        let names = manifest.files.map(\.name)
        let logs = names.filter { EntryFile.first(in: $0) != nil }
        let needed = Set([RunName.manifest] + checkpoint.runs.map(\.file) + logs)
        for name in needed.subtracting(names).sorted() { note(name, 0, "the backup lacks it") }
        for name in names where !needed.contains(name) {
            note(name, 0, "it is no part of a backup")
        }
        do throws(JournalError) {
            try checkLog(logs.sorted(), checkpoint, &disk)
        } catch {
            switch error {
            case .damaged(let file, let offset, let what): note(file, offset, what)
            case .missing(let file): note(file, 0, "the file is missing")
            default: throw error
            }
        }
    }

    private mutating func checkLog(
        _ files: [String],
        _ checkpoint: Manifest,
        _ disk: inout some Disk
    ) throws(JournalError) {
        var chain = EntryChain(
            from: manifest.firstIndex,
            through: manifest.entry.index,
            terms: checkpoint.terms
        )
        let there: [String]
        do { there = try disk.list() } catch { throw .disk(error) }
        for file in files {
            guard there.contains(file) else { throw .missing(file: file) }
            guard EntryFile.first(in: file) == chain.next else {
                throw .damaged(file: file, offset: 0, what: "entry \(chain.next) comes next")
            }
            try EntryFile.forEach(in: file, first: chain.next, on: &disk) {
                (entry, offset) throws(JournalError) in
                try chain.take(entry, file: file, offset: offset)
                entries += 1
            }
        }
        guard chain.isComplete else {
            let file = files.last ?? EntryFile.name(first: chain.next)
            throw .damaged(file: file, offset: 0, what: "entry \(chain.next) is not there")
        }
    }

    private mutating func note(_ file: String, _ offset: Int, _ what: String) {
        damage.append(LogInspection.Damage(file: file, offset: offset, what: what))
    }
}
