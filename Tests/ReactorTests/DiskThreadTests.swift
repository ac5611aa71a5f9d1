import Glibc
import Journal
import Raft
import Reactor
import Testing

private func number(_ completion: DiskCompletion) -> UInt64 {
    switch completion {
    case .batch(let number, _, _, _), .read(let number, _), .noRoom(let number, _): number
    }
}

/// A batch that writes one byte, to the place of its number unless told otherwise.
private func writing(_ number: UInt64, at offset: Int? = nil) -> DiskBatch {
    DiskBatch(
        number: number,
        operations: [
            .write(file: "a", offset: offset ?? Int(number), bytes: [UInt8(number)]),
            .sync(file: "a"),
        ]
    )
}

@Suite("the disk thread")
struct DiskThreadTests {
    let directory: TemporaryDirectory
    let completions: Waiter<DiskCompletion>

    init() throws {
        directory = try TemporaryDirectory()
        completions = try Waiter()
    }

    private func disk() throws -> FileDisk {
        var disk = try FileDisk(directory: directory.path)
        try disk.perform(.create(file: "a", size: 100))
        return disk
    }

    @Test("performs batches in order and answers each")
    func order() throws {
        let thread = try DiskThread(disk: disk(), completion: completions.post)
        for number in UInt64(1)...20 { thread.submit(writing(number)) }
        let found = try completions.wait(for: 20)
        #expect(found.map(number) == Array(1...20))
        for completion in found {
            guard case .batch(_, .success, let sync, let all) = completion else {
                Issue.record("\(completion)")
                continue
            }
            #expect(sync > 0 && all >= sync)
        }
        thread.submit(DiskRead(number: 5, file: "a", offset: 0, count: 3))
        guard case .read(5, let result) = try completions.wait(for: 1)[0] else {
            Issue.record("no read")
            return
        }
        #expect(try result.get() == [0, 1, 2])
    }

    @Test("a read waits for no more than one batch, and a batch for no more than one read")
    func readsBetweenBatches() throws {
        let entered = try Waiter<Bool>()
        let gate = Gate()
        let completions = completions
        // The first batch's completion holds the thread up until everything is submitted.
        let thread = try DiskThread(disk: disk()) { completion in
            if case .batch(1, _, _, _) = completion {
                entered.post(true)
                gate.pass()
            }
            completions.post(completion)
        }
        thread.submit(writing(1))
        _ = try entered.wait(for: 1)
        for number in UInt64(2)...4 { thread.submit(writing(number)) }
        for number in UInt64(101)...102 {
            thread.submit(DiskRead(number: number, file: "a", offset: 0, count: 1))
        }
        gate.open()
        #expect(try completions.wait(for: 6).map(number) == [1, 101, 2, 102, 3, 4])
    }

    @Test("tells a failure once and refuses everything after it")
    func failure() throws {
        let entered = try Waiter<Bool>()
        let gate = Gate()
        let completions = completions
        let thread = try DiskThread(disk: disk()) { completion in
            completions.post(completion)
            if case .batch(2, _, _, _) = completion {
                entered.post(true)
                gate.pass()
            }
        }
        thread.submit(writing(1))
        thread.submit(
            DiskBatch(
                number: 2,
                operations: [.sync(file: "no"), .write(file: "a", offset: 9, bytes: [9])]
            )
        )
        _ = try entered.wait(for: 1)
        thread.submit(writing(3))
        thread.submit(writing(4))
        thread.submit(DiskRead(number: 5, file: "a", offset: 0, count: 1))
        gate.open()
        thread.stop()
        let found = try completions.wait(for: 3)
        #expect(found.map(number) == [1, 2, 5])
        let error = DiskError(operation: "open no", code: ENOENT)
        guard case .batch(_, .failure(let told), _, _) = found[1],
            case .read(_, .failure(let refused)) = found[2]
        else {
            Issue.record("\(found)")
            return
        }
        #expect(told == error && refused == error)
        var disk = try FileDisk(directory: directory.path)
        let bytes = try disk.read("a", at: 0, count: 10)
        #expect(bytes == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "nothing after the failure was done")
    }

    @Test(
        "a file for which there is no room is told apart: nothing is done, and the thread goes on"
    )
    func noRoom() throws {
        var disk = try FileDisk(directory: directory.path, reserve: 1 << 60)
        let refused = try #require(throws: DiskError.self) {
            try disk.perform(.create(file: "b", size: 10))
        }
        #expect(refused.isLackOfRoom && refused.operation.hasSuffix("keep \(1 << 60) free"))
        try FileDisk(directory: directory.path).make("a")
        let thread = try DiskThread(disk: disk, completion: completions.post)
        let making = DiskBatch(
            number: 1,
            operations: [
                .create(file: "b", size: 10), .write(file: "a", offset: 0, bytes: [7]),
                .syncDirectory,
            ]
        )
        thread.submit(making)
        guard case .noRoom(1, let error) = try completions.wait(for: 1)[0] else {
            Issue.record("the batch was not refused for room")
            return
        }
        #expect(error == refused)
        thread.submit(writing(2))
        guard case .batch(2, .success, _, _) = try completions.wait(for: 1)[0] else {
            Issue.record("the thread does not go on")
            return
        }
        thread.submit(DiskRead(number: 3, file: "a", offset: 0, count: 3))
        guard case .read(3, let read) = try completions.wait(for: 1)[0] else {
            Issue.record("no read")
            return
        }
        #expect(try read.get() == [0, 0, 2], "nothing of the refused batch was done")
        #expect(try FileDisk(directory: directory.path).names() == ["a"])
        // A file that is not made first is part of something begun: that is a failure.
        thread.submit(
            DiskBatch(number: 4, operations: [.syncDirectory, .create(file: "b", size: 10)])
        )
        guard case .batch(4, .failure, _, _) = try completions.wait(for: 1)[0] else {
            Issue.record("half a batch passes for one that was not begun")
            return
        }
    }

    @Test("a thread whose step hangs can be left to itself")
    func abandon() throws {
        let entered = try Waiter<Bool>()
        let gate = Gate()
        let thread = try DiskThread(disk: disk()) { _ in
            entered.post(true)
            gate.pass()
        }
        thread.submit(writing(1))
        _ = try entered.wait(for: 1)
        thread.abandon()
        thread.stop()  // does not wait for it
        gate.open()
    }

    @Test("a read that fails spoils nothing but itself")
    func failedRead() throws {
        let thread = try DiskThread(disk: disk(), completion: completions.post)
        thread.submit(DiskRead(number: 1, file: "no", offset: 0, count: 1))
        guard case .read(1, .failure) = try completions.wait(for: 1)[0] else {
            Issue.record("the read did not fail")
            return
        }
        thread.submit(writing(2))
        guard case .batch(2, .success, _, _) = try completions.wait(for: 1)[0] else {
            Issue.record("the batch failed")
            return
        }
    }

    @Test("stopping finishes what was submitted, and may be done twice")
    func stop() throws {
        let thread = try DiskThread(disk: disk(), completion: completions.post)
        for number in UInt64(1)...50 { thread.submit(writing(number)) }
        thread.stop()
        thread.stop()
        #expect(try completions.wait(for: 50).map(number) == Array(1...50))
    }

    @Test("carries a journal through restarts on real files")
    func journal() throws {
        let configuration = JournalConfiguration(
            cluster: "test",
            node: NodeID(1),
            salt: 1,
            segmentSize: 64 * 1024
        )
        var expected: [Entry] = []
        for run in UInt64(1)...3 {
            var disk = try FileDisk(directory: directory.path)
            let recovered = try LogJournal.recover(from: &disk, configuration: configuration) { _ in
            }
            let isSame = recovered.log.tail == expected
            let isTorn = recovered.tornTail != nil
            #expect(isSame && !isTorn)
            var journal = recovered.takeJournal()
            let thread = try DiskThread(disk: disk, completion: completions.post)
            for number in UInt64(1)...100 {
                let entry = Entry(
                    id: EntryID(term: Term(run), index: LogIndex(UInt64(expected.count) + 1)),
                    time: Timestamp(milliseconds: number),
                    kind: .command,
                    payload: [UInt8](repeating: UInt8(number), count: 900)
                )
                expected.append(entry)
                journal.append(LogWrite(number: WriteNumber(number), entries: [entry]))
                var durable = WriteNumber.zero
                while durable.number < number {
                    if let batch = journal.nextBatch() { thread.submit(batch) }
                    for case .batch(let done, let result, _, _) in try completions.wait(for: 1) {
                        try result.get()
                        durable = max(durable, journal.completed(done))
                    }
                }
            }
            while let batch = journal.nextBatch() {
                thread.submit(batch)
                for completion in try completions.wait(for: 1) {
                    _ = journal.completed(number(completion))
                }
            }
        }
    }
}

extension FileDisk {
    /// Makes a file of 100 bytes, in a disk of its own.
    fileprivate consuming func make(_ file: String) throws {
        try perform(.create(file: file, size: 100))
    }
    fileprivate consuming func names() throws -> [String] { try list() }
}
