import Digest
import Journal
import Reactor

/// What one durable write costs on a disk, done as the journal does it: a decision cannot be had
/// for less than two of them, one at each of two nodes at the same time, and the way between.
enum DiskBench {
    private static let writes = 2000
    private static let size = 4096

    /// Writes into a file of its own, which is removed again.
    ///
    /// - Returns: what was measured, for people.
    static func measure(_ directory: String) throws(CommandFailure) -> String {
        let file = "bench-" + Hex.string(SecureRandom.bytes(4))
        var latency = LatencyHistogram()
        do {
            var disk = try FileDisk(directory: directory)
            try disk.perform(.create(file: file, size: writes * size))
            let bytes = SecureRandom.bytes(size)
            for number in 0..<writes {
                let start = Clock.monotonic()
                try disk.perform(.write(file: file, offset: number * size, bytes: bytes))
                try disk.perform(.sync(file: file))
                latency.add(nanoseconds: Clock.monotonic() - start)
            }
            try disk.perform(.remove(file: file))
        } catch {
            throw CommandFailure(.no, "\(directory): \(error)")
        }
        return """
            \(writes) writes of \(size) bytes with fdatasync in \(directory): \
            mean \(milliseconds(latency.mean)) ms, p50 \(milliseconds(latency.quantile(0.5))) ms, \
            p99 \(milliseconds(latency.quantile(0.99))) ms, max \(milliseconds(latency.maximum)) ms

            """
    }
}
