import Digest
package import Journal
package import Raft

/// What a backup is of, and of which files it consists; the file `BACKUP`, which docs/formats.md has byte by byte.
///
/// It is written last and put in place in one step: a directory without it is no finished backup.
package struct BackupManifest: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        package var name: String
        package var bytes: Int
        package var sha256: [UInt8]
    }

    /// The cluster, node and data directory that it was taken from.
    package var cluster: String
    package var node: NodeID
    package var directory: DirectoryID
    /// Milliseconds since the Unix epoch, by the clock of the machine that it was taken on.
    package var madeAt: UInt64
    /// The entry that the state is of, and the last one of the log.
    package var entry: EntryID
    /// That entry's log time.
    package var time: Timestamp
    /// The first entry of the log; the one after `entry` if there is none.
    package var firstIndex: LogIndex
    package var attempts: UInt64
    /// What the state comes to (`Verification.StateSum`).
    package var state: [UInt8]
    /// Tells which `digest_key` the log's digests were made with (`DigestKeyMark`); 0 if that is not known.
    package var digestKeyMark: UInt64
    /// By name.
    package var files: [File]

    package static let name = "BACKUP"
    /// The same in the making.
    static let unfinished = "BACKUP.new"
    static let magic: UInt64 = 0x5055_4b43_4142_4456  // "VDBACKUP"
    static let version: UInt32 = 1
    /// Above any that a log comes to.
    static let maxIndex = LogIndex(1 << 62)
    private static let fixedSize = 128
    private static let fileSize = 48

    package func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: node.number)
        bytes.append(littleEndian: madeAt)
        bytes.append(littleEndian: directory.high)
        bytes.append(littleEndian: directory.low)
        bytes.append(littleEndian: entry.term.number)
        bytes.append(littleEndian: entry.index.number)
        bytes.append(littleEndian: time.milliseconds)
        bytes.append(littleEndian: firstIndex.number)
        bytes.append(littleEndian: attempts)
        bytes.append(contentsOf: state)
        bytes.append(littleEndian: UInt32(cluster.utf8.count))
        bytes.append(littleEndian: UInt32(files.count))
        bytes.append(littleEndian: digestKeyMark)
        bytes.append(contentsOf: cluster.utf8)
        for file in files {
            bytes.append(littleEndian: UInt64(file.bytes))
            bytes.append(contentsOf: file.sha256)
            bytes.append(littleEndian: UInt32(file.name.utf8.count))
            bytes.append(littleEndian: UInt32(0))
            bytes.append(contentsOf: file.name.utf8)
        }
        bytes.append(littleEndian: CRC32C.checksum(of: bytes))
        return bytes
    }

    /// Reads a manifest; whatever is wrong with it is an error.
    package init(_ bytes: [UInt8]) throws(JournalError) {
        func damaged(_ what: String) -> JournalError {
            .damaged(file: Self.name, offset: 0, what: what)
        }
        guard bytes.count >= 16, bytes.uint64(at: 0) == Self.magic else {
            throw damaged("it does not begin like a backup's")
        }
        // The checksum keeps its place in every later version.
        let end = bytes.count - 4
        guard CRC32C.checksum(of: bytes[..<end]) == bytes.uint32(at: end) else {
            throw damaged("its checksum does not match")
        }
        let version = bytes.uint32(at: 8)
        guard version == Self.version else {
            throw .unsupportedVersion(file: Self.name, found: version, supported: Self.version)
        }
        guard end >= Self.fixedSize else { throw damaged("it is too short") }
        node = NodeID(bytes.uint32(at: 12))
        madeAt = bytes.uint64(at: 16)
        directory = DirectoryID(high: bytes.uint64(at: 24), low: bytes.uint64(at: 32))
        entry = EntryID(
            term: Term(bytes.uint64(at: 40)),
            index: LogIndex(bytes.uint64(at: 48))
        )
        time = Timestamp(milliseconds: bytes.uint64(at: 56))
        firstIndex = LogIndex(bytes.uint64(at: 64))
        attempts = bytes.uint64(at: 72)
        state = Array(bytes[80..<112])
        let nameLength = Int(bytes.uint32(at: 112))
        let count = Int(bytes.uint32(at: 116))
        digestKeyMark = bytes.uint64(at: 120)
        var at = Self.fixedSize
        func text(_ length: Int) throws(JournalError) -> String {
            guard length <= end - at,
                let text = String(validating: bytes[at..<at + length], as: UTF8.self)
            else { throw damaged("a name in it is none") }
            return text
        }
        cluster = try text(nameLength)
        at += nameLength
        files = []
        for _ in 0..<count {
            guard end - at >= Self.fileSize, let size = Int(exactly: bytes.uint64(at: at)) else {
                throw damaged("its list of files is cut off")
            }
            let sha256 = Array(bytes[at + 8..<at + 40])
            let length = Int(bytes.uint32(at: at + 40))
            at += Self.fileSize
            files.append(File(name: try text(length), bytes: size, sha256: sha256))
            at += length
        }
        guard at == end, entry.index > .zero, entry.index <= Self.maxIndex,
            firstIndex > .zero, firstIndex <= entry.index.next
        else { throw damaged("its parts do not add up") }
    }

    /// Reads the manifest of a backup.
    ///
    /// - Throws: `JournalError.missing` if there is none: then the backup is not finished, or there is none.
    package static func read(from disk: inout some Disk) throws(JournalError) -> BackupManifest {
        let bytes: [UInt8]?
        do {
            let isThere = try disk.list().contains(name)
            bytes = isThere ? try disk.read(name, at: 0, count: try disk.size(of: name)) : nil
        } catch { throw .disk(error) }
        guard let bytes else { throw .missing(file: name) }
        return try BackupManifest(bytes)
    }

    init(
        cluster: String,
        node: NodeID,
        directory: DirectoryID,
        madeAt: UInt64,
        entry: EntryID,
        time: Timestamp,
        firstIndex: LogIndex,
        attempts: UInt64,
        state: [UInt8],
        digestKeyMark: UInt64,
        files: [File]
    ) {
        self.cluster = cluster
        self.node = node
        self.directory = directory
        self.madeAt = madeAt
        self.entry = entry
        self.time = time
        self.firstIndex = firstIndex
        self.attempts = attempts
        self.state = state
        self.digestKeyMark = digestKeyMark
        self.files = files
    }
}
