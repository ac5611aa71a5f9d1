/// The URLs that calls may be redirected to.
///
/// A target is allowed if its origin equals a prefix's and its path continues the prefix's at a
/// segment boundary: `https://bank.example/ivr` allows `/ivr`, `/ivr/ok` and `/ivr?x=1` there, but
/// neither `/ivrs` nor anything at `https://bank.example.evil`.
package struct TargetAllowList: Hashable, Sendable {
    /// An origin and a path.
    package struct Prefix: Hashable, Sendable, CustomStringConvertible {
        package var origin: WebOrigin
        /// Begins with a slash.
        package var path: String

        /// - Returns: `nil` if the text is no URL, or has a query or a fragment.
        package init?(_ text: String) {
            guard let parts = TargetURL(text), parts.query == nil else { return nil }
            origin = parts.origin
            path = parts.path
        }
        package var description: String { "\(origin)\(path)" }

        func covers(_ url: TargetURL) -> Bool {
            guard url.origin == origin, url.path.hasPrefix(path) else { return false }
            return path.hasSuffix("/") || url.path.utf8.count == path.utf8.count
                || url.path.dropFirst(path.count).hasPrefix("/")
        }
    }
    package var prefixes: [Prefix]

    package init(_ prefixes: [Prefix]) { self.prefixes = prefixes }

    /// Why calls may not be redirected to a URL; `nil` if they may.
    package func refusal(of text: String) -> String? {
        guard let url = TargetURL(text) else { return "is not a plain http or https URL" }
        guard prefixes.contains(where: { $0.covers(url) }) else {
            return "is not under any of the allowed targets"
        }
        return nil
    }
}

/// A URL taken apart so far that it can be compared with a prefix.
struct TargetURL {
    static let maxBytes = 2048
    var origin: WebOrigin
    /// Begins with a slash; escapes untouched, but none that hides a slash or a dot.
    var path: String
    var query: Substring?

    /// - Returns: `nil` for anything that two programs could read in two ways.
    init?(_ text: String) {
        guard text.utf8.count <= TargetURL.maxBytes,
            text.utf8.allSatisfy(TargetURL.isPlain),
            let (origin, rest) = WebOrigin.split(text)
        else { return nil }
        self.origin = origin
        let path = rest.prefix { $0 != "?" }
        guard path.isEmpty || path.hasPrefix("/"), TargetURL.hasPlainSegments(path) else {
            return nil
        }
        self.path = path.isEmpty ? "/" : String(path)
        query = path.endIndex < rest.endIndex ? rest[rest.index(after: path.endIndex)...] : nil
        guard TargetURL.escapes(in: rest) != nil else { return nil }
    }

    /// Visible ASCII without what a URL may not hold, and without fragments.
    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x21...0x7e).contains(byte) && !"\"#<>\\^`{|}".utf8.contains(byte)
    }

    /// No `.` or `..`, no empty segment but the last, and no escape that would make a new boundary.
    private static func hasPlainSegments(_ path: Substring) -> Bool {
        guard let hidden = escapes(in: path) else { return false }
        let dangerous = [UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "."), 0, 0x25]
        guard !hidden.contains(where: { dangerous.contains($0) || $0 < 0x20 || $0 == 0x7f }) else {
            return false
        }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        return !segments.dropLast().contains("")
            && !segments.contains { $0 == "." || $0 == ".." || $0.hasPrefix("..;") }
    }

    /// The bytes behind percent escapes; `nil` if an escape is broken.
    private static func escapes(in text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let mark = rest.firstIndex(of: UInt8(ascii: "%")) {
            let digits = rest[rest.index(after: mark)...].prefix(2)
            guard digits.count == 2, digits.allSatisfy(\.isHexDigit),
                let byte = UInt8(String(Substring(digits)), radix: 16)
            else { return nil }
            bytes.append(byte)
            rest = rest[digits.endIndex...]
        }
        return bytes
    }
}
