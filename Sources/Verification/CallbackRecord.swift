/// Receipts of one thing beyond its first.
struct RepeatCount: Hashable, Sendable {
    private(set) var count: UInt64 = 0
    /// The latest receipt time that any node claimed.
    private(set) var lastAt: WallTime?
    /// The newest requests that were counted one by one, oldest first.
    private(set) var requests: [RequestID] = []

    /// Requests remembered, at most.
    ///
    /// A copy stands in the log behind those repeats only that were on their way to the leader when it
    /// was sent: a node that has applied the first receipt answers the next ones itself.
    static let maxRequests = 16

    init() {}

    init(count: UInt64, lastAt: WallTime?, requests: [RequestID]) {
        self.count = count
        self.lastAt = lastAt
        self.requests = requests
    }

    /// Counts one receipt, unless it is a command that was proposed twice.
    ///
    /// - Parameters:
    ///   - origin: where and when it was received this time.
    ///   - first: the request of the first receipt.
    /// - Returns: whether it counted.
    mutating func add(_ origin: Origin, after first: RequestID) -> Bool {
        guard origin.request != first, !requests.contains(origin.request) else { return false }
        if requests.count == RepeatCount.maxRequests { requests.removeFirst() }
        requests.append(origin.request)
        add(1, lastAt: origin.receivedAt)
        return true
    }

    mutating func add(_ more: UInt32, lastAt at: WallTime) {
        count += UInt64(more)
        guard let known = lastAt, known.milliseconds >= at.milliseconds else {
            lastAt = at
            return
        }
    }
}

/// Fields of a callback's meaning, as a set.
struct MeaningFields: OptionSet, Hashable, Sendable {
    let rawValue: UInt8
    static let call = MeaningFields(rawValue: 1 << 0)
    static let channel = MeaningFields(rawValue: 1 << 1)
    static let digits = MeaningFields(rawValue: 1 << 2)
    static let event = MeaningFields(rawValue: 1 << 3)
    static let outcome = MeaningFields(rawValue: 1 << 4)
    static let provider = MeaningFields(rawValue: 1 << 5)
    static let sequence = MeaningFields(rawValue: 1 << 6)
    static let status = MeaningFields(rawValue: 1 << 7)

    /// The API's names, sorted.
    var names: [String] {
        guard !isEmpty else { return [] }
        let all: [(MeaningFields, String)] = [
            (.call, "call"), (.channel, "channel"), (.digits, "digits"), (.event, "event"),
            (.outcome, "outcome"), (.provider, "provider"), (.sequence, "sequence"),
            (.status, "status"),
        ]
        return all.compactMap { contains($0.0) ? $0.1 : nil }
    }
}

/// What a callback was answered with, in a form from which the answer is made again byte by byte.
enum Reply: UInt8, Sendable {
    /// The attempt's own final answer.
    case final = 0
    case nothing = 1
    /// Gather digits; the step and the tries left follow from the tries used by then.
    case gather = 2
    case wait = 3
}

/// One line of an attempt's history: the first receipt of a callback, or of a mismatch.
struct CallbackRecord: Sendable {
    let key: CallbackKey
    let provider: String
    let call: String?
    let channel: String
    let digits: [UInt8]?
    let sequence: UInt64?
    let event: EventKind
    let status: EndStatus?
    let outcome: ClaimedOutcome?
    let occurredAt: WallTime?
    let origin: Origin
    let index: EntryIndex
    let at: LogTime
    let disposition: Disposition
    /// Only for `mismatched`: what differs from the first callback of the key.
    let differs: MeaningFields
    let reply: Reply
    let triesUsed: UInt8
    var repeats = RepeatCount()

    init(
        _ callback: Callback,
        at entry: Moment,
        disposition: Disposition,
        differs: MeaningFields = [],
        reply: Reply,
        triesUsed: UInt8
    ) {
        key = callback.key
        provider = callback.provider
        call = callback.call
        channel = callback.channel
        digits = callback.digits
        sequence = callback.sequence
        event = callback.event
        status = callback.status
        outcome = callback.outcome
        occurredAt = callback.occurredAt
        origin = callback.origin
        index = entry.index
        at = entry.time
        self.disposition = disposition
        self.differs = differs
        self.reply = reply
        self.triesUsed = triesUsed
    }

    /// Where a callback with the same key means something else.
    ///
    /// What a retry may restamp takes no part: when it happened, and where and when it arrived.
    func differences(from other: Callback) -> MeaningFields {
        var fields: MeaningFields = []
        if call != other.call { fields.insert(.call) }
        if channel != other.channel { fields.insert(.channel) }
        if digits != other.digits { fields.insert(.digits) }
        if event != other.event { fields.insert(.event) }
        if outcome != other.outcome { fields.insert(.outcome) }
        if provider != other.provider { fields.insert(.provider) }
        if sequence != other.sequence { fields.insert(.sequence) }
        if status != other.status { fields.insert(.status) }
        return fields
    }
}

extension Callback {
    /// What the callback adds to the bytes of its attempt: all that is of variable length.
    package var variableBytes: Int {
        key.text.utf8.count + provider.utf8.count + (call?.utf8.count ?? 0) + channel.utf8.count
            + (digits?.count ?? 0) + origin.region.utf8.count
    }
}

/// The place and time of the entry that is being applied.
struct Moment: Hashable, Sendable {
    let index: EntryIndex
    let time: LogTime
}
