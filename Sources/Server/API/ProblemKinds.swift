package import HTTP
package import Verification

extension Problem.Kind {
    static let invalid = Self("invalid-request", 400, "The request is not valid")
    static let unauthenticated = Self("unauthenticated", 401, "Authentication is needed")
    static let forbidden = Self("forbidden", 403, "Not allowed")
    static let badSignature = Self("bad-signature", 403, "The signature does not hold")
    static let unknownRoute = Self("unknown-route", 404, "No such route")
    static let unknownProvider = Self("unknown-provider", 404, "No such provider")
    static let unknownAttempt = Self("unknown-attempt", 404, "No such attempt")
    static let unknownBackup = Self("unknown-backup", 404, "No such backup")
    static let wrongMethod = Self("wrong-method", 405, "The route has other methods")
    static let requestTimedOut = Self("request-timed-out", 408, "The request was too slow")
    static let openedDifferently = Self("opened-differently", 409, "Opened with another meaning")
    static let notLeader = Self("not-leader", 409, "This node does not lead")
    static let detailsRemoved = Self("details-removed", 410, "Decided long ago")
    static let tooOld = Self("too-old", 410, "The ID is too old")
    static let notWaiting = Self("not-waiting", 409, "The node does not wait to be let in")
    static let otherNode = Self("other-node", 409, "Another node has to be asked")
    static let tooLarge = Self("too-large", 413, "The request is too large")
    static let unsupportedType = Self("unsupported-type", 415, "Unsupported content type")
    static let mismatched = Self("mismatched", 422, "The key was used with another meaning")
    static let tooManyCalls = Self("too-many-calls", 429, "Too many calls for this attempt")
    static let tooManyCallbacks = Self(
        "too-many-callbacks",
        429,
        "Too many callbacks for this attempt"
    )
    static let tooManyBytes = Self("too-many-bytes", 429, "Too much recorded for this attempt")
    static let overloaded = Self("overloaded", 503, "Too much waits already")
    static let noQuorum = Self("no-quorum", 503, "No majority can be reached")
    static let undecidedInTime = Self("undecided-in-time", 503, "Not committed in time")
    static let stopping = Self("stopping", 503, "This node is stopping")
    static let intakeFull = Self("intake-full", 503, "This node's intake is full")
    static let diskStalled = Self("disk-stalled", 503, "This node's disk does not answer")
    static let quarantined = Self("quarantined", 503, "This node's state is not to be trusted")
    static let notAdmitted = Self("not-admitted", 503, "This node takes no part")
    static let flowNotReady = Self("flow-not-ready", 503, "The flow is not in the log yet")
    static let noBackupNow = Self("no-backup-now", 503, "No backup can be taken here now")
    static let tooManyAttempts = Self("too-many-attempts", 507, "No room for another attempt")
    static let tooManyFlows = Self("too-many-flows", 507, "No room for another flow")
    static let diskFull = Self("disk-full", 507, "The disks are full")
    /// A message that the parser refused; its status is the parser's, this one stands for most.
    static let malformed = Self("malformed-message", 400, "The message is refused")

    /// Every kind, for the documentation to be held against.
    package static let all: [Self] = [
        invalid, unauthenticated, forbidden, badSignature, unknownRoute, unknownProvider,
        unknownAttempt, wrongMethod, requestTimedOut, openedDifferently, notLeader, notWaiting,
        otherNode, detailsRemoved, tooOld, tooLarge, unsupportedType, mismatched, tooManyCalls,
        tooManyCallbacks, tooManyBytes, overloaded, noQuorum, undecidedInTime, stopping,
        diskStalled, quarantined, notAdmitted, flowNotReady, tooManyAttempts, tooManyFlows,
        diskFull, intakeFull, unknownBackup, noBackupNow, malformed,
    ]
}

// One constructor a case, so that the same fault reads the same wherever it is found.
extension Problem {
    package static func invalid(field: String, _ detail: String) -> Problem {
        var problem = Problem(.invalid, detail)
        problem.field = field
        return problem
    }

    /// A message that is not HTTP as this server takes it; the status is the parser's.
    package init(_ error: MessageError) {
        guard error.status != Kind.tooLarge.status else {
            self.init(.tooLarge, error.reason)
            return
        }
        self.init(Kind(Kind.malformed.name, error.status, Kind.malformed.title), error.reason)
    }

    /// A peer that was too slow with its request.
    package static let requestTimedOut = Problem(
        .requestTimedOut,
        "the request did not arrive in time"
    )

    /// No token, or one that is not known.
    package static func unauthenticated(tokenGiven: Bool) -> Problem {
        var problem = Problem(
            .unauthenticated,
            tokenGiven
                ? "the bearer token is not known"
                : "this route takes a bearer token in Authorization"
        )
        let error = tokenGiven ? ", error=\"invalid_token\"" : ""
        problem.headers = [
            Header(name: "WWW-Authenticate", value: "Bearer realm=\"verdict\"\(error)")
        ]
        return problem
    }

    package static func forbidden(needs scope: Scope) -> Problem {
        var problem = Problem(.forbidden, "the token lacks the scope \(scope.name)")
        problem.headers = [
            Header(
                name: "WWW-Authenticate",
                value: "Bearer realm=\"verdict\", error=\"insufficient_scope\", "
                    + "scope=\"\(scope.name)\""
            )
        ]
        return problem
    }

    /// A platform's callback whose signature is missing or wrong; `detail` must not quote it.
    package static func badSignature(_ detail: String) -> Problem {
        Problem(.badSignature, detail)
    }

    package static let unknownRoute = Problem(.unknownRoute, "the path leads to no route")
    package static let unknownProvider = Problem(
        .unknownProvider,
        "no provider of this name is configured"
    )
    package static let unknownAttempt = Problem(
        .unknownAttempt,
        "the attempt was never opened; a callback opens none"
    )

    package static func wrongMethod(allow: String) -> Problem {
        var problem = Problem(.wrongMethod, "the route takes \(allow)")
        problem.headers = [Header(name: "Allow", value: allow)]
        return problem
    }

    package static func openedDifferently(differs: [String]) -> Problem {
        var problem = Problem(
            .openedDifferently,
            "the attempt exists and was opened with other values; it stays as it was"
        )
        problem.differs = differs
        return problem
    }

    /// The key came before with another meaning; recorded, and nothing moved.
    package static func mismatched(differs: [String]) -> Problem {
        var problem = Problem(
            .mismatched,
            "the key was used before with other values; nothing moved"
        )
        problem.differs = differs
        return problem
    }

    package static func tooLarge(_ detail: String) -> Problem { Problem(.tooLarge, detail) }

    package static func unsupportedType(expected: String) -> Problem {
        Problem(.unsupportedType, "the body must be \(expected)")
    }

    package static func overloaded(retryAfter: UInt32) -> Problem {
        busy(.overloaded, "the node has as much waiting as it may hold", retryAfter, leader: nil)
    }

    package static func noQuorum(retryAfter: UInt32, leader: UInt32? = nil) -> Problem {
        busy(.noQuorum, "no majority of the nodes can be reached", retryAfter, leader: leader)
    }

    /// Held as long as a request may be; it may still be committed, and asking again is harmless.
    package static func undecidedInTime(retryAfter: UInt32, leader: UInt32? = nil) -> Problem {
        busy(
            .undecidedInTime,
            "the request may still be committed; send it again with the same key",
            retryAfter,
            leader: leader
        )
    }

    package static func stopping(retryAfter: UInt32) -> Problem {
        busy(.stopping, "the node is stopping; ask another", retryAfter, leader: nil)
    }

    /// A write has been under way for so long that the disk may hang.
    package static func diskStalled(retryAfter: UInt32) -> Problem {
        busy(
            .diskStalled,
            "a write does not end on this node; ask another",
            retryAfter,
            leader: nil
        )
    }

    /// No majority can be reached, and as much waits for one as may.
    package static func intakeFull(retryAfter: UInt32, leader: UInt32?) -> Problem {
        busy(
            .intakeFull,
            "no majority of the nodes can be reached, and this node holds as many callbacks for later as it may",
            retryAfter,
            leader: leader
        )
    }

    /// Asked of a node that does not lead something which only the leader can do.
    package static func notLeader(leader: UInt32?) -> Problem {
        var problem = Problem(.notLeader, "only the leader can do this")
        problem.leader = leader
        return problem
    }

    /// The nodes have no room: for new attempts, or for anything.
    package static func diskFull(retryAfter: UInt32, leader: UInt32?) -> Problem {
        busy(
            .diskFull,
            "most of the nodes have no room on their disks; what is decided is still answered",
            retryAfter,
            leader: leader
        )
    }

    /// Nobody whom this node refused waits to be let in for that node.
    package static let notWaiting = Problem(
        .notWaiting,
        "this node has refused no data directory of that node since it was started: start that node, "
            + "and ask a node that refuses it"
    )

    package static let unknownBackup = Problem(
        .unknownBackup,
        "this node keeps no backup of this name: it was never begun here, is done, or was not asked for in time"
    )

    /// The backup is there, and what is asked of it is not.
    package static let notInBackup = Problem(
        .unknownBackup,
        "the backup is not ready yet, or has no such piece"
    )

    package static func noBackupNow(_ reason: String) -> Problem {
        busy(.noBackupNow, "\(reason); ask another node", 5, leader: nil)
    }

    package static func otherNode(_ node: UInt32) -> Problem {
        Problem(.otherNode, "node \(node) has to be asked itself")
    }

    /// The digest of this node's state was not the one agreed.
    package static func quarantined(isRebuilding: Bool) -> Problem {
        busy(
            .quarantined,
            isRebuilding
                ? "the node builds its state anew; ask another"
                : "the node's state differs from the others', so it does not serve; ask another",
            1,
            leader: nil
        )
    }

    /// The node catches up, or the cluster does not count on its data directory.
    package static func notAdmitted(_ detail: String) -> Problem {
        busy(.notAdmitted, detail, 5, leader: nil)
    }

    private static func busy(
        _ kind: Kind,
        _ detail: String,
        _ retryAfter: UInt32,
        leader: UInt32?
    ) -> Problem {
        var problem = Problem(kind, detail)
        problem.retryAfter = retryAfter
        problem.leader = leader
        return problem
    }

    /// A command that stands in the log but was not carried out.
    package init(_ refusal: Refusal) {
        switch refusal {
        case .unknownAttempt: self = .unknownAttempt
        case .unknownFlow:
            self = .busy(
                .flowNotReady,
                "the flow's definition is not in the log yet; ask again",
                1,
                leader: nil
            )
        case .openedDifferently(let differs): self = .openedDifferently(differs: differs)
        case .tooManyAttempts(let limit):
            self = .bound(.tooManyAttempts, "the cluster holds as many attempts as it may", limit)
        case .tooManyCalls(let limit):
            self = .bound(.tooManyCalls, "the attempt has as many calls as it may", limit)
        case .tooManyCallbacks(let limit):
            self = .bound(.tooManyCallbacks, "the attempt has as many callbacks as it may", limit)
        case .tooManyBytes(let limit):
            self = .bound(.tooManyBytes, "the attempt has as many bytes as it may", limit)
        case .tooManyFlows(let limit):
            self = .bound(.tooManyFlows, "the log holds as many flow definitions as it may", limit)
        case .detailsRemoved:
            self.init(
                .detailsRemoved,
                "the attempt was decided so long ago that only its outcome is kept; read it with GET"
            )
        case .tooOld:
            self.init(
                .tooOld,
                "the ID carries a time of which nothing is kept any more; it is never used again"
            )
        }
    }

    private static func bound(_ kind: Kind, _ detail: String, _ limit: Int) -> Problem {
        var problem = Problem(kind, detail)
        problem.limit = limit
        return problem
    }
}
