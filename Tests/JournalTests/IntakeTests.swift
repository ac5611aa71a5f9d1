import Journal
import Raft
import Testing

@Suite("the files of the intake")
struct IntakeFileTests {
    private static func configuration(node: UInt32 = 1, salt: UInt64 = 7) -> JournalConfiguration {
        JournalConfiguration(cluster: "test", node: NodeID(node), salt: salt)
    }

    private static func recover(
        _ disk: inout CrashDisk,
        salt: UInt64 = 7
    ) throws -> IntakeJournal.Recovered {
        try IntakeJournal.recover(
            from: &disk,
            configuration: configuration(salt: salt),
            fileSize: 64 * 1024
        )
    }

    private static func payload(_ number: UInt64, size: Int = 300) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: UInt64($0) &* 31 &+ number) }
    }

    private static func perform(_ operations: [DiskOperation], on disk: inout CrashDisk) throws {
        for operation in operations { try disk.perform(operation) }
    }

    /// Takes records in, one batch each.
    private static func take(
        _ count: Int,
        into journal: inout IntakeJournal,
        on disk: inout CrashDisk,
        size: Int = 300
    ) throws -> [UInt64] {
        var numbers: [UInt64] = []
        for _ in 0..<count {
            let number = journal.takeNumber()
            let item = IntakeItem.taken(number: number, payload: payload(number, size: size))
            try perform(journal.append([item]), on: &disk)
            numbers.append(number)
        }
        return numbers
    }

    private static func files(_ disk: CrashDisk) -> [String] {
        disk.list().filter { $0.hasPrefix("intake-") }
    }

    @Test("hold what was taken in and is not done, in its order, across starts")
    func roundTrip() throws {
        var disk = CrashDisk()
        var journal = try Self.recover(&disk).journal
        let numbers = try Self.take(5, into: &journal, on: &disk)
        try Self.perform(
            journal.append([.done(number: numbers[1]), .done(number: numbers[4])]),
            on: &disk
        )
        for salt in UInt64(8)...10 {
            var found = try Self.recover(&disk, salt: salt)
            #expect(found.records.map(\.number) == [numbers[0], numbers[2], numbers[3]])
            #expect(found.records.allSatisfy { $0.payload == Self.payload($0.number) })
            #expect(found.damage.isEmpty)
            #expect(found.journal.takeNumber() > 5)
        }
    }

    @Test(
        "are removed when nothing in them and before them is needed, and a new process makes its own"
    )
    func removal() throws {
        var disk = CrashDisk()
        var journal = try Self.recover(&disk).journal
        let numbers = try Self.take(40, into: &journal, on: &disk, size: 8000)
        #expect(Self.files(disk).count > 3)
        // The oldest is still needed: none goes.
        let count = Self.files(disk).count
        try Self.perform(
            journal.append(numbers.dropFirst().map { .done(number: $0) }),
            on: &disk
        )
        #expect(Self.files(disk).count >= count)
        try Self.perform(journal.append([.done(number: numbers[0])]), on: &disk)
        #expect(Self.files(disk).count == 1)

        var again = try Self.recover(&disk, salt: 9)
        #expect(again.records.isEmpty)
        let last = Self.files(disk)
        _ = try Self.take(1, into: &again.journal, on: &disk)
        #expect(Set(Self.files(disk)).isDisjoint(with: last), "an old file is written to")
    }

    @Test("a record that is written again by the next process leaves the old file")
    func rewritten() throws {
        var disk = CrashDisk()
        var journal = try Self.recover(&disk).journal
        let numbers = try Self.take(3, into: &journal, on: &disk)
        let old = Self.files(disk)
        var found = try Self.recover(&disk, salt: 9)
        let items = found.records.map { IntakeItem.taken(number: $0.number, payload: $0.payload) }
        try Self.perform(found.journal.append(items), on: &disk)
        #expect(Set(Self.files(disk)).isDisjoint(with: old))
        #expect(try Self.recover(&disk, salt: 10).records.map(\.number) == numbers)
    }

    @Test(
        "whatever a power cut leaves of the last write, all that was durable is there, and no damage"
    )
    func powerCuts() throws {
        var random = SystemlessRandom(state: 42)
        for length in 1...12 {
            var disk = CrashDisk()
            var journal = try Self.recover(&disk).journal
            let durable = try Self.take(length, into: &journal, on: &disk)
            let torn = journal.takeNumber()
            let operations = journal.append(
                [.taken(number: torn, payload: Self.payload(torn, size: 2000))]
            )
            // All but the sync.
            try Self.perform(operations.filter { $0 != operations.last }, on: &disk)
            for _ in 0..<20 {
                let survivals: [CrashDisk.Survival] = [
                    .onlySynced, .all, .lastWrite(prefix: Int(random.next() % 2600)),
                    .sectors { _ in random.next() % 2 == 0 },
                ]
                for survival in survivals {
                    var cut = disk.afterPowerCut(survival, keepsNames: true)
                    let found = try Self.recover(&cut, salt: 8)
                    let numbers = found.records.map(\.number)
                    #expect(numbers == durable || numbers == durable + [torn])
                    #expect(
                        found.records.allSatisfy { $0.number == torn || $0.payload.count == 300 }
                    )
                    #expect(found.damage.isEmpty)
                }
            }
        }
    }

    @Test("damage is told, and costs the records in it and no others")
    func damage() throws {
        for victim in 0..<4 {
            var disk = CrashDisk()
            var journal = try Self.recover(&disk).journal
            let numbers = try Self.take(5, into: &journal, on: &disk)
            let file = try #require(Self.files(disk).first)
            // Each frame has two sectors at most here; the first also names the cluster.
            let bytes = try disk.contents(file)
            let offsets = stride(from: 0, to: bytes.count, by: 512).filter {
                bytes[$0..<$0 + 4].elementsEqual("INTK".utf8)
            }
            #expect(offsets.count == 5)
            let at = offsets[victim] + 100
            try disk.perform(.write(file: file, offset: at, bytes: [bytes[at] ^ 1]))
            let found = try Self.recover(&disk, salt: 8)
            var expected = numbers
            expected.remove(at: victim)
            #expect(found.records.map(\.number) == expected)
            #expect(found.damage.count == 1)
            #expect(found.damage.first?.range.contains(at) == true)
        }
    }

    @Test("of another node are refused")
    func strangers() throws {
        var disk = CrashDisk()
        var journal = try Self.recover(&disk).journal
        _ = try Self.take(1, into: &journal, on: &disk)
        #expect(throws: JournalError.self) {
            try IntakeJournal.recover(from: &disk, configuration: Self.configuration(node: 2))
        }
    }

    @Test("a file for which there is no room leaves everything as it was")
    func noRoom() throws {
        var disk = CrashDisk()
        var journal = try Self.recover(&disk).journal
        disk.isFull = true
        let number = journal.takeNumber()
        let item = IntakeItem.taken(number: number, payload: Self.payload(number))
        let operations = journal.append([item])
        #expect(throws: DiskError.self) { try Self.perform(operations, on: &disk) }
        journal.foundNoRoom()
        #expect(Self.files(disk).isEmpty && journal.diskBytes == 0)
        disk.isFull = false
        try Self.perform(journal.append([item]), on: &disk)
        #expect(try Self.recover(&disk, salt: 8).records.map(\.number) == [number])
    }
}

/// SplitMix64.
private struct SystemlessRandom {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
