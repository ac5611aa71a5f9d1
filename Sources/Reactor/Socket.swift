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
    package static func connect(
        to address: ResolvedAddress
    ) throws(SystemError) -> FileDescriptor {
        let descriptor = try address.openSocket()
        disableDelay(descriptor)
        let number = descriptor.number
        let result = unsafe address.withPointer { unsafe Glibc.connect(number, $0, $1) }
        if result != 0, errno != EINPROGRESS {
            throw SystemError("connect", code: errno)
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

extension Socket {
    /// Tells the other side that nothing more will be written; it can still be read from.
    package static func finishWriting(_ descriptor: borrowing FileDescriptor) {
        _ = shutdown(descriptor.number, Int32(SHUT_WR))
    }

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
