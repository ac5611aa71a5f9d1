/// The header fields of one message and what they say about its framing.
struct FieldSection: Sendable {
    var headers: Headers
    var contentLength: Int?
    var isChunked = false
    var hostCount = 0
    var asksToClose = false
    var asksToKeepAlive = false
    var expectsContinue = false

    private static let contentLengthName = Array("content-length".utf8)
    private static let transferEncodingName = Array("transfer-encoding".utf8)
    private static let connectionName = Array("connection".utf8)
    private static let hostName = Array("host".utf8)
    private static let expectName = Array("expect".utf8)
    private static let chunked = Array("chunked".utf8)
    private static let close = Array("close".utf8)
    private static let keepAlive = Array("keep-alive".utf8)
    private static let hundredContinue = Array("100-continue".utf8)

    /// Reads fields whose lines a scanner has found.
    ///
    /// The head starts at `base`, `lineEnds` has the CR of each line counted from there, and
    /// `firstField` is the line the fields start at.
    init(_ bytes: [UInt8], base: Int, lineEnds: [Int], firstField: Int) throws(MessageError) {
        let sectionStart = firstField == 0 ? base : base + lineEnds[firstField - 1] + 2
        let sectionEnd =
            firstField < lineEnds.count ? base + lineEnds[lineEnds.count - 1] : sectionStart
        var places: [Headers.Place] = []
        places.reserveCapacity(lineEnds.count - firstField)
        headers = Headers()
        var transferEncodings = 0
        var start = sectionStart
        for line in firstField..<lineEnds.count {
            let end = base + lineEnds[line]
            var colon = start
            while colon < end, bytes[colon].isTokenByte { colon += 1 }
            guard colon < end, colon > start, bytes[colon] == UInt8(ascii: ":") else {
                throw MessageError(
                    400,
                    bytes[start].isBlank
                        ? "a folded header field" : "a header field without a valid name"
                )
            }
            var valueStart = colon + 1
            while valueStart < end, bytes[valueStart].isBlank { valueStart += 1 }
            var valueEnd = end
            while valueEnd > valueStart, bytes[valueEnd - 1].isBlank { valueEnd -= 1 }
            let value = valueStart..<valueEnd
            let name = start..<colon
            places.append(
                Headers.Place(
                    name: UInt32(start - sectionStart)..<UInt32(colon - sectionStart),
                    value: UInt32(valueStart - sectionStart)..<UInt32(valueEnd - sectionStart)
                )
            )
            start = end + 2
            switch name.count {
            case 4 where spells(bytes, name, Self.hostName):
                hostCount += 1
                guard Self.isHost(bytes, value) else { throw MessageError(400, "an invalid Host") }
            case 6 where spells(bytes, name, Self.expectName):
                guard spells(bytes, value, Self.hundredContinue) else {
                    throw MessageError(417, "an expectation other than 100-continue")
                }
                expectsContinue = true
            case 10 where spells(bytes, name, Self.connectionName):
                readConnection(bytes, value)
            case 14 where spells(bytes, name, Self.contentLengthName):
                guard contentLength == nil else {
                    throw MessageError(400, "more than one Content-Length")
                }
                contentLength = try Self.length(bytes, value)
            case 17 where spells(bytes, name, Self.transferEncodingName):
                transferEncodings += 1
                guard transferEncodings == 1, spells(bytes, value, Self.chunked) else {
                    throw MessageError(400, "a Transfer-Encoding other than chunked")
                }
                isChunked = true
            default: break
            }
        }
        guard contentLength == nil || !isChunked else {
            throw MessageError(400, "both Content-Length and Transfer-Encoding")
        }
        headers = Headers(bytes: Array(bytes[sectionStart..<sectionEnd]), places: places)
    }

    private static func length(_ bytes: [UInt8], _ range: Range<Int>) throws(MessageError) -> Int {
        guard !range.isEmpty else { throw MessageError(400, "an empty Content-Length") }
        var length = 0
        for index in range {
            guard bytes[index].isDigit else {
                throw MessageError(400, "a Content-Length that is not a number")
            }
            let (tens, overflowed) = length.multipliedReportingOverflow(by: 10)
            let (sum, overflowedToo) = tens.addingReportingOverflow(Int(bytes[index] - 0x30))
            guard !overflowed, !overflowedToo else {
                throw MessageError(400, "a Content-Length that no message has")
            }
            length = sum
        }
        return length
    }

    /// The characters of `uri-host [ ":" port ]` (RFC 9110 §7.2), at least one.
    static func isHost(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return false }
        for index in range {
            switch bytes[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "["), UInt8(ascii: "]"),
                UInt8(ascii: "%"), UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"),
                UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"),
                UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="):
                // In ASCII the colon follows 9.
                continue
            default: return false
            }
        }
        return true
    }

    private mutating func readConnection(_ bytes: [UInt8], _ range: Range<Int>) {
        var start = range.lowerBound
        for index in range.lowerBound...range.upperBound {
            guard index == range.upperBound || bytes[index] == UInt8(ascii: ",") else { continue }
            var option = start..<index
            while let first = option.first, bytes[first].isBlank { option.removeFirst() }
            while let last = option.last, bytes[last].isBlank { option.removeLast() }
            if spells(bytes, option, Self.close) { asksToClose = true }
            if spells(bytes, option, Self.keepAlive) { asksToKeepAlive = true }
            start = index + 1
        }
    }
}
