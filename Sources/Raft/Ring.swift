/// A double-ended queue over one growing buffer, with constant-time removal at both ends.
///
/// Freed slots hold a filler, so that what they held is released at once.
struct Ring<Element> {
    private var slots: [Element]
    private var head = 0
    private let filler: Element
    private(set) var count = 0

    init(filler: Element) {
        self.filler = filler
        self.slots = Array(repeating: filler, count: 16)
    }

    var isEmpty: Bool { count == 0 }
    var first: Element? { count == 0 ? nil : slots[head] }
    var last: Element? { count == 0 ? nil : slots[slot(count - 1)] }

    /// The slot's number: the buffer's size is a power of two.
    private func slot(_ position: Int) -> Int { (head &+ position) & (slots.count &- 1) }

    subscript(position: Int) -> Element {
        get {
            invariant(position >= 0 && position < count, "position \(position) of \(count)")
            return slots[slot(position)]
        }
        set {
            invariant(position >= 0 && position < count, "position \(position) of \(count)")
            slots[slot(position)] = newValue
        }
    }

    mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[slot(count)] = element
        count += 1
    }

    /// Removes the first element, if there is one.
    mutating func removeFirst() {
        guard count > 0 else { return }
        slots[head] = filler
        head = slot(1)
        count -= 1
    }

    /// Removes the last element, if there is one.
    mutating func removeLast() {
        guard count > 0 else { return }
        count -= 1
        slots[slot(count)] = filler
    }

    mutating func removeAll() {
        while count > 0 { removeLast() }
        head = 0
    }

    private mutating func grow() {
        var bigger: [Element] = []
        bigger.reserveCapacity(slots.count * 2)
        for position in 0..<count { bigger.append(slots[slot(position)]) }
        while bigger.count < slots.count * 2 { bigger.append(filler) }
        slots = bigger
        head = 0
    }
}
