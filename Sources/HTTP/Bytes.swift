extension UInt8 {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d
    static let space: UInt8 = 0x20

    /// The byte with an ASCII capital made small.
    @inline(__always) var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// `tchar` of RFC 9110 §5.6.2.
    @inline(__always) var isTokenByte: Bool {
        // One bit a byte for 0x00–0x3f and 0x40–0x7f: `!#$%&'*+-.0-9` and `A-Z^_`a-z|~`.
        let low: UInt64 = 0x03ff_6cfa_0000_0000
        let high: UInt64 = 0x57ff_ffff_c7ff_fffe
        guard self < 0x80 else { return false }
        return (self < 0x40 ? low >> UInt64(self) : high >> UInt64(self &- 0x40)) & 1 == 1
    }

    /// A byte with something to see: no space, no control byte, ASCII.
    @inline(__always) var isVisible: Bool { self > 0x20 && self < 0x7f }

    @inline(__always) var isDigit: Bool { self &- 0x30 < 10 }

    @inline(__always) var isBlank: Bool { self == .space || self == .tab }

    /// The value of a hexadecimal digit in either case.
    @inline(__always) var hexValue: UInt8? {
        if isDigit { return self &- 0x30 }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}

/// Whether the bytes spell a word given in lower case, without regard to case.
@inline(__always)
func spells(_ bytes: [UInt8], _ range: Range<Int>, _ word: [UInt8]) -> Bool {
    guard range.count == word.count else { return false }
    var index = range.lowerBound
    for byte in word {
        guard bytes[index].lowercased == byte else { return false }
        index += 1
    }
    return true
}
