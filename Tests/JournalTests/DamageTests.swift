import Journal
import Raft
import Testing

private let segment1 = "log-0000000000000001.seg"
private let segment2 = "log-0000000000000002.seg"

/// A disk with the life of a follower on it, and the log after each batch.
private func life() throws -> (disk: CrashDisk, models: [ModelLog]) {
    var disk = CrashDisk()
    var models = [ModelLog()]
    var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
        .takeJournal()
    for writes in lifeOfAFollower() {
        var model = models[models.count - 1]
        for write in writes {
            journal.append(write)
            model.apply(write)
        }
        models.append(model)
        _ = try journal.finish(on: &disk)
    }
    return (disk, models)
}

/// What a disk had lost for others to notice.
private struct Damage: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var inflict: @Sendable (inout CrashDisk) throws -> Void
}

@Suite("damage where others have the log too")
struct DamageTests {
    private static let kinds: [Damage] = [
        Damage(testDescription: "a flipped bit") { $0.flip(segment1, at: 1024 + 60) },
        Damage(testDescription: "a zeroed page") { $0.zero(segment1, 1024..<4096) },
        Damage(testDescription: "a damaged header") { $0.flip(segment2, at: 20) },
        Damage(testDescription: "a segment cut short") {
            $0.replace(segment1, with: Array(try $0.contents(segment1).prefix(1500)))
        },
        Damage(testDescription: "a lost segment") { $0.lose(segment2) },
        Damage(testDescription: "a lost first segment") { $0.lose(segment1) },
        Damage(testDescription: "segments that changed places") {
            let first = try $0.contents(segment1)
            $0.replace(segment1, with: try $0.contents(segment2))
            $0.replace(segment2, with: first)
        },
        Damage(testDescription: "all segments lost") { disk in
            for file in disk.list() where file.hasSuffix(".seg") { disk.lose(file) }
        },
    ]

    @Test("starts a repair with what is intact, and keeps the rest as evidence", arguments: kinds)
    fileprivate func starts(_ damage: Damage) throws {
        var (disk, models) = try life()
        let last = models[models.count - 1]
        try damage.inflict(&disk)
        let hurt = disk
        let found = try recover(&disk, configuration(canRepair: true))
        #expect(found.log.hardState.isRepairing)
        #expect(found.log.hardState.currentTerm == last.hardState.currentTerm)
        #expect(found.log.hardState.votedFor == last.hardState.votedFor)
        #expect(models.contains { $0.entries == found.model.entries })
        #expect(found.log.lastIndex < last.last)
        #expect(found.damage.count == 1 && found.damage.allSatisfy(\.endsLog))
        #expect(found.tornTail == nil)
        // Whatever was behind the damage is still there, byte for byte, under another name.
        for file in hurt.list() where file.hasSuffix(".seg") {
            let bytes = try hurt.contents(file)
            let kept = try disk.list().contains { name in
                try (name == file || name.hasPrefix("damaged-") && name.hasSuffix(file))
                    && disk.contents(name).starts(with: bytes)
            }
            // A file in front of the damage goes on being written.
            if file != segment1 { #expect(kept, "\(file) is gone") }
        }
        // It stays in repair, and the log goes on.
        var again = try recover(&disk, configuration(canRepair: true))
        #expect(again.model == found.model && again.damage.isEmpty)
        var journal = try LogJournal.recover(
            from: &disk,
            configuration: configuration(salt: 9, canRepair: true)
        ) { _ in }.takeJournal()
        var model = again.model
        for number in UInt64(1)...12 {
            var write = model.write(
                number,
                term: 7,
                from: model.last.number + 1,
                sizes: [900],
                commit: model.last.number
            )
            write.hardState?.isRepairing = number < 12
            journal.append(write)
            model.apply(write)
            _ = try journal.finish(on: &disk)
        }
        again = try recover(&disk, configuration(canRepair: true))
        #expect(again.model == model && again.damage.isEmpty)
        #expect(!again.log.hardState.isRepairing)
    }

    @Test("is refused where nobody else has the log, and nothing changes", arguments: kinds)
    fileprivate func alone(_ damage: Damage) throws {
        var (disk, _) = try life()
        try damage.inflict(&disk)
        let before = disk
        #expect(throws: JournalError.self) { try recover(&disk) }
        #expect(disk.list() == before.list())
        for file in before.list() {
            #expect(try disk.contents(file) == before.contents(file))
        }
    }

    @Test("lets no crash while it is dealt with pass a shorter log off as whole", arguments: kinds)
    fileprivate func crashes(_ damage: Damage) throws {
        var (hurt, models) = try life()
        let last = models[models.count - 1]
        try damage.inflict(&hurt)
        for keepsNames in [false, true] {
            for survival in [CrashDisk.Survival.onlySynced, .all, .lastWrite(prefix: 700)] {
                for steps in 0..<40 {
                    var disk = hurt
                    disk.failsAt = disk.performed + steps
                    let isDone = (try? recover(&disk, configuration(canRepair: true))) != nil
                    disk = disk.afterPowerCut(survival, keepsNames: keepsNames)
                    let found = try recover(&disk, configuration(canRepair: true))
                    #expect(found.log.hardState.isRepairing, "after \(steps) steps")
                    #expect(found.log.hardState.currentTerm == last.hardState.currentTerm)
                    #expect(found.log.hardState.votedFor == last.hardState.votedFor)
                    #expect(models.contains { $0.entries == found.model.entries })
                    if isDone { break }
                }
            }
        }
    }

    @Test("of a segment made larger for one batch is found wherever it is cut")
    func largeSegment() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        for size in [100, 3 * configuration().segmentSize] {
            let number = model.last.number + 1
            let write = model.write(number, term: 1, from: number, sizes: [size], commit: 0)
            journal.append(write)
            model.apply(write)
            _ = try journal.finish(on: &disk)
        }
        let large = 3 * configuration().segmentSize
        let file = try #require(
            disk.list().first { try $0.hasSuffix(".seg") && disk.contents($0).count > large }
        )
        let whole = try disk.contents(file)
        for size in stride(from: 512, to: whole.count, by: 512) {
            var cut = disk
            cut.replace(file, with: Array(whole.prefix(size)))
            let found = try recover(&cut, configuration(canRepair: true))
            #expect(found.log.hardState.isRepairing && found.tornTail == nil, "cut to \(size)")
        }
    }

    @Test("to the newest batch is found if a promise names the batch")
    func promiseNamesBatch() throws {
        var (disk, models) = try life()
        var vote = LogWrite(number: WriteNumber(1))
        vote.hardState = models[models.count - 1].hardState
        vote.hardState?.currentTerm = Term(8)
        vote.hardState?.votedFor = NodeID(3)
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        journal.append(vote)
        let batch = try required(journal.nextBatch())
        for operation in batch.operations { try disk.perform(operation) }
        guard case .write(let file, let offset, _) = batch.operations[0] else {
            Issue.record("\(batch.operations)")
            return
        }
        disk.flip(file, at: offset + 50)
        let found = try recover(&disk, configuration(canRepair: true))
        #expect(found.log.hardState.isRepairing)
        #expect(found.log.hardState.currentTerm == Term(8))
        #expect(found.log.hardState.votedFor == NodeID(3))
        #expect(found.damage.map { "\($0.error)" }.joined().contains("PROMISE names batch"))
    }
}
