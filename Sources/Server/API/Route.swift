package import HTTP
package import Verification

/// What a request asks for: one row of the API's table, with what its path carries.
package enum Route: Hashable, Sendable {
    case openAttempt(AttemptID)
    case showAttempt(AttemptID)
    /// A callback in Verdict's own form.
    case callback(AttemptID)
    /// A callback in a platform's form; whether the provider is known is its caller's to say.
    case platformCallback(provider: String, AttemptID)
    case timeline(AttemptID)
    case cluster
    case handOver
    /// Lets a node's data directory stand for it.
    case readmit
    /// Builds the answering node's state anew from its log.
    case rebuild
    /// Begins a copy of the answering node.
    case beginBackup
    case showBackup(String)
    /// Lets go of what it consists of.
    case endBackup(String)
    /// A piece of one of its files.
    case backupFile(String, file: String)
    /// Some entries of its log.
    case backupLog(String)
    case livez
    case readyz
    case metrics

    /// The row of the table, without what the path carries.
    package var kind: RouteKind {
        switch self {
        case .openAttempt: .openAttempt
        case .showAttempt: .showAttempt
        case .callback: .callback
        case .platformCallback: .platformCallback
        case .timeline: .timeline
        case .cluster: .cluster
        case .handOver: .handOver
        case .readmit: .readmit
        case .rebuild: .rebuild
        case .beginBackup: .beginBackup
        case .showBackup: .showBackup
        case .endBackup: .endBackup
        case .backupFile: .backupFile
        case .backupLog: .backupLog
        case .livez: .livez
        case .readyz: .readyz
        case .metrics: .metrics
        }
    }
}

/// The rows of the API's table; also the label `route` of the metrics.
package enum RouteKind: Int, Hashable, Sendable, CaseIterable {
    case openAttempt, showAttempt, callback, platformCallback, timeline
    case cluster, handOver, readmit, rebuild
    case beginBackup, showBackup, endBackup, backupFile, backupLog
    case livez, readyz, metrics

    package var name: String {
        switch self {
        case .openAttempt: "open_attempt"
        case .showAttempt: "show_attempt"
        case .callback: "callback"
        case .platformCallback: "platform_callback"
        case .timeline: "timeline"
        case .cluster: "cluster"
        case .handOver: "hand_over"
        case .readmit: "readmit"
        case .rebuild: "rebuild"
        case .beginBackup: "begin_backup"
        case .showBackup: "show_backup"
        case .endBackup: "end_backup"
        case .backupFile: "backup_file"
        case .backupLog: "backup_log"
        case .livez: "livez"
        case .readyz: "readyz"
        case .metrics: "metrics"
        }
    }

    /// The methods it is served under.
    package var methods: [String] {
        switch self {
        case .openAttempt: ["PUT"]
        case .callback, .handOver, .readmit, .rebuild, .beginBackup: ["POST"]
        case .endBackup: ["DELETE"]
        case .platformCallback: ["GET", "POST"]
        case .showAttempt, .timeline, .cluster, .showBackup, .backupFile, .backupLog, .livez,
            .readyz, .metrics:
            ["GET"]
        }
    }

    /// The path with its variables in braces, as `docs/openapi.yaml` has it.
    package var template: String {
        switch self {
        case .openAttempt, .showAttempt: "/v1/attempts/{attempt}"
        case .callback: "/v1/attempts/{attempt}/callbacks"
        case .platformCallback: "/v1/callbacks/{provider}/{attempt}"
        case .timeline: "/v1/attempts/{attempt}/timeline"
        case .cluster: "/v1/cluster"
        case .handOver: "/v1/cluster/leader"
        case .readmit: "/v1/cluster/readmit"
        case .rebuild: "/v1/cluster/rebuild"
        case .beginBackup: "/v1/backups"
        case .showBackup, .endBackup: "/v1/backups/{backup}"
        case .backupFile: "/v1/backups/{backup}/files/{file}"
        case .backupLog: "/v1/backups/{backup}/log"
        case .livez: "/livez"
        case .readyz: "/readyz"
        case .metrics: "/metrics"
        }
    }

    /// A replica whose state is wrong must not answer it.
    package var isAnsweredFromState: Bool {
        switch self {
        case .openAttempt, .showAttempt, .callback, .platformCallback, .timeline: true
        // What is copied is looked at by itself: a node that does not serve has no backups.
        case .cluster, .handOver, .readmit, .rebuild, .beginBackup, .showBackup, .endBackup,
            .backupFile, .backupLog, .livez, .readyz, .metrics:
            false
        }
    }

    /// The token scope that may use it; `nil`: no token is asked for.
    package var scope: Scope? {
        switch self {
        case .openAttempt, .callback: .ingest
        case .showAttempt, .timeline, .cluster: .read
        case .handOver, .readmit, .rebuild, .beginBackup, .showBackup, .endBackup, .backupFile,
            .backupLog:
            .operate
        case .platformCallback, .livez, .readyz, .metrics: nil
        }
    }
}

package enum RouteMatch: Hashable, Sendable {
    case route(Route)
    case unknown
    /// The path exists; `allow` lists the methods it is served under.
    case wrongMethod(allow: String)
    case invalidAttempt

    /// The refusal to send; `nil` for a route.
    package var problem: Problem? {
        switch self {
        case .route: nil
        case .unknown: .unknownRoute
        case .wrongMethod(let allow): .wrongMethod(allow: allow)
        case .invalidAttempt:
            .invalid(
                field: "attempt",
                "an attempt is named by 1 to 128 characters of A-Z a-z 0-9 . _ : -"
            )
        }
    }
}

extension Route {
    /// Finds the route of a request.
    ///
    /// A trailing slash or a path outside the table is unknown; the method is looked at before the
    /// attempt's name, and the name may be percent-encoded.
    ///
    /// The path is the target up to its question mark, escapes untouched.
    package static func match(_ method: Request.Method, _ path: Substring) -> RouteMatch {
        var rest = path
        guard rest.utf8.first == UInt8(ascii: "/") else { return .unknown }
        rest = rest.dropFirst()
        let root = nextSegment(of: &rest)
        guard root == "v1" else {
            guard rest.isEmpty, !path.hasSuffixSlash else { return .unknown }
            switch root {
            case "livez": return fixed(.livez, method, .get)
            case "readyz": return fixed(.readyz, method, .get)
            case "metrics": return fixed(.metrics, method, .get)
            default: return .unknown
            }
        }
        let area = nextSegment(of: &rest)
        switch area {
        case "attempts": return matchAttempt(method, path, &rest)
        case "callbacks": return matchPlatformCallback(method, path, &rest)
        case "cluster":
            if rest.isEmpty {
                return path.hasSuffixSlash ? .unknown : fixed(.cluster, method, .get)
            }
            let leaf = nextSegment(of: &rest)
            guard rest.isEmpty, !path.hasSuffixSlash else { return .unknown }
            switch leaf {
            case "leader": return fixed(.handOver, method, .post)
            case "readmit": return fixed(.readmit, method, .post)
            case "rebuild": return fixed(.rebuild, method, .post)
            default: return .unknown
            }
        case "backups": return matchBackup(method, path, &rest)
        default: return .unknown
        }
    }

    private static func matchBackup(
        _ method: Request.Method,
        _ path: Substring,
        _ rest: inout Substring
    ) -> RouteMatch {
        guard !path.hasSuffixSlash else { return .unknown }
        if rest.isEmpty { return fixed(.beginBackup, method, .post) }
        let name = String(nextSegment(of: &rest))
        guard !name.isEmpty else { return .unknown }
        if rest.isEmpty {
            switch method {
            case .get: return .route(.showBackup(name))
            case .delete: return .route(.endBackup(name))
            default: return .wrongMethod(allow: "DELETE, GET")
            }
        }
        switch nextSegment(of: &rest) {
        case "log" where rest.isEmpty: return fixed(.backupLog(name), method, .get)
        case "files":
            let file = String(nextSegment(of: &rest))
            guard !file.isEmpty, rest.isEmpty else { return .unknown }
            return fixed(.backupFile(name, file: file), method, .get)
        default: return .unknown
        }
    }

    private static func matchAttempt(
        _ method: Request.Method,
        _ path: Substring,
        _ rest: inout Substring
    ) -> RouteMatch {
        // "/v1/attempts" names no attempt and is no route; "/v1/attempts/" names an empty one.
        guard !rest.isEmpty || path.hasSuffixSlash else { return .unknown }
        let encoded = nextSegment(of: &rest)
        guard !rest.isEmpty else {
            guard encoded.isEmpty || !path.hasSuffixSlash else { return .unknown }
            switch method {
            case .put: return attempt(encoded) { .openAttempt($0) }
            case .get: return attempt(encoded) { .showAttempt($0) }
            default: return .wrongMethod(allow: "GET, PUT")
            }
        }
        let leaf = nextSegment(of: &rest)
        guard rest.isEmpty, !path.hasSuffixSlash else { return .unknown }
        switch leaf {
        case "callbacks":
            guard method == .post else { return .wrongMethod(allow: "POST") }
            return attempt(encoded) { .callback($0) }
        case "timeline":
            guard method == .get else { return .wrongMethod(allow: "GET") }
            return attempt(encoded) { .timeline($0) }
        default: return .unknown
        }
    }

    private static func matchPlatformCallback(
        _ method: Request.Method,
        _ path: Substring,
        _ rest: inout Substring
    ) -> RouteMatch {
        let provider = nextSegment(of: &rest)
        guard !provider.isEmpty, Token.isValid(provider.utf8) else { return .unknown }
        guard !rest.isEmpty || path.hasSuffixSlash else { return .unknown }
        let encoded = nextSegment(of: &rest)
        guard rest.isEmpty, encoded.isEmpty || !path.hasSuffixSlash else { return .unknown }
        guard method == .get || method == .post else { return .wrongMethod(allow: "GET, POST") }
        return attempt(encoded) { .platformCallback(provider: String(provider), $0) }
    }

    private static func fixed(
        _ route: Route,
        _ method: Request.Method,
        _ served: Request.Method
    ) -> RouteMatch {
        method == served ? .route(route) : .wrongMethod(allow: served.name)
    }

    private static func attempt(_ encoded: Substring, _ route: (AttemptID) -> Route) -> RouteMatch {
        // The common spelling has no escape and is taken without a copy in between.
        if let attempt = AttemptID(encoded) { return .route(route(attempt)) }
        guard encoded.utf8.contains(UInt8(ascii: "%")),
            let decoded = try? PercentDecoding.decode(encoded.utf8),
            let attempt = AttemptID(String(decoding: decoded, as: UTF8.self))
        else { return .invalidAttempt }
        return .route(route(attempt))
    }

    /// Takes the text up to the next slash, and the slash.
    private static func nextSegment(of rest: inout Substring) -> Substring {
        guard let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) else {
            let segment = rest
            rest = rest[rest.endIndex...]
            return segment
        }
        let segment = rest[..<slash]
        rest = rest[rest.utf8.index(after: slash)...]
        return segment
    }
}

extension Substring {
    fileprivate var hasSuffixSlash: Bool { utf8.last == UInt8(ascii: "/") }
}
