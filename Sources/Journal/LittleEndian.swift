/// Numbers in a buffer, least significant byte first, as all formats of files have them.
extension [UInt8] {
    @inlinable
    package mutating func append(littleEndian value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    @inlinable
    package mutating func append(littleEndian value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    @inlinable
    package mutating func append(littleEndian value: UInt64) {
        append(littleEndian: UInt32(truncatingIfNeeded: value))
        append(littleEndian: UInt32(truncatingIfNeeded: value >> 32))
    }

    @inlinable
    package mutating func replace(at offset: Int, littleEndian value: UInt32) {
        for byte in 0..<4 {
            self[offset + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
        }
    }

    @inlinable
    package mutating func replace(at offset: Int, littleEndian value: UInt64) {
        replace(at: offset, littleEndian: UInt32(truncatingIfNeeded: value))
        replace(at: offset + 4, littleEndian: UInt32(truncatingIfNeeded: value >> 32))
    }

    @inlinable
    package func uint16(at offset: Int) -> UInt16 {
        UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
    }

    @inlinable
    package func uint32(at offset: Int) -> UInt32 {
        UInt32(self[offset]) | UInt32(self[offset + 1]) << 8 | UInt32(self[offset + 2]) << 16
            | UInt32(self[offset + 3]) << 24
    }

    @inlinable
    package func uint64(at offset: Int) -> UInt64 {
        UInt64(uint32(at: offset)) | UInt64(uint32(at: offset + 4)) << 32
    }
}
