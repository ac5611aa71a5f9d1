import Journal
import Raft
import Testing

@Suite("a log with a checkpoint")
struct SealedTests {
    @Test("is read from the checkpoint on, whichever entry that stands for")
    func everyCheckpoint() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        #expect(whole.list().filter { $0.hasSuffix(".seg") }.count > 12)
        for index in 1...commit {
            var disk = whole
            var opened = try open(&disk, after: model.checkpoint(at: index))
            #expect(opened.found.damage.isEmpty && opened.found.tornTail == nil)
            #expect(opened.found.committed == Array(model.committed.dropFirst(Int(index))))
            #expect(opened.found.log.hardState == model.hardState)
            #expect(opened.found.log.terms == model.runs)
            #expect(opened.found.log.lastIndex == model.last)
            #expect(
                opened.found.log.tail == Array(model.entries.suffix(opened.found.log.tail.count))
            )
            let holes = opened.journal.holes
            #expect(holes.isEmpty)
            // Old entries are found all the same.
            if index % 10 == 0 {
                let read = try opened.journal.read(1...commit, on: disk)
                #expect(ids(read) == ids(model.committed))
            }
        }
    }

    @Test("is read without the indexes, which are then made again")
    func withoutIndexes() throws {
        let (whole, model) = try longLog()
        let indexes = whole.list().filter { $0.hasSuffix(".idx") }
        #expect(indexes.count > 10)
        for ruin in 0..<3 {
            var disk = whole
            for file in indexes {
                switch ruin {
                case 0: disk.lose(file)
                case 1: disk.flip(file, at: 30)
                default: disk.replace(file, with: [])
                }
            }
            let commit = model.hardState.commitIndex.number
            var opened = try open(&disk, after: model.checkpoint(at: commit))
            #expect(opened.found.damage.isEmpty)
            let read = try opened.journal.read(1...commit, on: disk)
            #expect(ids(read) == ids(model.committed))
            _ = try opened.journal.finish(on: &disk)
            for file in indexes where disk.list().contains(file) {
                #expect(try disk.contents(file).count > 80)
            }
        }
    }

    @Test("finds damage in a sealed segment by reading it now and then, and repairs it")
    func scrubs() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        var disk = whole
        var opened = try open(&disk, after: model.checkpoint(at: commit))
        // Nothing is wrong yet.
        while opened.journal.scrub.rounds < 1 {
            let read = try required(opened.journal.planScrub())
            try opened.journal.scrubbed(
                try disk.read(read.file, at: read.offset, count: read.count),
                of: read
            )
        }
        disk.flip(segments[2], at: 700)
        disk.flip(segments[5], at: 40)
        var found: [String] = []
        let rounds = opened.journal.scrub.rounds
        while opened.journal.scrub.rounds < rounds + 2 {
            let read = try required(opened.journal.planScrub())
            let bytes = try disk.read(read.file, at: read.offset, count: read.count)
            do throws(JournalError) {
                try opened.journal.scrubbed(bytes, of: read)
            } catch {
                guard case .damaged(let file, _, _) = error else { throw error }
                found.append(file)
                let isSealed = opened.journal.foundDamage(in: file)
                #expect(isSealed)
            }
        }
        #expect(found == [segments[2], segments[5]])
        let holes = opened.journal.holes
        #expect(holes.count == 2)
        try opened.journal.refill(from: model, on: &disk)
        let read = try opened.journal.read(1...commit, on: disk)
        #expect(ids(read) == ids(model.committed))
        #expect(disk.list().filter { $0.hasPrefix("damaged-") }.count == 2)
        // What was made again is looked into like anything else.
        let inspection = try LogInspection(&disk)
        #expect(inspection.damage.isEmpty, "\(inspection.damage)")
    }

    @Test("loses its oldest segments by age, and only what the checkpoint stands for")
    func retention() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        var disk = whole
        var opened = try open(&disk, after: model.checkpoint(at: commit))
        let cut = model.entries[60].time
        opened.journal.removeSegments(before: cut)
        _ = try opened.journal.finish(on: &disk)
        let first = opened.journal.firstIndex.number
        #expect(first > 40 && first <= 61)
        var read = try opened.journal.read(first...commit, on: disk)
        #expect(ids(read) == ids(model.committed.filter { $0.index.number >= first }))
        let plan = opened.journal.planRead(from: LogIndex(first - 1), maxBytes: 100)
        #expect(plan == nil)
        #expect(disk.list().filter { $0.hasSuffix(".idx") }.count < 12)

        var again = try open(&disk, after: model.checkpoint(at: commit), salt: 5)
        #expect(again.found.damage.isEmpty && again.found.log.lastIndex == model.last)
        let holes = again.journal.holes
        #expect(holes.isEmpty)
        read = try again.journal.read(first...commit, on: disk)
        #expect(ids(read) == ids(model.committed.filter { $0.index.number >= first }))
        // Whatever its age, what a restart needs stays.
        again.journal.removeSegments(before: Timestamp(milliseconds: .max))
        _ = try again.journal.finish(on: &disk)
        let last = try open(&disk, after: model.checkpoint(at: commit), salt: 6)
        #expect(last.found.log.lastIndex == model.last && last.found.damage.isEmpty)
    }

    @Test("keeps in mind what is still to be fetched, when segments before it go for their age")
    func retentionBeforeHole() throws {
        let (whole, model) = try longLog(truncating: false)
        let commit = model.hardState.commitIndex.number
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        var disk = whole
        disk.lose(segments[6])
        disk.lose(segments[7])
        var opened = try open(&disk, after: model.checkpoint(at: commit))
        let hole = try #require(opened.journal.holes.first)
        // The newest segment before the hole says where it begins.
        let cut = model.entries[Int(hole.lowerBound.number) + 3].time
        opened.journal.removeSegments(before: cut)
        _ = try opened.journal.finish(on: &disk)
        #expect(disk.list().filter { $0.hasSuffix(".seg") }.first == segments[5])
        var holes = opened.journal.holes
        #expect(holes == [hole])
        var again = try open(&disk, after: model.checkpoint(at: commit), salt: 5)
        holes = again.journal.holes
        #expect(holes == [hole] && again.found.damage.isEmpty)
        // The others have nothing older than this any more: what is here before is of use only until its time is over.
        let rest = LogIndex(hole.lowerBound.number + 2)
        again.journal.giveUp(before: rest, keptFrom: .zero)
        holes = again.journal.holes
        #expect(holes == [hole])
        let isTaken = again.journal.fill([model.entries[Int(hole.lowerBound.number) - 1]])
        _ = try again.journal.finish(on: &disk)
        var wanted = again.journal.wantedEntry
        #expect(isTaken && wanted == hole.lowerBound.next)
        #expect(disk.list().contains { $0.hasSuffix(".new") })
        // Also when a segment is being made of it.
        again.journal.giveUp(before: rest, keptFrom: cut)
        holes = again.journal.holes
        wanted = again.journal.wantedEntry
        let next = again.journal.nextEntry(from: rest)
        #expect(holes == [rest...hole.upperBound] && wanted == rest)
        #expect(next == hole.upperBound.next)
        let plan = again.journal.planRead(from: rest.previous, maxBytes: 100)
        #expect(plan == nil && again.journal.firstIndex > hole.upperBound)
        again.journal.removeSegments(before: cut)
        _ = try again.journal.finish(on: &disk)
        holes = again.journal.holes
        #expect(holes == [rest...hole.upperBound])
        try again.journal.refill(from: model, on: &disk)
        again.journal.removeSegments(before: cut)
        _ = try again.journal.finish(on: &disk)
        #expect(disk.list().filter { $0.hasSuffix(".seg") }.first == segments[6])
        var last = try open(&disk, after: model.checkpoint(at: commit), salt: 6)
        holes = last.journal.holes
        #expect(holes.isEmpty && last.found.damage.isEmpty)
        let read = try last.journal.read(rest.number...commit, on: disk)
        #expect(ids(read) == ids(model.committed.filter { $0.index >= rest }))
    }

    @Test("misses its oldest segment also if older ones were removed for their age")
    func oldestIsLost() throws {
        let (whole, model) = try longLog(truncating: false)
        let commit = model.hardState.commitIndex.number
        var kept = whole
        var opened = try open(&kept, after: model.checkpoint(at: commit))
        opened.journal.removeSegments(before: model.entries[60].time)
        _ = try opened.journal.finish(on: &kept)
        let first = opened.journal.firstIndex
        let oldest = try #require(kept.list().first { $0.hasSuffix(".seg") })
        for isThere in [false, true] {
            var disk = kept
            if isThere { disk.flip(oldest, at: 30) } else { disk.lose(oldest) }
            var again = try open(&disk, after: model.checkpoint(at: commit), salt: 5)
            let hole = try #require(again.journal.holes.first)
            #expect(hole.upperBound >= first)
            // Whoever has the rest has nothing older.
            again.journal.giveUp(before: first, keptFrom: .zero)
            try again.journal.refill(from: model, on: &disk)
            var last = try open(&disk, after: model.checkpoint(at: commit), salt: 6)
            let holes = last.journal.holes
            #expect(holes.isEmpty)
            let read = try last.journal.read(first.number...commit, on: disk)
            #expect(ids(read) == ids(model.committed.filter { $0.index >= first }))
        }
    }

    @Test("keeps its first segment until the second goes too: what begins with that was restored")
    func firstGoesWithSecond() throws {
        let (whole, model) = try longLog(truncating: false)
        let commit = model.hardState.commitIndex.number
        func oldest(before index: Int) throws -> String {
            var disk = whole
            var opened = try open(&disk, after: model.checkpoint(at: commit))
            opened.journal.removeSegments(before: model.entries[index].time)
            _ = try opened.journal.finish(on: &disk)
            return try #require(disk.list().filter { $0.hasSuffix(".seg") }.min())
        }
        let left = try (0..<60).map { try oldest(before: $0) }
        #expect(!left.contains("log-0000000000000002.seg"))
        #expect(left.contains("log-0000000000000001.seg"))
        #expect(left.contains("log-0000000000000003.seg"))
    }

    @Test("survives a crash at any step of losing its oldest segments")
    func crashWhileRemoving() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        for keepsNames in [false, true] {
            for steps in 0..<40 {
                var disk = whole
                var opened = try open(&disk, after: model.checkpoint(at: commit))
                opened.journal.removeSegments(before: model.entries[60].time)
                disk.failsAt = disk.performed + steps
                let isDone = (try? opened.journal.finish(on: &disk)) != nil
                disk = disk.afterPowerCut(.onlySynced, keepsNames: keepsNames)
                let again = try open(&disk, after: model.checkpoint(at: commit))
                #expect(again.found.damage.isEmpty && !again.found.log.hardState.isRepairing)
                let holes = again.journal.holes
                #expect(holes.isEmpty, "after \(steps) steps")
                if isDone { break }
            }
        }
    }

    @Test("of an emptied directory fetches what there is, from its first start on")
    func emptied() throws {
        let (_, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        var disk = CrashDisk()
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        let empty = ModelLog()
        journal.append(empty.write(1, term: 1, from: 1, sizes: [], commit: 0))
        _ = try journal.finish(on: &disk)
        var fetched = model.checkpoint(at: commit)
        fetched.isFetched = true
        var opened = try open(&disk, after: fetched)
        opened.journal.giveUp(before: LogIndex(5), keptFrom: .zero)
        let holes = opened.journal.holes
        #expect(holes == [LogIndex(5)...LogIndex(commit)])
        // All of it, also where nothing comes behind for as long as that takes.
        try opened.journal.refill(from: model, on: &disk)
        let segments = disk.list().filter { $0.hasSuffix(".seg") }
        let read = try opened.journal.read(5...commit, on: disk)
        #expect(
            ids(read) == ids(model.committed.filter { $0.index >= LogIndex(5) })
                && segments.count > 3
        )
    }

    @Test("starts also where not even the first batch of its newest segment is whole")
    func firstBatch() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        for hurt in 1...4 {
            var disk = whole
            for file in segments.suffix(hurt) { disk.flip(file, at: 532) }
            for index in commit - 12...commit {
                var again = disk
                let checkpoint = model.checkpoint(at: index)
                let first = try open(&again, after: checkpoint)
                let second = try open(&again, after: checkpoint, salt: 9)
                #expect(first.found.log.lastIndex >= LogIndex(index))
                #expect(second.found.log.lastIndex == first.found.log.lastIndex)
                let isRepairing = first.found.log.hardState.isRepairing
                #expect(second.found.log.hardState.isRepairing == isRepairing)
                #expect(isRepairing || hurt == 1, "the last batch may be an unfinished write")
            }
        }
    }

    @Test("that lost all of its log begins anew after the checkpoint, as a node that repairs")
    func beginsAnew() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        for lost in [2, 5, 99] {
            var disk = whole
            let segments = whole.list().filter { $0.hasSuffix(".seg") }
            for file in segments.suffix(lost) { disk.lose(file) }
            var opened = try open(&disk, after: model.checkpoint(at: commit))
            #expect(opened.found.log.hardState.isRepairing)
            #expect(opened.found.committed.isEmpty)
            #expect(opened.found.log.lastIndex.number == commit)
            #expect(opened.found.log.tail.isEmpty)
            #expect(opened.found.log.start == model.entries[Int(commit) - 1].id)
            // Whoever has the rest has nothing older than this, and nothing has come after it yet.
            let holes = opened.journal.holes
            let first = try #require(holes.first).lowerBound
            var younger = try open(&disk, after: model.checkpoint(at: commit))
            younger.journal.giveUp(before: first.next, keptFrom: Timestamp(milliseconds: .max))
            let left = younger.journal.holes
            #expect(left == [first.next...LogIndex(commit)])
            // It goes on from there, and fetches the rest.
            var log = model
            let next = log.write(
                1,
                term: 90,
                from: commit + 1,
                sizes: [10, 2_000, 3_000],
                commit: commit
            )
            opened.journal.append(next)
            log.apply(LogWrite(number: next.number, truncateAfter: LogIndex(commit)))
            log.apply(next)
            _ = try opened.journal.finish(on: &disk)
            try opened.journal.refill(from: model, on: &disk)
            var read = try opened.journal.read(1...commit + 3, on: disk)
            #expect(ids(read) == ids(log.entries))
            var again = try open(&disk, after: model.checkpoint(at: commit), salt: 8)
            #expect(again.found.damage.isEmpty && again.found.log.lastIndex.number == commit + 3)
            read = try again.journal.read(1...commit + 3, on: disk)
            #expect(ids(read) == ids(log.entries))
        }
    }
}
