import HTTP
import Raft
import Reactor
import Replica

/// HTTP connections: bytes in, requests to `serve`, answers out.
extension NodeLoop {
    func watchHTTPListener() throws(SystemError) {
        guard let listener = httpListener else { return }
        try poller.add(
            listener.descriptor,
            token: PollToken.make(.httpListener),
            interest: .read
        )
    }

    func acceptConnections() {
        // A bound, so that a flood of connections does not starve those that are there.
        for _ in 0..<256 {
            guard let listener = httpListener else { return }
            switch listener.accept() {
            case .connection(let descriptor): admit(descriptor)
            case .none: return
            case .exhausted:
                log.error("http", "no descriptor left for a connection; pausing accepts")
                acceptsAgainAt = now.advanced(by: .milliseconds(500))
                poller.remove(listener.descriptor)
                return
            }
        }
    }

    private func admit(_ descriptor: consuming FileDescriptor) {
        guard connections.count < maxConnections else {
            metrics.connectionsRefused += 1
            refuse(descriptor)
            return
        }
        metrics.connectionsAccepted += 1
        var limits = MessageLimits()
        limits.headerBytes = configuration.limits.headBytes
        limits.bodyBytes = configuration.limits.bodyBytes
        var taken: FileDescriptor? = descriptor
        let connection = connections.insert { slot, generation in
            guard let descriptor = taken.take() else {
                fatalError("invariant broken: a connection made twice")
            }
            return HTTPConnection(
                descriptor,
                slot: slot,
                generation: generation,
                limits: limits,
                at: now
            )
        }
        do {
            try poller.add(
                connection.descriptor,
                token: PollToken.make(
                    .http,
                    slot: connection.slot,
                    generation: connection.generation
                ),
                interest: .read
            )
        } catch {
            log.error("http", "a connection cannot be watched", ["error": .text("\(error)")])
            connections.remove(connection)
        }
    }

    /// Says why before closing, as far as the socket takes it.
    private func refuse(_ descriptor: consuming FileDescriptor) {
        var output = OutputBuffer()
        var response = Problem.overloaded(retryAfter: 1).response
        response.headers.append("Verdict-Node", nodeHeader)
        ResponseSerializer.append(
            response,
            date: date,
            keepAlive: false,
            headOnly: false,
            into: &output.bytes
        )
        _ = output.write(to: descriptor)
    }

    func connectionIsReady(_ connection: HTTPConnection, _ event: Poller.Event) {
        if event.isReadable {
            if connection.lingers {
                drop(connection)
            } else if !connection.isClosing, !connection.inputHasEnded {
                read(connection)
            }
        }
        if event.isWritable { markDirty(connection) }
        if event.isBroken, connection.isClosing || connection.interest.isEmpty {
            close(connection)
        }
    }

    /// Bytes of requests that may wait behind the one being answered.
    private static let maxWaitingBytes = 256 * 1024
    /// Bytes of answers that may wait for a client before no further request of it is taken.
    private static let maxUnsentBytes = 1024 * 1024
    /// How long the rest of a refused request is read and dropped.
    private static let lingerTime = Duration.seconds(2)

    /// Reads and drops what a refused client still sends.
    private func drop(_ connection: HTTPConnection) {
        switch Socket.read(connection.descriptor, into: &readBuffer) {
        case .bytes, .wouldBlock: break
        case .closed, .failed: close(connection)
        }
    }

    func read(_ connection: HTTPConnection) {
        switch Socket.read(connection.descriptor, into: &readBuffer) {
        case .bytes(let count):
            metrics.httpBytesReceived += UInt64(count)
            connection.parser.feed(readBuffer[..<count])
            serve(connection)
            if connection.exchange != nil,
                connection.parser.bufferedByteCount > NodeLoop.maxWaitingBytes
            {
                watch(connection, connection.interest.subtracting(.read))
            }
        case .wouldBlock: break
        case .closed:
            // The client may have closed its side only: all that it asked for is still answered.
            connection.inputHasEnded = true
            watch(connection, connection.interest.subtracting(.read))
            serve(connection)
        case .failed: close(connection)
        }
    }

    /// Takes requests out of what has come, until one has to wait for its answer.
    func serve(_ connection: HTTPConnection) {
        while connection.exchange == nil, !connection.isClosing {
            guard connection.output.count < NodeLoop.maxUnsentBytes else {
                connection.isThrottled = true
                watch(connection, connection.interest.subtracting(.read))
                return
            }
            switch connection.parser.next() {
            case .needsMore:
                notePhase(connection)
                if connection.inputHasEnded { closeWhenWritten(connection) }
                return
            case .sendContinue:
                connection.output.bytes.append(contentsOf: ResponseSerializer.continueBytes)
                markDirty(connection)
            case .request(let request):
                // The next one has its own time, also if it is here in part already.
                connection.phase = .idle
                serve(request, on: connection)
            case .failed(let error):
                metrics.malformed += 1
                connection.lingers = true
                connection.exchange = Exchange(
                    route: nil,
                    startedAt: now,
                    isHead: false,
                    keepsAlive: false
                )
                answer(connection, Problem(error).response)
            }
        }
    }

    private func notePhase(_ connection: HTTPConnection) {
        let phase = connection.parser.phase
        // Each request starts its own time: staying in `idle` after an answer counts anew.
        guard phase != connection.phase || phase == .idle else { return }
        connection.phase = phase
        connection.phaseSince = now
    }

    /// Requests that waited behind one that has been answered in this turn.
    func serveFurtherRequests() {
        while !readyConnections.isEmpty {
            let ready = readyConnections
            readyConnections.removeAll(keepingCapacity: true)
            for connection in ready {
                if connection.parser.bufferedByteCount > 0 || connection.inputHasEnded {
                    serve(connection)
                }
                if !connection.isClosing, !connection.isThrottled, !connection.inputHasEnded,
                    !connection.interest.contains(.read)
                {
                    watch(connection, connection.interest.union(.read))
                }
                notePhase(connection)
            }
            if !readyConnections.isEmpty || replica.hasQueuedRequests { needsTurn = true }
        }
    }

    /// Writes the answer to the request under way.
    func answer(_ connection: HTTPConnection, _ response: Response) {
        guard let exchange = connection.exchange else {
            fatalError("invariant broken: an answer without a request")
        }
        connection.exchange = nil
        var response = response
        response.headers.append("Verdict-Node", nodeHeader)
        let isLast = connection.inputHasEnded && connection.parser.bufferedByteCount == 0
        let keepsAlive =
            exchange.keepsAlive && !connection.isClosing && !isLast && stopsBy == nil
        ResponseSerializer.append(
            response,
            date: date,
            keepAlive: keepsAlive,
            headOnly: exchange.isHead,
            into: &connection.output.bytes
        )
        if !keepsAlive { connection.isClosing = true }
        markDirty(connection)
        if !connection.isClosing { readyConnections.append(connection) }
        if let route = exchange.route {
            metrics.answered(
                route,
                status: response.status,
                nanoseconds: now.nanoseconds(since: exchange.startedAt)
            )
        } else {
            metrics.answeredNoRoute(status: response.status)
        }
    }

    private func markDirty(_ connection: HTTPConnection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirtyConnections.append(connection)
    }

    /// Writes what has to be written, once for each connection and link.
    func flush() {
        for connection in dirtyConnections {
            connection.isDirty = false
            let before = connection.output.count
            let stop = connection.output.write(to: connection.descriptor)
            metrics.httpBytesSent += UInt64(before - connection.output.count)
            switch stop {
            case nil: isWritten(connection)
            case .wouldBlock:
                if connection.blockedSince == nil || connection.output.count < before {
                    connection.blockedSince = now
                }
                watch(connection, connection.interest.union(.write))
            default: close(connection)
            }
        }
        dirtyConnections.removeAll(keepingCapacity: true)
        flushLinks()
    }

    /// All that was to be written is.
    private func isWritten(_ connection: HTTPConnection) {
        connection.blockedSince = nil
        if connection.isClosing, connection.exchange == nil {
            guard connection.lingers else {
                close(connection)
                return
            }
            Socket.finishWriting(connection.descriptor)
            connection.phaseSince = now
            watch(connection, .read)
            return
        }
        if connection.interest.contains(.write) {
            watch(connection, connection.interest.subtracting(.write))
        }
        if connection.isThrottled {
            connection.isThrottled = false
            readyConnections.append(connection)
            needsTurn = true
        }
    }

    private func watch(_ connection: HTTPConnection, _ interest: Poller.Interest) {
        guard interest != connection.interest else { return }
        connection.interest = interest
        do {
            try poller.modify(
                connection.descriptor,
                token: PollToken.make(
                    .http,
                    slot: connection.slot,
                    generation: connection.generation
                ),
                interest: interest
            )
        } catch {
            log.error("http", "a connection cannot be watched", ["error": .text("\(error)")])
            close(connection)
        }
    }

    func closeWhenWritten(_ connection: HTTPConnection) {
        connection.isClosing = true
        markDirty(connection)
    }

    private func close(_ connection: HTTPConnection) {
        poller.remove(connection.descriptor)
        connection.isClosing = true
        connections.remove(connection)
    }

    /// Closes a connection that is too slow with a request, or idle for too long.
    func checkTimeout(_ connection: HTTPConnection) {
        if let since = connection.blockedSince {
            if since.advanced(by: configuration.timers.httpIdle) <= now { close(connection) }
            return
        }
        let limit: Duration
        if connection.isClosing {
            limit = NodeLoop.lingerTime
        } else {
            guard connection.exchange == nil else { return }
            switch connection.phase {
            case .idle, .closed: limit = configuration.timers.httpIdle
            case .head: limit = configuration.timers.httpHead
            case .body: limit = configuration.timers.httpBody
            }
        }
        guard connection.phaseSince.advanced(by: limit) <= now else { return }
        guard !connection.isClosing, connection.phase == .head || connection.phase == .body
        else {
            if connection.exchange == nil { close(connection) }
            return
        }
        connection.lingers = true
        connection.exchange = Exchange(
            route: nil,
            startedAt: now,
            isHead: false,
            keepsAlive: false
        )
        answer(connection, Problem.requestTimedOut.response)
    }
}
