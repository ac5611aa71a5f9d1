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
