import Journal
import Raft
import Testing

/// A log of many segments, all but the last few of its entries committed.
private func longLog(
    entries: Int = 120,
    truncating: Bool = true
) throws -> (disk: CrashDisk, model: ModelLog) {
    var disk = CrashDisk()
    var model = ModelLog()
    var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
        .takeJournal()
    var number: UInt64 = 0
    while model.last.number < UInt64(entries) {
        number += 1
        let term = number / 10 + 1
        // Now and then an entry that was not committed is replaced.
        let replaces =
            truncating && number % 10 == 0 && model.last > model.hardState.commitIndex
        let commit = max(
            model.hardState.commitIndex.number,
            min(
                model.last.number - min(2, model.last.number),
                replaces ? model.last.number - 1 : .max
            )
        )
        let write = model.write(
            number,
            term: term,
            from: replaces ? model.last.number : model.last.number + 1,
            sizes: [100, 300, 50],
            commit: commit,
            salt: UInt8(truncatingIfNeeded: number)
        )
        journal.append(write)
        model.apply(write)
        _ = try journal.finish(on: &disk)
    }
    return (disk, model)
}

/// Which entries these are, with a digest of each; short enough to be looked at.
private func ids(_ entries: [Entry]) -> [String] {
    entries.map { "\($0.id):\($0.payload.count):\($0.payload.reduce(0) { $0 &* 31 &+ Int($1) })" }
}

extension ModelLog {
    func checkpoint(at index: UInt64) -> LogCheckpoint {
        let entry = entries[Int(index) - 1]
        return LogCheckpoint(
            last: entry.id,
            time: entry.time,
            terms: runs.filter { $0.first <= entry.index }
        )
    }
}

private struct Opened: ~Copyable {
    var found: Found
    var journal: LogJournal
}

private func open(
    _ disk: inout CrashDisk,
    after checkpoint: LogCheckpoint,
    salt: UInt64 = 0x5A17,
    segmentSize: Int = 4096,
    canRepair: Bool = true
) throws(JournalError) -> Opened {
    var committed: [Entry] = []
    let recovered = try LogJournal.recover(
        from: &disk,
        configuration: configuration(salt: salt, segmentSize: segmentSize, canRepair: canRepair),
        after: checkpoint
    ) {
        committed.append($0)
    }
    let found = Found(
        log: recovered.log,
        committed: committed,
        tornTail: recovered.tornTail,
        damage: recovered.damage
    )
    return Opened(found: found, journal: recovered.takeJournal())
}

extension LogJournal {
    /// All entries of a range, read as a lagging follower is served.
    fileprivate mutating func read(
        _ range: ClosedRange<UInt64>,
        on disk: CrashDisk
    ) throws -> [Entry] {
        var entries: [Entry] = []
        var next = LogIndex(range.lowerBound)
        while next.number <= range.upperBound {
            guard let read = planRead(from: next, maxBytes: 2_000) else { return entries }
            let bytes = try disk.read(read.file, at: read.offset, count: read.count)
            let more = try self.entries(in: bytes, of: read, from: next, maxBytes: 2_000)
            entries += more
            next = LogIndex(next.number + UInt64(more.count))
        }
        return entries.filter { $0.index.number <= range.upperBound }
    }

    /// Fetches what is missing from somebody who has it.
    fileprivate mutating func refill(from model: ModelLog, on disk: inout CrashDisk) throws {
        var rounds = 0
        while let wanted = wantedEntry {
            rounds += 1
            try #require(rounds < 1_000)
            let from = Int(wanted.number) - 1
            let taken = fill(Array(model.entries[from..<min(from + 5, model.entries.count)]))
            try #require(taken, "entry \(wanted) for \(holes)")
            _ = try finish(on: &disk)
        }
    }
}

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
