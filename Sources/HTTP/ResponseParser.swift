/// Takes responses out of a connection's bytes; for clients.
package struct ResponseParser: Sendable {
    package enum Step: Sendable {
        case needsMore
        case response(Response, keepsAlive: Bool)
        case failed(MessageError)
    }

    private enum State {
        case head
        case fixedBody(left: Int)
        case chunkedBody
        case untilClose
        case failed(MessageError)
    }

    package let limits: MessageLimits
    private var buffer: [UInt8] = []
    private var position = 0
    private var state = State.head
    private var scanner = HeadScanner(hasFirstLine: true)
    private var chunks = ChunkedDecoder()
    private var pending: Response?
    private var keepsAlive = true

    /// A parser that takes bodies of up to 16 MiB unless told otherwise.
    package init(limits: MessageLimits? = nil) {
        var standard = MessageLimits()
        standard.bodyBytes = 16 << 20
        self.limits = limits ?? standard
    }

    package mutating func feed(_ bytes: some Collection<UInt8>) {
        if position == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 * 1024)
            position = 0
        } else if position > buffer.count / 2 {
            buffer.removeSubrange(0..<position)
            position = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next response; interim ones (1xx) are skipped.
    ///
    /// `headOnly` says that the request was HEAD, so that no body follows.
    package mutating func next(headOnly: Bool = false) -> Step {
        do throws(MessageError) {
            return try advance(headOnly: headOnly)
        } catch {
            state = .failed(error)
            return .failed(error)
        }
    }

    /// The connection was closed by the server.
    ///
    /// - Returns: a response that the end completes; an error if one was cut off; `needsMore` if
    ///   there was none.
    package mutating func finish() -> Step {
        switch state {
        case .untilClose: return complete()
        case .failed(let error): return .failed(error)
        case .head where position == buffer.count: return .needsMore
        default:
            let error = MessageError(400, "the connection was closed in the middle of a response")
            state = .failed(error)
            return .failed(error)
        }
    }

    private mutating func advance(headOnly: Bool) throws(MessageError) -> Step {
        while true {
            switch state {
            case .head:
                guard position < buffer.count,
                    let length = try scanner.scan(buffer, from: position, limits: limits)
                else { return .needsMore }
                try begin(headOnly: headOnly)
                position += length
                scanner.reset()
                if pending != nil, case .head = state { return complete() }
            case .fixedBody(let left):
                let taken = min(left, buffer.count - position)
                pending?.body.append(contentsOf: buffer[position..<position + taken])
                position += taken
                guard taken == left else {
                    state = .fixedBody(left: left - taken)
                    return .needsMore
                }
                return complete()
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
                return complete()
            case .untilClose:
                let count = buffer.count - position
                guard (pending?.body.count ?? 0) + count <= limits.bodyBytes else {
                    throw MessageError(413, "the body is too large")
                }
                pending?.body.append(contentsOf: buffer[position...])
                position = buffer.count
                return .needsMore
            case .failed(let error): return .failed(error)
            }
        }
    }

    private mutating func begin(headOnly: Bool) throws(MessageError) {
        let lineEnd = position + scanner.lineEnds[0]
        let line = buffer[position..<lineEnd]
        let digits = line.dropFirst(9).prefix(3)
        guard line.starts(with: "HTTP/1.".utf8), line.count >= 12, line[position + 7].isDigit,
            line[position + 8] == .space, digits.allSatisfy(\.isDigit),
            line.count == 12 || line[position + 12] == .space
        else { throw MessageError(400, "an invalid status line") }
        let status = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard status >= 100, status != 101 else {
            throw MessageError(400, "a status that was not asked for: \(status)")
        }
        let fields = try FieldSection(
            buffer,
            base: position,
            lineEnds: scanner.lineEnds,
            firstField: 1
        )
        guard status >= 200 else { return }
        let isHTTP10 = line[position + 7] == UInt8(ascii: "0")
        keepsAlive = !fields.asksToClose && (!isHTTP10 || fields.asksToKeepAlive)
        pending = Response(
            status: status,
            contentType: fields.headers.first("content-type"),
            headers: fields.headers
        )
        if headOnly || status == 204 || status == 304 { return }
        if fields.isChunked {
            chunks = ChunkedDecoder()
            state = .chunkedBody
        } else if let length = fields.contentLength {
            guard length <= limits.bodyBytes else {
                throw MessageError(413, "the body is too large")
            }
            if length > 0 { state = .fixedBody(left: length) }
        } else {
            keepsAlive = false
            state = .untilClose
        }
    }

    private mutating func complete() -> Step {
        guard let response = pending else {
            fatalError("invariant broken: a response ended that had not begun")
        }
        pending = nil
        state = .head
        return .response(response, keepsAlive: keepsAlive)
    }
}
