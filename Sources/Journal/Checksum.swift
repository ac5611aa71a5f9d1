import Digest

extension CRC32C {
    /// The checksum of some bytes of a buffer, without a copy.
    static func checksum(of bytes: [UInt8], in range: Range<Int>) -> UInt32 {
        checksum(of: bytes[range])
    }
}
