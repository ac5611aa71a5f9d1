package import Providers
package import Raft
package import Verification

/// Everything a node is told before it starts, but for its secrets.
package struct NodeConfiguration: Sendable {
    /// Another node of the cluster, or this one, as all of them know it.
    package struct Peer: Hashable, Sendable {
        package var node: NodeID
        package var region: String
        /// Where the others reach it.
        package var address: SocketAddress
        /// Where its HTTP interface is reached.
        package var http: SocketAddress

        package init(node: NodeID, region: String, address: SocketAddress, http: SocketAddress) {
            self.node = node
            self.region = region
            self.address = address
            self.http = http
        }
    }

    package struct Timers: Hashable, Sendable {
        package var heartbeat: Duration = .milliseconds(100)
        package var electionTimeout: Duration = .milliseconds(1000)
        /// Whether the two above were set; else they follow measured round trips.
        package var isHeartbeatFixed = false
        package var isElectionTimeoutFixed = false
        /// Bounds of what follows them.
        package var leastElectionTimeout: Duration = .milliseconds(400)
        package var mostElectionTimeout: Duration = .milliseconds(5000)
        /// Whether followers may infer commits while this node leads.
        package var commitInference = true
        /// How long a request may wait for a leader or a commit before it is answered 503.
        package var requestHold: Duration = .milliseconds(8000)
        /// From the first byte of a request to the end of its head.
        package var httpHead: Duration = .milliseconds(10_000)
        /// From the end of the head to the end of the body.
        package var httpBody: Duration = .milliseconds(20_000)
        /// Between requests of one connection.
        package var httpIdle: Duration = .milliseconds(60_000)
        /// How long a stopping node hands over and drains before it exits anyway.
        package var shutdown: Duration = .milliseconds(5000)
        /// A disk on which a batch takes longer counts as stalled, and its node leads no more.
        package var diskStall: Duration = .seconds(2)
        package init() {}
    }

    package struct Limits: Hashable, Sendable {
        /// Open HTTP connections.
        package var connections = 10_000
        package var headBytes = 16 * 1024
        package var bodyBytes = 64 * 1024
        /// Requests that wait for a decision; more are answered 503.
        package var pendingRequests = 20_000
        /// Bytes of callbacks held in the intake; more are answered 503.
        package var intakeBytes = 64 * 1024 * 1024
        /// Nothing more is taken in while the oldest of them is older.
        package var intakeAge = Duration.seconds(24 * 3600)
        package init() {}
    }

    /// How long attempts are kept, and how their state is held.
    package struct State: Hashable, Sendable {
        /// Replicated: proposed by a leader where the state has something else; nil: the state's stay, whatever they are.
        package var retention: RetentionSettings?
        /// Bytes of log after which a checkpoint is made.
        package var checkpointBytes = 64 * 1024 * 1024
        /// Changed attempts after which a checkpoint is made, too.
        package var checkpointAttempts = 100_000
        /// What decided attempts that are on disk may take in memory, in bytes.
        package var cacheBytes = 128 * 1024 * 1024
        package init() {}
    }

    package struct Log: Hashable, Sendable {
        package enum Format: Hashable, Sendable { case logfmt, json }
        package enum Level: UInt8, Hashable, Comparable, Sendable {
            case debug, info, warning, error
            package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
        }
        package var format: Format = .logfmt
        package var level: Level = .info
        package init() {}
    }

    /// The file this was read from.
    package var source: String
    /// The cluster's name; nodes of another one are refused.
    package var cluster: String
    package var node: NodeID
    package var region: String
    /// Relative paths were resolved against the configuration file's directory.
    package var dataDirectory: String
    package var secretsFile: String
    /// Where this node listens for HTTP.
    package var http: SocketAddress
    /// The origin in the URLs that platforms call and sign.
    package var publicOrigin: PublicOrigin
    /// Where this node listens for its peers.
    package var peerListen: SocketAddress
    /// All nodes of the cluster, this one included, sorted by number.
    package var peers: [Peer]
    /// Sorted by name; `default` is among them.
    package var flows: [FlowSettings]
    package var allowedTargets: TargetAllowList
    package var timers: Timers
    package var limits: Limits
    package var state: State
    package var log: Log
    /// Whether leadership moves to where it is best, after so long.
    package var movesLeader: Bool
    package var leaderStableFor: Duration
    /// Size of one segment of the journal, in bytes.
    package var journalSegmentBytes: Int
    /// Bytes of the file system that the node leaves free when it makes a file.
    package var journalReserveBytes: Int
    /// The data directory may be moved or copied to another place, or lie on a file system whose
    /// file numbers change, without being taken for a copy.
    package var dataMayMove: Bool
    /// The leader has the nodes compare their states this often; `nil`: never.
    package var digestInterval: Duration?

    /// The flow of that name; `nil` names the default one.
    package func flow(named name: String?) -> FlowSettings? {
        flows.first { $0.name == (name ?? FlowSettings.unnamed) }
    }
}

extension NodeConfiguration {
    /// The main settings, one a line, for people.
    package var summary: String {
        let nodes = peers.map { "\($0.node.number) (\($0.region))" }
        let targets = allowedTargets.prefixes.map(\.description)
        return """
            \(source): good
            cluster  \(cluster)
            node     \(node.number) (\(region))
            http     \(http), called as \(publicOrigin)
            peer     \(peerListen)
            nodes    \(nodes.joined(separator: ", "))
            data     \(dataDirectory)
            flows    \(flows.map { "\($0.name) (\($0.kind))" }.joined(separator: ", "))
            keeps    \(state.retention.map { "\($0)" } ?? "decided attempts as the cluster does")
            targets  \(targets.isEmpty ? "none allowed" : targets.joined(separator: ", "))
            secrets  \(secretsFile)
            """
    }
}
