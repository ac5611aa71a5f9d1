/// One promise, held against a run.
package struct Check: Hashable, Sendable {
    package let name: String
    package let promise: String
    /// How many things were looked at.
    package private(set) var judged = 0
    package private(set) var violations = 0
    /// The first few.
    package private(set) var examples: [String] = []

    package static let maxExamples = 20

    package init(_ name: String, _ promise: String) {
        self.name = name
        self.promise = promise
    }

    package var holds: Bool { violations == 0 }

    /// Counts one thing that was looked at; `problem` says what is wrong with it.
    package mutating func note(_ problem: @autoclosure () -> String?) {
        judged += 1
        if let text = problem() { object(text) }
    }

    /// Counts one more violation.
    package mutating func object(_ text: String) {
        violations += 1
        if examples.count < Check.maxExamples { examples.append(text) }
    }
}

/// What is known besides the history when a run is judged.
package struct RunFacts: Sendable {
    /// Nanoseconds since the run began, when the last fault had ended.
    package var healed: UInt64 = 0
    /// From then until the cluster decided again, or `nil` if it did not in time.
    package var decidedAfter: UInt64?
    /// From then until all nodes said that they can commit.
    package var readyAfter: UInt64?
    /// Nanoseconds that it may take.
    package var recoveryBound: UInt64 = 0
    /// Nodes that ended though nothing was done to them that may end one, in words.
    package var unexpectedEnds: [String] = []
    /// Why nodes could not be asked in the end, in words.
    package var unread: [String] = []

    package init() {}
}

/// Holds the whole of a run against what is promised.
package struct Judgement: Sendable {
    package private(set) var checks: [Check]
    package var holds: Bool { checks.allSatisfy(\.holds) }
    package var violations: Int { checks.reduce(0) { $0 + $1.violations } }

    /// - Parameters:
    ///   - history: what clients saw.
    ///   - views: for each attempt, what the nodes said of it in the end.
    ///   - facts: the rest.
    package init(_ history: History, views: [[FinalView]], _ facts: RunFacts) {
        let places = history.byAttempt()
        checks = [
            Check.sameAnswer(history, places),
            Check.answeredOnce(history, places),
            Check.rightAnswers(history),
            Check.oneTerminalState(history, places, views),
            Check.linearizability(history, places),
            Check.nothingLost(history, places, views),
            Check.noTryTwice(history, views),
            Check.equalTimelines(history, views),
            Check.everyEventDecides(history, places, views),
            Check.recovery(facts),
            Check.nodesStayUp(facts),
        ]
    }
}
