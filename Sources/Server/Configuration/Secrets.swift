/// Bytes that must not be shown.
///
/// Printing, dumping or reflecting one shows nothing.
package struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package let bytes: [UInt8]
    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package var description: String { "<redacted>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a node keeps secret: a file of its own, read again on SIGHUP.
package struct Secrets: Sendable, CustomStringConvertible {
    /// Who may call what; each role has one token, or two while one replaces the other.
    package struct Tokens: Sendable {
        package var ingest: [Secret]
        package var read: [Secret]
        package var operate: [Secret]
    }
    package struct Twilio: Sendable {
        package struct SharedKey: Sendable {
            package var id: String
            package var key: Secret
        }
        /// The account's Auth Tokens, at most two.
        package var secrets: [Secret]
        /// Sorted by ID.
        package var sharedKeys: [SharedKey]
        /// The `AccountSid`s whose callbacks are taken; empty takes any that is signed.
        package var accounts: [String]
    }
    package var tokens: Tokens
    /// Keys the digests of challenges; 32 bytes, the same on all nodes, and for ever: with another
    /// key no open attempt's digits would match.
    package var digestKey: Secret
    package var twilio: Twilio?

    package var description: String {
        "Secrets(tokens: \(tokens.ingest.count) ingest, \(tokens.read.count) read, "
            + "\(tokens.operate.count) operate; twilio: \(twilio == nil ? "none" : "set"))"
    }
}
