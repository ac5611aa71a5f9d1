/// Walks the tokens of a JSON5 text and counts its lines.
struct JSON5Scanner {
    private let text: [UInt8]
    private var position = 0
    /// The line of the current byte, counted from 1.
    private(set) var line = 1

    init(_ text: [UInt8]) {
        self.text = text
        if text.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    var current: UInt8? { position < text.count ? text[position] : nil }
    private var following: UInt8? { position + 1 < text.count ? text[position + 1] : nil }
    var isAtEnd: Bool { position >= text.count }

    mutating func advance() {
        if current == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    func error(_ problem: String) -> SourceMap.SyntaxError {
        SourceMap.SyntaxError(line: line, problem: problem)
    }

    /// Skips blanks and comments.
    mutating func skipBlank() throws(SourceMap.SyntaxError) {
        while let byte = current {
            switch byte {
            case 0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d: advance()
            case UInt8(ascii: "/") where following == UInt8(ascii: "/"):
                while let byte = current, byte != UInt8(ascii: "\n") { advance() }
            case UInt8(ascii: "/") where following == UInt8(ascii: "*"):
                let opening = line
                advance()
                advance()
                while !(current == UInt8(ascii: "*") && following == UInt8(ascii: "/")) {
                    guard !isAtEnd else {
                        throw error("the comment that begins on line \(opening) is not closed")
                    }
                    advance()
                }
                advance()
                advance()
            default: return
            }
        }
    }

    /// Takes a quoted string; its text, escapes untouched.
    mutating func string() throws(SourceMap.SyntaxError) -> String {
        let quote = current
        let opening = line
        advance()
        let start = position
        while let byte = current, byte != quote {
            if byte == UInt8(ascii: "\n") {
                throw SourceMap.SyntaxError(line: opening, problem: "a string is not closed")
            }
            // An escape hides a quote; an escaped line end continues the string.
            if byte == UInt8(ascii: "\\") { advance() }
            advance()
        }
        guard !isAtEnd else {
            throw SourceMap.SyntaxError(line: opening, problem: "a string is not closed")
        }
        let content = String(decoding: text[start..<position], as: UTF8.self)
        advance()
        return content
    }

    /// Takes a field's name, quoted or not.
    mutating func name() throws(SourceMap.SyntaxError) -> String {
        if current == UInt8(ascii: "\"") || current == UInt8(ascii: "'") { return try string() }
        let start = position
        while let byte = current, JSON5Scanner.isNameByte(byte) { advance() }
        guard position > start else { throw error("a field's name is expected") }
        guard !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[start]) else {
            throw error("a field's name that begins with a digit must be quoted")
        }
        return String(decoding: text[start..<position], as: UTF8.self)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"),
            0x80...:
            true
        default: false
        }
    }

    /// Takes a number, `true`, `false` or `null`.
    mutating func scalar() throws(SourceMap.SyntaxError) {
        let start = position
        while let byte = current, JSON5Scanner.isScalarByte(byte) { advance() }
        guard position > start else { throw error("a value is expected") }
        var token = String(decoding: text[start..<position], as: UTF8.self)[...]
        if ["true", "false", "null"].contains(token) { return }
        if token.hasPrefix("+") || token.hasPrefix("-") { token = token.dropFirst() }
        guard ["Infinity", "NaN"].contains(token) || JSON5Scanner.isNumber(token) else {
            throw error("a value must be a number, true, false, null, or be quoted")
        }
    }

    private static func isScalarByte(_ byte: UInt8) -> Bool {
        isNameByte(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: ".")
    }

    private static func isNumber(_ token: Substring) -> Bool {
        let digits = token.utf8
        guard let first = digits.first else { return false }
        if token.hasPrefix("0x") || token.hasPrefix("0X") {
            return digits.count > 2 && token.dropFirst(2).allSatisfy(\.isHexDigit)
        }
        if first == UInt8(ascii: "0"), let second = digits.dropFirst().first,
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(second)
        {
            return false
        }
        // `Double` takes neither a leading nor a trailing point, which JSON5 does.
        var plain = String(token)
        if plain.hasPrefix(".") { plain = "0" + plain }
        if plain.hasSuffix(".") { plain += "0" }
        return digits.contains { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            && token.allSatisfy { $0.isASCII && ($0.isNumber || ".eE+-".contains($0)) }
            && Double(plain) != nil
    }

    /// Takes a comma, or stops before the closing bracket.
    mutating func separator(
        closing: UInt8,
        opening: Int,
        _ what: String
    ) throws(SourceMap.SyntaxError) {
        try skipBlank()
        switch current {
        case UInt8(ascii: ","): advance()
        case closing: return
        case nil: throw error("the \(what) that begins on line \(opening) is not closed")
        default: throw error("a comma or the end of the \(what) is expected")
        }
    }
}
