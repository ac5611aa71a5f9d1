import CLinux
import Glibc

/// Why a data directory cannot be used.
package enum DataDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another process uses it; `process` is its number if it is known.
    case inUse(path: String, process: String?)
    case system(SystemError)

    package var description: String {
        switch self {
        case .inUse(let path, let process):
            "\(path) is in use by another process" + (process.map { " (\($0))" } ?? "")
        case .system(let error): "\(error)"
        }
    }
}

/// A node's data directory, held by this process alone until this value goes.
///
/// The lock is an `flock` of the file `LOCK` in it, which the kernel drops when the process ends,
/// however it ends.
package struct DataDirectory: ~Copyable {
    package let path: String
    /// Tells this directory from a copy of it; never 0.
    ///
    /// It says which file on its file system the lock is, and when that was made, neither of which
    /// goes along with a copy of the files.
    package let place: UInt64
    private let lock: FileDescriptor

    /// Makes the directory, with those above it, if it is not there, and locks it.
    package init(_ path: String) throws(DataDirectoryError) {
        self.path = path
        do throws(SystemError) { try DataDirectory.make(path) } catch { throw .system(error) }
        let file = path + "/LOCK"
        let number = uninterrupted { unsafe open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o640) }
        guard number >= 0 else { throw .system(SystemError("open \(file)", code: errno)) }
        let lock = FileDescriptor(owning: number)
        guard uninterrupted({ flock(number, LOCK_EX | LOCK_NB) }) == 0 else {
            let code = errno
            guard code == EWOULDBLOCK else {
                throw .system(SystemError("lock \(file)", code: code))
            }
            throw .inUse(path: path, process: DataDirectory.holder(number))
        }
        // For people and for the message above only: nothing depends on what is written here.
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(number, 0)
        unsafe text.withUnsafeBytes { bytes in
            unsafe _ = pwrite(number, bytes.baseAddress, bytes.count, 0)
        }
        place = DataDirectory.place(of: number)
        self.lock = lock
    }

    /// The files in it; `reserve` as `FileDisk` has it.
    package borrowing func disk(reserve: Int = 0) throws(SystemError) -> FileDisk {
        try FileDisk(directory: path, reserve: reserve)
    }

    private static func place(of file: Int32) -> UInt64 {
        let origin = clinux_origin(file)
        // Mixed so that neither hides the other (SplitMix64).
        var z = origin.number &+ origin.made &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return max(1, z ^ (z >> 31))
    }

    /// The same for who only reads, beside another who writes and removes.
    package borrowing func readingDisk() throws(SystemError) -> FileDisk {
        try FileDisk(directory: path, opensAnew: true)
    }

    private static func holder(_ number: Int32) -> String? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(number, buffer.baseAddress, buffer.count, 0)
        }
        let digits = bytes.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
    }

    /// Makes a directory, with those above it, durably, if it is not there.
    package static func make(_ path: String, mode: UInt32 = 0o750) throws(SystemError) {
        if unsafe mkdir(path, mode) == 0 { return try syncParent(of: path) }
        switch errno {
        case EEXIST: return
        case ENOENT:
            let parent = parent(of: path)
            guard parent != path else { throw SystemError("make directory \(path)", code: ENOENT) }
            try make(parent)
            guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
                throw SystemError("make directory \(path)", code: errno)
            }
            try syncParent(of: path)
        default: throw SystemError("make directory \(path)", code: errno)
        }
    }

    /// Makes a new directory's name durable.
    private static func syncParent(of path: String) throws(SystemError) {
        let parent = parent(of: path)
        let number = uninterrupted {
            unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        guard number >= 0 else { throw SystemError("open \(parent)", code: errno) }
        let directory = FileDescriptor(owning: number)
        guard uninterrupted({ fsync(directory.number) }) == 0 else {
            throw SystemError("sync \(parent)", code: errno)
        }
    }

    private static func parent(of path: String) -> String {
        var bytes = Array(path.utf8)[...]
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
    }
}
