/// A running 64-bit digest, for comparing in tests and simulation; the same in every process, unlike `Hasher`.
///
/// No defence against whoever chooses the bytes.
package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0x9AE1_6A3B_2F90_404F

    package init() {}

    package mutating func fold(_ word: UInt64) {
        let product = (value ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        value = product.high ^ product.low ^ (word &* 0xC2B2_AE3D_27D4_EB4F)
    }

    package mutating func fold(_ bytes: [UInt8]) {
        fold(UInt64(bytes.count))
        let span = bytes.span
        let end = span.count
        var at = 0
        while at &+ 8 <= end {
            var word: UInt64 = 0
            for byte in 0..<8 { word |= UInt64(span[at &+ byte]) << UInt64(8 &* byte) }
            fold(word)
            at &+= 8
        }
        var rest: UInt64 = 0
        while at < end {
            rest = rest << 8 | UInt64(span[at])
            at &+= 1
        }
        fold(rest)
    }
}
