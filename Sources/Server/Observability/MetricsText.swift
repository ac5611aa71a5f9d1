/// What a node knows at the moment it is asked for its metrics.
package struct Gauges: Sendable {
    package enum Role: String, CaseIterable, Sendable {
        case follower, candidate, leader, learner, repairing
        case preCandidate = "pre_candidate"
    }
    /// What there is room for on the disk.
    package enum DiskRoom: String, CaseIterable, Sendable { case enough, reserve, none }
    package struct Peer: Sendable {
        package var node: UInt32
        package var isConnected: Bool
        /// `nil` as long as none was measured.
        package var roundTripNanoseconds: UInt64?
        /// How far its clock is ahead of this node's; `nil` as long as that is not known.
        package var clockOffsetMilliseconds: Int64?
        package var bytesSent: UInt64
        package var bytesReceived: UInt64
        package var queuedBytes: UInt64
        package init(
            node: UInt32,
            isConnected: Bool,
            roundTripNanoseconds: UInt64? = nil,
            clockOffsetMilliseconds: Int64? = nil,
            bytesSent: UInt64 = 0,
            bytesReceived: UInt64 = 0,
            queuedBytes: UInt64 = 0
        ) {
            self.node = node
            self.isConnected = isConnected
            self.roundTripNanoseconds = roundTripNanoseconds
            self.clockOffsetMilliseconds = clockOffsetMilliseconds
            self.bytesSent = bytesSent
            self.bytesReceived = bytesReceived
            self.queuedBytes = queuedBytes
        }
    }

    /// What was looked through on the disk, to find damage.
    package struct Scrub: Sendable {
        package var bytes: UInt64
        package var rounds: UInt64
        package var damages: UInt64
        package init(bytes: UInt64 = 0, rounds: UInt64 = 0, damages: UInt64 = 0) {
            self.bytes = bytes
            self.rounds = rounds
            self.damages = damages
        }
    }

    package var node: UInt32
    package var region: String
    package var version: String
    package var role = Role.follower
    package var term: UInt64 = 0
    /// The node that leads; 0 when none is known.
    package var leader: UInt32 = 0
    /// The node that would lead best; 0 while not known.
    package var bestLeader: UInt32 = 0
    /// Nanoseconds, as is the next.
    package var meanDecision: UInt64?
    package var bestMeanDecision: UInt64?
    package var electionTimeout: UInt64 = 0
    package var placementMoves: UInt64 = 0
    package var commitIndex: UInt64 = 0
    package var appliedIndex: UInt64 = 0
    package var lastLogIndex: UInt64 = 0
    package var durableIndex: UInt64 = 0
    package var inferredCommits: UInt64 = 0
    package var attempts: UInt64 = 0
    package var connections: UInt64 = 0
    /// Requests that wait for their entry to be committed.
    package var waitingProposals: UInt64 = 0
    /// Reads that wait for the leader to prove itself.
    package var waitingReads: UInt64 = 0
    /// Requests held because no leader is known.
    package var heldRequests: UInt64 = 0
    /// Writes handed to the disk thread and not yet durable.
    package var waitingWrites: UInt64 = 0
    /// The entry of the newest durable checkpoint; 0: none.
    package var checkpointIndex: UInt64 = 0
    package var checkpoints: UInt64 = 0
    package var storeFailures: UInt64 = 0
    /// Attempts whose record is in memory.
    package var residentAttempts: UInt64 = 0
    /// Attempts that have a record on disk.
    package var settledAttempts: UInt64 = 0
    package var recordLoads: UInt64 = 0
    package var recordEvictions: UInt64 = 0
    package var runs: UInt64 = 0
    package var runBytes: UInt64 = 0
    package var liveRunBytes: UInt64 = 0
    package var logScrub = Scrub()
    package var stateScrub = Scrub()
    package var intakeRecords: UInt64 = 0
    package var intakeBytes: UInt64 = 0
    package var intakeOldestMilliseconds: UInt64 = 0
    package var diskRoom = DiskRoom.enough
    package var isDiskStalled = false
    /// How long the batch under way has taken so far.
    package var diskWaitNanoseconds: UInt64 = 0
    package var uptimeSeconds: UInt64 = 0
    package var clockCorrectionMilliseconds: Int64 = 0
    package var missingEntries: UInt64 = 0
    /// The name of what this node is fit for; see `NodeCondition`.
    package var condition = ""
    package var conditions: [String] = []
    package var directoryStarts: UInt64 = 0
    /// The entry of the newest digest that is kept, and how many were compared.
    package var digestIndex: UInt64 = 0
    package var digestsChecked: UInt64 = 0
    package var digestsUnchecked: UInt64 = 0
    package var peers: [Peer] = []

    package init(node: UInt32, region: String, version: String) {
        self.node = node
        self.region = region
        self.version = version
    }
}

extension Metrics {
    /// Everything in the Prometheus text format.
    package func text(_ gauges: Gauges) -> [UInt8] {
        var text = PrometheusText()
        text.begin("verdict_build_info", .gauge, help: "Always 1; the labels say what runs.")
        text.sample(
            [
                ("version", gauges.version), ("node", String(gauges.node)),
                ("region", gauges.region),
            ],
            1
        )
        text.gauge("verdict_uptime_seconds", gauges.uptimeSeconds, "Time since the start.")
        writeHTTP(gauges, &text)
        writeDecisions(gauges, &text)
        writeConsensus(gauges, &text)
        writeQueues(gauges, &text)
        writeJournal(gauges, &text)
        writeState(gauges, &text)
        Metrics.writeScrub(gauges, &text)
        writeIntake(gauges, &text)
        writeIntegrity(gauges, &text)
        Metrics.writePeers(gauges.peers, &text)
        return text.bytes
    }

    private func writeHTTP(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.begin(
            "verdict_http_request_duration_seconds",
            .histogram,
            help: "Time from a whole request to its answer, by route."
        )
        for route in RouteKind.allCases {
            text.histogram([("route", route.name)], requestTime[route.rawValue])
        }
        text.begin(
            "verdict_http_requests_total",
            .counter,
            help: "Requests answered, by route and status; route none led nowhere."
        )
        requests.forEach { route, status, count in
            text.sample([("route", route), ("status", status)], count)
        }
        text.counter(
            "verdict_http_malformed_total",
            malformed,
            "Messages refused before they were a request."
        )
        text.counter(
            "verdict_http_unauthenticated_total",
            unauthenticated,
            "Requests without a good token or signature."
        )
        text.gauge("verdict_http_connections", gauges.connections, "Open HTTP connections.")
        text.counter(
            "verdict_http_connections_accepted_total",
            connectionsAccepted,
            "HTTP connections accepted."
        )
        text.counter(
            "verdict_http_connections_refused_total",
            connectionsRefused,
            "HTTP connections closed at once, since there were too many."
        )
        text.counter(
            "verdict_http_received_bytes_total",
            httpBytesReceived,
            "Bytes received over HTTP."
        )
        text.counter("verdict_http_sent_bytes_total", httpBytesSent, "Bytes sent over HTTP.")
    }

    private func writeDecisions(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.gauge("verdict_attempts", gauges.attempts, "Attempts held.")
        text.counter("verdict_attempts_opened_total", opened, "Attempts opened at this node.")
        text.begin(
            "verdict_callbacks_total",
            .counter,
            help: "Callbacks answered at this node, by disposition."
        )
        for label in DispositionLabel.allCases {
            text.sample([("disposition", "\(label)")], dispositions[label])
        }
        text.counter("verdict_polls_total", polls, "Polls answered from state.")
        text.counter("verdict_holds_total", holds, "Calls told to hold on and ask again.")
        text.begin(
            "verdict_outcomes_total",
            .counter,
            help: "Attempts held that are terminal, by state."
        )
        for label in OutcomeLabel.allCases {
            text.sample([("state", "\(label)")], outcomes[label])
        }
        text.begin(
            "verdict_refusals_total",
            .counter,
            help: "Commands refused by the state machine, by reason."
        )
        for label in RefusalLabel.allCases {
            text.sample([("reason", label.name)], refusals[label])
        }
    }

    private func writeConsensus(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.begin(
            "verdict_clock_correction_seconds",
            .gauge,
            help: "How far most nodes' clocks are ahead of this one's; 0 while they agree."
        )
        text.sample([], milliseconds: gauges.clockCorrectionMilliseconds)
        text.gauge(
            "verdict_log_missing_entries",
            gauges.missingEntries,
            "Entries of the log that are not on this disk, and are fetched from the others."
        )
        text.gauge("verdict_raft_term", gauges.term, "The current term.")
        text.begin("verdict_raft_role", .gauge, help: "1 for the role this node has.")
        for role in Gauges.Role.allCases {
            text.sample([("role", role.rawValue)], role == gauges.role ? 1 : 0)
        }
        text.gauge(
            "verdict_raft_leader",
            UInt64(gauges.leader),
            "The leader's number; 0: none known."
        )
        text.gauge("verdict_raft_commit_index", gauges.commitIndex, "Last committed entry.")
        text.gauge("verdict_raft_applied_index", gauges.appliedIndex, "Last applied entry.")
        text.gauge("verdict_raft_last_log_index", gauges.lastLogIndex, "Last entry of the log.")
        text.gauge(
            "verdict_raft_durable_index",
            gauges.durableIndex,
            "Last entry on stable storage."
        )
        text.counter(
            "verdict_raft_elections_started_total",
            electionsStarted,
            "Elections this node stood in."
        )
        text.counter(
            "verdict_raft_elections_won_total",
            electionsWon,
            "Elections this node won."
        )
        text.counter(
            "verdict_raft_inferred_commits_total",
            gauges.inferredCommits,
            "Moves of the commit index that this node inferred rather than was told."
        )
        text.gauge(
            "verdict_raft_best_leader",
            UInt64(gauges.bestLeader),
            "Number of the node that would lead best by measured round trips; 0 while not known."
        )
        text.begin(
            "verdict_raft_mean_decision_seconds",
            .gauge,
            help: "Mean of a decision over all regions, in round trips: with this leader, the best."
        )
        if let mean = gauges.meanDecision { text.sample([("leader", "this")], nanoseconds: mean) }
        if let mean = gauges.bestMeanDecision {
            text.sample([("leader", "best")], nanoseconds: mean)
        }
        text.begin(
            "verdict_raft_election_timeout_seconds",
            .gauge,
            help: "The silence of a leader that starts an election."
        )
        text.sample([], nanoseconds: gauges.electionTimeout)
        text.counter(
            "verdict_raft_placement_moves_total",
            gauges.placementMoves,
            "Times that this node, leading, handed over by itself to a better place."
        )
        text.counter(
            "verdict_raft_leader_changes_total",
            leaderChanges,
            "Changes of leader this node saw."
        )
        text.counter("verdict_raft_proposals_total", proposals, "Commands proposed here.")
        text.counter(
            "verdict_raft_forwards_total",
            forwards,
            "Commands forwarded to the leader."
        )
        text.counter(
            "verdict_raft_proposed_again_total",
            proposedAgain,
            "Commands sent again because no answer came."
        )
        text.begin(
            "verdict_commit_duration_seconds",
            .histogram,
            help: "Time from a proposal to its commitment."
        )
        text.histogram([], commitTime)
        text.begin(
            "verdict_apply_duration_seconds",
            .histogram,
            help: "Time to apply a batch of committed entries."
        )
        text.histogram([], applyTime)
        text.begin(
            "verdict_loop_turn_duration_seconds",
            .histogram,
            help: "Time that the node's loop was busy between two waits for events."
        )
        text.histogram([], turnTime)
        text.begin(
            "verdict_loop_turn_longest_seconds",
            .gauge,
            help: "The longest of them since the start."
        )
        text.sample([], nanoseconds: longestTurn)
    }

    private func writeQueues(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.begin("verdict_queue_depth", .gauge, help: "What waits in this node, by queue.")
        text.sample([("queue", "proposals")], gauges.waitingProposals)
        text.sample([("queue", "reads")], gauges.waitingReads)
        text.sample([("queue", "held")], gauges.heldRequests)
        text.sample([("queue", "disk")], gauges.waitingWrites)
    }

    private func writeJournal(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.begin(
            "verdict_journal_sync_duration_seconds",
            .histogram,
            help: "Time of one sync of the journal."
        )
        text.histogram([], syncTime)
        text.counter("verdict_journal_syncs_total", journalSyncs, "Syncs of the journal.")
        text.counter(
            "verdict_journal_damages_total",
            logDamages,
            "Damaged parts of the log that were found."
        )
        text.counter(
            "verdict_journal_written_bytes_total",
            journalBytesWritten,
            "Bytes written to the journal."
        )
        text.begin(
            "verdict_disk_room",
            .gauge,
            help: "1 for what the disk has room for; reserve: no new attempts, none: nothing."
        )
        for room in Gauges.DiskRoom.allCases {
            text.sample([("room", room.rawValue)], room == gauges.diskRoom ? 1 : 0)
        }
        text.gauge(
            "verdict_disk_stalled",
            gauges.isDiskStalled ? 1 : 0,
            "1 while a batch takes longer than timers.disk_stall_seconds."
        )
        text.begin(
            "verdict_disk_wait_seconds",
            .gauge,
            help: "How long the batch under way has taken so far."
        )
        text.sample([], nanoseconds: gauges.diskWaitNanoseconds)
        text.counter("verdict_disk_stalls_total", diskStalls, "Times the disk stalled.")
        text.counter(
            "verdict_disk_out_of_room_total",
            timesOutOfRoom,
            "Times there was no room for another segment."
        )
        text.counter(
            "verdict_raft_unstored_entries_total",
            unstoredEntries,
            "Entries of a leader that were not taken for lack of room."
        )
    }

    private func writeIntegrity(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.begin("verdict_node_condition", .gauge, help: "1 for the condition this node is in.")
        for name in gauges.conditions {
            text.sample([("condition", name)], name == gauges.condition ? 1 : 0)
        }
        text.gauge(
            "verdict_directory_starts",
            gauges.directoryStarts,
            "Processes that have started on the data directory."
        )
        text.counter(
            "verdict_peers_refused_total",
            refusedPeers,
            "Greetings of peers whose data directory is not the one that stands for them."
        )
        text.gauge(
            "verdict_digest_index",
            gauges.digestIndex,
            "Entry of the newest digest of the state that is kept to be compared."
        )
        text.counter(
            "verdict_digest_checks_total",
            gauges.digestsChecked,
            "Digests of the state that were compared with the one agreed."
        )
        text.counter(
            "verdict_digest_unchecked_total",
            gauges.digestsUnchecked,
            "Digests agreed for an entry whose own digest is not kept any more."
        )
        text.counter(
            "verdict_digest_disputes_total",
            digestDisputes,
            "Times that no majority of the nodes had the same digest."
        )
    }

    private func writeState(_ gauges: Gauges, _ text: inout PrometheusText) {
        text.gauge(
            "verdict_checkpoint_index",
            gauges.checkpointIndex,
            "Entry of the newest durable checkpoint; 0: none."
        )
        text.counter("verdict_checkpoints_total", gauges.checkpoints, "Checkpoints made.")
        text.counter(
            "verdict_state_failures_total",
            gauges.storeFailures,
            "Checkpoints, merges and removals of state files that failed."
        )
        text.counter(
            "verdict_state_written_bytes_total",
            stateBytesWritten,
            "Bytes written to state files."
        )
        text.gauge(
            "verdict_attempts_resident",
            gauges.residentAttempts,
            "Attempts in memory."
        )
        text.gauge(
            "verdict_attempts_settled",
            gauges.settledAttempts,
            "Attempts with a record on disk."
        )
        text.counter(
            "verdict_record_loads_total",
            gauges.recordLoads,
            "Attempts read back from disk."
        )
        text.counter(
            "verdict_record_evictions_total",
            gauges.recordEvictions,
            "Attempts that left memory."
        )
        text.gauge("verdict_state_runs", gauges.runs, "Files of the newest checkpoint.")
        text.begin("verdict_state_bytes", .gauge, help: "Bytes of those files, all and live.")
        text.sample([("kind", "all")], gauges.runBytes)
        text.sample([("kind", "live")], gauges.liveRunBytes)
    }

    private static func writePeers(_ peers: [Gauges.Peer], _ text: inout PrometheusText) {
        text.begin("verdict_peer_connected", .gauge, help: "1 while the link to the peer is up.")
        for peer in peers {
            text.sample([("peer", String(peer.node))], peer.isConnected ? 1 : 0)
        }
        text.begin(
            "verdict_peer_round_trip_seconds",
            .gauge,
            help: "Measured round trip to the peer."
        )
        for peer in peers {
            guard let trip = peer.roundTripNanoseconds else { continue }
            text.sample([("peer", String(peer.node))], nanoseconds: trip)
        }
        text.begin(
            "verdict_peer_clock_offset_seconds",
            .gauge,
            help: "How far the peer's wall clock is ahead of this node's."
        )
        for peer in peers {
            guard let offset = peer.clockOffsetMilliseconds else { continue }
            text.sample([("peer", String(peer.node))], milliseconds: offset)
        }
        text.begin("verdict_peer_sent_bytes_total", .counter, help: "Bytes sent to the peer.")
        for peer in peers { text.sample([("peer", String(peer.node))], peer.bytesSent) }
        text.begin(
            "verdict_peer_received_bytes_total",
            .counter,
            help: "Bytes received from the peer."
        )
        for peer in peers { text.sample([("peer", String(peer.node))], peer.bytesReceived) }
        text.begin("verdict_peer_queued_bytes", .gauge, help: "Bytes that wait for the peer.")
        for peer in peers { text.sample([("peer", String(peer.node))], peer.queuedBytes) }
    }
}

extension PrometheusText {
    mutating func gauge(_ name: String, _ value: UInt64, _ help: String) {
        begin(name, .gauge, help: help)
        sample(value)
    }
    mutating func counter(_ name: String, _ value: UInt64, _ help: String) {
        begin(name, .counter, help: help)
        sample(value)
    }
}
