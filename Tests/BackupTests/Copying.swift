import Backup
import Journal
import Raft
import Replica
import Testing

extension LoneNode {
    /// Begins a copy of the node.
    func beginBackup(_ id: UInt64 = 7) throws -> BackupWriter.Plan {
        let now = now
        let refusal = with { $0.beginBackup(id, at: now) }
        try #require(refusal == nil)
        return try #require(plan(id))
    }

    /// What it says that the copy consists of.
    func plan(_ id: UInt64) -> BackupWriter.Plan? {
        let now = now
        guard case .ready(let contents)? = with({ $0.backup(id, at: now) }) else { return nil }
        return BackupWriter.Plan(
            cluster: replica.configuration.journal.cluster,
            node: replica.node,
            directory: replica.directoryIdentity?.directory ?? .none,
            entry: contents.entry,
            firstIndex: contents.firstIndex,
            files: contents.files.map {
                .init(name: $0.name, bytes: $0.bytes, checksum: $0.checksum)
            }
        )
    }

    /// A piece of the copy, as an operator's route gives it.
    func piece(_ wanted: BackupWriter.Wanted, of id: UInt64 = 7) throws -> [UInt8] {
        let context = takeContext()
        let now = now
        let reading = with { replica in
            switch wanted {
            case .file(let file, let offset):
                replica.readBackup(
                    id,
                    file: file,
                    offset: UInt64(offset),
                    context: context,
                    at: now
                )
            case .entries(let from):
                replica.readBackupLog(id, from: from.number, context: context, at: now)
            }
        }
        switch reading {
        case .known(let bytes): return bytes
        case .begun: return try #require(pieces[context]).get()
        case .unknownBackup, .notInIt: throw NoPiece(reading: reading)
        }
    }
    struct NoPiece: Error { var reading: BackupReading }

    /// Takes a whole copy; `meanwhile` is done before each piece.
    func copy(meanwhile: () throws -> Void = {}) throws -> MemoryDisk {
        var copy = MemoryDisk()
        var writer = try BackupWriter(beginBackup(), on: &copy)
        while let wanted = writer.wanted {
            try meanwhile()
            try writer.take(try piece(wanted), on: &copy)
        }
        _ = try writer.finish(at: 1_700_000_000_123, on: &copy)
        #expect(with { $0.endBackup(7) })
        return copy
    }

    /// Attempts that are decided, and one that is open.
    static func withAttempts(
        _ count: Int = 12,
        configure: (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws -> LoneNode {
        let node = try LoneNode(configure: configure)
        for number in 0..<count {
            try node.open("va_\(number)")
            try node.verify("va_\(number)")
        }
        try node.open("va_open")
        return node
    }
}

func restored(
    _ backup: MemoryDisk,
    cluster: String = "new",
    node: UInt32 = 3
) throws -> MemoryDisk {
    var source = backup
    var disk = MemoryDisk()
    _ = try Restoration.restore(
        from: &source,
        to: &disk,
        as: .init(
            cluster: cluster,
            node: NodeID(node),
            directory: DirectoryID(high: 90, low: UInt64(node)),
            salt: 4711,
            segmentSize: LoneNode.segmentSize
        )
    )
    return disk
}
