import HTTP
import Providers
import Testing
import Verification

@Suite("a call that is held asks again, and its callback stays the same") struct TwilioHoldTests {
    let digest = (0..<32).map { UInt8($0 * 7) }
    let digestText = "00070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9"

    private func receive(_ query: String, _ form: [(String, String)]) throws -> NormalizedCallback {
        try Example.provider().receive(
            Example.post("/v1/callbacks/twilio/va_1" + query, form),
            at: Example.origin()
        )
    }

    private func hold(_ callback: NormalizedCallback, digits: [UInt8]? = nil) throws -> String? {
        let twilio = Provider.twilio(try Example.provider())
        let response = twilio.hold(callback, of: try Example.attempt(), digits: digits)
        return response.map { String(decoding: $0.body, as: UTF8.self) }
    }

    private func document(_ query: String) -> String {
        #"<Response><Pause length="2"/><Redirect method="POST">../twilio/va_1"# + query
            + "</Redirect></Response>"
    }

    @Test("the voice URL is asked for again as it was")
    func voice() throws {
        let callback = try receive("", Example.document())
        #expect(try hold(callback) == document(""))
    }

    @Test("a poll keeps its place in the row: a hold is no silence of the caller")
    func poll() throws {
        let callback = try receive("?poll=2", Example.document())
        #expect(try hold(callback) == document("?poll=2"))
        #expect(try hold(receive("?step=4", Example.document())) == document("?poll=0"))
    }

    @Test("digits come again by their digest, under the same step: one try, however often held")
    func digits() throws {
        let first = try receive("?step=3", Example.document([("Digits", "482913")]))
        let held = try hold(first, digits: digest)
        #expect(held == document("?step=3&amp;digest=\(digestText)"))

        // As Twilio asks for that URL: without the digits, or with what it drags along.
        for dragged in [[], [("Digits", "482913")], [("Digits", "")]] {
            let again = try receive(
                "?step=3&digest=\(digestText)",
                Example.document(dragged)
            )
            #expect(again.event == .digits && again.sequence == 3)
            #expect(again.digits == nil && again.digitsDigest == digest)
            #expect(try hold(again, digits: digest) == held)
        }
    }

    @Test("digits that no step numbers keep their digest, which numbers them")
    func digitsWithoutStep() throws {
        let first = try receive("", Example.document([("Digits", "12")]))
        #expect(try hold(first, digits: digest) == document("?digest=\(digestText)"))
        let again = try receive("?digest=\(digestText)", Example.document())
        #expect(again.event == .digits && again.sequence == nil && again.digitsDigest == digest)
    }

    @Test("a digest that was not handed out is refused")
    func malformed() throws {
        for query in [
            "?digest=", "?digest=00", "?digest=\(digestText)&digest=\(digestText)",
            "?digest=zz" + digestText.dropFirst(2), "?poll=1&digest=\(digestText)",
        ] {
            let error = #expect(throws: CallbackError.self) {
                try receive(query, Example.document())
            }
            guard case .malformed(let field, _) = error else {
                Issue.record("\(query) is \(String(describing: error))")
                continue
            }
            #expect(field == "digest")
        }
    }

    @Test("a status callback has no document to hold it with")
    func status() throws {
        #expect(try hold(receive("", Example.status("completed"))) == nil)
    }
}
