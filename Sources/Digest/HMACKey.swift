private import COpenSSL
private import Synchronization

/// A key for HMAC (RFC 2104), prepared once so that authenticating a small message is fast.
///
/// OpenSSL 3 looks an algorithm up by name and hashes the padded key on every one-shot `HMAC()`.
/// Here the context is made and keyed once; each message only starts it again. Copies share the
/// context, and the lock around it is what makes that sound across threads.
package struct HMACKey: Sendable {
    package enum Algorithm: Hashable, Sendable {
        case sha1
        case sha256

        /// Length of a code, in bytes.
        package var byteCount: Int { self == .sha1 ? 20 : 32 }
    }

    package let algorithm: Algorithm
    private let context: KeyedContext

    /// Prepares a key of any length, the empty one included.
    package init(algorithm: Algorithm, key: [UInt8]) {
        self.algorithm = algorithm
        context = KeyedContext(algorithm: algorithm, key: key)
    }

    package func authenticate(_ bytes: [UInt8]) -> [UInt8] { unsafe authenticate(bytes.span.bytes) }

    package func authenticate(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        unsafe authenticate(bytes.span.bytes)
    }

    package func authenticate(_ bytes: RawSpan) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { input in
            unsafe context.authenticate(input, byteCount: algorithm.byteCount)
        }
    }

    /// Whether `mac` is the code of the message; takes the same time wherever they differ.
    package func isValid(_ mac: [UInt8], for bytes: [UInt8]) -> Bool {
        constantTimeEqual(mac, authenticate(bytes))
    }

    package func isValid(_ mac: [UInt8], for bytes: ArraySlice<UInt8>) -> Bool {
        constantTimeEqual(mac, authenticate(bytes))
    }
}

extension HMACKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "HMACKey(\(algorithm))" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Owns an OpenSSL context; every use of it happens under `lock`.
@safe private final class KeyedContext: Sendable {
    private nonisolated(unsafe) let context: OpaquePointer
    private let lock = Mutex(())

    init(algorithm: HMACKey.Algorithm, key: [UInt8]) {
        guard let mac = unsafe EVP_MAC_fetch(nil, "HMAC", nil),
            let context = unsafe EVP_MAC_CTX_new(mac)
        else { fatalError("OpenSSL: HMAC is not available") }
        unsafe EVP_MAC_free(mac)
        unsafe self.context = context
        // A one-byte buffer stands in for an empty key: OpenSSL takes a null key for "keep the old
        // one", and an empty array may have no address.
        let stored = key.isEmpty ? [0] : key
        var name = Array((algorithm == .sha1 ? "SHA1" : "SHA256").utf8CString)
        let ok = unsafe name.withUnsafeMutableBufferPointer { name in
            let parameters = unsafe [
                OSSL_PARAM_construct_utf8_string("digest", name.baseAddress, 0),
                OSSL_PARAM_construct_end(),
            ]
            return unsafe EVP_MAC_init(context, stored, key.count, parameters)
        }
        invariant(ok == 1, "HMAC init with \(algorithm) and a key of \(key.count) bytes")
    }

    deinit { unsafe EVP_MAC_CTX_free(context) }

    func authenticate(_ input: UnsafeRawBufferPointer, byteCount: Int) -> [UInt8] {
        lock.withLock { _ in
            unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                var length = 0
                let input = unsafe input.assumingMemoryBound(to: UInt8.self)
                let ok =
                    unsafe EVP_MAC_init(context, nil, 0, nil) == 1
                    && EVP_MAC_update(context, input.baseAddress, input.count) == 1
                    && EVP_MAC_final(context, buffer.baseAddress, &length, byteCount) == 1
                invariant(ok && length == byteCount, "HMAC of \(input.count) bytes: \(length)")
                count = byteCount
            }
        }
    }
}
