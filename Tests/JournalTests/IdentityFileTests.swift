import Journal
import Raft
import Testing

@Suite("the file IDENTITY")
struct IdentityFileTests {
    private let configuration = JournalConfiguration(cluster: "c", node: NodeID(2), salt: 1)
    private let members = [NodeID(1), NodeID(2)]

    private func open(
        _ disk: inout CrashDisk,
        fresh: UInt64 = 1,
        place: UInt64 = 5,
        run: UInt64 = 9,
        hasLog: Bool = false
    ) throws -> (identity: DirectoryIdentity, origin: DirectoryOrigin, damage: String?) {
        let opened = try IdentityFile.open(
            on: &disk,
            configuration: configuration,
            members: members,
            fresh: DirectoryID(high: fresh, low: 0),
            place: place,
            run: run,
            hasLog: hasLog
        )
        return (opened.file.identity, opened.origin, opened.damage)
    }

    @Test("a directory keeps its name and counts its starts")
    func starts() throws {
        var disk = CrashDisk()
        let first = try open(&disk)
        #expect(first.origin == .fresh && first.identity.starts == 1)
        let second = try open(&disk, fresh: 2, run: 10)
        #expect(second.origin == .known && second.identity.starts == 2)
        #expect(second.identity.directory == first.identity.directory)
        #expect(second.identity.run == 10)
    }

    @Test("what is written is read, all of it")
    func roundTrip() throws {
        var disk = CrashDisk()
        var file = try IdentityFile.open(
            on: &disk,
            configuration: configuration,
            members: members,
            fresh: DirectoryID(high: .max, low: 7),
            place: 5,
            run: 9,
            hasLog: false
        ).file
        var record = MemberRecord(
            node: NodeID(1),
            directory: DirectoryID(high: 3, low: .max),
            admittedAt: LogIndex(44)
        )
        record.starts = 6
        record.run = .max
        record.promisedTerm = Term(8)
        record.promisedEntry = EntryID(term: Term(7), index: LogIndex(1 << 40))
        file.identity.set(record)
        file.identity.isFormed = true
        file.identity.repairingThrough = LogIndex(0)
        file.identity.copiedFrom = DirectoryID(high: 1, low: 2)
        file.identity.restoredThrough = EntryID(term: Term(5), index: LogIndex(.max))
        for operation in file.write() { try disk.perform(operation) }
        #expect(try IdentityFile.load(from: &disk).file?.identity == file.identity)
    }

    @Test("one damaged place loses nothing, wherever it is", arguments: [0, 20, 4095, 4096, 8000])
    func damage(offset: Int) throws {
        var disk = CrashDisk()
        let before = try open(&disk)
        disk.flip(IdentityFile.name, at: offset)
        let after = try open(&disk, fresh: 2)
        #expect(after.origin == .known)
        #expect(after.identity.directory == before.identity.directory)
        #expect(after.identity.starts == before.identity.starts + 1)
        #expect(after.damage != nil)
        #expect(try open(&disk).damage == nil)
    }

    @Test("starts that lose power, one after another, lose nothing: never the only whole slot")
    func crashesInARow() throws {
        var disk = CrashDisk()
        let before = try open(&disk)
        // Each start gets a few operations far, then the power fails and tears what was written.
        for limits in [[2, 0], [2, 1, 0], [0, 2, 0, 2], [3, 2, 1, 0], [1, 3, 1, 3]] {
            var crashed = disk
            for limit in limits {
                crashed.failsAt = crashed.performed + limit + 1
                _ = try? open(&crashed)
                crashed = crashed.afterPowerCut(.lastWrite(prefix: 30), keepsNames: true)
            }
            let after = try open(&crashed, fresh: 2, hasLog: true)
            #expect(after.origin == .known, "\(limits)")
            #expect(after.identity.directory == before.identity.directory, "\(limits)")
        }
    }

    @Test("damaged in both slots it is lost, and the directory has a new name")
    func lost() throws {
        var disk = CrashDisk()
        let before = try open(&disk)
        disk.flip(IdentityFile.name, at: 100)
        disk.flip(IdentityFile.name, at: 4096 + 100)
        let after = try open(&disk, fresh: 2, hasLog: true)
        #expect(after.origin == .lost)
        #expect(after.identity.directory != before.identity.directory)
    }

    @Test("in another place it is a copy, and not where the place is not known")
    func copies() throws {
        var disk = CrashDisk()
        let before = try open(&disk)
        #expect(try open(&disk, place: 0).origin == .known)
        let after = try open(&disk, fresh: 2, place: 6)
        #expect(after.origin == .copied)
        #expect(after.identity.copiedFrom == before.identity.directory)
        #expect(after.identity.starts == 1)
        #expect(try open(&disk, place: 6).origin == .known)
    }

    @Test("another node's or another cluster's is refused")
    func others() throws {
        var disk = CrashDisk()
        _ = try open(&disk)
        for (cluster, node) in [("d", 2), ("c", 3)] as [(String, UInt32)] {
            #expect(throws: JournalError.self) {
                try IdentityFile.open(
                    on: &disk,
                    configuration: JournalConfiguration(
                        cluster: cluster,
                        node: NodeID(node),
                        salt: 1
                    ),
                    members: members,
                    fresh: .none,
                    place: 5,
                    run: 1,
                    hasLog: false
                )
            }
        }
    }
}
