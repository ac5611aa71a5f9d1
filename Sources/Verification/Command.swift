/// What an entry of the log asks of the state machine.
package enum Command: Hashable, Sendable {
    case open(OpenAttempt)
    case callback(Callback)
    /// A flow's definition, named by its digest; the same again changes nothing.
    case defineFlow(FlowDefinition)
    /// Repeats that nodes answered from their own state, counted there and reported in batches.
    case repeats(RepeatBatch)
    /// Carries nothing but its time, so that deadlines pass when there is no traffic.
    case tick
    /// How long attempts are kept from now on.
    case settings(RetentionSettings)
    /// Lets a data directory stand for a node; moves nothing in this state machine.
    case readmit(Readmission)
    /// What most replicas had come to at an earlier entry, for each to compare with its own; and the
    /// next mark. `nil` if there is nothing to compare yet.
    case checkDigest(DigestMark?)
}

/// A node's data directory takes the place of the one before.
package struct Readmission: Hashable, Sendable {
    /// A directory's random number, in two halves.
    package struct Directory: Hashable, Sendable {
        package var high: UInt64
        package var low: UInt64
        package init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }
    }
    package var node: UInt32
    /// The directory's random number, in two halves.
    package var high: UInt64
    package var low: UInt64
    /// The one that it takes the place of, as whoever asks knows it; `nil` where none is known.
    ///
    /// Where another one stands for the node by then, the command came too late and does nothing.
    package var replaces: Directory?
    package var request: RequestID
    package init(
        node: UInt32,
        high: UInt64,
        low: UInt64,
        replaces: Directory? = nil,
        request: RequestID
    ) {
        self.node = node
        self.high = high
        self.low = low
        self.replaces = replaces
        self.request = request
    }

    package var directory: Directory { Directory(high: high, low: low) }
}

/// A readmission that was applied.
package struct Admission: Hashable, Sendable {
    package var readmission: Readmission
    package var index: EntryIndex
    init(_ readmission: Readmission, index: EntryIndex) {
        self.readmission = readmission
        self.index = index
    }
}

/// SHA-256 of a flow definition's canonical bytes; 32 bytes.
package struct FlowDigest: Hashable, Sendable {
    package var bytes: [UInt8]
    package init(bytes: [UInt8]) { self.bytes = bytes }
}

package enum FlowKind: UInt8, Hashable, Sendable {
    /// The call gathers digits, Verdict compares them with the challenge.
    case code = 1
    /// The caller waits on the line while the person confirms in another channel.
    case confirm = 2
}

/// What a decision or its wording needs from configuration, put in the log (design rule 9).
package struct FlowDefinition: Hashable, Sendable {
    /// Set by whoever builds the definition: SHA-256 of `canonicalBytes`.
    package var digest: FlowDigest
    package var name: String
    package var kind: FlowKind
    /// Spoken when digits are asked for, or while the caller waits.
    package var prompt: String
    /// Spoken when digits were wrong and are asked for again.
    package var retryPrompt: String
    /// BCP 47 tag for the platform's voice, such as `en-US`.
    package var language: String
    /// Number of digits to gather.
    package var digits: UInt8
    package var maxTries: UInt8
    /// Log time an attempt stays open after its last call ended without a result, in seconds.
    package var graceSeconds: UInt32
    /// Default time from open to expiry, in seconds.
    package var expirySeconds: UInt32
    /// Pause between polls of a waiting call, in seconds.
    package var waitSeconds: UInt8

    package init(
        digest: FlowDigest = FlowDigest(bytes: []),
        name: String,
        kind: FlowKind,
        prompt: String,
        retryPrompt: String,
        language: String,
        digits: UInt8,
        maxTries: UInt8,
        graceSeconds: UInt32,
        expirySeconds: UInt32,
        waitSeconds: UInt8
    ) {
        self.digest = digest
        self.name = name
        self.kind = kind
        self.prompt = prompt
        self.retryPrompt = retryPrompt
        self.language = language
        self.digits = digits
        self.maxTries = maxTries
        self.graceSeconds = graceSeconds
        self.expirySeconds = expirySeconds
        self.waitSeconds = waitSeconds
    }
}

/// Opens an attempt.
///
/// Two that state the same are the same request, whatever defaults stand beside it.
package struct OpenAttempt: Hashable, Sendable {
    package var attempt: AttemptID
    package var flow: FlowDigest
    package var subject: String
    /// Time from this entry's log time to expiry, in seconds.
    package var expiresInSeconds: UInt32
    /// HMAC-SHA-256 of the attempt and its digits under the nodes' shared key; `nil`: no challenge.
    package var challenge: [UInt8]?
    package var maxTries: UInt8
    /// Where a call is redirected on a terminal state; sorted by state, checked before proposing.
    package var targets: [Target]
    /// What the caller said; the rest is the flow's or the node's configuration.
    package var stated: Stated
    package var origin: Origin

    package init(
        attempt: AttemptID,
        flow: FlowDigest,
        subject: String,
        expiresInSeconds: UInt32,
        challenge: [UInt8]?,
        maxTries: UInt8,
        targets: [Target],
        stated: Stated = .everything,
        origin: Origin
    ) {
        self.attempt = attempt
        self.flow = flow
        self.subject = subject
        self.expiresInSeconds = expiresInSeconds
        self.challenge = challenge
        self.maxTries = maxTries
        self.targets = targets
        self.stated = stated
        self.origin = origin
    }

    /// Which values the caller gave, and which a default supplied.
    package struct Stated: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        package static let expiresIn = Stated(rawValue: 1 << 0)
        package static let maxTries = Stated(rawValue: 1 << 1)
        /// The target of one state.
        package static func target(_ state: AttemptState) -> Stated {
            Stated(rawValue: 1 << (8 + UInt16(state.rawValue)))
        }
        package static let everything: Stated = AttemptState.allCases.reduce(
            [.expiresIn, .maxTries]
        ) { $0.union(.target($1)) }

        /// Those of `targets` that were stated.
        func targets(of targets: [Target]) -> [Target] {
            targets.filter { contains(.target($0.state)) }
        }
    }
}

package struct Target: Hashable, Sendable {
    package var state: AttemptState
    package var url: String
    package init(state: AttemptState, url: String) {
        self.state = state
        self.url = url
    }
}

package enum AttemptState: UInt8, Hashable, Sendable, CaseIterable {
    case open = 0
    case verified = 1
    /// Wrong code too often, or refused.
    case rejected = 2
    /// The caller hung up.
    case abandoned = 3
    /// Busy, no answer, failed.
    case unreachable = 4
    case expired = 5
    case cancelled = 6

    @inlinable package var isTerminal: Bool { self != .open }
    /// The name used in bodies.
    package var name: String {
        switch self {
        case .open: "open"
        case .verified: "verified"
        case .rejected: "rejected"
        case .abandoned: "abandoned"
        case .unreachable: "unreachable"
        case .expired: "expired"
        case .cancelled: "cancelled"
        }
    }
    package init?(name: String) {
        guard let state = AttemptState.allCases.first(where: { $0.name == name }) else {
            return nil
        }
        self = state
    }
}

package enum EventKind: UInt8, Hashable, Sendable, CaseIterable {
    case initiated = 1
    case ringing = 2
    case answered = 3
    case digits = 4
    /// A read: it is answered from state and never written to the log.
    case poll = 5
    case ended = 6
    case outcome = 7
    case cancel = 8

    package var name: String {
        switch self {
        case .initiated: "initiated"
        case .ringing: "ringing"
        case .answered: "answered"
        case .digits: "digits"
        case .poll: "poll"
        case .ended: "ended"
        case .outcome: "outcome"
        case .cancel: "cancel"
        }
    }
    package init?(name: String) {
        guard let kind = EventKind.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }
}

/// How a call ended.
package enum EndStatus: UInt8, Hashable, Sendable, CaseIterable {
    case completed = 1
    case busy = 2
    case noAnswer = 3
    case failed = 4
    case canceled = 5

    package var name: String {
        switch self {
        case .completed: "completed"
        case .busy: "busy"
        case .noAnswer: "no_answer"
        case .failed: "failed"
        case .canceled: "canceled"
        }
    }
    package init?(name: String) {
        guard let status = EndStatus.allCases.first(where: { $0.name == name }) else {
            return nil
        }
        self = status
    }
}

/// An outcome that a trusted channel claims.
package enum ClaimedOutcome: UInt8, Hashable, Sendable, CaseIterable {
    case verified = 1
    case rejected = 2

    package var state: AttemptState { self == .verified ? .verified : .rejected }
    package var name: String { state.name }
}

/// The idempotency key: what makes two deliveries the same callback (design rule 2).
///
/// Spelt `provider/key/TEXT` for a key the caller chose and `provider/call/CALL/EVENT/SEQUENCE`
/// for a derived one. Provider, call, event and sequence cannot contain a slash and free text
/// comes last, so no two identities share a spelling.
package struct CallbackKey: Hashable, Sendable, CustomStringConvertible {
    package let text: String
    /// Longest key text a caller may choose, in bytes.
    package static let maxChosenLength = 255

    /// A key chosen by the caller (`Idempotency-Key`).
    /// - Returns: `nil` if it is empty, too long, or not printable ASCII.
    package init?(provider: String, chosen: String) {
        guard !chosen.isEmpty, chosen.utf8.count <= CallbackKey.maxChosenLength,
            chosen.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
        else { return nil }
        text = "\(provider)/key/\(chosen)"
    }
    /// A key derived from what the callback says.
    ///
    /// - Precondition: `call` is a valid `Token`.
    package init(provider: String, call: String, event: EventKind, sequence: UInt64?) {
        text = "\(provider)/call/\(call)/\(event.name)/\(sequence.map(String.init) ?? "-")"
    }
    /// A key of digits that came without a step to number the try.
    ///
    /// The digits' digest takes the step's place: the same digits again are taken for a retry, other
    /// ones for another try.
    package init(provider: String, call: String, digitsDigest: [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        var name: [UInt8] = []
        for byte in digitsDigest.prefix(8) {
            name.append(digits[Int(byte >> 4)])
            name.append(digits[Int(byte & 15)])
        }
        text =
            "\(provider)/call/\(call)/\(EventKind.digits.name)/~\(String(decoding: name, as: UTF8.self))"
    }
    /// A key as the log has it.
    package init(logged text: String) { self.text = text }
    package var description: String { text }
}

/// A callback, authenticated and normalised; what a platform reported, free of secrets.
package struct Callback: Hashable, Sendable {
    package var attempt: AttemptID
    package var key: CallbackKey
    /// `verdict` for Verdict's own form, else the platform's name.
    package var provider: String
    package var call: String?
    package var event: EventKind
    package var sequence: UInt64?
    /// HMAC-SHA-256 of the attempt and the digits keyed in; never the digits.
    package var digits: [UInt8]?
    package var status: EndStatus?
    package var outcome: ClaimedOutcome?
    /// Such as `voice`, `app`, `sms`.
    package var channel: String
    package var occurredAt: WallTime?
    package var origin: Origin

    package init(
        attempt: AttemptID,
        key: CallbackKey,
        provider: String,
        call: String?,
        event: EventKind,
        sequence: UInt64?,
        digits: [UInt8]?,
        status: EndStatus?,
        outcome: ClaimedOutcome?,
        channel: String,
        occurredAt: WallTime?,
        origin: Origin
    ) {
        self.attempt = attempt
        self.key = key
        self.provider = provider
        self.call = call
        self.event = event
        self.sequence = sequence
        self.digits = digits
        self.status = status
        self.outcome = outcome
        self.channel = channel
        self.occurredAt = occurredAt
        self.origin = origin
    }
}

/// Repeats counted by one node.
///
/// Batches of one incarnation are numbered; one that is not newer than the last applied is dropped,
/// so a batch proposed twice counts once.
package struct RepeatBatch: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package var attempt: AttemptID
        package var key: CallbackKey
        package var count: UInt32
        package var lastAt: WallTime
        package init(attempt: AttemptID, key: CallbackKey, count: UInt32, lastAt: WallTime) {
            self.attempt = attempt
            self.key = key
            self.count = count
            self.lastAt = lastAt
        }
    }
    /// `sequence` numbers the batch.
    package var request: RequestID
    package var items: [Item]
    package init(request: RequestID, items: [Item]) {
        self.request = request
        self.items = items
    }
}
