import Verification

/// A state machine with a log of its own: entries get the next index and the script's time.
struct Script: ~Copyable {
    var machine: StateMachine
    private(set) var index: UInt64 = 0
    private(set) var milliseconds: UInt64 = 1_000_000
    private var requests: UInt64 = 0
    private let store: TestStore?

    /// Whether scripts made here evict what they can after every step.
    @TaskLocal static var isPaged = false

    static let code = flow("login", .code)
    static let confirm = flow("app", .confirm)
    /// Stand for keyed digests of the digits.
    static let right = [UInt8](repeating: 0xAA, count: 32)
    static let wrong = [UInt8](repeating: 0xBB, count: 32)
    static let id = attempt("va_1")

    init(limits: VerificationLimits = .init()) {
        machine = StateMachine(limits: limits, hash: AttemptHash(key: 7))
        let store = Script.isPaged ? TestStore() : nil
        self.store = store
        if let store { machine.setReader { store.read($0) } }
        apply(.defineFlow(Script.code))
        apply(.defineFlow(Script.confirm))
    }

    static func flow(_ name: String, _ kind: FlowKind) -> FlowDefinition {
        FlowDefinition(
            digest: FlowDigest(bytes: Array(name.utf8)),
            name: name,
            kind: kind,
            prompt: "Please enter your code.",
            retryPrompt: "That was wrong. Please try again.",
            language: "en-US",
            digits: 6,
            maxTries: 3,
            graceSeconds: 30,
            expirySeconds: 600,
            waitSeconds: 2
        )
    }

    static func attempt(_ text: String) -> AttemptID {
        guard let id = AttemptID(text) else { fatalError("\(text) is not an attempt ID") }
        return id
    }

    var time: LogTime { LogTime(milliseconds: milliseconds) }
    var entry: EntryIndex { EntryIndex(index) }

    @discardableResult
    mutating func apply(_ command: Command) -> Applied {
        index += 1
        let (entry, time) = (entry, time)
        guard let store else { return machine.apply(command, at: entry, time: time) }
        return machine.paged(through: store) { $0.apply(command, at: entry, time: time) }
    }

    mutating func advance(seconds: UInt64) { milliseconds += seconds * 1000 }
    mutating func advance(milliseconds more: UInt64) { milliseconds += more }

    /// Where and when something arrives next; each one is a request of its own.
    mutating func origin(node: UInt32 = 1, region: String = "us-east") -> Origin {
        requests += 1
        return Origin(
            node: node,
            region: region,
            receivedAt: WallTime(milliseconds: milliseconds + 7),
            request: RequestID(node: node, incarnation: 99, sequence: requests)
        )
    }

    // MARK: Opens

    /// A UUIDv7 of a time.
    static func uuid(_ milliseconds: UInt64) -> String {
        let digits = String(milliseconds, radix: 16)
        let padded = String(repeating: "0", count: 12 - digits.count) + digits
        return "\(padded.prefix(8))-\(padded.suffix(4))-7abc-8def-0123456789ab"
    }

    mutating func opening(
        _ id: AttemptID = Script.id,
        flow: FlowDefinition = Script.code,
        subject: String = "user-8472",
        expiresIn: UInt32 = 600,
        challenge: [UInt8]? = Script.right,
        maxTries: UInt8 = 3,
        targets: [Target] = [
            Target(state: .verified, url: "https://bank.example/ivr/ok"),
            Target(state: .rejected, url: "https://bank.example/ivr/no"),
        ],
        stated: OpenAttempt.Stated = .everything
    ) -> OpenAttempt {
        OpenAttempt(
            attempt: id,
            flow: flow.digest,
            subject: subject,
            expiresInSeconds: expiresIn,
            challenge: challenge,
            maxTries: maxTries,
            targets: targets,
            stated: stated,
            origin: origin()
        )
    }

    @discardableResult
    mutating func open(
        _ id: AttemptID = Script.id,
        flow: FlowDefinition = Script.code,
        expiresIn: UInt32 = 600,
        challenge: [UInt8]? = Script.right,
        maxTries: UInt8 = 3
    ) -> Applied {
        let opening = opening(
            id,
            flow: flow,
            expiresIn: expiresIn,
            challenge: challenge,
            maxTries: maxTries
        )
        return apply(.open(opening))
    }

    // MARK: Callbacks

    mutating func callback(
        _ event: EventKind,
        key: String? = nil,
        attempt: AttemptID = Script.id,
        call: String? = "CA1",
        sequence: UInt64? = nil,
        digits: [UInt8]? = nil,
        status: EndStatus? = nil,
        outcome: ClaimedOutcome? = nil,
        channel: String = "voice",
        region: String = "us-east"
    ) -> Callback {
        let derived = CallbackKey(
            provider: "verdict",
            call: call ?? "-",
            event: event,
            sequence: sequence
        )
        let chosen = key.flatMap { CallbackKey(provider: "verdict", chosen: $0) }
        return Callback(
            attempt: attempt,
            key: chosen ?? derived,
            provider: "verdict",
            call: call,
            event: event,
            sequence: sequence,
            digits: digits,
            status: status,
            outcome: outcome,
            channel: channel,
            occurredAt: WallTime(milliseconds: milliseconds),
            origin: origin(region: region)
        )
    }

    /// Applies a callback and gives the decision; `nil` if there was none.
    @discardableResult
    mutating func send(_ callback: Callback) -> Decision? {
        guard case .decided(let decision) = apply(.callback(callback)) else { return nil }
        return decision
    }

    /// The same callback as a platform sends it again: a request of its own, restamped.
    mutating func again(_ callback: Callback) -> Callback {
        var copy = callback
        copy.origin = origin(node: 2, region: "eu-west")
        copy.occurredAt = WallTime(milliseconds: milliseconds + 1)
        return copy
    }

    @discardableResult
    mutating func answered(_ key: String? = nil, call: String = "CA1") -> Decision? {
        send(callback(.answered, key: key, call: call))
    }
    @discardableResult
    mutating func digits(_ digits: [UInt8]?, step: UInt64, call: String = "CA1") -> Decision? {
        send(callback(.digits, call: call, sequence: step, digits: digits))
    }
    @discardableResult
    mutating func ended(_ status: EndStatus? = .completed, call: String = "CA1") -> Decision? {
        send(callback(.ended, call: call, status: status))
    }
    @discardableResult
    mutating func outcome(_ outcome: ClaimedOutcome, key: String? = nil) -> Decision? {
        let key = key ?? "outcome-\(outcome.name)"
        return send(callback(.outcome, key: key, call: nil, outcome: outcome, channel: "app"))
    }
    @discardableResult
    mutating func cancel(_ key: String = "cancel") -> Decision? {
        send(callback(.cancel, key: key, call: nil, channel: "app"))
    }

    // MARK: What is there

    var state: AttemptState? { machine.state(of: Script.id) }
    var view: AttemptView? { machine.attempt(Script.id) }
    var timeline: [TimelineEntry] { machine.timeline(Script.id) ?? [] }

    /// The answer of an open attempt to the entry just applied.
    func answer(_ next: NextStep, flow: FlowDefinition = Script.code) -> Answer {
        Answer(attempt: Script.id, state: .open, index: entry, next: next, flow: flow.digest)
    }
}

extension StateMachine {
    /// The whole state as one list of bytes.
    var canonicalBytes: [UInt8] {
        var all: [UInt8] = []
        forEachCanonicalChunk { all += $0 }
        return all
    }
}

/// SplitMix64, so that a seed is the whole run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
