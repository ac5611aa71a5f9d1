import Digest
import Testing

@Suite("checksums, encodings and comparison") struct BytesTests {
    @Test("CRC-32C gives the check value and the vectors of RFC 3720")
    func crcVectors() {
        #expect(CRC32C.checksum(of: Array("123456789".utf8)) == 0xe306_9283)
        #expect(CRC32C.checksum(of: [UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum(of: [UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum(of: Array(0..<32)) == 0x46dd_794e)
        #expect(CRC32C.checksum(of: [UInt8]()) == 0)
    }

    @Test("CRC-32C, with the processor's help and without, agrees with bit by bit at every cut")
    func crcAgainstNaive() {
        func naive(_ bytes: ArraySlice<UInt8>) -> UInt32 {
            var crc = ~UInt32(0)
            for byte in bytes {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
            }
            return ~crc
        }
        let bytes = (0..<70).map { UInt8(truncatingIfNeeded: $0 * 151 + 13) }
        for length in 0...bytes.count {
            let expected = naive(bytes[..<length])
            for cut in 0...length {
                let first = CRC32C.checksum(of: bytes[..<cut])
                let rest = bytes[cut..<length]
                #expect(CRC32C.checksum(of: rest, continuing: first) == expected)
                let sliced = unsafe CRC32C.sliced(rest.span.bytes, continuing: first)
                #expect(sliced == expected)
            }
        }
    }

    @Test(
        "base64 gives the examples of RFC 4648 both ways",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ]
    )
    func base64Examples(plain: String, text: String) {
        #expect(Base64.string(Array(plain.utf8)) == text)
        #expect(Base64.decode(text) == Array(plain.utf8))
    }

    @Test("base64 carries every byte")
    func base64AllBytes() {
        let bytes = Array(UInt8.min...UInt8.max)
        #expect(Base64.decode(Base64.encode(bytes)[...]) == bytes)
    }

    @Test(
        "base64 that is not the one spelling is refused",
        arguments: [
            "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm-_",
            "=Zg=",
        ]
    )
    func base64Refused(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test("hex is written in lower case and read in either")
    func hex() {
        #expect(Hex.string([0x00, 0x9f, 0xff]) == "009fff")
        #expect(Hex.decode("009fFF") == [0x00, 0x9f, 0xff])
        #expect(Hex.decode("") == [])
        #expect(Hex.decode("0") == nil)
        #expect(Hex.decode("0g") == nil)
        #expect(Hex.decode("0x12") == nil)
    }

    @Test("constant-time equality is equality")
    func equality() {
        #expect(constantTimeEqual([], []))
        #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEqual([9, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEqual([1, 2, 3], [1, 2]))
        #expect(!constantTimeEqual([], [0]))
    }

    @Test("random bytes have the asked length and do not come twice")
    func random() {
        #expect(SecureRandom.bytes(0) == [])
        #expect(SecureRandom.bytes(32).count == 32)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
    }
}
