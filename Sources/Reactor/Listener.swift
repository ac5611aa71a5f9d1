import CLinux
import Glibc

/// A listening TCP socket.
package final class Listener {
    package let descriptor: FileDescriptor
    /// The port in use, which the kernel picked if 0 was asked for.
    package let port: UInt16

    package init(on address: HostPort, backlog: Int32 = 1024) throws(SystemError) {
        guard let resolved = ResolvedAddress.numeric(address) else {
            throw SystemError("listen on \(address), which is not an IP address", code: EINVAL)
        }
        let opened = try resolved.openSocket()
        let number = opened.number
        var on: Int32 = 1
        _ = unsafe setsockopt(
            number,
            SOL_SOCKET,
            SO_REUSEADDR,
            &on,
            socklen_t(MemoryLayout<Int32>.size)
        )
        let bound = unsafe resolved.withPointer { unsafe bind(number, $0, $1) }
        guard bound == 0 else { throw SystemError("bind \(address)", code: errno) }
        guard Glibc.listen(number, backlog) == 0 else {
            throw SystemError("listen \(address)", code: errno)
        }
        port = Listener.boundPort(number)
        descriptor = opened
    }

    private static func boundPort(_ number: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            let result = unsafe getsockname(
                number,
                raw.assumingMemoryBound(to: sockaddr.self),
                &length
            )
            guard result == 0 else { return 0 }
            // The port is at the same place, in network order, for IPv4 and IPv6.
            return unsafe UInt16(bigEndian: raw.load(fromByteOffset: 2, as: UInt16.self))
        }
    }

    package enum Accepted: ~Copyable {
        case connection(FileDescriptor)
        /// Nobody waits.
        case none
        /// The process or the system has no descriptor to spare; the connection waits.
        case exhausted
    }

    /// Takes the next waiting connection.
    package func accept() -> Accepted {
        while true {
            let number = clinux_accept(descriptor.number)
            if number >= 0 {
                let connection = FileDescriptor(owning: number)
                Socket.disableDelay(connection)
                return .connection(connection)
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            default: return .none
            }
        }
    }
}
