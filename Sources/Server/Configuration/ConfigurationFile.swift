import Glibc

/// The bytes of a configuration file.
package struct ConfigurationFile: Sendable {
    /// A file larger than this is no configuration.
    package static let maxBytes = 1 << 20

    package var path: String
    package var bytes: [UInt8]

    package init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    /// Reads a regular file; a secret one is refused if anyone but its owner may use it.
    ///
    /// - Throws: one finding, without a line.
    package init(reading path: String, isSecret: Bool = false) throws(ConfigurationError) {
        func failure(_ problem: String) -> ConfigurationError {
            ConfigurationError([.init(file: path, problem: problem)])
        }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw failure("cannot be opened: \(ConfigurationFile.reason(errno))")
        }
        defer { close(descriptor) }

        // The mode of the opened file, not of the path, which could be exchanged in between.
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw failure("cannot be examined: \(ConfigurationFile.reason(errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("is not a regular file") }
        if isSecret, status.st_mode & 0o077 != 0 {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            throw failure(
                "holds secrets but others may use it (mode 0\(mode)); run: chmod 600 \(path)"
            )
        }
        guard status.st_size <= ConfigurationFile.maxBytes else {
            throw failure("is larger than \(ConfigurationFile.maxBytes) bytes")
        }

        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw failure("cannot be read: \(ConfigurationFile.reason(errno))")
            }
            if count == 0 { break }
            bytes += chunk.prefix(count)
            guard bytes.count <= ConfigurationFile.maxBytes else {
                throw failure("is larger than \(ConfigurationFile.maxBytes) bytes")
            }
        }
        self.init(path: path, bytes: bytes)
    }

    private static func reason(_ code: Int32) -> String {
        switch code {
        case ENOENT: "no such file"
        case EACCES: "permission denied"
        case EISDIR: "it is a directory"
        default: "errno \(code)"
        }
    }

    /// A path that the file names: relative ones start at the file's own directory.
    package func resolve(_ named: String) -> String {
        guard !named.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return named }
        return path[...slash] + named
    }
}
