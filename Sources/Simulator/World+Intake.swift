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
        let decision = process.replica.lateDecision(on: callback)
        func reply(isRepeat: Bool) -> Reply {
            guard var decision else { return .takenIn }
            if isRepeat { decision.disposition = .repeated }
            return .late(decision)
        }
        if decision != nil {
            // It has its answer.
        } else if callback.needsNoStep,
            isOverdue || process.replica.isWithoutQuorum(at: instant)
        {
            // It needs none.
        } else {
            return false
        }
        switch process.replica.takeIn(callback, as: id, context: number, at: instant) {
        case .known:
            statistics.answeredLocally += 1
            answer(number, reply(isRepeat: true))
        case .taken(let id, let isHeld):
            statistics.takenIn += 1
            checker.takenIn(callback, as: id)
            if let request = requests[number] { oracle.holds(callback, request) }
            process.frontEnd.takingIn[number] = reply(isRepeat: isHeld)
            process.frontEnd.waiting.insert(number)
        case .refused: return false
        }
        return true
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
