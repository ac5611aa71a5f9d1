import Glibc

/// Runs a node until it is told to stop.
///
/// - Returns: the process's exit status: 0 after an orderly stop, 2 for a bad configuration.
package func serve(configurationAt path: String) -> Int32 {
    do throws(ConfigurationError) {
        let configuration = try NodeConfiguration.load(path)
        _ = try Secrets.load(configuration.secretsFile)
    } catch {
        writeToStandardError("\(error)\n")
        return 2
    }
    // CALL SITE: the node loop takes over here.
    writeToStandardError("verdict serve: the node loop is not linked into this build\n")
    return 1
}

func writeToStandardError(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe write(STDERR_FILENO, buffer.baseAddress, buffer.count)
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
