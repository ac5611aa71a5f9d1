import Glibc
import HTTP

/// A TCP connection to a port of this machine, with time limits.
final class Connection {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// How a response ended.
    enum Outcome {
        case response(Response, keepsAlive: Bool)
        /// Closed before the first byte of a response.
        case closed
        var response: Response? {
            if case .response(let response, _) = self { response } else { nil }
        }
    }

    private let descriptor: Int32
    private var parser = ResponseParser()
    private var hasReceivedPart = false

    init(port: UInt16) throws(Failure) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let number = socket(AF_INET, kind, 0)
        guard number >= 0 else { throw Failure(description: "no socket: errno \(errno)") }
        var address = Loopback.address(port)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(number)
            throw Failure(description: "port \(port) cannot be reached: errno \(code)")
        }
        descriptor = number
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws(Failure) { try send(Array(text.utf8)) }

    /// Sends everything; a server that has closed meanwhile is no failure, since it may have answered.
    func send(_ bytes: [UInt8]) throws(Failure) {
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
            if count < 0 {
                switch errno {
                case EINTR: continue
                case EPIPE, ECONNRESET: return
                default: throw Failure(description: "cannot send: errno \(errno)")
                }
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Says that nothing more will be sent; answers can still be received.
    func finishSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// The next response of the connection.
    func receive(within limit: Duration = .seconds(15)) throws(Failure) -> Outcome {
        let deadline = ContinuousClock.now + limit
        while true {
            switch parser.next() {
            case .response(let response, let keepsAlive):
                hasReceivedPart = false
                return .response(response, keepsAlive: keepsAlive)
            case .failed(let error): throw Failure(description: "a bad response: \(error)")
            case .needsMore: break
            }
            guard let bytes = try read(until: deadline) else {
                throw Failure(description: "no answer within \(limit)")
            }
            guard bytes.isEmpty else {
                hasReceivedPart = true
                parser.feed(bytes)
                continue
            }
            guard !hasReceivedPart else {
                throw Failure(description: "the connection ended within a response")
            }
            return .closed
        }
    }

    /// Whether the server asks for the body of a request that waits for that.
    func awaitContinue(within limit: Duration = .seconds(5)) throws(Failure) -> Bool {
        let wanted = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        let deadline = ContinuousClock.now + limit
        var received: [UInt8] = []
        while received.count < wanted.count, wanted.starts(with: received) {
            guard let bytes = try read(until: deadline), !bytes.isEmpty else { return false }
            received += bytes
        }
        return received == wanted
    }

    /// Whether the other side closes the connection, sending nothing more.
    func isClosed(within limit: Duration = .seconds(5)) throws(Failure) -> Bool {
        guard let bytes = try read(until: ContinuousClock.now + limit) else { return false }
        return bytes.isEmpty
    }

    /// Whether the other side closes the connection, whatever it may send before.
    func isClosedInTheEnd(within limit: Duration = .seconds(5)) throws(Failure) -> Bool {
        let deadline = ContinuousClock.now + limit
        while let bytes = try read(until: deadline) {
            if bytes.isEmpty { return true }
        }
        return false
    }

    /// What has come, nothing if the other side has closed; `nil` if the time is over.
    private func read(until deadline: ContinuousClock.Instant) throws(Failure) -> [UInt8]? {
        while true {
            let left = ContinuousClock.now.duration(to: deadline).components
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&entry, 1, Int32(clamping: max(0, milliseconds + 1)))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                guard ContinuousClock.now >= deadline else { continue }
                return nil
            }
            var buffer = [UInt8](repeating: 0, count: 64 * 1024)
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe recv(descriptor, bytes.baseAddress, bytes.count, 0)
            }
            if count >= 0 { return Array(buffer.prefix(count)) }
            switch errno {
            case EINTR: continue
            case ECONNRESET: return []
            default: throw Failure(description: "cannot receive: errno \(errno)")
            }
        }
    }
}

/// Addresses of this machine.
enum Loopback {
    static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// A base port with all the ports free that a cluster of this size takes.
    static func freeBasePort(nodes: Int) throws -> Int {
        for _ in 0..<200 {
            // Below the range that the system hands out by itself.
            let base = Int.random(in: 1024...3000) * 10
            let ports = (1...nodes).flatMap { [base + $0, base + 1000 + $0] }
            if ports.allSatisfy(isFree) { return base }
        }
        throw Connection.Failure(description: "no base port is free")
    }

    private static func isFree(_ port: Int) -> Bool {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return false }
        defer { close(number) }
        var address = address(UInt16(port))
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        } == 0
    }
}
