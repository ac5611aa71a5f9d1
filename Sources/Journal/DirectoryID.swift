/// Which data directory this is: a random number that was drawn when it was first used.
///
/// A node's number says whom the cluster counts on; this says on which disk that one's promises
/// are. A directory that was emptied or copied has another.
package struct DirectoryID: Hashable, Sendable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
    package static let none = DirectoryID(high: 0, low: 0)

    /// Reads 32 hexadecimal digits.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
            let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// 32 hexadecimal digits.
    package var description: String { DirectoryID.digits(high) + DirectoryID.digits(low) }

    private static func digits(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
