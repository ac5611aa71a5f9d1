import Glibc

/// What became of reading from or writing to a socket.
package enum Transfer: Hashable, Sendable {
    /// So many bytes, at least one.
    case bytes(Int)
    case wouldBlock
    /// The other side has closed in good order.
    case closed
    /// The connection was reset or broken, with the system's error number.
    case failed(Int32)
}

/// TCP sockets, never blocking.
package enum Socket {
    /// Begins to connect; the descriptor becomes writable when that has ended, and
    /// `connectionError` tells how.
    package static func connect(to address: HostPort) throws(SystemError) -> FileDescriptor {
        let resolved = try ResolvedAddress(address, passive: false)
        let descriptor = try resolved.openSocket()
        disableDelay(descriptor)
        let number = descriptor.number
        let result = unsafe resolved.withPointer { unsafe Glibc.connect(number, $0, $1) }
        if result != 0, errno != EINPROGRESS {
            throw SystemError("connect \(address)", code: errno)
        }
        return descriptor
    }

    /// How a connection attempt ended: 0, or the error number.
    package static func connectionError(_ descriptor: borrowing FileDescriptor) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = unsafe getsockopt(descriptor.number, SOL_SOCKET, SO_ERROR, &code, &length)
        return result == 0 ? code : errno
    }

    /// Sends small messages at once instead of waiting for more (`TCP_NODELAY`).
    package static func disableDelay(_ descriptor: borrowing FileDescriptor) {
        var on: Int32 = 1
        _ = unsafe setsockopt(
            descriptor.number,
            Int32(IPPROTO_TCP),
            TCP_NODELAY,
            &on,
            socklen_t(MemoryLayout<Int32>.size)
        )
    }

    /// Reads what is there into a buffer, from its start.
    package static func read(
        _ descriptor: borrowing FileDescriptor,
        into buffer: inout [UInt8]
    ) -> Transfer {
        let number = descriptor.number
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe recv(number, bytes.baseAddress, bytes.count, 0)
        }
        return outcome(count)
    }

    /// Writes bytes of a buffer from an offset on.
    package static func write(
        _ descriptor: borrowing FileDescriptor,
        _ bytes: [UInt8],
        from offset: Int
    ) -> Transfer {
        let number = descriptor.number
        let count = unsafe bytes.withUnsafeBytes { bytes in
            unsafe send(
                number,
                bytes.baseAddress.map { unsafe $0 + offset },
                bytes.count - offset,
                Int32(MSG_NOSIGNAL)
            )
        }
        return outcome(count)
    }

    private static func outcome(_ count: Int) -> Transfer {
        if count > 0 { return .bytes(count) }
        if count == 0 { return .closed }
        switch errno {
        case EAGAIN, EINTR: return .wouldBlock
        default: return .failed(errno)
        }
    }
}

/// An address as the system takes it.
struct ResolvedAddress {
    private var storage: [UInt8]
    private var family: Int32
    private let name: HostPort

    init(_ address: HostPort, passive: Bool) throws(SystemError) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = (passive ? AI_PASSIVE : 0) | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(address.host, String(address.port), &hints, &list)
        guard code == 0, let first = unsafe list else {
            let reason = unsafe String(cString: gai_strerror(code))
            throw SystemError("resolve \(address) (\(reason))", code: EADDRNOTAVAIL)
        }
        let bytes = unsafe UnsafeRawBufferPointer(
            start: first.pointee.ai_addr,
            count: Int(first.pointee.ai_addrlen)
        )
        unsafe storage = Array(bytes)
        unsafe family = first.pointee.ai_family
        name = address
        unsafe freeaddrinfo(first)
    }

    func openSocket() throws(SystemError) -> FileDescriptor {
        let kind =
            SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let number = socket(family, Int32(kind), 0)
        guard number >= 0 else { throw SystemError("socket for \(name)", code: errno) }
        return FileDescriptor(owning: number)
    }

    func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        unsafe storage.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else {
                fatalError("invariant broken: an empty socket address")
            }
            return unsafe body(
                base.assumingMemoryBound(to: sockaddr.self),
                socklen_t(bytes.count)
            )
        }
    }
}

extension Socket {
    /// Gives a connection up when what was sent is not acknowledged for this long
    /// (`TCP_USER_TIMEOUT`), so that a link behind a cut is made anew once the cut is healed.
    package static func limitUnacknowledged(
        _ descriptor: borrowing FileDescriptor,
        milliseconds: UInt32
    ) {
        var limit = milliseconds
        _ = unsafe setsockopt(
            descriptor.number,
            Int32(IPPROTO_TCP),
            TCP_USER_TIMEOUT,
            &limit,
            socklen_t(MemoryLayout<UInt32>.size)
        )
    }
}

extension SystemError {
    /// Whether a connection's error says that the other process is gone, rather than that nothing
    /// was heard.
    package static func meansReset(_ code: Int32) -> Bool {
        code == ECONNRESET || code == EPIPE || code == ECONNREFUSED
    }
}
