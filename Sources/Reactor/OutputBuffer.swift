/// Bytes that wait to be written to a socket.
///
/// Writers append to `bytes`; what the socket took is skipped, and the memory is used again once
/// all is written.
package struct OutputBuffer: Sendable {
    package var bytes: [UInt8] = []
    private var start = 0

    package init() {}

    package var count: Int { bytes.count - start }
    package var isEmpty: Bool { count == 0 }

    /// Writes as much as the socket takes.
    ///
    /// - Returns: `nil` if all is written, else what stopped it.
    package mutating func write(to descriptor: borrowing FileDescriptor) -> Transfer? {
        while start < bytes.count {
            switch Socket.write(descriptor, bytes, from: start) {
            case .bytes(let count): start += count
            case let other:
                compact()
                return other
            }
        }
        removeAll()
        return nil
    }

    /// Forgets what was not written.
    package mutating func removeAll() {
        start = 0
        // A rare burst does not hold its memory for ever.
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
    }

    private mutating func compact() {
        guard start > 1 << 16, start > bytes.count / 2 else { return }
        bytes.removeFirst(start)
        start = 0
    }
}
