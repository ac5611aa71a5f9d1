package import Journal
package import Raft
package import Verification

/// Bounds of a node's intake.
package struct IntakeLimits: Hashable, Sendable {
    /// Bytes of the records held; one more record is refused.
    package var bytes = 64 * 1024 * 1024
    /// Nothing more is taken in while the oldest record is older than this.
    package var age = Duration.seconds(24 * 3600)
    /// Bytes of one of its files.
    package var fileSize = 1024 * 1024
    package init() {}
}

/// What a node's intake holds.
package struct IntakeDepth: Hashable, Sendable {
    package var records = 0
    package var bytes = 0
    /// How long ago, by this node's clock, the oldest record was received; in milliseconds.
    package var oldestMilliseconds: UInt64 = 0
}

/// What became of a callback that was handed to the intake.
package enum IntakeSubmission: Hashable, Sendable {
    /// It is in the intake already, durably.
    case known
    /// A `Completion` will say that it is durable: `takenIn`, or `notTakenIn` or `timedOut`. It comes into
    /// the log under this ID. Where it `isHeld`, another delivery was taken in before, and is not durable yet, or
    /// not again after a start: this one is a repeat.
    case taken(RequestID, isHeld: Bool)
    case refused(IntakeRefusal)
}

/// Why a callback was not taken in.
package enum IntakeRefusal: Hashable, Sendable {
    /// As many bytes are held as may be, or the oldest waits for longer than it may, or the disk is full.
    case full
    /// The intake holds this key with another meaning: only the log can say which came first.
    case heldDifferently
    /// This node does not serve.
    case notServing
}

extension ReplicaNode {
    /// What may be under way from the intake to the log at a time, in bytes: a small part of what a leader takes
    /// from its peers, which refuses a forward that it has no room for whole.
    private var maxIntakeUnderWay: Int { configuration.maxForwardedBytes / 8 }

    /// What a callback that is new here is answered with, where its attempt is decided here: the committed
    /// outcome, for ever and on every node.
    ///
    /// The caller must have it taken in before it answers.
    package mutating func lateDecision(on callback: Callback) -> Decision? {
        guard isServing, condition != .excluded, isAtHand(callback.attempt) else { return nil }
        return machine.lateDecision(on: callback)
    }

    /// Whether an attempt can be asked for without a load.
    ///
    /// Who has waited for a commit may find that its record has left memory meanwhile.
    package mutating func isAtHand(_ attempt: AttemptID) -> Bool {
        machine.presence(of: attempt) != .unloaded
    }

    /// Whether no majority could be reached for so long that it is more than an election.
    package func isWithoutQuorum(at now: Instant) -> Bool {
        guard let since = cannotCommitSince else { return false }
        return since.advanced(nanoseconds: 4 * raft.timing.electionTimeout) <= now
    }

    package func intakeDepth(wall: WallTime) -> IntakeDepth {
        let oldest = intake.oldest?.milliseconds ?? wall.milliseconds
        return IntakeDepth(
            records: intake.count,
            bytes: intake.bytes,
            oldestMilliseconds: wall.milliseconds > oldest ? wall.milliseconds - oldest : 0
        )
    }

    /// Takes a callback into the intake, from which it comes into the log as soon as that can be.
    ///
    /// `id` is the request that it was submitted under before, if it was: it may still be committed.
    package mutating func takeIn(
        _ callback: Callback,
        as id: RequestID? = nil,
        context: UInt64,
        at now: Instant
    ) -> IntakeSubmission {
        guard isServing, condition != .excluded else { return .refused(.notServing) }
        let waiter = Intake.Waiter(
            context: context,
            since: now,
            deadline: now.advanced(by: configuration.intakeHold)
        )
        if let (number, held, isDurable) = intake.record(of: callback) {
            guard held.hasMeaning(of: callback) else { return .refused(.heldDifferently) }
            // What was submitted before may be counted as a repeat by the log.
            if id == nil {
                intake.repeated(
                    number,
                    at: callback.origin.receivedAt,
                    waiter: isDurable ? nil : waiter
                )
            } else {
                intake.wait(isDurable ? nil : waiter, for: number)
            }
            return isDurable ? .known : .taken(held.origin.request, isHeld: true)
        }
        let limits = configuration.intake
        let age = intakeDepth(wall: lastWall).oldestMilliseconds
        guard intake.bytes + callback.variableBytes + 64 <= limits.bytes,
            intake.diskBytes <= 2 * limits.bytes + 2 * limits.fileSize,
            callback.variableBytes + 1024 <= limits.fileSize / 2,
            .milliseconds(Int64(clamping: age)) <= limits.age
        else {
            counters.intakeRefused += 1
            return .refused(.full)
        }
        var callback = callback
        callback.origin.request = id ?? makeRequestID()
        counters.takenIn += 1
        intake.take(callback, waiter: waiter)
        return .taken(callback.origin.request, isHeld: false)
    }

    /// The batch of `output.intake` is durable.
    package mutating func intakeWritten(_ number: UInt64, at now: Instant) {
        tellTakenIn(intake.written(number))
    }

    /// The batch of `output.intake` was not begun, since there is no room for the file that it makes.
    package mutating func intakeFoundNoRoom(
        _ number: UInt64,
        _ error: DiskError,
        at now: Instant
    ) {
        let refused = intake.foundNoRoom(number)
        counters.intakeRefused += UInt64(refused.count)
        nextIntakeTryAt = now.advanced(by: ReplicaNode.roomRetryInterval)
        tell(refused, .notTakenIn)
    }

    private mutating func tellTakenIn(_ waiters: [Intake.Waiter]) {
        for waiter in waiters { tell([waiter], .takenIn(isRepeat: waiter.isRepeat)) }
    }

    private mutating func tell(_ waiters: [Intake.Waiter], _ result: Completion.Result) {
        for waiter in waiters {
            output.completions.append(
                Completion(context: waiter.context, submittedAt: waiter.since, result: result)
            )
        }
    }

    // MARK: Turns

    /// Hands what is durable to the log, if that takes something.
    mutating func drainIntake(at now: Instant) {
        guard canCommit else { return }
        for (number, callback) in intake.ready(bytes: maxIntakeUnderWay) {
            let sequence = requests.takeSequence()
            var bytes: [UInt8] = []
            Command.callback(callback).encode(into: &bytes)
            requests.append(
                RequestTable.Request(
                    sequence: sequence,
                    command: bytes,
                    definition: nil,
                    context: nil,
                    submittedAt: now,
                    deadline: .distantFuture
                )
            )
            intake.submitted(number, as: sequence)
        }
    }

    /// An entry was applied: if it is a record of the intake, that is done.
    mutating func noteIntake(_ command: Command, _ result: Applied, at index: LogIndex) {
        guard case .callback(let callback) = command, callback.origin.node == node.number else {
            return
        }
        if result == .refused(.unknownAttempt) {
            if let sequence = intake.refused(callback.origin.request) {
                _ = requests.finish(sequence)
            }
            return
        }
        guard let applied = intake.applied(callback.origin.request, at: index)
        else { return }
        counters.intakeReplicated += 1
        if case .refused(let refusal) = result {
            counters.intakeNotRecorded += 1
            output.notices.append(.intakeNotRecorded(callback.attempt, callback.key, refusal))
        } else if applied.repeats > 0 {
            ledger.note(callback, count: applied.repeats, lastAt: applied.lastRepeatAt)
        }
        if let sequence = applied.sequence { _ = requests.finish(sequence) }
        tellTakenIn(applied.waiting)
    }

    /// Whoever reads for the intake; clients' contexts are counted up.
    static let intakesContext = UInt64.max

    /// Asks for a linearizable read, if the log found no attempt for a record.
    mutating func askForIntake(at now: Instant) {
        guard intake.hasRefused, !isIntakeAsking, isServing, canCommit else { return }
        isIntakeAsking = true
        intake.ask()
        beginRead(context: ReplicaNode.intakesContext, at: now)
    }

    /// Takes the answer out of those for clients, once it is there.
    mutating func takeIntakesAnswer() {
        guard isIntakeAsking,
            let at = output.reads.firstIndex(where: {
                $0.context == ReplicaNode.intakesContext
            })
        else { return }
        let isReady = output.reads.remove(at: at).isReady
        isIntakeAsking = false
        guard isReady else { return }
        let givenUp = intake.answered(at: appliedIndex) { machine.presence(of: $0) != .absent }
        for (callback, waiting) in givenUp {
            counters.intakeReplicated += 1
            counters.intakeNotRecorded += 1
            output.notices.append(
                .intakeNotRecorded(callback.attempt, callback.key, .unknownAttempt)
            )
            tell(waiting, .notTakenIn)
        }
    }

    /// Part of the house-keeping.
    mutating func watchIntake(at now: Instant) {
        if canCommit {
            cannotCommitSince = nil
        } else if cannotCommitSince == nil {
            cannotCommitSince = now
        }
        tell(intake.expire(at: now), .timedOut)
        if nextIntakeTryAt <= now { intake.tryForRoom() }
        isIntakeTidyDue = true
    }

    /// The intake's next batch.
    mutating func takeIntakeWork() {
        guard output.intake == nil else { return }
        output.intake = intake.nextBatch(
            isDue: isIntakeTidyDue,
            known: max(raft.durableCommitIndex, checkpoint?.index ?? .zero)
        )
        if output.intake != nil { isIntakeTidyDue = false }
    }

    // MARK: Start

    /// Reads the intake's files; which of its records stand in the log, `replay` says.
    static func recoverIntake(
        from disk: inout some Disk,
        _ configuration: ReplicaConfiguration
    ) throws(JournalError) -> (intake: Intake, notices: [Notice]) {
        let found = try IntakeJournal.recover(
            from: &disk,
            configuration: configuration.journal,
            fileSize: configuration.intake.fileSize
        )
        var intake = Intake(found.journal)
        var notices = found.damage.map { Notice.intakeDamaged($0) }
        for record in found.records {
            guard case .callback(let callback)? = try? Command(decoding: record.payload) else {
                notices.append(.intakeUndecodable(number: record.number))
                continue
            }
            intake.restore(record.number, callback, payload: record.payload)
        }
        if intake.count > 0 {
            notices.append(.intakeRecovered(records: intake.count))
        }
        return (intake, notices)
    }
}

extension Callback {
    /// Whether another callback of the same key says the same.
    func hasMeaning(of other: Callback) -> Bool {
        call == other.call && channel == other.channel && digits == other.digits
            && event == other.event && outcome == other.outcome && provider == other.provider
            && sequence == other.sequence && status == other.status
    }
}
