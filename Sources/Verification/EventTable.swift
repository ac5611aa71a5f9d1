/// How far a call has come; it only moves forward.
package enum CallProgress: UInt8, Comparable, Sendable, CaseIterable {
    case unseen = 0
    case initiated = 1
    case ringing = 2
    case answered = 3
    case ended = 4

    package static func < (a: CallProgress, b: CallProgress) -> Bool { a.rawValue < b.rawValue }

    /// Somebody may still be on the line, or about to be.
    package var isLive: Bool { self != .unseen && self != .ended }
}

/// What a new callback does to an attempt that is still open.
package enum Move: Hashable, Sendable {
    /// The call moves forward, and a running grace time stops.
    case advance(CallProgress)
    /// Says again what is known, under a key of its own: answered with the step, nothing moves.
    case again
    /// The call was further already: recorded and ignored.
    case stale
    /// Digits are compared with the challenge.
    case judge
    /// The call is over; with no other call live the grace time begins.
    case end
    /// The attempt takes the state that the callback claims.
    case decide
    /// A read, which has no place in the log.
    case unlogged
}

/// The events × states table: every rule about what moves what is one of its lines.
///
/// `docs/verification.md` shows the same table; a test compares the two.
package enum EventTable {
    /// The move of an open attempt on `event`, for a call that has come as far as `call`.
    package static func move(_ event: EventKind, call: CallProgress) -> Move {
        switch (event, call) {
        case (.initiated, .unseen): .advance(.initiated)
        case (.initiated, .initiated): .stale
        case (.initiated, .ringing): .stale
        case (.initiated, .answered): .stale
        case (.initiated, .ended): .stale

        case (.ringing, .unseen): .advance(.ringing)
        case (.ringing, .initiated): .advance(.ringing)
        case (.ringing, .ringing): .stale
        case (.ringing, .answered): .stale
        case (.ringing, .ended): .stale

        case (.answered, .unseen): .advance(.answered)
        case (.answered, .initiated): .advance(.answered)
        case (.answered, .ringing): .advance(.answered)
        // A platform asks for its instructions and reports the same moment in a status callback.
        case (.answered, .answered): .again
        case (.answered, .ended): .stale

        // An end that overtook the digits does not take them away (design: out of order).
        case (.digits, _): .judge

        case (.ended, .ended): .stale
        case (.ended, _): .end

        case (.outcome, _): .decide
        case (.cancel, _): .decide
        case (.poll, _): .unlogged
        }
    }

    /// The disposition of a new callback on an attempt that was decided before.
    ///
    /// - Parameters:
    ///   - claim: the state the callback says the attempt has; `nil` if it says nothing.
    ///   - decided: the attempt's terminal state.
    /// - Returns: `late` or `contradicted`.
    package static func disposition(
        ofClaim claim: AttemptState?,
        decided: AttemptState
    ) -> Disposition {
        guard let claim, claim != decided else { return .late }
        return .contradicted
    }

    /// The state that an event claims for the attempt.
    ///
    /// Wrong digits claim nothing: a try is not an outcome. Nor does a call's end.
    /// - Parameters:
    ///   - event: what was reported.
    ///   - outcome: what an `outcome` event says.
    ///   - digitsAreRight: whether the digits match the challenge of a `code` flow.
    /// - Returns: a terminal state, or `nil` if the event says nothing about the outcome.
    package static func claim(
        of event: EventKind,
        outcome: ClaimedOutcome?,
        digitsAreRight: Bool
    ) -> AttemptState? {
        switch event {
        case .outcome: outcome?.state
        case .cancel: .cancelled
        case .digits: digitsAreRight ? .verified : nil
        case .initiated, .ringing, .answered, .ended, .poll: nil
        }
    }

    /// The state an attempt takes when the grace time after its last call's end has passed.
    package static func stateAfterGrace(wasAnswered: Bool, status: EndStatus?) -> AttemptState {
        if wasAnswered { return .abandoned }
        switch status {
        case .completed: return .abandoned
        case .busy, .noAnswer, .failed, .canceled, nil: return .unreachable
        }
    }
}
