internal import Verification

/// A second, plain implementation of the rules of verification, to hold the real one against.
///
/// It follows `docs/verification.md` and shares no code with the state machine. It is fed the
/// committed log once; what every replica says is compared with it.
struct DomainModel {
    /// What is known of an attempt after some entry.
    struct Snapshot: Hashable {
        var index: UInt64
        var state: AttemptState
        var triesLeft: UInt8
        var lines: Int
    }

    struct Call {
        let id: String?
        var rank = 0
        var wasAnswered = false
        var status: EndStatus?
        var sequence: UInt64?
        var isLive: Bool { rank > 0 && rank < 4 }
    }

    struct Line {
        let callback: Callback
        let disposition: Disposition
        let answer: Answer
    }

    struct Attempt {
        let open: OpenAttempt
        let flow: FlowDefinition
        let openedAt: UInt64
        let openIndex: UInt64
        /// What its ID carries, in milliseconds.
        let idTime: UInt64?
        let expiresAt: UInt64
        var state: AttemptState = .open
        var decidedIndex: UInt64 = 0
        /// Log time of the decision.
        var decidedAt = UInt64.max
        var tries = 0
        var holdsDigits = false
        var graceEnds: UInt64?
        var lastEnded = 0
        var calls: [Call] = []
        var lines: [Line] = []
        /// Oldest first.
        var history: [Snapshot] = []

        var deadline: UInt64? {
            state == .open ? min(expiresAt, graceEnds ?? .max) : nil
        }
        var triesLeft: UInt8 {
            Int(open.maxTries) > tries ? open.maxTries - UInt8(tries) : 0
        }
        func first(_ key: CallbackKey) -> Line? {
            lines.first { $0.callback.key == key && $0.disposition != .mismatched }
        }
        /// What was known after the entry at `index`.
        func snapshot(at index: UInt64) -> Snapshot? { history.last { $0.index <= index } }
    }

    /// What the model expects a replica to answer to the entry just applied.
    enum Expectation: Hashable {
        case opened(isNew: Bool)
        case decided(Decision)
        case flowDefined
        case refused(Refusal)
        case noted
    }

    /// Looked up only: its order differs from process to process.
    private(set) var attempts: [AttemptID: Attempt] = [:]
    private var flows: [FlowDigest: FlowDefinition] = [:]
    /// Attempts not decided yet, in the order they were opened.
    private var open: [AttemptID] = []
    /// Attempts that a deadline decided at the newest entry.
    private(set) var passed: [AttemptID] = []
    /// Whether the newest entry opened an attempt whose ID carries a time, and was one's before.
    private(set) var runsAgain = false
    /// What of the past is kept.
    var kept = Kept()
    /// The times that IDs carry, in milliseconds.
    private(set) var times: [AttemptID: UInt64] = [:]

    init(_ attempts: [AttemptPlan]) {
        for attempt in attempts { times[attempt.id] = attempt.idTime }
    }

    mutating func apply(_ command: Command?, index: UInt64, time: UInt64) -> Expectation {
        runsAgain = false
        kept.pass(time)
        defer { kept.note(index) }
        passDeadlines(index, time)
        switch command {
        case .open(let attempt): return apply(attempt, index, time)
        case .callback(let callback): return apply(callback, index, time)
        case .defineFlow(let flow):
            flows[flow.digest] = flows[flow.digest] ?? flow
            return .flowDefined
        case .settings(let settings):
            kept.settings = settings
            kept.pass(time)
            return .noted
        case .repeats, .tick, .readmit, .checkDigest, nil: return .noted
        }
    }

    func isFlowKnown(_ digest: FlowDigest) -> Bool { flows[digest] != nil }

    // MARK: Deadlines

    private mutating func passDeadlines(_ index: UInt64, _ time: UInt64) {
        passed.removeAll(keepingCapacity: true)
        for id in open {
            guard let attempt = attempts[id], let deadline = attempt.deadline, deadline <= time
            else { continue }
            attempts[id]?.decide(attempt.stateAtDeadline, index, time)
            passed.append(id)
        }
        open.removeAll { attempts[$0]?.state != .open }
    }

    // MARK: Opens

    private mutating func apply(_ opening: OpenAttempt, _ index: UInt64, _ time: UInt64)
        -> Expectation
    {
        guard let flow = flows[opening.flow] else { return .refused(.unknownFlow) }
        if let attempt = attempts[opening.attempt], !kept.isForgotten(attempt) {
            if kept.isCompact(attempt) { return .refused(.detailsRemoved) }
            let differs = attempt.differences(from: opening, flow)
            return differs.isEmpty
                ? .opened(isNew: false) : .refused(.openedDifferently(differs: differs))
        }
        if isTooOld(opening.attempt) { return .refused(.tooOld) }
        var attempt = Attempt(
            open: opening,
            flow: flow,
            openedAt: time,
            openIndex: index,
            idTime: times[opening.attempt],
            expiresAt: time + UInt64(opening.expiresInSeconds) * 1000
        )
        attempt.note(index)
        runsAgain = attempt.idTime != nil && attempts[opening.attempt] != nil
        attempts[opening.attempt] = attempt
        open.append(opening.attempt)
        return .opened(isNew: true)
    }

    // MARK: Callbacks

    private mutating func apply(_ callback: Callback, _ index: UInt64, _ time: UInt64)
        -> Expectation
    {
        guard callback.event != .poll else { return .noted }
        let id = callback.attempt
        guard let attempt = attempts[id], !kept.isForgotten(attempt) else {
            return .refused(isTooOld(id) ? .tooOld : .unknownAttempt)
        }
        if kept.isCompact(attempt) { return .decided(attempt.answerWithoutDetails(callback)) }
        guard let decision = attempts[id]?.receive(callback, index, time) else {
            return .refused(.unknownAttempt)
        }
        return .decided(decision)
    }
}

extension DomainModel.Attempt {
    fileprivate mutating func note(_ index: UInt64) {
        history.append(
            .init(index: index, state: state, triesLeft: triesLeft, lines: lines.count)
        )
    }

    fileprivate var stateAtDeadline: AttemptState {
        guard let graceEnds, graceEnds < expiresAt else { return .expired }
        let call = calls[lastEnded]
        return call.wasAnswered || call.status == .completed ? .abandoned : .unreachable
    }

    fileprivate mutating func decide(_ terminal: AttemptState, _ index: UInt64, _ time: UInt64) {
        state = terminal
        decidedIndex = index
        decidedAt = time
        graceEnds = nil
        note(index)
    }

    fileprivate func differences(from other: OpenAttempt, _ otherFlow: FlowDefinition) -> [String] {
        var names: [String] = []
        if open.challenge != other.challenge { names.append("challenge") }
        if open.expiresInSeconds != other.expiresInSeconds { names.append("expires_in") }
        if flow.name != otherFlow.name { names.append("flow") }
        if open.maxTries != other.maxTries { names.append("max_tries") }
        if open.subject != other.subject { names.append("subject") }
        if open.targets != other.targets { names.append("targets") }
        return names
    }

    /// The answer of a decided attempt.
    var terminalAnswer: Answer {
        let target = open.targets.first { $0.state == state }
        return Answer(
            attempt: open.attempt,
            state: state,
            index: EntryIndex(decidedIndex),
            next: target.map { .redirect(url: $0.url) } ?? .hangup,
            flow: flow.digest
        )
    }

    /// What a call on the line does next.
    var step: NextStep {
        flow.kind == .confirm || holdsDigits ? .wait(seconds: flow.waitSeconds) : gather
    }

    private var gather: NextStep {
        .gather(digits: flow.digits, triesLeft: triesLeft, step: UInt32(tries) + 1)
    }

    private func answer(_ next: NextStep, _ index: UInt64) -> Answer {
        Answer(
            attempt: open.attempt,
            state: .open,
            index: EntryIndex(index),
            next: next,
            flow: flow.digest
        )
    }

    fileprivate mutating func receive(_ callback: Callback, _ index: UInt64, _ time: UInt64)
        -> Decision
    {
        if let first = first(callback.key) {
            let differs = DomainModel.differences(first.callback, callback)
            guard !differs.isEmpty else {
                return Decision(disposition: .repeated, answer: first.answer)
            }
            let isKnown = lines.contains {
                $0.callback.key == callback.key && $0.disposition == .mismatched
                    && DomainModel.differences($0.callback, callback).isEmpty
            }
            if !isKnown { record(callback, .mismatched, first.answer, index) }
            return Decision(disposition: .mismatched, answer: first.answer, differs: differs)
        }
        let claim = claim(of: callback)
        if state != .open {
            let disposition: Disposition =
                claim == nil || claim == state ? .late : .contradicted
            record(callback, disposition, terminalAnswer, index)
            return Decision(disposition: disposition, answer: terminalAnswer)
        }
        let (disposition, next) = move(callback, claim, index, time)
        let answer = next.map { self.answer($0, index) } ?? terminalAnswer
        record(callback, disposition, answer, index)
        return Decision(disposition: disposition, answer: answer)
    }

    private mutating func record(
        _ callback: Callback,
        _ disposition: Disposition,
        _ answer: Answer,
        _ index: UInt64
    ) {
        lines.append(.init(callback: callback, disposition: disposition, answer: answer))
        note(index)
    }

    private func claim(of callback: Callback) -> AttemptState? {
        switch callback.event {
        case .outcome: callback.outcome.map { $0 == .verified ? .verified : .rejected }
        case .cancel: .cancelled
        case .digits: isRight(callback) ? .verified : nil
        default: nil
        }
    }

    private func isRight(_ callback: Callback) -> Bool {
        flow.kind == .code && callback.digits != nil && callback.digits == open.challenge
    }

    /// - Returns: the disposition and the next step; `nil` stands for the terminal answer.
    private mutating func move(
        _ callback: Callback,
        _ claim: AttemptState?,
        _ index: UInt64,
        _ time: UInt64
    ) -> (Disposition, NextStep?) {
        let known = calls.firstIndex { $0.id == callback.call }
        switch callback.event {
        case .outcome, .cancel:
            guard let claim else { return (.accepted, NextStep.none) }
            decide(claim, index, time)
            return (.accepted, nil)
        case .initiated, .ringing, .answered:
            return progress(callback, known)
        case .digits:
            let call = known ?? addCall(callback)
            calls[call].wasAnswered = true
            if calls[call].rank < 3 {
                calls[call].rank = 3
                graceEnds = nil
            }
            return judge(claim, index, time)
        case .ended:
            let call = known ?? addCall(callback)
            guard calls[call].rank != 4 else { return (.stale, NextStep.none) }
            calls[call].rank = 4
            calls[call].status = callback.status
            lastEnded = call
            if !calls.contains(where: \.isLive) {
                graceEnds = time + UInt64(flow.graceSeconds) * 1000
            }
            return (.accepted, NextStep.none)
        case .poll:
            return (.stale, NextStep.none)
        }
    }

    private mutating func addCall(_ callback: Callback) -> Int {
        calls.append(.init(id: callback.call))
        return calls.count - 1
    }

    private mutating func progress(_ callback: Callback, _ known: Int?)
        -> (Disposition, NextStep?)
    {
        let rank = callback.event == .initiated ? 1 : callback.event == .ringing ? 2 : 3
        let asks = callback.event == .answered
        if let known {
            let call = calls[known]
            var isStale = call.rank > rank || (call.rank == rank && !asks)
            if let sequence = callback.sequence, let highest = call.sequence,
                sequence < highest
            {
                isStale = true
            }
            if isStale { return (.stale, asks && call.isLive ? step : NextStep.none) }
            if call.rank == rank {
                calls[known].raise(callback.sequence)
                return (.accepted, step)
            }
        }
        let call = known ?? addCall(callback)
        calls[call].rank = rank
        if asks { calls[call].wasAnswered = true }
        graceEnds = nil
        calls[call].raise(callback.sequence)
        return (.accepted, asks ? step : NextStep.none)
    }

    private mutating func judge(_ claim: AttemptState?, _ index: UInt64, _ time: UInt64)
        -> (Disposition, NextStep?)
    {
        if let claim {
            decide(claim, index, time)
            return (.accepted, nil)
        }
        guard flow.kind == .code, open.challenge != nil else {
            if flow.kind == .code { holdsDigits = true }
            return (.accepted, .wait(seconds: flow.waitSeconds))
        }
        tries += 1
        if tries >= max(1, Int(open.maxTries)) {
            decide(.rejected, index, time)
            return (.accepted, nil)
        }
        return (.accepted, gather)
    }
}

extension DomainModel.Call {
    fileprivate mutating func raise(_ sequence: UInt64?) {
        guard let sequence else { return }
        self.sequence = max(sequence, self.sequence ?? 0)
    }
}

extension DomainModel {
    /// Fields in which two callbacks mean something else, as the API spells them, sorted.
    static func differences(_ a: Callback, _ b: Callback) -> [String] {
        var names: [String] = []
        if a.call != b.call { names.append("call") }
        if a.channel != b.channel { names.append("channel") }
        if a.digits != b.digits { names.append("digits") }
        if a.event != b.event { names.append("event") }
        if a.outcome != b.outcome { names.append("outcome") }
        if a.provider != b.provider { names.append("provider") }
        if a.sequence != b.sequence { names.append("sequence") }
        if a.status != b.status { names.append("status") }
        return names
    }
}
