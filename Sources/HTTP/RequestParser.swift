/// Takes requests out of a connection's bytes, in whatever pieces those come.
///
/// ```
/// parser.feed(bytes)
/// loop: while true {
///     switch parser.next() {
///     case .request(let request): serve(request)
///     case .sendContinue: write("HTTP/1.1 100 Continue\r\n\r\n")
///     case .failed(let error): answer(error.status), close
///     case .needsMore: break loop
///     }
/// }
/// ```
/// Whoever wants no more than one request at a time stops pulling, and stops reading when
/// `bufferedByteCount` is more than it will hold.
package struct RequestParser: Sendable {
    package enum Step: Sendable {
        /// Nothing to do until more bytes come.
        case needsMore
        /// The client waits for `100 Continue` before it sends the body; answer it and go on.
        case sendContinue
        case request(Request)
        /// Answer with the error's status and close; nothing further is read.
        case failed(MessageError)
    }

    /// What the connection is in the middle of, for its time-outs.
    package enum Phase: Hashable, Sendable {
        /// Between requests: no byte of the next one has come.
        case idle
        case head
        case body
        /// After a request that ends the connection, or an error; bytes are thrown away.
        case closed
    }

    private enum State {
        case start
        case head
        case fixedBody(left: Int)
        case chunkedBody
        case closed
        case failed(MessageError)
    }

    package let limits: MessageLimits
    private var buffer: [UInt8] = []
    /// What lies before it in `buffer` is used up.
    private var position = 0
    private var state = State.start
    private var scanner = HeadScanner(hasFirstLine: true)
    private var chunks = ChunkedDecoder()
    /// The request whose body is coming in.
    private var pending: Request?
    /// One empty line before a request line is forgiven (RFC 9112 §2.2), no more.
    private var skippedEmptyLine = false

    package init(limits: MessageLimits = MessageLimits()) { self.limits = limits }

    package var phase: Phase {
        switch state {
        case .start: bufferedByteCount == 0 && !skippedEmptyLine ? .idle : .head
        case .head: .head
        case .fixedBody, .chunkedBody: .body
        case .closed, .failed: .closed
        }
    }

    /// Bytes that were fed and not used yet.
    package var bufferedByteCount: Int { buffer.count - position }

    /// Bytes in memory: what is not used yet, and what is used up and not yet dropped, which at the
    /// next `feed` is less than half.
    package var heldByteCount: Int { buffer.count }

    /// Takes in what came from the connection.
    package mutating func feed(_ bytes: some Collection<UInt8>) {
        switch state {
        case .closed, .failed: return
        default: break
        }
        reclaim()
        buffer.append(contentsOf: bytes)
    }

    package mutating func next() -> Step {
        do throws(MessageError) {
            return try advance()
        } catch {
            stop(.failed(error))
            return .failed(error)
        }
    }

    private mutating func advance() throws(MessageError) -> Step {
        while true {
            switch state {
            case .start:
                guard skipEmptyLine() else { return .needsMore }
                scanner.reset()
                state = .head
            case .head:
                guard let length = try scanner.scan(buffer, from: position, limits: limits) else {
                    return .needsMore
                }
                let head = try RequestHead(buffer, base: position, lineEnds: scanner.lineEnds)
                position += length
                if let step = try begin(head) { return step }
            case .fixedBody(let left):
                let taken = min(left, buffer.count - position)
                pending?.body.append(contentsOf: buffer[position..<position + taken])
                position += taken
                guard taken == left else {
                    state = .fixedBody(left: left - taken)
                    return .needsMore
                }
                return finish()
            case .chunkedBody:
                var body = pending?.body ?? []
                pending?.body = []
                let isComplete = try chunks.decode(
                    buffer,
                    from: &position,
                    into: &body,
                    limits: limits
                )
                pending?.body = body
                guard isComplete else { return .needsMore }
                return finish()
            case .closed: return .needsMore
            case .failed(let error): return .failed(error)
            }
        }
    }

    /// - Returns: whether a byte of the next request is there.
    private mutating func skipEmptyLine() -> Bool {
        if !skippedEmptyLine, position < buffer.count, buffer[position] == .carriageReturn {
            guard position + 1 < buffer.count else { return false }
            if buffer[position + 1] == .lineFeed {
                position += 2
                skippedEmptyLine = true
            }
        }
        return position < buffer.count
    }

    /// Goes on from the head to the body.
    ///
    /// - Returns: what the caller is to do at once, if anything.
    private mutating func begin(_ head: RequestHead) throws(MessageError) -> Step? {
        pending = head.request
        if head.isChunked {
            chunks = ChunkedDecoder()
            state = .chunkedBody
        } else {
            let length = head.contentLength ?? 0
            guard length <= limits.bodyBytes else {
                throw MessageError(413, "the body is too large")
            }
            guard length > 0 else { return finish() }
            // No more is reserved than has come: a claim alone costs no memory.
            let available = min(length, bufferedByteCount)
            pending?.body.reserveCapacity(available)
            state = .fixedBody(left: length)
        }
        return head.expectsContinue && bufferedByteCount == 0 ? .sendContinue : nil
    }

    private mutating func finish() -> Step {
        guard let request = pending else {
            fatalError("invariant broken: a request ended that had not begun")
        }
        pending = nil
        skippedEmptyLine = false
        if request.keepsAlive { state = .start } else { stop(.closed) }
        return .request(request)
    }

    private mutating func stop(_ end: State) {
        state = end
        pending = nil
        buffer = []
        position = 0
    }

    /// Drops what is used up, and a buffer that one large request left behind.
    private mutating func reclaim() {
        guard position > 0 else { return }
        if position == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 16 * 1024)
            position = 0
        } else if position >= buffer.count / 2 {
            buffer.removeSubrange(0..<position)
            position = 0
        }
    }
}
