package import HTTP
package import Verification

/// The body that answers a callback in Verdict's own form.
///
/// Its bytes are part of the promise: for one key they stay the same for ever, on any node. So members
/// have a fixed order, nothing is spaced, and nothing in it comes from a clock or a configuration.
/// Changing a byte here breaks the promise to callers who were answered before.
package enum AnswerBody {
    package static func bytes(_ answer: Answer) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("attempt", answer.attempt.text)
        json.member("state", answer.state.name)
        json.member("terminal", answer.state.isTerminal)
        json.member("index", answer.index.number)
        json.key("next")
        write(answer.next, to: &json)
        json.endObject()
        return json.bytes
    }

    private static func write(_ next: NextStep, to json: inout JSONText) {
        json.beginObject()
        switch next {
        case .redirect(let url):
            json.member("action", "redirect")
            json.member("url", url)
        case .hangup:
            json.member("action", "hangup")
        case .gather(let digits, let triesLeft, let step):
            json.member("action", "gather")
            json.member("digits", digits)
            json.member("tries_left", triesLeft)
            json.member("step", step)
        case .wait(let seconds):
            json.member("action", "wait")
            json.member("seconds", seconds)
        case .none:
            json.member("action", "none")
        }
        json.endObject()
    }

    /// The whole answer to a callback: 200 with the disposition, or 422 when the key was mismatched.
    package static func response(_ decision: Decision) -> Response {
        guard decision.disposition != .mismatched else {
            var response = Problem.mismatched(differs: decision.differs).response
            response.headers.append(dispositionHeader, decision.disposition.name)
            return response
        }
        return Response(
            status: 200,
            contentType: JSONBody.contentType,
            headers: Headers([(dispositionHeader, decision.disposition.name)]),
            body: bytes(decision.answer)
        )
    }

    package static let dispositionHeader = "Verdict-Disposition"
}
