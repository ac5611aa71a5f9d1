import Digest
import Raft

/// Something that a frame of an intake file says.
package enum IntakeItem: Hashable, Sendable {
    /// A record was taken in.
    case taken(number: UInt64, payload: [UInt8])
    /// The record of this number stands in the log, applied: it is not needed any more.
    case done(number: UInt64)
}

/// What one batch writes to an intake file, whole or not at all; docs/formats.md has it byte by byte.
///
/// A frame begins at a sector and has its sectors to itself, so that a write never touches what was
/// durable before. The next one is written when the one before is durable: only the last frame of a file
/// can be torn.
struct IntakeFrame: Hashable, Sendable {
    static let magic: UInt32 = 0x4B54_4E49  // "INTK"
    static let version: UInt32 = 1
    static let headerSize = 48
    private static let itemSize = 13

    private enum Kind: UInt8 {
        /// The name of the cluster; the first item of a file's first frame.
        case cluster = 0
        case taken = 1
        case done = 2
    }

    var node: NodeID
    /// Of the file.
    var sequence: UInt64
    /// Random, of the run that made the file: what comes from outside cannot look like a frame.
    var salt: UInt64
    var cluster: String?
    var items: [IntakeItem]

    /// Bytes that an item takes up in a frame.
    static func size(of item: IntakeItem) -> Int {
        switch item {
        case .taken(_, let payload): itemSize + payload.count
        case .done: itemSize
        }
    }

    /// Bytes of a frame with items of this size, whole sectors.
    static func size(ofItems bytes: Int, cluster: String?) -> Int {
        let name = cluster.map { itemSize + $0.utf8.count } ?? 0
        return Sector.roundUp(headerSize + name + bytes)
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.magic)
        bytes.append(littleEndian: UInt32(0))  // the checksum
        bytes.append(littleEndian: UInt32(0))  // the length
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: salt)
        bytes.append(littleEndian: sequence)
        bytes.append(littleEndian: node.number)
        bytes.append(littleEndian: UInt32(items.count + (cluster == nil ? 0 : 1)))
        bytes.append(littleEndian: UInt64(0))  // reserved
        if let cluster { Self.append(.cluster, 0, Array(cluster.utf8), to: &bytes) }
        for item in items {
            switch item {
            case .taken(let number, let payload): Self.append(.taken, number, payload, to: &bytes)
            case .done(let number): Self.append(.done, number, [], to: &bytes)
            }
        }
        bytes.replace(at: 8, littleEndian: UInt32(bytes.count))
        let checksum = CRC32C.checksum(of: bytes, in: 8..<bytes.count)
        bytes.replace(at: 4, littleEndian: checksum)
        bytes.append(
            contentsOf: repeatElement(0, count: Sector.roundUp(bytes.count) - bytes.count)
        )
        return bytes
    }

    private static func append(
        _ kind: Kind,
        _ number: UInt64,
        _ payload: [UInt8],
        to bytes: inout [UInt8]
    ) {
        bytes.append(kind.rawValue)
        bytes.append(littleEndian: number)
        bytes.append(littleEndian: UInt32(payload.count))
        bytes.append(contentsOf: payload)
    }

    /// Reads the frame at an offset of a file.
    ///
    /// - Returns: it and its size, or nil if there is none that is whole.
    /// - Throws: `JournalError.unsupportedVersion` if a newer program wrote it.
    static func read(
        _ bytes: [UInt8],
        at offset: Int,
        file: String
    ) throws(JournalError) -> (frame: IntakeFrame, size: Int)? {
        guard offset + headerSize <= bytes.count, bytes.uint32(at: offset) == magic else {
            return nil
        }
        let length = Int(bytes.uint32(at: offset + 8))
        guard length >= headerSize, length <= bytes.count - offset,
            CRC32C.checksum(of: bytes, in: offset + 8..<offset + length)
                == bytes.uint32(at: offset + 4)
        else { return nil }
        let version = bytes.uint32(at: offset + 12)
        guard version == self.version else {
            throw .unsupportedVersion(file: file, found: version, supported: self.version)
        }
        var frame = IntakeFrame(
            node: NodeID(bytes.uint32(at: offset + 32)),
            sequence: bytes.uint64(at: offset + 24),
            salt: bytes.uint64(at: offset + 16),
            items: []
        )
        var at = offset + headerSize
        for _ in 0..<bytes.uint32(at: offset + 36) {
            guard at + itemSize <= offset + length else { return nil }
            let number = bytes.uint64(at: at + 1)
            let count = Int(bytes.uint32(at: at + 9))
            guard count <= offset + length - at - itemSize else { return nil }
            let payload = Array(bytes[at + itemSize..<at + itemSize + count])
            switch Kind(rawValue: bytes[at]) {
            case .cluster: frame.cluster = String(decoding: payload, as: UTF8.self)
            case .taken: frame.items.append(.taken(number: number, payload: payload))
            case .done: frame.items.append(.done(number: number))
            case nil: return nil
            }
            at += itemSize + count
        }
        return (frame, Sector.roundUp(length))
    }
}
