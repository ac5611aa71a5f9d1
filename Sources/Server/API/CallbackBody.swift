internal import HTTP
package import Verification

/// The body of `POST /v1/attempts/{attempt}/callbacks`.
///
/// | event | must have | may have |
/// |---|---|---|
/// | `initiated`, `ringing`, `answered` | `call` | |
/// | `ended` | `call` | `status` (`completed`) |
/// | `digits` | `digits`, and a key or `call` and `sequence` | `call`, `sequence` |
/// | `outcome` | `outcome` | `call` |
/// | `cancel`, `poll` | | `call` |
///
/// All may have `sequence`, `occurred_at` and `channel` (`voice`). A member that does not go with the
/// event is refused and not ignored: an outcome told in an `ended` would be lost without a word.
struct CallbackBody: Decodable {
    var call: String?
    var event: EventKind
    var sequence: UInt64?
    var occurredAt: WallTime?
    var digits: String?
    var status: EndStatus?
    var outcome: ClaimedOutcome?
    var channel: String

    init(from decoder: any Decoder) throws {
        let object = try StrictObject(
            from: decoder,
            at: "",
            members: [
                "call", "event", "sequence", "occurred_at", "digits", "status", "outcome",
                "channel",
            ]
        )
        guard let name = try object.value(String.self, "event", expected: "a string") else {
            throw Problem.invalid(field: "event", "must be there")
        }
        guard let kind = EventKind(name: name) else {
            throw Problem.invalid(
                field: "event",
                CallbackBody.oneOf(EventKind.allCases.map(\.name))
            )
        }
        event = kind
        call = try object.value(String.self, "call", expected: "a string")
        sequence = try object.value(UInt64.self, "sequence", expected: "a whole number, 0 or more")
        digits = try object.value(String.self, "digits", expected: "a string")
        channel = try object.value(String.self, "channel", expected: "a string") ?? "voice"
        if let text = try object.value(String.self, "occurred_at", expected: "a string") {
            guard let milliseconds = RFC3339.parse(text) else {
                throw Problem.invalid(field: "occurred_at", "must be an RFC 3339 time")
            }
            occurredAt = WallTime(milliseconds: milliseconds)
        }
        if let name = try object.value(String.self, "status", expected: "a string") {
            guard let named = EndStatus(name: name) else {
                throw Problem.invalid(
                    field: "status",
                    CallbackBody.oneOf(EndStatus.allCases.map(\.name))
                )
            }
            status = named
        }
        if let name = try object.value(String.self, "outcome", expected: "a string") {
            guard let named = ClaimedOutcome.allCases.first(where: { $0.name == name }) else {
                throw Problem.invalid(
                    field: "outcome",
                    CallbackBody.oneOf(ClaimedOutcome.allCases.map(\.name))
                )
            }
            outcome = named
        }
    }

    private static func oneOf(_ names: [String]) -> String {
        "must be one of \(names.joined(separator: ", "))"
    }

    /// Checks each member by itself and against the event.
    func check(hasKey: Bool) throws(Problem) {
        if let call, !Token.isValid(call.utf8) {
            throw .invalid(field: "call", "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
        }
        guard Token.isValid(channel.utf8), channel.utf8.count <= BodyLimits.channelLength else {
            throw .invalid(field: "channel", "must be 1 to 32 characters of A-Z a-z 0-9 . _ : -")
        }
        try checkCall(hasKey: hasKey)
        try checkMember("digits", isThere: digits != nil, goesWith: .digits)
        try checkMember("outcome", isThere: outcome != nil, goesWith: .outcome)
        if status != nil, event != .ended {
            throw .invalid(field: "status", "goes with the event ended only")
        }
        if let digits, !BodyLimits.isDigits(digits) {
            throw .invalid(field: "digits", "must be 1 to 32 characters of 0-9 * #")
        }
    }

    private func checkCall(hasKey: Bool) throws(Problem) {
        switch event {
        case .initiated, .ringing, .answered, .ended:
            guard call != nil else {
                throw .invalid(field: "call", "must be there: the event is a call's progress")
            }
        case .digits:
            guard !hasKey else { return }
            guard call != nil else {
                throw .invalid(field: "call", "must be there without an Idempotency-Key")
            }
            guard sequence != nil else {
                throw .invalid(
                    field: "sequence",
                    "must be there without an Idempotency-Key: else two tries look like one"
                )
            }
        case .outcome, .cancel, .poll: return
        }
    }

    private func checkMember(
        _ name: String,
        isThere: Bool,
        goesWith kind: EventKind
    ) throws(Problem) {
        if isThere && event != kind {
            throw .invalid(field: name, "goes with the event \(kind.name) only")
        }
        if !isThere && event == kind {
            throw .invalid(field: name, "must be there: the event is \(kind.name)")
        }
    }
}

extension CallbackKey {
    /// A key for a callback that names no call and has no key of its own: its channel stands in the
    /// call's place, so that what two channels claim stays two callbacks.
    ///
    /// Spelt `provider/channel/CHANNEL/EVENT/SEQUENCE`, which no other identity can be.
    ///
    /// - Precondition: `channel` is a valid `Token`.
    package init(provider: String, channel: String, event: EventKind, sequence: UInt64?) {
        let number = sequence.map(String.init) ?? "-"
        self.init(logged: "\(provider)/channel/\(channel)/\(event.name)/\(number)")
    }
}
