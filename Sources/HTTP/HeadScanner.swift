/// Finds the end of a head, or of a trailer section, as its bytes come in.
///
/// It looks at each byte once, whatever the splits, and judges only what does not depend on them:
/// CRLF and nothing else ends a line (a bare CR or LF is what two parsers read differently), no
/// control byte stands anywhere, and the limits hold. The same bytes fail at the same place however
/// they were cut.
struct HeadScanner: Sendable {
    /// Where each finished line's CR is, from the start of the head.
    private(set) var lineEnds: [Int] = []
    private let hasFirstLine: Bool
    /// The next byte to look at, from the start of the head.
    private var offset = 0
    private var lineStart = 0

    /// - Parameter hasFirstLine: whether a request line or status line comes before the fields.
    init(hasFirstLine: Bool) { self.hasFirstLine = hasFirstLine }

    mutating func reset() {
        lineEnds.removeAll(keepingCapacity: true)
        offset = 0
        lineStart = 0
    }

    /// Looks at what has come.
    ///
    /// - Returns: the length of the head with the empty line that ends it; `nil` until that is there.
    mutating func scan(_ bytes: [UInt8], from base: Int, limits: MessageLimits)
        throws(MessageError) -> Int?
    {
        let span = bytes.span
        var index = base + offset
        while true {
            let inFirstLine = hasFirstLine && lineEnds.isEmpty
            let limit = base + self.limit(inFirstLine: inFirstLine, limits)
            let end = min(span.count, limit)
            while index < end {
                let byte = span[index]
                guard (byte < 0x20 && byte != .tab) || byte == 0x7f else {
                    index &+= 1
                    continue
                }
                guard byte == .carriageReturn else {
                    throw MessageError(
                        400,
                        byte == .lineFeed ? "a line feed without its CR" : "a control byte"
                    )
                }
                break
            }
            offset = index - base
            // Here is a CR, the limit, or the end of what has come.
            guard index + 1 < end else {
                guard end == limit else { return nil }
                throw inFirstLine
                    ? MessageError(414, "the first line is too long")
                    : MessageError(431, "the header fields are too large")
            }
            guard span[index + 1] == .lineFeed else {
                throw MessageError(400, "a CR without its line feed")
            }
            if offset == lineStart {
                guard !inFirstLine else { throw MessageError(400, "an empty first line") }
                return offset + 2
            }
            lineEnds.append(offset)
            guard lineEnds.count - (hasFirstLine ? 1 : 0) <= limits.headerCount else {
                throw MessageError(431, "too many header fields")
            }
            index += 2
            offset += 2
            lineStart = offset
        }
    }

    /// The first place, from the start of the head, at which no byte may be.
    private func limit(inFirstLine: Bool, _ limits: MessageLimits) -> Int {
        if inFirstLine { return limits.firstLineBytes + 2 }
        let fieldsStart = hasFirstLine ? lineEnds[0] + 2 : 0
        return fieldsStart + limits.headerBytes + 2
    }
}
