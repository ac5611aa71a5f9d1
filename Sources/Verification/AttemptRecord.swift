/// A flow's definition as attempts hold it: one object, however many attempts name it.
final class FlowReference: Sendable {
    let definition: FlowDefinition
    init(_ definition: FlowDefinition) { self.definition = definition }
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
    let flow: FlowReference
    let subject: String
    let expiresInSeconds: UInt32
    let challenge: [UInt8]?
    let maxTries: UInt8
    let targets: [Target]
    let stated: OpenAttempt.Stated
    let opened: Moment
    let expiresAt: LogTime
    let origin: Origin
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

    init(_ open: OpenAttempt, flow: FlowReference, at moment: Moment) {
        id = open.attempt
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

extension OpenAttempt {
    /// What the attempt starts with of its bound on bytes: all that is of variable length.
    var variableBytes: Int {
        attempt.text.utf8.count + subject.utf8.count + (challenge?.count ?? 0)
            + origin.region.utf8.count + targets.reduce(0) { $0 + $1.url.utf8.count }
    }
}
