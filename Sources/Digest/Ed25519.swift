private import COpenSSL

/// Ed25519 signatures (RFC 8032).
package enum Ed25519 {
    /// Length of a private key's seed and of a public key, in bytes.
    package static let keyByteCount = 32
    /// Length of a signature, in bytes.
    package static let signatureByteCount = 64

    package struct PrivateKey: Sendable {
        private let key: Key
        package let publicKey: PublicKey

        /// - Returns: `nil` unless the seed has 32 bytes.
        package init?(seed: [UInt8]) {
            guard seed.count == keyByteCount,
                let pointer = unsafe EVP_PKEY_new_raw_private_key(
                    EVP_PKEY_ED25519,
                    nil,
                    seed,
                    seed.count
                )
            else { return nil }
            key = unsafe Key(owning: pointer)
            var raw = [UInt8](repeating: 0, count: keyByteCount)
            var length = raw.count
            let ok = unsafe EVP_PKEY_get_raw_public_key(pointer, &raw, &length)
            invariant(ok == 1 && length == keyByteCount, "Ed25519 public key: \(length) bytes")
            guard let publicKey = PublicKey(bytes: raw) else { return nil }
            self.publicKey = publicKey
        }

        package func sign(_ message: [UInt8]) -> [UInt8] {
            guard let context = unsafe EVP_MD_CTX_new() else {
                fatalError("OpenSSL: no memory for an Ed25519 context")
            }
            defer { unsafe EVP_MD_CTX_free(context) }
            var signature = [UInt8](repeating: 0, count: signatureByteCount)
            var length = signature.count
            let ok =
                unsafe EVP_DigestSignInit(context, nil, nil, nil, key.pointer) == 1
                && EVP_DigestSign(context, &signature, &length, message, message.count) == 1
            invariant(ok && length == signatureByteCount, "Ed25519 signature: \(length) bytes")
            return signature
        }
    }

    package struct PublicKey: Sendable {
        package let bytes: [UInt8]
        private let key: Key

        /// - Returns: `nil` unless there are 32 bytes.
        package init?(bytes: [UInt8]) {
            guard bytes.count == keyByteCount,
                let pointer = unsafe EVP_PKEY_new_raw_public_key(
                    EVP_PKEY_ED25519,
                    nil,
                    bytes,
                    bytes.count
                )
            else { return nil }
            key = unsafe Key(owning: pointer)
            self.bytes = bytes
        }

        /// Whether the signature is this key's over the message; a bad point or length is just `false`.
        package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
            guard signature.count == signatureByteCount else { return false }
            guard let context = unsafe EVP_MD_CTX_new() else {
                fatalError("OpenSSL: no memory for an Ed25519 context")
            }
            defer { unsafe EVP_MD_CTX_free(context) }
            let ok =
                unsafe EVP_DigestVerifyInit(context, nil, nil, nil, key.pointer) == 1
                && EVP_DigestVerify(
                    context,
                    signature,
                    signature.count,
                    message,
                    message.count
                ) == 1
            // A refused signature leaves a line in the thread's error queue; nobody reads it.
            if !ok { ERR_clear_error() }
            return ok
        }
    }

    /// Owns an `EVP_PKEY`, which is never changed after it was made; OpenSSL allows such a key to be
    /// used by several threads at once, and each use has a context of its own.
    @safe private final class Key: Sendable {
        nonisolated(unsafe) let pointer: OpaquePointer
        init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }
        deinit { unsafe EVP_PKEY_free(pointer) }
    }
}
