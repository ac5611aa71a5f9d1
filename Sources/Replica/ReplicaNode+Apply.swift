internal import Journal
package import Raft
internal import Verification

extension ReplicaNode {
    /// Entries applied in one turn, at most, so that a backlog does not hold the loop.
    static var maxAppliedPerTurn: Int { 2048 }

    /// Applies committed entries and completes the requests of this node that they carry.
    ///
    /// - Returns: whether some are left.
    package mutating func applyCommitted(at now: Instant) -> Bool {
        var budget = ReplicaNode.maxAppliedPerTurn
        isApplyBlocked = stateFault != nil
        while budget > 0, appliedIndex < raft.commitIndex, !isApplyBlocked {
            let entries = raft.entries(
                from: appliedIndex.next,
                through: raft.commitIndex,
                maxBytes: 1 << 20
            )
            for entry in entries.prefix(budget) {
                guard isLoaded(entry) else {
                    isApplyBlocked = true
                    break
                }
                apply(entry, at: now)
            }
            budget -= entries.count
            raft.applied(through: appliedIndex)
        }
        if isServing { reads.serve(applied: appliedIndex, into: &output.reads) }
        return appliedIndex < raft.commitIndex && !isApplyBlocked
    }

    mutating func apply(_ entry: Entry, at now: Instant) {
        counters.applied += 1
        checkpointing.appliedBytes += entry.cost
        let changedBefore = mayHaveChangedAt
        mayHaveChangedAt = entry.index
        let index = EntryIndex(entry.index.number)
        let time = LogTime(milliseconds: entry.time.milliseconds)
        guard entry.kind == .command else {
            machine.applyNothing(at: index, time: time)
            return
        }
        let command: Command
        do {
            command = try Command(decoding: entry.payload)
        } catch {
            counters.undecodable += 1
            machine.applyUndecodable(at: index, time: time)
            output.notices.append(.undecodableEntry(entry.index, "\(error)"))
            return
        }
        let kept = machine.retention.settings
        var result = machine.apply(command, at: index, time: time)
        switch command {
        case .settings(let settings):
            if settings != kept {
                output.notices.append(
                    .retentionChanged(settings, before: kept, at: entry.index)
                )
            }
        case .repeats(let batch): reportApplied(batch)
        case .readmit(let readmission):
            if machine.readmissions.contains(where: { $0.index == index }) {
                applyReadmission(readmission, at: entry.index, now)
            }
        case .checkDigest:
            // It changes nothing, but that time passes; a deadline has a tick of its own.
            mayHaveChangedAt = changedBefore
            noteMismatch(at: now)
        case .callback(let callback):
            let isRepeat = intake.meets(callback)
            noteIntake(command, result, at: entry.index)
            if isRepeat { result.becomeRepeat() }
        case .open, .defineFlow, .tick: break
        }
        // A state that is not to be trusted answers nobody: who waits is answered by its deadline.
        guard isServing, let id = command.request, id.node == node.number,
            id.incarnation == configuration.incarnation
        else { return }
        complete(id, with: result)
    }

    private mutating func complete(_ id: RequestID, with result: Applied) {
        // The definition was lost with a leader: the open goes again, behind its definition.
        if case .refused(.unknownFlow) = result, requests.requeueForMissingFlow(id.sequence) {
            return
        }
        guard let request = requests.finish(id.sequence), let context = request.context else {
            return
        }
        output.completions.append(
            Completion(
                context: context,
                submittedAt: request.submittedAt,
                result: .applied(result)
            )
        )
    }

    private mutating func reportApplied(_ batch: RepeatBatch) {
        guard let report, batch.request == report.request else { return }
        self.report = nil
        _ = requests.finish(reportSequence)
    }

    /// Applies an entry found on disk at start.
    static func replay(
        _ entry: Entry,
        into machine: inout StateMachine,
        _ counters: inout ReplicaCounters,
        _ intake: inout Intake
    ) {
        counters.applied += 1
        let index = EntryIndex(entry.index.number)
        let time = LogTime(milliseconds: entry.time.milliseconds)
        guard entry.kind == .command else {
            machine.applyNothing(at: index, time: time)
            return
        }
        guard let command = try? Command(decoding: entry.payload) else {
            counters.undecodable += 1
            machine.applyUndecodable(at: index, time: time)
            return
        }
        let applied = machine.apply(command, at: index, time: time)
        if case .callback(let callback) = command, intake.count > 0 {
            let request = callback.origin.request
            if applied == .refused(.unknownAttempt) {
                _ = intake.refused(request)
            } else {
                _ = intake.applied(request, at: entry.index)
            }
        }
    }
}

extension Applied {
    /// Who sent this has been answered with the same already, as something new.
    fileprivate mutating func becomeRepeat() {
        guard case .decided(var decision) = self,
            decision.disposition == .late || decision.disposition == .contradicted
        else { return }
        decision.disposition = .repeated
        self = .decided(decision)
    }
}
