/// The scheme and authority that platforms know this node by, with a path prefix where a proxy
/// strips one.
///
/// It is configured and never taken from a request: behind a proxy `Host` differs from what the
/// platform signed, and `Host` is the sender's to choose.
package struct PublicOrigin: Hashable, Sendable, CustomStringConvertible {
    /// As configured, such as `https://voice.example.com`.
    package let text: String
    /// As configured, then with the port taken away, or with the scheme's own port added.
    let spellings: [[UInt8]]

    /// - Returns: `nil` unless it is `http` or `https`, a host, maybe a port and a prefix; user info,
    ///   a query, a fragment or a slash at the end is refused.
    package init?(_ text: String) {
        let schemes = [("https://", "443"), ("http://", "80")]
        guard let (scheme, defaultPort) = schemes.first(where: { text.hasPrefix($0.0) }) else {
            return nil
        }
        let rest = Array(text.utf8.dropFirst(scheme.utf8.count))
        let authorityEnd = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        let prefix = rest[authorityEnd...]
        guard prefix.last != UInt8(ascii: "/"), prefix.allSatisfy(PublicOrigin.isPrefixByte) else {
            return nil
        }
        let hostEnd: Int
        if authority.first == UInt8(ascii: "[") {
            guard let bracket = authority.firstIndex(of: UInt8(ascii: "]")), bracket > 1,
                authority[1..<bracket].allSatisfy(PublicOrigin.isAddressByte)
            else { return nil }
            hostEnd = bracket + 1
        } else {
            hostEnd = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
            guard hostEnd > 0, authority[..<hostEnd].allSatisfy(PublicOrigin.isHostByte) else {
                return nil
            }
        }
        var port = authority[hostEnd...]
        let hasPort = !port.isEmpty
        if hasPort {
            guard port.removeFirst() == UInt8(ascii: ":"), (1...5).contains(port.count),
                port.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
                let number = Int(String(decoding: port, as: UTF8.self)),
                (1...65535).contains(number)
            else { return nil }
        }
        let host = Array(scheme.utf8) + authority[..<hostEnd]
        let otherPort = hasPort ? [] : Array(":\(defaultPort)".utf8)
        self.text = text
        spellings = [Array(text.utf8), host + otherPort + prefix]
    }

    package var description: String { text }

    private static func isPrefixByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "?") && byte != UInt8(ascii: "#")
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
