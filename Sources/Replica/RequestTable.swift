package import Raft

/// Requests of this node's own clients that wait for their entry to be applied.
///
/// Ordered by sequence number, and kept as a queue with holes: requests finish nearly in order.
package struct RequestTable {
    package struct Request {
        package var sequence: UInt64
        package var command: [UInt8]
        /// The definition an open needs, to be proposed before it if the log may lack it.
        package var definition: [UInt8]?
        /// `nil` for what nobody waits for (a report of repeats): kept until applied.
        package var context: UInt64?
        package var submittedAt: Instant
        package var deadline: Instant
        package var state: State
        var isFinished = false
        /// How often it was forwarded to this leader since it refused any.
        var forwards = 0
        /// How often this leader refused a forward that it was in.
        var refusals = 0
        /// How often the log lacked the flow that this open names.
        var missingFlow = 0

        package init(
            sequence: UInt64,
            command: [UInt8],
            definition: [UInt8]?,
            context: UInt64?,
            submittedAt: Instant,
            deadline: Instant
        ) {
            self.sequence = sequence
            self.command = command
            self.definition = definition
            self.context = context
            self.submittedAt = submittedAt
            self.deadline = deadline
            self.state = .queued
        }
    }
    package enum State: Hashable, Sendable {
        case queued
        /// In this node's own log: it is lost only with this node's office, which puts all back.
        case proposed
        /// In the forward of this number.
        case forwarded(at: Instant, number: UInt64)
        /// Forwarded then, and refused by the leader.
        case refused(forwardedAt: Instant)
    }

    private var slots: [Request] = []
    /// Slots before this are finished.
    private var head = 0
    package private(set) var count = 0
    /// Those of `count` that somebody waits for.
    package private(set) var awaitedCount = 0
    private var nextSequence: UInt64 = 1
    /// Slots from here on may be queued; all before are sent or finished.
    private var firstQueued = 0
    package let limit: Int
    /// Requests put back after they had been sent.
    package private(set) var sentAgain: UInt64 = 0

    package init(limit: Int) { self.limit = limit }

    /// Places taken, finished ones included.
    package var slotCount: Int { slots.count }

    package mutating func takeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    /// - Precondition: `request.sequence` is greater than that of all before.
    package mutating func append(_ request: Request) {
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
    package mutating func finish(_ sequence: UInt64) -> Request? {
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
    package mutating func requeue(_ sequence: UInt64) {
        guard let slot = slot(of: sequence), !slots[slot].isFinished else { return }
        sentAgain += 1
        slots[slot].state = .queued
        firstQueued = min(firstQueued, slot)
    }

    /// Puts an open back whose flow the log lacked.
    ///
    /// - Returns: false if that happened before, or it carries no definition: it is not put back.
    package mutating func requeueForMissingFlow(_ sequence: UInt64) -> Bool {
        guard let slot = slot(of: sequence), !slots[slot].isFinished,
            slots[slot].definition != nil, slots[slot].missingFlow < 2
        else { return false }
        slots[slot].missingFlow += 1
        requeue(sequence)
        return true
    }

    /// The leader refused the forward of this number: what was in it is sent again sooner than if
    /// it had been lost.
    package mutating func refused(forward number: UInt64) {
        for slot in head..<slots.count {
            if case .forwarded(let at, number) = slots[slot].state {
                slots[slot].state = .refused(forwardedAt: at)
                slots[slot].refusals += 1
                slots[slot].forwards = 0
            }
        }
    }

    /// Puts all requests back: another node may lead, or may be heard again, and what was learnt of
    /// the patience it takes says nothing of it.
    package mutating func requeueAll() {
        for slot in head..<slots.count {
            slots[slot].state = .queued
            slots[slot].forwards = 0
            slots[slot].refusals = 0
        }
        firstQueued = head
    }

    /// Calls `send` with the requests that wait to be sent, oldest first, until it answers false;
    /// those it took are in `state` from then on.
    package mutating func sendQueued(as state: State, _ send: (borrowing Request) -> Bool) {
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

    package var hasQueued: Bool {
        var slot = max(firstQueued, head)
        while slot < slots.count {
            if !slots[slot].isFinished, case .queued = slots[slot].state { return true }
            slot += 1
        }
        return false
    }

    /// Takes out requests whose hold time is over, and puts back those forwarded long ago: twice as
    /// long each time, up to eight times, so that a slow leader is not buried in repetitions.
    ///
    /// Those refused are put back at once the first time, and then after a quarter, half and the
    /// whole of `retryAfter`: a leader that is full refuses for as long as it is.
    package mutating func expire(at now: Instant, retryAfter: Duration) -> [Completion] {
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
                continue
            }
            switch slots[slot].state {
            case .queued, .proposed: break
            case .forwarded(let at, _):
                let patience = 1 << min(slots[slot].forwards - 1, 3)
                guard at.advanced(by: retryAfter * patience) <= now else { continue }
                requeue(slots[slot].sequence)
            case .refused(let at):
                let refusals = slots[slot].refusals
                let patience = refusals < 2 ? .zero : retryAfter / (1 << max(4 - refusals, 0))
                guard at.advanced(by: patience) <= now else { continue }
                requeue(slots[slot].sequence)
            }
        }
        compact()
        return completions
    }

    /// Takes out all requests that somebody waits for.
    package mutating func giveUpAll() -> [Completion] {
        var completions: [Completion] = []
        for slot in head..<slots.count where !slots[slot].isFinished {
            guard let context = slots[slot].context,
                let request = finish(slots[slot].sequence)
            else { continue }
            completions.append(
                Completion(
                    context: context,
                    submittedAt: request.submittedAt,
                    result: .timedOut
                )
            )
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
    ///
    /// Holes too: one request that waits for long, such as a report of repeats while there is no
    /// leader, must not keep the places of all that came and went behind it.
    private mutating func compact() {
        guard slots.count > 1024, slots.count > 2 * count else { return }
        var firstQueued = 0
        for slot in head..<min(max(head, self.firstQueued), slots.count)
        where !slots[slot].isFinished {
            firstQueued += 1
        }
        slots.removeAll { $0.isFinished }
        self.firstQueued = firstQueued
        head = 0
    }
}
