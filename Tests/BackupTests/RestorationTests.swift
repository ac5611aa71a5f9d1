import Backup
import Journal
import Raft
import Replica
import Store
import Testing
import Verification

@Suite("restored directories")
struct RestorationTests {
    /// The answers to what was asked before, and the timelines.
    private func expectSame(_ new: LoneNode, as old: LoneNode, attempts: Int) throws {
        for number in 0..<attempts {
            let before = try old.verify("va_\(number)")
            let after = try new.verify("va_\(number)")
            #expect(after.answer == before.answer)
            #expect(after.disposition == .repeated)
            let timeline = try new.timeline("va_\(number)")
            #expect(timeline.map(\.index) == (try old.timeline("va_\(number)")).map(\.index))
        }
    }

    @Test("a new cluster goes on where the old one was copied")
    func goesOn() throws {
        let old = try LoneNode.withAttempts()
        var backup = try old.copy()
        var disk = try restored(backup)
        let before = try BackupInspection(&backup)
        let state = try StateInspection(&disk)
        #expect(state.digest == before.manifest.state)
        let log = try LogInspection(&disk, entries: 1...1_000_000)
        #expect(log.damage.isEmpty && log.tornTail == nil)
        let original = try LogInspection(&old.disk, entries: 1...1_000_000)
        #expect(
            log.places.map(\.entry)
                == original.places.map(\.entry).filter { $0.index <= before.manifest.entry.index }
        )
        #expect(log.hardState.votedFor == nil)
        #expect(log.identity?.isFormed == false && log.identity?.starts == 0)
        #expect(log.identity?.directory == DirectoryID(high: 90, low: 3))

        let new = try LoneNode(on: disk, cluster: "new", node: 3, run: 50, startsAt: 60)
        #expect(new.replica.raft.currentTerm > before.manifest.entry.term)
        try expectSame(new, as: old, attempts: 12)
        // What was open is decided now, and new attempts are.
        #expect(try new.verify("va_open").disposition == .accepted)
        try new.open("vn_1")
        #expect(try new.verify("vn_1").disposition == .accepted)
        #expect(new.replica.journal.holes.isEmpty)

        // And so after a restart, which finds a whole log.
        let again = try LoneNode(
            on: new.disk,
            cluster: "new",
            node: 3,
            run: 51,
            startsAt: 600
        )
        try expectSame(again, as: old, attempts: 12)
        let damage = again.notices.contains { if case .logDamaged = $0 { true } else { false } }
        #expect(!damage)
        #expect(again.replica.journal.holes.isEmpty && again.replica.journal.reachesBack)
    }

    @Test("a log whose old segments are gone begins after them, without a hole")
    func agedLog() throws {
        let old = try LoneNode.withAttempts(80) {
            $0.state.checkpointBytes = 1
            $0.keepsLog = false
        }
        try #require(old.replica.journal.firstIndex > LogIndex(1))
        var backup = try old.copy()
        let manifest = try BackupManifest.read(from: &backup)
        try #require(manifest.firstIndex > LogIndex(1))
        let new = try LoneNode(
            on: try restored(backup),
            cluster: "new",
            node: 3,
            run: 50,
            startsAt: 60
        )
        #expect(new.replica.journal.holes.isEmpty)
        #expect(new.replica.journal.firstIndex == manifest.firstIndex)
        try expectSame(new, as: old, attempts: 80)
        try new.open("vn_1")
        var copy = new.disk
        #expect(try LogInspection(&copy).damage.isEmpty)
        let again = try LoneNode(
            on: new.disk,
            cluster: "new",
            node: 3,
            run: 51,
            startsAt: 600
        )
        #expect(again.replica.journal.holes.isEmpty)
        #expect(again.replica.journal.firstIndex == manifest.firstIndex)
        try again.open("vn_2")
        // A copy of the copy.
        var second = try again.copy()
        #expect(try BackupInspection(&second).damage.isEmpty)
    }

    @Test("a backup without any log is a state to begin with")
    func noLog() throws {
        let old = try LoneNode.withAttempts()
        var plan = try old.beginBackup()
        plan.firstIndex = plan.entry.index.next
        var backup = MemoryDisk()
        var writer = try BackupWriter(plan, on: &backup)
        while let wanted = writer.wanted { try writer.take(try old.piece(wanted), on: &backup) }
        #expect(try writer.finish(at: 1, on: &backup).entries == 0)
        for run in 50..<53 as Range<UInt64> {
            let new = try LoneNode(
                on: try restored(backup),
                cluster: "new",
                node: 3,
                run: run,
                startsAt: run * 60
            )
            #expect(new.replica.journal.holes.isEmpty)
            try expectSame(new, as: old, attempts: 12)
            try new.open("vn_\(run)")
        }
    }

    @Test("directories that were let in stay with the cluster that let them in")
    func admissions() throws {
        let old = try LoneNode.withAttempts(2)
        _ = try old.perform(
            .readmit(
                Readmission(
                    node: 1,
                    high: 1,
                    low: 1,
                    request: RequestID(node: 1, incarnation: 1, sequence: 900)
                )
            )
        )
        let admitted = old.replica.machine.readmissions
        try #require(admitted.count == 1)
        let new = try LoneNode(
            on: try restored(old.copy(), node: 1),
            cluster: "new",
            node: 1,
            run: 50,
            startsAt: 60
        )
        let left = new.replica.machine.readmissions
        #expect(left.isEmpty)
        #expect(new.replica.exclusion == nil)
        try new.open("vn_1")
    }

    @Test("another cluster's node does not start on it, nor another node of the new one")
    func others() throws {
        let disk = try restored(LoneNode.withAttempts(2).copy())
        #expect(throws: JournalError.self) { _ = try LoneNode(on: disk, cluster: "old", node: 3) }
        #expect(throws: JournalError.self) { _ = try LoneNode(on: disk, cluster: "new", node: 1) }
    }

    @Test("a backup in which a bit is changed is refused, and nothing is written")
    func damagedBackup() throws {
        let backup = try LoneNode.withAttempts().copy()
        for (file, bytes) in backup.files.sorted(by: { $0.key < $1.key }) {
            // Every part of every file, and not each byte: that is what the formats' own tests do.
            let step = max(1, bytes.count / 61)
            for at in Array(stride(from: 0, to: bytes.count, by: step)) + [bytes.count - 1] {
                var damaged = backup
                damaged.flip(file, at: at)
                expectRefused(damaged, "\(file) byte \(at)")
            }
        }
    }

    @Test("a backup with a file cut short, too long, missing or exchanged is refused")
    func wrongFiles() throws {
        let old = try LoneNode.withAttempts()
        let backup = try old.copy()
        for (file, bytes) in backup.files {
            for size in [0, 1, bytes.count / 2, bytes.count - 1] {
                var short = backup
                try short.perform(.truncate(file: file, size: size))
                expectRefused(short, "\(file) of \(size) bytes")
            }
            var long = backup
            try long.perform(.write(file: file, offset: bytes.count, bytes: [0]))
            expectRefused(long, "\(file) and a byte")
            var lost = backup
            lost.lose(file)
            expectRefused(lost, "without \(file)")
        }
        // Each file is whole, and they are not of one backup.
        try old.open("more")
        let later = try old.copy()
        for (file, bytes) in later.files where backup.files[file] != bytes {
            var mixed = backup
            mixed.lose(file)
            try mixed.perform(.create(file: file, size: 0))
            try mixed.perform(.write(file: file, offset: 0, bytes: bytes))
            if backup.files[file] != nil { expectRefused(mixed, "\(file) of a later backup") }
        }
    }

    private func restore(
        _ backup: inout MemoryDisk,
        to target: inout MemoryDisk
    ) throws(JournalError) {
        _ = try Restoration.restore(
            from: &backup,
            to: &target,
            as: .init(
                cluster: "new",
                node: NodeID(3),
                directory: DirectoryID(high: 1, low: 1),
                salt: 1,
                segmentSize: LoneNode.segmentSize
            )
        )
    }

    private func expectRefused(_ backup: MemoryDisk, _ what: String) {
        var source = backup
        var target = MemoryDisk()
        #expect(throws: JournalError.self, "\(what)") {
            try restore(&source, to: &target)
        }
        #expect(target.files.isEmpty, "\(what)")
    }

    @Test("a directory that is not empty is left as it is")
    func notEmpty() throws {
        var backup = try LoneNode.withAttempts(2).copy()
        for file in ["notes", "log-0000000000000001.seg", RestoreMark.file] {
            var target = MemoryDisk()
            try target.perform(.create(file: file, size: 3))
            #expect(throws: JournalError.self) {
                try restore(&backup, to: &target)
            }
            #expect(target.files == [file: [0, 0, 0]])
        }
    }

    @Test("a restore that ends anywhere leaves nothing that a node would start on")
    func everyFailure() throws {
        let backup = try LoneNode.withAttempts(3).copy()
        var at = 0
        while true {
            var source = backup
            var target = MemoryDisk()
            target.failsFrom = at
            do throws(JournalError) {
                try restore(&source, to: &target)
                break
            } catch {
                target.failsFrom = nil
                let isEmpty = target.files.isEmpty
                let isMarked = target.files[RestoreMark.file] != nil
                // The last step but one takes the mark away: all else is there then.
                let isWhole = !isEmpty && !isMarked
                if isMarked {
                    #expect(throws: JournalError.self, "operation \(at)") {
                        _ = try LoneNode(on: target, cluster: "new", node: 3)
                    }
                }
                if isWhole { #expect(try StateInspection(&target).damage.isEmpty) }
            }
            at += 1
        }
        #expect(at > 20)
    }
}
