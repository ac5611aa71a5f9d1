/// An answer as it stands in the bytes that were read, not copied out of them.
///
/// The load shares its machine with the nodes, so it reads of an answer only what it checks.
/// What it reads, it reads strictly: bytes that another client might take for something else are
/// a fault of the node.
package struct BenchAnswer: Hashable, Sendable {
    package enum Disposition: Hashable, Sendable {
        case none, accepted, repeated, other
    }
    package enum Step: Hashable, Sendable {
        case needsMore
        case answer(BenchAnswer)
        /// What is wrong with the bytes.
        case failed(String)
    }

    package private(set) var status = 0
    package private(set) var disposition = Disposition.none
    package private(set) var keepsAlive = true
    /// Where the body stands; the answer ends with it.
    package private(set) var body = 0..<0

    private static let headLimit = 16 * 1024
    private static let bodyLimit = 1024 * 1024

    /// Looks for a whole answer at the start of a range.
    package static func scan(_ bytes: [UInt8], _ range: Range<Int>) -> Step {
        let span = bytes.span
        var answer = BenchAnswer()
        var length: Int?
        var lineStart = range.lowerBound
        while true {
            var index = lineStart
            while index < range.upperBound, span[index] != 0x0d { index &+= 1 }
            guard index + 1 < range.upperBound else {
                return range.count > headLimit ? .failed("a head that does not end") : .needsMore
            }
            guard span[index + 1] == 0x0a else { return .failed("a CR without its line feed") }
            let line = lineStart..<index
            let isStatusLine = lineStart == range.lowerBound
            lineStart = index + 2
            if isStatusLine {
                guard let status = status(span, line) else { return .failed("no status line") }
                answer.status = status
                continue
            }
            if line.isEmpty { break }
            switch span[line.lowerBound] | 0x20 {
            case UInt8(ascii: "c"):
                if let value = value(span, line, of: contentLength) {
                    guard length == nil, let number = number(span, value) else {
                        return .failed("an invalid Content-Length")
                    }
                    length = number
                } else if let value = value(span, line, of: connection) {
                    answer.keepsAlive = !equal(span, value, close)
                }
            case UInt8(ascii: "t"):
                if value(span, line, of: transferEncoding) != nil {
                    return .failed("a Transfer-Encoding")
                }
            case UInt8(ascii: "v"):
                if let value = value(span, line, of: dispositionName) {
                    guard answer.disposition == .none else { return .failed("two dispositions") }
                    answer.disposition =
                        equal(span, value, accepted)
                        ? .accepted : equal(span, value, repeated) ? .repeated : .other
                }
            default: break
            }
        }
        guard let length else { return .failed("no Content-Length") }
        answer.body = lineStart..<lineStart + length
        return answer.body.upperBound <= range.upperBound ? .answer(answer) : .needsMore
    }

    private static let contentLength = Array("content-length".utf8)
    private static let connection = Array("connection".utf8)
    private static let transferEncoding = Array("transfer-encoding".utf8)
    private static let dispositionName = Array("verdict-disposition".utf8)
    private static let close = Array("close".utf8)
    private static let accepted = Array("accepted".utf8)
    private static let repeated = Array("repeated".utf8)
    private static let statusStart = Array("HTTP/1.1 ".utf8)

    private static func status(_ span: Span<UInt8>, _ line: Range<Int>) -> Int? {
        let end = line.lowerBound + 12
        guard line.count >= 12, line.count == 12 || span[end] == 0x20,
            equal(span, line.lowerBound..<end - 3, statusStart),
            let status = number(span, end - 3..<end), status >= 200
        else { return nil }
        return status
    }

    /// A field's value without the blanks around it, if the line is this field.
    private static func value(
        _ span: Span<UInt8>,
        _ line: Range<Int>,
        of name: [UInt8]
    ) -> Range<Int>? {
        let colon = line.lowerBound + name.count
        guard colon < line.upperBound, span[colon] == UInt8(ascii: ":") else { return nil }
        for i in name.indices {
            let byte = span[line.lowerBound + i]
            // Field names are in letters and dashes, and a dash has this bit set.
            guard byte | 0x20 == name[i] else { return nil }
        }
        var (start, end) = (colon + 1, line.upperBound)
        while start < end, span[start] == 0x20 { start += 1 }
        while end > start, span[end - 1] == 0x20 { end -= 1 }
        return start..<end
    }

    private static func equal(_ span: Span<UInt8>, _ range: Range<Int>, _ word: [UInt8]) -> Bool {
        guard range.count == word.count else { return false }
        for i in word.indices where span[range.lowerBound + i] != word[i] { return false }
        return true
    }

    private static func number(_ span: Span<UInt8>, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        var number = 0
        for i in range {
            let digit = span[i] &- 0x30
            guard digit < 10 else { return nil }
            number = number * 10 + Int(digit)
            guard number <= bodyLimit else { return nil }
        }
        return number
    }
}
