internal import Raft
internal import Verification

/// Records that the log has, and that found no attempt there.
///
/// That is not the last word: the log may have had them, more than once if they were sent again, before the attempt was
/// opened, and somebody may have been told since that they are taken in. So a linearizable read says whether there is
/// an attempt now: if so they go to the log once more.
extension Intake {
    /// A question in vain means that another attempt's record is like this one's, by its hash.
    private static let maxQuestions = 8

    /// The entry with this request ID was applied, and found no attempt.
    ///
    /// - Returns: its place in the request table, if it was submitted.
    mutating func refused(_ request: RequestID) -> UInt64? {
        guard let number = byRequest[request], let record = records[number], !record.isRefused
        else { return nil }
        if record.mayBeProposed { readyCount -= 1 }
        if record.sequence != nil { submittedBytes -= Intake.cost(of: record) }
        records[number]?.sequence = nil
        records[number]?.isRefused = true
        records[number]?.isAsked = false
        refusedCount += 1
        return record.sequence
    }

    var hasRefused: Bool { refusedCount > 0 }

    /// A linearizable read begins.
    mutating func ask() {
        for number in refusedNumbers { records[number]?.isAsked = true }
    }

    /// The read may be served.
    ///
    /// - Parameters:
    ///   - index: the newest entry that is applied.
    ///   - exists: whether there is such an attempt, or may be.
    /// - Returns: the records that are given up, and who waits for them.
    mutating func answered(
        at index: LogIndex,
        _ exists: (AttemptID) -> Bool
    ) -> [(callback: Callback, waiting: [Waiter])] {
        var givenUp: [(callback: Callback, waiting: [Waiter])] = []
        for number in refusedNumbers {
            guard let record = records[number], record.isAsked else { continue }
            if exists(record.callback.attempt), record.questions < Intake.maxQuestions {
                records[number]?.isRefused = false
                records[number]?.questions += 1
                refusedCount -= 1
                if records[number]?.mayBeProposed == true { readyCount += 1 }
                continue
            }
            if record.isOnDisk { done.append((number, index)) }
            givenUp.append((record.callback, record.waiting))
            forget(number)
        }
        return givenUp
    }

    private var refusedNumbers: [UInt64] {
        guard refusedCount > 0 else { return [] }
        return queue[head...].filter { records[$0]?.isRefused == true }
    }
}
