import HTTP
import Testing

@Suite("responses are written and read back") struct ResponseTests {
    static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    func text(_ response: Response, keepAlive: Bool = true, headOnly: Bool = false) -> String {
        var bytes: [UInt8] = []
        ResponseSerializer.append(
            response,
            date: Self.date,
            keepAlive: keepAlive,
            headOnly: headOnly,
            into: &bytes
        )
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("a response has status line, date, type, length, connection, its own fields and body")
    func whole() {
        let response = Response(
            status: 200,
            contentType: "application/json",
            headers: Headers([("Verdict-Node", "1")]),
            body: Array("{}".utf8)
        )
        #expect(
            text(response)
                == "HTTP/1.1 200 OK\r\nDate: \(Self.date)\r\nContent-Type: application/json\r\n"
                + "Content-Length: 2\r\nConnection: keep-alive\r\nVerdict-Node: 1\r\n\r\n{}"
        )
        #expect(text(response, keepAlive: false).contains("\r\nConnection: close\r\n"))
        let head = text(response, headOnly: true)
        #expect(head.contains("\r\nContent-Length: 2\r\n") && head.hasSuffix("\r\n\r\n"))
    }

    @Test("an empty body says so, and 204 has neither length nor body")
    func noBody() {
        #expect(text(Response(status: 200)).contains("\r\nContent-Length: 0\r\n"))
        let none = text(Response(status: 204, body: [1, 2, 3]))
        #expect(!none.contains("Content-Length") && none.hasSuffix("\r\n\r\n"))
    }

    @Test("a value cannot end its line and begin another field")
    func injection() {
        let headers = Headers([("Location", "/a\r\nSet-Cookie: b\0")])
        #expect(
            text(Response(status: 200, headers: headers)).contains(
                "\r\nLocation: /a  Set-Cookie: b \r\n"
            )
        )
    }

    @Test("a field name that is no token stops the process, since names are ours")
    func ourName() async {
        await #expect(processExitsWith: .failure) {
            var bytes: [UInt8] = []
            let headers = Headers([("A B", "1")])
            ResponseSerializer.append(
                Response(status: 200, headers: headers),
                date: "",
                keepAlive: true,
                into: &bytes
            )
        }
    }

    struct Read: Equatable {
        var status: Int
        var body: String
        var keepsAlive: Bool
    }

    /// Feeds pieces, then closes if asked, and collects.
    func read(_ pieces: [ArraySlice<UInt8>], closes: Bool = false, headOnly: Bool = false)
        -> [Read]?
    {
        var parser = ResponseParser()
        var found: [Read] = []
        func note(_ step: ResponseParser.Step) -> Bool? {
            switch step {
            case .needsMore: return false
            case .failed: return nil
            case .response(let response, let keepsAlive):
                let body = String(decoding: response.body, as: UTF8.self)
                found.append(Read(status: response.status, body: body, keepsAlive: keepsAlive))
                return true
            }
        }
        for piece in pieces {
            parser.feed(piece)
            while true {
                guard let more = note(parser.next(headOnly: headOnly)) else { return nil }
                guard more else { break }
            }
        }
        guard !closes || note(parser.finish()) != nil else { return nil }
        return found
    }

    @Test("counted, chunked and bodiless responses are read at any split, interim ones skipped")
    func reading() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
            + "HTTP/1.1 201\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
            + "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.0 503 x y\r\nContent-Length: 0\r\n\r\n"
        let bytes = Array(text.utf8)
        let expected = [
            Read(status: 200, body: "hi", keepsAlive: true),
            Read(status: 201, body: "abc", keepsAlive: true),
            Read(status: 204, body: "", keepsAlive: true),
            Read(status: 503, body: "", keepsAlive: false),
        ]
        #expect(read([bytes[...]]) == expected)
        for cut in 0...bytes.count {
            #expect(read([bytes[..<cut], bytes[cut...]]) == expected, "cut at \(cut)")
        }
        #expect(read(bytes.indices.map { bytes[$0...$0] }) == expected)
    }

    @Test("a body without a length ends with the connection")
    func untilClose() {
        let bytes = Array("HTTP/1.1 200 OK\r\n\r\nhello".utf8)
        #expect(read([bytes[...]]) == [])
        #expect(
            read([bytes[...]], closes: true) == [
                Read(status: 200, body: "hello", keepsAlive: false)
            ]
        )
    }

    @Test("an answer to HEAD has no body, whatever its length says")
    func headOnly() {
        let bytes = Array(
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".utf8
        )
        #expect(read([bytes[...]], headOnly: true)?.count == 2)
    }

    @Test(
        "a response cut off or malformed is an error",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nConte",
            "HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab",
        ]
    )
    func broken(text: String) {
        #expect(read([Array(text.utf8)[...]], closes: true) == nil)
    }

    @Test("what the serializers write, the parsers read")
    func roundTrip() {
        var bytes: [UInt8] = []
        let request = Request(
            method: .post,
            target: "/v1/attempts/a?b=c",
            headers: Headers([("Authorization", "Bearer x")]),
            body: Array("{\"a\":1}".utf8)
        )
        RequestSerializer.append(request, host: "127.0.0.1:1", into: &bytes)
        RequestSerializer.append(
            Request(method: .get, target: "/", keepsAlive: false),
            host: "127.0.0.1:1",
            into: &bytes
        )
        #expect(
            parse(pieces: [bytes[...]]) == [
                .request(
                    "POST /v1/attempts/a?b=c [Host=127.0.0.1:1|Content-Length=7|"
                        + "Authorization=Bearer x] {{\"a\":1}}"
                ), .request("GET / [Host=127.0.0.1:1|Connection=close] {} close"),
            ]
        )
        let answer = Array(text(Response(status: 410, body: [1, 2]), keepAlive: false).utf8)
        #expect(
            read([answer[...]]) == [Read(status: 410, body: "\u{1}\u{2}", keepsAlive: false)]
        )
    }
}
