internal import Verification

/// What is kept for its time, and what goes with it.
extension DomainOracle {
    /// Nobody says that an ID is too old before what it may have named is forgotten.
    mutating func checkTooOld(
        _ plan: AttemptPlan,
        _ checker: inout ClusterChecker,
        at now: UInt64
    ) {
        tooOld += 1
        guard !checker.model.isTooOld(plan.id) || checker.model.standing(of: plan.id) != .absent
        else { return }
        checker.fail("retention", "\(plan.id) is said to be too old, and is not", at: now)
    }

    /// Nobody says that an attempt's details are gone before their time is over.
    func checkCompact(_ plan: AttemptPlan, _ checker: inout ClusterChecker, at now: UInt64) {
        guard checker.model.standing(of: plan.id) == .whole else { return }
        checker.fail("retention", "\(plan.id) is said to have no details, and has", at: now)
    }

    /// A node's intake has a callback, whether or not whoever sent it hears that.
    mutating func holds(_ callback: Callback, _ request: Request) {
        facts[request.attempt].held.append((callback.key, request.node))
    }

    /// Whether a decision is what any callback gets once the details are gone: new to all nodes, or a repeat to the
    /// one whose intake had it, though its answer may have been lost.
    func isWithoutDetails(
        _ decision: Decision,
        _ request: Request,
        _ callback: Callback,
        _ attempt: DomainModel.Attempt
    ) -> Bool {
        let expected = attempt.answerWithoutDetails(callback)
        guard decision != expected else { return true }
        return decision.disposition == .repeated && decision.answer == expected.answer
            && facts[request.attempt].held.contains {
                $0.key == callback.key && $0.node == request.node
            }
    }

    /// Everything that was acknowledged is in a replica's timelines, and no receipt counts twice.
    ///
    /// What an intake took is lost with its disk, if that is damaged or replaced: `hasLost` says whose was.
    func missing(
        in timeline: (AttemptID) -> [TimelineEntry]?,
        _ plans: [AttemptPlan],
        _ model: DomainModel,
        hasLost: (_ node: Int) -> Bool,
        committed: [AttemptID: [CallbackKey: Int]]
    ) -> String? {
        for (number, facts) in facts.enumerated() {
            let standing = model.standing(of: plans[number].id)
            let lines = timeline(plans[number].id) ?? []
            if standing != .whole {
                let isLike =
                    standing == .compact ? lines.map(\.what) == [.decided] : lines.isEmpty
                if isLike { continue }
                return "\(plans[number].id): the one line that is kept, if it is \(standing)"
            }
            for taken in facts.takenIn where !hasLost(taken.node) {
                guard lines.contains(where: { $0.key == taken.key }) else {
                    return "\(plans[number].id): \(taken.key), taken in by n\(taken.node + 1)"
                }
            }
            // Of several requests some may be committed twice each, and a copy that comes after another one's
            // is counted again; of one that an intake took, and retries that were counted where they came, none.
            for delivered in facts.deliveries
            where committed[plans[number].id]?[delivered.key] == 1 {
                let counted = lines.reduce(0) {
                    $0 + ($1.key == delivered.key ? 1 + Int($1.repeats) : 0)
                }
                if counted > delivered.count {
                    return """
                        \(plans[number].id): \(delivered.key) was delivered \(delivered.count) times \
                        and counts \(counted) times: nothing is missing, but too much is there
                        """
                }
            }
        }
        for (number, facts) in facts.enumerated() where !facts.acknowledged.isEmpty {
            let id = plans[number].id
            guard model.standing(of: id) == .whole else { continue }
            guard let lines = timeline(id) else { return "\(id) has no timeline" }
            for acknowledged in facts.acknowledged {
                let isThere = lines.contains { line in
                    guard line.key == acknowledged.key else { return false }
                    return acknowledged.disposition == .repeated
                        || line.disposition == acknowledged.disposition
                }
                guard isThere else {
                    return "\(id): \(acknowledged.key), \(acknowledged.disposition.name)"
                }
            }
        }
        return nil
    }
}
