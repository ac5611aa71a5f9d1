import Journal
import Raft
import Testing

@Suite("room")
struct RoomTests {
    private func begin(
        _ disk: inout CrashDisk,
        segmentSize: Int = 8192
    ) throws -> LogJournal {
        try LogJournal.recover(from: &disk, configuration: configuration(segmentSize: segmentSize))
        { _ in }.takeJournal()
    }

    @Test(
        "what a full disk leaves of the last segment is used up to the promised byte, and no more"
    )
    func reserve() throws {
        for seed in UInt64(1)...40 {
            var draws = Draws(state: seed)
            var disk = CrashDisk()
            var model = ModelLog()
            var journal = try begin(&disk)
            _ = try journal.finish(on: &disk)
            disk.isFull = true
            var number: UInt64 = 0
            while journal.hasRoom {
                number += 1
                let write = model.write(number, term: 1, from: number, sizes: [draws.below(400)])
                model.apply(write)
                journal.append(write)
                _ = try journal.finish(on: &disk)
            }
            var refusals = 0
            var durable = WriteNumber.zero
            while refusals < 20 {
                let size = draws.below(900)
                let room = journal.room
                guard Entry.storedBytes(of: size) <= room else {
                    refusals += 1
                    continue
                }
                number += 1
                let write = model.write(number, term: 1, from: model.last.number + 1, sizes: [size])
                model.apply(write)
                journal.append(write)
                // Several may share a batch.
                if draws.below(3) > 0 { durable = max(durable, try journal.finish(on: &disk)) }
            }
            durable = max(durable, try journal.finish(on: &disk))
            let hasRoom = journal.hasRoom
            let left = journal.room
            #expect(durable == WriteNumber(number), "all that was taken is written")
            #expect(!hasRoom && left < Entry.storedBytes(of: 900))
            // Terms and votes still find room.
            for term in UInt64(2)...3 {
                let canPromise = journal.canPromise
                #expect(canPromise)
                number += 1
                let promise = LogWrite(
                    number: WriteNumber(number),
                    hardState: HardState(currentTerm: Term(term), votedFor: NodeID(2))
                )
                model.apply(promise)
                journal.append(promise)
                let isDurable = try journal.finish(on: &disk) == WriteNumber(number)
                #expect(isDurable)
            }
            let found = try recover(&disk, configuration(segmentSize: 8192))
            #expect(found.model == model)
        }
    }

    @Test("there is room again: the log goes on by itself, and nothing is lost")
    func roomAgain() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try begin(&disk)
        _ = try journal.finish(on: &disk)
        var number: UInt64 = 0
        for round in 1...6 {
            disk.isFull = true
            var hasRoom = true
            while hasRoom {
                number += 1
                let write = model.write(number, term: 1, from: number, sizes: [300])
                model.apply(write)
                journal.append(write)
                _ = try journal.finish(on: &disk)
                hasRoom = journal.hasRoom
            }
            // Tried again while it is full, it stays as it is.
            journal.tryForRoom()
            _ = try journal.finish(on: &disk)
            hasRoom = journal.hasRoom
            #expect(!hasRoom)
            let waiting = journal.nextBatch()
            #expect(waiting == nil, "not tried again unasked")
            disk.isFull = false
            journal.tryForRoom()
            _ = try journal.finish(on: &disk)
            hasRoom = journal.hasRoom
            #expect(hasRoom, "round \(round)")
        }
        let found = try recover(&disk, configuration(segmentSize: 8192))
        #expect(found.model == model)
    }

    @Test("what waits when the room runs out is written when there is some, not before")
    func waiting() throws {
        var disk = CrashDisk()
        _ = try begin(&disk)
        disk.isFull = true
        var journal = try begin(&disk)
        // A start on a full disk, before there is a segment: nothing can be promised.
        let model = ModelLog()
        journal.append(model.write(1, term: 1, from: 1, sizes: [10]))
        var durable = try journal.finish(on: &disk)
        #expect(durable == .zero)
        let canPromise = journal.canPromise
        let room = journal.room
        #expect(!canPromise && room == 0)
        disk.isFull = false
        durable = try journal.finish(on: &disk)
        #expect(durable == .zero)
        journal.tryForRoom()
        durable = try journal.finish(on: &disk)
        #expect(durable == WriteNumber(1))
    }

    @Test("a batch larger than a segment gets one of its size; the one made ahead makes way")
    func largeBatch() throws {
        var disk = CrashDisk()
        var model = ModelLog()
        var journal = try begin(&disk)
        var number: UInt64 = 0
        for size in [5_000, 20_000, 100, 7_000, 30_000, 9_000] {
            number += 1
            let write = model.write(number, term: 1, from: number, sizes: [size])
            model.apply(write)
            journal.append(write)
            while let batch = journal.nextBatch() {
                for operation in batch.operations {
                    if case .write(let file, let offset, let bytes) = operation {
                        let size = try disk.size(of: file)
                        #expect(offset + bytes.count <= size, "written into reserved space")
                    }
                    try disk.perform(operation)
                }
                _ = journal.completed(batch.number)
            }
        }
        let found = try recover(&disk, configuration(segmentSize: 8192))
        #expect(found.model == model)
    }

    @Test("no entry takes more on disk than it is counted with", arguments: 0...40)
    func storedBytes(size: Int) throws {
        var disk = CrashDisk()
        var journal = try begin(&disk, segmentSize: 1 << 20)
        _ = try journal.finish(on: &disk)
        journal.append(ModelLog().write(1, term: 1, from: 1, sizes: [size]))
        let before = journal.pendingBytes
        var model = ModelLog()
        model.apply(model.write(1, term: 1, from: 1, sizes: [size]))
        journal.append(model.write(2, term: 1, from: 2, sizes: [size]))
        let after = journal.pendingBytes
        #expect(after - before <= Entry.storedBytes(of: size))
    }

    @Test("a disk that does not get on: what may wait for it is bounded")
    func hung() throws {
        var disk = CrashDisk()
        var configuration = configuration(segmentSize: 8192)
        configuration.maxPendingBytes = 4096
        var journal = try LogJournal.recover(from: &disk, configuration: configuration) { _ in }
            .takeJournal()
        _ = try journal.finish(on: &disk)
        var model = ModelLog()
        var number: UInt64 = 0
        while journal.room >= Entry.storedBytes(of: 200) {
            number += 1
            let write = model.write(number, term: 1, from: number, sizes: [200])
            model.apply(write)
            journal.append(write)
            // One batch is under way and hangs.
            if number == 1 { _ = journal.nextBatch() }
        }
        let waiting = journal.pendingBytes
        #expect(number > 10 && waiting <= 4096)
    }
}
