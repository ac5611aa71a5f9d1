import Journal
import Raft
import Testing

private func disk(with script: [[LogWrite]]) throws -> (disk: CrashDisk, model: ModelLog) {
    var disk = CrashDisk()
    var model = ModelLog()
    var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
        .takeJournal()
    for writes in script {
        for write in writes {
            journal.append(write)
            model.apply(write)
        }
        _ = try journal.finish(on: &disk)
    }
    return (disk, model)
}

/// CRC-32C bit by bit, to check the format from outside.
private func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var crc: UInt32 = .max
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }
    return ~crc
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}

/// A batch header as docs/formats.md has it.
private func batchHeader(
    number: UInt64,
    salt: UInt64,
    length: UInt32,
    records: UInt32,
    previous: UInt32,
    body: UInt32
) -> [UInt8] {
    var bytes = Array("VDBATCH".utf8) + [0xFF]
    bytes += littleEndian(number) + littleEndian(salt) + littleEndian(length)
    bytes += littleEndian(records) + littleEndian(previous) + littleEndian(body)
    bytes += littleEndian(UInt32(0))
    return bytes + littleEndian(checksum(bytes))
}

@Suite("recovery")
struct RecoveryTests {
    @Test("of an empty directory finds an empty log, and makes the place for promises only")
    func empty() throws {
        var disk = CrashDisk()
        let found = try recover(&disk)
        #expect(found.model == ModelLog())
        #expect(found.log.terms.isEmpty && found.log.lastIndex == .zero)
        #expect(disk.list() == ["PROMISE"])
    }

    @Test("gives the tail from the commit index on, and before it no more than was asked for")
    func tail() throws {
        var (disk, model) = try disk(with: lifeOfAFollower())
        var extra = model.write(100, term: 6, from: 17, sizes: [10, 10])
        extra.hardState = nil
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        journal.append(extra)
        model.apply(extra)
        _ = try journal.finish(on: &disk)
        for bytes in [0, 1, 232, 300, 600, 5_000, 1 << 20] {
            let found = try recover(&disk, configuration(tailBytes: bytes))
            #expect(found.committed == model.committed)
            let before = found.log.tail.filter { $0.index < model.hardState.commitIndex }
            #expect(before.reduce(0) { $0 + $1.cost } <= bytes)
            #expect(found.log.tail == Array(model.entries.suffix(found.log.tail.count)))
            #expect(found.log.tail.contains { $0.index == model.hardState.commitIndex })
            #expect(found.log.lastIndex == model.last && found.log.terms == model.runs)
            // One more would have been too much.
            let dropped = model.entries.dropLast(found.log.tail.count).last
            if let dropped {
                #expect(before.reduce(dropped.cost) { $0 + $1.cost } > bytes)
            }
        }
    }

    @Test("refuses the directory of another cluster or node and names both")
    func identity() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let file = "log-0000000000000001.seg"
        let cluster = JournalError.otherCluster(file: file, found: "test", expected: "prod")
        #expect(throws: cluster) { try recover(&disk, configuration(cluster: "prod")) }
        #expect("\(cluster)".contains("\"test\"") && "\(cluster)".contains("\"prod\""))
        let node = JournalError.otherNode(
            file: "PROMISE",
            found: NodeID(1),
            expected: NodeID(2)
        )
        #expect(throws: node) { try recover(&disk, configuration(node: 2)) }
        #expect("\(node)".contains("node 1") && "\(node)".contains("node 2"))
        #expect(throws: JournalError.invalidClusterName("")) {
            try recover(&disk, configuration(cluster: ""))
        }
        #expect(throws: Never.self) { try recover(&disk) }
    }

    @Test("refuses a newer format by its version")
    func newerVersion() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        let file = "log-0000000000000001.seg"
        var bytes = try disk.contents(file)
        bytes.lay(littleEndian(UInt32(7)), at: 8)
        bytes.lay(littleEndian(checksum(bytes[..<508])), at: 508)
        disk.replace(file, with: bytes)
        #expect(throws: JournalError.unsupportedVersion(file: file, found: 7, supported: 2)) {
            try recover(&disk)
        }
    }

    @Test("refuses a log with a segment missing")
    func missingSegment() throws {
        let (whole, _) = try disk(with: lifeOfAFollower())
        let files = whole.list().filter { $0.hasSuffix(".seg") }
        #expect(files.count >= 4)
        for file in files.dropLast() {
            var disk = whole
            disk.lose(file)
            #expect(throws: JournalError.missing(file: file)) { try recover(&disk) }
        }
    }

    @Test("leaves other files alone")
    func otherFiles() throws {
        var (disk, model) = try disk(with: lifeOfAFollower())
        for name in ["LOCK", "log-1.seg", "log-000000000000000G.seg", "snapshot-1"] {
            disk.make(name, [1, 2, 3])
        }
        #expect(try recover(&disk).model == model)
        #expect(try disk.contents("log-1.seg") == [1, 2, 3])
    }

    @Test("with any one byte changed refuses or finds the whole log, but for the last batch")
    func anyByteChanged() throws {
        let (whole, model) = try disk(with: lifeOfAFollower())
        var before = ModelLog()
        for write in lifeOfAFollower().dropLast().joined() { before.apply(write) }
        var refused = 0
        var cut = 0
        for file in whole.list() {
            let bytes = try whole.contents(file)
            for offset in bytes.indices where offset % 3 == 0 || bytes[offset] != 0 {
                if bytes.count > 5_000, offset > 1_200, offset % 61 != 0 { continue }
                var disk = whole
                disk.flip(file, at: offset)
                let damagedDisk = disk
                do {
                    let found = try recover(&disk)
                    if found.model == model { continue }
                    cut += 1
                    #expect(found.model == before, "\(file) at \(offset)")
                } catch {
                    refused += 1
                    guard case .damaged(_, _, let what) = error, !what.isEmpty else {
                        Issue.record("\(file) at \(offset): \(error)")
                        continue
                    }
                    for name in disk.list() {  // a refusal changes nothing
                        let isSame = try disk.contents(name) == damagedDisk.contents(name)
                        #expect(isSame, "\(file) at \(offset) changed \(name)")
                    }
                }
            }
        }
        #expect(refused > 1_000 && cut > 50, "refused \(refused), cut \(cut)")
    }

    @Test("names the file and place of damage and what shows it")
    func damageReport() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        disk.flip("log-0000000000000001.seg", at: 1024 + 60)
        let error = #expect(throws: JournalError.self) { try recover(&disk) }
        #expect(
            error.map { "\($0)" }
                == "log-0000000000000001.seg is damaged at byte 1024: "
                + "checksum of batch 2 does not match, but log-0000000000000002.seg begins with "
                + "batch 7"
        )
    }

    @Test("says where it cut a torn tail")
    func tornTail() throws {
        var (disk, model) = try disk(with: [lifeOfAFollower()[0], lifeOfAFollower()[1]])
        disk.flip("log-0000000000000001.seg", at: 1024 + 60)
        let found = try recover(&disk)
        model = ModelLog()
        model.apply(lifeOfAFollower()[0][0])
        #expect(found.model == model)
        #expect(
            found.tornTail
                == TornTail(
                    file: "log-0000000000000001.seg",
                    offset: 1024,
                    what: "checksum of batch 2 does not match"
                )
        )
    }

    @Test("takes no payload for a later batch unless it knows the salt", arguments: [0, 0x5A17])
    func forgedBatch(salt: UInt64) throws {
        var (disk, model) = try disk(with: [lifeOfAFollower()[0]])
        var journal = try LogJournal.recover(from: &disk, configuration: configuration()) { _ in }
            .takeJournal()
        // The payload begins 48 + 34 bytes into the batch; its byte 430 is on a sector's start.
        var entry = model.write(2, term: 1, from: 1, sizes: [1_500])
        let forged = batchHeader(
            number: 1_000,
            salt: salt,
            length: 0,
            records: 0,
            previous: 0,
            body: 0
        )
        entry.entries[0].payload.lay(forged, at: 430)
        journal.append(entry)
        let batch = try required(journal.nextBatch())
        for operation in batch.operations {
            guard case .sync = operation else {
                try disk.perform(operation)
                continue
            }
        }
        disk = disk.afterPowerCut(.lastWrite(prefix: 1_024), keepsNames: true)
        if salt == 0 {
            #expect(try recover(&disk).model == model)
        } else {
            // Whoever knows the salt can make a torn tail look like damage: the check is real.
            #expect(throws: JournalError.self) { try recover(&disk) }
        }
    }

    @Test("of hostile bytes with right checksums ends in an error, never a trap", arguments: 1...6)
    func hostile(seed: UInt64) throws {
        var draws = Draws(state: seed)
        let (whole, _) = try disk(with: [lifeOfAFollower()[0], lifeOfAFollower()[1]])
        let file = "log-0000000000000001.seg"
        let bytes = try whole.contents(file)
        for _ in 0..<400 {
            var disk = whole
            var forged = bytes
            // Batch 2 is at 1024. Some of its bytes become others, or extreme numbers.
            let length = Int(forged[1048]) | Int(forged[1049]) << 8
            for _ in 0...draws.below(3) {
                let at = 1032 + draws.below(length + 40)
                if draws.below(2) == 0 {
                    forged[at] = UInt8(truncatingIfNeeded: draws.next())
                } else {
                    forged.lay([0xFF, 0xFF, 0xFF, [0x7F, 0xFF][draws.below(2)]], at: at & ~3)
                }
            }
            // Then the checksums are made right: of the first record, the body, the header.
            let first = min(Int(forged[1024 + 52]) | Int(forged[1024 + 53]) << 8, 900)
            let record = 1024 + 48
            forged.lay(littleEndian(checksum(forged[record + 4..<record + 8 + first])), at: record)
            let now = min(Int(forged[1048]) | Int(forged[1049]) << 8, 2_000)
            forged.lay(littleEndian(checksum(forged[1072..<1072 + now])), at: 1060)
            forged.lay(littleEndian(checksum(forged[1024..<1068])), at: 1068)
            disk.replace(file, with: forged)
            do {
                _ = try recover(&disk)
            } catch {
                guard case .damaged = error else {
                    Issue.record("\(error)")
                    return
                }
            }
        }
    }

    @Test("of files full of noise finds no log and does not trap")
    func noise() throws {
        var draws = Draws(state: 8)
        for size in [0, 1, 511, 512, 513, 4_096, 70_000] {
            var disk = CrashDisk()
            let bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: draws.next()) }
            disk.make("log-0000000000000001.seg", bytes)
            #expect(try recover(&disk).model == ModelLog())
        }
    }

    @Test("reports a failing disk as such")
    func failingDisk() throws {
        var (disk, _) = try disk(with: lifeOfAFollower())
        disk.failsAt = disk.performed
        let error = #expect(throws: JournalError.self) { try recover(&disk) }
        guard case .disk(let disk) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(disk.code == 5)
    }
}
