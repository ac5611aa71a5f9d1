import Digest

/// A digest of the whole state that does not depend on the order in which its attempts are added, nor on
/// where their records lie: two states have the same one if they are the same.
///
/// It is the SHA-256 of: the head without the directories that were let in, which are a cluster's own and none of
/// what was decided; the number of attempts; and the sum, modulo 2²⁵⁶, of the SHA-256 of each attempt's
/// canonical record. So it can be made of any state in one pass, in no more memory than one record takes.
package struct StateSum: ~Copyable {
    private let machine: StateMachine
    private var sum: [UInt64] = [0, 0, 0, 0]
    /// Attempts added.
    package private(set) var attempts = 0

    /// Begins with a state that has no attempts yet, as a checkpoint's head restores it.
    package init(_ state: consuming StateMachine) {
        var machine = state
        machine.forgetAdmissions()
        self.machine = machine
    }

    /// Adds the newest version of an attempt, as it is stored.
    ///
    /// - Parameters:
    ///   - stored: the record.
    ///   - hash: that of its attempt's ID, by what is said of it elsewhere.
    ///   - ordinal: the attempt's, by the same.
    ///   - isOpen: whether the attempt is open, by the same.
    /// - Throws: `CommandDecodeError` if it does not decode, or is not what is said of it.
    package mutating func add(
        _ stored: ArraySlice<UInt8>,
        hash: UInt64,
        ordinal: UInt64,
        isOpen: Bool
    ) throws(CommandDecodeError) {
        let record = try AttemptRecord(decoding: stored, flows: machine.flowList)
        guard machine.hash(record.id) == hash else { throw .invalid(field: "attempt") }
        guard record.ordinal == ordinal else { throw .invalid(field: "ordinal") }
        guard isOpen == !record.state.isTerminal else { throw .invalid(field: "state") }
        var bytes: [UInt8] = []
        guard machine.encodeCanonical(record, into: &bytes) else { return }
        attempts += 1
        let digest = SHA256.hash(of: bytes)
        var carry: UInt64 = 0
        for lane in 0..<4 {
            var word: UInt64 = 0
            for byte in 0..<8 { word |= UInt64(digest[lane * 8 + byte]) << UInt64(8 * byte) }
            let (first, overflows) = sum[lane].addingReportingOverflow(word)
            let (second, overflowsToo) = first.addingReportingOverflow(carry)
            sum[lane] = second
            carry = overflows || overflowsToo ? 1 : 0
        }
    }

    /// 32 bytes.
    package var digest: [UInt8] {
        var bytes = machine.canonicalHead
        bytes.append(fixed: UInt64(attempts))
        for lane in sum { bytes.append(fixed: lane) }
        return SHA256.hash(of: bytes)
    }
}

extension StateMachine {
    /// The state goes on in another cluster, whose directories are others.
    package mutating func forgetAdmissions() { readmissions = [] }
}
