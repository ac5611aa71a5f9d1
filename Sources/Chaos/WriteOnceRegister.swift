/// One operation on an attempt's outcome, as a write-once register: a commit sets it if nobody has
/// before, and answers what it holds then; a read answers what it holds.
package struct RegisterOperation: Hashable, Sendable {
    package enum Name: String, Hashable, Sendable { case commit, read }
    package enum Status: String, Hashable, Sendable {
        case ok
        /// It had no effect, for certain.
        case fail
        /// Nobody knows; it may take effect at any time after it began.
        case unknown
    }

    package var client: String
    package var op: Name
    package var attempt: String
    /// What a commit asks for.
    package var outcomeIn: Outcome?
    /// What the register holds; `nil` is "not decided yet".
    package var outcomeOut: Outcome?
    package var invoked: UInt64
    /// `nil` if nobody knows when it ended.
    package var returned: UInt64?
    package var status: Status

    package init(
        client: String,
        op: Name,
        attempt: String,
        outcomeIn: Outcome?,
        outcomeOut: Outcome?,
        invoked: UInt64,
        returned: UInt64?,
        status: Status
    ) {
        self.client = client
        self.op = op
        self.attempt = attempt
        self.outcomeIn = outcomeIn
        self.outcomeOut = outcomeOut
        self.invoked = invoked
        self.returned = returned
        self.status = status
    }

    /// One line of a history file, without the line's end.
    package var json: String {
        func quoted(_ text: String?) -> String { text.map { "\"\($0)\"" } ?? "null" }
        return "{\"client\":\"\(client)\",\"op\":\"\(op.rawValue)\",\"attempt\":\"\(attempt)\","
            + "\"outcome_in\":\(quoted(outcomeIn?.rawValue)),"
            + "\"outcome_out\":\(quoted(outcomeOut?.rawValue)),"
            + "\"invoke_ns\":\(invoked),\"return_ns\":\(returned.map(String.init) ?? "null"),"
            + "\"status\":\"\(status.rawValue)\"}"
    }
}

/// An exact check for linearizability (Herlihy and Wing) of a write-once register.
///
/// Deciding it is hard for registers in general and easy for this one. Say that V is the value that
/// operations saw. The register is set once, at one moment, by a commit of V. All that saw V end at
/// that moment or later; all reads that saw nothing begin at that moment or earlier. Such a moment
/// exists just if no read that saw nothing begins after an operation that saw V has ended, and some
/// commit of V had begun by the first of those ends. It is then an order of all operations: reads of
/// nothing, the commit, the rest.
package enum WriteOnceRegister {
    /// - Parameter operations: all operations on one register.
    /// - Returns: why no order of them is possible; `nil` if one is.
    package static func violation(of operations: [RegisterOperation]) -> String? {
        var value: Outcome?
        var firstSeen: RegisterOperation?
        var firstEnd = UInt64.max
        for operation in operations where operation.status == .ok {
            guard let out = operation.outcomeOut else {
                if operation.op == .commit {
                    return "\(say(operation)) ended and left the register empty"
                }
                continue
            }
            if let value, let firstSeen, value != out {
                return "\(say(firstSeen)), but \(say(operation))"
            }
            value = out
            let end = operation.returned ?? .max
            if firstSeen == nil || end < firstEnd {
                firstEnd = end
                firstSeen = operation
            }
        }
        guard let value, let firstSeen else { return nil }
        for read in operations
        where read.status == .ok && read.op == .read && read.outcomeOut == nil
            && read.invoked > firstEnd
        {
            return "\(say(read)), which began after \(say(firstSeen)) had ended"
        }
        let isProposed = operations.contains {
            $0.op == .commit && $0.status != .fail && $0.outcomeIn == value
                && $0.invoked <= firstEnd
        }
        guard isProposed else {
            return "\(say(firstSeen)), and nobody had asked for that by then"
        }
        return nil
    }

    private static func say(_ operation: RegisterOperation) -> String {
        var text = "\(operation.client): \(operation.op.rawValue)"
        if let wanted = operation.outcomeIn { text += " \(wanted.rawValue)" }
        text += " gave \(operation.outcomeOut?.rawValue ?? "nothing")"
        text += " [\(milliseconds(operation.invoked)), "
        return text + "\(operation.returned.map(milliseconds) ?? "?")]"
    }
}

/// Nanoseconds as milliseconds with three decimals.
func milliseconds(_ nanoseconds: UInt64) -> String {
    let thousandths = String(nanoseconds / 1000 % 1000)
    let zeroes = String(repeating: "0", count: 3 - thousandths.count)
    return "\(nanoseconds / 1_000_000).\(zeroes)\(thousandths) ms"
}
