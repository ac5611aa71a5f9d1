import HTTP
import Providers
import Testing
import Verification

@Suite("decisions are worded in TwiML, with the same bytes each time") struct TwilioAnswerTests {
    static let flow = FlowDefinition(
        name: "login",
        kind: .code,
        prompt: "Please enter your code.",
        retryPrompt: "That was wrong. Try again.",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 60,
        expirySeconds: 600,
        waitSeconds: 5
    )

    func response(
        _ next: NextStep,
        flow: FlowDefinition = flow,
        wantsDocument: Bool = true,
        poll: UInt32 = 0,
        attempt: String = "va_1"
    ) throws -> Response {
        let answer = Answer(
            attempt: try Example.attempt(attempt),
            state: .open,
            index: EntryIndex(7),
            next: next,
            flow: flow.digest
        )
        return TwilioAnswer.response(
            to: answer,
            flow: flow,
            wantsDocument: wantsDocument,
            pollNumber: poll
        )
    }

    func document(_ next: NextStep, flow: FlowDefinition = flow, poll: UInt32 = 0) throws -> String
    {
        let response = try response(next, flow: flow, poll: poll)
        #expect(response.status == 200)
        #expect(response.contentType == "text/xml; charset=utf-8")
        return String(decoding: response.body, as: UTF8.self)
    }

    @Test("the first gather speaks the prompt and a later one the retry prompt")
    func gather() throws {
        #expect(
            try document(.gather(digits: 6, triesLeft: 3, step: 1))
                == #"<Response><Gather input="dtmf" numDigits="6" action="../twilio/va_1?step=1" "#
                + #"method="POST"><Say language="en-US">Please enter your code.</Say></Gather>"#
                + #"<Redirect method="POST">../twilio/va_1?poll=1</Redirect></Response>"#
        )
        #expect(
            try document(.gather(digits: 4, triesLeft: 1, step: 12), poll: 2)
                == #"<Response><Gather input="dtmf" numDigits="4" action="../twilio/va_1?step=12" "#
                + #"method="POST"><Say language="en-US">That was wrong. Try again.</Say></Gather>"#
                + #"<Redirect method="POST">../twilio/va_1?poll=3</Redirect></Response>"#
        )
    }

    @Test("after three silent polls the call is hung up")
    func silence() throws {
        let gather = NextStep.gather(digits: 6, triesLeft: 3, step: 1)
        for poll: UInt32 in 0..<3 {
            #expect(try document(gather, poll: poll).contains("?poll=\(poll + 1)</Redirect>"))
        }
        for poll: UInt32 in [3, 4, .max] {
            let text = try document(gather, poll: poll)
            #expect(text.hasSuffix("</Gather><Hangup/></Response>"))
            #expect(!text.contains("<Redirect"))
        }
    }

    @Test("a wait speaks once, then pauses and asks again for as long as it takes")
    func wait() throws {
        #expect(
            try document(.wait(seconds: 5))
                == #"<Response><Say language="en-US">Please enter your code.</Say>"#
                + #"<Pause length="5"/><Redirect method="POST">../twilio/va_1?poll=1</Redirect>"#
                + "</Response>"
        )
        #expect(
            try document(.wait(seconds: 5), poll: 41)
                == #"<Response><Pause length="5"/>"#
                + #"<Redirect method="POST">../twilio/va_1?poll=42</Redirect></Response>"#
        )
        #expect(try document(.wait(seconds: 5), poll: .max).contains("poll=4294967295<"))
    }

    @Test("redirect, hang-up and nothing have one wording each, whatever the poll")
    func others() throws {
        for poll: UInt32 in [0, 9] {
            #expect(
                try document(.redirect(url: "https://bank.example/ivr/ok?a=1&b=2"), poll: poll)
                    == #"<Response><Redirect method="POST">https://bank.example/ivr/ok?a=1&amp;b=2"#
                    + "</Redirect></Response>"
            )
            #expect(try document(.hangup, poll: poll) == "<Response><Hangup/></Response>")
            #expect(try document(.none, poll: poll) == "<Response/>")
        }
    }

    @Test("a status callback is answered with an empty 200, whatever was decided")
    func statusCallbacks() throws {
        for next: NextStep in [
            .none, .hangup, .wait(seconds: 1), .redirect(url: "https://a"),
            .gather(digits: 1, triesLeft: 1, step: 1),
        ] {
            let response = try response(next, wantsDocument: false)
            #expect(response.status == 200 && response.body.isEmpty && response.contentType == nil)
        }
    }

    @Test("markup in prompts, language and targets is escaped, and what XML lacks is a space")
    func escaping() throws {
        var flow = Self.flow
        flow.prompt = "<b>&\"'é😀\u{1}\n\u{ffff}</b>"
        flow.language = "\"/><Hangup/>"
        let text = try document(.gather(digits: 6, triesLeft: 1, step: 1), flow: flow)
        #expect(
            text.contains(
                "<Say language=\"&quot;/&gt;&lt;Hangup/&gt;\">&lt;b&gt;&amp;&quot;&#39;é😀   "
                    + "&lt;/b&gt;</Say>"
            )
        )
        #expect(
            try document(.redirect(url: "https://a/<'\">")).contains(
                "https://a/&lt;&#39;&quot;&gt;"
            )
        )
    }

    @Test("an empty prompt is not spoken")
    func noPrompt() throws {
        var flow = Self.flow
        flow.prompt = ""
        let text = try document(.gather(digits: 6, triesLeft: 1, step: 1), flow: flow)
        #expect(!text.contains("<Say") && text.contains("></Gather>"))
    }

    @Test("the provider's switch gives what Twilio's own functions give")
    func dispatch() throws {
        let provider = Provider.twilio(try Example.provider())
        #expect(provider.name == "twilio")
        let request = Example.post("/v1/callbacks/twilio/va_1?poll=2", Example.document())
        let callback = try provider.receive(request, at: Example.origin())
        let answer = Answer(
            attempt: try Example.attempt(),
            state: .open,
            index: EntryIndex(1),
            next: .wait(seconds: 3),
            flow: Self.flow.digest
        )
        let response = provider.response(to: callback, answer: answer, flow: Self.flow)
        #expect(String(decoding: response.body, as: UTF8.self).contains("?poll=3<"))
    }
}
