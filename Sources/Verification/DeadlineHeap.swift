/// The next deadline of every open attempt: a binary heap that knows where each attempt stands.
///
/// One entry an attempt, moved when its deadline moves and removed when it is decided, so there
/// is never a dead entry in it.
struct DeadlineHeap: Sendable {
    struct Element: Sendable {
        var deadline: LogTime
        /// The attempt's position in the slab.
        var attempt: Int
    }
    private var elements: [Element] = []
    /// Place in `elements` by attempt; `absent` if it has no deadline.
    private var places: [UInt32] = []
    private static let absent = UInt32.max

    var count: Int { elements.count }
    var first: LogTime? { elements.first?.deadline }

    /// Sets, moves or (with `nil`) removes the deadline of an attempt.
    mutating func set(_ deadline: LogTime?, of attempt: Int) {
        while places.count <= attempt { places.append(Self.absent) }
        let place = places[attempt]
        switch (deadline, place == Self.absent) {
        case (nil, true): return
        case (nil, false): remove(at: Int(place))
        case (let deadline?, true):
            elements.append(Element(deadline: deadline, attempt: attempt))
            places[attempt] = UInt32(elements.count - 1)
            siftUp(elements.count - 1)
        case (let deadline?, false):
            elements[Int(place)].deadline = deadline
            settle(Int(place))
        }
    }

    /// Takes out every deadline that has passed at `time`, in order of deadline; ties in no
    /// particular order.
    mutating func removeDue(at time: LogTime) -> [Element] {
        var due: [Element] = []
        while let first = elements.first, first.deadline <= time {
            due.append(first)
            remove(at: 0)
        }
        return due
    }

    private mutating func remove(at place: Int) {
        places[elements[place].attempt] = Self.absent
        let last = elements.removeLast()
        guard place < elements.count else { return }
        elements[place] = last
        places[last.attempt] = UInt32(place)
        settle(place)
    }

    private mutating func settle(_ place: Int) {
        siftUp(place)
        siftDown(place)
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            guard elements[place].deadline < elements[parent].deadline else { return }
            exchange(place, parent)
            place = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < elements.count {
                if elements[child].deadline < elements[least].deadline { least = child }
            }
            guard least != place else { return }
            exchange(place, least)
            place = least
        }
    }

    private mutating func exchange(_ a: Int, _ b: Int) {
        elements.swapAt(a, b)
        places[elements[a].attempt] = UInt32(a)
        places[elements[b].attempt] = UInt32(b)
    }
}
