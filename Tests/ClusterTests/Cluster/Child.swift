import FoundationEssentials
import Glibc

/// A process that a test started; it ends with this value at the latest.
final class Child {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let process: pid_t
    private let outputPath: String
    private let errorsPath: String
    /// As `waitpid` told it; `nil` while it may still run.
    private var rawStatus: Int32?

    /// Starts the command that was built beside these tests.
    ///
    /// Both outputs go to files, so that no full pipe can stop it.
    ///
    /// `descriptors` are what it may have open, as the system's limit; `variables` are added to its
    /// environment.
    convenience init(
        _ words: [String],
        output: String,
        errors: String,
        descriptors: Int? = nil,
        variables: [String: String] = [:]
    ) throws {
        let command = try Child.command()
        var program = command
        var words = [command] + words
        if let descriptors {
            program = "/bin/sh"
            words = [program, "-c", "ulimit -n \(descriptors); exec \"$0\" \"$@\""] + words
        }
        try self.init(
            running: program,
            words,
            output: output,
            errors: errors,
            variables: variables
        )
    }

    /// Starts any program; the first word is the name that it sees.
    init(
        running program: String,
        _ words: [String],
        output: String,
        errors: String,
        variables: [String: String] = [:]
    ) throws {
        outputPath = output
        errorsPath = errors
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, flags, 0o600)

        // The test runner's own signal mask is not the command's business.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var environment = ProcessInfo.processInfo.environment
        // A killed or trapping node says so by its status; a backtrace would only cost seconds.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        environment.merge(variables) { $1 }
        let number = unsafe try Child.withCStrings(words) { arguments in
            unsafe try Child.withCStrings(environment.map { "\($0.key)=\($0.value)" }) {
                variables in
                var number: pid_t = 0
                let code = unsafe posix_spawn(
                    &number,
                    program,
                    &actions,
                    &attributes,
                    arguments,
                    variables
                )
                guard code == 0 else {
                    throw Failure(description: "\(program) cannot be started: errno \(code)")
                }
                return number
            }
        }
        process = number
    }

    deinit { end() }

    /// Everything it wrote to standard output so far.
    var output: String { Child.text(outputPath) }
    /// Everything it wrote to standard error so far.
    var errors: String { Child.text(errorsPath) }

    func send(_ signal: Int32) {
        guard rawStatus == nil else { return }
        kill(process, signal)
    }

    /// Kills it, frozen or not, and waits until it is gone.
    func end() {
        guard rawStatus == nil else { return }
        kill(process, SIGKILL)
        collect(0)
    }

    var isRunning: Bool {
        collect(WNOHANG)
        return rawStatus == nil
    }

    /// Its exit status; a signal that ended it counts as 128 and its number, as a shell has it.
    func exitStatus(within limit: Duration = .seconds(20)) throws -> Int32 {
        try eventually("process \(process) ends", within: limit) { !self.isRunning }
        guard let status = rawStatus else {
            throw Failure(description: "process \(process) has no status")
        }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    private func collect(_ options: Int32) {
        guard rawStatus == nil else { return }
        var status: Int32 = 0
        while true {
            let number = unsafe waitpid(process, &status, options)
            if number == process { rawStatus = status }
            if number >= 0 || errno != EINTR { return }
        }
    }

    /// The command beside the test runner, in the directory of build products.
    private static func command() throws -> String {
        let runner = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = runner[..<(runner.lastIndex(of: "/") ?? runner.startIndex)] + "/verdict"
        guard FileManager.default.isExecutableFile(atPath: String(path)) else {
            throw Failure(description: "\(path) is not there: build the whole package first")
        }
        return String(path)
    }

    private static func text(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    /// Hands over strings as C has them: an array of pointers, the last one null.
    private static func withCStrings<Result>(
        _ texts: [String],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Result
    ) throws -> Result {
        var pointers = unsafe texts.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }

        return unsafe try pointers.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                throw Failure(description: "an array of arguments without a place")
            }
            return unsafe try body(base)
        }
    }
}
