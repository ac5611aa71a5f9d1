/// A request's head: the request line and what the fields say.
struct RequestHead {
    /// The body is still empty.
    var request: Request
    var contentLength: Int?
    var isChunked: Bool
    var expectsContinue: Bool

    /// Longest method name taken as one that simply is not implemented here.
    private static let maxMethodBytes = 32

    private static let getName = Array("GET".utf8)
    private static let putName = Array("PUT".utf8)
    private static let postName = Array("POST".utf8)
    private static let headName = Array("HEAD".utf8)
    private static let patchName = Array("PATCH".utf8)
    private static let deleteName = Array("DELETE".utf8)
    private static let optionsName = Array("OPTIONS".utf8)

    /// Reads a head whose lines a scanner has found.
    init(_ bytes: [UInt8], base: Int, lineEnds: [Int]) throws(MessageError) {
        let lineEnd = base + lineEnds[0]
        var methodEnd = base
        while methodEnd < lineEnd, bytes[methodEnd].isTokenByte { methodEnd += 1 }
        guard methodEnd > base, bytes[methodEnd] == .space else {
            throw MessageError(400, "an invalid method")
        }
        var targetEnd = methodEnd + 1
        while targetEnd < lineEnd, bytes[targetEnd].isVisible { targetEnd += 1 }
        let target = methodEnd + 1..<targetEnd
        guard !target.isEmpty, targetEnd < lineEnd, bytes[targetEnd] == .space else {
            throw MessageError(400, "an invalid request line")
        }
        let isHTTP10 = try Self.isHTTP10(bytes, targetEnd + 1..<lineEnd)
        guard methodEnd - base <= Self.maxMethodBytes else {
            throw MessageError(501, "a method that is not implemented")
        }
        let method = Self.method(bytes, base..<methodEnd)
        guard method != .other("CONNECT") else {
            throw MessageError(501, "CONNECT is not implemented")
        }
        let path = try Self.target(bytes, target, method)

        let fields = try FieldSection(bytes, base: base, lineEnds: lineEnds, firstField: 1)
        guard fields.hostCount == 1 || (isHTTP10 && fields.hostCount == 0) else {
            throw MessageError(400, fields.hostCount == 0 ? "no Host" : "more than one Host")
        }
        // RFC 9112 §6.1: HTTP/1.0 has no transfer codings, so such framing is faulty.
        guard !(isHTTP10 && fields.isChunked) else {
            throw MessageError(400, "Transfer-Encoding in HTTP/1.0")
        }
        let keepsAlive = !fields.asksToClose && (!isHTTP10 || fields.asksToKeepAlive)
        request = Request(
            method: method,
            target: path,
            headers: fields.headers,
            keepsAlive: keepsAlive
        )
        contentLength = fields.contentLength
        isChunked = fields.isChunked
        // A client of 1.0 does not know 100 (RFC 9110 §10.1.1).
        expectsContinue = fields.expectsContinue && !isHTTP10
    }

    private static func isHTTP10(_ bytes: [UInt8], _ range: Range<Int>) throws(MessageError) -> Bool
    {
        let start = range.lowerBound
        guard range.count == 8, bytes[start] == UInt8(ascii: "H"),
            bytes[start + 1] == UInt8(ascii: "T"), bytes[start + 2] == UInt8(ascii: "T"),
            bytes[start + 3] == UInt8(ascii: "P"), bytes[start + 4] == UInt8(ascii: "/"),
            bytes[start + 5].isDigit, bytes[start + 6] == UInt8(ascii: "."),
            bytes[start + 7].isDigit
        else { throw MessageError(400, "an invalid protocol version") }
        guard bytes[start + 5] == UInt8(ascii: "1") else {
            throw MessageError(505, "a protocol version other than HTTP/1.1")
        }
        return bytes[start + 7] == UInt8(ascii: "0")
    }

    private static func method(_ bytes: [UInt8], _ range: Range<Int>) -> Request.Method {
        func reads(_ name: [UInt8]) -> Bool {
            var index = range.lowerBound
            for byte in name {
                guard bytes[index] == byte else { return false }
                index += 1
            }
            return true
        }
        switch (range.count, bytes[range.lowerBound]) {
        case (3, UInt8(ascii: "G")) where reads(Self.getName): return .get
        case (3, UInt8(ascii: "P")) where reads(Self.putName): return .put
        case (4, UInt8(ascii: "P")) where reads(Self.postName): return .post
        case (4, UInt8(ascii: "H")) where reads(Self.headName): return .head
        case (5, UInt8(ascii: "P")) where reads(Self.patchName): return .patch
        case (6, UInt8(ascii: "D")) where reads(Self.deleteName): return .delete
        case (7, UInt8(ascii: "O")) where reads(Self.optionsName): return .options
        default: return .other(String(decoding: bytes[range], as: UTF8.self))
        }
    }

    /// The target in origin-form; of the absolute-form that proxies may send, the part behind the
    /// authority (RFC 9112 §3.2.2).
    private static func target(_ bytes: [UInt8], _ range: Range<Int>, _ method: Request.Method)
        throws(MessageError) -> String
    {
        guard !bytes[range].contains(UInt8(ascii: "#")) else {
            throw MessageError(400, "a fragment in the request target")
        }
        if bytes[range.lowerBound] == UInt8(ascii: "/") {
            return String(decoding: bytes[range], as: UTF8.self)
        }
        if range.count == 1, bytes[range.lowerBound] == UInt8(ascii: "*"), method == .options {
            return "*"
        }
        var start = range.lowerBound
        if range.count > 7, spells(bytes, start..<start + 7, Array("http://".utf8)) {
            start += 7
        } else if range.count > 8, spells(bytes, start..<start + 8, Array("https://".utf8)) {
            start += 8
        } else {
            throw MessageError(400, "a request target that is neither a path nor a URL")
        }
        var end = start
        while end < range.upperBound, bytes[end] != UInt8(ascii: "/"),
            bytes[end] != UInt8(ascii: "?")
        {
            end += 1
        }
        guard FieldSection.isHost(bytes, start..<end) else {
            throw MessageError(400, "a request target without a valid host")
        }
        let rest = String(decoding: bytes[end..<range.upperBound], as: UTF8.self)
        return rest.utf8.first == UInt8(ascii: "/") ? rest : "/" + rest
    }
}
