/// Takes a chunked body apart (RFC 9112 §7.1), byte by byte in its framing and in bulk in its data.
///
/// Trailer fields are checked and thrown away; merging them into the headers would let a sender
/// change what was decided on the head.
struct ChunkedDecoder: Sendable {
    private enum State {
        case size(digits: Int, value: Int)
        case extensions(size: Int)
        case sizeEnd(size: Int)
        case data(left: Int)
        case dataCR
        case dataLF
        case trailers
        case done
    }
    private var state = State.size(digits: 0, value: 0)
    private var extensionBytes = 0
    private var trailers = HeadScanner(hasFirstLine: false)

    /// Decodes what has come, from `position` on.
    ///
    /// - Returns: whether the body, with its trailers, is complete.
    mutating func decode(
        _ bytes: [UInt8],
        from position: inout Int,
        into body: inout [UInt8],
        limits: MessageLimits
    ) throws(MessageError) -> Bool {
        while true {
            switch state {
            case .done: return true
            case .data(let left):
                let taken = min(left, bytes.count - position)
                body.append(contentsOf: bytes[position..<position + taken])
                position += taken
                guard taken == left else {
                    state = .data(left: left - taken)
                    return false
                }
                state = .dataCR
            case .trailers:
                let length = try trailers.scan(bytes, from: position, limits: limits)
                guard let length else { return false }
                _ = try FieldSection(
                    bytes,
                    base: position,
                    lineEnds: trailers.lineEnds,
                    firstField: 0
                )
                position += length
                state = .done
            default:
                guard position < bytes.count else { return false }
                try step(bytes[position], bodyCount: body.count, limits: limits)
                position += 1
            }
        }
    }

    /// One byte of framing.
    private mutating func step(_ byte: UInt8, bodyCount: Int, limits: MessageLimits)
        throws(MessageError)
    {
        switch state {
        case .size(let digits, let value):
            if let digit = byte.hexValue {
                // Sixteen digits bound leading zeros too; fifteen cannot overflow.
                guard digits < 15 else { throw MessageError(400, "a chunk size that no chunk has") }
                state = .size(digits: digits + 1, value: value << 4 | Int(digit))
                return
            }
            guard digits > 0 else { throw MessageError(400, "a chunk without a size") }
            switch byte {
            case UInt8(ascii: ";"): state = .extensions(size: value)
            case .carriageReturn: state = .sizeEnd(size: value)
            default: throw MessageError(400, "a chunk size that is not hexadecimal")
            }
            guard value <= limits.bodyBytes - bodyCount else {
                throw MessageError(413, "the body is too large")
            }
        case .extensions(let size):
            if byte == .carriageReturn {
                state = .sizeEnd(size: size)
                return
            }
            extensionBytes += 1
            guard byte >= 0x20 && byte != 0x7f || byte == .tab,
                extensionBytes <= limits.chunkExtensionBytes
            else { throw MessageError(400, "an invalid or too long chunk extension") }
        case .sizeEnd(let size):
            guard byte == .lineFeed else {
                throw MessageError(400, "a chunk size without CRLF")
            }
            state = size == 0 ? .trailers : .data(left: size)
        case .dataCR:
            guard byte == .carriageReturn else {
                throw MessageError(400, "chunk data longer than its size")
            }
            state = .dataLF
        case .dataLF:
            guard byte == .lineFeed else {
                throw MessageError(400, "chunk data without CRLF")
            }
            state = .size(digits: 0, value: 0)
        case .data, .trailers, .done:
            invariant(false, "a byte of framing was taken in state \(state)")
        }
    }
}
