internal import Raft
internal import Verification

/// Checks what callers see: every answer right, and true for ever (write-once registers).
///
/// Existence and outcome of an attempt are write-once registers. For such a register a history is
/// linearizable exactly if all values seen are the same, none is seen before someone asked for it,
/// and nothing that begins after the value was seen misses it. An operation lasts from its arrival
/// at a node until the answer leaves there, which is stricter than what a caller can see.
struct DomainOracle {
    struct Facts {
        /// When an answer first left that says the attempt exists.
        var knownAt: UInt64?
        /// When one first left that says how it ended.
        var terminalAt: UInt64?
        var wasSubmitted = false
        var acknowledged: [Acknowledged] = []
        /// Acknowledged by the intake of a node, while the attempt was known to exist.
        var takenIn: [(key: CallbackKey, node: Int)] = []
        /// Handed to the intake of a node.
        var held: [(key: CallbackKey, node: Int)] = []
        /// Keys of which a node said that they are new to it, and late.
        ///
        /// What only stood in the log when it was said, the
        /// next process of the node need not know: its disk may lag behind the majority's.
        var lateTold: [(callback: Callback, node: Int, run: Int?)] = []
        /// How often each key was delivered to any node.
        var deliveries: [(key: CallbackKey, count: Int)] = []
        var identities: [(key: CallbackKey, identity: Int)] = []
    }
    struct Acknowledged {
        var key: CallbackKey
        var disposition: Disposition
    }

    var facts: [Facts]
    /// The newest entry whose result was told to anyone.
    private(set) var acknowledgedIndex = 0
    /// What was seen at least once, so that a run that tests nothing shows.
    private(set) var dispositions = [Int](repeating: 0, count: 8)
    private(set) var outcomes = [Int](repeating: 0, count: 8)
    /// Answers of attempts whose details were gone, and of such as were forgotten.
    private(set) var withoutDetails = 0
    var tooOld = 0
    /// Counts the processes of the node that answers.
    private var run = 0

    init(attempts: Int) { facts = [Facts](repeating: Facts(), count: attempts) }

    /// Someone asked for an attempt to be opened.
    mutating func asked(for attempt: Int) { facts[attempt].wasSubmitted = true }

    /// A callback's key is its own: no other event of the attempt has it.
    mutating func name(
        _ callback: Callback,
        _ identity: Int,
        _ attempt: Int,
        checker: inout ClusterChecker,
        at now: UInt64
    ) {
        if let i = facts[attempt].deliveries.firstIndex(where: { $0.key == callback.key }) {
            facts[attempt].deliveries[i].count += 1
        } else {
            facts[attempt].deliveries.append((callback.key, 1))
        }
        let known = facts[attempt].identities.first { $0.key == callback.key }
        guard let known else {
            facts[attempt].identities.append((callback.key, identity))
            return
        }
        if known.identity != identity {
            checker.fail(
                "callback identity",
                "\(callback.attempt): two events have the key \(callback.key)",
                at: now
            )
        }
    }

    /// A replica's result of applying a request is the model's.
    mutating func compare(
        _ applied: Applied,
        _ request: Request?,
        checker: inout ClusterChecker,
        at now: UInt64
    ) {
        guard let request, let id = request.id, let indexes = checker.byRequest[id] else {
            checker.fail("no answer before commit", "an answer to what is in no log", at: now)
            return
        }
        var matches = false
        for index in indexes {
            let expectation = checker.committed[index - 1].expectation
            if index <= request.floor {
                checker.fail(
                    "linearizability",
                    "entry \(index) is before \(request.floor), acknowledged when it was asked for",
                    at: now
                )
            }
            // A flow's definition was lost with a leader: the open went again.
            if expectation == .refused(.unknownFlow), !self.matches(applied, expectation) {
                continue
            }
            matches = self.matches(applied, expectation)
            if matches { acknowledgedIndex = max(acknowledgedIndex, index) }
            break
        }
        if !matches {
            let expected = indexes.map { "\(checker.committed[$0 - 1].expectation)" }
            checker.fail(
                "domain model",
                "n\(request.node + 1) decides \(applied), should be \(expected.joined(separator: " or "))",
                at: now
            )
        }
    }

    private func matches(_ applied: Applied, _ expected: DomainModel.Expectation) -> Bool {
        switch (applied, expected) {
        case (.opened(let isNew, _), .opened(let expected)): isNew == expected
        case (.decided(let decision), .decided(let expected)):
            decision == expected || isToldBefore(decision, expected)
        case (.refused(let refusal), .refused(let expected)): refusal == expected
        default: false
        }
    }

    /// An answer leaves a node.
    mutating func answered(
        _ reply: Reply,
        _ request: Request,
        _ plan: AttemptPlan,
        run: Int,
        checker: inout ClusterChecker,
        at now: UInt64
    ) {
        self.run = run
        let number = request.attempt
        let attempt = checker.model.attempts[plan.id]
        switch reply {
        case .notFound:
            if let known = facts[number].knownAt, known < request.arrivedAt,
                attempt == nil || checker.model.standing(of: plan.id) != .absent
            {
                checker.fail("linearizability", "\(plan.id) is not found any more", at: now)
            }
            return
        case .refused(.unknownFlow), .forbidden, .unavailable, .noConnection: return
        case .takenIn:
            // Of an attempt that nobody knows yet, the log may say that there is none.
            guard facts[number].knownAt != nil,
                case .callback(let callback, _) = plan.posts[request.post].post
            else { return }
            facts[number].takenIn.append((callback.key, request.node))
            return
        case .local(let view, let index):
            // Whatever it showed is committed: no read or command that comes later may miss it.
            acknowledgedIndex = max(acknowledgedIndex, index)
            if view == nil { return }
        case .refused(.tooOld):
            checkTooOld(plan, &checker, at: now)
            return
        case .refused(let refusal):
            if refusal == .detailsRemoved { checkCompact(plan, &checker, at: now) }
            facts[number].knownAt = facts[number].knownAt ?? now
            return
        default: break
        }
        guard let attempt, facts[number].wasSubmitted else {
            checker.fail("no attempt from nowhere", "\(plan.id) is answered: \(reply)", at: now)
            return
        }
        facts[number].knownAt = facts[number].knownAt ?? now
        switch reply {
        case .decided(let decision):
            dispositions[Int(decision.disposition.rawValue)] += 1
            check(decision, request, plan, attempt, &checker, at: now)
        case .late(let decision):
            dispositions[Int(decision.disposition.rawValue)] += 1
            checkLate(decision, request, plan, attempt, &checker, at: now)
        case .polled(let answer):
            let expected = answer.state.isTerminal ? attempt.terminalAnswer : nil
            if let expected, expected != answer {
                checker.fail(
                    "same answer for ever",
                    "\(plan.id): \(answer), was \(expected)",
                    at: now
                )
            }
            check(answer.state, request, plan, attempt, &checker, at: now)
        case .attempt(let view):
            if view.isCompact { checkCompact(plan, &checker, at: now) }
            check(view.state, request, plan, attempt, &checker, at: now)
        case .local(let view, _):
            guard let view else { return }
            checkLocal(view.state, number, plan, attempt, &checker, at: now)
        case .opened(let view):
            if view.state != .open || view.triesLeft != attempt.open.maxTries
                || view.openedAt.milliseconds != attempt.openedAt
                || view.expiresAt.milliseconds != attempt.expiresAt || view.counts.callbacks != 0
            {
                checker.fail(
                    "same answer for ever",
                    "\(plan.id) was opened otherwise: \(view)",
                    at: now
                )
            }
        default: break
        }
    }

    private mutating func check(
        _ decision: Decision,
        _ request: Request,
        _ plan: AttemptPlan,
        _ attempt: DomainModel.Attempt,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        guard case .callback(let callback, _) = plan.posts[request.post].post else { return }
        // Nothing is recorded of it, and its key is not looked for, once the details are gone.
        if checker.model.standing(of: plan.id) != .whole,
            isWithoutDetails(decision, request, callback, attempt)
        {
            withoutDetails += 1
            check(decision.answer.state, request, plan, attempt, &checker, at: now)
            return
        }
        guard let first = attempt.first(callback.key) else {
            checker.fail(
                "nothing acknowledged is lost",
                "\(plan.id) \(callback.key) is answered but not in the log",
                at: now
            )
            return
        }
        if first.answer != decision.answer {
            checker.fail(
                "same answer for ever",
                "\(plan.id) \(callback.key) is answered \(decision.answer), first \(first.answer)",
                at: now
            )
        }
        let differs = DomainModel.differences(first.callback, callback)
        if (decision.disposition == .mismatched) != !differs.isEmpty {
            checker.fail(
                "callback identity",
                "\(plan.id) \(callback.key) is \(decision.disposition.name), differs in \(differs)",
                at: now
            )
        }
        facts[request.attempt].acknowledged.append(
            Acknowledged(key: callback.key, disposition: decision.disposition)
        )
        switch decision.disposition {
        case .repeated, .mismatched:
            // The first answer again, from whenever that was.
            if decision.answer.state.isTerminal {
                check(decision.answer.state, request, plan, attempt, &checker, at: now)
            }
        case .late, .contradicted:
            noteLate(callback, request, run: run, plan, &checker, at: now)
            check(decision.answer.state, request, plan, attempt, &checker, at: now)
        default: check(decision.answer.state, request, plan, attempt, &checker, at: now)
        }
    }

    /// Something late is new to a node once.
    ///
    /// Of a key that is used for two things at once, the log may have the one first and the intake the other.
    private mutating func noteLate(
        _ callback: Callback,
        _ request: Request,
        run: Int?,
        _ plan: AttemptPlan,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        let isTold = facts[request.attempt].lateTold.contains { told in
            guard told.callback.key == callback.key, told.node == request.node,
                told.run == nil || told.run == self.run
            else { return false }
            return told.run == nil && run == nil
                || DomainModel.differences(told.callback, callback).isEmpty
        }
        if isTold {
            checker.fail(
                "callback identity",
                "\(plan.id) \(callback.key) is new to n\(request.node + 1) for the second time",
                at: now
            )
        }
        facts[request.attempt].lateTold.append((callback, request.node, run))
    }

    /// What is late is new to the log, and a repeat to a node whose intake had it by another way.
    private func isToldBefore(_ decision: Decision, _ expected: Decision) -> Bool {
        guard decision.disposition == .repeated,
            expected.disposition == .late || expected.disposition == .contradicted
        else { return false }
        return decision.answer == expected.answer
    }

    /// A node's directory is another one, or damaged: what it took in may be gone.
    mutating func replaced(_ node: Int) {
        for attempt in facts.indices {
            facts[attempt].takenIn.removeAll { $0.node == node }
            facts[attempt].held.removeAll { $0.node == node }
            facts[attempt].lateTold.removeAll { $0.node == node }
        }
    }

    /// A node answers a callback that is new to it with the committed outcome, before it is in the log.
    private mutating func checkLate(
        _ decision: Decision,
        _ request: Request,
        _ plan: AttemptPlan,
        _ attempt: DomainModel.Attempt,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        guard case .callback(let callback, _) = plan.posts[request.post].post else { return }
        // What another node took first is answered the same, whatever it means.
        let expected = attempt.first(callback.key)?.answer ?? attempt.terminalAnswer
        if expected != decision.answer || !decision.answer.state.isTerminal {
            checker.fail(
                "same answer for ever",
                """
                \(plan.id) \(callback.key) is answered \(decision.answer) from an intake, should be \(expected)
                """,
                at: now
            )
        }
        if decision.disposition != .repeated {
            noteLate(callback, request, run: nil, plan, &checker, at: now)
        }
        facts[request.attempt].takenIn.append((callback.key, request.node))
        check(decision.answer.state, request, plan, attempt, &checker, at: now)
    }

    /// An answer says in what state an attempt is.
    private mutating func check(
        _ state: AttemptState,
        _ request: Request,
        _ plan: AttemptPlan,
        _ attempt: DomainModel.Attempt,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        if state.isTerminal {
            if attempt.state != state {
                checker.fail(
                    "one terminal state",
                    "\(plan.id) is said to be \(state.name), is \(attempt.state.name)",
                    at: now
                )
            }
            if facts[request.attempt].terminalAt == nil {
                facts[request.attempt].terminalAt = now
                outcomes[Int(state.rawValue)] += 1
            }
        } else if let terminal = facts[request.attempt].terminalAt, terminal < request.arrivedAt {
            checker.fail(
                "linearizability",
                "\(plan.id) is said to be open, \((now - terminal) / 1_000_000) ms after its outcome was told",
                at: now
            )
        }
    }

    /// A node says what it knows by itself, which may be old: that an attempt is open is never wrong.
    private mutating func checkLocal(
        _ state: AttemptState,
        _ number: Int,
        _ plan: AttemptPlan,
        _ attempt: DomainModel.Attempt,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        guard state.isTerminal else { return }
        if attempt.state != state {
            checker.fail(
                "one terminal state",
                "a local read shows \(plan.id) \(state.name), it is \(attempt.state.name)",
                at: now
            )
        }
        if facts[number].terminalAt == nil {
            facts[number].terminalAt = now
            outcomes[Int(state.rawValue)] += 1
        }
    }

    /// What is publicly known of an attempt: nothing, that it exists, or how it ended.
    func knowledge(of attempt: Int) -> Int {
        facts[attempt].terminalAt != nil ? 2 : facts[attempt].knownAt != nil ? 1 : 0
    }
}
