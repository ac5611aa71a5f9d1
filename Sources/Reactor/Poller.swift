import CLinux
import Glibc

/// Waits for descriptors to become ready: Linux `epoll`, level-triggered.
///
/// A descriptor is named by a token of its owner's. It is watched for reading, writing, or
/// neither; errors and hang-ups are always told.
package struct Poller: ~Copyable {
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let read = Interest(rawValue: 1)
        package static let write = Interest(rawValue: 2)
    }

    package struct Event: Sendable {
        package var token: UInt64
        /// There is something to read, or the other side has closed.
        package var isReadable: Bool
        package var isWritable: Bool
        /// The connection failed or was hung up on both ways; reading tells how.
        package var isBroken: Bool
    }

    private let epoll: FileDescriptor
    private var raw: [clinux_event]

    package init() throws(SystemError) {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw SystemError("epoll_create1", code: errno) }
        epoll = FileDescriptor(owning: number)
        raw = Array(repeating: clinux_event(), count: Int(CLINUX_MAX_EVENTS))
    }

    package func add(
        _ descriptor: borrowing FileDescriptor,
        token: UInt64,
        interest: Interest
    ) throws(SystemError) {
        try control(EPOLL_CTL_ADD, descriptor.number, token, interest)
    }

    package func modify(
        _ descriptor: borrowing FileDescriptor,
        token: UInt64,
        interest: Interest
    ) throws(SystemError) {
        try control(EPOLL_CTL_MOD, descriptor.number, token, interest)
    }

    /// Stops watching; closing a descriptor does that too.
    package func remove(_ descriptor: borrowing FileDescriptor) {
        _ = clinux_epoll_control(epoll.number, EPOLL_CTL_DEL, descriptor.number, 0, 0)
    }

    private func control(
        _ operation: Int32,
        _ descriptor: Int32,
        _ token: UInt64,
        _ interest: Interest
    ) throws(SystemError) {
        var mask: UInt32 = 0
        if interest.contains(.read) { mask |= EPOLLIN.rawValue | EPOLLRDHUP.rawValue }
        if interest.contains(.write) { mask |= EPOLLOUT.rawValue }
        guard clinux_epoll_control(epoll.number, operation, descriptor, mask, token) == 0 else {
            throw SystemError("epoll_ctl", code: errno)
        }
    }

    /// Waits until something is ready or the time is over, and replaces `events`.
    ///
    /// Waits up to `nanoseconds`; for ever if that is `nil`.
    ///
    /// - Throws: `SystemError`; a signal is no error but ends the wait.
    package mutating func wait(
        nanoseconds: UInt64?,
        into events: inout [Event]
    ) throws(SystemError) {
        events.removeAll(keepingCapacity: true)
        let limit = Int64(min(nanoseconds ?? 0, 3_600_000_000_000))
        let count = unsafe clinux_epoll_wait(
            epoll.number,
            &raw,
            Int32(raw.count),
            nanoseconds == nil ? Int64(-1) : limit
        )
        if count < 0 {
            guard errno == EINTR else { throw SystemError("epoll_pwait2", code: errno) }
            return
        }
        let broken = EPOLLHUP.rawValue | EPOLLERR.rawValue
        for i in 0..<Int(count) {
            let mask = raw[i].mask
            events.append(
                Event(
                    token: raw[i].token,
                    isReadable: mask & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | broken) != 0,
                    isWritable: mask & (EPOLLOUT.rawValue | broken) != 0,
                    isBroken: mask & broken != 0
                )
            )
        }
    }
}
