package import HTTP
package import Verification

/// A voice platform: authenticates its callbacks, says what they mean, words the answers.
///
/// An enum and not a protocol: the set is closed, and a `switch` costs no existential.
package enum Provider: Sendable {
    case twilio(TwilioProvider)

    /// The name in URLs, callback keys and metrics.
    package var name: String {
        switch self {
        case .twilio: TwilioProvider.name
        }
    }

    /// Checks a request to `/v1/callbacks/{provider}/{attempt}` and says what it reports.
    package func receive(_ request: Request, at origin: PublicOrigin) throws(CallbackError)
        -> NormalizedCallback
    {
        switch self {
        case .twilio(let twilio): try twilio.receive(request, at: origin)
        }
    }

    /// The platform's form of a decision; the same arguments give the same bytes.
    package func response(
        to callback: NormalizedCallback,
        answer: Answer,
        flow: FlowDefinition
    ) -> Response {
        switch self {
        case .twilio:
            TwilioAnswer.response(
                to: answer,
                flow: flow,
                wantsDocument: callback.wantsDocument,
                pollNumber: callback.pollNumber
            )
        }
    }
}
