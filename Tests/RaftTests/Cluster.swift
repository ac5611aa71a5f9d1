import Raft

/// A cluster in one deterministic world: virtual time, a network and disks under the script's
/// control, and the safety properties of the paper checked at every step.
final class Cluster {
    final class Member {
        let id: NodeID
        let configuration: RaftConfiguration
        var raft: RaftNode
        var isUp = true
        /// Counts restarts, so that what was meant for an earlier life is not delivered.
        var life = 0

        // Its disk: what survives a crash, and the writes under way.
        var log: [Entry]
        var hardState: HardState
        var underWay: [LogWrite] = []
        var isDiskHeld = false

        // Its state machine.
        var applied: [Entry] = []
        var readsReady: [UInt64: LogIndex] = [:]
        var readsRefused: [UInt64] = []
        var transfers: [Bool] = []

        init(_ configuration: RaftConfiguration, log: [Entry], term: UInt64, at now: Instant) {
            id = configuration.node
            self.configuration = configuration
            self.log = log
            hardState = HardState(currentTerm: Term(max(term, log.last?.term.number ?? 0)))
            raft = RaftNode(
                configuration: configuration,
                recovered: recovered(log, hardState: hardState),
                at: now
            )
        }

        /// Does the writes under way up to a number, as the disk does: whole and in order.
        func write(through number: WriteNumber) {
            while let write = underWay.first, write.number <= number {
                if let cut = write.truncateAfter { log.removeSubrange(Int(cut.number)...) }
                log.append(contentsOf: write.entries)
                if let hard = write.hardState { hardState = hard }
                underWay.removeFirst()
            }
        }
        func hasOnDisk(_ id: EntryID) -> Bool {
            id.index == .zero
                || Int(id.index.number) <= log.count && log[Int(id.index.number) - 1].id == id
        }
    }

    enum Event {
        case deliver(Message)
        case persisted(NodeID, life: Int, WriteNumber)
        case journalRead(NodeID, life: Int, peer: NodeID, from: LogIndex, maxBytes: Int)
    }

    private(set) var now = Instant.start
    let members: [Member]
    private var events = EventQueue()
    var dice: Dice

    // Faults.
    var delay = 1_000_000..<1_000_001
    var diskDelay: UInt64 = 200_000
    var lossPercent = 0
    var duplicatePercent = 0
    /// Links that lose everything.
    private var cuts: Set<[NodeID]> = []
    /// Messages for which it answers false are lost.
    var passes: (Message) -> Bool = { _ in true }
    /// Carries out the actions of a call in a random order.
    var isOrderRandom = false
    /// Only this node's election timer runs.
    private var onlyTimer: NodeID?

    // What the checkers know.
    var violations: [String] = []
    var leaders: [Term: NodeID] = [:]
    var committed: [Entry] = []
    private var readFloor: [UInt64: LogIndex] = [:]
    private var nextRead: UInt64 = 0
    private(set) var count = Counts()

    struct Counts {
        var elections = 0
        var crashes = 0
        var reads = 0
        var transfers = 0
        var repairs = 0
        var journalReads = 0
        var truncations = 0
        var proposals = 0
    }

    init(
        nodes: Int = 3,
        logs: [[UInt64]] = [],
        term: UInt64 = 0,
        seed: UInt64 = 1,
        change: (inout RaftConfiguration) -> Void = { _ in }
    ) {
        dice = Dice(seed: seed)
        let ids = (1...nodes).map { NodeID(UInt32($0)) }
        var members: [Member] = []
        for id in ids {
            var configuration = RaftConfiguration(
                node: id,
                membership: Membership(voters: ids),
                seed: dice.roll()
            )
            change(&configuration)
            let terms = logs.isEmpty ? [] : logs[Int(id.number) - 1]
            members.append(
                Member(configuration, log: entries(terms), term: term, at: .start)
            )
        }
        self.members = members
    }

    subscript(id: NodeID) -> Member { members[Int(id.number) - 1] }

    // MARK: Time

    /// Lets the world go on for a while.
    func run(milliseconds: Int) {
        run(until: now.after(milliseconds: milliseconds)) { false }
    }

    /// Lets the world go on until something holds.
    ///
    /// - Returns: whether it came to hold within the time.
    @discardableResult
    func run(atMost milliseconds: Int, until holds: () -> Bool) -> Bool {
        run(until: now.after(milliseconds: milliseconds), or: holds)
        return holds()
    }

    private func run(until end: Instant, or holds: () -> Bool) {
        while !holds() {
            var next = end
            var due: Member?
            for member in members where member.isUp && isTimed(member) {
                if member.raft.nextDeadline < next {
                    next = member.raft.nextDeadline
                    due = member
                }
            }
            if let event = events.next(through: next) {
                now = max(now, event.time)
                perform(event.event)
            } else if let due {
                now = max(now, next)
                call(due) { $0.deadlineReached(at: $1, into: &$2) }
            } else {
                now = end
                return
            }
        }
    }

    private func isTimed(_ member: Member) -> Bool {
        onlyTimer == nil || onlyTimer == member.id || member.raft.role == .leader
    }

    // MARK: What a script does

    /// Makes this node the leader: only its election timer runs until it is.
    @discardableResult
    func elect(_ id: NodeID) -> Bool {
        onlyTimer = id
        defer { onlyTimer = nil }
        return run(atMost: 20_000) { self[id].raft.role == .leader }
    }

    @discardableResult
    func propose(_ payload: String, at id: NodeID) -> ProposalRefusal? {
        propose([payload], at: id)
    }
    @discardableResult
    func propose(_ payloads: [String], at id: NodeID) -> ProposalRefusal? {
        var refusal: ProposalRefusal?
        let bytes = payloads.map { Array($0.utf8) }
        let wall = Timestamp(milliseconds: now.nanoseconds / 1_000_000)
        call(self[id]) { refusal = $0.propose(bytes, wall: wall, at: $1, into: &$2) }
        if refusal == nil { count.proposals += 1 }
        return refusal
    }

    @discardableResult
    func read(at id: NodeID) -> UInt64 {
        nextRead += 1
        let read = nextRead
        readFloor[read] = LogIndex(UInt64(committed.count))
        call(self[id]) { $0.read(read, at: $1, into: &$2) }
        return read
    }

    @discardableResult
    func transfer(from id: NodeID, to target: NodeID?) -> TransferRefusal? {
        var refusal: TransferRefusal?
        call(self[id]) { refusal = $0.transferLeadership(to: target, at: $1, into: &$2) }
        return refusal
    }

    func cut(_ a: NodeID, from b: NodeID, oneWay: Bool = false) {
        cuts.insert([a, b])
        if !oneWay { cuts.insert([b, a]) }
    }
    /// Cuts a node off from all others.
    func isolate(_ id: NodeID) {
        for member in members where member.id != id { cut(id, from: member.id) }
    }
    func heal() { cuts = [] }

    func holdDisk(_ id: NodeID) { self[id].isDiskHeld = true }
    func releaseDisk(_ id: NodeID) {
        self[id].isDiskHeld = false
        if let last = self[id].underWay.last { schedulePersisted(self[id], last.number) }
    }

    /// Kills a process.
    ///
    /// - Parameters:
    ///   - id: the node.
    ///   - written: how many of the writes under way reach the disk all the same.
    ///   - noticed: whether its peers see their connections reset.
    func crash(_ id: NodeID, written: Int = 0, noticed: Bool = false) {
        let member = self[id]
        guard member.isUp else { return }
        count.crashes += 1
        if written > 0, let last = member.underWay.prefix(written).last {
            member.write(through: last.number)
        }
        member.underWay = []
        member.isDiskHeld = false
        member.isUp = false
        member.life += 1
        guard noticed else { return }
        for other in members where other.isUp {
            call(other) { $0.peerDisconnected(id, broken: true, at: $1, into: &$2) }
        }
    }

    func restart(_ id: NodeID) {
        let member = self[id]
        guard !member.isUp else { return }
        member.isUp = true
        member.raft = RaftNode(
            configuration: member.configuration,
            recovered: recovered(member.log, hardState: member.hardState),
            at: now
        )
        member.applied = Array(member.log.prefix(Int(member.hardState.commitIndex.number)))
        member.raft.applied(through: member.hardState.commitIndex)
        for other in members where other.isUp && other.id != id {
            call(other) { $0.peerConnected(id, at: $1, into: &$2) }
        }
    }

    /// Has a message delivered now, whoever sent it when.
    func deliver(_ message: Message) {
        call(self[message.to]) { $0.received(message, at: $1, into: &$2) }
    }

    // MARK: What a script sees

    var leader: NodeID? {
        members.filter { $0.isUp && $0.raft.role == .leader }
            .max { $0.raft.currentTerm < $1.raft.currentTerm }?.id
    }
    /// The commands a node's state machine has applied.
    func applied(_ id: NodeID) -> [String] {
        self[id].applied.filter { $0.kind == .command }.map {
            String(decoding: $0.payload, as: UTF8.self)
        }
    }
    func terms(_ id: NodeID) -> [UInt64] {
        (0..<self[id].raft.lastIndex.number).map {
            self[id].raft.term(at: LogIndex($0 + 1))?.number ?? 0
        }
    }

    // MARK: The machinery

    private func call(
        _ member: Member,
        _ body: (inout RaftNode, Instant, inout [Action]) -> Void
    ) {
        guard member.isUp else { return }
        var actions: [Action] = []
        body(&member.raft, now, &actions)
        // The core promises that the order does not matter.
        if isOrderRandom {
            for last in actions.indices.reversed() { actions.swapAt(last, dice.below(last + 1)) }
        }
        for action in actions { perform(action, of: member) }
    }

    private func perform(_ event: Event) {
        switch event {
        case .deliver(let message):
            guard !cuts.contains([message.from, message.to]) else { return }
            call(self[message.to]) { $0.received(message, at: $1, into: &$2) }
        case .persisted(let id, let life, let number):
            let member = self[id]
            guard member.isUp, member.life == life, !member.isDiskHeld else { return }
            member.write(through: number)
            call(member) { $0.persisted(number, at: $1, into: &$2) }
        case .journalRead(let id, let life, let peer, let from, let maxBytes):
            let member = self[id]
            guard member.isUp, member.life == life else { return }
            count.journalReads += 1
            var entries: [Entry] = []
            var bytes = 0
            for entry in member.log.dropFirst(Int(from.number) - 1) {
                bytes += entry.cost
                if bytes > maxBytes, !entries.isEmpty { break }
                entries.append(entry)
            }
            call(member) {
                $0.entriesRead(for: peer, from: from, entries: entries, at: $1, into: &$2)
            }
        }
    }

    private func schedulePersisted(_ member: Member, _ number: WriteNumber) {
        events.add(
            .persisted(member.id, life: member.life, number),
            at: now.advanced(nanoseconds: diskDelay)
        )
    }

    private func perform(_ action: Action, of member: Member) {
        switch action {
        case .send(let message):
            checkIsDurable(message, of: member)
            guard passes(message), !dice.chance(lossPercent) else { return }
            for _ in 0...(dice.chance(duplicatePercent) ? 1 : 0) {
                let span = UInt64(delay.lowerBound + dice.below(delay.count))
                events.add(.deliver(message), at: now.advanced(nanoseconds: span))
            }
        case .persist(let write):
            if write.truncateAfter != nil { count.truncations += 1 }
            member.underWay.append(write)
            if !member.isDiskHeld { schedulePersisted(member, write.number) }
        case .committed(let index):
            apply(through: index, at: member)
        case .roleChanged(let change):
            guard change.role == .leader else { return }
            count.elections += 1
            checkLeader(member, term: change.term)
        case .readReady(let read, let index):
            count.reads += 1
            member.readsReady[read] = index
            if let floor = readFloor[read], index < floor {
                violate("stale read \(read) at \(member.id): \(index), committed \(floor)")
            }
        case .readRefused(let read):
            member.readsRefused.append(read)
        case .readEntries(let peer, let from, let maxBytes):
            events.add(
                .journalRead(
                    member.id,
                    life: member.life,
                    peer: peer,
                    from: from,
                    maxBytes: maxBytes
                ),
                at: now.advanced(nanoseconds: diskDelay)
            )
        case .repaired: count.repairs += 1
        case .transferEnded(_, let succeeded):
            if succeeded { count.transfers += 1 }
            member.transfers.append(succeeded)
        }
    }

    private func apply(through index: LogIndex, at member: Member) {
        while member.applied.count < Int(index.number) {
            let from = LogIndex(UInt64(member.applied.count) + 1)
            for entry in member.raft.entries(from: from, through: index, maxBytes: 1000) {
                member.applied.append(entry)
                checkCommitted(entry, at: member)
            }
        }
        member.raft.applied(through: index)
    }
}
