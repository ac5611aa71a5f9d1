import Journal
import Raft
import Store
import Verification

/// A merge of runs under way: what is live in some is copied into a new one, bit by bit.
struct Merging {
    enum Phase {
        case idle
        /// The lists of the inputs are read, one after another.
        case listing(FooterScan)
        /// Which records are live is looked up, some a turn.
        case choosing([FooterEntry], next: Int)
        /// Live records are read and copied.
        case copying([FooterEntry], next: Int)
        /// All are copied: the disk has to finish.
        case writing
        /// The merge is durable: where the records lie is noted, some a turn.
        case moving(next: Int)
    }
    var phase = Phase.idle
    var inputs: [Int] = []
    /// Position in `inputs` of the one that is being worked on.
    var input = 0
    /// The live records of the input that is being worked on, so far.
    var live: [FooterEntry] = []
    var moved: [(from: RecordPlace, to: RecordLocation)] = []
    var bytesBefore = 0
    /// The read under way, and what it is to bring.
    var read: (number: UInt64, read: DiskRead, entries: Range<Int>)?
    /// A piece of this input could not be read: its records are read one by one, since what cannot be read may be
    /// one that nobody needs.
    var isCareful = false
    var nextLookAt: Instant?

    var isUnderWay: Bool {
        if case .idle = phase { false } else { true }
    }
}

extension ReplicaNode {
    private static var bytesPerRead: Int { 128 * 1024 }
    private static var choicesPerTurn: Int { 4000 }
    private static var lookInterval: Duration { .seconds(1) }

    /// Does a slice of the merge under way, or begins one that is due; never beside a checkpoint.
    ///
    /// - Returns: whether more can be done at once.
    mutating func driveMerge(at now: Instant) -> Bool {
        if store.hasObsolete, case .idle = merging.phase { store.releaseObsolete() }
        if !isServing, isChoosing, merging.read == nil { abandonMerge(at: now) }
        switch merging.phase {
        case .idle: return beginMerge(at: now)
        case .listing(let scan):
            guard merging.read == nil else { return false }
            guard let piece = scan.next else {
                merging.live.removeAll(keepingCapacity: true)
                merging.phase = .choosing(scan.entries, next: 0)
                return true
            }
            read(scan.run.file, at: piece.offset, count: piece.count, entries: 0..<0)
            return false
        case .choosing(let entries, let next):
            let end = min(next + ReplicaNode.choicesPerTurn, entries.count)
            let handle = merging.inputs[merging.input]
            for entry in entries[next..<end]
            where machine.isNewest(store.place(of: entry, in: handle)) {
                merging.live.append(entry)
            }
            merging.phase = .choosing(entries, next: end)
            if end == entries.count { merging.phase = .copying(merging.live, next: 0) }
            return true
        case .copying(let entries, let next):
            guard merging.read == nil, store.wantsCopies else { return false }
            guard next < entries.count else {
                nextInput()
                return true
            }
            readRecords(entries, from: next)
            return false
        case .writing: return false
        case .moving(let next):
            move(from: next)
            return true
        }
    }

    private mutating func beginMerge(at now: Instant) -> Bool {
        // The state says what is live: by the word of one that is not to be trusted nothing is dropped.
        guard isServing, case .idle = checkpointing.phase, checkpoint != nil,
            now >= merging.nextLookAt ?? now
        else { return false }
        merging.nextLookAt = now.advanced(by: ReplicaNode.lookInterval)
        let inputs = store.mergeCandidates(configuration.state.merge, machine.durableRetention)
        guard !inputs.isEmpty, !store.hasObsolete else { return false }
        merging.inputs = inputs
        merging.input = -1
        merging.moved = []
        merging.bytesBefore = inputs.reduce(0) { $0 + (store.run($1)?.bytes ?? 0) }
        store.beginMerge(inputs)
        nextInput()
        return true
    }

    private var isChoosing: Bool {
        switch merging.phase {
        case .listing, .choosing, .copying: true
        case .idle, .writing, .moving: false
        }
    }

    private mutating func nextInput() {
        merging.input += 1
        merging.isCareful = false
        guard merging.input < merging.inputs.count else {
            store.sealMerge()
            merging.live = []
            merging.phase = .writing
            return
        }
        guard let run = store.run(merging.inputs[merging.input]) else {
            fatalError("invariant broken: an input of a merge is not held")
        }
        merging.phase = .listing(FooterScan(run))
    }

    private mutating func read(_ file: String, at offset: Int, count: Int, entries: Range<Int>) {
        let read = DiskRead(number: nextDiskReadNumber, file: file, offset: offset, count: count)
        nextDiskReadNumber += 1
        merging.read = (read.number, read, entries)
        output.loads.append(read)
    }

    /// Reads as many of the live records from here on as lie within one piece.
    private mutating func readRecords(_ entries: [FooterEntry], from next: Int) {
        guard let run = store.run(merging.inputs[merging.input]) else { return }
        let start = entries[next].offset
        var end = start + entries[next].length
        var last = next + 1
        while last < entries.count, !merging.isCareful,
            entries[last].offset + entries[last].length - start <= ReplicaNode.bytesPerRead
        {
            end = entries[last].offset + entries[last].length
            last += 1
        }
        read(run.file, at: start, count: end - start, entries: next..<last)
    }

    /// A read of the merge is done.
    ///
    /// - Returns: false if the read was none of it.
    mutating func mergeReadCompleted(
        _ number: UInt64,
        _ result: Result<[UInt8], DiskError>,
        at now: Instant
    ) -> Bool {
        guard let read = merging.read, read.number == number else { return false }
        merging.read = nil
        do {
            let bytes = try result.get()
            switch merging.phase {
            case .listing(var scan):
                try scan.take(bytes)
                merging.phase = .listing(scan)
            case .copying(let entries, _):
                for entry in entries[read.entries] {
                    try copy(entry, bytes, read.read)
                }
                merging.phase = .copying(entries, next: read.entries.upperBound)
            default: break
            }
        } catch let error as DiskError {
            if case .copying = merging.phase, !merging.isCareful {
                merging.isCareful = true
                return true
            }
            abandonMerge(at: now)
            counters.storeFailures += 1
            output.notices.append(.storeFailed("merge", error))
        } catch let error as JournalError {
            // Nothing that is live may be dropped for being damaged.
            mergeFoundDamage(error, at: now)
        } catch {
            giveUpState("\(error)")
        }
        return true
    }

    private mutating func copy(
        _ entry: FooterEntry,
        _ bytes: [UInt8],
        _ read: DiskRead
    ) throws {
        let place = store.place(of: entry, in: merging.inputs[merging.input])
        let payload = try StateStore.payload(
            of: entry,
            in: bytes,
            readAt: read.offset,
            file: read.file
        )
        var label = RecordLabel(
            hash: entry.hash,
            ordinal: entry.ordinal,
            decidedAt: nil,
            isCompact: false
        )
        let location: RecordLocation
        switch try machine.copy(of: payload, at: place) {
        case .superseded: return
        case .forgotten(let decidedAt):
            guard !machine.dropped(place) else { return }
            label.decidedAt = decidedAt
            location = store.copy(payload, label)
        case .asItIs(let decidedAt, let isCompact):
            label.decidedAt = decidedAt
            label.isCompact = isCompact
            location = store.copy(payload, label)
        case .compact(let left, let decidedAt):
            label.decidedAt = decidedAt
            label.isCompact = true
            location = store.copy(left[...], label)
        }
        merging.moved.append((place, location))
    }

    private mutating func move(from next: Int) {
        let end = min(next + configuration.state.settledPerTurn, merging.moved.count)
        for (from, to) in merging.moved[next..<end] where machine.moved(from, to: to) {
            store.isLive(to)
        }
        merging.phase = .moving(next: end)
        guard end == merging.moved.count else { return }
        endMerge()
        store.releaseObsolete()
    }

    private mutating func endMerge() {
        for handle in merging.inputs { store.unpin(handle) }
        merging.inputs = []
        merging.moved = []
        merging.live = []
        merging.phase = .idle
    }

    /// The merge is durable.
    mutating func mergePublished() {
        counters.merges += 1
        let after = merging.moved.first.flatMap { store.run($0.to.run)?.bytes } ?? 0
        output.notices.append(.merged(before: merging.bytesBefore, after: after))
        merging.phase = .moving(next: 0)
    }

    mutating func abandonMerge(at now: Instant) {
        store.abandonMerge()
        endMerge()
        merging.read = nil
        merging.nextLookAt = now.advanced(by: configuration.state.retryAfter)
    }
}
