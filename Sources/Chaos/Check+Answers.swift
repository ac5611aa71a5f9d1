// Checks of what clients were answered.

extension Check {
    /// What an answer belongs to: the opening, or a callback's key.
    private enum Question: Hashable {
        case open
        case key(String)
    }

    private static func question(_ exchange: Exchange, _ history: History) -> Question? {
        switch exchange.kind {
        case .open: return .open
        case .post(let post):
            return history.scripts[exchange.attempt].key(of: post).map { .key($0) }
        case .read, .localRead: return nil
        }
    }

    /// Where a callback that is late may be taken as new, once.
    private struct Taking: Hashable {
        var post: Int
        var node: Int
    }

    static func sameAnswer(_ history: History, _ places: [[Int]]) -> Check {
        var check = Check(
            "same answer for ever",
            "one key gets one answer, byte for byte, from every node, before and after every fault"
        )
        for of in places {
            var first: [Question: Exchange] = [:]
            for place in of {
                let exchange = history.exchanges[place]
                guard let answer = exchange.goodAnswer,
                    let question = question(exchange, history)
                else { continue }
                guard let known = first[question], let knownAnswer = known.answer else {
                    first[question] = exchange
                    continue
                }
                check.note(
                    answer.body == knownAnswer.body
                        ? nil
                        : """
                        \(describe(exchange, history)): node \(exchange.node) answers \
                        \(history.text(answer.body)), node \(known.node) answered \
                        \(history.text(knownAnswer.body))
                        """
                )
            }
        }
        return check
    }

    static func answeredOnce(_ history: History, _ places: [[Int]]) -> Check {
        var check = Check(
            "a key is taken once",
            "of all deliveries of one callback at most one is told anything but \"repeated\"; once its "
                + "attempt is decided, one at each node"
        )
        for of in places {
            var first: [Int: Exchange] = [:]
            var decided: [Int: Exchange] = [:]
            var late: [Taking: Exchange] = [:]
            for place in of {
                let exchange = history.exchanges[place]
                guard case .post(let post) = exchange.kind,
                    let disposition = exchange.goodAnswer?.disposition, disposition != .repeated,
                    disposition != .mismatched
                else { continue }
                // Of what is late nodes do not hear from each other before they answer; but who knows that
                // it is late knows all that was taken before.
                let isLate = disposition == .late || disposition == .contradicted
                let taking = Taking(post: post, node: exchange.node)
                let known = isLate ? decided[post] ?? late[taking] : first[post]
                if first[post] == nil { first[post] = exchange }
                if isLate { late[taking] = exchange } else { decided[post] = exchange }
                check.note(
                    known.map {
                        """
                        \(describe(exchange, history)): \(disposition.rawValue) at node \
                        \(exchange.node), was \($0.answer?.disposition?.rawValue ?? "?") at node \
                        \($0.node)
                        """
                    }
                )
            }
        }
        return check
    }

    /// Answers that must not be, whatever happened: a good request is refused, or an attempt that was
    /// opened is not found.
    static func rightAnswers(_ history: History) -> Check {
        var check = Check(
            "every answer has its form",
            "good requests are answered 200 or 201, or 503 and the like where a node cannot say; an "
                + "opened attempt is found"
        )
        var openAt = [UInt64](repeating: .max, count: history.scripts.count)
        for exchange in history.exchanges where exchange.kind == .open {
            guard exchange.goodAnswer != nil else { continue }
            openAt[exchange.attempt] = min(openAt[exchange.attempt], exchange.returned)
        }
        for exchange in history.exchanges {
            guard let answer = exchange.answer else { continue }
            check.note(problem(answer, exchange, openAt[exchange.attempt], history))
        }
        return check
    }

    private static func problem(
        _ answer: Exchange.Answer,
        _ exchange: Exchange,
        _ openAt: UInt64,
        _ history: History
    ) -> String? {
        let what = describe(exchange, history)
        switch answer.status {
        case 200, 201:
            if answer.pending != nil { return nil }
            guard case .post(let post) = exchange.kind else {
                return answer.told == .nothing ? "\(what): says no state" : nil
            }
            let scripted = history.scripts[exchange.attempt].posts[post]
            if scripted.isPoll { return answer.told == .nothing ? "\(what): says nothing" : nil }
            return answer.disposition == nil ? "\(what): no disposition" : nil
        case 404:
            if exchange.kind == .localRead || exchange.invoked <= openAt { return nil }
            return "\(what): 404 at node \(exchange.node), after it was opened"
        case 408, 500..., 429: return nil
        default:
            return "\(what): \(answer.status) \(history.text(answer.body))"
        }
    }

    static func linearizability(_ history: History, _ places: [[Int]]) -> Check {
        var check = Check(
            "linearizability",
            "the outcomes that clients saw have an order that fits their times: exact, for a "
                + "write-once register an attempt"
        )
        for (attempt, of) in places.enumerated() where !of.isEmpty {
            let operations = history.registerOperations(of: attempt, of)
            check.note(
                WriteOnceRegister.violation(of: operations).map {
                    "\(history.scripts[attempt].name): \($0)"
                }
            )
        }
        return check
    }

    static func describe(_ exchange: Exchange, _ history: History) -> String {
        let script = history.scripts[exchange.attempt]
        let what =
            switch exchange.kind {
            case .open: "open"
            case .post(let post): script.key(of: post) ?? "poll"
            case .read: "read"
            case .localRead: "local read"
            }
        return "\(script.name) \(what) [\(milliseconds(exchange.invoked))]"
    }
}
