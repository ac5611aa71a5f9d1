/// CRC-32C (Castagnoli; RFC 3720 appendix B.4), eight bytes a step ("slicing by 8").
enum CRC32C {
    /// Eight tables of 256, one after the other; table k advances a byte over k zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var remainder = UInt32(byte)
            for _ in 0..<8 {
                remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0x82F6_3B78 : remainder >> 1
            }
            tables[byte] = remainder
        }
        for index in 256..<8 * 256 {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    static func checksum(of bytes: [UInt8], in range: Range<Int>) -> UInt32 {
        let tables = tables.span
        let bytes = bytes.span
        var crc: UInt32 = .max
        var at = range.lowerBound
        while at + 8 <= range.upperBound {
            let low =
                crc
                ^ (UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16
                    | UInt32(bytes[at + 3]) << 24)
            let upper = tables[1792 + Int(low & 0xFF)] ^ tables[1536 + Int(low >> 8 & 0xFF)]
            let lower = tables[1280 + Int(low >> 16 & 0xFF)] ^ tables[1024 + Int(low >> 24)]
            let next = tables[768 + Int(bytes[at + 4])] ^ tables[512 + Int(bytes[at + 5])]
            let last = tables[256 + Int(bytes[at + 6])] ^ tables[Int(bytes[at + 7])]
            crc = upper ^ lower ^ next ^ last
            at += 8
        }
        while at < range.upperBound {
            crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[at])) & 0xFF)]
            at += 1
        }
        return ~crc
    }
}
