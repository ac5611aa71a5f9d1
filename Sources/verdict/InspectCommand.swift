import Backup
import HTTP
import Journal
import Raft
import Reactor
import Store
import Verification

/// Looks into a data directory without a node.
enum InspectCommand {
    static let command = Command(
        name: "inspect",
        operands: ["DIR"],
        summary: "look into a data directory, without a running node",
        details: """
            Reads every byte of the log, of the checkpoint and its runs, the promise and the identity, and
            changes nothing. Digits, challenges and other secrets are not shown. Exits 1 if something is not
            what was written, with file and place; an unfinished write at the end, which a start cuts off, is
            no damage. Exits 1, too, for a directory that is neither a node's nor a backup. On the directory of a running node the newest write may show as unfinished.
            Of a backup it says what it is of, and checks all of it.
            Two states with one sum are the same, whatever files they are in.
            """,
        options: [
            .init(
                name: "--entries",
                value: "A-B",
                help: "show these entries of the log too; one number for one entry"
            ),
            .json,
        ]
    ) { arguments throws(CommandFailure) in
        guard let directory = arguments.operands.first else {
            throw arguments.failure("DIR is missing")
        }
        let wanted = try range(arguments)
        if let backup = try backup(directory) {
            Terminal.print(
                arguments.has("--json")
                    ? BackupReport.document(backup, directory: directory)
                    : BackupReport.text(backup, directory: directory)
            )
            return backup.damage.isEmpty ? .done : .no
        }
        let inspection: LogInspection
        let state: StateInspection
        let names: [String]
        do {
            // A running node removes files meanwhile: none is kept by being open here.
            var disk = try FileDisk(directory: directory, opensAnew: true)
            names = try disk.list()
            inspection = try LogInspection(&disk, entries: wanted)
            state = try StateInspection(&disk)
        } catch {
            throw CommandFailure(.no, "\(directory): \(error)")
        }
        guard names.contains(where: isOfNode) else {
            throw CommandFailure(
                .no,
                "\(directory) is neither a node's data directory nor a backup: it holds no file of either"
            )
        }
        var damage = inspection.damage + state.damage
        if !names.contains(IdentityFile.name), names.contains(where: needsIdentity) {
            let what = "the file is missing: nothing says whose directory this is"
            damage.insert(
                LogInspection.Damage(file: IdentityFile.name, offset: 0, what: what),
                at: 0
            )
        }
        Terminal.print(
            arguments.has("--json")
                ? document(inspection, state, damage)
                : text(inspection, state, damage, showsEntries: wanted != nil)
        )
        return damage.isEmpty ? .done : .no
    }

    /// Whether a file is written by nodes only that have an identity; a first start makes the promise before.
    private static func needsIdentity(_ name: String) -> Bool {
        isOfNode(name) && !LogInspection.isPromise(name)
    }

    /// Whether a file is one that a node makes in its data directory; what it tells people is none.
    private static func isOfNode(_ name: String) -> Bool {
        LogInspection.isOfLog(name) || name == RunName.manifest
            || RunName.sequence(name) != nil || IntakeName.sequence(name) != nil
    }

    /// What is in the directory if it is a backup.
    private static func backup(_ directory: String) throws(CommandFailure) -> BackupInspection? {
        do {
            var disk = try FileDisk(directory: directory, opensAnew: true)
            guard BackupInspection.isBackup(try disk.list()) else { return nil }
            return try BackupInspection(&disk)
        } catch JournalError.missing(let file) {
            throw CommandFailure(.no, "\(directory): a backup without \(file) is not finished")
        } catch {
            throw CommandFailure(.no, "\(directory): \(described(error))")
        }
    }

    private static func range(
        _ arguments: Arguments
    ) throws(CommandFailure) -> ClosedRange<UInt64>? {
        guard let text = arguments.value("--entries") else { return nil }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1],
            low >= 1, low <= high
        else { throw arguments.failure("--entries must be such as 10-20, is \"\(text)\"") }
        return low...high
    }

    // MARK: For people

    private static func text(
        _ inspection: LogInspection,
        _ state: StateInspection,
        _ damage: [LogInspection.Damage],
        showsEntries: Bool
    ) -> String {
        var lines: [String] = []
        if let identity = inspection.identity {
            lines += [
                "node       \(identity.node.number) of cluster \(identity.cluster)",
                "directory  \(identity.directory), \(identity.starts) starts"
                    + (identity.isFormed ? "" : ", not of a formed cluster"),
            ]
            if let from = identity.copiedFrom { lines.append("copy of    \(from)") }
            if let index = identity.repairingThrough {
                lines.append("repairing  through entry \(index) at least")
            }
        } else {
            lines.append("no IDENTITY")
        }
        let hard = inspection.hardState
        lines.append(
            "log        ends with entry \(inspection.lastEntry), committed through "
                + "\(hard.commitIndex) at least"
        )
        lines.append("term       \(hard.currentTerm), vote \(shown(hard.votedFor))")
        if let promise = inspection.promise {
            lines.append(
                "promise    term \(promise.term), vote \(shown(promise.vote))"
                    + (promise.isRepairing ? ", repairing" : "")
            )
        }
        lines += ["", segments(inspection)]
        lines += self.lines(state)
        if showsEntries { lines += ["", entries(inspection)] }
        if let tail = inspection.tornTail {
            lines += ["", "unfinished write: \(tail.file) at byte \(tail.offset): \(tail.what)"]
        }
        lines += damage.lines
        return lines.joined(separator: "\n")
    }

    private static func shown(_ node: NodeID?) -> String { node.map { "\($0.number)" } ?? "none" }

    private static func segments(_ inspection: LogInspection) -> String {
        let rows = inspection.segments.map { segment in
            [
                segment.file, "\(segment.bytes)", "\(segment.used)",
                segment.firstBatch.shown + "-" + segment.lastBatch.shown, "\(segment.records)",
                "\(segment.entries)", segment.firstEntry.map { "\($0)" } ?? "-",
                segment.lastEntry.map { "\($0)" } ?? "-",
            ]
        }
        return Terminal.table(
            ["segment", "bytes", "used", "batches", "records", "entries", "first", "last"],
            rows,
            right: [1, 2, 4, 5]
        )
    }

    private static func entries(_ inspection: LogInspection) -> String {
        let rows = inspection.places.map { place in
            [
                "\(place.entry.id)", "\(place.entry.time.milliseconds)",
                describe(place.entry), "\(place.entry.payload.count)",
                "\(place.file) \(place.offset)",
            ]
        }
        return Terminal.table(["entry", "time", "what", "bytes", "place"], rows, right: [1, 3])
    }

    /// What an entry is, without anything that was keyed in or agreed on as a secret.
    private static func describe(_ entry: Entry) -> String {
        switch entry.kind {
        case .noop: return "noop"
        case .configuration: return "configuration"
        case .command: break
        }
        guard let command = try? Verification.Command(decoding: entry.payload) else {
            return "(unknown command)"
        }
        switch command {
        case .open(let open): return "open \(open.attempt)"
        case .callback(let callback): return "callback \(callback.attempt) \(callback.event.name)"
        case .defineFlow(let flow): return "flow \(flow.name)"
        case .repeats(let batch): return "repeats of \(batch.items.count)"
        case .tick: return "tick"
        case .settings(let settings): return "retention: \(settings)"
        case .readmit(let readmission): return "readmit node \(readmission.node)"
        case .checkDigest(let mark): return "check digest of \(mark?.index.number ?? 0)"
        }
    }

    // MARK: For scripts

    private static func document(
        _ inspection: LogInspection,
        _ state: StateInspection,
        _ damage: [LogInspection.Damage]
    ) -> String {
        var json = JSONText()
        json.beginObject()
        if let identity = inspection.identity {
            json.key("identity")
            json.beginObject()
            json.member("cluster", identity.cluster)
            json.member("node", identity.node.number)
            json.member("directory", "\(identity.directory)")
            json.member("starts", identity.starts)
            json.member("formed", identity.isFormed)
            json.member("repairing", identity.repairingThrough != nil)
            json.endObject()
        }
        json.member("term", inspection.hardState.currentTerm.number)
        json.member("vote", inspection.hardState.votedFor?.number ?? 0)
        json.member("commit_index", inspection.hardState.commitIndex.number)
        json.member("last_index", inspection.lastEntry.index.number)
        json.member("last_term", inspection.lastEntry.term.number)
        json.key("segments")
        json.beginArray()
        for segment in inspection.segments {
            json.beginObject()
            json.member("file", segment.file)
            json.member("bytes", segment.bytes)
            json.member("used", segment.used)
            json.member("batches", segment.batches)
            json.member("records", segment.records)
            json.member("entries", segment.entries)
            json.member("first_index", segment.firstEntry?.index.number ?? 0)
            json.member("last_index", segment.lastEntry?.index.number ?? 0)
            json.endObject()
        }
        json.endArray()
        json.key("entries")
        json.beginArray()
        for place in inspection.places {
            json.beginObject()
            json.member("index", place.entry.index.number)
            json.member("term", place.entry.term.number)
            json.member("time", place.entry.time.milliseconds)
            json.member("what", describe(place.entry))
            json.member("bytes", place.entry.payload.count)
            json.member("file", place.file)
            json.member("offset", place.offset)
            json.endObject()
        }
        json.endArray()
        append(state, to: &json)
        if let tail = inspection.tornTail {
            json.key("unfinished")
            json.append(tail)
        }
        json.member("damage", damage)
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

/// Damage, wherever it was found, for people and for scripts.
extension JSONText {
    mutating func append(_ damage: LogInspection.Damage) {
        beginObject()
        member("file", damage.file)
        member("offset", damage.offset)
        member("what", damage.what)
        endObject()
    }

    mutating func member(_ name: String, _ damages: [LogInspection.Damage]) {
        key(name)
        beginArray()
        for damage in damages { append(damage) }
        endArray()
    }
}

extension [LogInspection.Damage] {
    /// A line each, behind an empty one if there is any.
    var lines: [String] {
        guard !isEmpty else { return [] }
        return [""] + map { "DAMAGE: \($0.file) at byte \($0.offset): \($0.what)" }
    }
}
