/// `Idempotency-Key`: a Structured Field String (RFC 9651 §3.3.3), or the same without its quotes.
package enum IdempotencyKey {
    /// The key a field value spells; `"a"` and `a` are the same one.
    ///
    /// - Returns: `nil` if it is empty, unbalanced, has an escape other than `\"` and `\\`, has
    ///   parameters, or is not printable ASCII; bare, it may have neither space, quote nor backslash.
    package static func parse(_ value: String) -> String? {
        let bytes = Array(value.utf8)
        guard bytes.first == UInt8(ascii: "\"") else {
            let isBare = bytes.allSatisfy {
                $0.isVisible && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
            return isBare && !bytes.isEmpty ? value : nil
        }
        var key: [UInt8] = []
        var index = 1
        while index < bytes.count {
            var byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") {
                guard index == bytes.count, !key.isEmpty else { return nil }
                return String(decoding: key, as: UTF8.self)
            }
            if byte == UInt8(ascii: "\\") {
                guard index < bytes.count,
                    bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "\\")
                else { return nil }
                byte = bytes[index]
                index += 1
            }
            guard byte.isVisible || byte == .space else { return nil }
            key.append(byte)
        }
        return nil
    }
}

/// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
package enum BearerToken {
    /// The token's bytes, to be compared in constant time.
    ///
    /// - Returns: `nil` for another scheme or a token that is not `token68`.
    package static func parse(_ value: ArraySlice<UInt8>) -> [UInt8]? {
        let scheme = Array("bearer".utf8)
        guard value.count > scheme.count,
            zip(value, scheme).allSatisfy({ $0.lowercased == $1 }),
            value[value.startIndex + scheme.count] == .space
        else { return nil }
        let token = value.dropFirst(scheme.count).drop { $0 == .space }
        var padding = false
        for byte in token {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                guard !padding else { return nil }
            case UInt8(ascii: "="): padding = true
            default: return nil
            }
        }
        guard let first = token.first, first != UInt8(ascii: "=") else { return nil }
        return Array(token)
    }

    package static func parse(_ value: String) -> [UInt8]? { parse(Array(value.utf8)[...]) }
}
