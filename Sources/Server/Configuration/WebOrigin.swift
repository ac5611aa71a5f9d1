/// Scheme, host and port of a URL: `https://bank.example` or `http://127.0.0.1:8101`.
///
/// Two spellings of one origin are equal: host and scheme are in lower case, and the scheme's own
/// port is left out.
package struct WebOrigin: Hashable, Sendable, CustomStringConvertible {
    package var isSecure: Bool
    /// In lower case; an IPv6 address without brackets.
    package var host: String
    /// `nil` for the scheme's own.
    package var port: UInt16?

    /// - Returns: `nil` if the text is anything but an origin, such as one with a trailing slash.
    package init?(_ text: String) {
        guard let (origin, rest) = WebOrigin.split(text), rest.isEmpty else { return nil }
        self = origin
    }

    private init(isSecure: Bool, host: String, port: UInt16?) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
    }

    package var description: String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "\(isSecure ? "https" : "http")://\(shown)\(port.map { ":\($0)" } ?? "")"
    }

    /// Splits a URL behind its origin.
    ///
    /// Stricter than browsers, which repair what they read: no user information, no blanks, no
    /// backslashes, `//` required. What two programs could read in two ways is refused.
    static func split(_ url: String) -> (WebOrigin, rest: Substring)? {
        let lower = url.prefix(8).lowercased()
        let isSecure = lower.hasPrefix("https://")
        guard isSecure || lower.hasPrefix("http://") else { return nil }
        let tail = url.dropFirst(isSecure ? 8 : 7)
        let authority = tail.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let own: UInt16 = isSecure ? 443 : 80
        // A port is what follows the last colon outside of brackets.
        let hasPort =
            authority.hasPrefix("[")
            ? !authority.hasSuffix("]") : authority.utf8.contains(UInt8(ascii: ":"))
        let spelt = hasPort ? String(authority) : "\(authority):\(own)"
        guard let address = SocketAddress(spelt), address.port != 0 else { return nil }
        let origin = WebOrigin(
            isSecure: isSecure,
            host: address.host,
            port: address.port == own ? nil : address.port
        )
        return (origin, tail[authority.endIndex...])
    }
}
