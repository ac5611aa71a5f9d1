/// Base64 with the standard alphabet and padding (RFC 4648 §4).
package enum Base64 {
    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let left = bytes.count - index
            let a = bytes[index]
            let b = left > 1 ? bytes[index + 1] : 0
            let c = left > 2 ? bytes[index + 2] : 0
            text.append(digit(a >> 2))
            text.append(digit((a & 3) << 4 | b >> 4))
            text.append(left > 1 ? digit((b & 15) << 2 | c >> 6) : padding)
            text.append(left > 2 ? digit(c & 63) : padding)
            index += 3
        }
        return text
    }

    package static func string(_ bytes: [UInt8]) -> String {
        String(decoding: encode(bytes), as: UTF8.self)
    }

    /// Strict decoding, so that one value has one spelling.
    ///
    /// - Returns: `nil` for a foreign byte (white space too), wrong padding, or unused bits that are
    ///   not zero.
    package static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var group: UInt32 = 0
        var digits = 0
        var paddings = 0
        for character in text {
            if character == padding {
                paddings += 1
                guard paddings <= 2 else { return nil }
                group <<= 6
            } else {
                guard paddings == 0, let value = value(of: character) else { return nil }
                group = group << 6 | UInt32(value)
            }
            digits += 1
            guard digits == 4 else { continue }
            bytes.append(UInt8(truncatingIfNeeded: group >> 16))
            if paddings < 2 {
                bytes.append(UInt8(truncatingIfNeeded: group >> 8))
            } else if group & 0xff00 != 0 {
                return nil
            }
            if paddings < 1 {
                bytes.append(UInt8(truncatingIfNeeded: group))
            } else if group & 0xff != 0 {
                return nil
            }
            group = 0
            digits = 0
        }
        return bytes
    }

    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        decode(Array(text.utf8)[...])
    }

    private static let padding = UInt8(ascii: "=")

    private static func digit(_ value: UInt8) -> UInt8 {
        switch value {
        case 0..<26: UInt8(ascii: "A") + value
        case 26..<52: UInt8(ascii: "a") + value - 26
        case 52..<62: UInt8(ascii: "0") + value - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
