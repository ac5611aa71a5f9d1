import Digest
package import Journal
package import Raft
import Verification

/// What a checkpoint stands for, and of which runs it consists; the file `CHECKPOINT`.
///
/// State and applied index are one thing: the file is replaced as a whole.
package struct Manifest: Hashable, Sendable {
    package var cluster: String
    package var node: NodeID
    /// The newest entry that the state includes.
    package var entry: EntryID
    /// That entry's time.
    package var time: Timestamp
    /// The terms of the log through that entry.
    package var terms: [TermRun]
    /// Key of the hash under which records are found.
    package var hashKey: UInt64
    /// Attempts that the runs hold, those of which another version is newer not counted; about.
    package var attempts: UInt64
    /// The sequence number of the next run.
    package var nextRun: UInt64
    /// Oldest first: where two have a version of an attempt, the one in the later run counts.
    package var runs: [Run]
    /// The state without its attempts, as the state machine encodes it.
    package var head: [UInt8]
    /// It was fetched from another node, when the own log ended before `entry`.
    package var isFetched = false

    static let magic: UInt64 = 0x544e_504b_4843_4456  // "VDCHKPNT"
    static let version: UInt32 = 1
    private static let fixedSize = 104
    private static let runSize = 48
    private static let termSize = 16

    package init(
        cluster: String,
        node: NodeID,
        entry: EntryID,
        time: Timestamp,
        terms: [TermRun],
        hashKey: UInt64,
        attempts: UInt64,
        nextRun: UInt64,
        runs: [Run],
        head: [UInt8]
    ) {
        self.cluster = cluster
        self.node = node
        self.entry = entry
        self.time = time
        self.terms = terms
        self.hashKey = hashKey
        self.attempts = attempts
        self.nextRun = nextRun
        self.runs = runs
        self.head = head
    }

    package func encoded() -> [UInt8] {
        let name = Array(cluster.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            Self.fixedSize + name.count + terms.count * Self.termSize + runs.count * Self.runSize
                + head.count + 4
        )
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: node.number)
        bytes.append(littleEndian: entry.term.number)
        bytes.append(littleEndian: entry.index.number)
        bytes.append(littleEndian: time.milliseconds)
        bytes.append(littleEndian: hashKey)
        bytes.append(littleEndian: attempts)
        bytes.append(littleEndian: nextRun)
        bytes.append(littleEndian: UInt64(head.count))
        bytes.append(littleEndian: UInt32(name.count))
        bytes.append(littleEndian: UInt32(terms.count))
        bytes.append(littleEndian: UInt32(runs.count))
        bytes.append(littleEndian: UInt32(isFetched ? 1 : 0))
        bytes.append(contentsOf: repeatElement(0, count: Self.fixedSize - bytes.count))
        bytes.append(contentsOf: name)
        for term in terms {
            bytes.append(littleEndian: term.term.number)
            bytes.append(littleEndian: term.first.number)
        }
        for run in runs {
            bytes.append(littleEndian: run.sequence)
            bytes.append(littleEndian: UInt64(run.bytes))
            bytes.append(littleEndian: UInt64(run.footerOffset))
            bytes.append(littleEndian: UInt32(run.records))
            bytes.append(littleEndian: run.footerChecksum)
            bytes.append(littleEndian: run.newestDecision.milliseconds)
            bytes.append(littleEndian: UInt64(run.hasDetails ? 1 : 0))
        }
        bytes.append(contentsOf: head)
        bytes.append(littleEndian: CRC32C.checksum(of: bytes))
        return bytes
    }

    /// The checksum at the end of an encoded manifest.
    package static func checksum(of bytes: [UInt8]) -> UInt32 { bytes.uint32(at: bytes.count - 4) }

    /// Reads a manifest; whatever is wrong with it is an error.
    package init(_ bytes: [UInt8], file: String = RunName.manifest) throws(JournalError) {
        func damaged(_ what: String) -> JournalError {
            .damaged(file: file, offset: 0, what: what)
        }
        guard bytes.count >= 12, bytes.uint64(at: 0) == Self.magic else {
            throw damaged("it does not begin like a checkpoint")
        }
        // The checksum keeps its place in every later version.
        guard CRC32C.checksum(of: bytes[..<(bytes.count - 4)]) == bytes.uint32(at: bytes.count - 4)
        else { throw damaged("its checksum does not match") }
        guard bytes.uint32(at: 8) == Self.version else {
            throw .unsupportedVersion(
                file: file,
                found: bytes.uint32(at: 8),
                supported: Self.version
            )
        }
        guard bytes.count >= Self.fixedSize + 4 else { throw damaged("it is too short") }
        node = NodeID(bytes.uint32(at: 12))
        entry = EntryID(
            term: Term(bytes.uint64(at: 16)),
            index: LogIndex(bytes.uint64(at: 24))
        )
        time = Timestamp(milliseconds: bytes.uint64(at: 32))
        hashKey = bytes.uint64(at: 40)
        attempts = bytes.uint64(at: 48)
        nextRun = bytes.uint64(at: 56)
        let headLength = bytes.uint64(at: 64)
        let nameLength = Int(bytes.uint32(at: 72))
        let termCount = Int(bytes.uint32(at: 76))
        let runCount = Int(bytes.uint32(at: 80))
        isFetched = bytes.uint32(at: 84) & 1 != 0
        let parts =
            Self.fixedSize + nameLength + termCount * Self.termSize + runCount * Self.runSize
        guard headLength <= UInt64(bytes.count),
            parts + Int(headLength) + 4 == bytes.count
        else { throw damaged("its parts do not add up") }
        var at = Self.fixedSize
        guard let name = String(validating: bytes[at..<at + nameLength], as: UTF8.self) else {
            throw damaged("its cluster's name is not text")
        }
        cluster = name
        at += nameLength
        terms = []
        for _ in 0..<termCount {
            terms.append(
                TermRun(
                    term: Term(bytes.uint64(at: at)),
                    first: LogIndex(bytes.uint64(at: at + 8))
                )
            )
            at += Self.termSize
        }
        runs = []
        for _ in 0..<runCount {
            guard let size = Int(exactly: bytes.uint64(at: at + 8)),
                let footer = Int(exactly: bytes.uint64(at: at + 16))
            else { throw damaged("a run's size is none") }
            runs.append(
                Run(
                    sequence: bytes.uint64(at: at),
                    bytes: size,
                    footerOffset: footer,
                    records: Int(bytes.uint32(at: at + 24)),
                    footerChecksum: bytes.uint32(at: at + 28),
                    newestDecision: LogTime(milliseconds: bytes.uint64(at: at + 32)),
                    hasDetails: bytes.uint64(at: at + 40) & 1 == 1
                )
            )
            at += Self.runSize
        }
        head = Array(bytes[at..<at + Int(headLength)])
    }
}
