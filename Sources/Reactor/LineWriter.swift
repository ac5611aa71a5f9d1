import Glibc

/// Writes whole lines to a descriptor of this process, such as 2 for standard error.
package struct LineWriter: Sendable {
    package let number: Int32
    package init(descriptor number: Int32) { self.number = number }

    /// Writes all the bytes; what cannot be written is lost, since a log must not stop a node.
    package func write(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let number = self.number
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe Glibc.write(
                    number,
                    bytes.baseAddress.map { unsafe $0 + offset },
                    bytes.count - offset
                )
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            offset += count
        }
    }
}
