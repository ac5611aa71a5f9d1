/// Kinds of faults; a run's seed draws which of them exist in it.
package enum FaultKind: String, Hashable, Sendable, CaseIterable {
    case kill
    case powerCut = "power-cut"
    case blackout
    case crashAtDiskOperation = "crash-at-operation"
    case pause
    case isolate
    case split
    case oneWay = "one-way"
    case cutLink = "cut-link"
    case slowLink = "slow-link"
    case reset
    case clockJump = "clock-jump"
    case clockDrift = "clock-drift"
    case slowDisk = "slow-disk"
    case hungDisk = "hung-disk"
    case fullDisk = "full-disk"
    case failSync = "fail-sync"
    case failWrite = "fail-write"
    case failRead = "fail-read"
    case bitRot = "bit-rot"
    case transfer
    case rotateSecret = "rotate-secret"
    case wipe
    case restoreCopy = "restore-copy"
    case corruptState = "corrupt-state"
    case rotRun = "rot-run"
    /// Only the log's own thread hangs.
    case hungLog = "hung-log"
    /// No fault: an operator takes a backup, to which something may happen.
    case backup

    /// Drawn from one stream with others.
    var isGeneral: Bool {
        switch self {
        case .rotRun, .hungLog, .backup: false
        default: !isOfDirectories
        }
    }

    /// Drawn from a stream of its own.
    var isOfDirectories: Bool {
        switch self {
        case .wipe, .restoreCopy, .corruptState: true
        default: false
        }
    }
}

/// One fault of a run's plan.
package struct Fault: Sendable {
    package var kind: FaultKind
    /// Virtual nanoseconds.
    package var at: UInt64
    package var duration: UInt64
    /// Node or link end it concerns.
    package var node: Int
    package var peer: Int
    /// A factor, a jump in milliseconds, a mask of nodes, a count: what the kind needs.
    package var amount: Int64
    /// It hits whoever leads when it comes, instead of `node`.
    package var aimsAtLeader = false

    var endsAt: UInt64 { at + duration }
}

extension Fault: CustomStringConvertible {
    package var description: String {
        let span = "for \(duration / 1_000_000) ms"
        switch kind {
        case .kill, .powerCut, .pause, .isolate, .slowDisk, .hungDisk, .fullDisk, .bitRot, .wipe,
            .restoreCopy, .corruptState, .rotRun, .hungLog:
            return "\(kind.rawValue) n\(node + 1) \(span)"
        case .blackout: return "power cut at all nodes \(span)"
        case .crashAtDiskOperation:
            return "power cut at n\(node + 1) after \(amount) disk operations, \(span)"
        case .split: return "partition with mask \(amount) \(span)"
        case .oneWay: return "n\(node + 1) cannot reach n\(peer + 1) \(span)"
        case .cutLink, .slowLink, .reset:
            return "\(kind.rawValue) n\(node + 1)-n\(peer + 1) \(span)"
        case .clockJump: return "clock of n\(node + 1) jumps \(amount) ms"
        case .clockDrift: return "clock of n\(node + 1) drifts \(amount) ppm \(span)"
        case .failSync, .failWrite, .failRead, .transfer, .backup:
            return "\(kind.rawValue) n\(node + 1)"
        case .rotateSecret: return "platform signs with the next secret"
        }
    }
}

extension FaultKind {
    /// Draws one fault of this kind.
    func draw(
        at: UInt64,
        nodes: Int,
        longest: UInt64,
        _ random: inout SeededRandom
    ) -> Fault {
        let second: UInt64 = 1_000_000_000
        // Most faults are short against an election; some outlast several.
        var duration = random.between(second / 50, second * 2)
        if random.chance(percent: 40) { duration = random.between(second, second * 12) }
        if random.chance(percent: 8) { duration = random.between(second * 10, second * 60) }
        let node = random.below(nodes)
        let peer = nodes == 1 ? 0 : (node + 1 + random.below(nodes - 1)) % nodes
        var amount: Int64 = 0
        switch self {
        case .crashAtDiskOperation: amount = Int64(random.between(1, 12))
        case .slowDisk: amount = Int64(random.between(3, 200))
        case .slowLink: amount = Int64(random.between(2, 30))
        case .split: amount = Int64(random.between(1, max(1, (1 << nodes) - 2)))
        case .clockJump:
            amount = Int64(random.between(1, 400_000)) - 200_000
            if random.chance(percent: 60) { amount /= 100 }
        case .clockDrift: amount = Int64(random.between(1, 200_000)) - 100_000
        case .failRead: amount = Int64(random.between(1, 3))
        case .transfer: amount = Int64(random.below(2))
        case .hungDisk:
            // Long enough for the others to go far ahead, not always.
            if random.chance(percent: 60) { duration += random.between(2, 12) * second }
            duration = min(duration, second * 25)
        default: break
        }
        return Fault(
            kind: self,
            at: at,
            duration: min(duration, longest),
            node: node,
            peer: peer,
            amount: amount,
            aimsAtLeader: random.chance(percent: 40)
        )
    }
}
