internal import CCRC32C

/// CRC-32C (Castagnoli; RFC 3720 appendix B.4): by the processor's instruction for it, or slicing by 8
/// where there is none.
///
/// The checksum of a whole follows from its parts:
/// `checksum(of: a + b) == checksum(of: b, continuing: checksum(of: a))`.
package enum CRC32C {
    package static func checksum(of bytes: [UInt8], continuing previous: UInt32 = 0) -> UInt32 {
        unsafe checksum(of: bytes.span.bytes, continuing: previous)
    }

    package static func checksum(
        of bytes: ArraySlice<UInt8>,
        continuing previous: UInt32 = 0
    ) -> UInt32 {
        unsafe checksum(of: bytes.span.bytes, continuing: previous)
    }

    private static let hasInstruction = ccrc32c_is_available() != 0

    package static func checksum(of bytes: RawSpan, continuing previous: UInt32 = 0) -> UInt32 {
        guard hasInstruction else { return sliced(bytes, continuing: previous) }
        return unsafe bytes.withUnsafeBytes { bytes in
            unsafe ~ccrc32c_continue(~previous, bytes.baseAddress, bytes.count)
        }
    }

    /// Without the processor's help.
    package static func sliced(_ bytes: RawSpan, continuing previous: UInt32 = 0) -> UInt32 {
        let table = tables.span
        var crc = ~previous
        var offset = 0
        let end = bytes.byteCount
        while offset &+ 8 <= end {
            // Both loads are inside: `offset + 8 <= byteCount`. Every table index is at most
            // 7 * 256 + 255, and the tables have 8 * 256 entries.
            let low = unsafe UInt32(
                littleEndian: bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset,
                    as: UInt32.self
                )
            )
            let high = unsafe UInt32(
                littleEndian: bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset &+ 4,
                    as: UInt32.self
                )
            )
            let mixed = low ^ crc
            unsafe crc =
                table[unchecked: 0x700 | Int(mixed & 0xff)]
                ^ table[unchecked: 0x600 | Int(mixed >> 8 & 0xff)]
                ^ table[unchecked: 0x500 | Int(mixed >> 16 & 0xff)]
                ^ table[unchecked: 0x400 | Int(mixed >> 24)]
                ^ table[unchecked: 0x300 | Int(high & 0xff)]
                ^ table[unchecked: 0x200 | Int(high >> 8 & 0xff)]
                ^ table[unchecked: 0x100 | Int(high >> 16 & 0xff)]
                ^ table[unchecked: Int(high >> 24)]
            offset &+= 8
        }
        while offset < end {
            let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            crc = crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xff)]
            offset &+= 1
        }
        return ~crc
    }

    /// Eight tables of 256 entries; entry `b` of table `k` is the checksum state that byte `b`
    /// leaves after `k` more zero bytes.
    private static let tables: [UInt32] = {
        let reversedPolynomial: UInt32 = 0x82f6_3b78
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ reversedPolynomial : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<tables.count {
            let shorter = tables[index - 256]
            tables[index] = shorter >> 8 ^ tables[Int(shorter & 0xff)]
        }
        return tables
    }()
}
