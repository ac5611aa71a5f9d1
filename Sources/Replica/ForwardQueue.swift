internal import Raft
internal import Verification

/// What peers ask this node, as the leader, to propose.
///
/// A peer sends again what has not shown up in its log. While a first copy waits here, or stands in
/// the log of this leader's term and is not applied, another one is of no use: it is known by its
/// request ID, and not proposed. Without that a slow disk fills the log with copies, which make it
/// slower still.
struct ForwardQueue {
    /// Commands to be proposed in the next turn.
    private(set) var payloads: [[UInt8]] = []
    /// What they cost, copies left out.
    private(set) var bytes = 0
    /// Forwards that have commands in `payloads`.
    private var forwards: [Origin] = []
    /// Requests in `payloads`, and where.
    private var waiting: [(id: RequestID, offset: Int)] = []
    /// Requests in the log of this term, oldest first; those before `head` are applied.
    private var proposed: [(id: RequestID, index: LogIndex)] = []
    private var head = 0
    /// The IDs of both; bounded as what waits and what Raft lets stand uncommitted or unapplied is.
    private var standing: Set<RequestID> = []

    struct Origin: Hashable {
        var peer: NodeID
        var number: UInt64
    }

    var isEmpty: Bool { payloads.isEmpty }

    /// Bytes that a command is counted with: small ones take memory as well.
    static func cost(of command: [UInt8]) -> Int { command.count + Entry.headerCost }

    private static func id(
        _ request: ForwardedRequest,
        _ forward: Forward,
        _ peer: NodeID
    ) -> RequestID {
        RequestID(
            node: peer.number,
            incarnation: forward.incarnation,
            sequence: request.sequence
        )
    }

    /// Takes a peer's forward, but for copies, if there is room for all of it.
    ///
    /// - Returns: how many commands it took; `nil` if there is no room.
    mutating func take(_ forward: Forward, from peer: NodeID, limit: Int) -> Int? {
        var more = 0
        for request in forward.requests
        where !standing.contains(ForwardQueue.id(request, forward, peer)) {
            more += request.definition.map { ForwardQueue.cost(of: $0) } ?? 0
            more += ForwardQueue.cost(of: request.command)
        }
        guard bytes + more <= limit else { return nil }
        let before = payloads.count
        for request in forward.requests {
            let id = ForwardQueue.id(request, forward, peer)
            guard standing.insert(id).inserted else { continue }
            if let definition = request.definition { payloads.append(definition) }
            waiting.append((id, payloads.count))
            payloads.append(request.command)
        }
        bytes += more
        if payloads.count > before {
            forwards.append(Origin(peer: peer, number: forward.number))
        }
        return payloads.count - before
    }

    /// Adds a command that no peer waits for.
    mutating func append(_ command: [UInt8]) {
        payloads.append(command)
        bytes += ForwardQueue.cost(of: command)
    }

    /// Gives away what waits, as far as the own disk has room for it; it is proposed now, behind
    /// `last`.
    ///
    /// - Returns: the commands, and the bytes on disk that they take.
    mutating func propose(after last: LogIndex, room: Int) -> (commands: [[UInt8]], stored: Int) {
        var count = 0
        var stored = 0
        var cost = 0
        for command in payloads {
            let more = Entry.storedBytes(of: command.count)
            guard stored + more <= room else { break }
            stored += more
            cost += ForwardQueue.cost(of: command)
            count += 1
        }
        var taken: [[UInt8]] = []
        if count == payloads.count {
            swap(&taken, &payloads)
            forwards.removeAll(keepingCapacity: true)
        } else {
            taken.append(contentsOf: payloads[..<count])
            payloads.removeFirst(count)
        }
        bytes -= cost
        var left = 0
        for (id, offset) in waiting {
            if offset < count {
                proposed.append((id, last.advanced(by: offset + 1)))
            } else {
                waiting[left] = (id, offset - count)
                left += 1
            }
        }
        waiting.removeLast(waiting.count - left)
        return (taken, stored)
    }

    /// Forgets what the state machine has seen: from then on a copy is its to know.
    mutating func applied(through index: LogIndex) {
        while head < proposed.count, proposed[head].index <= index {
            standing.remove(proposed[head].id)
            head += 1
        }
        if head == proposed.count {
            proposed.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024, head > proposed.count / 2 {
            proposed.removeFirst(head)
            head = 0
        }
    }

    /// Drops what waits to be proposed; what stands in the log stands there still, as when a
    /// hand-over fails.
    ///
    /// - Returns: the forwards that were not proposed, oldest first.
    mutating func refuse() -> [Origin] {
        let refused = forwards
        payloads.removeAll(keepingCapacity: true)
        bytes = 0
        forwards.removeAll(keepingCapacity: true)
        for (id, _) in waiting { standing.remove(id) }
        waiting.removeAll(keepingCapacity: true)
        return refused
    }

    /// Forgets all: this node's office has ended, and what stands in its log may be lost.
    ///
    /// - Returns: the forwards that were not proposed, oldest first.
    mutating func removeAll() -> [Origin] {
        let refused = refuse()
        proposed.removeAll(keepingCapacity: true)
        head = 0
        standing.removeAll(keepingCapacity: true)
        return refused
    }
}
