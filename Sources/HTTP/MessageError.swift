/// Why a message was refused.
///
/// For a request, answer with `status` and close the connection: where the next message begins is
/// not known any more, and guessing is how requests are smuggled.
package struct MessageError: Error, Hashable, Sendable, CustomStringConvertible {
    package var status: Int
    package var reason: String

    init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }

    package var description: String { "\(status) \(reason)" }
}

/// How large a message may be.
package struct MessageLimits: Hashable, Sendable {
    /// Bytes of the request line or status line, without its CRLF.
    package var firstLineBytes = 8 * 1024
    /// Bytes of all header fields with their CRLFs; the trailer fields have the same bound.
    package var headerBytes = 16 * 1024
    package var headerCount = 64
    package var bodyBytes = 64 * 1024
    /// Bytes of all chunk extensions of one message, which are read and thrown away.
    package var chunkExtensionBytes = 1024

    package init() {}
}
