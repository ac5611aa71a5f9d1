/// A flow's definition as attempts hold it: one object, however many attempts name it.
final class FlowReference: Sendable {
    let definition: FlowDefinition
    /// Counted from 0 in the order in which the log defined them: the same on every replica.
    let number: Int
    init(_ definition: FlowDefinition, number: Int) {
        self.definition = definition
        self.number = number
    }
}

/// What is known of one call of an open attempt.
struct CallRecord: Sendable {
    /// `nil` is a call too: the one of callbacks that name none.
    let id: String?
    var progress: CallProgress = .unseen
    /// It was answered, or digits came from it, whatever happened since.
    var wasAnswered = false
    /// How it ended.
    var status: EndStatus?
    /// The highest sequence number of its accepted progress events.
    var sequence: UInt64?
}

/// How an attempt came to its terminal state.
struct Verdict: Hashable, Sendable {
    let moment: Moment
    /// Position of the deciding callback; `nil` when a deadline decided.
    let callback: Int?
}

/// An attempt in memory.
struct AttemptRecord: Sendable {
    let id: AttemptID
    /// Counted from 0 in the order of opening: the same on every replica.
    let ordinal: UInt64
    let flow: FlowReference
    var subject: String
    let expiresInSeconds: UInt32
    var challenge: [UInt8]?
    let maxTries: UInt8
    var targets: [Target]
    let stated: OpenAttempt.Stated
    let opened: Moment
    let expiresAt: LogTime
    var origin: Origin
    var openRepeats = RepeatCount()

    var state: AttemptState = .open
    var triesUsed: UInt8 = 0
    /// Digits came that nobody here can judge, since there is no challenge.
    var holdsUnjudgedDigits = false
    /// The newest entry that opened the attempt or was accepted.
    var movedIndex: EntryIndex
    /// When the grace time after the last call's end is over.
    var graceEnds: LogTime?
    /// Position in `calls` of the call that ended last.
    var lastEnded = 0
    var verdict: Verdict?
    /// The calls of an open attempt; a decided one needs them no more.
    var calls: [CallRecord] = []
    /// In log order.
    var callbacks: [CallbackRecord] = []
    /// Bytes of variable length held, for the bound.
    var bytes: Int
    var counts = AttemptView.Counts()
    /// Its retention time is over: all that is left is its outcome, when and where it was decided,
    /// and the final answer.
    var isCompact = false

    init(_ open: OpenAttempt, ordinal: UInt64, flow: FlowReference, at moment: Moment) {
        id = open.attempt
        self.ordinal = ordinal
        self.flow = flow
        subject = open.subject
        expiresInSeconds = open.expiresInSeconds
        challenge = open.challenge
        maxTries = open.maxTries
        targets = open.targets
        stated = open.stated
        opened = moment
        expiresAt = moment.time.advanced(bySeconds: open.expiresInSeconds)
        origin = open.origin
        movedIndex = moment.index
        bytes = open.variableBytes
    }

    var triesLeft: UInt8 { maxTries > triesUsed ? maxTries - triesUsed : 0 }

    /// The earlier of expiry and the end of grace; `nil` once decided.
    var deadline: LogTime? {
        guard state == .open else { return nil }
        guard let graceEnds else { return expiresAt }
        return min(expiresAt, graceEnds)
    }

    /// Decides an open attempt whose deadline has passed.
    ///
    /// Where both deadlines have passed the earlier one decides; on a tie it is the expiry.
    mutating func passDeadline(at moment: Moment) {
        invariant(state == .open, "\(id): a deadline passed in state \(state.name)")
        var decided = AttemptState.expired
        if let graceEnds, graceEnds < expiresAt {
            let call = calls[lastEnded]
            decided = EventTable.stateAfterGrace(
                wasAnswered: call.wasAnswered,
                status: call.status
            )
        }
        decide(decided, at: moment, by: nil)
    }

    /// Gives the attempt its terminal state, once and for ever.
    mutating func decide(_ terminal: AttemptState, at moment: Moment, by callback: Int?) {
        invariant(
            state == .open && terminal.isTerminal,
            "\(id): \(state.name) -> \(terminal.name) at \(moment.index.number)"
        )
        state = terminal
        verdict = Verdict(moment: moment, callback: callback)
        graceEnds = nil
        calls = []
    }

    /// Drops all that the retention time was for.
    ///
    /// Not a change of the state: an attempt decided before the mark is read as compact whether its
    /// bytes were dropped or not.
    mutating func dropDetails() {
        guard let verdict, !isCompact else { return }
        subject = ""
        challenge = nil
        targets = targets.filter { $0.state == state }
        origin = .none
        openRepeats = RepeatCount()
        triesUsed = 0
        holdsUnjudgedDigits = false
        movedIndex = verdict.moment.index
        self.verdict = Verdict(moment: verdict.moment, callback: nil)
        lastEnded = 0
        callbacks = []
        counts = AttemptView.Counts()
        bytes = 0
        isCompact = true
    }

    /// Roughly what it takes in memory, in bytes.
    var memoryCost: Int { 640 + 2 * bytes + 320 * callbacks.count }

    /// Counts an open of the same meaning.
    mutating func countRepeatedOpen(_ origin: Origin) {
        _ = openRepeats.add(origin, after: self.origin.request)
    }

    /// Where an open of the same attempt means something else; the API's names, sorted.
    ///
    /// What the caller said is compared, not what a node's configuration put beside it: flows by
    /// name, and of the rest only what the caller stated. A definition or a default may have
    /// changed since, or be another one on another node, without the caller's doing.
    func differences(from other: OpenAttempt, flow otherFlow: FlowReference) -> [String] {
        var names: [String] = []
        if challenge != other.challenge { names.append("challenge") }
        let changed = stated.symmetricDifference(other.stated)
        if changed.contains(.expiresIn)
            || stated.contains(.expiresIn) && expiresInSeconds != other.expiresInSeconds
        {
            names.append("expires_in")
        }
        if flow !== otherFlow, flow.definition.name != otherFlow.definition.name {
            names.append("flow")
        }
        if changed.contains(.maxTries) || stated.contains(.maxTries) && maxTries != other.maxTries {
            names.append("max_tries")
        }
        if subject != other.subject { names.append("subject") }
        if stated.targets(of: targets) != other.stated.targets(of: other.targets) {
            names.append("targets")
        }
        return names
    }
}

extension Origin {
    static let none = Origin(
        node: 0,
        region: "",
        receivedAt: WallTime(milliseconds: 0),
        request: RequestID(node: 0, incarnation: 0, sequence: 0)
    )
}

extension OpenAttempt {
    /// What the attempt starts with of its bound on bytes: all that is of variable length.
    var variableBytes: Int {
        attempt.text.utf8.count + subject.utf8.count + (challenge?.count ?? 0)
            + origin.region.utf8.count + targets.reduce(0) { $0 + $1.url.utf8.count }
    }
}
