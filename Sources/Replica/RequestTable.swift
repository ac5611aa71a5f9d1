internal import Raft
internal import Verification

/// Requests of this node's own clients that wait for their entry to be applied.
///
/// Ordered by sequence number, and kept as a queue with holes: requests finish nearly in order.
struct RequestTable {
    struct Request {
        var sequence: UInt64
        var command: [UInt8]
        /// The definition an open needs, to be proposed before it if the log may lack it.
        var definition: [UInt8]?
        /// `nil` for what nobody waits for (a report of repeats): kept until applied.
        var context: UInt64?
        var submittedAt: Instant
        var deadline: Instant
        var state: State
        var isFinished = false
        /// How often it was forwarded.
        var forwards = 0
        /// How often the log lacked the flow that this open names.
        var missingFlow = 0
    }
    enum State {
        case queued
        /// In this node's own log: it is lost only with this node's office, which puts all back.
        case proposed
        case forwarded(at: Instant)
    }

    private var slots: [Request] = []
    /// Slots before this are finished.
    private var head = 0
    private(set) var count = 0
    /// Those of `count` that somebody waits for.
    private(set) var awaitedCount = 0
    private(set) var nextSequence: UInt64 = 1
    /// Slots from here on may be queued; all before are sent or finished.
    private var firstQueued = 0
    let limit: Int
    /// Requests put back after they had been sent.
    private(set) var sentAgain: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    mutating func takeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    /// - Precondition: `request.sequence` is greater than that of all before.
    mutating func append(_ request: Request) {
        if let last = slots.last {
            invariant(
                request.sequence > last.sequence,
                "request \(request.sequence) after \(last.sequence)"
            )
        }
        slots.append(request)
        count += 1
        if request.context != nil { awaitedCount += 1 }
    }

    /// Finishes a request.
    ///
    /// - Returns: it, or `nil` if it is not waiting (any more).
    mutating func finish(_ sequence: UInt64) -> Request? {
        guard let slot = slot(of: sequence), !slots[slot].isFinished else { return nil }
        slots[slot].isFinished = true
        count -= 1
        if slots[slot].context != nil { awaitedCount -= 1 }
        let request = slots[slot]
        slots[slot].command = []
        slots[slot].definition = nil
        advanceHead()
        return request
    }

    /// Puts one request back, to be sent in the next turn.
    mutating func requeue(_ sequence: UInt64) {
        guard let slot = slot(of: sequence), !slots[slot].isFinished else { return }
        sentAgain += 1
        slots[slot].state = .queued
        firstQueued = min(firstQueued, slot)
    }

    /// Puts an open back whose flow the log lacked.
    ///
    /// - Returns: false if that happened before, or it carries no definition: it is not put back.
    mutating func requeueForMissingFlow(_ sequence: UInt64) -> Bool {
        guard let slot = slot(of: sequence), !slots[slot].isFinished,
            slots[slot].definition != nil, slots[slot].missingFlow < 2
        else { return false }
        slots[slot].missingFlow += 1
        requeue(sequence)
        return true
    }

    /// What was forwarded counts as lost at the next `expire`.
    mutating func retrySoon() {
        for slot in head..<slots.count {
            if case .forwarded = slots[slot].state {
                slots[slot].state = .forwarded(at: Instant(nanoseconds: 0))
            }
        }
    }

    /// Puts all requests back.
    mutating func requeueAll() {
        for slot in head..<slots.count { slots[slot].state = .queued }
        firstQueued = head
    }

    /// Calls `send` with the requests that wait to be sent, oldest first, until it answers false;
    /// those it took are in `state` from then on.
    mutating func sendQueued(as state: State, _ send: (borrowing Request) -> Bool) {
        var slot = max(firstQueued, head)
        while slot < slots.count {
            if !slots[slot].isFinished, case .queued = slots[slot].state {
                guard send(slots[slot]) else { break }
                slots[slot].state = state
                if case .forwarded = state { slots[slot].forwards += 1 }
            }
            slot += 1
        }
        firstQueued = slot
    }

    var hasQueued: Bool {
        var slot = max(firstQueued, head)
        while slot < slots.count {
            if !slots[slot].isFinished, case .queued = slots[slot].state { return true }
            slot += 1
        }
        return false
    }

    /// Takes out requests whose hold time is over, and puts back those forwarded long ago: twice as
    /// long each time, up to eight times, so that a slow leader is not buried in repetitions.
    mutating func expire(at now: Instant, retryAfter: Duration) -> [Completion] {
        var completions: [Completion] = []
        for slot in head..<slots.count where !slots[slot].isFinished {
            if slots[slot].deadline <= now {
                guard let request = finish(slots[slot].sequence), let context = request.context
                else { continue }
                completions.append(
                    Completion(
                        context: context,
                        submittedAt: request.submittedAt,
                        result: .timedOut
                    )
                )
            } else if case .forwarded(let at) = slots[slot].state {
                let patience = 1 << min(slots[slot].forwards - 1, 3)
                guard at.advanced(by: retryAfter * patience) <= now else { continue }
                requeue(slots[slot].sequence)
            }
        }
        compact()
        return completions
    }

    private func slot(of sequence: UInt64) -> Int? {
        var low = head
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < slots.count && slots[low].sequence == sequence ? low : nil
    }

    private mutating func advanceHead() {
        while head < slots.count, slots[head].isFinished { head += 1 }
    }

    /// Gives memory back; not while slots are being walked.
    mutating func compact() {
        advanceHead()
        // Holes too: one request that waits for hours must not keep all that came after it.
        let finished = slots.count - count
        guard finished > 1024, finished > count else { return }
        slots.removeAll { $0.isFinished }
        head = 0
        firstQueued = 0
    }
}
