import HTTP
import Journal
import Providers
import Raft
import Reactor
import Replica
import Verification

/// What callbacks are answered that could not be decided within the time they may be held.
extension NodeLoop {
    /// Says of an answer with 2xx that it is no decision: `hold` for a document that has the call ask
    /// again, `intake` for a callback that is taken and decided later.
    static let pendingHeader = "Verdict-Pending"

    /// The hold is over for a callback, which may have been submitted as the request `id`.
    func undecided(
        _ callback: Callback,
        as id: RequestID?,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) {
        if replica.isServing, replica.isAtHand(callback.attempt),
            let known = replica.machine.knownAnswer(to: callback)
        {
            answer(connection, response(known, form))
            return
        }
        if let decision = replica.lateDecision(on: callback) {
            if takeIn(callback, as: id, decision, form, connection) { return }
        } else if form.acknowledgement != nil {
            if !takeIn(callback, as: id, nil, form, connection) {
                answer(connection, notTakenIn().response)
            }
            return
        }
        holdOn(callback.attempt, form, digits: callback.digits, connection)
    }

    /// The call is told to hold on and ask again, where its platform has words for that; nothing is
    /// guessed.
    func holdOn(
        _ attempt: AttemptID,
        _ form: Exchange.ReplyForm,
        digits: [UInt8]?,
        _ connection: HTTPConnection
    ) {
        guard case .platform(let provider, let callback) = form,
            var document = provider.hold(callback, of: attempt, digits: digits)
        else {
            answer(connection, timedOut().response)
            return
        }
        metrics.holds += 1
        document.headers.append(NodeLoop.pendingHeader, "hold")
        answer(connection, document)
    }

    // MARK: Intake

    /// A callback that is new here, of an attempt that is decided here, is answered as soon as it is durable
    /// here.
    ///
    /// - Returns: false if it has to go another way.
    func takeInIfLate(
        _ callback: Callback,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) -> Bool {
        guard let decision = replica.lateDecision(on: callback) else { return false }
        return takeIn(callback, as: nil, decision, form, connection)
    }

    /// A callback that needs no next step is taken in at once where no majority could be reached for longer
    /// than an election takes.
    func takeInWithoutQuorum(
        _ callback: Callback,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) -> Bool {
        guard form.acknowledgement != nil, replica.isWithoutQuorum(at: now) else { return false }
        return takeIn(callback, as: nil, nil, form, connection)
    }

    private func takeIn(
        _ callback: Callback,
        as id: RequestID?,
        _ decision: Decision?,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) -> Bool {
        var decision = decision
        switch replica.takeIn(callback, as: id, context: connection.context, at: now) {
        case .known:
            decision?.disposition = .repeated
            answer(connection, acknowledgement(decision, form))
        case .taken(_, let isHeld):
            if isHeld { decision?.disposition = .repeated }
            connection.exchange?.step = .takingIn(decision, form)
            needsTurn = true
        case .refused: return false
        }
        return true
    }

    private func acknowledgement(_ decision: Decision?, _ form: Exchange.ReplyForm) -> Response {
        if let decision { return response(decision, form) }
        guard var response = form.acknowledgement else {
            fatalError("invariant broken: a callback taken in that needs a next step")
        }
        response.headers.append(NodeLoop.pendingHeader, "intake")
        return response
    }

    /// A callback is durable in the intake, or could not be made so.
    func takenIn(
        _ result: Completion.Result,
        _ decision: Decision?,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) {
        switch result {
        case .takenIn(let isRepeat):
            var decision = decision
            if isRepeat { decision?.disposition = .repeated }
            answer(connection, acknowledgement(decision, form))
        case .notTakenIn: answer(connection, notTakenIn().response)
        case .timedOut: answer(connection, Problem.diskStalled(retryAfter: 2).response)
        case .applied: fatalError("invariant broken: the intake answered with \(result)")
        }
    }

    private func notTakenIn() -> Problem {
        // It takes nothing in then, however much room there is.
        if replica.condition == .excluded, let problem = admissionProblem { return problem }
        return .intakeFull(retryAfter: 5, leader: replica.raft.leader?.number)
    }

    func intakeIsDone(_ completion: DiskCompletion) {
        switch completion {
        case .batch(let number, .success, let sync, _):
            metrics.intakeSyncTime.observe(nanoseconds: sync)
            replica.intakeWritten(number, at: now)
        case .batch(_, .failure(let error), _, _):
            log.error(
                "intake",
                "writing the intake failed; the node stops, and a restart goes by what the disk has",
                ["error": .text(describe(error))]
            )
            exitStatus = 1
        case .noRoom(let number, let error):
            log.error(
                "intake",
                "the disk is full: callbacks are not taken in",
                ["error": .text(describe(error))]
            )
            replica.intakeFoundNoRoom(number, error, at: now)
        case .read: fatalError("invariant broken: nothing is read of the intake")
        }
    }

    func noteIntake(_ notice: Notice) {
        switch notice {
        case .intakeRecovered(let records):
            log.warning(
                "intake",
                "callbacks that were acknowledged wait to be replicated",
                ["records": .number(Int64(records))]
            )
        case .intakeDamaged(let damage):
            metrics.intakeDamages += 1
            log.error(
                "intake",
                "the intake is damaged: acknowledged callbacks in the damaged part are lost",
                [
                    "file": .text(damage.file),
                    "offset": .number(Int64(damage.range.lowerBound)),
                    "bytes": .number(Int64(damage.range.count)),
                ]
            )
        case .intakeUndecodable(let number):
            log.error(
                "intake",
                "a callback in the intake does not decode in this version; it stays there",
                ["record": .count(number)]
            )
        case .intakeNotRecorded(let attempt, let key, let refusal):
            log.error(
                "intake",
                "a callback that was acknowledged has no place in its attempt",
                [
                    "attempt": .text(attempt.text), "key": .text(key.text),
                    "reason": .text("\(refusal)"),
                ]
            )
        default: fatalError("invariant broken: \(notice) is not about the intake")
        }
    }
}
