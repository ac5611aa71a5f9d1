package import Raft
package import Verification

extension ReplicaNode {
    /// Names the next request.
    mutating func makeRequestID() -> RequestID {
        RequestID(
            node: node.number,
            incarnation: configuration.incarnation,
            sequence: requests.takeSequence()
        )
    }

    /// Answers a callback from this node's own state if its key is known here, and counts the
    /// repeat; `nil` if it has to go through the log.
    ///
    /// Needs neither a leader nor a quorum: what a key was answered never changes.
    package mutating func answerLocally(_ callback: Callback) -> Decision? {
        guard isServing, let decision = machine.knownAnswer(to: callback) else { return nil }
        counters.answeredLocally += 1
        ledger.note(callback)
        return decision
    }

    /// Takes a command to be committed; its result comes as a `Completion` with `context`.
    ///
    /// It is given its request ID here, so that requests are numbered in the order in which they
    /// wait, however long their callers took to get here.
    ///
    /// `definition` is, for an open, the flow it names; it is proposed first where the log lacks
    /// it.
    ///
    /// `heldSince` is when its client began to wait, if that was before now: no request is held
    /// longer than `requestHold` in all, nor than `maxHold`.
    ///
    /// - Returns: the ID it was given, or why it was not taken.
    package mutating func submit(
        _ command: Command,
        definition: FlowDefinition? = nil,
        context: UInt64,
        heldSince: Instant? = nil,
        maxHold: Duration? = nil,
        at now: Instant
    ) -> Submission {
        guard requests.count < requests.limit else {
            return .refused(.tooManyPending(limit: requests.limit))
        }
        let id = makeRequestID()
        var command = command
        command.request = id
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        command.encode(into: &bytes)
        guard bytes.count <= PeerFrame.maxPayloadLength else {
            return .refused(.tooLarge(limit: PeerFrame.maxPayloadLength))
        }
        var definitionBytes: [UInt8]?
        if let definition, machine.flow(definition.digest) == nil {
            var encoded: [UInt8] = []
            Command.defineFlow(definition).encode(into: &encoded)
            guard encoded.count <= PeerFrame.maxPayloadLength else {
                return .refused(.tooLarge(limit: PeerFrame.maxPayloadLength))
            }
            definitionBytes = encoded
        }
        counters.submitted += 1
        requests.append(
            RequestTable.Request(
                sequence: id.sequence,
                command: bytes,
                definition: definitionBytes,
                context: context,
                submittedAt: now,
                deadline: (heldSince ?? now).advanced(by: hold(atMost: maxHold))
            )
        )
        return .taken(id)
    }

    /// How long a request waits whose client does not wait longer than `limit`.
    func hold(atMost limit: Duration?) -> Duration {
        min(configuration.requestHold, limit ?? configuration.requestHold)
    }

    /// Requests of this node's own clients that wait for their entry.
    package var pendingRequests: Int { requests.awaitedCount }
    /// Whether some of them wait to be proposed or forwarded in the next turn.
    package var hasQueuedRequests: Bool { requests.hasQueued || reads.isCollecting }
    /// Commands of peers that wait to be proposed.
    package var forwardedCount: Int { forwarded.payloads.count }

    /// Proposes what waits, if this node leads, else forwards it to the leader, in one batch.
    mutating func sendRequests(at now: Instant, wall: WallTime) {
        if raft.role == .leader {
            proposeQueued(at: now, wall: wall)
        } else {
            refuseForwarded()
            forwardQueued(at: now)
        }
    }

    /// Own commands in one proposal, at most, so that a backlog does not make one huge batch.
    static var maxBatch: Int { 4096 }
    /// Their cost, at most, but at least one request: what is refused while too much waits to be
    /// committed is asked between two proposals, so one must be a small part of that.
    static var maxBatchBytes: Int { 1024 * 1024 }
    /// Cost of the commands in one forward, at most, but at least one request: far below what a
    /// frame holds, and a small part of what a leader takes from its peers.
    static var maxForwardBytes: Int { 256 * 1024 }

    /// Requests are left that did not fit into this turn's proposal.
    @inline(__always)
    var canProposeMore: Bool {
        raft.role == .leader && requests.hasQueued && raft.proposalRefusal == nil
            && !isQueueHeld
    }

    private mutating func proposeQueued(at now: Instant, wall: WallTime) {
        isQueueHeld = false
        guard !forwarded.isEmpty || requests.hasQueued else { return }
        switch raft.proposalRefusal {
        case nil: break
        case .overloaded, .noRoom:
            // What peers forwarded is kept, up to its bound, until there is room.
            return
        case .notLeader, .transferring:
            refuseForwarded()
            return
        }
        guard let time = agreedTime(at: now, wall: wall) else {
            isQueueHeld = true
            return
        }
        var (payloads, stored) = forwarded.propose(after: raft.lastIndex, room: raft.room)
        // However much the peers forward, the own clients have their share.
        let limit = payloads.count + ReplicaNode.maxBatch
        let room = raft.room
        var bytes = 0
        requests.sendQueued(as: .proposed) { request in
            let more = ReplicaNode.cost(of: request)
            let moreStored = ReplicaNode.storedBytes(of: request)
            guard payloads.count < limit,
                bytes == 0 || bytes + more <= ReplicaNode.maxBatchBytes
            else { return false }
            guard stored + moreStored <= room else {
                isQueueHeld = true
                return false
            }
            bytes += more
            stored += moreStored
            if let definition = request.definition { payloads.append(definition) }
            payloads.append(request.command)
            return true
        }
        guard !payloads.isEmpty else { return }
        counters.proposed += UInt64(payloads.count)
        let refusal = raft.propose(
            payloads,
            wall: time,
            at: now,
            into: &actions
        )
        invariant(
            refusal == nil,
            "proposal refused after it was asked for: \(String(describing: refusal))"
        )
    }

    private mutating func forwardQueued(at now: Instant) {
        guard let leader = raft.leader, leader != node, requests.hasQueued,
            peers.contains(where: { $0.node == leader && $0.isConnected })
        else { return }
        while requests.hasQueued {
            lastForward += 1
            var forward = Forward(
                number: lastForward,
                incarnation: configuration.incarnation,
                requests: []
            )
            var bytes = 0
            requests.sendQueued(as: .forwarded(at: now, number: lastForward)) { request in
                let more = ReplicaNode.cost(of: request)
                guard forward.requests.isEmpty || bytes + more <= ReplicaNode.maxForwardBytes
                else { return false }
                bytes += more
                counters.forwardedOut += request.definition == nil ? 1 : 2
                forward.requests.append(
                    ForwardedRequest(
                        sequence: request.sequence,
                        definition: request.definition,
                        command: request.command
                    )
                )
                return true
            }
            output.messages.append(.init(to: leader, message: .forward(forward)))
        }
    }

    private static func cost(of request: borrowing RequestTable.Request) -> Int {
        ForwardQueue.cost(of: request.command)
            + (request.definition.map { ForwardQueue.cost(of: $0) } ?? 0)
    }

    /// Bytes on disk of what is proposed for a request, at most.
    private static func storedBytes(of request: borrowing RequestTable.Request) -> Int {
        Entry.storedBytes(of: request.command.count)
            + (request.definition.map { Entry.storedBytes(of: $0.count) } ?? 0)
    }

    /// Tells the peers whose commands wait here that they will not be proposed.
    private mutating func refuseForwarded() { tell(forwarded.refuse()) }

    /// The same where the role has changed; forgets which commands were proposed, too.
    mutating func forgetForwarded() { tell(forwarded.removeAll()) }

    private mutating func tell(_ refused: [ForwardQueue.Origin]) {
        for origin in refused {
            counters.forwardsRefused += 1
            output.messages.append(
                .init(to: origin.peer, message: .forwardRefused(number: origin.number))
            )
        }
    }

    /// Takes commands that a peer asks this node to propose.
    mutating func receiveForward(_ forward: Forward, from peer: NodeID) {
        guard raft.role == .leader,
            let taken = forwarded.take(
                forward,
                from: peer,
                limit: configuration.maxForwardedBytes
            )
        else {
            counters.forwardsRefused += 1
            output.messages.append(
                .init(to: peer, message: .forwardRefused(number: forward.number))
            )
            return
        }
        counters.forwardedIn += UInt64(taken)
    }

    /// An entry that carries only its time, when a deadline of the state machine has passed.
    mutating func proposeTickIfDue(at now: Instant, wall: WallTime) {
        guard raft.role == .leader, tickIndex <= appliedIndex,
            let due = machine.nextDeadline, let time = logTime(at: now, wall: wall), due <= time,
            raft.proposalRefusal == nil
        else { return }
        var bytes: [UInt8] = []
        Command.tick.encode(into: &bytes)
        forwarded.append(bytes)
        tickIndex = raft.lastIndex.advanced(by: 1)
    }

    /// How long attempts are kept, where the state has something else than this leader's
    /// configuration.
    mutating func proposeSettingsIfDue() {
        guard let wanted = configuration.state.retention, raft.role == .leader,
            settingsIndex <= appliedIndex, machine.retention.settings != wanted,
            raft.proposalRefusal == nil, raft.term(at: raft.commitIndex) == raft.currentTerm,
            isTimeKnown,
            appliedIndex == raft.commitIndex
        else { return }
        var bytes: [UInt8] = []
        Command.settings(wanted).encode(into: &bytes)
        forwarded.append(bytes)
        settingsIndex = raft.lastIndex.advanced(by: 1)
    }

    /// Reports the repeats counted so far at once rather than in time; for an orderly stop.
    package mutating func reportRepeats(at now: Instant) { makeReport(at: now) }

    /// Whether repeats counted here are not known to be in the log yet.
    package var hasUnreportedRepeats: Bool { report != nil || !ledger.isEmpty }

    /// Starts the next report of repeats unless one is under way.
    mutating func makeReport(at now: Instant) {
        guard report == nil, !ledger.isEmpty else { return }
        let id = makeRequestID()
        let batch = RepeatBatch(
            request: RequestID(
                node: id.node,
                incarnation: id.incarnation,
                sequence: nextReportNumber
            ),
            items: ledger.takeReport()
        )
        nextReportNumber += 1
        report = batch
        var bytes: [UInt8] = []
        Command.repeats(batch).encode(into: &bytes)
        requests.append(
            RequestTable.Request(
                sequence: id.sequence,
                command: bytes,
                definition: nil,
                context: nil,
                submittedAt: now,
                deadline: .distantFuture
            )
        )
        reportSequence = id.sequence
    }
}

extension Command {
    /// The request that a client of some node waits for; `nil` if nobody does.
    package var request: RequestID? {
        get {
            switch self {
            case .open(let open): open.origin.request
            case .callback(let callback): callback.origin.request
            case .readmit(let readmission): readmission.request
            case .defineFlow, .repeats, .tick, .checkDigest, .settings: nil
            }
        }
        set {
            guard let newValue else { return }
            switch self {
            case .open(var open):
                open.origin.request = newValue
                self = .open(open)
            case .callback(var callback):
                callback.origin.request = newValue
                self = .callback(callback)
            case .readmit(var readmission):
                readmission.request = newValue
                self = .readmit(readmission)
            case .defineFlow, .repeats, .tick, .checkDigest, .settings:
                fatalError("invariant broken: nobody waits for \(self)")
            }
        }
    }
}
