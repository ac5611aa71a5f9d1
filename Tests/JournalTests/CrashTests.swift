import Journal
import Raft
import Testing

/// The state of the world directly before one disk operation.
private struct Moment {
    var disk: CrashDisk
    /// The operation that is next.
    var operation: DiskOperation
    /// Writes reported durable, and writes handed over, so far.
    var durable: Int
    var handed: Int
}

/// Runs writes to their end and notes every moment on the way.
private func moments(
    of script: [[LogWrite]],
    from start: CrashDisk = CrashDisk(),
    _ configuration: JournalConfiguration = configuration()
) throws -> [Moment] {
    var disk = start
    var moments: [Moment] = []
    var journal = try LogJournal.recover(from: &disk, configuration: configuration) { _ in }
        .takeJournal()
    var durable = 0
    var handed = 0
    for writes in script {
        for write in writes { journal.append(write) }
        while let batch = journal.nextBatch() {
            // A spare segment may be made before the writes are handed over; counting them as
            // handed then only makes the check a little weaker.
            handed = Int(writes.last?.number.number ?? 0)
            for operation in batch.operations {
                moments.append(
                    Moment(disk: disk, operation: operation, durable: durable, handed: handed)
                )
                try disk.perform(operation)
            }
            durable = max(durable, Int(journal.completed(batch.number).number))
        }
        #expect(durable == handed)
    }
    return moments
}

/// The log after each number of writes.
private func models(of script: [[LogWrite]]) -> [ModelLog] {
    var models = [ModelLog()]
    for write in script.joined() {
        var next = models[models.count - 1]
        next.apply(write)
        models.append(next)
    }
    return models
}

/// Recovers, checks that the log is that of one of the allowed numbers of writes, goes on
/// writing, and recovers again.
private func check(
    _ left: CrashDisk,
    _ models: ArraySlice<ModelLog>,
    _ what: @autoclosure () -> String
) {
    var disk = left
    do {
        let found = try recover(&disk)
        guard let model = models.first(where: { $0 == found.model }) else {
            Issue.record("\(what()): recovered \(found.log)")
            return
        }
        guard found.committed == model.committed, found.log.terms == model.runs,
            found.log.lastIndex == model.last
        else {
            Issue.record("\(what()): committed, terms or last index differ: \(found)")
            return
        }
        // A second recovery directly after the first finds the same, now clean.
        let again = try recover(&disk)
        guard again.model == model, again.tornTail == nil else {
            Issue.record("\(what()): second recovery found \(again.log), \(again.tornTail as Any)")
            return
        }
        var journal = try LogJournal.recover(from: &disk, configuration: configuration(salt: 99)) {
            _ in
        }.takeJournal()
        var expected = model
        let next = model.write(
            1,
            term: 50,
            from: model.hardState.commitIndex.number + 1,
            sizes: [3],
            commit: model.hardState.commitIndex.number + 1,
            salt: 64
        )
        journal.append(next)
        expected.apply(next)
        _ = try journal.finish(on: &disk)
        let after = try recover(&disk)
        if after.model != expected || after.tornTail != nil {
            Issue.record("\(what()): went on to \(expected), recovered \(after.log)")
        }
    } catch {
        Issue.record("\(what()): \(error)")
    }
}

@Suite("a crash at any moment")
struct CrashTests {
    @Test("loses nothing that was reported durable and brings back nothing truncated")
    func everyOperation() throws {
        let script = lifeOfAFollower()
        let models = models(of: script)
        let moments = try moments(of: script)
        #expect(moments.count > 40)
        for (at, moment) in moments.enumerated() {
            let allowed = models[moment.durable...moment.handed]
            for keepsNames in [false, true] {
                check(
                    moment.disk.afterPowerCut(.onlySynced, keepsNames: keepsNames),
                    allowed,
                    "operation \(at), only what was synced, names \(keepsNames)"
                )
            }
            check(
                moment.disk.afterPowerCut(.all, keepsNames: true),
                allowed,
                "operation \(at), all survives"
            )
        }
    }

    @Test("at every byte of a write cuts the torn batch and keeps all before it")
    func everyBytePrefix() throws {
        let script = lifeOfAFollower()
        let models = models(of: script)
        for (at, moment) in try moments(of: script).enumerated() {
            guard case .write(_, _, let bytes) = moment.operation else { continue }
            var disk = moment.disk
            try disk.perform(moment.operation)
            // Bytes after the last that is not zero make no difference. The one huge payload is
            // sampled.
            let end = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
            for prefix in stride(from: 0, through: end, by: end > 2_000 ? 97 : 1) {
                check(
                    disk.afterPowerCut(.lastWrite(prefix: prefix), keepsNames: true),
                    models[moment.durable...moment.handed],
                    "operation \(at), \(prefix) bytes of \(bytes.count)"
                )
            }
        }
    }

    @Test("with sectors written in any order cuts the torn batch", arguments: [1, 2, 3])
    func anySectors(seed: UInt64) throws {
        var draws = Draws(state: seed)
        let script = lifeOfAFollower()
        let models = models(of: script)
        for (at, moment) in try moments(of: script).enumerated() {
            guard case .write = moment.operation else { continue }
            var disk = moment.disk
            try disk.perform(moment.operation)
            for _ in 0..<8 {
                let mask = draws.next()
                let left = disk.afterPowerCut(
                    .sectors { mask >> UInt64($0 / 512 % 64) & 1 == 1 },
                    keepsNames: true
                )
                check(left, models[moment.durable...moment.handed], "operation \(at) \(mask)")
            }
        }
    }

    @Test("again and again, during recovery too, loses nothing", arguments: 1...12)
    func repeatedCrashes(seed: UInt64) throws {
        var draws = Draws(state: seed)
        var disk = CrashDisk()
        var sure = ModelLog()
        var crashes = 0
        for round in 0..<60 {
            disk.failsAt = disk.performed + draws.below(14)
            var possible = [sure]
            do {
                let recovered = try LogJournal.recover(
                    from: &disk,
                    configuration: configuration(salt: UInt64(round))
                ) { _ in }
                var model = ModelLog(
                    entries: recovered.log.tail,
                    hardState: recovered.log.hardState
                )
                #expect(model == sure, "seed \(seed), round \(round)")
                var journal = recovered.takeJournal()
                for number in UInt64(1)...20 {
                    let commit = model.hardState.commitIndex.number
                    let room = model.last.number - commit
                    let from = commit + 1 + (room == 0 ? 0 : draws.next() % (room + 1))
                    let sizes = (0..<draws.below(4)).map { _ in draws.below(900) }
                    let last = max(from - 1, from + UInt64(sizes.count) - 1)
                    let write = model.write(
                        number,
                        term: UInt64(round + 1),
                        from: from,
                        sizes: sizes,
                        commit: commit + draws.next() % (last - commit + 1),
                        salt: UInt8(truncatingIfNeeded: draws.next())
                    )
                    model.apply(write)
                    possible.append(model)
                    journal.append(write)
                    if draws.below(3) == 0 { continue }
                    if try journal.finish(on: &disk) == write.number { possible = [model] }
                }
                _ = try journal.finish(on: &disk)
                possible = [model]
            } catch {
                crashes += 1
            }
            let mask = draws.next()
            disk = disk.afterPowerCut(
                .sectors { mask >> UInt64($0 / 512 % 64) & 1 == 1 },
                keepsNames: draws.below(2) == 0
            )
            let found = try recover(&disk)
            let match = possible.first { $0 == found.model }
            #expect(match != nil, "seed \(seed), round \(round): \(found.log)")
            sure = match ?? sure
        }
        #expect(crashes > 20)
    }
}
