private import Digest
package import HTTP
package import Verification

/// Words a decision in TwiML.
///
/// A pure function of the decision, the flow's definition and the place in a row of polls, so every
/// node gives the same bytes for ever. URLs of our own are relative to the callback's
/// (`…/callbacks/twilio/ATTEMPT`): no origin stands in a document, and a proxy's prefix is kept.
package enum TwilioAnswer {
    /// Silent polls in a row after which a call that is asked for digits is hung up.
    package static let maxSilentPolls: UInt32 = 3
    private static let contentType = "text/xml; charset=utf-8"

    /// The answer to a callback.
    ///
    /// A status callback's is an empty 200: Twilio ignores its body.
    package static func response(
        to answer: Answer,
        flow: FlowDefinition,
        wantsDocument: Bool,
        pollNumber: UInt32
    ) -> Response {
        guard wantsDocument else { return Response(status: 200) }
        var document = TwiML()
        let (nextPoll, overflowed) = pollNumber.addingReportingOverflow(1)
        let again = self.url(answer.attempt, "poll=\(overflowed ? pollNumber : nextPoll)")
        switch answer.next {
        case .none: break
        case .hangup: document.hangup()
        case .redirect(let url): document.redirect(url)
        case .wait(let seconds):
            // Said once, not before each pause.
            if pollNumber == 0 { document.say(flow.prompt, language: flow.language) }
            document.pause(seconds: seconds)
            document.redirect(again)
        case .gather(let digits, _, let step):
            document.gather(
                digits: digits,
                action: self.url(answer.attempt, "step=\(step)"),
                prompt: step > 1 ? flow.retryPrompt : flow.prompt,
                language: flow.language
            )
            if pollNumber < maxSilentPolls {
                document.redirect(again)
            } else {
                document.hangup()
            }
        }
        return response(document)
    }

    /// Seconds of silence before a call that is held asks again.
    package static let holdSeconds: UInt8 = 2

    /// A pause, and a redirect to the URL that was asked for.
    ///
    /// What the URL said of the request it says again, so that it has the same key: a digits callback the step
    /// and the keyed digest of the digits, since Twilio sends what was keyed in only once; a poll
    /// its place in the row, since a hold is no silence of the caller.
    ///
    /// - Returns: nil for a status callback, which wants no document.
    package static func hold(
        _ callback: NormalizedCallback,
        of attempt: AttemptID,
        digits: [UInt8]?
    ) -> Response? {
        guard callback.wantsDocument else { return nil }
        var query: [String] = []
        switch callback.event {
        case .poll: query.append("poll=\(callback.pollNumber)")
        case .digits:
            guard let digits else { return nil }
            if let step = callback.sequence { query.append("step=\(step)") }
            query.append("digest=" + Hex.string(digits))
        case .initiated, .ringing, .answered, .ended, .outcome, .cancel: break
        }
        var document = TwiML()
        document.pause(seconds: holdSeconds)
        document.redirect(
            url(attempt, query.isEmpty ? nil : query.joined(separator: "&"))
        )
        return response(document)
    }

    private static func response(_ document: consuming TwiML) -> Response {
        Response(status: 200, contentType: contentType, body: document.finish())
    }

    /// An attempt ID needs no escaping in a path.
    private static func url(_ attempt: AttemptID, _ query: String?) -> String {
        "../twilio/\(attempt.text)" + (query.map { "?\($0)" } ?? "")
    }
}

/// A TwiML document under construction; everything written is escaped.
private struct TwiML {
    private var bytes: [UInt8] = []
    private var isEmpty = true

    init() {
        bytes.reserveCapacity(512)
        write("<Response")
    }

    mutating func hangup() {
        open()
        write("<Hangup/>")
    }

    mutating func redirect(_ url: String) {
        open()
        write(#"<Redirect method="POST">"#)
        escape(url)
        write("</Redirect>")
    }

    mutating func pause(seconds: UInt8) {
        open()
        write("<Pause length=\"\(seconds)\"/>")
    }

    mutating func say(_ text: String, language: String) {
        guard !text.isEmpty else { return }
        open()
        write("<Say language=\"")
        escape(language)
        write("\">")
        escape(text)
        write("</Say>")
    }

    mutating func gather(digits: UInt8, action: String, prompt: String, language: String) {
        open()
        write("<Gather input=\"dtmf\" numDigits=\"\(digits)\" action=\"")
        escape(action)
        write(#"" method="POST">"#)
        say(prompt, language: language)
        write("</Gather>")
    }

    consuming func finish() -> [UInt8] {
        write(isEmpty ? "/>" : "</Response>")
        return bytes
    }

    private mutating func open() {
        if isEmpty { write(">") }
        isEmpty = false
    }

    private mutating func write(_ markup: String) { bytes.append(contentsOf: markup.utf8) }

    /// For text and for attributes; what XML 1.0 has no place for becomes a space.
    private mutating func escape(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": write("&amp;")
            case "<": write("&lt;")
            case ">": write("&gt;")
            case "\"": write("&quot;")
            case "'": write("&#39;")
            case "\u{0}"..<"\u{20}", "\u{fffe}", "\u{ffff}": bytes.append(UInt8(ascii: " "))
            default:
                // Every scalar of a string has an encoding.
                if let encoded = UTF8.encode(scalar) { bytes.append(contentsOf: encoded) }
            }
        }
    }
}
