import Journal
import Raft
import Store
import Testing
import Verification

/// A state machine whose attempts go through a store, without a log.
struct Life: ~Copyable {
    var machine: StateMachine
    var store: StateStore
    var disk: StoreDisk
    private var index: UInt64
    private var written: [(item: EncodedRecords.Item, location: RecordLocation)] = []
    /// Called before each operation on the disk.
    var watch: (StoreDisk) -> Void = { _ in }

    static let flow = FlowDefinition(
        digest: FlowDigest(bytes: [1, 2, 3]),
        name: "login",
        kind: .code,
        prompt: "code?",
        retryPrompt: "again?",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 30,
        expirySeconds: 600,
        waitSeconds: 2
    )

    init() {
        machine = StateMachine(hash: AttemptHash(key: 3))
        store = StateStore(cluster: "c", node: NodeID(1), manifest: nil, pieceSize: 512)
        disk = StoreDisk()
        index = 0
        apply(.defineFlow(Life.flow))
    }

    /// What a start finds on a disk.
    init(on found: StoreDisk) throws {
        var disk = found
        var store = try StateStore.open(
            on: &disk,
            cluster: "c",
            node: NodeID(1),
            pieceSize: 512
        )
        var machine = try Life.restored(store.manifest)
        var open: [RecordPlace] = []
        try store.forEachRecord(on: &disk) { place, isOpen in
            machine.place(place)
            if isOpen { open.append(place) }
        }
        for place in open { try Life.load(place, store, disk, &machine) }
        self.disk = disk
        self.store = store
        self.index = machine.appliedIndex.number
        self.machine = machine
    }

    mutating func apply(_ command: Command) {
        index += 1
        _ = machine.apply(
            command,
            at: EntryIndex(index),
            time: LogTime(milliseconds: index * 1000)
        )
    }

    static func id(_ number: Int) -> AttemptID {
        guard let id = AttemptID("va_\(number)") else { fatalError("no ID") }
        return id
    }

    private var origin: Origin {
        Origin(
            node: 1,
            region: "us-east",
            receivedAt: WallTime(milliseconds: 5),
            request: RequestID(node: 1, incarnation: 1, sequence: index)
        )
    }

    mutating func open(_ number: Int) throws {
        try loadAll(Life.id(number))
        apply(
            .open(
                OpenAttempt(
                    attempt: Life.id(number),
                    flow: Life.flow.digest,
                    subject: "user-\(number)",
                    expiresInSeconds: 100_000,
                    challenge: nil,
                    maxTries: 3,
                    targets: [],
                    origin: origin
                )
            )
        )
    }

    mutating func callback(_ number: Int, _ event: EventKind, key: Int) throws {
        try loadAll(Life.id(number))
        apply(
            .callback(
                Callback(
                    attempt: Life.id(number),
                    key: CallbackKey(logged: "verdict/key/\(key)"),
                    provider: "verdict",
                    call: "CA\(number)",
                    event: event,
                    sequence: nil,
                    digits: nil,
                    status: .completed,
                    outcome: .verified,
                    channel: "voice",
                    occurredAt: nil,
                    origin: origin
                )
            )
        )
    }

    mutating func loadAll(_ id: AttemptID) throws {
        var places: [RecordPlace] = []
        machine.unloaded(id, into: &places)
        for place in places { try load(place) }
    }

    private mutating func load(_ place: RecordPlace) throws {
        try Life.load(place, store, disk, &machine)
    }

    private static func restored(_ manifest: Manifest?) throws -> StateMachine {
        guard let manifest else { return StateMachine(hash: AttemptHash(key: 3)) }
        return try StateMachine(
            restoring: manifest.head,
            limits: VerificationLimits(),
            hash: AttemptHash(key: manifest.hashKey)
        )
    }

    private static func load(
        _ place: RecordPlace,
        _ store: StateStore,
        _ disk: StoreDisk,
        _ machine: inout StateMachine
    ) throws {
        let read = store.read(place.location, number: 1)
        let bytes = try disk.read(read.file, at: read.offset, count: read.count)
        try machine.load(try StateStore.record(in: bytes, of: read), from: place)
    }

    // MARK: Checkpoints

    /// Begins a checkpoint of what was applied so far.
    mutating func begin() {
        written = []
        let entry = EntryID(term: Term(1), index: LogIndex(index))
        store.beginCheckpoint(
            Manifest(
                cluster: "",
                node: NodeID(0),
                entry: entry,
                time: Timestamp(milliseconds: index),
                terms: [TermRun(term: Term(1), first: LogIndex(1))],
                hashKey: machine.hash.key,
                attempts: machine.openedCount,
                nextRun: 0,
                runs: [],
                head: machine.beginCheckpoint()
            )
        )
    }

    /// Writes the checkpoint that was begun.
    ///
    /// - Returns: why it failed, if it did.
    mutating func finish() -> DiskError? {
        while !machine.encodeCheckpoint(maxBytes: 300) { write() }
        write()
        store.sealCheckpoint()
        while let batch = store.nextBatch(mayPublish: true) {
            let result = perform(batch)
            switch store.completed(batch.number, result) {
            case .wrote, .merge, .setAside: break
            case .checkpoint:
                for (item, location) in written {
                    if let old = machine.settle(item, at: location) { store.superseded(old) }
                    store.isLive(location)
                }
                machine.endCheckpoint()
                evict()
                return nil
            case .failed(.removal, _): break
            case .failed(_, let error):
                machine.abandonCheckpoint()
                return error
            }
        }
        return nil
    }

    mutating func checkpoint() -> DiskError? {
        begin()
        return finish()
    }

    func evict(_ machine: inout StateMachine) {
        for _ in 0..<5 { machine.evict(keeping: 0) }
    }

    mutating func evict() { for _ in 0..<5 { machine.evict(keeping: 0) } }

    private mutating func write() {
        let encoded = machine.takeEncoded()
        var start = 0
        for item in encoded.items {
            let location = store.write(encoded.bytes[start..<item.end], RecordLabel(item))
            written.append((item, location))
            start = item.end
        }
    }

    mutating func perform(_ batch: DiskBatch) -> Result<Void, DiskError> {
        do throws(DiskError) {
            for operation in batch.operations {
                watch(disk)
                try disk.perform(operation)
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// The whole state.
    var canonical: [UInt8] {
        var all: [UInt8] = []
        machine.forEachCanonicalChunk(
            reading: { place in
                let read = store.read(place.location, number: 1)
                let bytes = (try? disk.read(read.file, at: read.offset, count: read.count)) ?? []
                return (try? StateStore.record(in: bytes, of: read)).map { Array($0) } ?? []
            },
            { all += $0 }
        )
        return all
    }

    /// Something of everything: opens, callbacks, decisions, late callbacks of settled attempts.
    mutating func live(_ round: Int) throws {
        for number in 0..<6 {
            let attempt = round * 4 + number
            try open(attempt)
            try callback(attempt, .answered, key: 1)
            if number % 2 == 0 { try callback(attempt, .outcome, key: 2) }
            if round > 0 { try callback(number, .ringing, key: 100 + round) }
        }
    }
}

/// Filled while a disk is watched.
final class Moments {
    var disks: [StoreDisk] = []
}
