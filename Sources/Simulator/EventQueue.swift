/// What is going to happen, ordered by virtual time; ties go by the order of scheduling.
struct EventQueue<Event> {
    private struct Key {
        var time: UInt64
        var order: UInt64
        var slot: Int32

        func precedes(_ other: Key) -> Bool {
            time != other.time ? time < other.time : order < other.order
        }
    }

    private var heap: [Key] = []
    private var events: [Event?] = []
    private var free: [Int32] = []
    private var nextOrder: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }

    mutating func schedule(_ event: Event, at time: UInt64) {
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
            events[Int(slot)] = event
        } else {
            slot = Int32(events.count)
            events.append(event)
        }
        heap.append(Key(time: time, order: nextOrder, slot: slot))
        nextOrder += 1
        siftUp(heap.count - 1)
    }

    /// Takes out the next event.
    mutating func next() -> (time: UInt64, event: Event)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        guard let event = events[Int(first.slot)] else {
            fatalError("invariant broken: event slot \(first.slot) is empty")
        }
        events[Int(first.slot)] = nil
        free.append(first.slot)
        return (first.time, event)
    }

    private mutating func siftUp(_ start: Int) {
        let key = heap[start]
        var at = start
        while at > 0 {
            let parent = (at - 1) / 2
            guard key.precedes(heap[parent]) else { break }
            heap[at] = heap[parent]
            at = parent
        }
        heap[at] = key
    }

    private mutating func siftDown() {
        let key = heap[0]
        let count = heap.count
        var at = 0
        while true {
            var child = 2 * at + 1
            guard child < count else { break }
            if child + 1 < count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(key) else { break }
            heap[at] = heap[child]
            at = child
        }
        heap[at] = key
    }
}
