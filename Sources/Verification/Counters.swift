/// The reasons of `Refusal`, without their details.
package enum RefusalKind: Int, Hashable, Sendable, CaseIterable {
    case unknownAttempt
    case unknownFlow
    case openedDifferently
    case tooManyAttempts
    case tooManyCalls
    case tooManyCallbacks
    case tooManyBytes
    case tooManyFlows
    case detailsRemoved
    case tooOld

    /// The name used in metrics.
    package var name: String {
        switch self {
        case .unknownAttempt: "unknown_attempt"
        case .unknownFlow: "unknown_flow"
        case .openedDifferently: "opened_differently"
        case .tooManyAttempts: "too_many_attempts"
        case .tooManyCalls: "too_many_calls"
        case .tooManyCallbacks: "too_many_callbacks"
        case .tooManyBytes: "too_many_bytes"
        case .tooManyFlows: "too_many_flows"
        case .detailsRemoved: "details_removed"
        case .tooOld: "too_old"
        }
    }
}

extension Refusal {
    package var kind: RefusalKind {
        switch self {
        case .unknownAttempt: .unknownAttempt
        case .unknownFlow: .unknownFlow
        case .openedDifferently: .openedDifferently
        case .tooManyAttempts: .tooManyAttempts
        case .tooManyCalls: .tooManyCalls
        case .tooManyCallbacks: .tooManyCallbacks
        case .tooManyBytes: .tooManyBytes
        case .tooManyFlows: .tooManyFlows
        case .detailsRemoved: .detailsRemoved
        case .tooOld: .tooOld
        }
    }
}

/// What the state machine has seen since it was made, for metrics; kept as entries are applied.
package struct Counters: Hashable, Sendable {
    private(set) var attempts = [UInt64](repeating: 0, count: AttemptState.allCases.count)
    private(set) var dispositions = [UInt64](repeating: 0, count: Disposition.allCases.count + 1)
    private(set) var refusals = [UInt64](repeating: 0, count: RefusalKind.allCases.count)
    /// Entries that this version could not decode.
    package internal(set) var undecodable: UInt64 = 0
    /// Polls found in the log, where they have no place.
    package internal(set) var loggedPolls: UInt64 = 0
    /// Reported repeats of attempts or keys that are not known, or in a batch seen before.
    package internal(set) var ignoredRepeats: UInt64 = 0

    /// Checks of the digest, and those about a state whose digest this replica does not keep.
    package internal(set) var checkedDigests: UInt64 = 0
    package internal(set) var uncheckedDigests: UInt64 = 0

    package init() {}

    /// The counts as one row, the newest kinds last in each part.
    var rows: [[UInt64]] {
        [
            attempts, dispositions, refusals,
            [undecodable, loggedPolls, ignoredRepeats, checkedDigests, uncheckedDigests],
        ]
    }

    /// Takes counts over from `rows` of this or an earlier version, which had fewer kinds.
    mutating func restore(_ rows: [[UInt64]]) {
        guard rows.count == 4, rows[3].count >= 3 else { return }
        for (i, value) in rows[0].enumerated() where i < attempts.count { attempts[i] = value }
        for (i, value) in rows[1].enumerated() where i < dispositions.count {
            dispositions[i] = value
        }
        for (i, value) in rows[2].enumerated() where i < refusals.count { refusals[i] = value }
        undecodable = rows[3][0]
        loggedPolls = rows[3][1]
        ignoredRepeats = rows[3][2]
        guard rows[3].count >= 5 else { return }
        checkedDigests = rows[3][3]
        uncheckedDigests = rows[3][4]
    }

    /// Attempts held that are in `state` now.
    package func attempts(in state: AttemptState) -> UInt64 { attempts[Int(state.rawValue)] }
    /// Callbacks, by what became of them; a command proposed twice counts once.
    package func callbacks(_ disposition: Disposition) -> UInt64 {
        dispositions[Int(disposition.rawValue)]
    }
    package func refusals(_ kind: RefusalKind) -> UInt64 { refusals[kind.rawValue] }

    mutating func open() { attempts[Int(AttemptState.open.rawValue)] += 1 }
    mutating func decide(_ state: AttemptState) {
        attempts[Int(AttemptState.open.rawValue)] -= 1
        attempts[Int(state.rawValue)] += 1
    }
    mutating func count(_ disposition: Disposition, by more: UInt64 = 1) {
        dispositions[Int(disposition.rawValue)] += more
    }
    mutating func count(_ refusal: Refusal) { refusals[refusal.kind.rawValue] += 1 }
}
