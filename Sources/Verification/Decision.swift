/// What became of a callback; one of the six of the API, in `Verdict-Disposition`.
package enum Disposition: UInt8, Hashable, Sendable, CaseIterable {
    case accepted = 1
    /// The same key with the same meaning: the first answer again, nothing moves.
    case repeated = 2
    /// The same key with another meaning: nothing moves.
    case mismatched = 3
    /// New, but the attempt was decided before; agrees or says nothing about the outcome.
    case late = 4
    /// New, and claims another outcome than the committed one.
    case contradicted = 5
    /// Older than the progress its call has made.
    case stale = 6

    package var name: String {
        switch self {
        case .accepted: "accepted"
        case .repeated: "repeated"
        case .mismatched: "mismatched"
        case .late: "late"
        case .contradicted: "contradicted"
        case .stale: "stale"
        }
    }
}

/// What the call does next; follows from the decision alone (design rule 9).
package enum NextStep: Hashable, Sendable {
    case redirect(url: String)
    case hangup
    /// `step` numbers the gather: the URL for its digits carries it, so that the same digits keyed
    /// in twice are two tries and a retry of one of them is none.
    case gather(digits: UInt8, triesLeft: UInt8, step: UInt32)
    case wait(seconds: UInt8)
    case none
}

/// The answer to a callback.
///
/// Equal answers have equal bytes on every platform's wire.
package struct Answer: Hashable, Sendable {
    package var attempt: AttemptID
    package var state: AttemptState
    /// The entry the state comes from: the deciding one once terminal, else this callback's own.
    package var index: EntryIndex
    package var next: NextStep
    /// The flow the attempt was opened with, for the wording of prompts.
    package var flow: FlowDigest

    package init(
        attempt: AttemptID,
        state: AttemptState,
        index: EntryIndex,
        next: NextStep,
        flow: FlowDigest
    ) {
        self.attempt = attempt
        self.state = state
        self.index = index
        self.next = next
        self.flow = flow
    }
}

package struct Decision: Hashable, Sendable {
    package var disposition: Disposition
    package var answer: Answer
    /// For `mismatched`: the names of the fields that differ, as the API spells them, sorted.
    package var differs: [String]
    package init(disposition: Disposition, answer: Answer, differs: [String] = []) {
        self.disposition = disposition
        self.answer = answer
        self.differs = differs
    }
}

/// Why a command was not carried out.
///
/// It stands in the log but moved nothing.
package enum Refusal: Hashable, Sendable {
    case unknownAttempt
    /// The open names a flow definition that the log does not have; propose it first.
    case unknownFlow
    /// The attempt exists with another meaning; the fields that differ, sorted.
    case openedDifferently(differs: [String])
    case tooManyAttempts(limit: Int)
    case tooManyCalls(limit: Int)
    case tooManyCallbacks(limit: Int)
    case tooManyBytes(limit: Int)
    case tooManyFlows(limit: Int)
    /// Decided so long ago that only its outcome is still known; it cannot be opened again.
    case detailsRemoved
    /// The ID carries a time before which all is forgotten.
    case tooOld
}

/// The result of applying one command.
package enum Applied: Hashable, Sendable {
    /// Opened, or opened before with the same meaning (`isNew` false).
    case opened(isNew: Bool, AttemptView)
    case decided(Decision)
    case flowDefined(FlowDigest)
    case refused(Refusal)
    /// Ticks, batches of repeats, and settings.
    case noted
}

package struct Outcome: Hashable, Sendable {
    package var state: AttemptState
    package var index: EntryIndex
    package var decidedAt: LogTime
    /// `nil` when a deadline decided.
    package var channel: String?
    package var call: String?
    package var region: String?
    package init(
        state: AttemptState,
        index: EntryIndex,
        decidedAt: LogTime,
        channel: String?,
        call: String?,
        region: String?
    ) {
        self.state = state
        self.index = index
        self.decidedAt = decidedAt
        self.channel = channel
        self.call = call
        self.region = region
    }
}

/// An attempt as the API shows it.
package struct AttemptView: Hashable, Sendable {
    package struct Counts: Hashable, Sendable {
        package var callbacks: UInt64 = 0
        package var repeated: UInt64 = 0
        package var mismatched: UInt64 = 0
        package var late: UInt64 = 0
        package var contradicted: UInt64 = 0
        package var stale: UInt64 = 0
        package init() {}
    }
    package var attempt: AttemptID
    package var flow: String
    package var subject: String
    package var state: AttemptState
    package var openedAt: LogTime
    package var expiresAt: LogTime
    package var triesLeft: UInt8
    package var outcome: Outcome?
    package var counts: Counts
    /// The retention time is over: only state, outcome and flow are still known.
    package var isCompact = false

    package init(
        attempt: AttemptID,
        flow: String,
        subject: String,
        state: AttemptState,
        openedAt: LogTime,
        expiresAt: LogTime,
        triesLeft: UInt8,
        outcome: Outcome?,
        counts: Counts
    ) {
        self.attempt = attempt
        self.flow = flow
        self.subject = subject
        self.state = state
        self.openedAt = openedAt
        self.expiresAt = expiresAt
        self.triesLeft = triesLeft
        self.outcome = outcome
        self.counts = counts
    }
}

/// One line of an attempt's timeline: a receipt, or a deadline that passed.
package struct TimelineEntry: Hashable, Sendable {
    package enum What: Hashable, Sendable {
        case opened
        case callback(EventKind)
        /// The expiry, or the grace time after the last call's end, passed.
        case deadline
        /// The decision, of which no more is kept: the attempt's retention time is over.
        case decided
    }
    package var index: EntryIndex
    package var at: LogTime
    package var what: What
    package var receivedAt: WallTime?
    package var occurredAt: WallTime?
    package var region: String?
    package var node: UInt32?
    package var provider: String?
    package var key: CallbackKey?
    package var call: String?
    package var sequence: UInt64?
    package var channel: String?
    package var status: EndStatus?
    package var claimed: ClaimedOutcome?
    package var disposition: Disposition?
    package var differs: [String] = []
    package var stateBefore: AttemptState
    package var stateAfter: AttemptState
    package var repeats: UInt64 = 0
    package var lastRepeatAt: WallTime?

    package init(
        index: EntryIndex,
        at: LogTime,
        what: What,
        stateBefore: AttemptState,
        stateAfter: AttemptState
    ) {
        self.index = index
        self.at = at
        self.what = what
        self.stateBefore = stateBefore
        self.stateAfter = stateAfter
    }
}

/// Bounds of the state machine.
///
/// They are part of the log's meaning: all nodes of a cluster must run with the same ones, so they
/// are constants of a format version, not configuration.
package struct VerificationLimits: Hashable, Sendable {
    /// Attempts that are open at a time; decided ones are not counted.
    package var attempts = 4_000_000
    package var flows = 10_000
    package var callsPerAttempt = 32
    package var callbacksPerAttempt = 256
    package var bytesPerAttempt = 64 * 1024
    package init() {}
}
