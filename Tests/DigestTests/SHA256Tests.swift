import Digest
import Testing

@Suite("SHA-256") struct SHA256Tests {
    @Test(
        "the examples of FIPS 180-4 come out",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
    )
    func examples(text: String, expected: String) {
        #expect(Hex.string(SHA256.hash(of: Array(text.utf8))) == expected)
        #expect(Hex.string(SHA256.hash(of: Array(text.utf8)[...])) == expected)
    }

    @Test("a million letters in uneven pieces hash like the whole")
    func incremental() {
        let whole = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        var hash = SHA256()
        var offset = 0
        var size = 1
        while offset < whole.count {
            let end = min(offset + size, whole.count)
            hash.update(whole[offset..<end])
            offset = end
            size = size * 3 % 70_001
        }
        #expect(
            Hex.string(hash.finalize())
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        )
    }

    @Test("no update at all is the hash of nothing")
    func nothing() {
        let hash = SHA256()
        #expect(hash.finalize() == SHA256.hash(of: []))
    }
}
