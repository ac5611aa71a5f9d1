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
            guard run.footerOffset >= RunHeader.size,
                run.footerOffset + run.records * FooterEntry.size + RunTrailer.size == run.bytes
            else { throw .damaged(file: run.file, offset: 0, what: "its parts do not add up") }
            try checkTrailer(of: run, &disk)
            var reader = PieceReader(run.file, size: run.bytes)
            var end = RunHeader.size
            for entry in try entries(of: run, &disk) {
                try read(entry, from: &end, of: run, at, &reader, check, &disk)
            }
            guard end == run.footerOffset else {
                throw .damaged(file: run.file, offset: end, what: "what lies here is no record")
            }
        } catch {
            try note(error)
        }
        runs[at].isWhole = damage.count == found
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

    /// Reads the record of an entry of the list, which begins where the one before ends.
    private mutating func read(
        _ entry: FooterEntry,
        from end: inout Int,
        of run: Run,
        _ at: Int,
        _ reader: inout PieceReader,
        _ check: RecordCheck?,
        _ disk: inout some Disk
    ) throws(JournalError) {
        func damaged(_ what: String) -> JournalError {
            .damaged(file: run.file, offset: entry.offset, what: what)
        }
        guard entry.offset == end, entry.length >= RunRecord.prefix,
            entry.ordinal < manifest?.attempts ?? 0
        else { throw damaged("the list of records is wrong about this place") }
        let room = min(entry.length, run.footerOffset - entry.offset)
        guard let start = try reader.load(at: entry.offset, count: room, from: &disk) else {
            throw damaged("the file ends before this record")
        }
        let isNewest = check?.isNewest(entry.ordinal) ?? false
        guard let payload = RunRecord.payload(in: reader.bytes, at: start) else {
            note(run.file, entry.offset, "the checksum of a record does not match")
            // The list says where the next one begins, to within a few bytes: it says so itself.
            end = entry.offset + room
            throw damaged("what follows in this file was not looked at")
        }
        let used = RunRecord.prefix + payload.count
        let padded = (used + RunRecord.alignment - 1) & ~(RunRecord.alignment - 1)
        end = entry.offset + padded
        guard let all = try reader.load(at: entry.offset, count: padded, from: &disk),
            reader.bytes[all + used..<all + padded].allSatisfy({ $0 == 0 })
        else { throw damaged("bytes after this record are not zero") }
        guard isNewest else { return }
        let stored = reader.bytes[all + RunRecord.prefix..<all + used]
        do {
            try check?.take(stored, entry)
        } catch {
            throw damaged("\(error)")
        }
        runs[at].newest += 1
        if entry.isOpen { runs[at].open += 1 }
    }

    private func checkTrailer(of run: Run, _ disk: inout some Disk) throws(JournalError) {
        var expected: [UInt8] = []
        RunTrailer.append(run, to: &expected)
        let at = run.bytes - RunTrailer.size
        let found: [UInt8]
        do {
            found = try disk.read(run.file, at: at, count: RunTrailer.size)
        } catch { throw .disk(error) }
        guard found == expected else {
            throw .damaged(file: run.file, offset: at, what: "its end is not what was written")
        }
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

/// Reads a file front to back, a piece at a time.
private struct PieceReader {
    private static let pieceSize = 1024 * 1024

    let file: String
    let size: Int
    private(set) var bytes: [UInt8] = []
    private var base = 0

    init(_ file: String, size: Int) {
        self.file = file
        self.size = size
    }

    /// Has `bytes` hold `count` bytes from `offset` on.
    ///
    /// - Returns: their place in `bytes`, or `nil` if the file ends before.
    mutating func load(
        at offset: Int,
        count: Int,
        from disk: inout some Disk
    ) throws(JournalError) -> Int? {
        guard offset >= 0, count >= 0, count <= size - offset else { return nil }
        if offset < base || offset + count > base + bytes.count {
            let wanted = min(max(count, Self.pieceSize), size - offset)
            do { bytes = try disk.read(file, at: offset, count: wanted) } catch {
                throw .disk(error)
            }
            base = offset
        }
        return offset + count <= base + bytes.count ? offset - base : nil
    }
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
