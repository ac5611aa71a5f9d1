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

    /// How long a callback may be kept waiting, in all: below the platform's own read time-out by as much as
    /// its request and our answer may be under way.
    package var maxHold: Duration {
        switch self {
        // 15 s for the whole exchange (docs/providers.md).
        case .twilio: .seconds(10)
        }
    }

    /// What acknowledges a callback that needs no next step, whatever becomes of it; nil for one that does.
    package func acknowledgement(of callback: NormalizedCallback) -> Response? {
        switch self {
        case .twilio: callback.wantsDocument ? nil : Response(status: 200)
        }
    }

    /// The platform's way of saying "hold on and ask again", for a callback whose next step is not decided
    /// in time.
    ///
    /// Asked again it is the same callback: the same key, the same meaning.
    ///
    /// `digits` is the keyed digest of the digits that came with the callback.
    ///
    /// - Returns: nil where the platform has no such words, or wants no document.
    package func hold(
        _ callback: NormalizedCallback,
        of attempt: AttemptID,
        digits: [UInt8]?
    ) -> Response? {
        switch self {
        case .twilio: TwilioAnswer.hold(callback, of: attempt, digits: digits)
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
