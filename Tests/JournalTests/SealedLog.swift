import Journal
import Raft
import Testing

/// A log of many segments, all but the last few of its entries committed.
func longLog(
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
func ids(_ entries: [Entry]) -> [String] {
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

struct Opened: ~Copyable {
    var found: Found
    var journal: LogJournal
}

func open(
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
    mutating func read(
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
    mutating func refill(from model: ModelLog, on disk: inout CrashDisk) throws {
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
