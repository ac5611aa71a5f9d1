import Journal
import Raft
import Verification

/// Records under way from the disk, and who waits for them.
struct LoadTable {
    struct Waiter {
        var context: UInt64
        var attempt: AttemptID
        var deadline: Instant
    }

    struct Load {
        var place: RecordPlace
        var read: DiskRead
        var waiters: [Waiter]
        /// Times that it failed.
        var failures = 0
        /// Set after a failure: asked for again then.
        var retryAt: Instant?
    }

    private(set) var loads: [UInt64: Load] = [:]
    private var numbers: [RecordPlace: UInt64] = [:]
    private(set) var waiting = 0
    var count: Int { loads.count }
    var isEmpty: Bool { loads.isEmpty }

    func isUnderWay(_ place: RecordPlace) -> Bool { numbers[place] != nil }

    mutating func begin(_ load: Load) {
        loads[load.read.number] = load
        numbers[load.place] = load.read.number
        waiting += load.waiters.count
    }

    mutating func wait(_ waiter: Waiter, for place: RecordPlace) {
        guard let number = numbers[place] else { return }
        loads[number]?.waiters.append(waiter)
        waiting += 1
    }

    mutating func finish(_ number: UInt64) -> Load? {
        guard let load = loads.removeValue(forKey: number) else { return nil }
        numbers[load.place] = nil
        waiting -= load.waiters.count
        return load
    }

    /// Takes out those who waited too long.
    mutating func expire(at now: Instant) -> [Waiter] {
        guard waiting > 0 else { return [] }
        var expired: [Waiter] = []
        for number in loads.keys.sorted() {
            loads[number]?.waiters.removeAll { waiter in
                guard waiter.deadline <= now else { return false }
                expired.append(waiter)
                return true
            }
        }
        waiting -= expired.count
        return expired
    }

    /// Takes out the loads that failed and are to be tried again by now, oldest first.
    mutating func takeRetries(at now: Instant) -> [Load] {
        guard !loads.isEmpty else { return [] }
        let due = loads.filter { $0.value.retryAt.map { $0 <= now } ?? false }.map(\.key).sorted()
        return due.compactMap { finish($0) }
    }
}
