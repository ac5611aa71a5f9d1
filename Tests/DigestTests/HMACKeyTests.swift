import Digest
import Testing

@Suite("HMAC") struct HMACKeyTests {
    struct Vector: Sendable {
        var algorithm: HMACKey.Algorithm
        var key: [UInt8]
        var message: String
        var code: String
    }

    static let longKeyMessage = "Test Using Larger Than Block-Size Key - Hash Key First"
    static let vectors: [Vector] = [
        // RFC 2202 §3, cases 1, 2 and 6.
        Vector(
            algorithm: .sha1,
            key: [UInt8](repeating: 0x0b, count: 20),
            message: "Hi There",
            code: "b617318655057264e28bc0b6fb378c8ef146be00"
        ),
        Vector(
            algorithm: .sha1,
            key: Array("Jefe".utf8),
            message: "what do ya want for nothing?",
            code: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        ),
        Vector(
            algorithm: .sha1,
            key: [UInt8](repeating: 0xaa, count: 80),
            message: longKeyMessage,
            code: "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        ),
        // RFC 4231 §4, cases 1, 2 and 6.
        Vector(
            algorithm: .sha256,
            key: [UInt8](repeating: 0x0b, count: 20),
            message: "Hi There",
            code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        Vector(
            algorithm: .sha256,
            key: Array("Jefe".utf8),
            message: "what do ya want for nothing?",
            code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        Vector(
            algorithm: .sha256,
            key: [UInt8](repeating: 0xaa, count: 131),
            message: longKeyMessage,
            code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        // The empty key and message.
        Vector(
            algorithm: .sha256,
            key: [],
            message: "",
            code: "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        ),
    ]

    @Test(
        "the vectors of RFC 2202 and RFC 4231 come out, each time the key is used",
        arguments: Self.vectors
    )
    func published(_ vector: Vector) {
        let key = HMACKey(algorithm: vector.algorithm, key: vector.key)
        for _ in 0..<3 {
            #expect(Hex.string(key.authenticate(Array(vector.message.utf8))) == vector.code)
            _ = key.authenticate([1, 2, 3])
        }
    }

    @Test("a code with one bit turned, cut short or made longer is not valid")
    func tampering() {
        let key = HMACKey(algorithm: .sha256, key: [1, 2, 3])
        let message = Array("a message".utf8)
        let code = key.authenticate(message)
        #expect(key.isValid(code, for: message))
        for bit in 0..<code.count * 8 {
            var other = code
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!key.isValid(other, for: message))
        }
        #expect(!key.isValid(Array(code.dropLast()), for: message))
        #expect(!key.isValid(code + [0], for: message))
        #expect(!key.isValid([], for: message))
    }

    @Test("one key serves several threads at once")
    func concurrentUse() async {
        let key = HMACKey(algorithm: .sha1, key: Array("12345".utf8))
        let messages = (0..<64).map { [UInt8](repeating: UInt8($0), count: $0) }
        let expected = messages.map {
            HMACKey(algorithm: .sha1, key: Array("12345".utf8)).authenticate($0)
        }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<50).allSatisfy { _ in messages.map { key.authenticate($0) } == expected }
                }
            }
            for await agrees in group { #expect(agrees) }
        }
    }

    @Test("a key does not show when it is printed")
    func printing() {
        let key = HMACKey(algorithm: .sha1, key: Array("hush".utf8))
        #expect("\(key) \(String(reflecting: key))" == "HMACKey(sha1) HMACKey(sha1)")
        var dumped = ""
        dump(key, to: &dumped)
        #expect(!dumped.contains("hush"))
    }
}
