/// The replicated state machine: attempts, their calls and callbacks, and their outcomes.
///
/// Its state is a pure function of the entries applied: no clock, configuration or random value
/// takes part, so every replica that has applied the same log gives the same answers. The rules
/// stand in `docs/verification.md`, and the events × states table in `EventTable`.
///
/// Open attempts are in memory. A decided one may be *settled*: its record lies in the state store, and
/// memory holds where. What names a settled attempt must have it loaded first (`StateMachine+Paging`).
package struct StateMachine: ~Copyable {
    package let limits: VerificationLimits
    /// The hash of the index of settled attempts.
    package let hash: AttemptHash
    /// The newest entry applied; 0 before the first.
    package internal(set) var appliedIndex = EntryIndex(0)
    /// The time of the newest entry applied.
    package internal(set) var time = LogTime(milliseconds: 0)
    package internal(set) var counters = Counters()
    /// What the state has come to, to be compared with the other replicas'.
    package internal(set) var digest = StateDigest()
    /// The first time that this replica's digest was not the one agreed.
    package internal(set) var mismatch: DigestMismatch?
    /// The directory that was last let in for each node, by node.
    package internal(set) var readmissions: [Admission] = []
    /// How long attempts are kept, and what is gone by now.
    package internal(set) var retention = Retention()
    /// Attempts opened so far, forgotten ones included.
    package internal(set) var openedCount: UInt64 = 0

    var flows: [FlowDigest: FlowReference] = [:]
    /// By their numbers.
    var flowList: [FlowReference] = []
    var attempts = AttemptSlab()
    var positions = AttemptIndex()
    var deadlines = DeadlineHeap()
    var reporters = RepeatReporters()

    var settled = SettledIndex()
    var paging = Paging()

    package init(limits: VerificationLimits = .init(), hash: AttemptHash = AttemptHash(key: 0)) {
        self.limits = limits
        self.hash = hash
    }

    /// When the earliest deadline of an open attempt passes.
    ///
    /// A leader whose clock is past it proposes a tick, so that it passes without traffic too.
    package var nextDeadline: LogTime? { deadlines.first }

    // MARK: Entries

    /// Applies a command: deadlines that have passed at `time` first, then the command.
    ///
    /// - Precondition: `index` is beyond the last one, `time` is not before the last one, and no
    ///   settled attempt that the command names is unloaded.
    package mutating func apply(
        _ command: Command,
        at index: EntryIndex,
        time: LogTime
    ) -> Applied {
        let moment = begin(index, time)
        let applied: Applied
        switch command {
        case .open(let open): applied = apply(open, at: moment)
        case .callback(let callback): applied = apply(callback, at: moment)
        case .defineFlow(let flow): applied = apply(flow)
        case .repeats(let batch):
            apply(batch)
            applied = .noted
        case .tick: applied = .noted
        case .readmit(let readmission):
            note(Admission(readmission, index: index))
            applied = .noted
        case .settings(let settings):
            retention.settings = settings
            retention.advance(to: moment.time)
            applied = .noted
        case .checkDigest(let mark):
            check(mark, at: index)
            return .noted
        }
        if case .refused(let refusal) = applied { counters.count(refusal) }
        digest.fold { applied.fold(into: &$0) }
        digest.endEntry(index)
        return applied
    }

    /// Applies an entry that carries no command, such as the one that begins a term: its time
    /// passes, and with it deadlines.
    package mutating func applyNothing(at index: EntryIndex, time: LogTime) {
        _ = begin(index, time)
    }

    /// Applies an entry whose command this version cannot decode: counted, and only its time
    /// passes.
    package mutating func applyUndecodable(at index: EntryIndex, time: LogTime) {
        _ = begin(index, time)
        counters.undecodable += 1
    }

    /// Lets a directory in, in place of the one that the command names.
    ///
    /// Said twice, or so late that another one stands for the node, it changes nothing: else the node would have to
    /// catch up again, or be shut out.
    private mutating func note(_ admission: Admission) {
        var admission = admission
        let replaces = admission.readmission.replaces
        // Once let in it is as any other.
        admission.readmission.replaces = nil
        let node = admission.readmission.node
        if let standing = readmissions.first(where: { $0.readmission.node == node }) {
            let directory = standing.readmission.directory
            if directory == admission.readmission.directory { return }
            if let replaces, directory != replaces { return }
        }
        readmissions.removeAll { $0.readmission.node == admission.readmission.node }
        readmissions.append(admission)
        readmissions.sort { $0.readmission.node < $1.readmission.node }
    }

    /// Compares the digest that was agreed for an earlier entry with the own one, and marks this one.
    private mutating func check(_ agreed: DigestMark?, at index: EntryIndex) {
        if let agreed {
            if let own = digest.mark(at: agreed.index) {
                counters.checkedDigests += 1
                if own != agreed, mismatch == nil {
                    mismatch = DigestMismatch(at: index, agreed: agreed, own: own.digest)
                }
            } else {
                counters.uncheckedDigests += 1
            }
            digest.compared(agreed.index)
        }
        digest.mark(index)
    }

    private mutating func begin(_ index: EntryIndex, _ time: LogTime) -> Moment {
        invariant(
            index > appliedIndex,
            "entry \(index.number) applied after \(appliedIndex.number)"
        )
        invariant(
            time >= self.time,
            "log time ran back: \(self.time.milliseconds) -> \(time.milliseconds)"
        )
        appliedIndex = index
        self.time = time
        retention.advance(to: time)
        let moment = Moment(index: index, time: time)
        if let first = deadlines.first, first <= time { passDeadlines(at: moment) }
        return moment
    }

    /// Decides every attempt whose deadline has passed, in order of deadline and attempt ID.
    private mutating func passDeadlines(at moment: Moment) {
        var due = deadlines.removeDue(at: moment.time)
        if due.count > 1 {
            due.sort {
                $0.deadline != $1.deadline
                    ? $0.deadline < $1.deadline
                    : attempts[$0.attempt].id < attempts[$1.attempt].id
            }
        }
        for element in due {
            willChange(element.attempt)
            attempts[element.attempt].passDeadline(at: moment)
            counters.decide(attempts[element.attempt].state)
            digest.fold {
                $0.append(text: attempts[element.attempt].id.text)
                attempts[element.attempt].fold(into: &$0)
            }
        }
        digest.endEntry(moment.index)
    }

    // MARK: Commands

    private mutating func apply(_ flow: FlowDefinition) -> Applied {
        if flows[flow.digest] == nil {
            guard flows.count < limits.flows else {
                return .refused(.tooManyFlows(limit: limits.flows))
            }
            define(flow)
        }
        return .flowDefined(flow.digest)
    }

    mutating func define(_ flow: FlowDefinition) {
        let reference = FlowReference(flow, number: flowList.count)
        flows[flow.digest] = reference
        flowList.append(reference)
    }

    private mutating func apply(_ open: OpenAttempt, at moment: Moment) -> Applied {
        guard let flow = flows[open.flow] else { return .refused(.unknownFlow) }
        if let position = find(open.attempt) {
            guard !attempts[position].isCompact else { return .refused(.detailsRemoved) }
            let differs = attempts[position].differences(from: open, flow: flow)
            guard differs.isEmpty else { return .refused(.openedDifferently(differs: differs)) }
            willChange(position)
            attempts[position].countRepeatedOpen(open.origin)
            return .opened(isNew: false, attempts[position].openedView)
        }
        guard !retention.refuses(open.attempt) else { return .refused(.tooOld) }
        // Each open attempt has a deadline, and no other has.
        guard deadlines.count < limits.attempts else {
            return .refused(.tooManyAttempts(limit: limits.attempts))
        }
        guard open.variableBytes <= limits.bytesPerAttempt else {
            return .refused(.tooManyBytes(limit: limits.bytesPerAttempt))
        }
        let position = insert(
            AttemptRecord(open, ordinal: openedCount, flow: flow, at: moment)
        )
        openedCount += 1
        willChange(position)
        deadlines.set(attempts[position].deadline, of: position)
        counters.open()
        digest.fold { attempts[position].fold(into: &$0) }
        return .opened(isNew: true, attempts[position].openedView)
    }

    private mutating func apply(_ callback: Callback, at moment: Moment) -> Applied {
        guard callback.event != .poll else {
            counters.loggedPolls += 1
            return .noted
        }
        guard let position = find(callback.attempt) else {
            return .refused(retention.refuses(callback.attempt) ? .tooOld : .unknownAttempt)
        }
        guard !attempts[position].isCompact else {
            let decision = attempts[position].decisionWithoutDetails(callback)
            counters.count(decision.disposition)
            return .decided(decision)
        }
        willChange(position)
        let (state, deadline) = (attempts[position].state, attempts[position].deadline)
        switch attempts[position].receive(callback, at: moment, limits: limits) {
        case .refused(let refusal): return .refused(refusal)
        case .decided(let decision, let isCounted):
            if isCounted { counters.count(decision.disposition) }
            if attempts[position].state != state { counters.decide(attempts[position].state) }
            let newDeadline = attempts[position].deadline
            if newDeadline != deadline { deadlines.set(newDeadline, of: position) }
            digest.fold { attempts[position].fold(into: &$0) }
            return .decided(decision)
        }
    }

    private mutating func apply(_ batch: RepeatBatch) {
        let isNew = reporters.accept(batch.request)
        for item in batch.items {
            guard isNew, let position = find(item.attempt), !attempts[position].isCompact,
                let line = attempts[position].position(of: item.key)
            else {
                counters.ignoredRepeats += UInt64(item.count)
                continue
            }
            willChange(position)
            attempts[position].countRepeats(item, of: line)
            counters.count(.repeated, by: UInt64(item.count))
            digest.fold { attempts[position].fold(into: &$0) }
        }
    }

    // MARK: Reads

    /// The answer to a callback that is known here, without the log.
    ///
    /// - Returns: a `repeated` decision if this key was applied with this meaning, whose answer
    ///   is the same for ever on any node, or what any callback is answered once the attempt's
    ///   details are gone; `nil` if the callback must go through the log, as a mismatch must.
    package func knownAnswer(to callback: Callback) -> Decision? {
        look(callback.attempt) { record -> Decision? in
            if record.isCompact { return record.decisionWithoutDetails(callback) }
            guard let line = record.position(of: callback.key),
                record.callbacks[line].differences(from: callback).isEmpty
            else { return nil }
            return Decision(
                disposition: .repeated,
                answer: record.answer(toCallback: line)
            )
        } ?? nil
    }

    /// The answer to a callback that is new here, of an attempt that is decided here: every node gives it
    /// the same answer, whatever comes into the log before it.
    ///
    /// - Returns: `late` or `contradicted`; nil if only the log can say.
    package func lateDecision(on callback: Callback) -> Decision? {
        guard callback.event != .poll else { return nil }
        return look(callback.attempt) { record -> Decision? in
            record.isCompact ? nil : record.lateDecision(on: callback, limits: limits)
        } ?? nil
    }

    /// The answer to an open that is known here with the same meaning, without the log.
    package func knownAnswer(to open: OpenAttempt) -> AttemptView? {
        guard let flow = flows[open.flow] else { return nil }
        return look(open.attempt) { record in
            guard !record.isCompact, record.differences(from: open, flow: flow).isEmpty else {
                return nil
            }
            return record.openedView
        } ?? nil
    }

    /// The answer to a poll from this state; `nil` if the attempt is unknown here.
    package func pollAnswer(for attempt: AttemptID) -> Answer? {
        look(attempt) { $0.pollAnswer }
    }

    package func attempt(_ id: AttemptID) -> AttemptView? {
        look(id) { $0.view }
    }

    /// Everything recorded for an attempt, in log order.
    package func timeline(_ id: AttemptID) -> [TimelineEntry]? {
        look(id) { $0.timeline }
    }

    package func state(of id: AttemptID) -> AttemptState? {
        look(id) { $0.state }
    }

    package func flow(_ digest: FlowDigest) -> FlowDefinition? { flows[digest]?.definition }

    package var flowCount: Int { flows.count }
}

extension AttemptRecord {
    /// What any callback gets once the retention time is over: the committed outcome.
    ///
    /// Nothing is recorded, and which keys came before is not known any more. Whether digits are
    /// right cannot be said: they claim nothing.
    func decisionWithoutDetails(_ callback: Callback) -> Decision {
        let claim = EventTable.claim(
            of: callback.event,
            outcome: callback.outcome,
            digitsAreRight: false
        )
        return Decision(
            disposition: EventTable.disposition(ofClaim: claim, decided: state),
            answer: terminalAnswer
        )
    }
}
