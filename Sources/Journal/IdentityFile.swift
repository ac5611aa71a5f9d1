import Digest
package import Raft

/// The file `IDENTITY`: two slots that say the same, each with a checksum; docs/formats.md has it
/// byte by byte.
///
/// It is changed in place, one slot after the other, so that a crash or one damaged place leaves
/// one of them whole.
package struct IdentityFile: Sendable {
    package static let name = "IDENTITY"
    static let magic: UInt64 = 0x5954_4E45_4449_4456  // "VDIDENTY"
    static let version: UInt32 = 1
    static let slotSize = 4096
    static let size = 2 * slotSize
    private static let membersAt = 256
    private static let restoredAt = 240
    private static let memberSize = 72
    /// More than any cluster has.
    package static let maxMembers = (slotSize - 4 - membersAt) / memberSize

    package var identity: DirectoryIdentity
    /// Counted up with each change.
    package private(set) var generation: UInt64
    private var exists: Bool
    /// The slot that is written next: never the only one that is whole.
    private var firstSlot = 0

    /// A file that is not there yet.
    package init(_ identity: DirectoryIdentity) {
        self.identity = identity
        generation = 0
        exists = false
    }

    /// What was found on a disk.
    package struct Found: Sendable {
        /// `nil` if there is none that is whole.
        package var file: IdentityFile?
        /// Set if a slot is damaged.
        package var damage: String?
    }

    package static func load(from disk: inout some Disk) throws(JournalError) -> Found {
        let bytes: [UInt8]
        do {
            guard try disk.list().contains(name) else { return Found(file: nil, damage: nil) }
            bytes = try disk.read(name, at: 0, count: size)
        } catch { throw .disk(error) }
        var best: IdentityFile?
        var damage: String?
        for slot in 0..<2 {
            let start = slot * slotSize
            guard start + slotSize <= bytes.count else {
                damage = "slot \(slot) is not there"
                continue
            }
            guard let file = try IdentityFile(Array(bytes[start..<start + slotSize])) else {
                if bytes[start..<start + slotSize].contains(where: { $0 != 0 }) {
                    damage = "slot \(slot): checksum does not match"
                }
                continue
            }
            if let known = best, known.generation >= file.generation {
                // A slot that is behind was not reached by the last change.
                if known.generation > file.generation { best?.firstSlot = slot }
                continue
            }
            best = file
            best?.firstSlot = slot == 0 ? 1 : 0
        }
        if best == nil, !bytes.isEmpty {
            // Nobody was told of an identity that was not whole yet; the file is written anew.
            return Found(file: nil, damage: damage)
        }
        return Found(file: best, damage: damage)
    }

    /// Whether the file is on the disk, whole or not.
    static func isThere(_ disk: inout some Disk) throws(JournalError) -> Bool {
        do { return try disk.list().contains(name) } catch { throw .disk(error) }
    }

    /// The steps that make `identity` durable as it is now.
    package mutating func write(isThere: Bool? = nil) -> [DiskOperation] {
        generation += 1
        var operations: [DiskOperation] = []
        if !(isThere ?? exists) {
            operations.append(.create(file: Self.name, size: Self.size))
        }
        let bytes = encoded()
        for slot in [firstSlot, 1 - firstSlot] {
            operations.append(
                .write(file: Self.name, offset: slot * Self.slotSize, bytes: bytes)
            )
            operations.append(.sync(file: Self.name))
        }
        if !(isThere ?? exists) { operations.append(.syncDirectory) }
        exists = true
        return operations
    }

    func encoded() -> [UInt8] {
        invariant(
            identity.members.count <= Self.maxMembers,
            "\(identity.members.count) members"
        )
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.slotSize)
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: identity.node.number)
        bytes.append(littleEndian: generation)
        bytes.append(identity.directory)
        bytes.append(identity.copiedFrom ?? .none)
        bytes.append(littleEndian: identity.starts)
        bytes.append(littleEndian: identity.run)
        bytes.append(littleEndian: identity.place)
        bytes.append(littleEndian: identity.repairingThrough?.number ?? 0)
        bytes.append(
            littleEndian: UInt32(identity.isFormed ? 1 : 0)
                | UInt32(identity.repairingThrough == nil ? 0 : 2)
        )
        bytes.append(littleEndian: UInt32(identity.members.count))
        bytes.append(littleEndian: UInt32(identity.cluster.utf8.count))
        bytes.append(contentsOf: identity.cluster.utf8)
        bytes.append(contentsOf: repeatElement(0, count: Self.restoredAt - bytes.count))
        bytes.append(littleEndian: identity.restoredThrough?.term.number ?? 0)
        bytes.append(littleEndian: identity.restoredThrough?.index.number ?? 0)
        for member in identity.members {
            bytes.append(littleEndian: member.node.number)
            bytes.append(littleEndian: UInt32(member.isPromiseOfEarlierTerm ? 1 : 0))
            bytes.append(member.directory)
            bytes.append(littleEndian: member.admittedAt.number)
            bytes.append(littleEndian: member.starts)
            bytes.append(littleEndian: member.run)
            bytes.append(littleEndian: member.promisedTerm.number)
            bytes.append(littleEndian: member.promisedEntry.term.number)
            bytes.append(littleEndian: member.promisedEntry.index.number)
        }
        bytes.append(contentsOf: repeatElement(0, count: Self.slotSize - 4 - bytes.count))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes, in: 0..<bytes.count))
        return bytes
    }

    /// Reads a slot.
    ///
    /// - Returns: nil if it is not whole.
    /// - Throws: `JournalError.unsupportedVersion` if a newer program wrote it.
    init?(_ bytes: [UInt8]) throws(JournalError) {
        let checked = 0..<Self.slotSize - 4
        guard bytes.count == Self.slotSize, bytes.uint64(at: 0) == Self.magic,
            CRC32C.checksum(of: bytes, in: checked) == bytes.uint32(at: checked.upperBound)
        else { return nil }
        let version = bytes.uint32(at: 8)
        guard version == Self.version else {
            throw .unsupportedVersion(file: Self.name, found: version, supported: Self.version)
        }
        let flags = bytes.uint32(at: 88)
        let count = Int(bytes.uint32(at: 92))
        let length = Int(bytes.uint32(at: 96))
        guard count <= Self.maxMembers, length <= SegmentHeader.maxClusterBytes else { return nil }
        generation = bytes.uint64(at: 16)
        exists = true
        identity = DirectoryIdentity(
            cluster: String(decoding: bytes[100..<100 + length], as: UTF8.self),
            node: NodeID(bytes.uint32(at: 12)),
            directory: bytes.directory(at: 24),
            run: bytes.uint64(at: 64),
            place: bytes.uint64(at: 72)
        )
        let copied = bytes.directory(at: 40)
        identity.copiedFrom = copied == .none ? nil : copied
        identity.starts = bytes.uint64(at: 56)
        identity.isFormed = flags & 1 != 0
        identity.repairingThrough = flags & 2 == 0 ? nil : LogIndex(bytes.uint64(at: 80))
        let restored = EntryID(
            term: Term(bytes.uint64(at: Self.restoredAt)),
            index: LogIndex(bytes.uint64(at: Self.restoredAt + 8))
        )
        identity.restoredThrough = restored == .zero ? nil : restored
        identity.members = []
        for member in 0..<count {
            let at = Self.membersAt + member * Self.memberSize
            var record = MemberRecord(
                node: NodeID(bytes.uint32(at: at)),
                directory: bytes.directory(at: at + 8),
                admittedAt: LogIndex(bytes.uint64(at: at + 24))
            )
            record.isPromiseOfEarlierTerm = bytes.uint32(at: at + 4) & 1 != 0
            record.starts = bytes.uint64(at: at + 32)
            record.run = bytes.uint64(at: at + 40)
            record.promisedTerm = Term(bytes.uint64(at: at + 48))
            record.promisedEntry = EntryID(
                term: Term(bytes.uint64(at: at + 56)),
                index: LogIndex(bytes.uint64(at: at + 64))
            )
            identity.members.append(record)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ directory: DirectoryID) {
        append(littleEndian: directory.high)
        append(littleEndian: directory.low)
    }

    fileprivate func directory(at offset: Int) -> DirectoryID {
        DirectoryID(high: uint64(at: offset), low: uint64(at: offset + 8))
    }
}

/// How a directory came to be what it is at this start.
package enum DirectoryOrigin: String, Hashable, Sendable {
    /// It was used before, here.
    case known
    /// It was empty.
    case fresh
    /// It holds a log, but its `IDENTITY` is gone or damaged.
    case lost
    /// It is a copy: its files came from another place.
    case copied
}

extension IdentityFile {
    /// Opens a directory's identity for a new process, durably counted, and makes one where there
    /// is none.
    ///
    /// `fresh` is a number that was just drawn, for a directory that has none of its own; `place` tells
    /// this directory from a copy of it, 0 if it is not known; `hasLog` says that a log was found in it.
    ///
    /// - Returns: the file, how the directory came to be what it is, and what was damaged.
    /// - Throws: `JournalError` if it is another node's or cluster's, or the disk fails.
    package static func open(
        on disk: inout some Disk,
        configuration: JournalConfiguration,
        members: [NodeID],
        fresh: DirectoryID,
        place: UInt64,
        run: UInt64,
        hasLog: Bool
    ) throws(JournalError) -> (file: IdentityFile, origin: DirectoryOrigin, damage: String?) {
        let found = try load(from: &disk)
        var file: IdentityFile
        let origin: DirectoryOrigin
        let new = DirectoryIdentity(
            cluster: configuration.cluster,
            node: configuration.node,
            directory: fresh,
            run: run,
            place: place
        )
        if let known = found.file {
            file = known
            guard known.identity.cluster == configuration.cluster else {
                throw .otherCluster(
                    file: name,
                    found: known.identity.cluster,
                    expected: configuration.cluster
                )
            }
            guard known.identity.node == configuration.node else {
                throw .otherNode(
                    file: name,
                    found: known.identity.node,
                    expected: configuration.node
                )
            }
            if place == 0 || known.identity.place == 0 || known.identity.place == place {
                origin = .known
                file.identity.starts += 1
                file.identity.run = run
                if place != 0 { file.identity.place = place }
            } else {
                origin = .copied
                file.identity = new
                file.identity.copiedFrom = known.identity.directory
                file.identity.restoredThrough = known.identity.restoredThrough
            }
        } else {
            origin = hasLog ? .lost : .fresh
            file = IdentityFile(new)
        }
        // Alone, there is nobody who could know better.
        if members == [configuration.node] {
            file.identity.isFormed = true
            file.identity.repairingThrough = nil
            file.identity.restoredThrough = nil
        }
        let isThere = try isThere(&disk)
        do {
            for operation in file.write(isThere: isThere) { try disk.perform(operation) }
        } catch { throw .disk(error) }
        return (file, origin, found.damage)
    }
}
