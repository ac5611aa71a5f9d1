import Backup
import Journal
import Raft
import Replica
import Store
import Testing
import Verification

@Suite("copies of a node")
struct BackupTests {
    @Test("has the state as of one entry and the log up to there, however the node goes on")
    func whileItGoesOn() throws {
        let node = try LoneNode.withAttempts { $0.state.checkpointAttempts = 100 }
        var number = 0
        var copy = try node.copy {
            // Decisions, checkpoints and their merges go on.
            try node.open("vb_\(number)")
            try node.verify("vb_\(number)")
            number += 1
        }
        #expect(number > 2)
        let found = try BackupInspection(&copy)
        #expect(found.damage.isEmpty && found.otherFiles.isEmpty, "\(found.damage)")
        #expect(found.manifest.cluster == "old" && found.manifest.node == NodeID(1))
        #expect(found.manifest.madeAt == 1_700_000_000_123)
        #expect(found.manifest.firstIndex == LogIndex(1))
        #expect(found.entries == Int(found.manifest.entry.index.number))
        #expect(found.manifest.attempts == 13)
        let applied = node.replica.appliedIndex
        #expect(found.manifest.entry.index < applied)
    }

    @Test("two copies of one state have one sum, whatever was written between")
    func sums() throws {
        let node = try LoneNode.withAttempts()
        var first = try node.copy()
        var second = try node.copy()
        let sum = try BackupInspection(&first).manifest.state
        #expect(try BackupInspection(&second).manifest.state == sum)
        try node.open("more")
        var third = try node.copy()
        #expect(try BackupInspection(&third).manifest.state != sum)
    }

    @Test("what is copied stays while it is copied, and goes when nobody asks any more")
    func patience() throws {
        let node = try LoneNode.withAttempts {
            $0.state.checkpointBytes = 1
            $0.state.merge.maxSmallRuns = 2
            $0.state.merge.minDeadBytes = 1
            $0.keepsLog = false
        }
        let plan = try node.beginBackup()
        for number in 0..<60 {
            try node.open("vb_\(number)")
            node.wait(.milliseconds(200))
        }
        let merges = node.replica.counters.merges
        #expect(merges > 0)
        for file in plan.files {
            #expect(try !node.piece(.file(file.name, offset: 0)).isEmpty, "\(file.name)")
        }
        #expect(try !node.piece(.entries(from: plan.firstIndex)).isEmpty)
        // Asked again and again it stays.
        for _ in 0..<4 {
            node.wait(.seconds(20))
            #expect(node.plan(7) == plan)
        }
        node.wait(.seconds(31))
        #expect(node.plan(7) == nil)
        #expect(node.notices.contains(.backupGivenUp(7)))
        #expect(throws: LoneNode.NoPiece.self) {
            _ = try node.piece(.file(RunName.manifest, offset: 0))
        }
        try node.open("last")
        node.wait(.seconds(1))
        let runs = try node.disk.list().filter { RunName.sequence($0) != nil }
        let held = node.replica.stateFiles.count
        #expect(runs.count == held)
        #expect(node.replica.journal.firstIndex > plan.firstIndex)
    }

    @Test("a node refuses a copy too many, one of nothing, and pieces that are none of it")
    func refusals() throws {
        let empty = try LoneNode()
        // A leader's first entry is applied at once: there is something.
        #expect(empty.replica.appliedIndex > .zero)
        let node = try LoneNode.withAttempts(2)
        _ = try node.beginBackup(1)
        _ = try node.beginBackup(2)
        let now = node.now
        #expect(node.with { $0.beginBackup(3, at: now) } == .tooMany)
        #expect(node.with { $0.endBackup(1) })
        #expect(!node.with { $0.endBackup(1) })
        let plan = try node.beginBackup(7)
        let last = plan.entry.index
        for wanted in [
            BackupWriter.Wanted.file("IDENTITY", offset: 0), .file("LOCK", offset: 0),
            .file("../x", offset: 0), .file(RunName.file(999), offset: 0),
            .file(RunName.manifest, offset: plan.files[0].bytes),
            .file(plan.files[1].name, offset: plan.files[1].bytes), .entries(from: .zero),
            .entries(from: last.next),
        ] {
            #expect(throws: LoneNode.NoPiece.self, "\(wanted)") { _ = try node.piece(wanted) }
        }
    }

    @Test("a file that is damaged on the node ends the copy, and leaves it unfinished")
    func damagedSource() throws {
        let node = try LoneNode.withAttempts()
        var copy = MemoryDisk()
        let plan = try node.beginBackup()
        node.disk.flip(plan.files[1].name, at: 100)
        var writer = try BackupWriter(plan, on: &copy)
        while let wanted = writer.wanted { try writer.take(try node.piece(wanted), on: &copy) }
        #expect(throws: JournalError.self) { _ = try writer.finish(at: 1, on: &copy) }
        #expect(throws: JournalError.missing(file: BackupManifest.name)) {
            _ = try BackupInspection(&copy)
        }
    }

    @Test("the writer takes nothing that is not what was announced")
    func writer() throws {
        let node = try LoneNode.withAttempts()
        let plan = try node.beginBackup()
        var full = MemoryDisk()
        try full.perform(.create(file: "notes", size: 1))
        #expect(throws: JournalError.self) { _ = try BackupWriter(plan, on: &full) }
        var empty = MemoryDisk()
        for change: (inout BackupWriter.Plan) -> Void in [
            { $0.files = [] }, { $0.files.removeFirst() }, { $0.files[1].name = "../../x" },
            { $0.files[1].name = "IDENTITY" }, { $0.files.append($0.files[1]) },
            { $0.files[1].bytes = 0 }, { $0.firstIndex = .zero },
            { $0.firstIndex = $0.entry.index.advanced(by: 2) }, { $0.entry = .zero },
            { $0.entry.index = LogIndex(.max) }, { $0.files[1].bytes = .max },
            { $0.files[1].bytes = -1 },
        ] {
            var wrong = plan
            change(&wrong)
            #expect(throws: JournalError.self) { _ = try BackupWriter(wrong, on: &empty) }
        }
        // What does not fit the checkpoint.
        for change: (inout BackupWriter.Plan) -> Void in [
            { $0.cluster = "other" }, { $0.node = NodeID(2) }, { $0.entry.index.number -= 1 },
            { $0.files[1].checksum ^= 1 }, { $0.files[1].bytes += 1 },
            { $0.files[0].checksum ^= 1 },
        ] {
            var wrong = plan
            change(&wrong)
            var disk = MemoryDisk()
            var writer = try BackupWriter(wrong, on: &disk)
            #expect(throws: JournalError.self) {
                try writer.take(
                    try node.piece(.file(RunName.manifest, offset: 0)),
                    on: &disk
                )
            }
        }
        var disk = MemoryDisk()
        var writer = try BackupWriter(plan, on: &disk)
        #expect(throws: JournalError.self) { _ = try writer.finish(at: 1, on: &disk) }
        #expect(throws: JournalError.self) { try writer.take([], on: &disk) }
        while case .file(let file, let offset) = writer.wanted {
            try writer.take(try node.piece(.file(file, offset: offset)), on: &disk)
        }
        let entries = try node.piece(.entries(from: LogIndex(1)))
        let later = try node.piece(.entries(from: LogIndex(2)))
        var torn = entries
        torn.removeLast()
        var flipped = entries
        flipped[20] ^= 1
        for wrong in [later, torn, flipped, entries + entries] {
            var tried = writer
            var copy = disk
            #expect(throws: JournalError.self) { try tried.take(wrong, on: &copy) }
        }
        try writer.take(entries, on: &disk)
    }
}

@Suite("what a backup says of itself")
struct BackupManifestTests {
    private func manifest() throws -> BackupManifest {
        var copy = try LoneNode.withAttempts(2).copy()
        return try BackupManifest.read(from: &copy)
    }

    @Test("is read as it was written")
    func roundTrip() throws {
        let manifest = try manifest()
        #expect(try BackupManifest(manifest.encoded()) == manifest)
        #expect(manifest.files.map(\.name) == manifest.files.map(\.name).sorted())
    }

    @Test("a changed bit and a missing byte are found wherever they are")
    func damage() throws {
        let bytes = try manifest().encoded()
        for at in bytes.indices {
            var wrong = bytes
            wrong[at] ^= 0x04
            #expect(throws: JournalError.self, "byte \(at)") { _ = try BackupManifest(wrong) }
            #expect(throws: JournalError.self, "\(at) bytes") {
                _ = try BackupManifest(Array(bytes[..<at]))
            }
        }
    }
}
