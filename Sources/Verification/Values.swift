/// Milliseconds since the Unix epoch as the log has it: the leader's clock, stamped on each entry,
/// never running backwards.
///
/// Deadlines compare with this and nothing else.
package struct LogTime: Hashable, Comparable, Sendable {
    package var milliseconds: UInt64
    @inlinable package init(milliseconds: UInt64) { self.milliseconds = milliseconds }
    @inlinable package static func < (a: LogTime, b: LogTime) -> Bool {
        a.milliseconds < b.milliseconds
    }
    /// Stops at the end of time rather than trap: a time in the log is what a peer wrote.
    @inlinable package func advanced(bySeconds seconds: UInt32) -> LogTime {
        let (sum, overflows) = milliseconds.addingReportingOverflow(UInt64(seconds) * 1000)
        return LogTime(milliseconds: overflows ? .max : sum)
    }
}

/// A time that somebody claims: a node's own clock at receipt, or a platform's.
///
/// Milliseconds since the Unix epoch; shown to people, never compared with a deadline.
package struct WallTime: Hashable, Sendable {
    package var milliseconds: UInt64
    @inlinable package init(milliseconds: UInt64) { self.milliseconds = milliseconds }
}

/// The place of an entry in the replicated log, 1 or more.
package struct EntryIndex: Hashable, Comparable, Sendable {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    @inlinable package static func < (a: EntryIndex, b: EntryIndex) -> Bool {
        a.number < b.number
    }
}

/// A caller-chosen name of an attempt: 1–128 characters of `A-Z a-z 0-9 . _ : -`.
///
/// Not `.` or `..`: in a URL they mean another place.
package struct AttemptID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String
    /// - Returns: `nil` if the text is not an attempt ID.
    package init?(_ text: some StringProtocol) {
        guard Token.isValid(text.utf8), text != ".", text != ".." else { return nil }
        self.text = String(text)
    }
    package static func < (a: AttemptID, b: AttemptID) -> Bool { a.text < b.text }
    package var description: String { text }
}

/// The form shared by attempt IDs and call IDs: 1–128 characters of `A-Z a-z 0-9 . _ : -`.
package enum Token {
    package static let maxLength = 128
    @inlinable package static func isValid(_ bytes: some Collection<UInt8>) -> Bool {
        var length = 0
        for byte in bytes {
            length += 1
            guard length <= maxLength, isTokenByte(byte) else { return false }
        }
        return length > 0
    }
    @inlinable package static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: ":"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// Where and when a command was received; `request` tells a command that was proposed twice from
/// a callback that a platform sent twice.
package struct Origin: Hashable, Sendable {
    package var node: UInt32
    package var region: String
    package var receivedAt: WallTime
    package var request: RequestID
    package init(node: UInt32, region: String, receivedAt: WallTime, request: RequestID) {
        self.node = node
        self.region = region
        self.receivedAt = receivedAt
        self.request = request
    }
}

/// Names one request at one node in one run of its process, so that a follower finds the answer to
/// its own request in the log, and a command proposed again after a lost forward counts once.
package struct RequestID: Hashable, Sendable {
    package var node: UInt32
    /// Drawn anew each time the process starts.
    package var incarnation: UInt64
    package var sequence: UInt64
    package init(node: UInt32, incarnation: UInt64, sequence: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.sequence = sequence
    }
}
