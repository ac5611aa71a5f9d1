import Glibc

/// An open descriptor that closes itself.
package struct FileDescriptor: ~Copyable {
    package let number: Int32

    /// Takes over an open descriptor.
    package init(owning number: Int32) { self.number = number }

    deinit { _ = close(number) }
}

/// A descriptor that several owners may hold.
package final class FileDescriptorBox: Sendable {
    package let descriptor: FileDescriptor
    package init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

/// A failed system call.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, such as `bind 127.0.0.1:8101`.
    package var operation: String
    package var code: Int32

    package init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    package var description: String {
        let text = unsafe String(cString: strerror(code))
        return "\(operation): \(text)"
    }
}

/// Clocks of this machine.
package enum Clock {
    /// Nanoseconds of the monotonic clock, which goes on while the machine is suspended.
    ///
    /// Else a leader that wakes up would lead on, and take the others' clocks for what they showed before.
    package static func monotonic() -> UInt64 { read(CLOCK_BOOTTIME) }
    /// Milliseconds since the Unix epoch.
    package static func wallMilliseconds() -> UInt64 { read(CLOCK_REALTIME) / 1_000_000 }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
