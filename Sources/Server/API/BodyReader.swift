package import HTTP
package import Verification

/// Turns the bodies of the API into commands, or into the problem that names what is wrong.
///
/// Digits pass through `digest` at once and are in nothing that comes out. One a thread: it uses its
/// JSON decoder again for each body.
package struct BodyReader {
    private let json = JSONBody()
    private let flow: (String?) -> ConfiguredFlow?
    private let allowsTarget: (String) -> Bool
    /// What stands for digits in everything that leaves here.
    package let digest: (AttemptID, [UInt8]) -> [UInt8]

    /// - Parameters:
    ///   - flow: looks a flow up by name, or the one for attempts that name none.
    ///   - allowsTarget: whether a call may be redirected to a URL.
    ///   - digest: the keyed digest of an attempt and digits (HMAC-SHA-256, 32 bytes).
    package init(
        flow: @escaping (_ name: String?) -> ConfiguredFlow?,
        allowsTarget: @escaping (_ url: String) -> Bool,
        digest: @escaping (_ attempt: AttemptID, _ digits: [UInt8]) -> [UInt8]
    ) {
        self.flow = flow
        self.allowsTarget = allowsTarget
        self.digest = digest
    }

    /// An attempt to open, and the definition of its flow, which the log must have before it.
    package struct Opening: Sendable {
        package var open: OpenAttempt
        package var flow: FlowDefinition
    }

    /// Reads the body that opens an attempt; an empty one leaves everything to the flow.
    package func open(
        _ attempt: AttemptID,
        _ request: Request,
        origin: Origin
    ) throws(Problem) -> Opening {
        var body = OpenBody.none
        if !request.body.isEmpty {
            try JSONBody.checkType(request.headers)
            body = try json.read(OpenBody.self, request.body)
        }
        guard let configured = flow(body.flow) else {
            throw .invalid(
                field: "flow",
                body.flow == nil ? "must be there: no flow is the default" : "no such flow is known"
            )
        }
        let subject = body.subject ?? ""
        guard subject.utf8.count <= BodyLimits.subjectLength else {
            throw .invalid(field: "subject", "must have at most 256 bytes")
        }
        if let seconds = body.expiresIn, !BodyLimits.expirySeconds.contains(seconds) {
            throw .invalid(field: "expires_in", "must be from 10 to 86400 seconds")
        }
        if let tries = body.challenge?.maxTries, !BodyLimits.maxTries.contains(tries) {
            throw .invalid(field: "challenge.max_tries", "must be from 1 to 10")
        }
        var challenge: [UInt8]?
        if let digits = body.challenge?.digits {
            guard BodyLimits.isDigits(digits) else {
                throw .invalid(field: "challenge.digits", "must be 1 to 32 characters of 0-9 * #")
            }
            challenge = digest(attempt, Array(digits.utf8))
        }
        let definition = configured.definition
        var stated: OpenAttempt.Stated = []
        if body.expiresIn != nil { stated.insert(.expiresIn) }
        if body.challenge?.maxTries != nil { stated.insert(.maxTries) }
        for target in body.targets?.list ?? [] { stated.insert(.target(target.state)) }
        let open = OpenAttempt(
            attempt: attempt,
            flow: definition.digest,
            subject: subject,
            expiresInSeconds: body.expiresIn ?? definition.expirySeconds,
            challenge: challenge,
            maxTries: body.challenge?.maxTries ?? definition.maxTries,
            targets: try targets(body.targets?.list ?? [], else: configured.targets),
            stated: stated,
            origin: origin
        )
        return Opening(open: open, flow: definition)
    }

    /// The body's targets, and the flow's for the states it does not name; sorted by state.
    private func targets(_ own: [Target], else configured: [Target]) throws(Problem) -> [Target] {
        for target in own {
            let field = "targets.\(target.state.name)"
            guard target.url.utf8.count <= BodyLimits.urlLength else {
                throw .invalid(field: field, "must have at most 2048 bytes")
            }
            // Nothing but visible ASCII: the URL goes into headers and documents of platforms.
            guard target.url.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw .invalid(field: field, "must be a URL in ASCII, everything else encoded")
            }
            guard allowsTarget(target.url) else {
                throw .invalid(field: field, "is not under any of the allowed targets")
            }
        }
        guard !configured.isEmpty else { return own }
        var merged = own
        for target in configured where !own.contains(where: { $0.state == target.state }) {
            merged.append(target)
        }
        merged.sort { $0.state.rawValue < $1.state.rawValue }
        return merged
    }

    /// Reads a callback in Verdict's own form.
    package func callback(
        _ attempt: AttemptID,
        _ request: Request,
        origin: Origin
    ) throws(Problem) -> Callback {
        try JSONBody.checkType(request.headers)
        let chosen = try BodyReader.idempotencyKey(request.headers)
        let body = try json.read(CallbackBody.self, request.body)
        try body.check(hasKey: chosen != nil)
        return Callback(
            attempt: attempt,
            key: chosen ?? BodyReader.derivedKey(body),
            provider: BodyReader.provider,
            call: body.call,
            event: body.event,
            sequence: body.sequence,
            digits: body.digits.map { digest(attempt, Array($0.utf8)) },
            status: body.event == .ended ? body.status ?? .completed : nil,
            outcome: body.outcome,
            channel: body.channel,
            occurredAt: body.occurredAt,
            origin: origin
        )
    }

    /// The provider's name of callbacks in Verdict's own form.
    package static let provider = "verdict"

    private static func derivedKey(_ body: CallbackBody) -> CallbackKey {
        guard let call = body.call else {
            return CallbackKey(
                provider: provider,
                channel: body.channel,
                event: body.event,
                sequence: body.sequence
            )
        }
        return CallbackKey(
            provider: provider,
            call: call,
            event: body.event,
            sequence: body.sequence
        )
    }

    /// The key that the caller chose, with or without quotes; `nil` if there is no such header.
    private static func idempotencyKey(_ headers: Headers) throws(Problem) -> CallbackKey? {
        guard let value = headers.first("idempotency-key") else { return nil }
        guard headers.count("idempotency-key") == 1 else {
            throw .invalid(field: "Idempotency-Key", "must be there once")
        }
        guard let text = IdempotencyKey.parse(value),
            let key = CallbackKey(provider: provider, chosen: text)
        else {
            throw .invalid(
                field: "Idempotency-Key",
                "must be 1 to 255 printable ASCII characters, in quotes if a space is among them"
            )
        }
        return key
    }

    /// Reads whom the leadership is to be handed to.
    package func handOver(_ request: Request) throws(Problem) -> UInt32 {
        try JSONBody.checkType(request.headers)
        return try json.read(LeaderBody.self, request.body).node
    }
}

/// How fresh an open attempt's answer has to be.
package enum ReadConsistency: Hashable, Sendable {
    /// At least as new as the read's arrival.
    case linearizable
    /// What this node knows.
    case local

    /// Reads `consistency` from a query; absent means linearizable, other parameters pass.
    package init(query: Substring?) throws(Problem) {
        self = .linearizable
        guard let query else { return }
        for parameter in query.split(separator: "&") where parameter.hasPrefix("consistency=") {
            switch parameter.dropFirst("consistency=".count) {
            case "local": self = .local
            case "linearizable": self = .linearizable
            default: throw .invalid(field: "consistency", "must be local or linearizable")
            }
        }
    }
}
