package import Verification

/// Repeats answered from this node's own state, counted until they are reported to the log.
///
/// A report is proposed under a number until it is seen applied, then the next one is made, so
/// that a report proposed twice counts once (`RepeatBatch`). A crash loses the counts not reported
/// yet, at most about a second's: they are observations, not outcomes.
package struct RepeatLedger {
    private struct Key: Hashable {
        var attempt: AttemptID
        var key: CallbackKey
    }

    /// Oldest first: what waits longest is reported first.
    private var items: [RepeatBatch.Item] = []
    /// Where a key stands in `items`, counted from the first item ever.
    private var places: [Key: Int] = [:]
    /// Items reported so far.
    private var reported = 0
    private let maxItems: Int
    /// Repeats that found the ledger full, so that they appear in no count.
    package private(set) var dropped: UInt64 = 0

    /// Items in one report, at most, so that an entry stays of moderate size.
    package static let maxItemsPerReport = 1000

    package init(maxItems: Int) { self.maxItems = maxItems }

    package var isEmpty: Bool { items.isEmpty }
    package var count: Int { items.count }

    package mutating func note(_ callback: Callback) {
        note(callback, count: 1, lastAt: callback.origin.receivedAt)
    }

    /// Notes several receipts, the last of them at a time.
    package mutating func note(_ callback: Callback, count: UInt32, lastAt at: WallTime) {
        let key = Key(attempt: callback.attempt, key: callback.key)
        if let place = places[key] {
            let i = place - reported
            let sum = items[i].count.addingReportingOverflow(count)
            items[i].count = sum.overflow ? .max : sum.partialValue
            items[i].lastAt = at
            return
        }
        guard items.count < maxItems else {
            dropped += UInt64(count)
            return
        }
        places[key] = reported + items.count
        items.append(
            RepeatBatch.Item(attempt: key.attempt, key: key.key, count: count, lastAt: at)
        )
    }

    /// Takes out what the next report says, in the order in which it was first noted here.
    package mutating func takeReport() -> [RepeatBatch.Item] {
        let report = Array(items.prefix(RepeatLedger.maxItemsPerReport))
        for item in report { places[Key(attempt: item.attempt, key: item.key)] = nil }
        items.removeFirst(report.count)
        reported += report.count
        return report
    }
}
