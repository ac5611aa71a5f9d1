import Testing
import verdict

@Suite("replies that the command reads")
struct ReplyParserTests {
    /// Feeds a text in pieces of each size, which must all give one result.
    private func read(_ text: String, closes: Bool = false) throws -> (Int, String) {
        let bytes = Array(text.utf8)
        var results: [(Int, String)] = []
        for size in [1, 2, 7, bytes.count] {
            var parser = ReplyParser()
            var reply: HTTPClient.Reply?
            for start in stride(from: 0, to: bytes.count, by: size) {
                reply = try parser.receive(bytes[start..<min(start + size, bytes.count)])
            }
            let whole = try reply ?? parser.finish()
            results.append((whole.status, whole.text))
        }
        #expect(results.allSatisfy { $0 == results[0] })
        return results[0]
    }

    @Test("a body ends by its length, by its last chunk, or with the connection")
    func bodies() throws {
        #expect(
            try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello") == (200, "hello")
        )
        #expect(
            try read(
                "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
            ) == (201, "hello")
        )
        #expect(try read("HTTP/1.1 404 Not Found\r\n\r\nhello") == (404, "hello"))
        #expect(try read("HTTP/1.1 204 No Content\r\n\r\n") == (204, ""))
    }

    @Test("an interim reply is passed over")
    func interim() throws {
        #expect(
            try read(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            ) == (200, "ok")
        )
    }

    @Test(
        "a reply that is cut or is no HTTP is an error, never half a body",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
            "HTTP/1.1 200 OK\r\nConte", "", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        ]
    )
    func broken(text: String) {
        #expect(throws: HTTPClient.Failure.self) {
            var parser = ReplyParser()
            if try parser.receive(Array(text.utf8)) == nil { _ = try parser.finish() }
        }
    }
}
