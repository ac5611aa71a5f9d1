import HTTP
import Testing

@Suite("what two parsers could read differently is refused") struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var status: Int
        init(_ name: String, _ text: String, _ status: Int = 400) {
            self.name = name
            self.text = text
            self.status = status
        }
        var testDescription: String { name }
    }

    /// A POST to `/` with these lines after its Host.
    static func post(_ lines: String, _ body: String = "") -> String {
        "POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\(body)"
    }
    static func chunked(_ body: String) -> String {
        post("Transfer-Encoding: chunked\r\n", body)
    }

    static let framing: [Case] = [
        Case(
            "both lengths, length first",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")
        ),
        Case(
            "both lengths, coding first",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")
        ),
        Case(
            "two lengths that differ",
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")
        ),
        Case("two equal lengths", post("Content-Length: 5\r\ncontent-length: 5\r\n", "hello")),
        Case("a list of lengths", post("Content-Length: 5, 5\r\n", "hello")),
        Case("a signed length", post("Content-Length: +5\r\n", "hello")),
        Case("a negative length", post("Content-Length: -5\r\n", "hello")),
        Case("a hexadecimal length", post("Content-Length: 0x5\r\n", "hello")),
        Case("a fraction of a length", post("Content-Length: 5.0\r\n", "hello")),
        Case("an empty length", post("Content-Length:\r\n")),
        Case("a length with a space in it", post("Content-Length: 1 2\r\n")),
        Case("a length past all integers", post("Content-Length: 99999999999999999999\r\n")),
        Case("a length too large", post("Content-Length: 65537\r\n"), 413),
        Case("another coding", post("Transfer-Encoding: gzip\r\n")),
        Case("two codings", post("Transfer-Encoding: gzip, chunked\r\n")),
        Case("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n")),
        Case(
            "two coding fields",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")
        ),
        Case("identity", post("Transfer-Encoding: identity\r\n")),
        Case("a coding with a parameter", post("Transfer-Encoding: chunked;q=1\r\n")),
        Case("a quoted coding", post("Transfer-Encoding: \"chunked\"\r\n")),
        Case("an empty coding", post("Transfer-Encoding:\r\n")),
        Case("a coding with a vertical tab", post("Transfer-Encoding: \u{b}chunked\r\n")),
        Case(
            "a coding in HTTP/1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
    ]

    static let lines: [Case] = [
        Case("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
        Case("a bare line feed after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        Case("a bare line feed at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        Case("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
        Case("a CR before CRLF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        Case("a folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
        Case("a folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        Case("a space before the colon", post("Content-Length : 5\r\n", "hello")),
        Case("a tab before the colon", post("Transfer-Encoding\t: chunked\r\n")),
        Case("a space in a name", post("X Y: 1\r\n")),
        Case("a line without a colon", post("nonsense\r\n")),
        Case("an empty name", post(": 1\r\n")),
        Case("a name that is no token", post("X(Y): 1\r\n")),
        Case("a name outside ASCII", post("Xé: 1\r\n")),
        Case("NUL in a value", post("X: a\0b\r\n")),
        Case("NUL in a name", post("X\0: b\r\n")),
        Case("a control byte in a value", post("X: a\u{1}b\r\n")),
        Case("DEL in a value", post("X: a\u{7f}b\r\n")),
        Case("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
        Case("no field at all", "GET / HTTP/1.1\r\n\r\n"),
        Case("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        Case("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        Case("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Case("a Host that is a list", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Case("a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Case("a Host with user info", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ]

    static let requestLines: [Case] = [
        Case("an invalid method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("a tab between", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("a space behind", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        Case("no version", "GET /\r\nHost: a\r\n\r\n"),
        Case("no version but its space", "GET / \r\nHost: a\r\n\r\n"),
        Case("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n"),
        Case("a version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        Case("a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("a target outside ASCII", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n"),
        Case("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        Case("HTTP/0.9 by number", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        Case("a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        Case(
            "a method longer than any",
            String(repeating: "A", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n",
            501
        ),
        Case("another expectation", post("Expect: teapot\r\n"), 417),
        Case("TLS on a plain port", "\u{16}\u{3}\u{1}\0"),
    ]

    static let chunks: [Case] = [
        Case("no size", chunked("\r\nhello")),
        Case("a size with a prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        Case("a signed size", chunked("+5\r\nhello\r\n0\r\n\r\n")),
        Case("a negative size", chunked("-1\r\n")),
        Case("a size with a space before", chunked(" 5\r\nhello\r\n0\r\n\r\n")),
        Case("a size with a space behind", chunked("5 \r\nhello\r\n0\r\n\r\n")),
        Case("a size past all integers", chunked("FFFFFFFFFFFFFFFFF\r\n")),
        Case("a size that wraps to five", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        Case("zeros without end", chunked("0000000000000000000005\r\nhello\r\n0\r\n\r\n")),
        Case("a size that is not hexadecimal", chunked("5g\r\nhello\r\n0\r\n\r\n")),
        Case("a size that ends in LF", chunked("5\nhello\r\n0\r\n\r\n")),
        Case("a size that ends in CR", chunked("5\rhello\r\n0\r\n\r\n")),
        Case("data longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n")),
        Case("data that ends in LF", chunked("5\r\nhello\n0\r\n\r\n")),
        Case("data that ends in CR and more", chunked("5\r\nhello\rX0\r\n\r\n")),
        Case("an extension with LF", chunked("5;a\n\r\nhello\r\n0\r\n\r\n")),
        Case("an extension with NUL", chunked("5;a\0\r\nhello\r\n0\r\n\r\n")),
        Case(
            "an extension too long",
            chunked("5;" + String(repeating: "a", count: 1025) + "\r\nhello\r\n0\r\n\r\n")
        ),
        Case(
            "extensions too long in all",
            chunked(String(repeating: "1;aaaa\r\nx\r\n", count: 300) + "0\r\n\r\n")
        ),
        Case("a folded trailer", chunked("0\r\nA: b\r\n c\r\n\r\n")),
        Case("a trailer without a name", chunked("0\r\n: b\r\n\r\n")),
        Case("a trailer with a bare line feed", chunked("0\r\nA: b\n\r\n")),
        Case("a chunk too large", chunked("10001\r\n"), 413),
        Case(
            "chunks too large together",
            chunked(
                "ffff\r\n" + String(repeating: "x", count: 0xffff) + "\r\n2\r\n"
            ),
            413
        ),
        Case(
            "trailers too large",
            chunked("0\r\nA: " + String(repeating: "b", count: 16 * 1024) + "\r\n\r\n"),
            431
        ),
        Case(
            "trailers too many",
            chunked("0\r\n" + String(repeating: "A: b\r\n", count: 65) + "\r\n"),
            431
        ),
    ]

    @Test(
        "refused with its status, at the same place however it is split",
        arguments: framing + lines + requestLines + chunks
    )
    func refused(_ example: Case) {
        let bytes = Array(example.text.utf8)
        let expected = [Said.failed(example.status)]
        #expect(parse(pieces: [bytes[...]]) == expected)
        #expect(parse(pieces: bytes.indices.map { bytes[$0...$0] }) == expected)
        // Long examples at some cuts, short ones at all.
        for cut in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 200)) {
            #expect(parse(pieces: [bytes[..<cut], bytes[cut...]]) == expected, "cut at \(cut)")
        }
    }

    @Test("each limit lets its last byte through and not one more")
    func limits() {
        func requestLine(_ length: Int) -> String {
            let fixed = "GET / HTTP/1.1".utf8.count
            return
                "GET /\(String(repeating: "a", count: length - fixed)) HTTP/1.1\r\nHost: a\r\n\r\n"
        }
        func fields(_ length: Int) -> String {
            let fixed = "Host: a\r\nX: \r\n".utf8.count
            return
                "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "b", count: length - fixed))\r\n\r\n"
        }
        func count(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: b\r\n", count: count - 1))\r\n"
        }
        func body(_ length: Int) -> String {
            Self.post("Content-Length: \(length)\r\n", String(repeating: "c", count: length))
        }
        func chunk(_ length: Int) -> String {
            let size = String(length, radix: 16)
            return Self.chunked("\(size)\r\n\(String(repeating: "c", count: length))\r\n0\r\n\r\n")
        }
        let makers: [(String, (Int) -> String, Int, Int)] = [
            ("request line", requestLine, 8192, 414), ("header bytes", fields, 16384, 431),
            ("header count", count, 64, 431), ("body", body, 65536, 413),
            ("chunk", chunk, 65536, 413),
        ]
        for (name, make, limit, status) in makers {
            for split in [false, true] {
                func said(_ text: String) -> Said? {
                    let bytes = Array(text.utf8)
                    return split
                        ? parse(pieces: bytes.indices.map { bytes[$0...$0] }).last
                        : parse(pieces: [bytes[...]]).last
                }
                guard case .request = said(make(limit)) else {
                    Issue.record("\(name) of \(limit) was refused")
                    continue
                }
                #expect(said(make(limit + 1)) == .failed(status), "\(name) of \(limit + 1)")
            }
        }
    }

    @Test("a line without end is refused before it is buffered")
    func endlessLine() {
        var parser = RequestParser()
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1024)
        var fed = 0
        while true {
            parser.feed(piece)
            fed += piece.count
            if case .failed(let error) = parser.next() {
                #expect(error.status == 414)
                break
            }
            #expect(fed <= 9 * 1024)
            guard fed <= 9 * 1024 else { return }
        }
        #expect(parser.phase == .closed)
        #expect(parser.bufferedByteCount == 0)
    }

    @Test("smaller limits hold as well")
    func ownLimits() {
        var limits = MessageLimits()
        limits.bodyBytes = 3
        limits.headerCount = 2
        #expect(parse(Self.post("Content-Length: 4\r\n"), limits: limits) == [.failed(413)])
        #expect(parse(Self.post("A: b\r\nC: d\r\n"), limits: limits) == [.failed(431)])
    }

    @Test("after a refusal the parser says the same and takes nothing more")
    func staysRefused() {
        var parser = RequestParser()
        parser.feed(Array("nonsense\r\n".utf8))
        parser.feed(Array("\r\n".utf8))
        for _ in 0..<3 {
            guard case .failed(let error) = parser.next() else {
                Issue.record("the refusal was forgotten")
                return
            }
            #expect(error.status == 400)
            parser.feed(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        }
    }
}
