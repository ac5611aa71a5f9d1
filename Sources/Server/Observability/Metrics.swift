package import Verification

/// What a node counts and measures about itself.
///
/// Owned by the node's one thread: every update is an addition in place. Gauges that the node knows
/// better at the moment of asking are in `Gauges`, filled in when `/metrics` is rendered.
package struct Metrics {
    /// A fixed set of counters, one for each case of an enum numbered from 0 or 1.
    package struct Counters<Label: RawRepresentable & CaseIterable> where Label.RawValue == Int {
        private var values: [UInt64]
        init() { values = Array(repeating: 0, count: Label.allCases.count) }
        package subscript(label: Label) -> UInt64 {
            get { values[label.rawValue] }
            set { values[label.rawValue] = newValue }
        }
    }

    /// From the whole request's arrival to its answer's last byte being handed to the socket.
    package private(set) var requestTime: [Histogram] = Array(
        repeating: Histogram(),
        count: RouteKind.allCases.count
    )
    package private(set) var requests = RequestCounters()
    /// From a proposal to the moment this node knows that it is committed.
    package var commitTime = Histogram()
    /// One `fdatasync` of the journal.
    package var syncTime = Histogram()
    /// One batch's syncs of the intake.
    package var intakeSyncTime = Histogram()
    /// Applying one batch of committed entries.
    package var applyTime = Histogram()
    /// One turn of the node's loop: from the end of its wait for events to the beginning of the next.
    package private(set) var turnTime = Histogram()
    /// The longest turn so far, in nanoseconds.
    package private(set) var longestTurn: UInt64 = 0

    package var dispositions = Counters<DispositionLabel>()
    package var outcomes = Counters<OutcomeLabel>()
    package var refusals = Counters<RefusalLabel>()
    package var opened: UInt64 = 0
    package var polls: UInt64 = 0
    /// Calls that were told to hold on and ask again.
    package var holds: UInt64 = 0
    package var unauthenticated: UInt64 = 0
    package var malformed: UInt64 = 0

    package var electionsStarted: UInt64 = 0
    package var electionsWon: UInt64 = 0
    package var leaderChanges: UInt64 = 0
    package var proposals: UInt64 = 0
    package var forwards: UInt64 = 0
    package var proposedAgain: UInt64 = 0

    package var connectionsAccepted: UInt64 = 0
    package var connectionsRefused: UInt64 = 0
    package var httpBytesReceived: UInt64 = 0
    package var httpBytesSent: UInt64 = 0
    package var stateBytesWritten: UInt64 = 0
    package var journalBytesWritten: UInt64 = 0
    package var journalSyncs: UInt64 = 0
    package var diskStalls: UInt64 = 0
    package var timesOutOfRoom: UInt64 = 0
    package var unstoredEntries: UInt64 = 0
    package var logDamages: UInt64 = 0
    package var intakeDamages: UInt64 = 0
    package var takenIn: UInt64 = 0
    package var intakeReplicated: UInt64 = 0
    package var intakeNotRecorded: UInt64 = 0
    package var intakeRefused: UInt64 = 0

    /// Peers that were not let in for their data directory.
    package var refusedPeers: UInt64 = 0
    /// Times that no majority of the nodes had the same digest.
    package var digestDisputes: UInt64 = 0

    package init() {}

    package mutating func answered(_ route: RouteKind, status: Int, nanoseconds: UInt64) {
        requestTime[route.rawValue].observe(nanoseconds: nanoseconds)
        requests.add(route, status: status)
    }

    /// A request that led to no route.
    package mutating func answeredNoRoute(status: Int) { requests.add(nil, status: status) }

    package mutating func turned(nanoseconds: UInt64) {
        turnTime.observe(nanoseconds: nanoseconds)
        longestTurn = max(longestTurn, nanoseconds)
    }

    package mutating func decided(_ disposition: Disposition) {
        dispositions[DispositionLabel(disposition)] += 1
    }

    /// Takes the attempts by terminal state as the state machine counts them.
    package mutating func setOutcomes(_ count: (AttemptState) -> UInt64) {
        for state in AttemptState.allCases {
            if let label = OutcomeLabel(state) { outcomes[label] = count(state) }
        }
    }

    package mutating func refused(_ refusal: Refusal) { refusals[RefusalLabel(refusal)] += 1 }
}

/// Requests by route and status.
///
/// The statuses are a closed list, so that what a client sends cannot make the series grow.
package struct RequestCounters {
    static let statuses = [
        200, 201, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 500, 503, 507,
    ]
    private static let columns = statuses.count + 1
    private var values: [UInt64] = Array(
        repeating: 0,
        count: (RouteKind.allCases.count + 1) * columns
    )

    mutating func add(_ route: RouteKind?, status: Int) {
        let row = route.map { $0.rawValue + 1 } ?? 0
        let column = RequestCounters.statuses.firstIndex(of: status) ?? RequestCounters.columns - 1
        values[row * RequestCounters.columns + column] += 1
    }

    /// Calls `body` with each series that has counted something.
    func forEach(_ body: (_ route: String, _ status: String, UInt64) -> Void) {
        for row in 0...RouteKind.allCases.count {
            for column in 0..<RequestCounters.columns {
                let value = values[row * RequestCounters.columns + column]
                guard value > 0 else { continue }
                let route = row == 0 ? "none" : RouteKind.allCases[row - 1].name
                let isListed = column < RequestCounters.statuses.count
                body(route, isListed ? String(RequestCounters.statuses[column]) : "other", value)
            }
        }
    }
}

/// `Disposition` as a label.
package enum DispositionLabel: Int, CaseIterable, Sendable {
    case accepted, repeated, mismatched, late, contradicted, stale
    init(_ disposition: Disposition) {
        switch disposition {
        case .accepted: self = .accepted
        case .repeated: self = .repeated
        case .mismatched: self = .mismatched
        case .late: self = .late
        case .contradicted: self = .contradicted
        case .stale: self = .stale
        }
    }
}

/// A terminal `AttemptState` as a label.
package enum OutcomeLabel: Int, CaseIterable, Sendable {
    case verified, rejected, abandoned, unreachable, expired, cancelled
    init?(_ state: AttemptState) {
        switch state {
        case .open: return nil
        case .verified: self = .verified
        case .rejected: self = .rejected
        case .abandoned: self = .abandoned
        case .unreachable: self = .unreachable
        case .expired: self = .expired
        case .cancelled: self = .cancelled
        }
    }
}

/// `Refusal` as a label.
package enum RefusalLabel: Int, CaseIterable, Sendable {
    case unknownAttempt, unknownFlow, openedDifferently
    case tooManyAttempts, tooManyCalls, tooManyCallbacks, tooManyBytes, tooManyFlows
    case detailsRemoved, tooOld
    init(_ refusal: Refusal) {
        switch refusal {
        case .unknownAttempt: self = .unknownAttempt
        case .unknownFlow: self = .unknownFlow
        case .openedDifferently: self = .openedDifferently
        case .tooManyAttempts: self = .tooManyAttempts
        case .tooManyCalls: self = .tooManyCalls
        case .tooManyCallbacks: self = .tooManyCallbacks
        case .tooManyBytes: self = .tooManyBytes
        case .tooManyFlows: self = .tooManyFlows
        case .detailsRemoved: self = .detailsRemoved
        case .tooOld: self = .tooOld
        }
    }
    var name: String {
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
