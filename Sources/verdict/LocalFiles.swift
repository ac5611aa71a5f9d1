import Glibc
import Server

// What the commands for clusters on this machine need of the file system.

func currentDirectory() -> String {
    guard let path = unsafe getcwd(nil, 0) else { return "." }
    defer { unsafe free(path) }
    return unsafe String(cString: path)
}

/// Makes a directory; one that is there already is fine.
func makeDirectory(_ path: String) throws(CommandFailure) {
    guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
        throw CommandFailure(.no, "\(path): cannot be made: errno \(errno)")
    }
}

/// Replaces a file in one step, so that no reader sees half of it.
func write(_ text: String, to path: String, mode: mode_t) throws(CommandFailure) {
    func failure(_ what: String) -> CommandFailure {
        CommandFailure(.no, "\(path): \(what): errno \(errno)")
    }
    // The file is never readable by others, not even for a moment.
    let temporary = "\(path).\(getpid()).new"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure("cannot be made") }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
            let error = failure("cannot be written")
            close(descriptor)
            unsafe unlink(temporary)
            throw error
        }
        bytes = bytes.dropFirst(count)
    }
    close(descriptor)
    guard unsafe rename(temporary, path) == 0 else { throw failure("cannot be put in place") }
}

/// The words of a running process's command line; none if there is no such process.
func commandLine(of pid: Int32) -> [String] {
    let descriptor = unsafe open("/proc/\(pid)/cmdline", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = unsafe chunk.withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress, buffer.count)
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        bytes += chunk.prefix(count)
    }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
}
