private import COpenSSL

/// SHA-256 (FIPS 180-4), one-shot and incremental.
@safe package struct SHA256: ~Copyable {
    /// Length of a hash, in bytes.
    package static let byteCount = 32

    private let context: OpaquePointer

    /// Begins an incremental hash.
    package init() {
        guard let context = unsafe EVP_MD_CTX_new() else {
            fatalError("OpenSSL: no memory for a SHA-256 context")
        }
        unsafe self.context = context
        invariant(unsafe EVP_DigestInit_ex2(context, EVP_sha256(), nil) == 1, "SHA-256 init")
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: [UInt8]) { unsafe update(bytes.span.bytes) }

    package mutating func update(_ bytes: ArraySlice<UInt8>) { unsafe update(bytes.span.bytes) }

    package mutating func update(_ bytes: RawSpan) {
        let ok = unsafe bytes.withUnsafeBytes { buffer in
            unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
        }
        invariant(ok == 1, "SHA-256 update")
    }

    /// The hash of everything given to `update`; ends the computation.
    package consuming func finalize() -> [UInt8] {
        let context = unsafe self.context
        return unsafe [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { buffer, count in
            var length: UInt32 = 0
            let ok = unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, &length)
            invariant(ok == 1 && length == SHA256.byteCount, "SHA-256 final: \(length) bytes")
            count = SHA256.byteCount
        }
    }

    package static func hash(of bytes: [UInt8]) -> [UInt8] { unsafe hash(of: bytes.span.bytes) }

    package static func hash(of bytes: ArraySlice<UInt8>) -> [UInt8] {
        unsafe hash(of: bytes.span.bytes)
    }

    package static func hash(of bytes: RawSpan) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { input in
            unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                // `SHA256` of OpenSSL, not this type: it works on the stack and fetches nothing.
                let input = unsafe input.assumingMemoryBound(to: UInt8.self)
                let hash = unsafe COpenSSL.SHA256(
                    input.baseAddress,
                    input.count,
                    buffer.baseAddress
                )
                invariant(unsafe hash != nil, "SHA-256 of \(input.count) bytes")
                count = byteCount
            }
        }
    }
}
