import Testing
import Verification

/// Every sequence of four events out of a small alphabet, in every order, each event repeated
/// after every step.
///
/// Shorter sequences are the beginnings of these and checked on the way.
@Suite("every sequence of events")
struct ExhaustiveTests {
    /// What may happen; each has one key, so a letter that comes twice is a repeat.
    enum Letter: Int, CaseIterable {
        case ringing, answered, wrongOnce, wrongTwice, right, ended, otherCallEnded
        case rejected, verified, cancel, graceTime
    }

    @Test(
        "the outcome never changes, a repeat gets its first answer and moves nothing, replicas agree",
        arguments: [FlowKind.code, .confirm]
    )
    func allSequences(kind: FlowKind) {
        let letters = Letter.allCases
        var decided: [AttemptState: Int] = [:]
        for first in letters {
            for second in letters {
                for third in letters {
                    for fourth in letters {
                        let sequence = [first, second, third, fourth]
                        var run = Run(kind)
                        if let problem = run.play(sequence) {
                            Issue.record("\(kind) \(sequence): \(problem)")
                            return
                        }
                        decided[run.state, default: 0] += 1
                    }
                }
            }
        }
        // Nothing is proved of a state that no sequence reaches. Expiry is a deadline like grace.
        for state in AttemptState.allCases where state != .expired {
            #expect(decided[state, default: 0] > 50, "\(state)")
        }
    }
}

/// Three replicas and a naive twin through one sequence.
private struct Run: ~Copyable {
    private var replica = StateMachine()
    /// Gets every command through its bytes, and keeps no decided attempt in memory.
    private var decoding = StateMachine()
    private let store = TestStore()
    /// Gets a tick where the others get a repeat.
    private var undisturbed = StateMachine()
    private var twin: NaiveAttempt
    private var index: UInt64 = 0
    private var milliseconds: UInt64 = 1_000_000
    private var requests: UInt64 = 0
    private var firstAnswers: [ExhaustiveTests.Letter: Answer] = [:]
    private var bytes: [UInt8] = []
    private(set) var state = AttemptState.open

    init(_ kind: FlowKind) {
        twin = NaiveAttempt(kind: kind)
        let store = store
        decoding.setReader { store.read($0) }
        let flow = kind == .code ? Script.code : Script.confirm
        _ = apply(.defineFlow(flow), isRepeat: false)
        let open = OpenAttempt(
            attempt: Script.id,
            flow: flow.digest,
            subject: "user",
            expiresInSeconds: 600,
            challenge: Script.right,
            maxTries: 2,
            targets: [],
            origin: origin()
        )
        _ = apply(.open(open), isRepeat: false)
    }

    /// Plays a sequence and says what went wrong.
    mutating func play(_ sequence: [ExhaustiveTests.Letter]) -> String? {
        for step in sequence.indices {
            if let problem = happen(sequence[step]) { return "\(sequence[step]): \(problem)" }
            for letter in sequence[...step] where letter != .graceTime {
                if let problem = again(letter) { return "\(letter) again: \(problem)" }
            }
        }
        guard replica.canonicalBytes == decoding.canonicalBytes else {
            return "the replicas' states differ"
        }
        return nil
    }

    private mutating func happen(_ letter: ExhaustiveTests.Letter) -> String? {
        guard letter != .graceTime else {
            milliseconds += 30_000
            guard apply(.tick, isRepeat: false) == .noted else { return "a tick was not noted" }
            twin.happen(letter)
            return check(before: state)
        }
        guard firstAnswers[letter] == nil else { return again(letter) }
        let before = state
        guard case .decided(let decision) = apply(command(letter), isRepeat: false) else {
            return "no decision"
        }
        firstAnswers[letter] = decision.answer
        twin.happen(letter)
        guard
            (decision.disposition == .late || decision.disposition == .contradicted)
                == before.isTerminal
        else { return "\(decision.disposition) in state \(before)" }
        if let problem = check(before: before) { return problem }
        guard decision.answer.state == state else { return "answered \(decision.answer.state)" }
        return nil
    }

    private mutating func again(_ letter: ExhaustiveTests.Letter) -> String? {
        let triesLeft = replica.attempt(Script.id)?.triesLeft
        guard case .decided(let decision) = apply(command(letter), isRepeat: true) else {
            return "no decision"
        }
        guard decision.disposition == .repeated else { return "\(decision.disposition)" }
        guard decision.answer == firstAnswers[letter] else { return "\(decision.answer)" }
        guard replica.attempt(Script.id)?.triesLeft == triesLeft else { return "a try was used" }
        return check(before: state)
    }

    private mutating func check(before: AttemptState) -> String? {
        guard var view = replica.attempt(Script.id),
            let undisturbed = undisturbed.attempt(Script.id)
        else { return "the attempt is gone" }
        guard !before.isTerminal || view.state == before else { return "\(before) changed" }
        guard view.state == twin.state else { return "\(view.state), expected \(twin.state)" }
        guard view.triesLeft == twin.triesLeft else { return "\(view.triesLeft) tries left" }
        view.counts.repeated = 0
        guard view == undisturbed else { return "repeats made a difference: \(view)" }
        state = view.state
        return nil
    }

    /// Applies to all three, which must decide the same.
    private mutating func apply(_ command: Command, isRepeat: Bool) -> Applied? {
        index += 1
        let (index, time) = (EntryIndex(index), LogTime(milliseconds: milliseconds))
        bytes.removeAll(keepingCapacity: true)
        command.encode(into: &bytes)
        guard let decoded = try? Command(decoding: bytes) else { return nil }
        let applied = replica.apply(command, at: index, time: time)
        let paged =
            index.number % 3 == 0
            ? decoding.paged(through: store) { $0.apply(decoded, at: index, time: time) }
            : decoding.apply(decoded, at: index, time: time)
        guard paged == applied else { return nil }
        let calm = undisturbed.apply(isRepeat ? .tick : command, at: index, time: time)
        guard isRepeat || calm == applied else { return nil }
        return applied
    }

    private mutating func origin() -> Origin {
        requests += 1
        return Origin(
            node: 1,
            region: "us-east",
            receivedAt: WallTime(milliseconds: milliseconds),
            request: RequestID(node: 1, incarnation: 1, sequence: requests)
        )
    }

    private mutating func command(_ letter: ExhaustiveTests.Letter) -> Command {
        let event: EventKind
        var call: String? = "CA1"
        var (sequence, digits) = (nil, nil) as (UInt64?, [UInt8]?)
        var (status, outcome) = (nil, nil) as (EndStatus?, ClaimedOutcome?)
        switch letter {
        case .ringing: event = .ringing
        case .answered: event = .answered
        case .wrongOnce: (event, sequence, digits) = (.digits, 1, Script.wrong)
        case .wrongTwice: (event, sequence, digits) = (.digits, 2, Script.wrong)
        case .right: (event, sequence, digits) = (.digits, 3, Script.right)
        case .ended: (event, status) = (.ended, .completed)
        case .otherCallEnded: (event, call, status) = (.ended, "CA2", .noAnswer)
        case .rejected: (event, call, outcome) = (.outcome, nil, .rejected)
        case .verified: (event, call, outcome) = (.outcome, nil, .verified)
        case .cancel: (event, call) = (.cancel, nil)
        case .graceTime: return .tick
        }
        let key = CallbackKey(logged: "verdict/key/\(letter.rawValue)")
        let callback = Callback(
            attempt: Script.id,
            key: key,
            provider: "verdict",
            call: call,
            event: event,
            sequence: sequence,
            digits: digits,
            status: status,
            outcome: outcome,
            channel: "voice",
            occurredAt: nil,
            origin: origin()
        )
        return .callback(callback)
    }
}

/// The rules once more, as plainly as they can be said for these letters and no more.
private struct NaiveAttempt {
    let kind: FlowKind
    var state = AttemptState.open
    var triesLeft: UInt8 = 2
    private var seen: Set<ExhaustiveTests.Letter> = []
    private var order: [ExhaustiveTests.Letter] = []

    init(kind: FlowKind) { self.kind = kind }

    mutating func happen(_ letter: ExhaustiveTests.Letter) {
        guard state == .open, letter == .graceTime || seen.insert(letter).inserted else { return }
        order.append(letter)
        switch letter {
        case .ringing, .answered, .ended, .otherCallEnded: break
        case .wrongOnce, .wrongTwice:
            guard kind == .code else { break }
            triesLeft -= 1
            if triesLeft == 0 { state = .rejected }
        case .right: if kind == .code { state = .verified }
        case .rejected: state = .rejected
        case .verified: state = .verified
        case .cancel: state = .cancelled
        case .graceTime: passGrace()
        }
    }

    /// Decides if calls ended and none is live.
    private mutating func passGrace() {
        let live: Set<ExhaustiveTests.Letter> = [
            .ringing, .answered, .wrongOnce, .wrongTwice, .right,
        ]
        let firstEnded = order.contains(.ended)
        guard firstEnded || order.contains(.otherCallEnded) else { return }
        guard firstEnded || live.isDisjoint(with: order) else { return }
        let last = order.last { $0 == .ended || $0 == .otherCallEnded }
        state = last == .ended ? .abandoned : .unreachable
    }
}
