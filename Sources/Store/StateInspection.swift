import Digest
package import Journal
import Raft
package import Verification

/// What the state files of a directory hold, read without changing anything and without a node.
///
/// A start looks at lists and leaves records for when they are read; this checks every byte, and goes on
/// behind damage to say all of it.
package struct StateInspection: Sendable {
    /// A run that the checkpoint names.
    package struct RunReport: Hashable, Sendable {
        package var file: String
        package var bytes: Int
        package var records: Int
        /// Records that are the newest version of their attempt.
        package var newest = 0
        /// Those of them whose attempts are open.
        package var open = 0
        /// Every byte of it is what was written.
        package var isWhole = false
    }

    /// `nil` if there is no checkpoint, or none that can be read.
    package private(set) var manifest: Manifest?
    package private(set) var manifestBytes = 0
    /// Oldest first.
    package private(set) var runs: [RunReport] = []
    package private(set) var damage: [LogInspection.Damage] = []
    /// Runs that no checkpoint names, and checkpoints in the making: a start removes them.
    package private(set) var leftovers: [String] = []
    /// Attempts that the state has, forgotten ones left out.
    package private(set) var attempts = 0
    /// What the whole state comes to, wherever its records lie; `nil` without a checkpoint, and if
    /// anything is damaged.
    package private(set) var digest: [UInt8]?

    /// A checkpoint is replaced and its runs are removed while a node runs: then it is read again.
    private static let tries = 5
    private static let pieceSize = 1024 * 1024

    /// Reads all files.
    ///
    /// - Throws: `JournalError` if a file cannot be read, or is of a newer version.
    package init(_ disk: inout some Disk) throws(JournalError) {
        for _ in 1...Self.tries {
            let before = try Self.checkpoint(on: &disk)
            self = try StateInspection(before, &disk)
            if damage.isEmpty { return }
            if try before == Self.checkpoint(on: &disk) { return }
        }
    }

    private static func checkpoint(on disk: inout some Disk) throws(JournalError) -> [UInt8]? {
        do {
            guard try disk.list().contains(RunName.manifest) else { return nil }
            let size = try disk.size(of: RunName.manifest)
            return try disk.read(RunName.manifest, at: 0, count: size)
        } catch {
            throw .disk(error)
        }
    }

    private init(_ checkpoint: [UInt8]?, _ disk: inout some Disk) throws(JournalError) {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        if let checkpoint {
            manifestBytes = checkpoint.count
            try take(checkpoint, names, &disk)
        }
        let named = Set(runs.map(\.file))
        leftovers = names.filter { name in
            RunName.isTemporary(name) || RunName.sequence(name) != nil && !named.contains(name)
        }
    }

    private mutating func take(
        _ checkpoint: [UInt8],
        _ names: [String],
        _ disk: inout some Disk
    ) throws(JournalError) {
        let manifest: Manifest
        do throws(JournalError) {
            manifest = try Manifest(checkpoint)
        } catch {
            try note(error)
            return
        }
        self.manifest = manifest
        runs = manifest.runs.map {
            RunReport(file: $0.file, bytes: $0.bytes, records: $0.records)
        }
        var check: RecordCheck?
        do throws(JournalError) {
            check = RecordCheck(try manifest.state())
        } catch {
            try note(error)
        }
        // From the newest on: of two versions of an attempt the one in the later run counts.
        for at in manifest.runs.indices.reversed() {
            guard names.contains(manifest.runs[at].file) else {
                note(manifest.runs[at].file, 0, "the file is missing")
                continue
            }
            try read(manifest.runs[at], at, check, &disk)
        }
        guard damage.isEmpty, let check else { return }
        attempts = check.attempts
        digest = check.digest
    }

    // MARK: Runs

    private mutating func read(
        _ run: Run,
        _ at: Int,
        _ check: RecordCheck?,
        _ disk: inout some Disk
    ) throws(JournalError) {
        let found = damage.count
        do throws(JournalError) {
            try StateStore.check(run, on: &disk)
            try readRecords(of: run, at, check, &disk)
        } catch {
            try note(error)
        }
        runs[at].isWhole = damage.count == found
    }

    private mutating func readRecords(
        of run: Run,
        _ at: Int,
        _ check: RecordCheck?,
        _ disk: inout some Disk
    ) throws(JournalError) {
        let entries = try entries(of: run, &disk)
        var scan = RunScan(run)
        // The entry of the list that the next record is of.
        var next = 0
        while let (offset, count) = scan.wanted(Self.pieceSize) {
            let bytes: [UInt8]
            do { bytes = try disk.read(run.file, at: offset, count: count) } catch {
                throw .disk(error)
            }
            do throws(JournalError) {
                try scan.take(bytes) { offset, payload throws(JournalError) in
                    guard next < entries.count, entries[next].offset == offset,
                        entries[next].length >= RunRecord.prefix + payload.count
                    else {
                        throw .damaged(
                            file: run.file,
                            offset: offset,
                            what: "the list of records is wrong about this place"
                        )
                    }
                    try take(payload, entries[next], of: run, at, check)
                    next += 1
                }
            } catch {
                guard let entry = scan.skipRecord(entries) else { throw error }
                try note(error)
                _ = check?.isNewest(entry.ordinal)
                next += 1
            }
        }
    }

    /// Takes in a record that is what was written.
    private mutating func take(
        _ payload: ArraySlice<UInt8>,
        _ entry: FooterEntry,
        of run: Run,
        _ at: Int,
        _ check: RecordCheck?
    ) throws(JournalError) {
        guard entry.ordinal < manifest?.attempts ?? 0 else {
            throw .damaged(
                file: run.file,
                offset: entry.offset,
                what: "the list of records names an attempt that there is not"
            )
        }
        guard check?.isNewest(entry.ordinal) ?? false else { return }
        do {
            try check?.take(payload, entry)
        } catch {
            throw .damaged(file: run.file, offset: entry.offset, what: "\(error)")
        }
        runs[at].newest += 1
        if entry.isOpen { runs[at].open += 1 }
    }

    private func entries(
        of run: Run,
        _ disk: inout some Disk
    ) throws(JournalError) -> [FooterEntry] {
        var scan = FooterScan(run)
        while let (offset, count) = scan.next {
            let bytes: [UInt8]
            do { bytes = try disk.read(run.file, at: offset, count: count) } catch {
                throw .disk(error)
            }
            try scan.take(bytes)
        }
        return scan.entries
    }

    // MARK: Damage

    /// What is wrong with a file is damage; what cannot be read at all ends the inspection.
    private mutating func note(_ error: JournalError) throws(JournalError) {
        switch error {
        case .damaged(let file, let offset, let what): note(file, offset, what)
        case .missing(let file): note(file, 0, "the file is missing")
        default: throw error
        }
    }

    private mutating func note(_ file: String, _ offset: Int, _ what: String) {
        damage.append(LogInspection.Damage(file: file, offset: offset, what: what))
    }
}

/// Decodes the newest version of each attempt, and adds it to what the state comes to.
private final class RecordCheck {
    private var seen = OrdinalSet()
    private var sum: StateSum

    init(_ machine: consuming StateMachine) { sum = StateSum(machine) }

    func isNewest(_ ordinal: UInt64) -> Bool { seen.insert(ordinal) }

    func take(_ stored: ArraySlice<UInt8>, _ entry: FooterEntry) throws(CommandDecodeError) {
        try sum.add(stored, hash: entry.hash, ordinal: entry.ordinal, isOpen: entry.isOpen)
    }

    var attempts: Int { sum.attempts }
    var digest: [UInt8] { sum.digest }
}

extension Manifest {
    /// The state without its attempts.
    ///
    /// - Throws: `JournalError.damaged` if the head is none, or that of another entry.
    package func state() throws(JournalError) -> StateMachine {
        do {
            let machine = try StateMachine(
                restoring: head,
                limits: VerificationLimits(),
                hash: AttemptHash(key: hashKey)
            )
            if machine.appliedIndex.number == entry.index.number { return machine }
        } catch {
            throw .damaged(file: RunName.manifest, offset: 0, what: "its head: \(error)")
        }
        throw .damaged(
            file: RunName.manifest,
            offset: 0,
            what: "its state is not that of entry \(entry)"
        )
    }
}
