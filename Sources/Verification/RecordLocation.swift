/// Where the settled record of an attempt lies: a run of the state store, and a place in it.
///
/// Opaque to the state machine, which only keeps it, in 64 bits:
///
/// ```
/// 63…48 run   47…17 offset / 8   16…1 bytes / 16, rounded up   0 always 0
/// ```
package struct RecordLocation: Hashable, Sendable {
    package let word: UInt64

    package static let offsetUnit = 8
    package static let lengthUnit = 16
    package static let maxRun = 0xffff
    /// Offsets are below this, in bytes.
    package static let maxOffset = 1 << 34
    /// Longest record, in bytes.
    package static let maxLength = 0xffff * lengthUnit

    /// Set in the index where a record is in memory, and the rest says where there.
    static let residentBit: UInt64 = 1

    /// - Precondition: `offset` is a multiple of 8; all are within their bounds, `length` above 0.
    package init(run: Int, offset: Int, length: Int) {
        invariant(
            run >= 0 && run <= Self.maxRun && offset >= 0 && offset < Self.maxOffset
                && offset % Self.offsetUnit == 0 && length > 0 && length <= Self.maxLength,
            "record at \(offset) of run \(run) with \(length) bytes"
        )
        let units = (length + Self.lengthUnit - 1) / Self.lengthUnit
        word =
            UInt64(run) << 48 | UInt64(offset / Self.offsetUnit) << 17 | UInt64(units) << 1
    }

    init(word: UInt64) { self.word = word }

    /// A number that the state store gave the run; it names a run only as long as that is held.
    package var run: Int { Int(word >> 48) }
    package var offset: Int { Int(word >> 17 & 0x7fff_ffff) * Self.offsetUnit }
    /// Bytes to be read: the record's, rounded up.
    package var length: Int { Int(word >> 1 & 0xffff) * Self.lengthUnit }
}

/// A settled record that is not in memory: what has to be loaded before its attempt is asked for.
package struct RecordPlace: Hashable, Sendable {
    package var hash: UInt64
    package var location: RecordLocation
    package init(hash: UInt64, location: RecordLocation) {
        self.hash = hash
        self.location = location
    }
}

/// The hash under which an attempt stands in the index of settled records.
package struct AttemptHash: Hashable, Sendable {
    /// Callers choose IDs: who cannot guess this number cannot choose IDs whose hashes collide.
    package let key: UInt64
    /// How many bits are kept; fewer only where collisions are wanted, in tests.
    package let bits: Int

    package init(key: UInt64, bits: Int = 64) {
        self.key = key
        self.bits = bits
    }

    package func callAsFunction(_ id: AttemptID) -> UInt64 { callAsFunction(id.text.utf8) }

    /// Of an ID's UTF-8: words of eight bytes, folded by multiplication.
    package func callAsFunction(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash = key ^ 0x9e37_79b9_7f4a_7c15
        var word: UInt64 = 0
        var count: UInt64 = 0
        for byte in bytes {
            word = word << 8 | UInt64(byte)
            count &+= 1
            if count & 7 == 0 {
                hash = Self.fold(hash ^ word, 0xa076_1d64_78bd_642f ^ key)
                word = 0
            }
        }
        hash = Self.fold(hash ^ word, 0xe703_7ed1_a0b4_28db)
        hash = Self.fold(hash ^ count, 0x8ebc_6af0_9c88_c6e3 ^ key)
        return bits < 64 ? hash & ((1 << UInt64(bits)) - 1) : hash
    }

    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b | 1)
        return product.high ^ product.low
    }
}
