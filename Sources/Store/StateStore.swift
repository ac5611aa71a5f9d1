package import Journal
package import Raft
package import Verification

/// The runs of attempt records on disk, and the checkpoints that are made of them.
///
/// Pure: it says what is to be done on the disk and is told when it is. Its work goes to a queue of its
/// own, so that the log never waits for it; at most one batch is under way. Unlike the log's, a batch may
/// fail: what was being written is given up, and nothing is trusted of it.
package struct StateStore: Sendable {
    /// What a batch that was completed has brought.
    package enum Progress: Hashable, Sendable {
        case wrote
        /// A checkpoint is durable: the state can be restored as it was at its entry.
        case checkpoint(Manifest)
        /// Runs were replaced by copies of what was live in them.
        case merge(Manifest)
        /// The checkpoint was moved aside, as far as the disk let it.
        case setAside
        /// The checkpoint, or the merge, was given up; the newest durable one still holds.
        case failed(Work, DiskError)
    }

    package enum Work: Hashable, Sendable {
        case checkpoint
        case merge
        case removal
        case setAside
    }

    struct Held: Sendable {
        var run: Run
        /// Its name, which each read needs.
        let file: String
        /// Bytes of records of which no newer version is durable.
        var liveBytes = 0
        /// Reads under way, and transfers, that need the file.
        var pins = 0
        var mending = Mending.none

        init(run: Run) {
            self.run = run
            file = run.file
        }
    }

    /// What is to become of a run that is not what was written.
    package enum Mending: Hashable, Sendable {
        /// Nothing is known to be wrong with it.
        case none
        /// All that is live in it can be read: it is merged, and what is damaged goes with its file.
        case merge
        /// Something live in it cannot be read, of which a merge would have nothing to copy.
        case keep
    }

    /// What is written: the run in the making, and what the manifest will say.
    struct Job: Sendable {
        var writer: RunWriter?
        var handle: Int
        var isSealed = false
        var manifest: Manifest
        /// Of a merge: the runs that are replaced.
        var inputs: [Int] = []
    }

    private struct UnderWay: Sendable {
        var number: UInt64
        var work: Work
        var isPublication: Bool
        var temporary: String?
    }

    /// Bytes of records that may wait for the disk before `wantsRecords` says no.
    private static let maxPending = 3 * RunWriter.pieceSize

    package let cluster: String
    package let node: NodeID
    let pieceSize: Int
    /// By handle, the number that locations have.
    var held: [Held?] = []
    /// Handles of the runs in the newest durable manifest, oldest first.
    private(set) var order: [Int] = []
    /// The newest durable one.
    package private(set) var manifest: Manifest? {
        didSet { checkpointEntry = manifest?.entry }
    }
    /// The entry that it stands for; asked for in each turn, for which a manifest is too large to copy.
    package private(set) var checkpointEntry: EntryID?
    private var nextRun: UInt64
    private var nextTemporary: UInt64 = 1
    private var batches: UInt64 = 0
    private var underWay: UnderWay?
    var checkpoint: Job?
    var merge: Job?
    /// Handles of runs that no manifest has any more, until nobody reads them.
    private var obsolete: [Int] = []
    /// Files that are of no use, to be removed now.
    private var removals: [String] = []
    /// Files of a publication that failed: the disk may have it or not, so they stay until the next
    /// one is durable.
    private var doubtful: [String] = []

    /// A store with what a manifest names, or an empty one; a piece is what one write has, about.
    package init(
        cluster: String,
        node: NodeID,
        manifest: Manifest?,
        pieceSize: Int? = nil
    ) {
        self.cluster = cluster
        self.node = node
        self.manifest = manifest
        checkpointEntry = manifest?.entry
        self.pieceSize = pieceSize ?? RunWriter.pieceSize
        nextRun = manifest?.nextRun ?? 1
        for run in manifest?.runs ?? [] {
            order.append(held.count)
            held.append(Held(run: run))
        }
    }

    // MARK: A checkpoint

    /// Begins a checkpoint; `runs` and `nextRun` of the manifest are the store's to fill in.
    ///
    /// - Precondition: none is under way.
    package mutating func beginCheckpoint(_ manifest: Manifest) {
        invariant(checkpoint == nil, "a checkpoint begun beside another")
        checkpoint = Job(writer: nil, handle: 0, manifest: manifest)
    }

    package var isCheckpointUnderWay: Bool { checkpoint != nil }

    /// Whether little enough waits for the disk that more records may come.
    package var wantsRecords: Bool {
        (checkpoint?.writer?.pendingBytes ?? 0) < Self.maxPending
    }

    /// Adds a record to the checkpoint under way.
    ///
    /// - Returns: where it will lie once the checkpoint is durable.
    package mutating func write(
        _ payload: ArraySlice<UInt8>,
        _ label: RecordLabel
    ) -> RecordLocation {
        guard checkpoint != nil else { fatalError("invariant broken: no checkpoint is under way") }
        if checkpoint?.writer == nil {
            let (writer, handle) = beginRun(at: checkpoint?.manifest.time)
            checkpoint?.writer = writer
            checkpoint?.handle = handle
        }
        guard let entry = checkpoint?.writer?.append(payload, label) else {
            fatalError("invariant broken: no run for a checkpoint's record")
        }
        return location(of: entry, in: checkpoint?.handle ?? 0)
    }

    /// All records of the checkpoint were added.
    package mutating func sealCheckpoint() {
        checkpoint?.isSealed = true
        checkpoint?.writer?.seal()
    }

    func location(of entry: FooterEntry, in handle: Int) -> RecordLocation {
        RecordLocation(run: handle, offset: entry.offset, length: entry.length)
    }

    mutating func beginRun(at time: Timestamp?) -> (RunWriter, Int) {
        let writer = RunWriter(
            sequence: nextRun,
            time: LogTime(milliseconds: time?.milliseconds ?? 0),
            pieceSize: pieceSize
        )
        nextRun += 1
        let run = Run(sequence: writer.sequence)
        if let free = held.firstIndex(where: { $0 == nil }) {
            held[free] = Held(run: run)
            return (writer, free)
        }
        held.append(Held(run: run))
        return (writer, held.count - 1)
    }

    // MARK: Batches

    /// The next work for the disk; `nil` if some is under way or none waits.
    ///
    /// `mayPublish` is whether the log on this disk holds the checkpoint's entry by now: a state must
    /// not be durable before the log that it stands for.
    package mutating func nextBatch(mayPublish: Bool) -> DiskBatch? {
        guard underWay == nil else { return nil }
        if let file = removals.popLast() {
            return batch([.remove(file: file)], .removal)
        }
        if checkpoint != nil {
            if let operations = checkpoint?.writer?.nextOperations() {
                return batch(operations, .checkpoint)
            }
            if let job = checkpoint, job.isSealed, job.writer?.isDone ?? true, mayPublish {
                return publish(runs: order + (job.writer == nil ? [] : [job.handle]), .checkpoint)
            }
            return nil
        }
        if merge != nil {
            if let operations = merge?.writer?.nextOperations() {
                return batch(operations, .merge)
            }
            if let job = merge, job.isSealed, job.writer?.isDone ?? true {
                return publish(runs: merged(job), .merge)
            }
        }
        return nil
    }

    /// Moves the newest checkpoint aside: it is of no use any more.
    package mutating func setAsideBatch() -> DiskBatch {
        invariant(underWay == nil, "the checkpoint moved aside beside a batch")
        return batch(StateStore.setAside, .setAside)
    }

    package var isBatchUnderWay: Bool { underWay != nil }
    /// ENOENT.
    private static let noSuchFile: Int32 = 2

    /// Has a file removed that no manifest names.
    package mutating func remove(_ file: String) { removals.append(file) }

    private mutating func batch(
        _ operations: [DiskOperation],
        _ work: Work,
        isPublication: Bool = false,
        temporary: String? = nil
    ) -> DiskBatch {
        batches += 1
        underWay = UnderWay(
            number: batches,
            work: work,
            isPublication: isPublication,
            temporary: temporary
        )
        return DiskBatch(number: batches, operations: operations)
    }

    /// Replaces the manifest: what the runs hold is durable, and so are their names, before it is.
    private mutating func publish(runs: [Int], _ work: Work) -> DiskBatch {
        guard var job = work == .checkpoint ? checkpoint : merge else {
            fatalError("invariant broken: nothing to publish")
        }
        if let run = job.writer?.run { held[job.handle]?.run = run }
        if work == .merge, let newest = manifest { job.manifest = newest }
        job.manifest.cluster = cluster
        job.manifest.node = node
        job.manifest.nextRun = nextRun
        job.manifest.runs = runs.compactMap { held[$0]?.run }
        if work == .checkpoint { checkpoint = job } else { merge = job }
        let temporary = RunName.temporary(nextTemporary)
        nextTemporary += 1
        return batch(
            [
                .create(file: temporary, size: 0),
                .write(file: temporary, offset: 0, bytes: job.manifest.encoded()),
                .sync(file: temporary), .syncDirectory,
                .rename(from: temporary, to: RunName.manifest), .syncDirectory,
            ],
            work,
            isPublication: true,
            temporary: temporary
        )
    }

    /// Takes note of what became of a batch.
    ///
    /// - Precondition: `number` is that of the batch under way.
    package mutating func completed(
        _ number: UInt64,
        _ result: Result<Void, DiskError>
    ) -> Progress {
        guard let done = underWay, done.number == number else {
            fatalError("invariant broken: batch \(number) completed but not under way")
        }
        underWay = nil
        if done.work == .setAside { return .setAside }
        switch result {
        case .success:
            guard done.isPublication else { return .wrote }
            return published(done.work)
        case .failure(let error):
            // What is to go may never have come.
            if done.work == .removal, error.code == StateStore.noSuchFile { return .wrote }
            if done.work != .removal { giveUp(done) }
            return .failed(done.work, error)
        }
    }

    private mutating func published(_ work: Work) -> Progress {
        removals += doubtful
        doubtful = []
        if work == .checkpoint, let job = checkpoint {
            checkpoint = nil
            manifest = job.manifest
            if job.writer != nil { order.append(job.handle) }
            return .checkpoint(job.manifest)
        }
        guard let job = merge else { fatalError("invariant broken: nothing was published") }
        order = merged(job)
        merge = nil
        manifest = job.manifest
        obsolete += job.inputs
        return .merge(job.manifest)
    }

    /// A batch failed: what it belonged to is given up.
    private mutating func giveUp(_ failed: UnderWay) {
        let job = failed.work == .checkpoint ? checkpoint : merge
        if failed.work == .checkpoint { checkpoint = nil } else { merge = nil }
        var files: [String] = []
        if let writer = job?.writer {
            files.append(writer.file)
            if let handle = job?.handle { held[handle] = nil }
        }
        if let temporary = failed.temporary { files.append(temporary) }
        // Where the manifest itself failed, the disk may have the new one.
        if failed.isPublication { doubtful += files } else { removals += files }
    }

    /// The checkpoint under way is given up for a reason of the caller's.
    ///
    /// - Precondition: no batch of it is under way.
    package mutating func abandonCheckpoint() {
        invariant(underWay?.work != .checkpoint, "a checkpoint abandoned with a batch under way")
        guard let job = checkpoint else { return }
        checkpoint = nil
        guard let writer = job.writer else { return }
        removals.append(writer.file)
        held[job.handle] = nil
    }

    /// The merge under way is given up.
    package mutating func abandonMerge() {
        guard let job = merge else { return }
        merge = nil
        guard let writer = job.writer else { return }
        removals.append(writer.file)
        held[job.handle] = nil
    }

    // MARK: Runs

    /// The order of runs once a merge is published: its run stands where its newest input stood.
    ///
    /// What it holds was the newest version when it was copied; a newer one can only be in runs
    /// that were begun after, which stand behind all that were there then.
    private func merged(_ job: Job) -> [Int] {
        var runs: [Int] = []
        let last = order.last { job.inputs.contains($0) }
        for handle in order {
            if handle == last, job.writer != nil { runs.append(job.handle) }
            if !job.inputs.contains(handle) { runs.append(handle) }
        }
        return runs
    }

    /// A newer version than the one at this place is durable.
    package mutating func superseded(_ location: RecordLocation) {
        held[location.run]?.liveBytes -= location.length
    }

    /// A record at this place is the newest durable version.
    package mutating func isLive(_ location: RecordLocation) {
        held[location.run]?.liveBytes += location.length
    }

    /// Keeps a run's file until `unpin`.
    package mutating func pin(_ handle: Int) { held[handle]?.pins += 1 }

    /// Keeps the files of all runs of the newest durable checkpoint.
    ///
    /// - Returns: what to `unpin` in the end.
    package mutating func pinCheckpoint() -> [Int] {
        for handle in order { pin(handle) }
        return order
    }

    package mutating func unpin(_ handle: Int) { held[handle]?.pins -= 1 }

    // MARK: Damage

    /// Notes what is to become of a run.
    package mutating func mend(_ handle: Int, _ mending: Mending) {
        held[handle]?.mending = mending
    }

    /// Whether the newest durable checkpoint has the run.
    package func isCurrent(_ handle: Int) -> Bool { order.contains(handle) }

    /// The first run of the newest durable checkpoint, by number, that was begun after one and no later than another.
    package func run(after number: UInt64, through last: UInt64) -> Int? {
        var found: (handle: Int, number: UInt64)?
        for handle in order {
            guard let run = held[handle]?.run, run.sequence > number, run.sequence <= last,
                run.sequence < found?.number ?? .max
            else { continue }
            found = (handle, run.sequence)
        }
        return found?.handle
    }

    /// The number of the last run of the newest durable checkpoint.
    package var lastRun: UInt64 { order.reduce(0) { max($0, held[$1]?.run.sequence ?? 0) } }

    // MARK: Letting go

    /// Lets files go that nobody needs any more; after a merge's records were moved.
    package mutating func releaseObsolete() {
        obsolete.removeAll { handle in
            guard let run = held[handle], run.pins == 0 else { return held[handle] == nil }
            removals.append(run.file)
            held[handle] = nil
            return true
        }
    }

    package var hasObsolete: Bool { !obsolete.isEmpty }
    /// Runs in the newest durable checkpoint, and the bytes of their files, all and live.
    package var runCount: Int { order.count }
    package var runBytes: Int { order.reduce(0) { $0 + (held[$1]?.run.bytes ?? 0) } }
    package var liveBytes: Int { order.reduce(0) { $0 + (held[$1]?.liveBytes ?? 0) } }

    // MARK: Reading

    /// The file that a record is in.
    package func file(of location: RecordLocation) -> String {
        guard let run = held[location.run] else {
            fatalError("invariant broken: a record of run \(location.run), which is not held")
        }
        return run.file
    }

    /// How to read a record.
    package func read(_ location: RecordLocation, number: UInt64) -> DiskRead {
        DiskRead(
            number: number,
            file: file(of: location),
            offset: location.offset,
            count: location.length
        )
    }

    /// The record in the bytes that were read.
    package static func record(
        in bytes: [UInt8],
        of read: DiskRead
    ) throws(JournalError) -> ArraySlice<UInt8> {
        guard let payload = RunRecord.payload(in: bytes, at: 0) else {
            throw .damaged(
                file: read.file,
                offset: read.offset,
                what: "the checksum of a record does not match"
            )
        }
        return payload
    }
}
