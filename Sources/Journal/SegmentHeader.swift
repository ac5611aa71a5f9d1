import Digest
import Raft

/// The first sector of a segment file; docs/formats.md has it byte by byte.
///
/// It repeats the state of the log before the segment's first batch, so that a log whose front was
/// removed can be read from here on.
struct SegmentHeader: Hashable, Sendable {
    static let magic: UInt64 = 0x544E_4D47_4553_4456  // "VDSEGMNT"
    static let version: UInt32 = 2
    static let maxClusterBytes = 128

    /// What is special about a segment; bits of a number in the header.
    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt32
        /// The log begins anew after `start.last`, which a checkpoint stands for: entries between
        /// the end of the segment before and that one are not here.
        static let restart = Flags(rawValue: 1)
        /// Made again from the entries of other replicas: its batches are not those of its time.
        static let rebuilt = Flags(rawValue: 2)
        /// Part of the hard state before the first batch.
        static let repairing = Flags(rawValue: 4)
    }

    var cluster: String
    var node: NodeID
    var sequence: UInt64
    var salt: UInt64
    /// Number of the first batch in this segment.
    var firstBatch: UInt64
    /// `BatchHeader.checksum` of the batch before it; 0 before batch 1.
    var previousChecksum: UInt32
    var start: LogPoint
    var flags: Flags = []
    /// Bytes that the file was made with; 0 if a version did not say.
    ///
    /// It never has fewer.
    var fileSize: UInt64 = 0
    /// Log time of `start.last` in a segment in which the log begins anew.
    var startTime: Timestamp = .zero

    func encoded() -> [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(Sector.size)
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: node.number)
        bytes.append(littleEndian: sequence)
        bytes.append(littleEndian: salt)
        bytes.append(littleEndian: firstBatch)
        bytes.append(littleEndian: previousChecksum)
        bytes.append(littleEndian: start.hardState.votedFor?.number ?? 0)
        bytes.append(littleEndian: start.last.index.number)
        bytes.append(littleEndian: start.last.term.number)
        bytes.append(littleEndian: start.hardState.currentTerm.number)
        bytes.append(littleEndian: start.hardState.commitIndex.number)
        bytes.append(littleEndian: UInt32(cluster.utf8.count))
        bytes.append(contentsOf: cluster.utf8)
        bytes.append(contentsOf: repeatElement(0, count: Self.second - bytes.count))
        var flags = flags
        if start.hardState.isRepairing { flags.insert(.repairing) }
        bytes.append(littleEndian: flags.rawValue)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: fileSize)
        bytes.append(littleEndian: startTime.milliseconds)
        bytes.append(contentsOf: repeatElement(0, count: Sector.size - 4 - bytes.count))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes, in: 0..<bytes.count))
        return bytes
    }

    /// Reads a header.
    ///
    /// - Returns: nil if there is none, or a torn or damaged one.
    /// - Throws: `JournalError.unsupportedVersion` if it is whole but of a newer format. Magic,
    ///   version and checksum keep their places in every version.
    init?(_ bytes: [UInt8], file: String) throws(JournalError) {
        guard bytes.count >= Sector.size, bytes.uint64(at: 0) == Self.magic else { return nil }
        let checked = 0..<Sector.size - 4
        guard CRC32C.checksum(of: bytes, in: checked) == bytes.uint32(at: Sector.size - 4) else {
            return nil
        }
        let version = bytes.uint32(at: 8)
        guard (1...Self.version).contains(version) else {
            throw .unsupportedVersion(file: file, found: version, supported: Self.version)
        }
        let length = Int(bytes.uint32(at: 80))
        guard (1...Self.maxClusterBytes).contains(length) else { return nil }
        cluster = String(decoding: bytes[84..<84 + length], as: UTF8.self)
        node = NodeID(bytes.uint32(at: 12))
        sequence = bytes.uint64(at: 16)
        salt = bytes.uint64(at: 24)
        firstBatch = bytes.uint64(at: 32)
        previousChecksum = bytes.uint32(at: 40)
        let vote = bytes.uint32(at: 44)
        if version >= 2 {
            flags = Flags(rawValue: bytes.uint32(at: Self.second))
            fileSize = bytes.uint64(at: Self.second + 8)
            startTime = Timestamp(milliseconds: bytes.uint64(at: Self.second + 16))
        }
        start = LogPoint(
            hardState: HardState(
                currentTerm: Term(bytes.uint64(at: 64)),
                votedFor: vote == 0 ? nil : NodeID(vote),
                commitIndex: LogIndex(bytes.uint64(at: 72)),
                isRepairing: flags.contains(.repairing)
            ),
            last: EntryID(term: Term(bytes.uint64(at: 56)), index: LogIndex(bytes.uint64(at: 48)))
        )
    }

    init(
        configuration: JournalConfiguration,
        sequence: UInt64,
        firstBatch: UInt64,
        previousChecksum: UInt32,
        start: LogPoint,
        startTime: Timestamp? = nil
    ) {
        if let startTime {
            self.startTime = startTime
            flags = .restart
        }
        fileSize = UInt64(configuration.segmentSize)
        cluster = configuration.cluster
        node = configuration.node
        salt = configuration.salt
        self.sequence = sequence
        self.firstBatch = firstBatch
        self.previousChecksum = previousChecksum
        self.start = start
    }
}

extension SegmentHeader {
    /// Where the fields that version 2 added begin.
    fileprivate static let second = 240
}

/// What a log has come to between two batches.
struct LogPoint: Hashable, Sendable {
    var hardState = HardState()
    /// The last entry; zero if the log is empty.
    var last: EntryID = .zero
}

/// Names of segment files: `log-`, 16 hexadecimal digits of the sequence number, `.seg`.
///
/// By sequence and not by index, since a segment is made before it is known what goes into it,
/// and since indexes go back when a log is truncated.
package enum SegmentName {
    /// How many sequence numbers are left free before a segment in which the log begins anew.
    static let restartDistance: UInt64 = 1 << 16

    package static func file(_ sequence: UInt64) -> String {
        let digits = String(sequence, radix: 16)
        return "log-" + String(repeating: "0", count: 16 - digits.count) + digits + ".seg"
    }

    /// The file beside a segment that says where its entries are.
    static func index(_ sequence: UInt64) -> String {
        String(file(sequence).dropLast(4)) + ".idx"
    }

    /// The sequence number in a name; nil if another kind of file has it.
    static func sequence(_ file: String) -> UInt64? {
        guard file.utf8.count == 24, file.hasPrefix("log-"), file.hasSuffix(".seg") else {
            return nil
        }
        guard let sequence = UInt64(file.dropFirst(4).dropLast(4), radix: 16) else { return nil }
        return self.file(sequence) == file ? sequence : nil
    }
}
