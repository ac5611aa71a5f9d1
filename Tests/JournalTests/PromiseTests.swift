import Journal
import Raft
import Testing

/// A disk with a log that ends in a term and a vote, and some entries behind them.
private func promised() throws -> (disk: CrashDisk, model: ModelLog) {
    var disk = CrashDisk()
    var model = ModelLog()
    var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
        .takeJournal()
    for writes in lifeOfAFollower() {
        for write in writes {
            journal.append(write)
            model.apply(write)
        }
        _ = try journal.finish(on: &disk)
    }
    let vote = model.vote(100, term: 9, for: 2)
    journal.append(vote)
    model.apply(vote)
    _ = try journal.finish(on: &disk)
    for number in UInt64(101)...104 {
        let write = model.write(number, term: 9, from: model.last.number + 1, sizes: [20])
        journal.append(write)
        model.apply(write)
        _ = try journal.finish(on: &disk)
    }
    return (disk, model)
}

extension ModelLog {
    fileprivate func vote(_ number: UInt64, term: UInt64, for node: UInt32) -> LogWrite {
        LogWrite(
            number: WriteNumber(number),
            hardState: HardState(
                currentTerm: Term(term),
                votedFor: NodeID(node),
                commitIndex: hardState.commitIndex
            )
        )
    }
}

@Suite("term and vote")
struct PromiseTests {
    @Test("are durable in both places before anybody hears of them, with one more sync")
    func bothCopies() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        _ = try journal.finish(on: &disk)
        journal.append(ModelLog().vote(1, term: 3, for: 2))
        let batch = try required(journal.nextBatch())
        let synced = batch.operations.compactMap { operation -> String? in
            if case .sync(let file) = operation { file } else { nil }
        }
        #expect(synced == ["log-0000000000000001.seg", "PROMISE"])
        for operation in batch.operations { try disk.perform(operation) }
        let durable = journal.completed(batch.number)
        #expect(durable == WriteNumber(1))
        // Entries and commit indexes are no promises: they cost what they did.
        journal.append(
            LogWrite(
                number: WriteNumber(2),
                hardState: HardState(currentTerm: Term(3), votedFor: NodeID(2))
            )
        )
        let second = try required(journal.nextBatch())
        #expect(second.operations.count == 2)
    }

    @Test("survive damage to any byte, any page and the whole of their second copy")
    func damagedMirror() throws {
        let (whole, model) = try promised()
        let size = try whole.contents("PROMISE").count
        for offset in stride(from: 0, to: size, by: 7) {
            var disk = whole
            disk.flip("PROMISE", at: offset)
            #expect(try recover(&disk).model == model)
        }
        for page in 0..<size / 4096 {
            var disk = whole
            disk.zero("PROMISE", page * 4096..<(page + 1) * 4096)
            #expect(try recover(&disk).model == model)
        }
        for size in [0, 100, 4096, 5000] {
            var disk = whole
            disk.replace("PROMISE", with: Array(try whole.contents("PROMISE").prefix(size)))
            #expect(try recover(&disk).model == model)
        }
        var disk = whole
        disk.lose("PROMISE")
        #expect(try recover(&disk).model == model)
        #expect(try recover(&disk).model == model)
    }

    @Test("survive damage to any byte of the log, as the node that repairs")
    func damagedLog() throws {
        let (whole, model) = try promised()
        var repairing = 0
        for file in whole.list() where file.hasSuffix(".seg") {
            let count = try whole.contents(file).count
            for offset in stride(from: 0, to: count, by: count > 5_000 ? 97 : 23) {
                var disk = whole
                disk.flip(file, at: offset)
                let found = try recover(&disk, configuration(canRepair: true))
                #expect(found.log.hardState.currentTerm == model.hardState.currentTerm)
                #expect(found.log.hardState.votedFor == model.hardState.votedFor)
                if found.log.hardState.isRepairing { repairing += 1 }
            }
        }
        #expect(repairing > 100)
    }

    @Test("survive the log's loss together with one page of their second copy")
    func bothHurt() throws {
        let (whole, model) = try promised()
        for page in 0..<4 {
            var disk = whole
            for file in whole.list() where file.hasSuffix(".seg") { disk.lose(file) }
            disk.zero("PROMISE", page * 4096..<(page + 1) * 4096)
            let found = try recover(&disk, configuration(canRepair: true))
            #expect(found.log.hardState.currentTerm == model.hardState.currentTerm)
            #expect(found.log.hardState.votedFor == model.hardState.votedFor)
            #expect(found.log.hardState.isRepairing)
        }
    }

    @Test("that neither copy has any more are a clear refusal, and nothing is changed")
    func bothLost() throws {
        let (whole, _) = try promised()
        var disk = whole
        disk.flip("log-0000000000000001.seg", at: 1024 + 60)
        for ruin in 0..<4 {
            var disk = disk
            switch ruin {
            case 0: disk.lose("PROMISE")
            case 1: disk.replace("PROMISE", with: [])
            // Both copies of a promise; which of the two was the newest, nobody can tell then.
            case 2: for page in [0, 2] { disk.flip("PROMISE", at: page * 4096 + 25) }
            default: for page in [1, 3] { disk.flip("PROMISE", at: page * 4096 + 25) }
            }
            let before = disk
            let error = #expect(throws: JournalError.self) {
                try recover(&disk, configuration(canRepair: true))
            }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.contains("PROMISE") && text.contains("voted"))
            #expect(text.contains("log-0000000000000001.seg is damaged at byte 1024"))
            for file in before.list() {
                #expect(try disk.contents(file) == before.contents(file), "\(file)")
            }
            #expect(disk.list() == before.list())
        }
    }

    @Test("of another node are refused")
    func otherNode() throws {
        var (disk, _) = try promised()
        for file in disk.list() where file.hasSuffix(".seg") { disk.lose(file) }
        let error = JournalError.otherNode(
            file: "PROMISE",
            found: NodeID(1),
            expected: NodeID(2)
        )
        #expect(throws: error) { try recover(&disk, configuration(node: 2)) }
    }
}
