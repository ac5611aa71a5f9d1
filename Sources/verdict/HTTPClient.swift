import Glibc
import HTTP
import Server

/// One HTTP/1.1 exchange at a time, each on a connection of its own; for commands, not for load.
enum HTTPClient {
    /// Why there is no reply.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// More than any reply to a command has.
    static let maxReplyBytes = 64 * 1024 * 1024

    static func send(
        _ method: String,
        _ origin: WebOrigin,
        _ target: String,
        headers: [(String, String)] = [],
        body: [UInt8]? = nil,
        within timeout: Duration
    ) throws(Failure) -> Response {
        guard !origin.isSecure else { throw Failure(description: "https is not supported here") }
        var request = "\(method) \(target) HTTP/1.1\r\nHost: \(authority(of: origin))\r\n"
        for (name, value) in headers { request += "\(name): \(value)\r\n" }
        if let body { request += "Content-Length: \(body.count)\r\n" }
        request += "Connection: close\r\n\r\n"

        let deadline = ContinuousClock.now + timeout
        let port = origin.port ?? 80
        let connection = try ClientSocket(host: origin.host, port: port, until: deadline)
        try connection.send(Array(request.utf8) + (body ?? []), until: deadline)
        var parser = ResponseParser(limits: limits)
        while true {
            let chunk = try connection.receive(until: deadline)
            if !chunk.isEmpty { parser.feed(chunk) }
            let isHead = method == "HEAD"
            switch chunk.isEmpty ? parser.finish() : parser.next(headOnly: isHead) {
            case .response(let reply, _): return reply
            case .failed(let error): throw Failure(description: error.reason)
            case .needsMore where chunk.isEmpty:
                throw Failure(description: "the connection closed without an answer")
            case .needsMore: continue
            }
        }
    }

    private static var limits: MessageLimits {
        var limits = MessageLimits()
        limits.bodyBytes = maxReplyBytes
        return limits
    }

    private static func authority(of origin: WebOrigin) -> String {
        let text = origin.description
        return String(text.dropFirst("http://".count))
    }
}

/// A connected TCP socket that waits no longer than it is told.
private final class ClientSocket {
    private let descriptor: Int32
    deinit { close(descriptor) }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    convenience init(
        host: String,
        port: UInt16,
        until deadline: ContinuousClock.Instant
    ) throws(HTTPClient.Failure) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0, let first = unsafe list else {
            throw HTTPClient.Failure(description: "\(host) cannot be resolved")
        }
        defer { unsafe freeaddrinfo(first) }

        var failure = HTTPClient.Failure(description: "\(host) has no address")
        var next: UnsafeMutablePointer<addrinfo>? = unsafe first
        while let address = unsafe next {
            let info = unsafe address.pointee
            unsafe next = info.ai_next
            let kind =
                unsafe info.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let descriptor = unsafe socket(info.ai_family, kind, info.ai_protocol)
            guard descriptor >= 0 else {
                failure = HTTPClient.Failure(description: "no socket: \(reason(errno))")
                continue
            }
            if unsafe connect(descriptor, info.ai_addr, info.ai_addrlen) != 0 {
                guard errno == EINPROGRESS else {
                    failure = HTTPClient.Failure(description: reason(errno))
                    close(descriptor)
                    continue
                }
                let isReady = ClientSocket.wait(descriptor, Int16(POLLOUT), until: deadline)
                var status: Int32 = 0
                var size = socklen_t(MemoryLayout<Int32>.size)
                _ = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &status, &size)
                guard isReady, status == 0 else {
                    failure = HTTPClient.Failure(
                        description: isReady ? reason(status) : "no connection in time"
                    )
                    close(descriptor)
                    continue
                }
            }
            self.init(descriptor: descriptor)
            return
        }
        throw failure
    }

    func send(
        _ bytes: [UInt8],
        until deadline: ContinuousClock.Instant
    ) throws(HTTPClient.Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { buffer in
                unsafe Glibc.send(
                    descriptor,
                    buffer.baseAddress,
                    buffer.count,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else {
                try waitAfterFailure(errno, Int16(POLLOUT), until: deadline)
            }
        }
    }

    /// Some bytes; none at the end of the stream.
    func receive(until deadline: ContinuousClock.Instant) throws(HTTPClient.Failure) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            }
            if count >= 0 { return Array(chunk.prefix(count)) }
            try waitAfterFailure(errno, Int16(POLLIN), until: deadline)
        }
    }

    private func waitAfterFailure(
        _ code: Int32,
        _ events: Int16,
        until deadline: ContinuousClock.Instant
    ) throws(HTTPClient.Failure) {
        switch code {
        case EINTR: return
        case EAGAIN:
            guard ClientSocket.wait(descriptor, events, until: deadline) else {
                throw HTTPClient.Failure(description: "no answer in time")
            }
        default: throw HTTPClient.Failure(description: reason(code))
        }
    }

    private static func wait(
        _ descriptor: Int32,
        _ events: Int16,
        until deadline: ContinuousClock.Instant
    ) -> Bool {
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return false }
            let parts = left.components
            let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000 + 1
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = unsafe poll(&entry, 1, Int32(clamping: milliseconds))
            if count > 0 { return true }
            if count < 0, errno != EINTR { return false }
        }
    }
}

private func reason(_ code: Int32) -> String {
    switch code {
    case ECONNREFUSED: "connection refused"
    case ECONNRESET, EPIPE: "connection reset"
    case EHOSTUNREACH, ENETUNREACH: "no route"
    case ETIMEDOUT: "no connection in time"
    default: "errno \(code)"
    }
}
