internal import Digest
internal import Verification

/// What a platform or a caller sends to a node.
enum Post: Sendable {
    /// Opens the attempt; `changes` makes it mean something else.
    case open(changes: Bool)
    /// `identity` numbers what happened: the same one again is a repeat, or a twisted one.
    case callback(Callback, identity: Int)
    /// A live call asks what to do.
    case poll
    case read
    /// What the node itself knows, however old that is.
    case localRead
}

/// A post of the plan: when, where, and how stubbornly.
struct PlannedPost: Sendable {
    var at: UInt64
    var node: Int
    var post: Post
    /// Sent again until it is answered; others are given up after `retries`.
    var isStubborn: Bool
    var retries: Int
    /// The platform's read time-out.
    var timeout: UInt64
}

/// One attempt of the plan: its meaning, and everything that is sent about it.
struct AttemptPlan: Sendable {
    let id: AttemptID
    /// The time that the ID carries, in milliseconds since the Unix epoch; nil: none.
    let idTime: UInt64?
    let kind: FlowKind
    let subject: String
    let challenge: [UInt8]?
    let expiresInSeconds: UInt32
    let maxTries: UInt8
    let targets: [Target]
    /// False for attempts that only callbacks speak of.
    let isOpened: Bool
    var posts: [PlannedPost] = []
    let seed: UInt64
}

/// The flows that nodes are configured with.
enum Flows {
    static let regions = ["us-east", "eu-west", "ap-south", "us-west", "sa-east"]

    /// Two versions of each flow: configurations change while a cluster runs.
    static let code = [define("login", .code, "Enter your code."), define("login", .code, "Code?")]
    static let confirm = [
        define("app", .confirm, "Please confirm."), define("app", .confirm, "Confirm in the app."),
    ]

    static func versions(of kind: FlowKind) -> [FlowDefinition] {
        kind == .code ? code : confirm
    }

    private static func define(
        _ name: String,
        _ kind: FlowKind,
        _ prompt: String
    ) -> FlowDefinition {
        var flow = FlowDefinition(
            name: name,
            kind: kind,
            prompt: prompt,
            retryPrompt: "Again.",
            language: "en-US",
            digits: 6,
            maxTries: 3,
            graceSeconds: 8,
            expirySeconds: 120,
            waitSeconds: 2
        )
        flow.digest = FlowDigest(bytes: SHA256.hash(of: flow.canonicalBytes))
        return flow
    }
}

/// Draws the attempts of a run, each from a stream of its own.
enum WorkloadPlan {
    static func draw(
        _ options: RunOptions,
        nodes: Int,
        until end: UInt64,
        hasTime: Bool
    ) -> [AttemptPlan] {
        var random = SeededRandom(seed: options.seed, stream: "workload")
        let perMinute = random.pick([4, 12, 25])
        let count = max(3, perMinute * Int(end / (60 * WorldPlan.second)))
        // All through the run, or in a few rushes.
        let rushes = random.chance(percent: 30) ? random.between(1, 6) : 0
        var attempts: [AttemptPlan] = []
        attempts.reserveCapacity(count)
        for number in 0..<count {
            var random = SeededRandom(seed: options.seed, stream: "attempt", number)
            var at = random.below(end)
            if rushes > 0 {
                let rush = random.below(UInt64(rushes)) * (end / UInt64(rushes))
                at = rush + random.below(3 * WorldPlan.second)
            }
            var story = Story(
                number: number,
                time: hasTime ? at : nil,
                nodes: nodes,
                opensAt: at,
                end: end,
                random: random
            )
            attempts.append(story.tell())
        }
        return attempts
    }

    /// Attempts of the rest that follows the healing; their times count from its beginning.
    static func drawRest(
        _ options: RunOptions,
        nodes: Int,
        from start: UInt64,
        until end: UInt64,
        first: Int,
        hasTime: Bool
    ) -> [AttemptPlan] {
        let length = end - start
        let count = Int(length / (12 * WorldPlan.second))
        var attempts: [AttemptPlan] = []
        for number in 0..<count {
            var random = SeededRandom(seed: options.seed, stream: "rest", number)
            let at = random.below(length)
            var story = Story(
                number: first + number,
                time: hasTime ? start + at : nil,
                nodes: nodes,
                opensAt: at,
                end: length,
                random: random
            )
            attempts.append(story.tell())
        }
        return attempts
    }
}

/// One attempt's story: calls, a second channel, what the platforms make of it on the way.
private struct Story {
    let number: Int
    let nodes: Int
    let opensAt: UInt64
    let end: UInt64
    var random: SeededRandom
    private var posts: [PlannedPost] = []
    private var callbacks: [(at: UInt64, callback: Callback)] = []
    private let id: AttemptID
    private let idTime: UInt64?
    private var right: [UInt8] = []

    /// What is told of an attempt whose ID is of the virtual time `time`; nil: it carries none.
    init(
        number: Int,
        time: UInt64?,
        nodes: Int,
        opensAt: UInt64,
        end: UInt64,
        random: SeededRandom
    ) {
        idTime = time.map { Story.timeByMaker(number, $0) }
        let name = Story.name(number, idTime)
        guard let id = AttemptID(name) else {
            fatalError("invariant broken: \(name) is no attempt ID")
        }
        self.id = id
        self.number = number
        self.nodes = nodes
        self.opensAt = opensAt
        self.end = end
        self.random = random
    }

    private static let ms = WorldPlan.millisecond

    /// Whoever makes an ID has a clock of its own, which is behind, or ahead: by then even the decision may be
    /// stamped earlier than the ID.
    private static func timeByMaker(_ number: Int, _ time: UInt64) -> UInt64 {
        let ahead = [-10_000, 0, 5_000, 60_000, 300_000][number % 5]
        return UInt64(Host.epoch + Int64(time / ms) + Int64(ahead))
    }

    /// A UUIDv7 (RFC 9562 §5.7) whose random part is the number, where the ID carries a time.
    private static func name(_ number: Int, _ time: UInt64?) -> String {
        guard let time else { return "va_\(number)" }
        func digits(_ value: UInt64, _ count: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: count - text.count) + text
        }
        let tail = digits(UInt64(number), 12)
        return "va_\(digits(time >> 16, 8))-\(digits(time & 0xffff, 4))-7000-8000-\(tail)"
    }

    mutating func tell() -> AttemptPlan {
        right = secret(1)
        let kind: FlowKind = random.chance(percent: 70) ? .code : .confirm
        let isOpened = random.chance(percent: 96)
        let hasChallenge = kind == .code && random.chance(percent: 95)
        let expiry = UInt32(random.pick([6, 20, 60, 120]))
        let tries = UInt8(random.pick([0, 1, 2, 3, 3, 3]))
        var targets = [Target(state: .verified, url: "https://bank.example/ok/\(number)")]
        if random.chance(percent: 50) {
            targets.append(Target(state: .rejected, url: "https://bank.example/no"))
        }
        if isOpened { openings() }
        let calls = random.pick([0, 1, 1, 1, 1, 2, 2, 3])
        for call in 0..<calls { tellCall(call, kind) }
        if kind == .confirm ? random.chance(percent: 80) : random.chance(percent: 25) {
            outcome("app-1", channel: "app")
        }
        if random.chance(percent: 10) { outcome("sms-1", channel: "sms") }
        if random.chance(percent: 8) { cancel() }
        deliverAll()
        reads()
        posts.sort { $0.at < $1.at }
        // Not sent by the plan, but by whoever hears of the outcome.
        post(.read, at: .max)
        return AttemptPlan(
            id: id,
            idTime: idTime,
            kind: kind,
            subject: "user-\(number)",
            challenge: hasChallenge ? right : nil,
            expiresInSeconds: expiry,
            maxTries: tries,
            targets: targets,
            isOpened: isOpened,
            posts: posts,
            seed: random.next()
        )
    }

    /// Stands for a keyed digest of some digits.
    private func secret(_ kind: UInt8) -> [UInt8] {
        var bytes = [UInt8](repeating: kind, count: 32)
        for at in 0..<8 { bytes[at] = UInt8(truncatingIfNeeded: number >> (8 * at)) }
        return bytes
    }

    private mutating func post(
        _ post: Post,
        at: UInt64,
        stubborn: Bool = false,
        node: Int? = nil
    ) {
        posts.append(
            PlannedPost(
                at: at,
                node: node ?? random.below(nodes),
                post: post,
                isStubborn: stubborn,
                retries: random.below(4),
                timeout: random.pick([1000, 5000, 15_000]) * Story.ms
            )
        )
    }

    private mutating func openings() {
        post(.open(changes: false), at: opensAt, stubborn: true)
        // The caller's own retry, and an ID used twice.
        if random.chance(percent: 25) {
            let again = random.below(30) * random.below(1000) * Story.ms
            post(.open(changes: false), at: opensAt + again)
        }
        if random.chance(percent: 6) {
            post(.open(changes: true), at: opensAt + random.below(3000) * Story.ms)
        }
        // By when it may be forgotten, or just may not be.
        guard let idTime, idTime % 2 == 0, opensAt < end else { return }
        for part in 1...3 {
            post(.open(changes: false), at: opensAt + (end - opensAt) / 4 * UInt64(part), node: 0)
        }
    }

    private mutating func add(
        _ event: EventKind,
        at: UInt64,
        key: String? = nil,
        call: String? = nil,
        sequence: UInt64? = nil,
        digits: [UInt8]? = nil,
        status: EndStatus? = nil,
        outcome: ClaimedOutcome? = nil,
        channel: String = "voice"
    ) {
        let provider = key == nil ? "twilio" : "verdict"
        let derived = CallbackKey(
            provider: provider,
            call: call ?? "-",
            event: event,
            sequence: sequence
        )
        let chosen = key.flatMap { CallbackKey(provider: provider, chosen: $0) }
        let callback = Callback(
            attempt: id,
            key: chosen ?? derived,
            provider: provider,
            call: call,
            event: event,
            sequence: sequence,
            digits: digits,
            status: status,
            outcome: outcome,
            channel: channel,
            occurredAt: WallTime(milliseconds: at / Story.ms),
            origin: Origin(
                node: 0,
                region: "",
                receivedAt: WallTime(milliseconds: 0),
                request: RequestID(node: 0, incarnation: 0, sequence: 0)
            )
        )
        callbacks.append((at, callback))
    }

    private mutating func tellCall(_ number: Int, _ kind: FlowKind) {
        let call = "CA\(self.number)-\(number)"
        var at = opensAt + random.between(100, 4000) * Story.ms
        let isNumbered = random.chance(percent: 60)
        func sequence(_ n: UInt64) -> UInt64? { isNumbered ? n : nil }
        func pass(_ longest: UInt64) { at += random.between(10, longest) * Story.ms }
        if random.chance(percent: 80) { add(.initiated, at: at, call: call, sequence: sequence(0)) }
        pass(1500)
        if random.chance(percent: 80) { add(.ringing, at: at, call: call, sequence: sequence(1)) }
        pass(6000)
        if random.chance(percent: 20) {
            let status = random.pick([EndStatus.busy, .noAnswer, .failed, .canceled])
            add(.ended, at: at, call: call, sequence: sequence(2), status: status)
            return
        }
        add(.answered, at: at, call: call, sequence: sequence(2))
        if random.chance(percent: 50) {
            add(.answered, at: at, key: "voice-\(number)", call: call)
        }
        for step in 1..<UInt64(random.between(1, 6)) {
            pass(8000)
            if kind == .code || random.chance(percent: 10) {
                let isRight = random.chance(percent: 35)
                let digits = isRight ? right : secret(UInt8(2 + step))
                add(.digits, at: at, call: call, sequence: step, digits: digits)
                if isRight, random.chance(percent: 80) { break }
            }
        }
        let polls = kind == .confirm ? random.below(6) : random.below(2)
        for _ in 0..<polls { post(.poll, at: at + random.below(20_000) * Story.ms) }
        pass(5000)
        if random.chance(percent: 90) {
            let status = random.pick([EndStatus.completed, .completed, .completed, .failed])
            add(.ended, at: at, call: call, sequence: sequence(3), status: status)
        }
        if random.chance(percent: 5) {
            add(.ended, at: at, key: "end-\(number)", call: call, status: .completed)
        }
    }

    private mutating func outcome(_ key: String, channel: String) {
        let at = opensAt + random.between(500, 30_000) * Story.ms
        let claim: ClaimedOutcome = random.chance(percent: 60) ? .verified : .rejected
        let said = random.chance(percent: 95) ? claim : nil
        add(.outcome, at: at, key: key, outcome: said, channel: channel)
        // The channel contradicts itself.
        if random.chance(percent: 10) {
            let other: ClaimedOutcome = claim == .verified ? .rejected : .verified
            add(.outcome, at: at, key: "\(key)-2", outcome: other, channel: channel)
        }
    }

    private mutating func cancel() {
        let at = opensAt + random.between(500, 30_000) * Story.ms
        add(.cancel, at: at, key: "cancel-1", channel: "api")
    }

    /// How the callbacks come: late, in bursts, to several regions, under a key used before.
    private mutating func deliverAll() {
        for (identity, (at, callback)) in callbacks.enumerated() {
            var arrival = at + random.below(50) * Story.ms
            if random.chance(percent: 15) { arrival += random.below(4000) * Story.ms }
            if random.chance(percent: 4) { arrival += random.below(240_000) * Story.ms }
            arrival = min(arrival, end)
            post(.callback(callback, identity: identity), at: arrival, stubborn: true)
            if random.chance(percent: 12) {
                for _ in 0..<random.between(1, 4) {
                    let soon = random.below(40) * Story.ms
                    post(.callback(callback, identity: identity), at: arrival + soon)
                }
            }
            if random.chance(percent: 10) {
                let later = random.below(200_000) * Story.ms
                post(.callback(callback, identity: identity), at: min(end, arrival + later))
            }
            if random.chance(percent: 5) {
                let soon = random.below(3000) * Story.ms
                post(
                    .callback(twisted(callback), identity: identity),
                    at: arrival + soon,
                    stubborn: true
                )
            }
        }
    }

    /// The same key with another meaning.
    private mutating func twisted(_ callback: Callback) -> Callback {
        var other = callback
        switch callback.event {
        case .digits: other.digits = random.chance(percent: 50) ? right : secret(99)
        case .ended: other.status = callback.status == .busy ? .completed : .busy
        case .outcome: other.outcome = callback.outcome == .verified ? .rejected : .verified
        default: other.channel = "sms"
        }
        return other
    }

    private mutating func reads() {
        for _ in 0..<random.below(4) {
            post(.read, at: min(end, opensAt + random.below(90_000) * Story.ms))
        }
        for _ in 0..<random.below(4) {
            post(.localRead, at: min(end, opensAt + random.below(90_000) * Story.ms))
        }
    }
}
