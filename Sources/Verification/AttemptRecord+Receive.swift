/// What became of a callback that reached its attempt.
enum Receipt {
    /// `isCounted` is false for a command that was proposed twice.
    case decided(Decision, isCounted: Bool)
    case refused(Refusal)
}

extension AttemptRecord {
    /// Takes a callback from the log: records it, and moves if it is new and the table says so.
    mutating func receive(
        _ callback: Callback,
        at moment: Moment,
        limits: VerificationLimits
    ) -> Receipt {
        if let first = position(of: callback.key) {
            let differs = callbacks[first].differences(from: callback)
            guard differs.isEmpty else {
                return mismatch(callback, with: first, in: differs, at: moment, limits: limits)
            }
            let isCounted = callbacks[first].repeats.add(
                callback.origin,
                after: callbacks[first].origin.request
            )
            if isCounted { counts.repeated += 1 }
            let decision = Decision(disposition: .repeated, answer: answer(toCallback: first))
            return .decided(decision, isCounted: isCounted)
        }
        if let refusal = refusal(ofLine: callback, limits: limits) { return .refused(refusal) }

        let claim = EventTable.claim(
            of: callback.event,
            outcome: callback.outcome,
            digitsAreRight: isRight(callback.digits)
        )
        let disposition: Disposition
        let reply: Reply
        if state == .open {
            let call = callback.event.isOfCall ? calls.firstIndex { $0.id == callback.call } : nil
            if callback.event.isOfCall, call == nil, calls.count >= limits.callsPerAttempt {
                return .refused(.tooManyCalls(limit: limits.callsPerAttempt))
            }
            (disposition, reply) = move(on: callback, claim: claim, call: call, at: moment)
        } else {
            (disposition, reply) = (EventTable.disposition(ofClaim: claim, decided: state), .final)
        }
        record(callback, disposition: disposition, reply: reply, at: moment)
        let answer = answer(toCallback: callbacks.count - 1)
        return .decided(Decision(disposition: disposition, answer: answer), isCounted: true)
    }

    /// Whether digits match the challenge of a `code` flow.
    ///
    /// Both sides are keyed digests, so the time a comparison takes tells nothing of the digits.
    private func isRight(_ digits: [UInt8]?) -> Bool {
        guard flow.definition.kind == .code, let digits, let challenge else { return false }
        return digits == challenge
    }

    /// The first line of a key; its mismatches come after it.
    func position(of key: CallbackKey) -> Int? { callbacks.firstIndex { $0.key == key } }

    private func refusal(ofLine callback: Callback, limits: VerificationLimits) -> Refusal? {
        if callbacks.count >= limits.callbacksPerAttempt {
            return .tooManyCallbacks(limit: limits.callbacksPerAttempt)
        }
        if bytes + callback.variableBytes > limits.bytesPerAttempt {
            return .tooManyBytes(limit: limits.bytesPerAttempt)
        }
        return nil
    }

    private mutating func mismatch(
        _ callback: Callback,
        with first: Int,
        in differs: MeaningFields,
        at moment: Moment,
        limits: VerificationLimits
    ) -> Receipt {
        // A platform that repeats its mismatch must not fill the attempt: one line a meaning.
        let same = callbacks.indices.dropFirst(first + 1).first {
            callbacks[$0].key == callback.key
                && callbacks[$0].differences(from: callback).isEmpty
        }
        var isCounted = true
        if let same {
            isCounted = callbacks[same].repeats.add(
                callback.origin,
                after: callbacks[same].origin.request
            )
            if isCounted { counts.mismatched += 1 }
        } else {
            if let refusal = refusal(ofLine: callback, limits: limits) { return .refused(refusal) }
            record(
                callback,
                disposition: .mismatched,
                differs: differs,
                reply: callbacks[first].reply,
                at: moment
            )
        }
        let decision = Decision(
            disposition: .mismatched,
            answer: answer(toCallback: first),
            differs: differs.names
        )
        return .decided(decision, isCounted: isCounted)
    }

    private mutating func record(
        _ callback: Callback,
        disposition: Disposition,
        differs: MeaningFields = [],
        reply: Reply,
        at moment: Moment
    ) {
        let line = CallbackRecord(
            callback,
            at: moment,
            disposition: disposition,
            differs: differs,
            reply: reply,
            triesUsed: triesUsed
        )
        callbacks.append(line)
        bytes += callback.variableBytes
        counts.callbacks += 1
        switch disposition {
        case .accepted: movedIndex = moment.index
        case .repeated: break
        case .mismatched: counts.mismatched += 1
        case .late: counts.late += 1
        case .contradicted: counts.contradicted += 1
        case .stale: counts.stale += 1
        }
    }

    // MARK: Moves of an open attempt

    /// Carries out the table's move for a new callback; `call` is its call's position, if known.
    private mutating func move(
        on callback: Callback,
        claim: AttemptState?,
        call: Int?,
        at moment: Moment
    ) -> (Disposition, Reply) {
        var move = EventTable.move(
            callback.event,
            call: call.map { calls[$0].progress } ?? .unseen
        )
        if let call, isOvertaken(callback, in: calls[call]) { move = .stale }

        switch move {
        case .advance(let progress):
            let call = call ?? addCall(callback.call)
            advance(call, to: progress)
            note(callback.sequence, of: call)
            return (.accepted, progress == .answered ? currentStep : .nothing)
        case .again:
            if let call { note(callback.sequence, of: call) }
            return (.accepted, currentStep)
        case .stale:
            // A live call that asks what to do is told so, however old its question.
            let asks = callback.event == .answered && call.map { calls[$0].progress.isLive } == true
            return (.stale, asks ? currentStep : .nothing)
        case .judge:
            return (.accepted, judge(call: call ?? addCall(callback.call), claim, at: moment))
        case .end:
            end(call ?? addCall(callback.call), callback, at: moment)
            return (.accepted, .nothing)
        case .decide:
            // An outcome that names none claims nothing; it is recorded like any other callback.
            guard let claim else { return (.accepted, .nothing) }
            decide(claim, at: moment, by: callbacks.count)
            return (.accepted, .final)
        case .unlogged:
            // The state machine turns polls away before they reach an attempt.
            return (.stale, .nothing)
        }
    }

    /// Whether the platform's own numbers say that a progress event is older than what is known.
    ///
    /// A call's end is never overtaken: nothing of the call comes after it, whatever its number.
    private func isOvertaken(_ callback: Callback, in call: CallRecord) -> Bool {
        switch callback.event {
        case .initiated, .ringing, .answered:
            guard let sequence = callback.sequence, let highest = call.sequence else {
                return false
            }
            return sequence < highest
        case .digits, .ended, .outcome, .cancel, .poll: return false
        }
    }

    private mutating func addCall(_ id: String?) -> Int {
        calls.append(CallRecord(id: id))
        return calls.count - 1
    }

    private mutating func advance(_ call: Int, to progress: CallProgress) {
        calls[call].progress = progress
        if progress == .answered { calls[call].wasAnswered = true }
        graceEnds = nil
    }

    private mutating func note(_ sequence: UInt64?, of call: Int) {
        guard let sequence else { return }
        calls[call].sequence = max(sequence, calls[call].sequence ?? 0)
    }

    private mutating func judge(call: Int, _ claim: AttemptState?, at moment: Moment) -> Reply {
        calls[call].wasAnswered = true
        if calls[call].progress < .answered { advance(call, to: .answered) }
        if let claim {
            decide(claim, at: moment, by: callbacks.count)
            return .final
        }
        guard flow.definition.kind == .code else { return .wait }
        guard challenge != nil else {
            holdsUnjudgedDigits = true
            return .wait
        }
        triesUsed += 1
        guard triesUsed >= maxTries else { return .gather }
        decide(.rejected, at: moment, by: callbacks.count)
        return .final
    }

    private mutating func end(_ call: Int, _ callback: Callback, at moment: Moment) {
        calls[call].progress = .ended
        calls[call].status = callback.status
        note(callback.sequence, of: call)
        lastEnded = call
        guard !calls.contains(where: { $0.progress.isLive }) else { return }
        graceEnds = moment.time.advanced(bySeconds: flow.definition.graceSeconds)
    }

    /// What a live call of the open attempt does next.
    var currentStep: Reply {
        switch flow.definition.kind {
        case .code: holdsUnjudgedDigits ? .wait : .gather
        case .confirm: .wait
        }
    }
}

extension AttemptRecord {
    /// The decision on a callback of a key that is new, once the attempt is decided: what `receive` will say of
    /// it, or of the first one of its key if that comes into the log before.
    ///
    /// - Returns: nil while the attempt is open, if the key is known, or if there is no room for another line.
    func lateDecision(on callback: Callback, limits: VerificationLimits) -> Decision? {
        guard state.isTerminal, position(of: callback.key) == nil,
            refusal(ofLine: callback, limits: limits) == nil
        else { return nil }
        let claim = EventTable.claim(
            of: callback.event,
            outcome: callback.outcome,
            digitsAreRight: isRight(callback.digits)
        )
        return Decision(
            disposition: EventTable.disposition(ofClaim: claim, decided: state),
            answer: pollAnswer
        )
    }
}

extension EventKind {
    /// Whether the event is about the progress of a call.
    var isOfCall: Bool {
        switch self {
        case .initiated, .ringing, .answered, .digits, .ended: true
        case .poll, .outcome, .cancel: false
        }
    }
}
