internal import Journal
internal import Replica
internal import Verification

extension World {
    /// A callback that a node may acknowledge before it is in the log goes into its intake.
    ///
    /// - Returns: false if it has to go another way.
    func takeIn(
        _ number: UInt64,
        _ callback: Callback,
        as id: RequestID? = nil,
        isOverdue: Bool = false,
        _ process: Process
    ) -> Bool {
        let reply: Reply
        if let decision = process.replica.lateDecision(on: callback) {
            reply = .late(decision)
        } else if callback.needsNoStep,
            isOverdue || process.replica.isWithoutQuorum(at: instant)
        {
            reply = .takenIn
        } else {
            return false
        }
        switch process.replica.takeIn(callback, as: id, context: number, at: instant) {
        case .known:
            statistics.answeredLocally += 1
            answer(number, reply)
        case .taken(let id):
            statistics.takenIn += 1
            checker.takenIn(callback, as: id)
            process.frontEnd.takingIn[number] = reply
            process.frontEnd.waiting.insert(number)
        case .refused: return false
        }
        return true
    }

    // MARK: Disk

    func beginIntake(_ batch: DiskBatch, _ host: Host, _ process: Process) {
        guard host.intake == nil else {
            checker.fail(
                "one batch at a time",
                "n\(host.number + 1) starts batch \(batch.number) of its intake beside another",
                at: now
            )
            return
        }
        host.intake = batch
        host.nextIntakeOperation = 0
        scheduleIntakeStep(host, process)
    }

    private func scheduleIntakeStep(_ host: Host, _ process: Process) {
        guard let batch = host.intake else { return }
        var delay = plan.diskWrite
        switch batch.operations[host.nextIntakeOperation] {
        case .sync, .syncDirectory: delay = plan.diskSync
        default: break
        }
        delay = (delay / 2 + host.random.below(delay + 1)) * host.slowFactor
        queue.schedule(.intakeStep(node: host.number, run: process.run), at: now + delay)
    }

    func intakeStep(_ node: Int, run: Int) {
        let host = hosts[node]
        guard let process = host.process, process.run == run, let batch = host.intake else {
            return
        }
        guard !host.isHung else {
            host.isIntakeStalled = true
            return
        }
        let operation = batch.operations[host.nextIntakeOperation]
        trace.fold(UInt64(node) << 8 | 6)
        do throws(DiskError) {
            try host.disk.perform(operation)
        } catch {
            intakeFailed(error, batch, host, run)
            return
        }
        host.nextIntakeOperation += 1
        guard host.nextIntakeOperation == batch.operations.count else {
            scheduleIntakeStep(host, process)
            return
        }
        host.intake = nil
        happen(.intakeDone(node: node, run: run, number: batch.number, nil))
    }

    private func intakeFailed(_ error: DiskError, _ batch: DiskBatch, _ host: Host, _ run: Int) {
        if error.code == SimulatedDisk.powerLost {
            cutPower(host.number)
        } else if batch.isUntouched(by: error, at: host.nextIntakeOperation) {
            statistics.fullDisks += 1
            host.intake = nil
            happen(.intakeDone(node: host.number, run: run, number: batch.number, error))
            return
        } else if error.code == SimulatedDisk.ioError {
            trace.note(now, "n\(host.number + 1) stops: \(error)")
            statistics.stopsByDisk += 1
            kill(host.number)
        } else {
            checker.fail("written where there is room", "n\(host.number + 1): \(error)", at: now)
            return
        }
        restartLater(host, after: WorldPlan.second + host.random.below(5 * WorldPlan.second))
    }

    /// The process hears that the intake's batch is durable, or found no room.
    func intakeDone(_ node: Int, run: Int, number: UInt64, _ error: DiskError?) {
        guard let process = hosts[node].process, process.run == run else { return }
        if let error {
            process.replica.intakeFoundNoRoom(number, error, at: instant)
        } else {
            process.replica.intakeWritten(number, at: instant)
        }
        checker.observe(node, &process.replica, at: now)
        wake(node, after: plan.turnDelay / 4)
    }
}

extension Callback {
    /// A platform's status callback, which any 2xx answers.
    fileprivate var needsNoStep: Bool {
        guard provider == "twilio" else { return false }
        switch event {
        case .initiated, .ringing, .ended: return true
        case .answered, .digits, .poll, .outcome, .cancel: return false
        }
    }
}
