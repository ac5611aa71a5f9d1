private import Digest
package import HTTP
private import Verification

/// Twilio Programmable Voice: voice URL, `<Gather>` action, `<Redirect>` target and status callbacks.
package struct TwilioProvider: Sendable {
    package static let name = "twilio"
    /// Auth Tokens that may be active at once: the old one and the new one during a rotation.
    package static let maxSecrets = 2

    let authTokens: [TwilioKey]
    let sharedKeys: [TwilioKey]
    /// Accounts whose callbacks are taken; empty: any that knows a secret.
    private let accounts: [String]

    package init(
        secrets: [Secret],
        sharedKeys: [TwilioSharedKey] = [],
        accounts: [String] = []
    ) throws(ProviderConfigurationError) {
        guard !secrets.isEmpty || !sharedKeys.isEmpty else { throw .noSecret }
        guard secrets.count <= TwilioProvider.maxSecrets else {
            throw .tooManySecrets(limit: TwilioProvider.maxSecrets)
        }
        var keys: [TwilioKey] = []
        for shared in sharedKeys {
            guard !shared.secret.isEmpty else { throw .emptySecret }
            guard !keys.contains(where: { $0.id == shared.id }) else {
                throw .duplicateKey(id: shared.id)
            }
            for algorithm in shared.algorithms {
                keys.append(TwilioKey(id: shared.id, algorithm: algorithm, secret: shared.secret))
            }
        }
        guard !secrets.contains(where: \.isEmpty) else { throw .emptySecret }
        authTokens = secrets.map { TwilioKey(id: nil, algorithm: .sha1, secret: $0) }
        self.sharedKeys = keys
        self.accounts = accounts
    }

    /// Authenticates a request and says what it reports.
    package func receive(_ request: Request, at origin: PublicOrigin) throws(CallbackError)
        -> NormalizedCallback
    {
        guard let form = try authenticate(request, at: origin) else { throw .unsupportedType }
        if request.method != .get { try TwilioProvider.checkBoundary(form) }
        if !accounts.isEmpty {
            guard let account = try TwilioProvider.single(form, "AccountSid"),
                accounts.contains(where: { $0.utf8.elementsEqual(account) })
            else { throw .unauthenticated(.accountNotAllowed) }
        }
        guard let callBytes = try TwilioProvider.single(form, "CallSid") else {
            throw .malformed(field: "CallSid", detail: "missing")
        }
        guard Token.isValid(callBytes) else {
            throw .malformed(field: "CallSid", detail: "not a call's name")
        }
        let call = String(decoding: callBytes, as: UTF8.self)
        if let source = try TwilioProvider.single(form, "CallbackSource") {
            guard source.elementsEqual("call-progress-events".utf8) else {
                throw .malformed(field: "CallbackSource", detail: "not a kind that is taken")
            }
            return try TwilioProvider.status(form, call: call)
        }
        return try TwilioProvider.documentRequest(form, query: request.query, call: call)
    }

    private static func status(_ form: Form, call: String) throws(CallbackError)
        -> NormalizedCallback
    {
        guard let status = try single(form, "CallStatus") else {
            throw .malformed(field: "CallStatus", detail: "missing")
        }
        var callback = NormalizedCallback(call: call, event: .ended, wantsDocument: false)
        switch String(decoding: status, as: UTF8.self) {
        case "queued", "initiated": callback.event = .initiated
        case "ringing": callback.event = .ringing
        case "in-progress": callback.event = .answered
        case "completed": callback.status = .completed
        case "busy": callback.status = .busy
        case "no-answer": callback.status = .noAnswer
        case "failed": callback.status = .failed
        case "canceled": callback.status = .canceled
        default: throw .malformed(field: "CallStatus", detail: "not a status of a call")
        }
        if let number = try single(form, "SequenceNumber") {
            guard let sequence = decimal(number, maxDigits: 18) else {
                throw .malformed(field: "SequenceNumber", detail: "not a number")
            }
            callback.sequence = sequence
        }
        if let timestamp = try single(form, "Timestamp") {
            let text = String(decoding: timestamp, as: UTF8.self)
            // RFC 2822 by Twilio's documents; their other products use RFC 3339.
            guard let time = InternetMessageDate.parse(text) ?? RFC3339.parse(text) else {
                throw .malformed(field: "Timestamp", detail: "not a date")
            }
            callback.occurredAt = WallTime(milliseconds: time)
        }
        return callback
    }

    private static func documentRequest(_ form: Form, query: Substring?, call: String)
        throws(CallbackError) -> NormalizedCallback
    {
        // Two kinds of status callback name no source; taken for a document request, either would
        // be recorded as an answered call.
        guard form.count("RecordingStatus") == 0 else {
            throw .malformed(field: "RecordingStatus", detail: "not a kind that is taken")
        }
        guard form.count("AnsweredBy") == 0 || form.count("CallStatus") > 0 else {
            throw .malformed(field: "AnsweredBy", detail: "not a kind that is taken")
        }
        let ours: Form
        do throws(FormError) { ours = try Form(query: query) } catch {
            throw .malformed(field: "query", detail: error.description)
        }
        let step = try number(ours, "step")
        let poll = try number(ours, "poll")
        if let digest = try single(ours, "digest") {
            // A call that was held asks again: the digits are those of its first request.
            guard digest.count == 2 * SHA256.byteCount, poll == nil,
                let bytes = Hex.decode(digest)
            else {
                throw .malformed(field: "digest", detail: "not one that was handed out")
            }
            return NormalizedCallback(
                call: call,
                event: .digits,
                sequence: step,
                digitsDigest: bytes,
                wantsDocument: true
            )
        }
        let digits = try single(form, "Digits").flatMap { $0.isEmpty ? nil : $0 }
        if let digits, poll == nil {
            guard (1...32).contains(digits.count), digits.allSatisfy(isKey) else {
                throw .malformed(field: "Digits", detail: "not 1 to 32 keys of a telephone")
            }
            return NormalizedCallback(
                call: call,
                event: .digits,
                sequence: step,
                digits: Secret(bytes: digits),
                wantsDocument: true
            )
        }
        guard poll != nil || step != nil else {
            return NormalizedCallback(call: call, event: .answered, wantsDocument: true)
        }
        return NormalizedCallback(
            call: call,
            event: .poll,
            wantsDocument: true,
            pollNumber: UInt32(poll ?? 0)
        )
    }

    /// Refuses a form whose first signed field is none of Twilio's own.
    ///
    /// Nothing separates the URL from the fields in what is signed, so a request for the attempt
    /// `va_12` could be replayed as one for `va_1` with a field named `2` in front. The fields are
    /// signed in order of their names, and all callbacks have one of these as the first.
    private static func checkBoundary(_ form: Form) throws(CallbackError) {
        guard let first = form.sortedDistinctIndices().first else { return }
        switch String(decoding: form.name(first), as: UTF8.self) {
        case "AccountSid": return
        case "AddOns", "AnsweredBy", "ApiVersion", "CallDuration", "CallSid":
            guard form.count("AccountSid") == 0 else { break }
            return
        default: break
        }
        throw .malformed(field: "body", detail: "an unknown field before the first of the callback")
    }

    /// The value of a name that may come once; two would let two readers see two callbacks.
    static func single(_ form: Form, _ name: String) throws(CallbackError) -> ArraySlice<UInt8>? {
        guard form.count(name) <= 1 else {
            throw .malformed(field: name, detail: "given more than once")
        }
        return form.first(name)
    }

    /// A number that our own URL carried.
    private static func number(_ query: Form, _ name: String) throws(CallbackError) -> UInt64? {
        guard let text = try single(query, name) else { return nil }
        guard let number = decimal(text, maxDigits: 9) else {
            throw .malformed(field: name, detail: "not a number")
        }
        return number
    }

    private static func decimal(_ text: ArraySlice<UInt8>, maxDigits: Int) -> UInt64? {
        guard (1...maxDigits).contains(text.count) else { return nil }
        var number: UInt64 = 0
        for byte in text {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            number = number * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        return number
    }

    private static func isKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "D"),
            UInt8(ascii: "*"), UInt8(ascii: "#"):
            true
        default: false
        }
    }
}
