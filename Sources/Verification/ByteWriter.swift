/// The byte forms shared by commands, flow definitions and the state's canonical bytes.
///
/// Numbers and lengths are LEB128 in their shortest form, so that a value has one encoding only;
/// times and random numbers, which are large, are 8 bytes little-endian.
extension [UInt8] {
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func append(fixed value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    /// Length, then UTF-8.
    mutating func append(text: String) {
        append(varint: UInt64(text.utf8.count))
        append(contentsOf: text.utf8)
    }

    /// Length, then the bytes.
    mutating func append(counted bytes: [UInt8]) {
        append(varint: UInt64(bytes.count))
        append(contentsOf: bytes)
    }

    mutating func append(_ request: RequestID) {
        append(varint: UInt64(request.node))
        append(fixed: request.incarnation)
        append(varint: request.sequence)
    }

    mutating func append(_ origin: Origin) {
        append(varint: UInt64(origin.node))
        append(text: origin.region)
        append(fixed: origin.receivedAt.milliseconds)
        append(origin.request)
    }

    mutating func append(_ targets: [Target]) {
        append(varint: UInt64(targets.count))
        for target in targets {
            append(target.state.rawValue)
            append(text: target.url)
        }
    }
}
