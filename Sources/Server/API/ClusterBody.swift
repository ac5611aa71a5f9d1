internal import HTTP

/// The body of `GET /v1/cluster`: the cluster as one node sees it.
package struct ClusterBody: Hashable, Sendable, Decodable {
    package struct Node: Hashable, Sendable, Decodable {
        package var node: UInt32
        package var region: String
        /// `leader`, `follower`, `pre_candidate`, `candidate` or `learner`; `unknown` for a peer not
        /// heard of.
        package var role: String
        /// `good`, `reserve` (no room for new attempts), `full` or `stalled`; `nil` for a peer not heard
        /// of.
        package var disk: String?
        /// As last heard; `nil` if this node cannot know.
        package var commitIndex: UInt64?
        package var appliedIndex: UInt64?
        package var isReachable: Bool
        /// Milliseconds; 0 for the answering node, `nil` if none was measured.
        package var roundTripMilliseconds: Double?
        /// Where the node serves HTTP, such as `http://127.0.0.1:8101`.
        package var http: String
        /// Whether it does all that it is there for; `unknown` for a peer not heard of.
        package var condition = "unknown"
        /// The data directory that stands for it, in hexadecimal; `nil` if none is known yet.
        package var directory: String?
        /// Processes that have started on that directory.
        package var starts: UInt64?
        /// Why the answering node does not let it in, or for itself, why it is not let in.
        package var refused: String?
        /// What it has acknowledged and the log does not have yet; `nil` for the other nodes.
        package var intake: Intake?

        package init(
            node: UInt32,
            region: String,
            role: String,
            disk: String? = nil,
            commitIndex: UInt64?,
            appliedIndex: UInt64?,
            isReachable: Bool,
            roundTripMilliseconds: Double?,
            http: String
        ) {
            self.node = node
            self.region = region
            self.role = role
            self.disk = disk
            self.commitIndex = commitIndex
            self.appliedIndex = appliedIndex
            self.isReachable = isReachable
            self.roundTripMilliseconds = roundTripMilliseconds
            self.http = http
        }

        private enum CodingKeys: String, CodingKey {
            case node, region, role, disk, http, condition, directory, starts, refused, intake
            case commitIndex = "commit_index"
            case appliedIndex = "applied_index"
            case isReachable = "reachable"
            case roundTripMilliseconds = "round_trip_ms"
        }
    }

    package struct Intake: Hashable, Sendable, Decodable {
        package var records: Int
        package var bytes: Int
        package var oldestSeconds: UInt64

        package init(records: Int, bytes: Int, oldestSeconds: UInt64) {
            self.records = records
            self.bytes = bytes
            self.oldestSeconds = oldestSeconds
        }

        private enum CodingKeys: String, CodingKey {
            case records, bytes
            case oldestSeconds = "oldest_seconds"
        }
    }

    /// For how long decided attempts are kept, in seconds, as of what the answering node has applied.
    package struct Retention: Hashable, Sendable, Decodable {
        package var detailsSeconds: UInt64
        /// `nil`: for ever.
        package var forgetAfterSeconds: UInt64?

        package init(detailsSeconds: UInt64, forgetAfterSeconds: UInt64?) {
            self.detailsSeconds = detailsSeconds
            self.forgetAfterSeconds = forgetAfterSeconds
        }

        private enum CodingKeys: String, CodingKey {
            case detailsSeconds = "details_seconds"
            case forgetAfterSeconds = "forget_after_seconds"
        }
    }

    /// `nil` while no leader is known.
    package var leader: UInt32?
    package var term: UInt64
    /// The node that answers.
    package var node: UInt32
    /// Sorted by number.
    package var nodes: [Node]
    /// The node that would lead best; `nil` until all round trips are known.
    package var bestLeader: UInt32?
    /// The mean of a decision over all regions, in milliseconds of round trips: with the leader there
    /// is, and with the best one.
    package var decisionMilliseconds: Double?
    package var bestDecisionMilliseconds: Double?
    /// The silence of a leader that starts an election, in milliseconds.
    package var electionTimeoutMilliseconds: Double?
    package var retention: Retention

    package init(
        leader: UInt32?,
        term: UInt64,
        node: UInt32,
        retention: Retention,
        nodes: [Node]
    ) {
        self.retention = retention
        self.leader = leader
        self.term = term
        self.node = node
        self.nodes = nodes
    }

    /// The document; what is not known is `null`, so that every member is always there.
    package var bytes: [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("leader", orNull: leader.map { UInt64($0) })
        json.member("term", term)
        json.member("node", node)
        json.member("best_leader", orNull: bestLeader.map { UInt64($0) })
        json.milliseconds("decision_ms", decisionMilliseconds)
        json.milliseconds("best_decision_ms", bestDecisionMilliseconds)
        json.milliseconds("election_timeout_ms", electionTimeoutMilliseconds)
        json.key("retention")
        json.beginObject()
        json.member("details_seconds", retention.detailsSeconds)
        json.member("forget_after_seconds", orNull: retention.forgetAfterSeconds)
        json.endObject()
        json.key("nodes")
        json.beginArray()
        for node in nodes {
            json.beginObject()
            json.member("node", node.node)
            json.member("region", node.region)
            json.member("role", node.role)
            json.key("disk")
            if let disk = node.disk { json.string(disk) } else { json.null() }
            json.member("commit_index", orNull: node.commitIndex)
            json.member("applied_index", orNull: node.appliedIndex)
            json.member("reachable", node.isReachable)
            json.milliseconds("round_trip_ms", node.roundTripMilliseconds)
            json.member("http", node.http)
            json.member("condition", node.condition)
            json.member("directory", orNull: node.directory)
            json.member("starts", orNull: node.starts)
            json.member("refused", orNull: node.refused)
            json.key("intake")
            if let intake = node.intake {
                json.beginObject()
                json.member("records", intake.records)
                json.member("bytes", intake.bytes)
                json.member("oldest_seconds", intake.oldestSeconds)
                json.endObject()
            } else {
                json.null()
            }
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}

/// The body that answers a hand-over: who leads now, and since which term.
package enum HandOverBody {
    package static func bytes(leader: UInt32, term: UInt64) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("leader", leader)
        json.member("term", term)
        json.endObject()
        return json.bytes
    }
}

/// The body that answers a readmission: which directory stands for the node now.
package enum ReadmissionBody {
    package static func bytes(node: UInt32, directory: String) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("node", node)
        json.member("directory", directory)
        json.endObject()
        return json.bytes
    }
}

/// The body that answers the wish to build a node's state anew: what it does now.
package enum RebuildBody {
    package static func bytes(node: UInt32, condition: String) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("node", node)
        json.member("condition", condition)
        json.endObject()
        return json.bytes
    }
}

extension JSONText {
    fileprivate mutating func milliseconds(_ name: String, _ value: Double?) {
        key(name)
        if let value, let microseconds = UInt64(exactly: (value * 1000).rounded()) {
            thousandths(microseconds)
        } else {
            null()
        }
    }

    fileprivate mutating func member(_ name: String, orNull value: String?) {
        key(name)
        if let value { string(value) } else { null() }
    }

    fileprivate mutating func member(_ name: String, orNull value: UInt64?) {
        key(name)
        if let value { integer(value) } else { null() }
    }
}
