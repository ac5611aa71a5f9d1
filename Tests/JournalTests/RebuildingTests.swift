import Journal
import Raft
import Testing

@Suite("segments that are made again from the entries of others")
struct RebuildingTests {
    @Test("whose sealed segments are damaged goes on at once, and makes them again from others")
    func rebuilds() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        for (position, file) in segments.dropLast(5).enumerated() {
            for harm in 0..<5 {
                var disk = whole
                switch harm {
                case 3:
                    // Each leaves a hole of its own.
                    for file in segments[position...position + 1] {
                        disk.replace(file, with: Array(try whole.contents(file).prefix(900)))
                    }
                case 0: disk.lose(file)
                case 1: disk.flip(file, at: 30)
                case 2: disk.replace(file, with: Array(try whole.contents(file).prefix(900)))
                default:
                    disk.lose(file)
                    disk.lose(segments[position + 1])
                }
                var opened = try open(&disk, after: model.checkpoint(at: commit))
                #expect(!opened.found.log.hardState.isRepairing)
                #expect(opened.found.log.lastIndex == model.last)
                #expect(opened.found.damage.allSatisfy { !$0.endsLog })
                let holes = opened.journal.holes
                #expect(holes.count <= (harm == 3 ? 2 : 1))
                try opened.journal.refill(from: model, on: &disk)
                var read = try opened.journal.read(1...commit, on: disk)
                #expect(ids(read) == ids(model.committed), "\(file), harm \(harm)")
                // And so it is after the next start.
                var again = try open(&disk, after: model.checkpoint(at: commit), salt: 77)
                let left = again.journal.holes
                #expect(left.isEmpty && again.found.damage.isEmpty, "\(file), harm \(harm)")
                read = try again.journal.read(1...commit, on: disk)
                #expect(ids(read) == ids(model.committed), "\(file), harm \(harm)")
            }
        }
    }

    @Test("takes no other entry into a hole than the one that was there")
    func wrongEntries() throws {
        let (whole, model) = try longLog()
        var disk = whole
        disk.lose(whole.list().filter { $0.hasSuffix(".seg") }[3])
        let commit = model.hardState.commitIndex.number
        var opened = try open(&disk, after: model.checkpoint(at: commit))
        let wanted = try required(opened.journal.wantedEntry)
        let at = Int(wanted.number) - 1
        var wrong = model.entries[at]
        wrong.id.term = Term(wrong.id.term.number + 1)
        for entries in [[], [wrong], [model.entries[at + 1]], [model.entries[at], wrong]] {
            let taken = opened.journal.fill(entries)
            #expect(!taken)
        }
        let taken = opened.journal.fill([model.entries[at]])
        #expect(taken)
    }

    /// A start from any checkpoint of which the journal says that it can be had, reads the log to its end.
    private func expectReplays(
        _ journal: borrowing LogJournal,
        on whole: CrashDisk,
        _ log: ModelLog,
        _ words: String
    ) throws {
        let from = journal.replaysFrom.number
        let commit = log.hardState.commitIndex.number
        try #require(from <= commit)
        for index in max(1, from)...commit where !journal.lacks(LogIndex(index)) {
            var disk = whole
            let opened = try open(&disk, after: log.checkpoint(at: index), salt: 0xD15C + index)
            #expect(
                opened.found.damage.isEmpty && !opened.found.log.hardState.isRepairing,
                "\(words): from \(index), said \(from): \(opened.found.damage.map { "\($0.error)" })"
            )
            #expect(opened.found.log.lastIndex.number == UInt64(log.entries.count), "from \(index)")
        }
    }

    @Test("says from which checkpoints on a start reads it to its end, also after it was mended")
    func replaysFrom() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        var copy = whole
        let untouched = try open(&copy, after: model.checkpoint(at: commit))
        let first = untouched.journal.replaysFrom
        #expect(first == .zero)
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        for (at, file) in segments.dropLast(3).enumerated() {
            // Found at a start, by reading now and then, and so late that the log begins anew.
            for way in 0..<3 {
                var disk = whole
                var log = model
                if way != 1 { disk.flip(file, at: 30) }
                if way == 2 { for other in segments.dropFirst(at) { disk.lose(other) } }
                var opened = try open(&disk, after: model.checkpoint(at: commit))
                if way == 1 {
                    let isSealed = opened.journal.foundDamage(in: file)
                    #expect(isSealed)
                }
                if way == 2 {
                    log.apply(LogWrite(number: WriteNumber(1), truncateAfter: LogIndex(commit)))
                    let next = log.write(
                        1,
                        term: 90,
                        from: commit + 1,
                        sizes: [10, 20],
                        commit: commit
                    )
                    opened.journal.append(next)
                    log.apply(next)
                }
                _ = try opened.journal.finish(on: &disk)
                try opened.journal.refill(from: model, on: &disk)
                let words = "\(file), way \(way)"
                try expectReplays(opened.journal, on: disk, log, "\(words), at once")
                var after = disk
                let again = try open(&after, after: model.checkpoint(at: commit), salt: 9)
                try expectReplays(again.journal, on: disk, log, "\(words), later")
            }
        }
    }

    @Test(
        "made again up to the checkpoint's entry, it is read from behind that on",
        arguments: [false, true]
    )
    func madeAgainThroughCheckpoint(isFoundByReading: Bool) throws {
        let (whole, model) = try longLog(truncating: false)
        var copy = whole
        var tried = 0
        for segment in try LogInspection(&copy).segments.dropLast(2) {
            guard let last = segment.lastEntry?.index, last <= model.hardState.commitIndex else {
                continue
            }
            tried += 1
            var disk = whole
            if !isFoundByReading { disk.lose(segment.file) }
            let checkpoint = model.checkpoint(at: last.number)
            var opened = try open(&disk, after: checkpoint)
            #expect(opened.found.log.lastIndex == model.last)
            if isFoundByReading {
                disk.flip(segment.file, at: 600)
                let isSealed = opened.journal.foundDamage(in: segment.file)
                #expect(isSealed)
            }
            _ = try opened.journal.finish(on: &disk)
            try opened.journal.refill(from: model, on: &disk)
            var mended = disk
            let again = try open(&mended, after: checkpoint, salt: 9)
            #expect(again.found.log.lastIndex == model.last, "\(segment.file)")
            #expect(again.found.damage.isEmpty, "\(again.found.damage)")
            #expect(again.journal.holes.isEmpty)
            try expectReplays(again.journal, on: disk, model, segment.file)
        }
        #expect(tried > 4)
    }

    @Test("goes on in a segment that was made again, and misses what is cut off there")
    func goesOnInMadeAgain() throws {
        let (whole, model) = try longLog(truncating: false)
        var copy = whole
        let segments = try LogInspection(&copy).segments
        var tried = 0
        for (at, segment) in segments.enumerated().dropFirst().dropLast(2) {
            guard let last = segment.lastEntry?.index, last <= model.hardState.commitIndex else {
                continue
            }
            tried += 1
            var disk = whole
            disk.lose(segment.file)
            let checkpoint = model.checkpoint(at: last.number)
            var opened = try open(&disk, after: checkpoint)
            try opened.journal.refill(from: model, on: &disk)
            // No segment behind it is left: it is the newest now.
            for other in segments.dropFirst(at + 1) { disk.flip(other.file, at: 30) }
            opened = try open(&disk, after: checkpoint, salt: 7, segmentSize: 16_384)
            #expect(opened.found.log.hardState.isRepairing)
            #expect(opened.found.log.lastIndex == last)
            var log = model
            log.apply(LogWrite(number: WriteNumber(1), truncateAfter: last))
            var size = 0
            for number in 1...3 as ClosedRange<UInt64> {
                let now = try LogInspection(&disk).segments.first { $0.file == segment.file }
                size = try #require(now).used
                let next = log.write(
                    number,
                    term: 90,
                    from: log.last.number + 1,
                    sizes: [10, 20],
                    commit: last.number
                )
                opened.journal.append(next)
                log.apply(next)
                _ = try opened.journal.finish(on: &disk)
            }
            try expectReplays(opened.journal, on: disk, log, "\(segment.file), at once")
            var after = disk
            let whole = try open(&after, after: checkpoint, salt: 8)
            #expect(whole.found.damage.isEmpty && whole.found.log.lastIndex == log.last)
            try expectReplays(whole.journal, on: disk, log, "\(segment.file), later")

            // The promise is of the first batch: only the file's size tells of those behind it.
            disk.replace(segment.file, with: Array(try disk.contents(segment.file).prefix(size)))
            let short = try open(&disk, after: checkpoint, salt: 9)
            #expect(short.found.log.hardState.isRepairing, "\(segment.file)")
            #expect(short.found.damage.map(\.endsLog) == [true], "\(segment.file)")
            #expect(short.found.log.lastIndex.number == log.last.number - 2)
            // Once it is mended there is nothing more to find.
            let again = try open(&disk, after: checkpoint, salt: 10)
            #expect(again.found.damage.isEmpty, "\(again.found.damage)")
        }
        #expect(tried > 4)
    }

    /// One of its segments is damaged.
    private func hurtLog() throws -> (hurt: CrashDisk, model: ModelLog, file: String) {
        let (whole, model) = try longLog()
        let file = whole.list().filter { $0.hasSuffix(".seg") }[4]
        var hurt = whole
        hurt.flip(file, at: 30)
        return (hurt, model, file)
    }

    @Test("survives a crash at any step of making a segment again")
    func crashWhileRebuilding() throws {
        let (hurt, model, _) = try hurtLog()
        let commit = model.hardState.commitIndex.number
        for keepsNames in [false, true] {
            var steps = 0
            while true {
                var disk = hurt
                var opened = try open(&disk, after: model.checkpoint(at: commit))
                disk.failsAt = disk.performed + steps
                let isDone = (try? opened.journal.refill(from: model, on: &disk)) != nil
                disk = disk.afterPowerCut(.onlySynced, keepsNames: keepsNames)
                var again = try open(&disk, after: model.checkpoint(at: commit))
                #expect(!again.found.log.hardState.isRepairing)
                try again.journal.refill(from: model, on: &disk)
                let read = try again.journal.read(1...commit, on: disk)
                #expect(ids(read) == ids(model.committed), "after \(steps) steps")
                if isDone { break }
                steps += 1
            }
            #expect(steps > 6)
        }
    }

    @Test("makes a segment again where room was missing at a step of it, keeping the damaged one")
    func fullWhileRebuilding() throws {
        let (hurt, model, file) = try hurtLog()
        let commit = model.hardState.commitIndex.number
        var steps = 0
        while true {
            var disk = hurt
            var opened = try open(&disk, after: model.checkpoint(at: commit))
            disk.fullAt = disk.performed + steps
            // The entries come until there is no room for some of them.
            while !disk.isFull, let wanted = opened.journal.wantedEntry {
                let from = Int(wanted.number) - 1
                let taken = opened.journal.fill(Array(model.entries[from..<from + 3]))
                try #require(taken)
                _ = try opened.journal.finish(on: &disk)
            }
            let wasFull = disk.isFull
            disk.fullAt = nil
            disk.isFull = false
            opened.journal.tryForRoom()
            _ = try opened.journal.finish(on: &disk)
            try opened.journal.refill(from: model, on: &disk)
            let read = try opened.journal.read(1...commit, on: disk)
            #expect(ids(read) == ids(model.committed), "after \(steps) steps")
            let kept = disk.list().filter { $0.hasPrefix("damaged-") && $0.hasSuffix(file) }
            #expect(try kept.map { try disk.contents($0) } == [hurt.contents(file)])
            let again = try open(&disk, after: model.checkpoint(at: commit), salt: 77)
            let left = again.journal.holes
            #expect(left.isEmpty && again.found.damage.isEmpty, "after \(steps) steps")
            if !wasFull { break }
            steps += 1
        }
        #expect(steps > 6)
    }

    @Test("of two segments that changed places misses what these held, and no more")
    func changedPlaces() throws {
        let (whole, model) = try longLog(truncating: false)
        let commit = model.hardState.commitIndex.number
        var copy = whole
        let parts = try LogInspection(&copy).segments.filter { $0.firstEntry != nil }
        let segments = parts.map(\.file)
        for one in segments.indices.dropLast() {
            for other in segments.indices.dropFirst(one + 1) {
                var disk = whole
                disk.replace(segments[one], with: try whole.contents(segments[other]))
                disk.replace(segments[other], with: try whole.contents(segments[one]))
                var opened = try open(&disk, after: model.checkpoint(at: commit))
                for (at, part) in parts.enumerated().dropLast(2) where at != one && at != other {
                    let isLacking = opened.journal.lacks(try required(part.firstEntry).index)
                    #expect(!isLacking, "\(part.file) of \(one) and \(other)")
                }
                _ = try opened.journal.finish(on: &disk)
                try opened.journal.refill(from: model, on: &disk)
                var again = try open(&disk, after: model.checkpoint(at: commit), salt: 8)
                let holes = again.journal.holes
                #expect(holes.isEmpty && again.found.damage.isEmpty, "\(one) and \(other)")
                let read = try again.journal.read(1...commit, on: disk)
                #expect(ids(read) == ids(model.committed))
            }
        }
    }

    @Test("makes a segment again together with what is missing behind it, where no number is left")
    func noNumberLeft() throws {
        let (whole, model) = try longLog(truncating: false)
        let commit = model.hardState.commitIndex.number
        let segments = whole.list().filter { $0.hasSuffix(".seg") }
        // Made again, the second of two begins with a later entry than it did.
        var tried = 0
        for at in 3..<segments.count - 4 {
            var made = whole
            made.lose(segments[at])
            made.lose(segments[at + 1])
            var opened = try open(&made, after: model.checkpoint(at: commit))
            try opened.journal.refill(from: model, on: &made)
            var disk = whole
            guard made.list().contains(segments[at + 1]) else { continue }
            disk.replace(segments[at + 1], with: try made.contents(segments[at + 1]))
            disk.lose(segments[at + 1].replacing(".seg", with: ".idx"))
            var short = try open(&disk, after: model.checkpoint(at: commit), salt: 7)
            guard let hole = short.journal.holes.first else { continue }
            tried += 1
            try short.journal.refill(from: model, on: &disk)
            var again = try open(&disk, after: model.checkpoint(at: commit), salt: 8)
            let left = again.journal.holes
            #expect(left.isEmpty && again.found.damage.isEmpty, "\(hole)")
            let read = try again.journal.read(1...commit, on: disk)
            #expect(ids(read) == ids(model.committed))
        }
        #expect(tried > 0)
    }

    @Test("whose newest segments changed places with older ones keeps those between")
    func newestChangedPlaces() throws {
        let (whole, model) = try longLog()
        let commit = model.hardState.commitIndex.number
        var copy = whole
        let segments = try LogInspection(&copy).segments
        for late in segments.indices.suffix(4) {
            for early in [1, 4] {
                var hurt = whole
                let (first, second) = (segments[early].file, segments[late].file)
                hurt.replace(first, with: try whole.contents(second))
                hurt.replace(second, with: try whole.contents(first))
                for index in commit - 12...commit {
                    var disk = hurt
                    let opened = try open(&disk, after: model.checkpoint(at: index))
                    #expect(opened.found.log.lastIndex >= LogIndex(index))
                    // The last one's part of the log is known only if its last entry was not replaced in the next.
                    let last = try #require(segments[late - 1].lastEntry)
                    let isReplaced = !model.entries.contains { $0.id == last }
                    for segment in segments[early + 1..<(isReplaced ? late - 1 : late)] {
                        let kept = try #require(segment.firstEntry).index
                        let lacks = opened.journal.lacks(kept)
                        #expect(!lacks, "\(kept) of \(segment.file), checkpoint \(index)")
                    }
                }
            }
        }
    }

    @Test("whose only two segments changed places begins anew, and fetches what they held")
    func onlyTwoChangedPlaces() throws {
        let (whole, model) = try longLog(entries: 30, truncating: false)
        var copy = whole
        let segments = try LogInspection(&copy).segments
        let (first, second) = (segments[0].file, segments[1].file)
        let last = try #require(segments[0].lastEntry?.index.number)
        for index in [last - 1, last, last + 1] {
            var disk = whole
            for segment in segments.dropFirst(2) { disk.lose(segment.file) }
            disk.replace(first, with: try whole.contents(second))
            disk.replace(second, with: try whole.contents(first))
            var opened = try open(&disk, after: model.checkpoint(at: index))
            #expect(opened.found.log.hardState.isRepairing)
            #expect(opened.found.log.lastIndex.number == index)
            var log = model
            log.entries.removeSubrange(Int(index)...)
            let next = log.write(1, term: 90, from: index + 1, sizes: [10], commit: index)
            opened.journal.append(next)
            log.apply(next)
            _ = try opened.journal.finish(on: &disk)
            try opened.journal.refill(from: model, on: &disk)
            #expect(opened.journal.holes.isEmpty)
            var read = try opened.journal.read(1...index + 1, on: disk)
            #expect(ids(read) == ids(log.entries))
            var again = try open(&disk, after: model.checkpoint(at: index), salt: 8)
            #expect(again.found.damage.isEmpty && again.journal.holes.isEmpty)
            read = try again.journal.read(1...index + 1, on: disk)
            #expect(ids(read) == ids(log.entries))
        }
    }
}
