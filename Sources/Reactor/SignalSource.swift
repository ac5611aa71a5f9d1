import CLinux
import Glibc

/// Signals as something to read from a descriptor, `signalfd`.
///
/// They are blocked in this thread and in those it starts later: make it before any other thread.
package struct SignalSource: ~Copyable {
    package let descriptor: FileDescriptor

    package static let terminate = SIGTERM
    package static let interrupt = SIGINT
    package static let hangUp = SIGHUP

    /// Takes over these signals, and ignores SIGPIPE, which writing to a closed socket raises.
    package init(_ signals: [Int32]) throws(SystemError) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in signals { unsafe sigaddset(&set, number) }
        guard unsafe pthread_sigmask(SIG_BLOCK, &set, nil) == 0 else {
            throw SystemError("pthread_sigmask", code: errno)
        }
        _ = signal(SIGPIPE, SIG_IGN)
        let number = unsafe signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        guard number >= 0 else { throw SystemError("signalfd", code: errno) }
        descriptor = FileDescriptor(owning: number)
    }

    /// The next signal that came, if any.
    package func next() -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(descriptor.number, &info, size) == size else { return nil }
        return Int32(info.ssi_signo)
    }
}
