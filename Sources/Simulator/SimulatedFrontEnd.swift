internal import Raft
internal import Replica
internal import Verification

/// What a node answers to a post.
enum Reply: Hashable {
    case decided(Decision)
    case polled(Answer)
    case opened(AttemptView)
    case attempt(AttemptView)
    /// What the node itself knew, having applied the entries through an index.
    case local(AttemptView?, appliedIndex: Int)
    /// The committed outcome, before the callback is in the log.
    case late(Decision)
    /// Acknowledged before it is in the log, and not decided.
    case takenIn
    case notFound
    case refused(Refusal)
    /// Signed with a secret that the node does not have (yet, or any more).
    case forbidden
    /// Not now; nothing is claimed.
    case unavailable
    /// No answer at all: nobody listens, or the process died.
    case noConnection
}

/// A post that reached a node.
struct Request {
    var attempt: Int
    var post: Int
    var tries: Int
    var node: Int
    /// Generation of the platform's secret.
    var secret: Int
    /// When it reached the node.
    var arrivedAt: UInt64 = 0
    /// Entries acknowledged anywhere before it arrived end here.
    var floor: Int = 0
    /// The name of its command in the log.
    var id: RequestID?
    /// As the node took it, if it is one.
    var callback: Callback?
    /// The platform waits no more.
    var isOver = false
}

/// What a node's server does between a platform and the replica, with the replica's own calls.
struct SimulatedFrontEnd {
    /// Why a linearizable read was begun.
    enum Reading {
        case view
        case poll
        /// Whether an attempt that is not known here exists.
        case existence
    }
    /// Looked up only.
    var readings: [UInt64: Reading] = [:]
    var waiting: Set<UInt64> = []
    /// What goes on once an attempt's record is loaded; looked up only.
    var loadings: [UInt64: Loading] = [:]

    enum Loading {
        /// The post is served from the start.
        case post
        /// A linearizable read is answered.
        case read(Reading)
    }
    /// What those are answered that wait for the intake's disk.
    var takingIn: [UInt64: Reply] = [:]
    /// What operators asked for; nobody else waits for it.
    var operations: Set<UInt64> = []
}

extension World {
    /// A post reaches a node's server.
    func serve(_ number: UInt64) {
        guard var request = requests[number] else { return }
        let host = hosts[request.node]
        guard let process = host.process else {
            answer(number, .noConnection)
            return
        }
        guard !host.isPaused else {
            host.inbox.append(.request(number))
            return
        }
        request.arrivedAt = now
        request.floor = oracle.acknowledgedIndex
        requests[number] = request
        statistics.requests += 1
        serveNow(number, request, host, process)
    }

    /// Serves a post, once its attempt's record is in memory.
    private func serveNow(_ number: UInt64, _ request: Request, _ host: Host, _ process: Process) {
        guard process.replica.isServing else {
            answer(number, .unavailable)
            return
        }
        guard request.secret == host.secret || request.secret == host.secret + 1 else {
            answer(number, .forbidden)
            return
        }
        let plan = plan.attempts[request.attempt]
        guard isAvailable(plan.id, number, .post, process) else {
            wake(request.node, after: self.plan.turnDelay)
            return
        }
        switch plan.posts[request.post].post {
        case .open(let changes):
            open(number, plan, changes: changes, host, process)
        case .callback(let callback, let identity):
            oracle.name(callback, identity, request.attempt, checker: &checker, at: now)
            take(number, callback, host, process)
        case .poll:
            poll(number, plan.id, process)
        case .read:
            read(number, plan.id, process)
        case .localRead:
            readLocally(number, plan.id, process)
        }
        checker.observe(request.node, &process.replica, at: now)
        wake(request.node, after: self.plan.turnDelay)
    }

    private func isAvailable(
        _ id: AttemptID,
        _ number: UInt64,
        _ loading: SimulatedFrontEnd.Loading,
        _ process: Process
    ) -> Bool {
        switch process.replica.makeAvailable(id, context: number, at: instant) {
        case .ready: return true
        case .loading:
            statistics.loads += 1
            process.frontEnd.loadings[number] = loading
            process.frontEnd.waiting.insert(number)
            return false
        case .refused:
            answer(number, .unavailable)
            return false
        }
    }

    /// A record was loaded for a request, or could not be.
    func loadCompleted(_ completion: LoadCompletion, _ process: Process) {
        let number = completion.context
        guard process.frontEnd.waiting.remove(number) != nil,
            let loading = process.frontEnd.loadings.removeValue(forKey: number),
            let request = requests[number]
        else {
            checker.fail("one answer a request", "load \(number) is answered again", at: now)
            return
        }
        guard completion.isReady else {
            answer(number, .unavailable)
            return
        }
        switch loading {
        case .post: serveNow(number, request, hosts[request.node], process)
        case .read(let reading): finishRead(number, request, reading, process)
        }
        wake(request.node, after: plan.turnDelay)
    }

    /// Where and when a request came; the replica numbers it when it takes it.
    private func origin(_ host: Host) -> Origin {
        Origin(
            node: host.id.number,
            region: host.region,
            receivedAt: host.wall(at: now),
            request: RequestID(node: host.id.number, incarnation: 0, sequence: 0)
        )
    }

    private func open(
        _ number: UInt64,
        _ plan: AttemptPlan,
        changes: Bool,
        _ host: Host,
        _ process: Process
    ) {
        let versions = Flows.versions(of: plan.kind)
        let flow = versions[now >= host.newFlowsFrom ? 1 : 0]
        let open = OpenAttempt(
            attempt: plan.id,
            flow: flow.digest,
            subject: changes ? plan.subject + "-other" : plan.subject,
            expiresInSeconds: plan.expiresInSeconds,
            challenge: plan.challenge,
            maxTries: plan.maxTries,
            targets: plan.targets,
            origin: origin(host)
        )
        if let view = process.replica.machine.knownAnswer(to: open) {
            statistics.answeredLocally += 1
            answer(number, .opened(view))
            return
        }
        guard process.replica.clusterRoom(at: instant) == .enough else {
            statistics.refusedForRoom += 1
            answer(number, .unavailable)
            return
        }
        if let request = requests[number] { oracle.asked(for: request.attempt) }
        submit(number, .open(open), flow, process)
    }

    private func take(
        _ number: UInt64,
        _ planned: Callback,
        _ host: Host,
        _ process: Process
    ) {
        var callback = planned
        callback.origin = origin(host)
        requests[number]?.callback = callback
        if let decision = process.replica.answerLocally(callback) {
            statistics.answeredLocally += 1
            answer(number, .decided(decision))
        } else if takeIn(number, callback, process) {
            return
        } else if process.replica.clusterRoom(at: instant) == .none {
            statistics.refusedForRoom += 1
            answer(number, .unavailable)
        } else if process.replica.machine.state(of: callback.attempt) == nil {
            beginRead(number, .existence, process)
        } else {
            submit(number, .callback(callback), nil, process)
        }
    }

    private func submit(
        _ number: UInt64,
        _ command: Command,
        _ definition: FlowDefinition?,
        _ process: Process
    ) {
        guard !process.replica.isCutOffByDisk else {
            answer(number, .unavailable)
            return
        }
        let submission = process.replica.submit(
            command,
            definition: definition,
            context: number,
            at: instant
        )
        guard case .taken(let id) = submission else {
            answer(number, .unavailable)
            return
        }
        requests[number]?.id = id
        checker.submitted(command, as: id)
        process.frontEnd.waiting.insert(number)
    }

    private func poll(_ number: UInt64, _ id: AttemptID, _ process: Process) {
        if let answer = process.replica.machine.pollAnswer(for: id), answer.state.isTerminal {
            statistics.answeredLocally += 1
            self.answer(number, .polled(answer))
        } else {
            beginRead(number, .poll, process)
        }
    }

    private func read(_ number: UInt64, _ id: AttemptID, _ process: Process) {
        if let view = process.replica.machine.attempt(id), view.state.isTerminal {
            statistics.answeredLocally += 1
            answer(number, .attempt(view))
        } else {
            beginRead(number, .view, process)
        }
    }

    /// A read with `?consistency=local`: it may be old, never wrong.
    private func readLocally(_ number: UInt64, _ id: AttemptID, _ process: Process) {
        statistics.localReads += 1
        guard let request = requests[number] else { return }
        checker.compare(id, request.node, &process.replica, at: now)
        answer(
            number,
            .local(
                process.replica.machine.attempt(id),
                appliedIndex: Int(process.replica.appliedIndex.number)
            )
        )
    }

    private func beginRead(
        _ number: UInt64,
        _ reading: SimulatedFrontEnd.Reading,
        _ process: Process
    ) {
        guard !process.replica.isCutOffByDisk else {
            answer(number, .unavailable)
            return
        }
        process.frontEnd.readings[number] = reading
        process.frontEnd.waiting.insert(number)
        process.replica.beginRead(context: number, at: instant)
    }

    // MARK: What the replica answers

    func completed(_ completion: Completion, _ process: Process) {
        let number = completion.context
        if process.frontEnd.operations.remove(number) != nil { return }
        guard process.frontEnd.waiting.remove(number) != nil else {
            checker.fail("one answer a request", "request \(number) is answered again", at: now)
            return
        }
        let takingIn = process.frontEnd.takingIn.removeValue(forKey: number)
        switch completion.result {
        case .takenIn(let isRepeat):
            var reply = takingIn ?? .unavailable
            if isRepeat, case .late(var decision) = reply {
                decision.disposition = .repeated
                reply = .late(decision)
            }
            answer(number, reply)
        case .notTakenIn: answer(number, .noConnection)
        case .timedOut:
            if takingIn == nil, let request = requests[number], let callback = request.callback,
                takeIn(number, callback, as: request.id, isOverdue: true, process)
            {
                wake(request.node, after: plan.turnDelay / 4)
                return
            }
            answer(number, takingIn == nil ? .unavailable : .noConnection)
        case .applied(let applied):
            if let request = requests[number], !hosts[request.node].isCorrupt {
                oracle.compare(applied, request, checker: &checker, at: now)
            }
            switch applied {
            case .opened(_, let view): answer(number, .opened(view))
            case .decided(let decision): answer(number, .decided(decision))
            case .refused(.unknownAttempt): answer(number, .notFound)
            case .refused(let refusal): answer(number, .refused(refusal))
            case .flowDefined, .noted: answer(number, .unavailable)
            }
        }
    }

    func readCompleted(_ completion: ReadCompletion, _ process: Process) {
        let number = completion.context
        guard process.frontEnd.waiting.remove(number) != nil,
            let reading = process.frontEnd.readings.removeValue(forKey: number),
            let request = requests[number]
        else {
            checker.fail("one answer a request", "read \(number) is answered again", at: now)
            return
        }
        guard completion.isReady else {
            if case .existence = reading, let callback = request.callback,
                takeIn(number, callback, isOverdue: true, process)
            {
                wake(request.node, after: plan.turnDelay / 4)
                return
            }
            checkAvailability(request, isRead: true)
            answer(number, .unavailable)
            return
        }
        statistics.reads += 1
        if process.replica.appliedIndex.number < UInt64(request.floor) {
            checker.fail(
                "linearizability",
                """
                n\(request.node + 1) reads at \(process.replica.appliedIndex), entry \
                \(request.floor) was acknowledged before the read began
                """,
                at: now
            )
        }
        finishRead(number, request, reading, process)
    }

    private func finishRead(
        _ number: UInt64,
        _ request: Request,
        _ reading: SimulatedFrontEnd.Reading,
        _ process: Process
    ) {
        let plan = plan.attempts[request.attempt]
        guard isAvailable(plan.id, number, .read(reading), process) else { return }
        switch reading {
        case .existence where process.replica.machine.state(of: plan.id) == nil:
            let isTooOld = process.replica.machine.retention.refuses(plan.id)
            answer(number, isTooOld ? .refused(.tooOld) : .notFound)
        case .view:
            let view = process.replica.machine.attempt(plan.id)
            answer(number, view.map { .attempt($0) } ?? .notFound)
        case .poll:
            let polled = process.replica.machine.pollAnswer(for: plan.id)
            answer(number, polled.map { .polled($0) } ?? .notFound)
        case .existence:
            guard case .callback(let callback, _) = plan.posts[request.post].post else { return }
            take(number, callback, hosts[request.node], process)
        }
    }

    /// An answer leaves the node, or the connection ends without one.
    func answer(_ number: UInt64, _ reply: Reply) {
        guard let request = requests[number] else { return }
        // Before it is found, a wrong state gives wrong answers; nobody could tell.
        let reply = hosts[request.node].isCorrupt ? .noConnection : reply
        if reply != .noConnection {
            let before = oracle.knowledge(of: request.attempt)
            defer { if oracle.knowledge(of: request.attempt) > before { spread(request) } }
            oracle.answered(
                reply,
                request,
                plan.attempts[request.attempt],
                run: hosts[request.node].run,
                checker: &checker,
                at: now
            )
        }
        if reply == .unavailable { checkAvailability(request) }
        trace.fold(number << 4 | reply.code)
        trace.note(
            now,
            "n\(request.node + 1) answers \(plan.attempts[request.attempt].id): \(reply.words)"
        )
        queue.schedule(.reply(number, reply), at: now + platformDelay(request.attempt))
    }

    /// Whoever hears something new asks at the other nodes at once: nobody may know less.
    private func spread(_ request: Request) {
        let attempt = request.attempt
        guard platforms[attempt].chance(percent: 30) else { return }
        for node in hosts.indices where node != request.node {
            let soon = 100_000 + platforms[attempt].below(20 * WorldPlan.millisecond)
            ask(attempt, node, at: now + soon)
        }
    }

    /// A read that is not in the plan.
    func ask(_ attempt: Int, _ node: Int, at time: UInt64) {
        let number = nextRequest
        nextRequest += 1
        requests[number] = Request(
            attempt: attempt,
            post: plan.attempts[attempt].posts.count - 1,
            tries: 0,
            node: node,
            secret: secret
        )
        queue.schedule(.request(number), at: time)
    }

    /// When nothing has been wrong for long, requests are answered.
    ///
    /// Commands may wait for each other when there are many; a read waits only where a narrow window
    /// lets a follower lag.
    private func checkAvailability(_ request: Request, isRead: Bool = false) {
        let patience = plan.patience
        // A message that is overtaken may come two election time-outs late, and a request needs four:
        // that is no calm for one that is held shorter.
        let isOvertaken = plan.reordering > 0 && plan.requestHold <= 8 * plan.electionTimeout
        // A bit that flips on the wire costs the link, and all that is under way on it.
        let isCalm = plan.loss == 0 && plan.corruption < 500 && !isOvertaken
        guard isCalm || isHealing, activeFaults == 0,
            request.arrivedAt > calmSince + patience,
            (isRead && plan.maxInflightAppends > 1) || now > lastCommitAt + patience,
            hosts.allSatisfy({
                $0.isQuarantined || $0.process != nil && !$0.isOut && !$0.isCorrupt
            }),
            // Piece by piece, over a long way, that may take longer than any patience.
            hosts[request.node].process?.replica.isFetchingCheckpoint == false
        else { return }
        checker.fail(
            "available in calm",
            """
            n\(request.node + 1) cannot answer, nothing was wrong for \
            \((now - calmSince) / 1_000_000) ms and nothing committed for \
            \((now - lastCommitAt) / 1_000_000) ms
            """,
            at: now
        )
    }

    /// The process died: its clients' connections end.
    func connectionsLost(_ process: Process) {
        for number in process.frontEnd.waiting.sorted() { answer(number, .noConnection) }
    }
}

extension Reply {
    fileprivate var code: UInt64 {
        switch self {
        case .decided(let decision): UInt64(decision.disposition.rawValue) + 8
        case .polled: 1
        case .opened: 2
        case .attempt: 3
        case .notFound: 4
        case .late(let decision): UInt64(decision.disposition.rawValue) + 16
        case .takenIn: 3
        case .refused: 5
        case .forbidden: 6
        case .unavailable: 7
        case .noConnection: 8
        case .local(let view, _): view == nil ? 1 : 2
        }
    }

    fileprivate var words: String {
        switch self {
        case .decided(let decision):
            "\(decision.disposition.name), \(decision.answer.state.name) "
                + "(index \(decision.answer.index.number)), next \(decision.answer.next)"
        case .late(let decision): "from the intake: \(decision.disposition.name)"
        case .takenIn: "taken in"
        case .polled(let answer): "poll: \(answer.state.name), next \(answer.next)"
        case .opened(let view): "opened, expires at \(view.expiresAt.milliseconds)"
        case .attempt(let view): "read: \(view.state.name)"
        case .local(let view, let index):
            "local read at \(index): \(view?.state.name ?? "not known here")"
        case .notFound: "not found"
        case .refused(let refusal): "refused: \(refusal)"
        case .forbidden: "forbidden"
        case .unavailable: "unavailable"
        case .noConnection: "(no connection)"
        }
    }
}
