import HTTP
import Providers
import Testing
import Verification

@Suite("what a Twilio request reports") struct TwilioCallbackTests {
    func receive(_ query: String = "", _ form: [(String, String)]) throws -> NormalizedCallback {
        let request = Example.post("/v1/callbacks/twilio/va_1" + query, form)
        return try Example.provider().receive(request, at: Example.origin())
    }

    /// The field that a refusal names.
    func field(_ query: String = "", _ form: [(String, String)]) throws -> String? {
        do {
            _ = try receive(query, form)
            return nil
        } catch let error as CallbackError {
            guard case .malformed(let field, _) = error else { throw error }
            #expect(error.status == 400)
            return field
        }
    }

    @Test("digits that come without a step are digits all the same, which no step numbers")
    func digitsWithoutStep() throws {
        let request = Example.post(
            "/v1/callbacks/twilio/va_1",
            Example.document([("Digits", "482913")])
        )
        let callback = try Example.provider().receive(request, at: Example.origin())
        #expect(callback.event == .digits)
        #expect(callback.sequence == nil)
        #expect(callback.digits?.bytes == Array("482913".utf8))
    }

    @Test(
        "a status callback is progress or the end of the call",
        arguments: [
            ("queued", EventKind.initiated, EndStatus?.none), ("initiated", .initiated, nil),
            ("ringing", .ringing, nil), ("in-progress", .answered, nil),
            ("completed", .ended, .completed), ("busy", .ended, .busy),
            ("no-answer", .ended, .noAnswer), ("failed", .ended, .failed),
            ("canceled", .ended, .canceled),
        ]
    )
    func statusCallbacks(status: String, event: EventKind, end: EndStatus?) throws {
        let callback = try receive(
            Example.status(
                status,
                [("SequenceNumber", "3"), ("Timestamp", "Thu, 01 Jan 2026 00:00:00 +0000")]
            )
        )
        #expect(callback.call == Example.call)
        #expect(callback.event == event)
        #expect(callback.status == end)
        #expect(callback.sequence == 3)
        #expect(callback.occurredAt == WallTime(milliseconds: 1_767_225_600_000))
        #expect(!callback.wantsDocument)
        #expect(callback.digits == nil)
    }

    @Test("a status callback may leave out number and time")
    func bareStatus() throws {
        let callback = try receive(Example.status("ringing"))
        #expect(callback.sequence == nil && callback.occurredAt == nil)
    }

    @Test("the voice URL is an answered call, without a number")
    func voiceURL() throws {
        let callback = try receive(Example.document())
        #expect(callback.event == .answered && callback.sequence == nil)
        #expect(callback.wantsDocument && callback.pollNumber == 0 && callback.status == nil)
    }

    @Test("digits come with the step that the action URL carried")
    func digits() throws {
        let callback = try receive("?step=7", Example.document([("Digits", "48*#AD")]))
        #expect(callback.event == .digits && callback.sequence == 7 && callback.wantsDocument)
        #expect(callback.digits?.bytes == Array("48*#AD".utf8))
    }

    @Test("a redirect's target is a poll with its number, and silence at a step is one too")
    func polls() throws {
        let poll = try receive("?poll=2", Example.document())
        #expect(poll.event == .poll && poll.pollNumber == 2 && poll.wantsDocument)
        #expect(poll.sequence == nil)
        for digits in [[], [("Digits", "")]] {
            let silent = try receive("?step=7", Example.document(digits))
            #expect(silent.event == .poll && silent.pollNumber == 0 && silent.sequence == nil)
        }
        // Digits that a redirect drags along are not keyed in for it.
        let dragged = try receive("?poll=2", Example.document([("Digits", "1")]))
        #expect(dragged.event == .poll && dragged.digits == nil)
    }

    @Test("what does not say what it should is refused with the field's name")
    func malformed() throws {
        #expect(try field([("AccountSid", Example.account)]) == "CallSid")
        #expect(try field([("CallSid", "")]) == "CallSid")
        #expect(try field([("CallSid", "CA/1")]) == "CallSid")
        #expect(try field([("CallSid", String(repeating: "a", count: 129))]) == "CallSid")
        #expect(try field(Example.document([("CallSid", "CA2")])) == "CallSid")
        #expect(try field(Example.status("resting")) == "CallStatus")
        #expect(try field(Example.status("Busy")) == "CallStatus")
        #expect(try field(Example.status("busy", [("CallStatus", "completed")])) == "CallStatus")
        #expect(
            try field(Array(Example.status("busy").filter { $0.0 != "CallStatus" })) == "CallStatus"
        )
        for number in ["", "-1", "3.0", "x", "1234567890123456789"] {
            #expect(
                try field(Example.status("busy", [("SequenceNumber", number)])) == "SequenceNumber"
            )
        }
        #expect(try field(Example.status("busy", [("Timestamp", "yesterday")])) == "Timestamp")
        #expect(
            try field(Example.document([("CallbackSource", "elsewhere")])) == "CallbackSource"
        )
        for digits in ["12a", "1 2", "d", "é", String(repeating: "1", count: 33)] {
            #expect(try field("?step=1", Example.document([("Digits", digits)])) == "Digits")
        }
        #expect(
            try field("?step=1", Example.document([("Digits", "1"), ("Digits", "2")])) == "Digits"
        )
        for step in ["", "x", "-1", "1234567890"] {
            #expect(try field("?step=\(step)", Example.document([("Digits", "1")])) == "step")
            #expect(try field("?poll=\(step)", Example.document()) == "poll")
        }
        #expect(try field("?step=1&step=2", Example.document([("Digits", "1")])) == "step")
        #expect(try field("?step=%zz", Example.document()) == "query")
        #expect(
            try field(Example.document([("RecordingStatus", "completed")])) == "RecordingStatus"
        )
        #expect(try field([("AnsweredBy", "fax"), ("CallSid", Example.call)]) == "AnsweredBy")
    }

    @Test("a body that does not decode is refused before anything is believed")
    func undecodable() throws {
        var request = Example.post(Example.document())
        request.body += Array("&a=%zz".utf8)
        #expect(throws: CallbackError.self) {
            try Example.provider().receive(request, at: Example.origin())
        }
    }
}

extension TwilioCallbackTests {
    func receive(_ form: [(String, String)]) throws -> NormalizedCallback { try receive("", form) }
    func field(_ form: [(String, String)]) throws -> String? { try field("", form) }
}
