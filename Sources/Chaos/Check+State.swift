// Checks of what the nodes hold in the end.

extension Check {
    static func oneTerminalState(
        _ history: History,
        _ places: [[Int]],
        _ views: [[FinalView]]
    ) -> Check {
        var check = Check(
            "one terminal state",
            "an attempt ends once, in one state, by one entry, and every node and answer says the same"
        )
        for (attempt, of) in places.enumerated() {
            let name = history.scripts[attempt].name
            var told: Set<Outcome> = []
            for place in of {
                if let outcome = history.exchanges[place].goodAnswer?.told.outcome {
                    told.insert(outcome)
                }
            }
            let views = attempt < views.count ? views[attempt] : []
            for view in views {
                if let state = view.state, let outcome = Outcome(rawValue: state) {
                    told.insert(outcome)
                }
            }
            guard !told.isEmpty else { continue }
            check.note(
                told.count == 1 ? nil : "\(name): \(told.map(\.rawValue).sorted())"
            )
            let entries = Set(views.compactMap(\.decidedAt))
            if entries.count > 1 { check.object("\(name): decided at \(entries.sorted())") }
            for view in views {
                if let outcome = told.first, view.state == "open" {
                    check.object(
                        "\(name): open at node \(view.node), though \(outcome.rawValue) was told"
                    )
                }
                let changes = view.lines.filter { $0.before != $0.after && $0.before != "open" }
                if let line = changes.first {
                    check.object(
                        "\(name): \(line.before) became \(line.after) at entry \(line.index)"
                    )
                }
            }
        }
        return check
    }

    static func nothingLost(
        _ history: History,
        _ places: [[Int]],
        _ views: [[FinalView]]
    ) -> Check {
        var check = Check(
            "nothing acknowledged is lost",
            "what was answered 200 stands in the timeline of every node, once"
        )
        for (attempt, of) in places.enumerated() {
            let script = history.scripts[attempt]
            var acknowledged: Set<String> = []
            var wasOpened = false
            for place in of {
                let exchange = history.exchanges[place]
                guard let answer = exchange.goodAnswer else { continue }
                if exchange.kind == .open { wasOpened = true }
                guard case .post(let post) = exchange.kind, answer.disposition != .mismatched,
                    let key = script.key(of: post)
                else { continue }
                acknowledged.insert(key)
            }
            for view in attempt < views.count ? views[attempt] : [] {
                let keys = view.lines.filter { $0.disposition != .mismatched }.compactMap(\.key)
                let known = Set(keys)
                if wasOpened {
                    check.note(
                        view.state == nil ? "\(script.name): unknown to node \(view.node)" : nil
                    )
                }
                for key in acknowledged.sorted() {
                    check.note(
                        known.contains(key)
                            ? nil : "\(script.name): node \(view.node) has no \(key)"
                    )
                }
                if keys.count > known.count {
                    check.object("\(script.name): node \(view.node) has a key twice: \(keys)")
                }
            }
        }
        return check
    }

    static func noTryTwice(_ history: History, _ views: [[FinalView]]) -> Check {
        var check = Check(
            "no try is used twice",
            "the tries used are the wrong digits taken while the attempt was open, each key once"
        )
        for (attempt, views) in views.enumerated() {
            let script = history.scripts[attempt]
            for view in views where view.state != nil {
                var used: Set<String> = []
                var lines = 0
                for line in view.lines where line.event == "digits" {
                    guard line.disposition == .accepted, line.after != "verified",
                        let key = line.key
                    else { continue }
                    used.insert(key)
                    lines += 1
                }
                let left = script.maxTries - used.count
                check.note(
                    view.triesLeft == left && lines == used.count
                        ? nil
                        : """
                        \(script.name): node \(view.node) says \(view.triesLeft) of \
                        \(script.maxTries) tries are left, and \(lines) wrong digits were taken
                        """
                )
            }
        }
        return check
    }

    static func equalTimelines(_ history: History, _ views: [[FinalView]]) -> Check {
        var check = Check(
            "equal timelines",
            "an attempt's timeline is the same on every node, byte for byte"
        )
        for (attempt, views) in views.enumerated() {
            guard let first = views.first else { continue }
            for view in views.dropFirst() {
                let isSame =
                    view.timeline == first.timeline && view.state == first.state
                    && view.triesLeft == first.triesLeft
                check.note(
                    isSame
                        ? nil
                        : """
                        \(history.scripts[attempt].name): node \(first.node) has \
                        \(first.state ?? "nothing") and \(first.lines.count) entries, node \
                        \(view.node) \(view.state ?? "nothing") and \(view.lines.count)
                        """
                )
            }
        }
        return check
    }

    /// An outcome that was acknowledged, or the end of a call and the grace time after it, decides.
    static func everyEventDecides(
        _ history: History,
        _ places: [[Int]],
        _ views: [[FinalView]]
    ) -> Check {
        var check = Check(
            "every terminal event decides",
            "an attempt with an acknowledged outcome, or whose last call ended, is decided in the end"
        )
        for (attempt, of) in places.enumerated() {
            let script = history.scripts[attempt]
            var reason: String?
            var live: Set<Int> = []
            var ended: Set<Int> = []
            for place in of {
                let exchange = history.exchanges[place]
                guard case .post(let post) = exchange.kind else { continue }
                let scripted = script.posts[post]
                let isAcknowledged =
                    exchange.goodAnswer.map { $0.disposition != .mismatched } ?? false
                switch scripted.claim {
                case .outcome where isAcknowledged: reason = script.key(of: post)
                case .callEnds where isAcknowledged: ended.insert(scripted.call)
                default: break
                }
                // A call that may be live keeps the grace time from beginning.
                if scripted.call > 0, exchange.end != .notSent { live.insert(scripted.call) }
            }
            if reason == nil, !ended.isEmpty, live == ended { reason = "the end of its last call" }
            guard let reason else { continue }
            for view in attempt < views.count ? views[attempt] : [] {
                check.note(
                    view.state == "open"
                        ? "\(script.name): open at node \(view.node) in spite of \(reason)" : nil
                )
            }
        }
        return check
    }

    static func recovery(_ facts: RunFacts) -> Check {
        let bound = facts.recoveryBound / 1_000_000_000
        var check = Check(
            "recovers in time",
            "after the last fault the cluster decides again, and all nodes can commit, within \(bound) s"
        )
        func judge(_ span: UInt64?, _ what: String) {
            check.note(
                span.map { $0 <= facts.recoveryBound } ?? false
                    ? nil : "\(what) after \(span.map(milliseconds) ?? "the bound, or never")"
            )
        }
        judge(facts.decidedAfter, "decided again")
        judge(facts.readyAfter, "all nodes ready")
        for text in facts.unread { check.object(text) }
        return check
    }

    static func nodesStayUp(_ facts: RunFacts) -> Check {
        var check = Check(
            "nodes stay up",
            "no node ends but those that are killed or stopped, or whose disk fails"
        )
        check.note(nil)
        for text in facts.unexpectedEnds { check.object(text) }
        return check
    }
}
