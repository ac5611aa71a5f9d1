import Synchronization
import Testing
import Verification

/// A state store in memory: takes checkpoints of a machine and reads records back.
final class TestStore: Sendable {
    private struct Contents {
        var records: [RecordLocation: [UInt8]] = [:]
        /// The newest durable version of each attempt, by ordinal.
        var newest: [UInt64: RecordPlace] = [:]
        var open: Set<UInt64> = []
        var head: [UInt8] = []
        var next = 0
        var waiting: [(item: EncodedRecords.Item, location: RecordLocation)] = []
        var waitingHead: [UInt8] = []
    }
    private let contents = Mutex(Contents())

    func read(_ place: RecordPlace) -> [UInt8] {
        contents.withLock { $0.records[place.location] ?? [] }
    }

    /// Begins a checkpoint and encodes some of its records.
    func begin(_ machine: inout StateMachine, encoding maxBytes: Int = 0) {
        let head = machine.beginCheckpoint()
        contents.withLock { $0.waitingHead = head }
        if maxBytes > 0 { _ = machine.encodeCheckpoint(maxBytes: maxBytes) }
    }

    /// Writes the checkpoint under way.
    func finish(_ machine: inout StateMachine) {
        while !machine.encodeCheckpoint(maxBytes: 100) { write(machine.takeEncoded()) }
        write(machine.takeEncoded())
        let waiting = contents.withLock { contents in
            let waiting = contents.waiting
            contents.waiting = []
            contents.head = contents.waitingHead
            for (item, location) in waiting {
                contents.newest[item.ordinal] = RecordPlace(hash: item.hash, location: location)
                if item.decidedAt == nil {
                    contents.open.insert(item.ordinal)
                } else {
                    contents.open.remove(item.ordinal)
                }
            }
            return waiting
        }
        for (item, location) in waiting { machine.settle(item, at: location) }
        machine.endCheckpoint()
    }

    /// The checkpoint under way comes to nothing.
    func abandon(_ machine: inout StateMachine) {
        contents.withLock { $0.waiting = [] }
        machine.abandonCheckpoint()
    }

    private func write(_ encoded: EncodedRecords) {
        contents.withLock { contents in
            var start = 0
            for item in encoded.items {
                let bytes = Array(encoded.bytes[start..<item.end])
                let location = RecordLocation(
                    run: contents.next >> 20,
                    offset: (contents.next & 0xf_ffff) * 8,
                    length: bytes.count
                )
                contents.next += 1
                contents.records[location] = bytes
                contents.waiting.append((item, location))
                start = item.end
            }
        }
    }

    /// The state as the newest durable checkpoint has it.
    func restored(limits: VerificationLimits = .init(), hash: AttemptHash) throws -> StateMachine {
        let (head, newest, open) = contents.withLock { ($0.head, $0.newest, $0.open) }
        var machine = try StateMachine(restoring: head, limits: limits, hash: hash)
        machine.reservePlaces(newest.count)
        for (ordinal, place) in newest.sorted(by: { $0.key < $1.key }) {
            machine.place(place)
            if open.contains(ordinal) { try machine.load(read(place)[...], from: place) }
        }
        machine.setReader { self.read($0) }
        return machine
    }
}

extension StateMachine {
    /// Applies within a checkpoint, so that what changes is copied, then evicts all that may go.
    mutating func paged<Result>(
        through store: TestStore,
        _ apply: (inout StateMachine) -> Result
    ) -> Result {
        store.begin(&self)
        let result = apply(&self)
        store.finish(&self)
        // Those kept for who waits for them go at the third time.
        for _ in 0..<6 { evict(keeping: 0) }
        return result
    }
}

/// Runs each test twice: with all attempts in memory, and with decided ones evicted after every step.
struct InMemoryAndPaged: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        try await function()
        try await Script.$isPaged.withValue(true) { try await function() }
    }
}

extension Trait where Self == InMemoryAndPaged {
    static var inMemoryAndPaged: Self { InMemoryAndPaged() }
}
