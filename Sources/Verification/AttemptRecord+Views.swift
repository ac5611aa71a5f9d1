extension AttemptRecord {
    /// The answer that a callback got when it was first received, the same for ever.
    func answer(toCallback position: Int) -> Answer {
        let line = callbacks[position]
        return answer(line.reply, index: line.index, triesUsed: line.triesUsed)
    }

    /// The answer to a poll: the terminal answer, or the step the attempt is at.
    var pollAnswer: Answer {
        answer(
            state.isTerminal ? .final : currentStep,
            index: movedIndex,
            triesUsed: triesUsed
        )
    }

    private func answer(_ reply: Reply, index: EntryIndex, triesUsed: UInt8) -> Answer {
        let rules = flow.definition
        let next: NextStep
        switch reply {
        case .final: return terminalAnswer
        case .nothing: next = .none
        case .gather:
            next = .gather(
                digits: rules.digits,
                triesLeft: maxTries > triesUsed ? maxTries - triesUsed : 0,
                step: UInt32(triesUsed) + 1
            )
        case .wait: next = .wait(seconds: rules.waitSeconds)
        }
        return Answer(attempt: id, state: .open, index: index, next: next, flow: rules.digest)
    }

    /// The one answer of a decided attempt; a function of the attempt alone.
    var terminalAnswer: Answer {
        guard let verdict else { fatalError("invariant broken: \(id) has no verdict") }
        let target = targets.first { $0.state == state }
        return Answer(
            attempt: id,
            state: state,
            index: verdict.moment.index,
            next: target.map { .redirect(url: $0.url) } ?? .hangup,
            flow: flow.definition.digest
        )
    }

    /// The attempt as it was when it was opened: the answer to its open, the same for ever.
    var openedView: AttemptView {
        AttemptView(
            attempt: id,
            flow: flow.definition.name,
            subject: subject,
            state: .open,
            openedAt: opened.time,
            expiresAt: expiresAt,
            triesLeft: maxTries,
            outcome: nil,
            counts: AttemptView.Counts()
        )
    }

    var view: AttemptView {
        var view = openedView
        view.state = state
        view.triesLeft = triesLeft
        view.outcome = outcome
        view.counts = counts
        view.isCompact = isCompact
        return view
    }

    private var outcome: Outcome? {
        guard let verdict else { return nil }
        let line = verdict.callback.map { callbacks[$0] }
        return Outcome(
            state: state,
            index: verdict.moment.index,
            decidedAt: verdict.moment.time,
            channel: line?.channel,
            call: line?.call,
            region: line?.origin.region
        )
    }

    /// Everything recorded, in log order.
    var timeline: [TimelineEntry] {
        if isCompact, let verdict { return [compactLine(verdict.moment)] }
        var lines: [TimelineEntry] = []
        lines.reserveCapacity(callbacks.count + 2)
        lines.append(openedLine)
        var deadline = verdict?.callback == nil ? verdict?.moment : nil
        for position in callbacks.indices {
            // Deadlines pass before the entry that shows them passed is carried out.
            if let passed = deadline, passed.index <= callbacks[position].index {
                lines.append(deadlineLine(passed))
                deadline = nil
            }
            lines.append(line(of: position))
        }
        if let deadline { lines.append(deadlineLine(deadline)) }
        return lines
    }

    private var openedLine: TimelineEntry {
        var line = TimelineEntry(
            index: opened.index,
            at: opened.time,
            what: .opened,
            stateBefore: .open,
            stateAfter: .open
        )
        line.receivedAt = origin.receivedAt
        line.region = origin.region
        line.node = origin.node
        line.repeats = openRepeats.count
        line.lastRepeatAt = openRepeats.lastAt
        return line
    }

    /// What is left of a timeline whose retention time is over.
    private func compactLine(_ moment: Moment) -> TimelineEntry {
        TimelineEntry(
            index: moment.index,
            at: moment.time,
            what: .decided,
            stateBefore: .open,
            stateAfter: state
        )
    }

    private func deadlineLine(_ moment: Moment) -> TimelineEntry {
        TimelineEntry(
            index: moment.index,
            at: moment.time,
            what: .deadline,
            stateBefore: .open,
            stateAfter: state
        )
    }

    private func line(of position: Int) -> TimelineEntry {
        let record = callbacks[position]
        var line = TimelineEntry(
            index: record.index,
            at: record.at,
            what: .callback(record.event),
            stateBefore: state(before: position),
            stateAfter: position == verdict?.callback ? state : state(before: position)
        )
        line.receivedAt = record.origin.receivedAt
        line.occurredAt = record.occurredAt
        line.region = record.origin.region
        line.node = record.origin.node
        line.provider = record.provider
        line.key = record.key
        line.call = record.call
        line.sequence = record.sequence
        line.channel = record.channel
        line.status = record.status
        line.claimed = record.outcome
        line.disposition = record.disposition
        line.differs = record.differs.names
        line.repeats = record.repeats.count
        line.lastRepeatAt = record.repeats.lastAt
        return line
    }

    /// The state in which a callback found the attempt.
    private func state(before position: Int) -> AttemptState {
        guard let verdict else { return .open }
        if let deciding = verdict.callback { return position <= deciding ? .open : state }
        return callbacks[position].index < verdict.moment.index ? .open : state
    }
}
