import Digest
import Raft

/// The file `PROMISE`: term and vote a second time, apart from the log.
///
/// docs/formats.md has it byte by byte. Each promise is written twice, in pages of their own, beside
/// the one before it: a torn write leaves that one, and one damaged place leaves the other copy.
struct Promise: Hashable, Sendable {
    /// Counted up with each promise written.
    var sequence: UInt64 = 0
    var term: Term = .zero
    var vote: NodeID?
    var isRepairing = false
    /// The batch that carries the same hard state in the log; it was durable before this was written.
    var batch: UInt64 = 0
    /// The oldest segment that should be there; older ones were removed on purpose.
    var firstSegment: UInt64 = 1
    /// The last entry of the newest fetched checkpoint after which the log was begun anew.
    var restartedAfter = LogIndex.zero

    static let file = "PROMISE"
    static let magic: UInt64 = 0x5349_4D4F_5250_4456  // "VDPROMIS"
    static let version: UInt32 = 1
    static let page = 4096
    static let size = 4 * page
    /// Bytes of one copy.
    static let copySize = Sector.size

    /// Offsets of the two copies of the promise with this number.
    static func offsets(of sequence: UInt64) -> [Int] {
        sequence % 2 == 0 ? [0, 2 * page] : [page, 3 * page]
    }

    /// What has to be remembered; the log has the same.
    func agrees(with state: HardState) -> Bool {
        state.currentTerm == term && state.votedFor == vote && state.isRepairing == isRepairing
    }

    /// The promise after this one.
    func next(_ state: HardState, batch: UInt64, firstSegment: UInt64) -> Promise {
        Promise(
            sequence: sequence + 1,
            term: state.currentTerm,
            vote: state.votedFor,
            isRepairing: state.isRepairing,
            batch: batch,
            firstSegment: firstSegment,
            restartedAfter: restartedAfter
        )
    }

    /// Writes both copies and makes them durable.
    func append(to operations: inout [DiskOperation], node: NodeID) {
        let bytes = encoded(node: node)
        for offset in Promise.offsets(of: sequence) {
            operations.append(.write(file: Promise.file, offset: offset, bytes: bytes))
        }
        operations.append(.sync(file: Promise.file))
    }

    private func encoded(node: NodeID) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Promise.copySize)
        bytes.append(littleEndian: Promise.magic)
        bytes.append(littleEndian: Promise.version)
        bytes.append(littleEndian: node.number)
        bytes.append(littleEndian: sequence)
        bytes.append(littleEndian: term.number)
        bytes.append(littleEndian: vote?.number ?? 0)
        bytes.append(littleEndian: UInt32(isRepairing ? 1 : 0))
        bytes.append(littleEndian: batch)
        bytes.append(littleEndian: firstSegment)
        bytes.append(littleEndian: restartedAfter.number)
        bytes.append(contentsOf: repeatElement(0, count: Promise.copySize - 4 - bytes.count))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes, in: 0..<bytes.count))
        return bytes
    }

    /// Reads a copy.
    ///
    /// - Returns: nil if there is none, or a torn or damaged one.
    fileprivate init?(
        _ bytes: [UInt8],
        at offset: Int,
        configuration: JournalConfiguration
    ) throws(JournalError) {
        guard offset + Promise.copySize <= bytes.count, bytes.uint64(at: offset) == Promise.magic
        else { return nil }
        let end = offset + Promise.copySize - 4
        guard CRC32C.checksum(of: bytes, in: offset..<end) == bytes.uint32(at: end) else {
            return nil
        }
        let found = bytes.uint32(at: offset + 8)
        guard found == Promise.version else {
            throw .unsupportedVersion(
                file: Promise.file,
                found: found,
                supported: Promise.version
            )
        }
        let node = NodeID(bytes.uint32(at: offset + 12))
        guard node == configuration.node else {
            throw .otherNode(file: Promise.file, found: node, expected: configuration.node)
        }
        sequence = bytes.uint64(at: offset + 16)
        guard Promise.offsets(of: sequence).contains(offset) else { return nil }
        term = Term(bytes.uint64(at: offset + 24))
        let number = bytes.uint32(at: offset + 32)
        vote = number == 0 ? nil : NodeID(number)
        isRepairing = bytes.uint32(at: offset + 36) & 1 != 0
        batch = bytes.uint64(at: offset + 40)
        firstSegment = bytes.uint64(at: offset + 48)
        restartedAfter = LogIndex(bytes.uint64(at: offset + 56))
    }
}

extension Promise {
    init(
        sequence: UInt64,
        term: Term,
        vote: NodeID?,
        isRepairing: Bool,
        batch: UInt64,
        firstSegment: UInt64,
        restartedAfter: LogIndex = .zero
    ) {
        self.restartedAfter = restartedAfter
        self.sequence = sequence
        self.term = term
        self.vote = vote
        self.isRepairing = isRepairing
        self.batch = batch
        self.firstSegment = firstSegment
    }

    init() {}
}

/// What was found of `PROMISE` when the log was recovered.
struct PromiseReading {
    var fileExists = false
    /// The newest promise of which a copy is whole.
    var newest: Promise?
    /// A newer one may have been there once.
    var mayBeStale = false
    /// A copy is not what was written.
    var hasDamage = false
    /// The file was made, and no promise was ever written into it, unless all of it was lost.
    var isBlank = false

    init(
        from disk: inout some Disk,
        names: [String],
        configuration: JournalConfiguration
    ) throws(JournalError) {
        guard names.contains(Promise.file) else { return }
        fileExists = true
        let bytes: [UInt8]
        do { bytes = try disk.read(Promise.file, at: 0, count: Promise.size) } catch {
            throw .disk(error)
        }
        var copies: [Promise] = []
        for slot in 0..<2 as Range<UInt64> {
            var whole = 0
            for offset in Promise.offsets(of: slot) {
                guard let copy = try Promise(bytes, at: offset, configuration: configuration) else {
                    continue
                }
                whole += 1
                copies.append(copy)
            }
            if whole < 2 { hasDamage = true }
            // Nothing was ever written into the place of promise 2 while promise 1 is the newest.
            if whole == 0, !Promise.offsets(of: slot).allSatisfy({ bytes.isZero($0) }) {
                mayBeStale = true
            }
        }
        isBlank = bytes.allSatisfy { $0 == 0 }
        newest = copies.max { $0.sequence < $1.sequence }
        guard let newest else {
            mayBeStale = true
            return
        }
        let before = copies.contains { $0.sequence + 1 == newest.sequence }
        if newest.sequence == 1 {
            if !mayBeStale { hasDamage = copies.count < 2 }
        } else if !before {
            mayBeStale = true
        }
    }
}

extension [UInt8] {
    /// The place of a copy of the promise was never written.
    fileprivate func isZero(_ offset: Int) -> Bool {
        guard offset + Promise.copySize <= count else { return false }
        return self[offset..<offset + Promise.copySize].allSatisfy { $0 == 0 }
    }
}
