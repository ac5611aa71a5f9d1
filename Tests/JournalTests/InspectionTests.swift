import Journal
import Raft
import Testing

/// A disk on which a script was carried out.
private func disk(with script: [[LogWrite]]) throws -> (disk: CrashDisk, model: ModelLog) {
    var disk = CrashDisk()
    var model = ModelLog()
    var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
        .takeJournal()
    for writes in script {
        for write in writes {
            journal.append(write)
            model.apply(write)
        }
        _ = try journal.finish(on: &disk)
    }
    return (disk, model)
}

@Suite("Looking into a data directory")
struct InspectionTests {
    @Test("shows the log as recovery would find it")
    func whole() throws {
        var (disk, model) = try disk(with: lifeOfAFollower())
        let inspection = try LogInspection(&disk, entries: 1...1_000_000)
        #expect(inspection.damage.isEmpty && inspection.tornTail == nil)
        #expect(inspection.places.map(\.entry) == model.entries)
        #expect(inspection.lastEntry == model.entries.last?.id)
        #expect(inspection.hardState.currentTerm == model.hardState.currentTerm)
        #expect(inspection.hardState.commitIndex == model.hardState.commitIndex)
        #expect(inspection.segments.reduce(0) { $0 + $1.entries } >= model.entries.count)
        let some = try LogInspection(&disk, entries: 2...3)
        #expect(
            some.places.map(\.entry) == model.entries.filter { (2...3).contains($0.index.number) }
        )
    }

    @Test("changes nothing")
    func readsOnly() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let before = disk.performed
        _ = try LogInspection(&disk)
        #expect(disk.performed == before)
    }

    @Test("names each damaged place, and goes on behind it")
    func damage() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let segments = try LogInspection(&disk).segments.filter { $0.batches > 1 }
        let files = segments.map(\.file)
        #expect(files.count > 1)
        // Within the first batch of each segment but the last.
        let hit = files.dropLast()
        for file in hit { disk.flip(file, at: 512 + 60) }
        let inspection = try LogInspection(&disk)
        #expect(inspection.damage.map(\.file) == Array(hit))
        #expect(inspection.damage.allSatisfy { $0.offset == 512 })
        #expect(inspection.lastEntry.index > .zero)
        // What lies behind the damage is seen all the same.
        for segment in inspection.segments where hit.contains(segment.file) {
            #expect(segment.batches > 0)
        }
    }

    @Test("an unfinished write at the end is no damage")
    func tornTail() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let last = try required(LogInspection(&disk).segments.last { $0.batches > 0 })
        disk.flip(last.file, at: last.used - 512)
        let inspection = try LogInspection(&disk)
        #expect(inspection.damage.isEmpty)
        #expect(inspection.tornTail?.file == last.file)
    }

    @Test("a segment that is not there is damage")
    func missing() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let files = try LogInspection(&disk).segments.map(\.file)
        #expect(files.count > 2)
        disk.lose(files[1])
        let inspection = try LogInspection(&disk)
        #expect(inspection.damage.contains { $0.file == files[1] })
    }

    @Test("a promise that was never made is no damage; one that is gone is")
    func blankPromise() throws {
        var fresh = CrashDisk()
        _ = try LogJournal.recover(from: &fresh, configuration: configuration()) { _ in }
        // Whose it is has to be known, or the promise is not looked at.
        _ = try IdentityFile.open(
            on: &fresh,
            configuration: configuration(),
            members: [],
            fresh: DirectoryID(high: 1, low: 2),
            place: 0,
            run: 1,
            hasLog: false
        )
        #expect(try fresh.contents("PROMISE").allSatisfy { $0 == 0 })
        #expect(try LogInspection(&fresh).damage.isEmpty)

        var (disk, _) = try disk(with: lifeOfAFollower())
        let size = try disk.contents("PROMISE").count
        disk.zero("PROMISE", 0..<size)
        #expect(try LogInspection(&disk).damage.map(\.file) == ["PROMISE"])
    }
}
