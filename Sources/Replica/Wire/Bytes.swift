/// Reads little-endian fields from a frame; every read is checked against its end.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var offset: Int
    let end: Int

    init(_ bytes: [UInt8], from start: Int, to end: Int) {
        self.bytes = bytes
        self.offset = start
        self.end = end
    }
    var remaining: Int { end - offset }

    mutating func byte() throws(WireError) -> UInt8 {
        guard remaining >= 1 else { throw .truncated }
        defer { offset += 1 }
        return bytes[offset]
    }
    mutating func uint32() throws(WireError) -> UInt32 {
        guard remaining >= 4 else { throw .truncated }
        var value: UInt32 = 0
        for i in 0..<4 { value |= UInt32(bytes[offset + i]) << UInt32(8 * i) }
        offset += 4
        return value
    }
    mutating func uint64() throws(WireError) -> UInt64 {
        guard remaining >= 8 else { throw .truncated }
        var value: UInt64 = 0
        for i in 0..<8 { value |= UInt64(bytes[offset + i]) << UInt64(8 * i) }
        offset += 8
        return value
    }
    mutating func bool() throws(WireError) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw .invalid(field: "flag")
        }
    }
    /// A 32-bit length, then that many bytes.
    mutating func block(limit: Int, field: StaticString) throws(WireError) -> [UInt8] {
        let length = Int(try uint32())
        guard length <= limit else { throw .invalid(field: field) }
        guard remaining >= length else { throw .truncated }
        defer { offset += length }
        return Array(bytes[offset..<offset + length])
    }
    /// A 32-bit number of items that follow.
    ///
    /// No more than could fit in what remains at `minimumSize` bytes each, so that a lying count
    /// cannot make us reserve memory.
    mutating func count(minimumSize: Int, field: StaticString) throws(WireError) -> Int {
        let count = Int(try uint32())
        guard count <= remaining / minimumSize else { throw .invalid(field: field) }
        return count
    }
    func expectEnd() throws(WireError) {
        guard remaining == 0 else { throw .invalid(field: "trailing bytes") }
    }
}

/// Why bytes from a peer are not a message.
package enum WireError: Error, Equatable, CustomStringConvertible {
    case truncated
    case invalid(field: StaticString)
    case badMagic
    case badVersion(UInt8)
    case badChecksum
    case tooLong(Int)

    package var description: String {
        switch self {
        case .truncated: "frame ends within a field"
        case .invalid(let field): "invalid \(field)"
        case .badMagic: "not a Verdict peer frame"
        case .badVersion(let version): "frame version \(version) is not supported"
        case .badChecksum: "frame checksum does not match"
        case .tooLong(let length): "frame of \(length) bytes is over the limit"
        }
    }
    package static func == (a: WireError, b: WireError) -> Bool {
        a.description == b.description
    }
}

extension [UInt8] {
    @inline(__always)
    mutating func append(little value: UInt32) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value >> 16))
        append(UInt8(truncatingIfNeeded: value >> 24))
    }
    @inline(__always)
    mutating func append(little value: UInt64) {
        append(little: UInt32(truncatingIfNeeded: value))
        append(little: UInt32(truncatingIfNeeded: value >> 32))
    }
    mutating func append(block: [UInt8]) {
        append(little: UInt32(block.count))
        append(contentsOf: block)
    }
    mutating func append(flag: Bool) { append(flag ? 1 : 0) }
}
