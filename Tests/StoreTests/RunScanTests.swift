import Journal
import Raft
import Store
import Testing
import Verification

@Suite("looking through a run")
struct RunScanTests {
    private struct Example {
        var disk: StoreDisk
        var run: Run
        var list: [FooterEntry]
    }

    /// The older run of a life with two checkpoints.
    private func example() throws -> Example {
        var life = Life()
        try life.live(0)
        #expect(life.checkpoint() == nil)
        try life.live(1)
        #expect(life.checkpoint() == nil)
        let run = try #require(life.store.manifest).runs[0]
        var scan = FooterScan(run)
        while let (offset, count) = scan.next {
            try scan.take(try life.disk.read(run.file, at: offset, count: count))
        }
        return Example(disk: life.disk, run: run, list: scan.entries)
    }

    /// What is found, going on behind each damaged part.
    private func look(
        through run: Run,
        on disk: StoreDisk,
        _ list: [FooterEntry],
        pieces: Int
    ) throws -> (damaged: [RunScan.Part], at: [Int], files: Set<String>, whole: [Int]) {
        var scan = RunScan(run)
        var damaged: [RunScan.Part] = []
        var at: [Int] = []
        var files: Set<String> = []
        var whole: [Int] = []
        while let (offset, count) = scan.wanted(pieces) {
            let bytes = try disk.read(run.file, at: offset, count: count)
            do throws(JournalError) {
                try scan.take(bytes) { offset, _ in whole.append(offset) }
            } catch {
                guard case .damaged(let file, _, _) = error else { throw error }
                files.insert(file)
                damaged.append(scan.damaged)
                at.append(scan.position)
                switch scan.damaged {
                case .header, .trailer: scan.skipPart()
                case .record, .padding: try #require(scan.skipRecord(list) != nil)
                case .list: return (damaged, at, files, whole)
                }
            }
        }
        return (damaged, at, files, whole)
    }

    @Test("finds nothing wrong with a whole one, however it is cut into pieces")
    func whole() throws {
        let example = try example()
        for pieces in [1, 7, 64, 100, 1000, RunScan.pieceSize] {
            let found = try look(
                through: example.run,
                on: example.disk,
                example.list,
                pieces: pieces
            )
            #expect(found.damaged.isEmpty, "pieces of \(pieces)")
            #expect(found.whole == example.list.map(\.offset), "pieces of \(pieces)")
        }
    }

    @Test("finds a changed byte wherever it is, and tells the part, and all records but that one")
    func everyByte() throws {
        let example = try example()
        let run = example.run
        var parts: Set<RunScan.Part> = []
        for at in 0..<run.bytes {
            var disk = example.disk
            disk.flip(run.file, at: at)
            for pieces in [100, RunScan.pieceSize] {
                let found = try look(through: run, on: disk, example.list, pieces: pieces)
                #expect(found.damaged.count == 1, "byte \(at): \(found.damaged)")
                #expect(found.files == [run.file], "byte \(at)")
                guard let part = found.damaged.first else { continue }
                parts.insert(part)
                let others = example.list.map(\.offset)
                switch part {
                case .header: #expect(at < 64 && found.whole == others)
                case .record, .padding:
                    let record = try #require(example.list.last { $0.offset <= at })
                    #expect(found.at == [record.offset], "byte \(at)")
                    #expect(found.whole == others.filter { $0 != record.offset }, "byte \(at)")
                case .list:
                    #expect(at >= run.footerOffset && at < run.bytes - 40, "byte \(at)")
                case .trailer: #expect(at >= run.bytes - 40 && found.whole == others)
                }
            }
        }
        #expect(parts == [.header, .record, .padding, .list, .trailer])
    }

    @Test("finds what is cut off, and the content of another run")
    func wrongFile() throws {
        let example = try example()
        for size in 0..<example.run.bytes {
            var disk = example.disk
            try disk.perform(.truncate(file: example.run.file, size: size))
            var scan = RunScan(example.run)
            #expect(throws: JournalError.self, "\(size) bytes") {
                while let (offset, count) = scan.wanted() {
                    try scan.take(try disk.read(example.run.file, at: offset, count: count))
                }
            }
        }
        var other = example.run
        other.sequence += 1
        var scan = RunScan(other)
        #expect(throws: JournalError.self) {
            try scan.take(
                try example.disk.read(example.run.file, at: 0, count: example.run.bytes)
            )
        }
    }

    @Test("after damage the same place is wanted again, and counts if it is whole then")
    func again() throws {
        let example = try example()
        let at = example.list[1].offset + 9
        var wrong = example.disk
        wrong.flip(example.run.file, at: at)
        var scan = RunScan(example.run)
        let first = try #require(scan.wanted())
        #expect(throws: JournalError.self) {
            try scan.take(
                try wrong.read(example.run.file, at: first.offset, count: first.count)
            )
        }
        #expect(scan.position == example.list[1].offset)
        while let (offset, count) = scan.wanted(50) {
            try scan.take(try example.disk.read(example.run.file, at: offset, count: count))
        }
        #expect(scan.isDone)
    }

    @Test("a copy that has another number is whole, however its pieces were cut")
    func renumbered() throws {
        let example = try example()
        var copy = example.run
        copy.sequence = 1 << 40
        let bytes = try example.disk.read(example.run.file, at: 0, count: example.run.bytes)
        for size in [1, 33, 100, bytes.count] {
            var all: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                var piece = Array(bytes[start..<min(start + size, bytes.count)])
                copy.renumber(&piece, at: start)
                all += piece
            }
            var scan = RunScan(copy)
            try scan.take(all)
            #expect(scan.isDone, "pieces of \(size)")
        }
    }

    @Test("a run that is damaged is merged before all others, and one that must be kept never is")
    func merging() throws {
        var life = Life()
        for round in 0..<3 {
            try life.live(round)
            #expect(life.checkpoint() == nil)
        }
        let policy = MergePolicy()
        let retention = life.machine.durableRetention
        let none = life.store.mergeCandidates(policy, retention)
        #expect(none.isEmpty)
        life.store.mend(1, .merge)
        let one = life.store.mergeCandidates(policy, retention)
        #expect(one == [1])
        life.store.mend(1, .keep)
        var eager = policy
        eager.maxSmallRuns = 1
        let others = life.store.mergeCandidates(eager, retention)
        #expect(Set(others) == [0, 2])
    }

    @Test("a damaged run is merged after older, forgotten ones: nothing older may come back")
    func forgottenFirst() throws {
        var life = Life()
        for round in 0..<3 {
            try life.live(round)
            #expect(life.checkpoint() == nil)
        }
        life.apply(.settings(RetentionSettings(retentionSeconds: 5, forgetAfterSeconds: 5)))
        for _ in 0..<20 { life.apply(.tick) }
        #expect(life.checkpoint() == nil)
        let retention = life.machine.durableRetention
        life.store.mend(1, .merge)
        let first = life.store.mergeCandidates(MergePolicy(), retention)
        #expect(first == [0])
        life.store.mend(1, .none)
        life.store.mend(0, .merge)
        let damaged = life.store.mergeCandidates(MergePolicy(), retention)
        #expect(damaged == [0])
    }

    @Test("what is superseded in a run that must be kept has no others merged, which are live")
    func keptAndDead() throws {
        var life = Life()
        for round in 0..<3 {
            try life.live(round)
            #expect(life.checkpoint() == nil)
        }
        var policy = MergePolicy()
        policy.minDeadBytes = 1
        let kept = try #require(life.store.run(0)).bytes + life.store.runBytes
        life.store.superseded(RecordLocation(run: 0, offset: 64, length: kept))
        let retention = life.machine.durableRetention
        let before = life.store.mergeCandidates(policy, retention)
        #expect(before.first == 0)
        life.store.mend(0, .keep)
        let live = life.store.mergeCandidates(policy, retention)
        #expect(live.isEmpty)
    }
}
