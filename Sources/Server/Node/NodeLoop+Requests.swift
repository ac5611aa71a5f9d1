import Digest
import HTTP
import Providers
import Raft
import Replica
import Verification

/// The routes: what each request asks of the replica.
extension NodeLoop {
    func serve(_ request: Request, on connection: HTTPConnection) {
        connection.exchange = Exchange(
            route: nil,
            startedAt: now,
            isHead: request.method == .head,
            keepsAlive: request.keepsAlive
        )
        let match = Route.match(request.method, request.path)
        guard case .route(let route) = match else {
            answer(connection, (match.problem ?? .unknownRoute).response)
            return
        }
        connection.exchange?.route = route.kind
        if let scope = route.kind.scope,
            let refusal = authorizer.refusal(request.headers, for: scope)
        {
            metrics.unauthenticated += 1
            answer(connection, refusal.response)
            return
        }
        do throws(Problem) {
            try serve(route, request, connection)
        } catch {
            if error.status == 400 { metrics.malformed += 1 }
            answer(connection, error.response)
        }
    }

    private func serve(
        _ route: Route,
        _ request: Request,
        _ connection: HTTPConnection
    ) throws(Problem) {
        if !replica.isServing, route.kind.isAnsweredFromState {
            throw .quarantined(isRebuilding: replica.isRebuilding)
        }
        if let attempt = route.attemptOfToken {
            guard isAvailable(attempt, .request(route, request), connection) else { return }
        }
        switch route {
        case .openAttempt(let attempt):
            try open(attempt, request, connection)
        case .showAttempt(let attempt):
            let consistency = try ReadConsistency(query: request.query)
            let state = replica.machine.state(of: attempt)
            if consistency == .local || state?.isTerminal == true {
                showAttempt(attempt, connection)
            } else {
                read(.attempt(attempt), connection)
            }
        case .timeline(let attempt):
            if try ReadConsistency(query: request.query) == .local {
                showTimeline(attempt, connection)
            } else {
                read(.timeline(attempt), connection)
            }
        case .callback(let attempt):
            let callback = try bodies.callback(attempt, request, origin: makeOrigin())
            take(callback, .own, connection)
        case .platformCallback(let name, let attempt):
            try takePlatform(name, attempt, request, connection)
        case .cluster:
            answer(connection, json(clusterBody().bytes))
        case .handOver:
            try handOver(to: NodeID(try bodies.handOver(request)), connection)
        case .readmit:
            try readmit(NodeID(try bodies.handOver(request)), connection)
        case .rebuild:
            try rebuild(NodeID(try bodies.handOver(request)), connection)
        case .beginBackup: try beginBackup(request, connection)
        case .showBackup(let name): try showBackup(name, connection)
        case .endBackup(let name): try endBackup(name, connection)
        case .backupFile(let name, let file):
            try readBackup(name, file: file, request, connection)
        case .backupLog(let name): try readBackupLog(name, request, connection)
        case .livez:
            answer(connection, plain(200, "alive\n"))
        case .readyz:
            answer(connection, readiness())
        case .metrics:
            answer(connection, metricsPage())
        }
    }

    /// Where and when a request came; the replica numbers it when it takes it.
    private func makeOrigin() -> Origin {
        Origin(
            node: configuration.node.number,
            region: configuration.region,
            receivedAt: wall,
            request: RequestID(node: configuration.node.number, incarnation: 0, sequence: 0)
        )
    }

    // MARK: Commands

    private func open(
        _ attempt: AttemptID,
        _ request: Request,
        _ connection: HTTPConnection
    ) throws(Problem) {
        let opening = try bodies.open(attempt, request, origin: makeOrigin())
        // Opened here before with this meaning: the answer never changes.
        if let view = replica.machine.knownAnswer(to: opening.open) {
            answer(connection, json(AttemptBody.opened(view)))
            return
        }
        guard replica.clusterRoom(at: now) == .enough else { throw noRoom() }
        submit(.open(opening.open), definition: opening.flow, .opened, connection)
    }

    private func takePlatform(
        _ name: String,
        _ attempt: AttemptID,
        _ request: Request,
        _ connection: HTTPConnection
    ) throws(Problem) {
        guard let provider = provider(named: name) else { throw .unknownProvider }
        let received: NormalizedCallback
        do {
            received = try provider.receive(request, at: configuration.publicOrigin)
        } catch {
            throw Problem(error, metrics: &metrics)
        }
        // Only now: strangers have nothing read from the disk.
        let route = Route.platformCallback(provider: name, attempt)
        guard isAvailable(attempt, .request(route, request), connection) else { return }
        let form = Exchange.ReplyForm.platform(provider, received)
        guard received.event != .poll else {
            poll(attempt, form, connection)
            return
        }
        let digits =
            received.digits.map { bodies.digest(attempt, $0.bytes) } ?? received.digitsDigest
        let key: CallbackKey
        if let digits, received.sequence == nil {
            key = CallbackKey(
                provider: provider.name,
                call: received.call,
                digitsDigest: digits
            )
        } else {
            key = CallbackKey(
                provider: provider.name,
                call: received.call,
                event: received.event,
                sequence: received.sequence
            )
        }
        let callback = Callback(
            attempt: attempt,
            key: key,
            provider: provider.name,
            call: received.call,
            event: received.event,
            sequence: received.sequence,
            digits: digits,
            status: received.status,
            outcome: nil,
            channel: "voice",
            occurredAt: received.occurredAt,
            origin: makeOrigin()
        )
        take(callback, form, connection)
    }

    /// Answers a callback from what is known here, or sends it through the log.
    ///
    /// A callback of an attempt that is not known here makes no entry before a linearizable read
    /// has said that the attempt exists: this node may be behind, but strangers write nothing.
    private func take(
        _ callback: Callback,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) {
        guard callback.event != .poll else {
            poll(callback.attempt, form, connection)
            return
        }
        if let decision = replica.answerLocally(callback) {
            answer(connection, response(decision, form))
        } else if takeInIfLate(callback, form, connection)
            || takeInWithoutQuorum(callback, form, connection)
        {
            return
        } else if replica.clusterRoom(at: now) == .none {
            answer(connection, noRoom().response)
        } else if replica.machine.state(of: callback.attempt) != nil {
            submit(.callback(callback), definition: nil, form, connection)
        } else {
            read(.callback(callback, form), connection)
        }
    }

    /// A poll is a read: it writes no entry.
    ///
    /// Only a terminal state is told at once: this node may be behind, and after the decision every
    /// poll gets it.
    private func poll(
        _ attempt: AttemptID,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) {
        guard let known = replica.machine.pollAnswer(for: attempt), known.state.isTerminal else {
            read(.poll(attempt, form), connection)
            return
        }
        metrics.polls += 1
        answer(connection, response(known, form))
    }

    private func submit(
        _ command: Command,
        definition: FlowDefinition?,
        _ form: Exchange.ReplyForm,
        _ connection: HTTPConnection
    ) {
        guard !replica.isCutOffByDisk else {
            answer(connection, Problem.diskStalled(retryAfter: 2).response)
            return
        }
        switch replica.submit(
            command,
            definition: definition,
            context: connection.context,
            heldSince: connection.exchange?.startedAt,
            maxHold: form.maxHold,
            at: now
        )
        {
        case .taken(let id):
            var callback: Callback?
            if case .callback(let own) = command { callback = own }
            callback?.origin.request = id
            connection.exchange?.step = .committing(form, callback)
        case .refused(.tooManyPending):
            answer(connection, Problem.overloaded(retryAfter: 1).response)
        case .refused(.tooLarge(let limit)):
            answer(
                connection,
                Problem.tooLarge("the command has more than \(limit) bytes").response
            )
        }
    }

    /// The result of a command has come, or did not come in time.
    func complete(_ completion: Completion) {
        metrics.commitTime.observe(nanoseconds: now.nanoseconds(since: completion.submittedAt))
        guard let connection = connections.find(context: completion.context) else { return }
        if case .readmitting(let node, let directory) = connection.exchange?.step {
            readmitted(node, directory, completion.result, connection)
            return
        }
        if case .takingIn(let decision, let form) = connection.exchange?.step {
            takenIn(completion.result, decision, form, connection)
            return
        }
        guard case .committing(let form, let callback) = connection.exchange?.step else { return }
        switch completion.result {
        case .timedOut:
            if let callback {
                undecided(callback, as: callback.origin.request, form, connection)
            } else {
                answer(connection, timedOut().response)
            }
        case .applied(.opened(let isNew, let view)):
            if isNew { metrics.opened += 1 }
            var response = json(AttemptBody.opened(view))
            if isNew { response.status = 201 }
            answer(connection, response)
        case .applied(.decided(let decision)):
            answer(connection, response(decision, form))
        case .applied(.refused(let refusal)):
            metrics.refused(refusal)
            answer(connection, Problem(refusal).response)
        case .applied(.flowDefined), .applied(.noted), .takenIn, .notTakenIn:
            fatalError("invariant broken: a request answered with \(completion.result)")
        }
    }

    func timedOut() -> Problem {
        if let problem = admissionProblem { return problem }
        let leader = replica.raft.leader?.number
        return replica.canCommit
            ? .undecidedInTime(retryAfter: 1, leader: leader)
            : .noQuorum(retryAfter: 2, leader: leader)
    }

    // MARK: Reads

    private func read(_ read: Exchange.Read, _ connection: HTTPConnection) {
        guard !replica.isCutOffByDisk else {
            answer(connection, Problem.diskStalled(retryAfter: 2).response)
            return
        }
        connection.exchange?.step = .reading(read)
        let maxHold: Duration? =
            switch read {
            case .attempt, .timeline: nil
            case .callback(_, let form), .poll(_, let form): form.maxHold
            }
        replica.beginRead(context: connection.context, maxHold: maxHold, at: now)
    }

    /// The state may be read now, or could not be made linearizable in time.
    func readIsDone(_ completion: ReadCompletion) {
        guard let connection = connections.find(context: completion.context),
            case .reading(let read) = connection.exchange?.step
        else { return }
        guard completion.isReady else {
            giveUp(read, connection)
            return
        }
        finish(read, connection)
    }

    /// The hold is over for a read: a call is told to hold on, where its platform has words for that.
    private func giveUp(_ read: Exchange.Read, _ connection: HTTPConnection) {
        switch read {
        case .attempt, .timeline: answer(connection, timedOut().response)
        case .callback(let callback, let form): undecided(callback, as: nil, form, connection)
        case .poll(let attempt, let form): holdOn(attempt, form, digits: nil, connection)
        }
    }

    /// Whether an attempt can be read from the state now; if not, its record is read from the disk
    /// first, and the request goes on then.
    private func isAvailable(
        _ attempt: AttemptID,
        _ loading: Exchange.Loading,
        _ connection: HTTPConnection
    ) -> Bool {
        switch replica.makeAvailable(attempt, context: connection.context, at: now) {
        case .ready: return true
        case .loading:
            connection.exchange?.step = .loading(loading)
            needsTurn = true
            return false
        case .refused:
            answer(connection, Problem.overloaded(retryAfter: 1).response)
            return false
        }
    }

    /// A record is in memory, or could not be read in time.
    func loadIsDone(_ completion: LoadCompletion) {
        guard let connection = connections.find(context: completion.context),
            case .loading(let loading) = connection.exchange?.step
        else { return }
        guard completion.isReady else {
            switch loading {
            case .read(let read): giveUp(read, connection)
            case .request: answer(connection, Problem.undecidedInTime(retryAfter: 1).response)
            }
            return
        }
        connection.exchange?.step = nil
        needsTurn = true
        switch loading {
        case .read(let read): finish(read, connection)
        case .request(let route, let request):
            do throws(Problem) {
                try serve(route, request, connection)
            } catch {
                answer(connection, error.response)
            }
        }
    }

    private func finish(_ read: Exchange.Read, _ connection: HTTPConnection) {
        guard isAvailable(read.attemptID, .read(read), connection) else { return }
        switch read {
        case .attempt(let attempt): showAttempt(attempt, connection)
        case .timeline(let attempt): showTimeline(attempt, connection)
        case .callback(let callback, let form):
            guard replica.machine.state(of: callback.attempt) != nil else {
                refuseUnknown(callback.attempt, connection)
                return
            }
            take(callback, form, connection)
            needsTurn = true
        case .poll(let attempt, let form):
            guard let known = replica.machine.pollAnswer(for: attempt) else {
                metrics.refused(.unknownAttempt)
                answer(connection, Problem.unknownAttempt.response)
                return
            }
            metrics.polls += 1
            answer(connection, response(known, form))
        }
    }

    private func refuseUnknown(_ attempt: AttemptID, _ connection: HTTPConnection) {
        let refusal: Refusal =
            replica.machine.retention.refuses(attempt) ? .tooOld : .unknownAttempt
        metrics.refused(refusal)
        answer(connection, Problem(refusal).response)
    }

    private func showAttempt(_ attempt: AttemptID, _ connection: HTTPConnection) {
        guard let view = replica.machine.attempt(attempt) else {
            answer(connection, Problem.unknownAttempt.response)
            return
        }
        answer(connection, json(AttemptBody.bytes(view)))
    }

    private func showTimeline(_ attempt: AttemptID, _ connection: HTTPConnection) {
        guard let entries = replica.machine.timeline(attempt) else {
            answer(connection, Problem.unknownAttempt.response)
            return
        }
        answer(connection, json(TimelineBody.bytes(attempt, entries)))
    }

    // MARK: Wording

    func response(_ decision: Decision, _ form: Exchange.ReplyForm) -> Response {
        metrics.decided(decision.disposition)
        guard case .platform = form else { return AnswerBody.response(decision) }
        var response = response(decision.answer, form)
        response.headers.append(AnswerBody.dispositionHeader, decision.disposition.name)
        return response
    }

    private func response(_ answer: Answer, _ form: Exchange.ReplyForm) -> Response {
        switch form {
        case .opened: fatalError("invariant broken: an open answered like a callback")
        case .own: return json(AnswerBody.bytes(answer))
        case .platform(let provider, let callback):
            guard let flow = replica.machine.flow(answer.flow) else {
                fatalError("invariant broken: an attempt's flow \(answer.flow) is not known")
            }
            return provider.response(to: callback, answer: answer, flow: flow)
        }
    }

    func json(_ body: [UInt8]) -> Response {
        Response(status: 200, contentType: "application/json", body: body)
    }

    func plain(_ status: Int, _ text: String) -> Response {
        Response(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Array(text.utf8)
        )
    }
}

extension Route {
    /// The attempt of a route whose caller has shown a token.
    fileprivate var attemptOfToken: AttemptID? {
        switch self {
        case .openAttempt(let attempt), .showAttempt(let attempt), .callback(let attempt),
            .timeline(let attempt):
            attempt
        default: nil
        }
    }
}

extension Exchange.Read {
    fileprivate var attemptID: AttemptID {
        switch self {
        case .attempt(let attempt), .timeline(let attempt), .poll(let attempt, _): attempt
        case .callback(let callback, _): callback.attempt
        }
    }
}

extension Problem {
    fileprivate init(_ error: CallbackError, metrics: inout Metrics) {
        switch error {
        case .unauthenticated(let reason):
            metrics.unauthenticated += 1
            self = .badSignature(reason.rawValue)
        case .malformed(let field, let detail):
            self = .invalid(field: field, detail)
        case .unsupportedType:
            self = .unsupportedType(expected: "application/x-www-form-urlencoded")
        }
    }
}
