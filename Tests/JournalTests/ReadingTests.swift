import Journal
import Raft
import Testing

@Suite("reading old entries")
struct ReadingTests {
    private func read(
        _ journal: inout LogJournal,
        _ disk: CrashDisk,
        from index: LogIndex,
        maxBytes: Int
    ) throws -> [Entry]? {
        guard let read = journal.planRead(from: index, maxBytes: maxBytes) else { return nil }
        let bytes = try disk.read(read.file, at: read.offset, count: read.count)
        #expect(bytes.count == read.count)
        return try journal.entries(in: bytes, of: read, from: index, maxBytes: maxBytes)
    }

    @Test("finds every entry, before and after a restart, across truncations")
    func everyEntry() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        var draws = Draws(state: 3)
        for number in UInt64(1)...120 {
            let back = draws.below(4) == 0 ? UInt64(draws.below(6)) : 0
            let commit = model.hardState.commitIndex.number
            let write = model.write(
                number,
                term: number,
                from: max(commit + 1, model.last.number + 1 - min(back, model.last.number)),
                sizes: (0..<1 + draws.below(5)).map { _ in draws.below(700) },
                commit: max(commit, model.last.number > 10 ? model.last.number - 10 : 0),
                salt: UInt8(number)
            )
            model.apply(write)
            journal.append(write)
            if draws.below(3) > 0 { _ = try journal.finish(on: &disk) }
        }
        _ = try journal.finish(on: &disk)
        try checkAll(&journal, disk, model)
        var again = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        try checkAll(&again, disk, model)
    }

    private func checkAll(_ journal: inout LogJournal, _ disk: CrashDisk, _ model: ModelLog) throws
    {
        var several = 0
        for (at, entry) in model.entries.enumerated() {
            for maxBytes in [1, 500, 4_000] {
                let found = try read(&journal, disk, from: entry.index, maxBytes: maxBytes) ?? []
                #expect(!found.isEmpty)
                #expect(found == Array(model.entries[at...].prefix(found.count)))
                let cost = found.reduce(0) { $0 + $1.cost }
                #expect(found.count == 1 || cost <= maxBytes)
                several += found.count > 3 ? 1 : 0
            }
        }
        #expect(several > 20)
        let found1 = journal.planRead(from: model.last.next, maxBytes: 1)
        #expect(found1 == nil)
        let found2 = journal.planRead(from: .zero, maxBytes: 1)
        #expect(found2 == nil)
    }

    @Test("a read takes in little more than was asked for")
    func bounded() throws {
        var disk = CrashDisk()
        var journal = try LogJournal.recover(
            from: &disk,
            configuration: configuration(segmentSize: 1 << 20)
        ) { _ in }.takeJournal()
        var model = ModelLog()
        for number in UInt64(1)...300 {
            let write = model.write(
                number,
                term: 1,
                from: model.last.number + 1,
                sizes: [Int](repeating: 250, count: 10)
            )
            model.apply(write)
            journal.append(write)
            _ = try journal.finish(on: &disk)
        }
        for index in stride(from: UInt64(1), through: 3_000, by: 131) {
            let read = try required(journal.planRead(from: LogIndex(index), maxBytes: 100_000))
            #expect(read.count <= 100_000 + 80_000)
        }
    }

    @Test("entries that are not on disk yet, or about to be truncated, cannot be planned")
    func notDurable() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        _ = try journal.finish(on: &disk)
        let first = model.write(1, term: 1, from: 1, sizes: [1, 2, 3])
        model.apply(first)
        journal.append(first)
        let found3 = journal.planRead(from: LogIndex(1), maxBytes: 100)
        #expect(found3 == nil)
        let batch = try required(journal.nextBatch())
        for operation in batch.operations { try disk.perform(operation) }
        let found4 = journal.planRead(from: LogIndex(1), maxBytes: 100)
        #expect(found4 == nil)
        _ = journal.completed(batch.number)
        let plan = try required(journal.planRead(from: LogIndex(1), maxBytes: 1_000))
        let bytes = try disk.read(plan.file, at: plan.offset, count: plan.count)

        let second = model.write(2, term: 2, from: 2, sizes: [4])
        model.apply(second)
        journal.append(second)
        let found5 = journal.planRead(from: LogIndex(2), maxBytes: 100)
        #expect(found5 == nil)
        let found = try journal.entries(in: bytes, of: plan, from: LogIndex(1), maxBytes: 1_000)
        #expect(found == Array(model.entries.prefix(1)), "the rest was truncated meanwhile")
        let found6 = try journal.entries(in: bytes, of: plan, from: LogIndex(2), maxBytes: 1_000)
        #expect(found6 == [])
        _ = try journal.finish(on: &disk)
        let found7 = try read(&journal, disk, from: LogIndex(2), maxBytes: 9)
        #expect(found7 == [model.entries[1]])
    }

    @Test("a changed byte is noticed, and noise does not trap")
    func damage() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        let write = model.write(1, term: 1, from: 1, sizes: [50, 60])
        model.apply(write)
        journal.append(write)
        _ = try journal.finish(on: &disk)
        let plan = try required(journal.planRead(from: LogIndex(1), maxBytes: 1_000))
        let bytes = try disk.read(plan.file, at: plan.offset, count: plan.count)
        for at in 0..<84 {
            var changed = bytes
            changed[at] ^= 1
            let found = #expect(throws: JournalError.self) {
                try journal.entries(in: changed, of: plan, from: LogIndex(1), maxBytes: 1_000)
            }
            guard case .damaged(let file, _, _) = found else {
                Issue.record("\(found as Any)")
                continue
            }
            #expect(file == plan.file)
        }
        var draws = Draws(state: 1)
        for size in 0..<200 {
            let noise = (0..<size).map { _ in UInt8(truncatingIfNeeded: draws.next()) }
            #expect(throws: JournalError.self) {
                try journal.entries(in: noise, of: plan, from: LogIndex(1), maxBytes: 1_000)
            }
        }
    }

    @Test("what stands in the padding behind a batch, which no checksum covers, hides no entry")
    func padding() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        var ends: [Int] = []
        for number in UInt64(1)...4 {
            let write = model.write(number, term: 1, from: number, sizes: [50])
            model.apply(write)
            journal.append(write)
            _ = try journal.finish(on: &disk)
            let plan = try required(journal.planRead(from: LogIndex(1), maxBytes: 2_000))
            ends.append(plan.offset + plan.count)
        }
        let file = try required(journal.planRead(from: LogIndex(1), maxBytes: 2_000)).file
        for end in ends {
            let padding = (end + 7) & ~7
            for at in padding..<padding + 8 {
                for bit in 0..<8 {
                    var hurt = disk
                    hurt.flip(file, at: at, mask: 1 << UInt8(bit))
                    for entry in model.entries {
                        let found = try read(&journal, hurt, from: entry.index, maxBytes: 2_000)
                        #expect(found == model.entries.filter { $0.index >= entry.index })
                    }
                    // A start, too, takes the log for whole.
                    let found = try recover(&hurt)
                    #expect(found.model.entries == model.entries && found.tornTail == nil)
                }
            }
        }
        // An entry at a batch's end is none: its damage is found, with its place.
        var hurt = disk
        hurt.flip(file, at: ends[1] - 10)
        let found = try read(&journal, hurt, from: LogIndex(1), maxBytes: 2_000)
        #expect(found == [model.entries[0]])
        #expect(
            throws: JournalError.damaged(
                file: file,
                offset: 1024 + 48,
                what: "checksum of a record does not match"
            )
        ) {
            try read(&journal, hurt, from: LogIndex(2), maxBytes: 2_000)
        }
    }
}
