import Digest
package import Journal
package import Raft
import Store

/// Makes a backup of what a running node gives, piece by piece.
///
/// Sans-I/O but for the disk: it says what it wants next and is given it. What is given is checked before it is
/// written, and all of it once more when it is there; only then the manifest takes its place.
package struct BackupWriter: Sendable {
    /// What a node says that its backup consists of.
    package struct Plan: Hashable, Sendable {
        package struct File: Hashable, Sendable {
            package var name: String
            package var bytes: Int
            package var checksum: UInt32
            package init(name: String, bytes: Int, checksum: UInt32) {
                self.name = name
                self.bytes = bytes
                self.checksum = checksum
            }
        }
        package var cluster: String
        package var node: NodeID
        package var directory: DirectoryID
        package var entry: EntryID
        package var firstIndex: LogIndex
        /// As `BackupManifest` has it.
        package var digestKeyMark: UInt64
        package var files: [File]

        package init(
            cluster: String,
            node: NodeID,
            directory: DirectoryID,
            entry: EntryID,
            firstIndex: LogIndex,
            digestKeyMark: UInt64 = 0,
            files: [File]
        ) {
            self.cluster = cluster
            self.node = node
            self.directory = directory
            self.entry = entry
            self.firstIndex = firstIndex
            self.digestKeyMark = digestKeyMark
            self.files = files
        }
    }

    package enum Wanted: Hashable, Sendable {
        /// Bytes of a file from this offset on, at least one.
        case file(String, offset: Int)
        /// Entries from this one on, at least one.
        case entries(from: LogIndex)
    }

    /// What errors in a node's words name.
    package static let source = "the node's answer"
    private static let syncEvery = 4 * 1024 * 1024

    private let plan: Plan
    /// Bytes of `file` that are written.
    private var at = 0
    private var written = 0
    private var unsynced = 0
    private var checkpoint: Manifest?
    private var chain: EntryChain?
    private var entryFiles: [String] = []
    private var entryBytes = 0

    /// Begins a backup in a directory that is empty.
    ///
    /// - Throws: `JournalError` if the plan is none, or the directory is not empty.
    package init(_ plan: Plan, on disk: inout some Disk) throws(JournalError) {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        if let name = names.first {
            throw .damaged(file: name, offset: 0, what: "the directory is not empty")
        }
        guard plan.entry.index > .zero, plan.entry.index <= BackupManifest.maxIndex,
            plan.firstIndex > .zero,
            plan.firstIndex <= plan.entry.index.next,
            plan.files.first?.name == RunName.manifest,
            plan.files.dropFirst().allSatisfy({ RunName.sequence($0.name) != nil }),
            plan.files.allSatisfy({ (1...1 << 48).contains($0.bytes) }),
            Set(plan.files.map(\.name)).count == plan.files.count
        else { throw Self.wrong("it is no backup's list of files") }
        self.plan = plan
    }

    private static func wrong(_ what: String) -> JournalError {
        .damaged(file: source, offset: 0, what: what)
    }

    /// What is to be asked for next; `nil` if all is there.
    package var wanted: Wanted? {
        if at < plan.files.count { return .file(plan.files[at].name, offset: written) }
        guard let chain, !chain.isComplete else { return nil }
        return .entries(from: chain.next)
    }

    /// Takes what was wanted.
    package mutating func take(_ bytes: [UInt8], on disk: inout some Disk) throws(JournalError) {
        guard !bytes.isEmpty else { throw Self.wrong("it is empty") }
        if at < plan.files.count {
            try takeFile(bytes, &disk)
        } else {
            try takeEntries(bytes, &disk)
        }
    }

    private mutating func takeFile(
        _ bytes: [UInt8],
        _ disk: inout some Disk
    ) throws(JournalError) {
        let file = plan.files[at]
        guard bytes.count <= file.bytes - written else {
            throw Self.wrong("\(file.name) has more than its \(file.bytes) bytes")
        }
        try write(bytes, to: file.name, offset: written, &disk)
        written += bytes.count
        guard written == file.bytes else { return }
        try perform(.sync(file: file.name), &disk)
        if at == 0 { try takeCheckpoint(&disk) }
        at += 1
        written = 0
    }

    /// The checkpoint is there: it says what the runs and the log have to be.
    private mutating func takeCheckpoint(_ disk: inout some Disk) throws(JournalError) {
        let bytes: [UInt8]
        do {
            bytes = try disk.read(RunName.manifest, at: 0, count: plan.files[0].bytes)
        } catch { throw .disk(error) }
        let manifest = try Manifest(bytes)
        let runs = manifest.runs.map {
            Plan.File(name: $0.file, bytes: $0.bytes, checksum: $0.footerChecksum)
        }
        guard manifest.cluster == plan.cluster, manifest.node == plan.node,
            manifest.entry == plan.entry, runs == Array(plan.files.dropFirst()),
            Manifest.checksum(of: bytes) == plan.files[0].checksum
        else { throw Self.wrong("the checkpoint is not the one that was announced") }
        checkpoint = manifest
        chain = EntryChain(
            from: plan.firstIndex,
            through: plan.entry.index,
            terms: manifest.terms
        )
    }

    private mutating func takeEntries(
        _ bytes: [UInt8],
        _ disk: inout some Disk
    ) throws(JournalError) {
        let entries = try EntryRecords.entries(in: bytes, from: Self.source)
        for entry in entries { try chain?.take(entry, file: Self.source, offset: 0) }
        guard let first = entries.first else { throw Self.wrong("it has no entry") }
        if entryFiles.isEmpty || entryBytes >= EntryFile.fullSize {
            try endEntryFile(&disk)
            try beginEntryFile(first.index, &disk)
        }
        guard let file = entryFiles.last else { return }
        try write(bytes, to: file, offset: entryBytes, &disk)
        entryBytes += bytes.count
    }

    private mutating func beginEntryFile(
        _ first: LogIndex,
        _ disk: inout some Disk
    ) throws(JournalError) {
        let file = EntryFile.name(first: first)
        entryFiles.append(file)
        let header = EntryFile.header(first: first)
        try write(header, to: file, offset: 0, &disk)
        entryBytes = header.count
    }

    private func endEntryFile(_ disk: inout some Disk) throws(JournalError) {
        if let file = entryFiles.last { try perform(.sync(file: file), &disk) }
    }

    private mutating func write(
        _ bytes: [UInt8],
        to file: String,
        offset: Int,
        _ disk: inout some Disk
    ) throws(JournalError) {
        if offset == 0 { try perform(.create(file: file, size: 0), &disk) }
        try perform(.write(file: file, offset: offset, bytes: bytes), &disk)
        unsynced += bytes.count
        if unsynced >= Self.syncEvery {
            // So that the last sync is short.
            unsynced = 0
            try perform(.sync(file: file), &disk)
        }
    }

    private func perform(
        _ operation: DiskOperation,
        _ disk: inout some Disk
    ) throws(JournalError) {
        do { try disk.perform(operation) } catch { throw .disk(error) }
    }

    /// Checks all that is there, and says that it is a backup.
    ///
    /// - Parameters:
    ///   - time: milliseconds since the Unix epoch.
    ///   - disk: on which it is.
    /// - Returns: what it is.
    /// - Throws: `JournalError` with the first thing that is wrong; then it stays unfinished.
    /// - Precondition: nothing more is wanted.
    package mutating func finish(
        at time: UInt64,
        on disk: inout some Disk
    ) throws(JournalError) -> BackupInspection {
        guard let checkpoint, wanted == nil else { throw Self.wrong("not all of it came") }
        try endEntryFile(&disk)
        try perform(.syncDirectory, &disk)
        let state = try StateInspection(&disk)
        guard let sum = state.digest else {
            let damage = state.damage.first
            throw .damaged(
                file: damage?.file ?? RunName.manifest,
                offset: damage?.offset ?? 0,
                what: damage?.what ?? "there is no state"
            )
        }
        var manifest = BackupManifest(
            cluster: plan.cluster,
            node: plan.node,
            directory: plan.directory,
            madeAt: time,
            entry: plan.entry,
            time: checkpoint.time,
            firstIndex: plan.firstIndex,
            attempts: UInt64(state.attempts),
            state: sum,
            digestKeyMark: plan.digestKeyMark,
            files: []
        )
        for name in (plan.files.map(\.name) + entryFiles).sorted() {
            let (bytes, sha256) = try BackupInspection.hash(name, &disk)
            manifest.files.append(.init(name: name, bytes: bytes, sha256: sha256))
        }
        let found = try BackupInspection(making: manifest, on: &disk)
        if let damage = found.damage.first {
            throw .damaged(file: damage.file, offset: damage.offset, what: damage.what)
        }
        let file = BackupManifest.unfinished
        try perform(.create(file: file, size: 0), &disk)
        try perform(.write(file: file, offset: 0, bytes: manifest.encoded()), &disk)
        try perform(.sync(file: file), &disk)
        try perform(.rename(from: file, to: BackupManifest.name), &disk)
        try perform(.syncDirectory, &disk)
        return found
    }
}
