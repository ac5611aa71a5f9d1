import Glibc

/// This program once more, as a process of its own, with what it prints read line by line.
///
/// A broken invariant ends a process; so that a search goes on, runs happen in children.
final class ChildProcess {
    let pid: pid_t
    private let output: Int32
    private let errors: Int32
    private var buffer: [UInt8] = []
    private var errorTail: [UInt8] = []
    private var openEnds = 2

    /// How a child ended.
    enum End {
        case exited(Int32)
        case killed(signal: Int32)
    }

    init(_ arguments: [String]) throws(CommandFailure) {
        (output, errors, pid) = try ChildProcess.spawn(arguments)
    }

    private static func spawn(
        _ arguments: [String]
    ) throws(CommandFailure) -> (Int32, Int32, pid_t) {
        var ends = [Int32](repeating: -1, count: 4)
        let made = unsafe ends.withUnsafeMutableBufferPointer { ends in
            guard let base = ends.baseAddress else { return false }
            return unsafe pipe(base) == 0 && pipe(base + 2) == 0
        }
        guard made else { throw CommandFailure(.no, "no pipe for a child: errno \(errno)") }
        // Another child must not keep these open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[3], STDERR_FILENO)
        let words = unsafe copies(["verdict"] + arguments)
        // A trap's own words are enough; walking the stack takes seconds.
        let variables = unsafe copies(["SWIFT_BACKTRACE=enable=no"])
        defer {
            unsafe words.forEach { unsafe free($0) }
            unsafe variables.forEach { unsafe free($0) }
        }
        var pid: pid_t = 0
        let status = unsafe posix_spawn(&pid, "/proc/self/exe", &actions, nil, words, variables)
        close(ends[1])
        close(ends[3])
        guard status == 0 else {
            close(ends[0])
            close(ends[2])
            throw CommandFailure(.no, "no child process: error \(status)")
        }
        return (ends[0], ends[2], pid)
    }

    /// Copies for C, with a null pointer behind the last.
    private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        var copies: [UnsafeMutablePointer<CChar>?] = unsafe []
        for text in texts { unsafe copies.append(strdup(text)) }
        unsafe copies.append(nil)
        return unsafe copies
    }

    /// Waits for output of any of these children, or for so many milliseconds.
    static func wait(for children: [ChildProcess], milliseconds: Int32) {
        var descriptors: [pollfd] = []
        for child in children {
            descriptors.append(pollfd(fd: child.output, events: Int16(POLLIN), revents: 0))
            descriptors.append(pollfd(fd: child.errors, events: Int16(POLLIN), revents: 0))
        }
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), milliseconds)
        for (number, child) in children.enumerated() {
            if descriptors[2 * number].revents != 0 { child.take(&child.buffer, child.output) }
            if descriptors[2 * number + 1].revents != 0 {
                child.take(&child.errorTail, child.errors)
                child.errorTail.removeFirst(max(0, child.errorTail.count - 8192))
            }
        }
    }

    private func take(_ bytes: inout [UInt8], _ descriptor: Int32) {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe chunk.withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress, buffer.count)
        }
        if count < 0, errno == EINTR { return }
        if count > 0 { bytes += chunk.prefix(count) } else { openEnds -= 1 }
    }

    /// Nothing more will come.
    var isSilent: Bool { openEnds <= 0 }

    /// The next whole line of its output.
    func nextLine() -> String? {
        guard let end = buffer.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        defer { buffer.removeFirst(end + 1) }
        return String(decoding: buffer[..<end], as: UTF8.self)
    }

    /// The last words on standard error that tell why it trapped.
    var lastWords: String {
        let lines = String(decoding: errorTail, as: UTF8.self).split(separator: "\n")
        let reason = lines.last { $0.contains("error:") } ?? lines.last ?? "no word"
        return String(reason)
    }

    /// Waits for its end.
    func end() -> End {
        close(output)
        close(errors)
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: signal)
    }

    /// Ends it.
    func stop() -> End {
        kill(pid, SIGKILL)
        return end()
    }
}
