import HTTP
import Testing

@Suite("requests are taken out of the bytes as they come") struct RequestParserTests {
    static let good: [String] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/attempts/va_1?consistency=local HTTP/1.1\r\nhost:a.example:8101\r\nX:\r\n\r\n",
        "POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /v1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        "POST /v1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "5\r\nhello\r\n1;a=\"b\";c\r\n!\r\n000\r\nTrail: er\r\nAnother: one\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: a\r\nConnection: foo , CLOSE\r\nContent-Length: 1\r\n\r\nx",
        "GET /old HTTP/1.0\r\n\r\n",
        "HEAD /old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "PURGE http://a.example:80/x?y HTTP/1.1\r\nHost: b\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        // Three in a row, the second with an empty line before it.
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
            + "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    ]

    @Test(
        "a request split at any byte, or fed byte by byte, parses like the whole",
        arguments: good
    )
    func splits(text: String) {
        let bytes = Array(text.utf8)
        let whole = parse(pieces: [bytes[...]])
        #expect(!whole.isEmpty)
        for case .failed(let status) in whole { Issue.record("refused with \(status)") }
        for cut in 0...bytes.count {
            #expect(parse(pieces: [bytes[..<cut], bytes[cut...]]) == whole, "cut at \(cut)")
        }
        #expect(parse(pieces: bytes.indices.map { bytes[$0...$0] }) == whole)
    }

    @Test("method, target, fields and body come out as they went in")
    func contents() throws {
        let said = parse(
            "POST /a%20b?q=1 HTTP/1.1\r\nHost: a\r\nX-Two:  a b \t\r\nx-two: c\r\n"
                + "Content-Length: 2\r\n\r\nhi"
        )
        #expect(
            said == [
                .request("POST /a%20b?q=1 [Host=a|X-Two=a b|x-two=c|Content-Length=2] {hi}")
            ]
        )
        var parser = RequestParser()
        parser.feed(Array("GET /p?q HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n".utf8))
        guard case .request(let request) = parser.next() else {
            Issue.record("no request")
            return
        }
        #expect(request.path == "/p")
        #expect(request.query == "q")
        #expect(request.headers.first("x-a") == "1")
        #expect(request.headers.firstBytes("x-a").map(Array.init) == Array("1".utf8))
        #expect(request.headers.count("x-a") == 2)
        #expect(request.headers.first("x-b") == nil)
    }

    @Test("a media type is found whatever its case and parameters, if it is the only one")
    func mediaType() {
        func has(_ values: String...) -> Bool {
            Headers(values.map { ("Content-Type", $0) }).hasMediaType("application/json")
        }
        #expect(has("application/json"))
        #expect(has("Application/JSON; charset=utf-8"))
        #expect(has("application/json ;x"))
        #expect(!has("application/json5"))
        #expect(!has("application/jso"))
        #expect(!has("application/json, text/html"))
        #expect(!has("text/html"))
        #expect(!has())
        #expect(!has("application/json", "application/json"))
    }

    @Test("a chunked body is put together and its trailers are thrown away")
    func chunked() {
        #expect(
            parse(Self.good[4]) == [
                .request("POST /v1 [Host=a|Transfer-Encoding=chunked] {hello!}")
            ]
        )
    }

    @Test("an absolute target is reduced to its path")
    func absoluteForm() {
        func target(_ target: String) -> [Said] {
            parse("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
        }
        #expect(target("http://b/x?y") == [.request("GET /x?y [Host=a] {}")])
        #expect(target("HTTPS://b") == [.request("GET / [Host=a] {}")])
        #expect(target("http://b?y") == [.request("GET /?y [Host=a] {}")])
        for bad in ["http://", "http:///x", "http://u@b/x", "ftp://b/x", "b:80", "*", "x"] {
            #expect(target(bad) == [.failed(400)], "\(bad)")
        }
    }

    @Test("the connection stays or ends as version and Connection say")
    func keepAlive() {
        func ends(_ version: String, _ connection: String) -> Bool? {
            let said = parse("GET / HTTP/\(version)\r\nHost: a\r\n\(connection)\r\n")
            guard case .request(let text) = said.first else { return nil }
            return text.hasSuffix(" close")
        }
        #expect(ends("1.1", "") == false)
        #expect(ends("1.1", "Connection: close\r\n") == true)
        #expect(ends("1.1", "Connection: keep-alive\r\nConnection: x,close\r\n") == true)
        #expect(ends("1.1", "Connection: closed\r\n") == false)
        #expect(ends("1.0", "") == true)
        #expect(ends("1.0", "Connection: keep-alive\r\n") == false)
        #expect(ends("1.0", "Connection: keep-alive, close\r\n") == true)
        #expect(ends("1.7", "") == false)
    }

    @Test("after a request that ends the connection nothing more is read")
    func nothingAfterClose() {
        let last = "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        var parser = RequestParser()
        parser.feed(Array((last + last).utf8))
        guard case .request = parser.next() else {
            Issue.record("no request")
            return
        }
        #expect(parser.phase == .closed)
        parser.feed(Array(last.utf8))
        guard case .needsMore = parser.next() else {
            Issue.record("something was read after the end")
            return
        }
        #expect(parser.bufferedByteCount == 0)
    }

    @Test("100 is asked for once, and only when the body is held back")
    func expectContinue() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
        var parser = RequestParser()
        parser.feed(Array(head.utf8))
        guard case .sendContinue = parser.next() else {
            Issue.record("100 was not asked for")
            return
        }
        guard case .needsMore = parser.next() else {
            Issue.record("100 was asked for twice")
            return
        }
        #expect(parser.phase == .body)
        parser.feed(Array("ok".utf8))
        guard case .request = parser.next() else {
            Issue.record("no request")
            return
        }

        parser.feed(Array((head + "o").utf8))
        guard case .needsMore = parser.next() else {
            Issue.record("100 was asked for although the body is coming")
            return
        }

        var old = RequestParser()
        old.feed(Array(head.replacing("HTTP/1.1", with: "HTTP/1.0").utf8))
        guard case .needsMore = old.next() else {
            Issue.record("a client of HTTP/1.0 would get 100")
            return
        }
    }

    @Test("the phase tells idle, head and body apart, for the time-outs")
    func phases() {
        var parser = RequestParser()
        func feed(_ text: String) -> RequestParser.Phase {
            parser.feed(Array(text.utf8))
            while true {
                guard case .request = parser.next() else { return parser.phase }
            }
        }
        #expect(parser.phase == .idle)
        #expect(feed("\r") == .head)
        #expect(feed("\n") == .head)
        #expect(feed("G") == .head)
        #expect(feed("ET / HTTP/1.1\r\nHost: a\r\n\r") == .head)
        #expect(feed("\n") == .idle)
        #expect(feed("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n") == .body)
        #expect(feed("x") == .body)
        #expect(feed("y") == .idle)
        #expect(feed("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") == .body)
        #expect(feed("0\r\n") == .body)
        #expect(feed("\r\n") == .idle)
        #expect(feed("nonsense\r\n\r\n") == .closed)
    }

    @Test("a thousand pipelined requests come out one by one and leave nothing behind")
    func pipelining() {
        var parser = RequestParser()
        var text = ""
        for number in 0..<1000 {
            text += "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        }
        let bytes = Array(text.utf8)
        var targets: [String] = []
        for start in stride(from: 0, to: bytes.count, by: 777) {
            parser.feed(bytes[start..<min(start + 777, bytes.count)])
            while case .request(let request) = parser.next() { targets.append(request.target) }
            #expect(parser.bufferedByteCount < 777)
            #expect(parser.heldByteCount < 3 * 777)
        }
        #expect(targets == (0..<1000).map { "/\($0)" })
        #expect(parser.phase == .idle)
    }
}
