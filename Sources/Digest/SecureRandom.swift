private import COpenSSL

/// Bytes that nobody can guess.
///
/// Only the effects layer may call it: what decides takes no randomness of its own.
package enum SecureRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        guard let length = Int32(exactly: count) else {
            fatalError("\(count) random bytes asked for at once")
        }
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // Going on without randomness would make guessable secrets.
            let ok = unsafe RAND_bytes(buffer.baseAddress, length)
            invariant(ok == 1, "OpenSSL has no random bytes to give")
            initialized = count
        }
    }
}
