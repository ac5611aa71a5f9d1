extension History {
    /// Who decides when nobody does: the deadlines of an attempt, expiry and grace time.
    package static let deadlineClient = "deadline"

    /// An attempt's exchanges as operations on its outcome.
    ///
    /// A callback that asks for an outcome is a commit of it. A callback that was taken while the
    /// attempt was open (`accepted` or `stale`, or told to go on) is a read of nothing, as it has its
    /// place in the log; so is a linearizable read. What a *repeated* callback is told is the first
    /// answer again, from whenever that was, and a local read may be old: of these only an outcome
    /// counts. Deadlines are commits whose end nobody knows, from the moment they can come about.
    package func registerOperations(of attempt: Int, _ places: [Int]) -> [RegisterOperation] {
        let script = scripts[attempt]
        var operations: [RegisterOperation] = []
        var opened = UInt64.max
        var callEnded = UInt64.max
        for place in places {
            let exchange = exchanges[place]
            if exchange.end != .notSent {
                if exchange.kind == .open { opened = min(opened, exchange.invoked) }
                if case .post(let post) = exchange.kind, script.posts[post].claim == .callEnds {
                    callEnded = min(callEnded, exchange.invoked)
                }
            }
            if let operation = registerOperation(of: exchange, script) {
                operations.append(operation)
            }
        }
        func deadline(_ outcome: Outcome, from time: UInt64) {
            guard time != .max else { return }
            operations.append(
                RegisterOperation(
                    client: History.deadlineClient,
                    op: .commit,
                    attempt: script.name,
                    outcomeIn: outcome,
                    outcomeOut: nil,
                    invoked: time,
                    returned: nil,
                    status: .unknown
                )
            )
        }
        deadline(.expired, from: opened)
        deadline(.abandoned, from: callEnded)
        deadline(.unreachable, from: callEnded)
        return operations
    }

    private func registerOperation(
        of exchange: Exchange,
        _ script: AttemptScript
    ) -> RegisterOperation? {
        func operation(
            _ op: RegisterOperation.Name,
            _ wanted: Outcome?,
            _ status: RegisterOperation.Status,
            out: Outcome? = nil
        ) -> RegisterOperation {
            RegisterOperation(
                client: clients[exchange.client],
                op: op,
                attempt: script.name,
                outcomeIn: wanted,
                outcomeOut: out,
                invoked: exchange.invoked,
                returned: status == .unknown ? nil : exchange.returned,
                status: status
            )
        }
        switch exchange.kind {
        case .open: return nil
        case .read, .localRead:
            guard let answer = exchange.goodAnswer else { return nil }
            if let outcome = answer.told.outcome { return operation(.read, nil, .ok, out: outcome) }
            return exchange.kind == .read ? operation(.read, nil, .ok) : nil
        case .post(let post):
            let claim = script.posts[post].claim
            let wanted: Outcome? =
                switch claim {
                case .outcome(let outcome): outcome
                case .wrongTry: .rejected
                case .nothing, .callEnds: nil
                }
            guard let answer = exchange.answer else {
                guard let wanted else { return nil }
                return operation(.commit, wanted, exchange.end == .notSent ? .fail : .unknown)
            }
            guard exchange.goodAnswer != nil else {
                // A node that could not say in time may still carry it out.
                let isUnknown = answer.status >= 500 || answer.pending == .hold
                let status: RegisterOperation.Status = isUnknown ? .unknown : .fail
                return wanted.map { operation(.commit, $0, status) }
            }
            let isFirstHand = answer.disposition != .repeated && answer.disposition != .mismatched
            if let outcome = answer.told.outcome {
                if case .outcome = claim, answer.disposition != .mismatched {
                    return operation(.commit, wanted, .ok, out: outcome)
                }
                if claim == .wrongTry, outcome == .rejected, answer.disposition != .mismatched {
                    return operation(.commit, .rejected, .ok, out: outcome)
                }
                return operation(.read, nil, .ok, out: outcome)
            }
            guard isFirstHand else { return nil }
            if case .outcome = claim {
                // Whoever asks for an outcome is told one; the checker says so if not.
                return operation(.commit, wanted, .ok)
            }
            let isOpen =
                answer.told == .open || answer.disposition == .accepted
                || answer.disposition == .stale
            return isOpen ? operation(.read, nil, .ok) : nil
        }
    }
}
