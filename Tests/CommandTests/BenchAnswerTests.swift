import HTTP
import Testing
import verdict

@Suite("answers under load")
struct BenchAnswerTests {
    private func scan(_ text: String) -> BenchAnswer.Step {
        let bytes = Array(text.utf8)
        return BenchAnswer.scan(bytes, bytes.indices)
    }

    private func answer(_ text: String) throws -> BenchAnswer {
        guard case .answer(let answer) = scan(text) else { throw NoAnswer(step: scan(text)) }
        return answer
    }
    private struct NoAnswer: Error { var step: BenchAnswer.Step }

    @Test("what a node writes is read, wherever it is cut and wherever it stands")
    func cuts() throws {
        let body = Array("<Response/>".utf8)
        let response = Response(
            status: 200,
            contentType: "text/xml",
            headers: Headers([("Verdict-Node", "3"), ("Verdict-Disposition", "repeated")]),
            body: body
        )
        var bytes = Array("what is left of something else".utf8)
        let start = bytes.count
        ResponseSerializer.append(response, date: "now", keepAlive: false, into: &bytes)
        let end = bytes.count
        for cut in start..<end {
            #expect(BenchAnswer.scan(bytes, start..<cut) == .needsMore, "cut at \(cut - start)")
        }
        bytes += "HTTP/1.1 200 OK".utf8
        for read in [end, bytes.count] {
            guard case .answer(let answer) = BenchAnswer.scan(bytes, start..<read) else {
                Issue.record("\(BenchAnswer.scan(bytes, start..<read))")
                continue
            }
            #expect(answer.status == 200)
            #expect(answer.disposition == .repeated)
            #expect(!answer.keepsAlive)
            #expect(answer.body == end - body.count..<end)
        }
    }

    @Test("field names are read in either case, values without the blanks around them")
    func fields() throws {
        let answer = try answer(
            "HTTP/1.1 201 Created\r\nCONTENT-LENGTH:  2 \r\nverdict-disposition:accepted\r\n\r\n{}"
        )
        #expect(answer.status == 201)
        #expect(answer.disposition == .accepted)
        #expect(answer.keepsAlive)
        #expect(answer.body.count == 2)
        // Names that only begin alike are others.
        let bare = try self.answer(
            "HTTP/1.1 200\r\nContent-Length-Of: 9\r\nContent-Length: 0\r\n\r\n"
        )
        #expect(bare.disposition == .none)
        #expect(bare.body.isEmpty)
    }

    @Test(
        "what two clients might read in two ways is a failure",
        arguments: [
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "<Response/>\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n0",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVerdict-Disposition: accepted\r\n"
                + "Verdict-Disposition: repeated\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 20_000),
        ]
    )
    func failures(text: String) {
        guard case .failed(let reason) = scan(text) else {
            Issue.record("\(scan(text))")
            return
        }
        #expect(!reason.isEmpty)
    }
}
