package import Providers

/// What a node keeps secret: a file of its own, read again on SIGHUP.
package struct Secrets: Sendable, CustomStringConvertible, CustomReflectable {
    /// Who may call what; each role has one token, or two while one replaces the other.
    package struct Tokens: Sendable {
        package var ingest: [Secret]
        package var read: [Secret]
        package var operate: [Secret]
    }
    package struct Twilio: Sendable {
        /// The account's Auth Tokens, at most two.
        package var secrets: [Secret]
        /// Sorted by ID.
        package var sharedKeys: [TwilioSharedKey]
        /// The `AccountSid`s whose callbacks are taken; empty takes any that is signed.
        package var accounts: [String]
        /// Checks with all of the above.
        package var provider: TwilioProvider
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
    /// Nothing: a dump would go on into the keys that are made of secrets.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
