/// On which line each value of a JSON5 document begins.
///
/// `JSONDecoder` says neither where a value stands nor where a document is broken, so this walks
/// the text once more. It understands what JSON5 adds to JSON: comments, single quotes, unquoted
/// names, trailing commas. Its messages never quote the text, which may be a secret.
package struct SourceMap: Sendable {
    /// Where and why a text is not JSON5.
    package struct SyntaxError: Error, Hashable, Sendable {
        package var line: Int
        package var problem: String
    }

    private var lines: [FieldPath: Int] = [:]
    /// Fields that an object has twice: the later place, and the line of the first.
    package private(set) var duplicates: [(path: FieldPath, line: Int, first: Int)] = []

    package init(of text: [UInt8]) throws(SyntaxError) {
        var scanner = JSON5Scanner(text)
        try scanner.skipBlank()
        try value(at: .root, depth: 0, &scanner)
        try scanner.skipBlank()
        guard scanner.isAtEnd else {
            throw scanner.error("there is more after the end of the document")
        }
    }

    /// The line of a value, or of the innermost object or list around its place if it is absent.
    package func line(of path: FieldPath) -> Int {
        var path = path
        while true {
            if let line = lines[path] { return line }
            guard let parent = path.parent else { return 1 }
            path = parent
        }
    }

    private mutating func value(
        at path: FieldPath,
        depth: Int,
        _ scanner: inout JSON5Scanner
    ) throws(SyntaxError) {
        guard depth < 64 else { throw scanner.error("objects and lists are nested too deeply") }
        // A field's line is its name's, set by `object`; the root and list items have none.
        if lines[path] == nil { lines[path] = scanner.line }
        switch scanner.current {
        case UInt8(ascii: "{"): try object(at: path, depth: depth, &scanner)
        case UInt8(ascii: "["): try list(at: path, depth: depth, &scanner)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = try scanner.string()
        case nil: throw scanner.error("the document ends where a value is expected")
        default: try scanner.scalar()
        }
    }

    private mutating func object(
        at path: FieldPath,
        depth: Int,
        _ scanner: inout JSON5Scanner
    ) throws(SyntaxError) {
        let opening = scanner.line
        scanner.advance()
        while true {
            try scanner.skipBlank()
            guard let byte = scanner.current else {
                throw scanner.error("the object that begins on line \(opening) is not closed")
            }
            if byte == UInt8(ascii: "}") {
                scanner.advance()
                return
            }
            let line = scanner.line
            let field = path.appending(try scanner.name())
            if let first = lines[field] {
                duplicates.append((field, line, first))
            } else {
                lines[field] = line
            }
            try scanner.skipBlank()
            guard scanner.current == UInt8(ascii: ":") else {
                throw scanner.error("a field's name must be followed by a colon")
            }
            scanner.advance()
            try scanner.skipBlank()
            try value(at: field, depth: depth + 1, &scanner)
            try scanner.separator(closing: UInt8(ascii: "}"), opening: opening, "object")
        }
    }

    private mutating func list(
        at path: FieldPath,
        depth: Int,
        _ scanner: inout JSON5Scanner
    ) throws(SyntaxError) {
        let opening = scanner.line
        scanner.advance()
        var index = 0
        while true {
            try scanner.skipBlank()
            guard let byte = scanner.current else {
                throw scanner.error("the list that begins on line \(opening) is not closed")
            }
            if byte == UInt8(ascii: "]") {
                scanner.advance()
                return
            }
            try value(at: path.appending(index), depth: depth + 1, &scanner)
            index += 1
            try scanner.separator(closing: UInt8(ascii: "]"), opening: opening, "list")
        }
    }
}
