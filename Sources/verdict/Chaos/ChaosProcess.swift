import Glibc

/// A process that a run has started; nothing of it is left when this value goes.
final class ChaosProcess {
    let pid: pid_t
    /// How it ended: its exit status, or 128 and the signal; `nil` while it runs.
    private(set) var status: Int32?

    /// Starts a program, named by its path or found in PATH, with its arguments.
    ///
    /// Both its outputs are appended to a file; `more` is added to this process's environment.
    init(
        _ words: [String],
        environment more: [String] = [],
        output: String
    ) throws(CommandFailure) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)

        // Signals that this process has blocked are not the other's business; and in a group of its
        // own it does not hear the Ctrl-C that is meant for this one.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var nothing = sigset_t()
        unsafe sigemptyset(&nothing)
        unsafe posix_spawnattr_setsigmask(&attributes, &nothing)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP)
        )

        var variables: [UnsafeMutablePointer<CChar>?] = unsafe []
        var place = unsafe environ
        while let variable = unsafe place.pointee {
            unsafe variables.append(strdup(variable))
            unsafe place += 1
        }
        for text in more { unsafe variables.append(strdup(text)) }
        unsafe variables.append(nil)
        let arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe variables.forEach { unsafe free($0) }
            unsafe arguments.forEach { unsafe free($0) }
        }
        var number: pid_t = 0
        let code = unsafe posix_spawnp(
            &number,
            words[0],
            &actions,
            &attributes,
            arguments,
            variables
        )
        guard code == 0 else {
            throw CommandFailure(.no, "\(words[0]) cannot be started: errno \(code)")
        }
        pid = number
    }

    deinit { end() }

    var isRunning: Bool {
        collect(WNOHANG)
        return status == nil
    }

    func send(_ signal: Int32) {
        if status == nil { kill(pid, signal) }
    }

    /// Kills it, frozen or not, and waits until it is gone.
    func end() {
        guard isRunning else { return }
        kill(pid, SIGKILL)
        collect(0)
    }

    /// Waits for its end, which must come by itself.
    func wait() -> Int32 {
        collect(0)
        return status ?? 127
    }

    private func collect(_ options: Int32) {
        guard status == nil else { return }
        var raw: Int32 = 0
        while true {
            let number = unsafe waitpid(pid, &raw, options)
            if number == pid {
                status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
            }
            if number >= 0 || errno != EINTR { return }
        }
    }
}

/// The page that a node's `faults` library reads, shared with it.
@safe final class FaultPage {
    enum Place: Int {
        case clockOffset, syncMode, syncDelay, writeMode, syncsUnderWay, syncsDone, writesTorn
        case faultsDone
    }

    let path: String
    private let page: UnsafeMutablePointer<Int64>

    init(_ path: String) throws(CommandFailure) {
        self.path = path
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, 4096) == 0 else {
            throw CommandFailure(.no, "\(path): cannot be made: errno \(errno)")
        }
        defer { close(descriptor) }
        let memory = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            throw CommandFailure(.no, "\(path): cannot be mapped: errno \(errno)")
        }
        unsafe page = memory.bindMemory(to: Int64.self, capacity: 512)
    }

    deinit { unsafe _ = munmap(page, 4096) }

    subscript(_ place: Place) -> Int64 {
        get { unsafe page[place.rawValue] }
        set { unsafe page[place.rawValue] = newValue }
    }

    /// A process that was killed told of a sync that has no end.
    func forgetProcess() {
        self[.syncsUnderWay] = 0
        self[.writesTorn] = 0
    }
}
