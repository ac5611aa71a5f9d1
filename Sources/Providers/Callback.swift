package import Verification

/// What a platform's request says, in terms that all platforms share.
///
/// `Verification.Callback` is made of it once the digits are digested; until then they are wrapped
/// so that they cannot be printed.
package struct NormalizedCallback: Sendable {
    /// The platform's name of the call; a valid `Token`.
    package var call: String
    package var event: EventKind
    /// The platform's number of the event, or the step that our own URL carried; always signed.
    package var sequence: UInt64?
    /// What the caller keyed in, in clear only until it is digested.
    package var digits: Secret?
    /// The keyed digest of what the caller keyed in, where a hold document asked for the request again:
    /// it stands for digits that the platform sends only once.
    package var digitsDigest: [UInt8]?
    /// For `ended`: how.
    package var status: EndStatus?
    /// When it happened, as the platform claims.
    package var occurredAt: WallTime?
    /// Whether the answer is the call's next document; if not, any 2xx will do.
    package var wantsDocument: Bool
    /// How many documents in a row got no digits back before this one was asked for.
    package var pollNumber: UInt32

    package init(
        call: String,
        event: EventKind,
        sequence: UInt64? = nil,
        digits: Secret? = nil,
        digitsDigest: [UInt8]? = nil,
        status: EndStatus? = nil,
        occurredAt: WallTime? = nil,
        wantsDocument: Bool,
        pollNumber: UInt32 = 0
    ) {
        self.call = call
        self.event = event
        self.sequence = sequence
        self.digits = digits
        self.digitsDigest = digitsDigest
        self.status = status
        self.occurredAt = occurredAt
        self.wantsDocument = wantsDocument
        self.pollNumber = pollNumber
    }
}

/// Why a platform's request is refused.
package enum CallbackError: Error, Hashable, Sendable {
    /// Nothing shows that the platform sent it.
    case unauthenticated(AuthenticationFailure)
    /// The platform sent it, but a field does not say what it should.
    case malformed(field: String, detail: String)
    /// The platform sent it, in a content type that its callbacks do not have.
    case unsupportedType

    /// The HTTP status to answer with.
    package var status: Int {
        switch self {
        case .unauthenticated: 403
        case .malformed: 400
        case .unsupportedType: 415
        }
    }
}

/// Why a request is not authentic; the names are for metrics and log lines.
package enum AuthenticationFailure: String, Hashable, Sendable, CaseIterable {
    case missingHeader = "missing_header"
    case malformedHeader = "malformed"
    case signatureMismatch = "signature_mismatch"
    case bodyHashMismatch = "body_hash_mismatch"
    /// The body is neither in the signature nor hashed in the signed URL.
    case bodyNotCovered = "body_not_covered"
    case unsupportedAlgorithm = "unsupported_algorithm"
    case unknownKey = "unknown_key"
    case accountNotAllowed = "account_not_allowed"
}

/// What is wrong with a provider's configuration.
package enum ProviderConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    case noSecret
    case tooManySecrets(limit: Int)
    case emptySecret
    case duplicateKey(id: String)

    package var description: String {
        switch self {
        case .noSecret: "no secret to check signatures with"
        case .tooManySecrets(let limit): "more than \(limit) active secrets"
        case .emptySecret: "an empty secret"
        case .duplicateKey(let id): "the shared key \(id) twice"
        }
    }
}
