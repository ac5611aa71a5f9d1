import Journal
import Raft
import Testing

@Suite("writing")
struct WritingTests {
    private func write(_ number: UInt64, _ index: UInt64, bytes: Int = 10) -> LogWrite {
        ModelLog().write(number, term: 1, from: index, sizes: [bytes])
    }

    @Test("all that is appended while a batch is under way shares the next sync")
    func groupCommit() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        _ = try journal.finish(on: &disk)
        journal.append(write(1, 1))
        let first = try required(journal.nextBatch())
        let found1 = journal.isBatchUnderWay
        #expect(found1)
        for number in UInt64(2)...9 { journal.append(write(number, number)) }
        let found2 = journal.nextBatch()
        #expect(found2 == nil, "one batch at a time")
        let found3 = journal.pendingBytes
        #expect(found3 > 0)
        let found4 = journal.completed(first.number)
        #expect(found4 == WriteNumber(1))
        let second = try required(journal.nextBatch())
        let syncs = second.operations.filter { if case .sync = $0 { true } else { false } }
        #expect(syncs.count == 1 && second.operations.count == 2)
        let found5 = journal.pendingBytes
        #expect(found5 == 0)
        let found6 = journal.completed(second.number)
        #expect(found6 == WriteNumber(9))
        let found7 = journal.batchCount
        #expect(found7 == 2)
    }

    @Test("a write that changes nothing becomes durable like any other")
    func emptyWrite() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        _ = try journal.finish(on: &disk)
        journal.append(LogWrite(number: WriteNumber(1)))
        let found8 = try journal.finish(on: &disk)
        #expect(found8 == WriteNumber(1))
        let found9 = journal.nextBatch()
        #expect(found9 == nil, "nothing waits")
    }

    @Test("batches never share a sector and end with a sync")
    func sectors() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        var taken: Set<String> = []
        for number in UInt64(1)...40 {
            journal.append(write(number, number, bytes: Int(number) * 37 % 1_100))
            while let batch = journal.nextBatch() {
                for operation in batch.operations {
                    guard case .write(let file, let offset, let bytes) = operation,
                        file.hasSuffix(".seg")
                    else { continue }
                    #expect(offset % 512 == 0 && bytes.count % 512 == 0)
                    for sector in stride(from: offset, to: offset + bytes.count, by: 512) {
                        #expect(taken.insert("\(file) \(sector)").inserted, "written twice")
                    }
                }
                switch batch.operations.last {
                case .sync, .syncDirectory: break
                default: Issue.record("ends with \(batch.operations.last as Any)")
                }
                for operation in batch.operations { try disk.perform(operation) }
                _ = journal.completed(batch.number)
            }
        }
        let found10 = journal.segmentCount
        #expect(found10 > 5)
    }

    @Test("the next segment is made before it is needed, and not together with a commit")
    func spareSegment() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        var number: UInt64 = 0
        var creations = 0
        _ = try journal.finish(on: &disk)
        for _ in 0..<60 {
            number += 1
            journal.append(write(number, number))
            while let batch = journal.nextBatch() {
                let creates = batch.operations.contains {
                    if case .create(let file, _) = $0 { file.hasSuffix(".seg") } else { false }
                }
                let writes = batch.operations.contains {
                    if case .write = $0 { true } else { false }
                }
                #expect(!(creates && writes))
                creations += creates ? 1 : 0
                for operation in batch.operations { try disk.perform(operation) }
                _ = journal.completed(batch.number)
            }
        }
        #expect(creations >= 7)
    }

    @Test("a log goes on after a restart where it ended")
    func restart() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        for run in UInt64(1)...5 {
            let recovered = try LogJournal.recover(
                from: &disk,
                configuration: configuration(salt: run)
            ) { _ in }
            #expect(recovered.tornTail == nil)
            #expect(recovered.log.tail == model.entries)
            var journal = recovered.takeJournal()
            for number in UInt64(1)...7 {
                let write = model.write(
                    number,
                    term: run,
                    from: model.last.number + 1,
                    sizes: [100, 200],
                    commit: model.last.number
                )
                model.apply(write)
                journal.append(write)
                let found11 = try journal.finish(on: &disk)
                #expect(found11 == WriteNumber(number))
            }
        }
    }

    @Test("an entry that is not the next stops the process")
    func gap() async {
        await #expect(processExitsWith: .failure) {
            var disk = CrashDisk()
            var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in
            }
            .takeJournal()
            journal.append(ModelLog().write(1, term: 1, from: 2, sizes: [1]))
        }
    }
}
