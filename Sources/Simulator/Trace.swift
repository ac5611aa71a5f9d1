internal import Verification

/// What happened in a run: a digest of all of it, and readable lines if someone wants them.
///
/// The digest tells whether two runs were the same to the last step.
package struct Trace {
    private var fingerprint = Fingerprint()
    private let print: ((String) -> Void)?
    /// Lines from here on are printed, in virtual nanoseconds.
    private let since: UInt64

    init(since: UInt64 = 0, print: ((String) -> Void)?) {
        self.print = print
        self.since = since
    }

    var digest: UInt64 { fingerprint.value }

    mutating func fold(_ word: UInt64) { fingerprint.fold(word) }

    /// Prints a line if lines are wanted; `text` is not made otherwise.
    func note(_ now: UInt64, _ text: @autoclosure () -> String) {
        guard let print, now >= since else { return }
        print("\(Trace.clock(now))  \(text())")
    }

    var isPrinting: Bool { print != nil }

    /// Seconds with microseconds, such as `12.000340`.
    static func clock(_ nanoseconds: UInt64) -> String {
        let micros = nanoseconds / 1000
        let fraction = String(micros % 1_000_000)
        let padding = String(repeating: "0", count: 6 - fraction.utf8.count)
        let seconds = String(micros / 1_000_000)
        let indent = String(repeating: " ", count: max(0, 4 - seconds.utf8.count))
        return "\(indent)\(seconds).\(padding)\(fraction)"
    }
}

/// A broken promise, and who noticed.
package struct Violation: Hashable, Sendable {
    /// The checker's name, such as `state machine safety`.
    package var checker: String
    package var what: String
    /// Virtual nanoseconds since the start of the run.
    package var at: UInt64

    package init(checker: String, what: String, at: UInt64) {
        self.checker = checker
        self.what = what
        self.at = at
    }
}
