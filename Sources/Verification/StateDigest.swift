import Digest

/// What a replica's state had come to after an entry, as 32 bytes that replicas can compare.
package struct DigestMark: Hashable, Sendable {
    package var index: EntryIndex
    /// SHA-256.
    package var digest: [UInt8]
    package static let byteCount = 32
    package init(index: EntryIndex, digest: [UInt8]) {
        self.index = index
        self.digest = digest
    }
}

/// A replica's digest was not the one that was agreed.
package struct DigestMismatch: Hashable, Sendable {
    /// The entry that said so.
    package var at: EntryIndex
    /// What was agreed; its index is that of the state that differs.
    package var agreed: DigestMark
    /// What this replica had.
    package var own: [UInt8]
}

/// A rolling digest of the state: a chain of SHA-256 over what each entry changed.
///
/// What an entry changed is put into a block; a full block is hashed together with the digest so
/// far. Blocks end where they are full and at marks, both of which follow from the log alone, so
/// replicas that applied the same log to the same effect have equal digests. Since the state an
/// entry finds decides what it changes, and all that counts of a touched attempt goes in, a replica
/// whose state was changed behind its back differs as soon as an entry touches what was changed.
package struct StateDigest: Sendable {
    /// SHA-256 of the digest before, then the block.
    private(set) var chain = [UInt8](repeating: 0, count: DigestMark.byteCount)
    private(set) var block: [UInt8] = []
    /// The newest marks, oldest first.
    package private(set) var marks: [DigestMark] = []
    /// The newest entry that may have changed the state, and the newest mark that was compared.
    private(set) var changedAt: UInt64 = 0
    private(set) var comparedAt: UInt64 = 0

    /// Bytes after which a block is hashed.
    static let blockSize = 4096
    /// Marks that are kept: a check comes an interval after the mark that it is about.
    static let maxMarks = 8

    init() { block.reserveCapacity(StateDigest.blockSize + 512) }

    /// Whether a check would find something that was not compared yet.
    package var isCheckDue: Bool { changedAt > comparedAt }

    /// Whether the newest mark is older than the newest change.
    package var isMarkDue: Bool { changedAt > (marks.last?.index.number ?? 0) }

    /// Whether what the state was as of an entry was compared, then or later.
    package func isCompared(_ index: EntryIndex) -> Bool { index.number <= comparedAt }

    /// Whether a mark was compared already, or one after it.
    package func isCompared(_ mark: DigestMark) -> Bool { mark.index.number <= comparedAt }

    package func mark(at index: EntryIndex) -> DigestMark? { marks.last { $0.index == index } }

    /// Adds what an entry changed.
    mutating func fold(_ change: (inout [UInt8]) -> Void) {
        change(&block)
        if block.count >= StateDigest.blockSize { hashBlock() }
    }

    /// Ends an entry that may have changed the state.
    mutating func endEntry(_ index: EntryIndex) {
        changedAt = index.number
        fold { $0.append(varint: index.number) }
    }

    private mutating func hashBlock() {
        var hash = SHA256()
        hash.update(chain)
        hash.update(block)
        chain = hash.finalize()
        block.removeAll(keepingCapacity: true)
    }

    /// Marks the state as of an entry.
    mutating func mark(_ index: EntryIndex) {
        if !block.isEmpty { hashBlock() }
        if marks.count == StateDigest.maxMarks { marks.removeFirst() }
        marks.append(DigestMark(index: index, digest: chain))
    }

    /// What was agreed for an entry has been compared, wherever that was possible.
    mutating func compared(_ index: EntryIndex) { comparedAt = max(comparedAt, index.number) }

    // MARK: Saving

    /// All that a digest needs to go on from here, for a checkpoint.
    package func save(into bytes: inout [UInt8]) {
        bytes.append(contentsOf: chain)
        bytes.append(counted: block)
        bytes.append(varint: changedAt)
        bytes.append(varint: comparedAt)
        bytes.append(varint: UInt64(marks.count))
        for mark in marks {
            bytes.append(varint: mark.index.number)
            bytes.append(contentsOf: mark.digest)
        }
    }

    /// Reads what `save` wrote.
    package init(saved bytes: [UInt8]) throws(CommandDecodeError) {
        var reader = ByteReader(bytes[...])
        chain = try reader.bytes(DigestMark.byteCount)
        block = Array(try reader.counted())
        changedAt = try reader.varint()
        comparedAt = try reader.varint()
        let count = try reader.count(ofAtLeast: DigestMark.byteCount + 1)
        for _ in 0..<count {
            let index = EntryIndex(try reader.varint())
            marks.append(
                DigestMark(index: index, digest: try reader.bytes(DigestMark.byteCount))
            )
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
    }
}

extension ByteReader {
    /// So many bytes, without a length before them.
    mutating func bytes(_ count: Int) throws(CommandDecodeError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for _ in 0..<count { bytes.append(try byte()) }
        return bytes
    }
}

// MARK: What goes in

extension AttemptRecord {
    /// All of an attempt that its answers depend on, but for what never changes.
    func fold(into bytes: inout [UInt8]) {
        bytes.append(state.rawValue)
        bytes.append(triesUsed)
        bytes.append(maxTries)
        bytes.append(holdsUnjudgedDigits ? 1 : 0)
        bytes.append(varint: opened.index.number)
        bytes.append(varint: movedIndex.number)
        bytes.append(varint: verdict?.moment.index.number ?? 0)
        bytes.append(varint: deadline?.milliseconds ?? 0)
        bytes.append(varint: UInt64(self.bytes))
        bytes.append(varint: counts.callbacks)
        bytes.append(varint: counts.repeated)
        bytes.append(varint: counts.mismatched &+ counts.late)
        bytes.append(varint: counts.contradicted &+ counts.stale)
    }
}

extension Applied {
    /// What became of a command.
    func fold(into bytes: inout [UInt8]) {
        switch self {
        case .opened(let isNew, let view):
            bytes.append(isNew ? 1 : 2)
            bytes.append(view.state.rawValue)
        case .decided(let decision):
            bytes.append(3)
            bytes.append(decision.disposition.rawValue)
            bytes.append(decision.answer.state.rawValue)
            bytes.append(varint: decision.answer.index.number)
            switch decision.answer.next {
            case .redirect(let url): bytes.append(text: url)
            case .hangup: bytes.append(1)
            case .gather(_, let triesLeft, let step):
                bytes.append(triesLeft)
                bytes.append(varint: UInt64(step))
            case .wait: bytes.append(2)
            case .none: bytes.append(3)
            }
        case .flowDefined: bytes.append(4)
        case .refused(let refusal): bytes.append(16 + UInt8(refusal.kind.rawValue))
        case .noted: bytes.append(5)
        }
    }
}
