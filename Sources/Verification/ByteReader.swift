/// Why bytes are not a command of this version.
package enum CommandDecodeError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong(Int)
    case unsupportedVersion(UInt8)
    case unknownCommand(UInt8)
    case truncated
    case invalid(field: String)
    case trailingBytes(Int)

    package var description: String {
        switch self {
        case .tooLong(let count): "\(count) bytes are more than a command has"
        case .unsupportedVersion(let version): "command format \(version) is not supported"
        case .unknownCommand(let kind): "command kind \(kind) is not known"
        case .truncated: "the command ends too early"
        case .invalid(let field): "\(field) is not valid"
        case .trailingBytes(let count): "\(count) bytes follow the command"
        }
    }
}

/// Reads what `ByteWriter.swift` writes; bytes from outside throw and never trap.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var remaining: Int { bytes.endIndex - position }

    mutating func byte() throws(CommandDecodeError) -> UInt8 {
        guard position < bytes.endIndex else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func varint() throws(CommandDecodeError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            let bits = UInt64(byte & 0x7f)
            // The tenth byte holds one bit; a last byte of zero would be a longer form than needed.
            guard shift < 63 || bits <= 1 else { throw .invalid(field: "number") }
            value |= bits << shift
            guard byte & 0x80 != 0 else {
                guard byte != 0 || shift == 0 else { throw .invalid(field: "number") }
                return value
            }
            guard shift < 63 else { throw .invalid(field: "number") }
            shift += 7
        }
    }

    mutating func number<Number: FixedWidthInteger>(
        _ field: String
    ) throws(CommandDecodeError) -> Number {
        guard let number = Number(exactly: try varint()) else { throw .invalid(field: field) }
        return number
    }

    mutating func fixed() throws(CommandDecodeError) -> UInt64 {
        guard remaining >= 8 else { throw .truncated }
        var value: UInt64 = 0
        for offset in 0..<8 { value |= UInt64(bytes[position + offset]) << UInt64(8 * offset) }
        position += 8
        return value
    }

    /// A count of items that take at least `minimum` bytes each, so that it is no more than fits.
    mutating func count(ofAtLeast minimum: Int) throws(CommandDecodeError) -> Int {
        let count = try varint()
        guard count <= UInt64(remaining / minimum) else { throw .truncated }
        return Int(count)
    }

    mutating func counted() throws(CommandDecodeError) -> ArraySlice<UInt8> {
        let count = try count(ofAtLeast: 1)
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func text(_ field: String) throws(CommandDecodeError) -> String {
        let bytes = try counted()
        // Nearly all text is ASCII, which needs no validation; that takes most of the time of decoding.
        if bytes.allSatisfy({ $0 < 0x80 }) { return String(decoding: bytes, as: UTF8.self) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .invalid(field: field)
        }
        return text
    }

    mutating func attempt() throws(CommandDecodeError) -> AttemptID {
        guard let id = AttemptID(try text("attempt")) else { throw .invalid(field: "attempt") }
        return id
    }

    mutating func raw<Value: RawRepresentable<UInt8>>(
        _ field: String
    ) throws(CommandDecodeError) -> Value {
        guard let value = Value(rawValue: try byte()) else { throw .invalid(field: field) }
        return value
    }

    mutating func wallTime() throws(CommandDecodeError) -> WallTime {
        WallTime(milliseconds: try fixed())
    }

    mutating func request() throws(CommandDecodeError) -> RequestID {
        let node: UInt32 = try number("node")
        let incarnation = try fixed()
        return RequestID(node: node, incarnation: incarnation, sequence: try varint())
    }

    mutating func origin() throws(CommandDecodeError) -> Origin {
        let node: UInt32 = try number("node")
        let region = try text("region")
        let receivedAt = try wallTime()
        return Origin(node: node, region: region, receivedAt: receivedAt, request: try request())
    }

    mutating func targets() throws(CommandDecodeError) -> [Target] {
        let count = try count(ofAtLeast: 2)
        var targets: [Target] = []
        targets.reserveCapacity(count)
        for _ in 0..<count {
            let state: AttemptState = try raw("target state")
            targets.append(Target(state: state, url: try text("target")))
        }
        return targets
    }
}
