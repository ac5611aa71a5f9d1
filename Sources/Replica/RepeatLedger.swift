internal import Verification

/// Repeats answered from this node's own state, counted until they are reported to the log.
///
/// A report is proposed under a number until it is seen applied, then the next one is made, so
/// that a report proposed twice counts once (`RepeatBatch`). A crash loses the counts not reported
/// yet, at most about a second's: they are observations, not outcomes.
struct RepeatLedger {
    private struct Key: Hashable {
        var attempt: AttemptID
        var key: CallbackKey
    }
    private struct Count {
        var count: UInt32
        var lastAt: WallTime
    }

    private var counts: [Key: Count] = [:]
    private let maxItems: Int
    /// Repeats that found the ledger full, so that they appear in no count.
    private(set) var dropped: UInt64 = 0

    /// Items in one report, at most, so that an entry stays of moderate size.
    static let maxItemsPerReport = 1000

    init(maxItems: Int) { self.maxItems = maxItems }

    var isEmpty: Bool { counts.isEmpty }

    mutating func note(_ callback: Callback) {
        let key = Key(attempt: callback.attempt, key: callback.key)
        if counts.count >= maxItems, counts[key] == nil {
            dropped += 1
            return
        }
        let at = callback.origin.receivedAt
        counts[key, default: Count(count: 0, lastAt: at)].count += 1
        counts[key]?.lastAt = at
    }

    /// Takes out what the next report says; the order is by attempt and key, not by hashing.
    mutating func takeReport() -> [RepeatBatch.Item] {
        var items = counts.map {
            RepeatBatch.Item(
                attempt: $0.key.attempt,
                key: $0.key.key,
                count: $0.value.count,
                lastAt: $0.value.lastAt
            )
        }
        items.sort { ($0.attempt.text, $0.key.text) < ($1.attempt.text, $1.key.text) }
        guard items.count > RepeatLedger.maxItemsPerReport else {
            counts.removeAll(keepingCapacity: true)
            return items
        }
        items.removeLast(items.count - RepeatLedger.maxItemsPerReport)
        for item in items { counts[Key(attempt: item.attempt, key: item.key)] = nil }
        return items
    }
}
