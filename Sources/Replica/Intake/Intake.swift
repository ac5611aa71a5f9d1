internal import Journal
internal import Raft
internal import Verification

/// Callbacks that this node has acknowledged before they stand in the log.
///
/// A record is taken in, made durable, proposed under the request ID that it was taken in with, however often that
/// takes, and called done when an entry with that ID is applied. Whether a callback is counted once is the
/// state machine's to say, which knows the ID; that none is lost is this one's.
struct Intake {
    struct Record {
        let callback: Callback
        var stage = Stage.waiting
        /// Its place in the request table while it is proposed or forwarded.
        var sequence: UInt64?
        /// Who waits for it to become durable.
        var waiting: [Waiter] = []
        /// Received again since.
        var repeats: UInt32 = 0
        var lastRepeatAt = WallTime(milliseconds: 0)
        /// The log had the same callback under another request before this one was acknowledged.
        var isRepeat = false
        let bytes: Int
        /// Something of it may be on the disk.
        var isOnDisk = false
        /// An earlier process may have acknowledged it: it is given up for nothing, and need not be durable once
        /// more before it is proposed.
        var isRestored = false
        /// The log has it, and found no attempt by then; whether there is one now is asked.
        var isRefused = false
        /// That question was begun when nobody had been told since that it is taken in.
        var isAsked = false
        /// How often it was.
        var questions = 0

        var mayBeProposed: Bool {
            sequence == nil && !isRefused && (stage == .durable || isRestored)
        }
    }
    enum Stage: Hashable {
        case waiting
        /// In the batch under way.
        case writing
        case durable
    }
    struct Waiter {
        var context: UInt64
        var since: Instant
        var deadline: Instant
        /// Set when it is told.
        var isRepeat = false
    }
    private struct Key: Hashable {
        var attempt: AttemptID
        var key: CallbackKey
    }

    private(set) var journal: IntakeJournal
    /// Looked up, or walked in the order of `queue`.
    var records: [UInt64: Record] = [:]
    var byRequest: [RequestID: UInt64] = [:]
    private var byKey: [Key: UInt64] = [:]
    /// Numbers of records in the order in which they were taken in; some may be done, and those before
    /// `head` are.
    var queue: [UInt64] = []
    var head = 0
    private var toWrite: [IntakeItem] = []
    /// What was found on the disk, until it is written again; after what is new, and not before `tryForRoom`
    /// where there was no room for it.
    private var toRewrite: [IntakeItem] = []
    private var waitsForRoom = false
    /// Records that are not needed any more once a restart applies the entry that they came to.
    var done: [(number: UInt64, at: LogIndex)] = []
    /// What the batch under way writes.
    private var underWay: [IntakeItem] = []
    private var batchNumber: UInt64 = 0
    private(set) var bytes = 0
    /// What the records cost that are proposed or forwarded and not applied yet.
    var submittedBytes = 0
    /// Those that may be proposed.
    var readyCount = 0
    var refusedCount = 0
    private(set) var isWriting = false

    init(_ journal: IntakeJournal) { self.journal = journal }

    var count: Int { records.count }
    var diskBytes: Int { journal.diskBytes }

    /// When the oldest record was received.
    var oldest: WallTime? { firstNumber.flatMap { records[$0]?.callback.origin.receivedAt } }

    private var firstNumber: UInt64? { queue[head...].first { records[$0] != nil } }

    /// A record that was found on the disk.
    ///
    /// It is written again: what a process reads may be what an earlier one wrote and could not make
    /// durable.
    mutating func restore(_ number: UInt64, _ callback: Callback, payload: [UInt8]) {
        var record = Record(callback: callback, bytes: payload.count)
        record.isOnDisk = true
        record.isRestored = true
        add(number, record)
        readyCount += 1
        toRewrite.append(.taken(number: number, payload: payload))
    }

    private mutating func add(_ number: UInt64, _ record: Record) {
        bytes += record.bytes
        byRequest[record.callback.origin.request] = number
        byKey[Key(attempt: record.callback.attempt, key: record.callback.key)] = number
        queue.append(number)
        records[number] = record
    }

    /// The record that holds a key.
    func record(of callback: Callback) -> (number: UInt64, callback: Callback, isDurable: Bool)? {
        guard
            let number = byKey[Key(attempt: callback.attempt, key: callback.key)],
            let record = records[number]
        else { return nil }
        return (number, record.callback, record.stage == .durable)
    }

    /// Takes a callback in, which becomes durable with one of the next batches.
    mutating func take(_ callback: Callback, waiter: Waiter) {
        var command: [UInt8] = []
        Command.callback(callback).encode(into: &command)
        let number = journal.takeNumber()
        add(
            number,
            Record(callback: callback, waiting: [waiter], bytes: command.count)
        )
        toWrite.append(.taken(number: number, payload: command))
    }

    /// The same callback was received again.
    mutating func repeated(_ number: UInt64, at time: WallTime, waiter: Waiter?) {
        records[number]?.repeats += 1
        records[number]?.lastRepeatAt = time
        wait(waiter, for: number)
    }

    /// Someone else is told that a record is taken in, at once or when it is durable.
    mutating func wait(_ waiter: Waiter?, for number: UInt64) {
        records[number]?.isAsked = false
        if let waiter { records[number]?.waiting.append(waiter) }
    }

    // MARK: Disk

    /// The next batch, if there is something to write and none is under way.
    ///
    /// What only says that records are done waits for company, or until `isDue`; and in any case until a
    /// restart would apply their entries, which are those through `known`: a node that had neither the
    /// record nor the entry would take the same callback for a new one.
    mutating func nextBatch(isDue: Bool, known: LogIndex) -> DiskBatch? {
        let isDue = isDue && (done.first.map { $0.at <= known } ?? false)
        let rewrites = toWrite.isEmpty && !waitsForRoom && !toRewrite.isEmpty
        guard !isWriting, !toWrite.isEmpty || rewrites || isDue else { return nil }
        var items: [IntakeItem] = []
        var size = 0
        let limit = journal.maxBatchBytes
        if rewrites {
            Intake.takeItems(from: &toRewrite, noting: &records, into: &items, &size, limit: limit)
        } else {
            Intake.takeItems(from: &toWrite, noting: &records, into: &items, &size, limit: limit)
        }
        var count = 0
        for (number, index) in done {
            guard index <= known, size + 16 <= limit else { break }
            size += 16
            count += 1
            items.append(.done(number: number))
        }
        done.removeFirst(count)
        guard !items.isEmpty else { return nil }
        underWay = items
        isWriting = true
        batchNumber += 1
        return DiskBatch(number: batchNumber, operations: journal.append(items))
    }

    /// Moves to a batch what fits into it.
    private static func takeItems(
        from list: inout [IntakeItem],
        noting records: inout [UInt64: Record],
        into items: inout [IntakeItem],
        _ size: inout Int,
        limit: Int
    ) {
        var count = 0
        for item in list {
            // What is applied already needs no record.
            guard case .taken(let number, let payload) = item, records[number] != nil else {
                count += 1
                continue
            }
            let more = payload.count + 16
            guard size + more <= limit else { break }
            size += more
            count += 1
            records[number]?.stage = .writing
            records[number]?.isOnDisk = true
            items.append(item)
        }
        list.removeFirst(count)
    }

    /// The batch under way is durable.
    ///
    /// - Returns: who waited for it.
    mutating func written(_ number: UInt64) -> [Waiter] {
        invariant(isWriting && number == batchNumber, "intake batch \(number) is not under way")
        isWriting = false
        var waiters: [Waiter] = []
        for case .taken(let number, _) in underWay {
            guard let record = records[number] else { continue }
            records[number]?.stage = .durable
            if !record.isRestored, !record.isRefused { readyCount += 1 }
            if !record.waiting.isEmpty { records[number]?.isAsked = false }
            waiters += takeWaiters(number)
        }
        underWay = []
        return waiters
    }

    /// Room may have come for what was found on the disk.
    mutating func tryForRoom() { waitsForRoom = false }

    /// The batch under way found no room: its records are not taken in, but for those that were found on the disk,
    /// which are there still and are tried again.
    ///
    /// - Returns: who waited for them.
    mutating func foundNoRoom(_ number: UInt64) -> [Waiter] {
        invariant(isWriting && number == batchNumber, "intake batch \(number) is not under way")
        isWriting = false
        journal.foundNoRoom()
        var waiters: [Waiter] = []
        var put: [(number: UInt64, at: LogIndex)] = []
        var kept: [IntakeItem] = []
        // What is new is told at once; the rest waits where it is.
        for item in underWay + toWrite {
            switch item {
            case .taken(let number, _):
                waiters += takeWaiters(number)
                if records[number]?.isRestored == true {
                    records[number]?.stage = .waiting
                    kept.append(item)
                } else {
                    forget(number)
                }
            case .done(let number): put.append((number, .zero))
            }
        }
        done.insert(contentsOf: put, at: 0)
        toWrite = []
        toRewrite.insert(contentsOf: kept, at: 0)
        waitsForRoom = true
        underWay = []
        return waiters
    }

    private mutating func takeWaiters(_ number: UInt64) -> [Waiter] {
        guard let record = records[number] else { return [] }
        records[number]?.waiting = []
        return Intake.told(record)
    }

    private static func told(_ record: Record) -> [Waiter] {
        var waiting = record.waiting
        for at in waiting.indices { waiting[at].isRepeat = record.isRepeat }
        return waiting
    }

    /// A callback was applied: if its key is held here under another request, one of the two is a repeat.
    ///
    /// It was received twice before the log had it.
    ///
    /// - Returns: whether that is the one in the log, since what is held here was acknowledged before.
    mutating func meets(_ callback: Callback) -> Bool {
        guard !records.isEmpty,
            let number = byKey[Key(attempt: callback.attempt, key: callback.key)],
            let record = records[number],
            record.callback.origin.request != callback.origin.request,
            record.callback.hasMeaning(of: callback)
        else { return false }
        if record.stage == .durable || record.isRestored { return true }
        records[number]?.isRepeat = true
        return false
    }

    /// Takes out those who have waited too long.
    mutating func expire(at now: Instant) -> [Waiter] {
        guard isWriting || !toWrite.isEmpty || !toRewrite.isEmpty else { return [] }
        var expired: [Waiter] = []
        for number in queue[head...] {
            guard let record = records[number], !record.waiting.isEmpty else { continue }
            expired += record.waiting.filter { $0.deadline <= now }
            records[number]?.waiting.removeAll { $0.deadline <= now }
        }
        return expired
    }

    // MARK: Into the log

    /// Records that may be proposed, oldest first: so many that those under way come to no
    /// more than `bytes`, but at least one.
    func ready(bytes limit: Int) -> [(number: UInt64, callback: Callback)] {
        var bytes = submittedBytes
        guard readyCount > 0, bytes < limit else { return [] }
        var ready: [(number: UInt64, callback: Callback)] = []
        for number in queue[head...] {
            guard ready.count < readyCount else { break }
            guard let record = records[number], record.mayBeProposed else { continue }
            bytes += Intake.cost(of: record)
            guard bytes <= limit || (ready.isEmpty && submittedBytes == 0) else { break }
            ready.append((number, record.callback))
        }
        return ready
    }

    /// As a leader counts it among what its peers forward.
    static func cost(of record: Record) -> Int { record.bytes + Entry.headerCost }

    mutating func submitted(_ number: UInt64, as sequence: UInt64) {
        guard let record = records[number] else { return }
        records[number]?.sequence = sequence
        readyCount -= 1
        submittedBytes += Intake.cost(of: record)
    }

    /// What became of the record that an applied entry is of.
    struct Applied {
        var callback: Callback
        /// Its place in the request table, if it was submitted.
        var sequence: UInt64?
        var waiting: [Waiter]
        var repeats: UInt32
        var lastRepeatAt: WallTime
    }

    /// The entry at `index`, which has this request ID, was applied: its record is done.
    ///
    /// - Returns: what is to be done about it; nil if the intake does not hold it.
    mutating func applied(_ request: RequestID, at index: LogIndex) -> Applied? {
        guard let number = byRequest[request], let record = records[number] else { return nil }
        if record.sequence != nil { submittedBytes -= Intake.cost(of: record) }
        if record.mayBeProposed { readyCount -= 1 }
        if record.isOnDisk { done.append((number, index)) }
        forget(number)
        return Applied(
            callback: record.callback,
            sequence: record.sequence,
            waiting: Intake.told(record),
            repeats: record.repeats,
            lastRepeatAt: record.lastRepeatAt
        )
    }

    mutating func forget(_ number: UInt64) {
        guard let record = records.removeValue(forKey: number) else { return }
        if record.isRefused { refusedCount -= 1 }
        bytes -= record.bytes
        byRequest[record.callback.origin.request] = nil
        let key = Key(attempt: record.callback.attempt, key: record.callback.key)
        if byKey[key] == number { byKey[key] = nil }
        // Done nearly in order.
        while head < queue.count, records[queue[head]] == nil { head += 1 }
        guard head > 1024 || head == queue.count, head > queue.count / 2 else { return }
        queue.removeFirst(head)
        head = 0
    }
}
