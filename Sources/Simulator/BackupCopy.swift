internal import Backup
internal import Journal
internal import Raft

/// A copy of a running node that an operator takes, as `verdict backup` does.
final class BackupCopy {
    /// What befalls it, beside what befalls the node.
    enum Trouble {
        case none
        /// Whoever takes it is gone after so many pieces, and says nothing.
        case abandoned(pieces: Int)
        /// The machine that it is written on loses its power at a disk operation.
        case powerCut
        /// The one that it is restored on does.
        case powerCutRestoring
        /// A bit of it flips when it is there.
        case flip
    }

    /// The node's name for it.
    let id: UInt64
    let node: Int
    /// The process that was asked, and what it had applied by then.
    let run: Int
    let appliedBefore: LogIndex
    var random: SeededRandom
    let trouble: Trouble
    /// Where it is written.
    var disk = SimulatedDisk()
    var writer: BackupWriter?
    /// The node says that a majority has the same state.
    var isCompared = false
    let begunAt: UInt64
    /// Reads that had failed at the node by then.
    let failedReads: Int
    /// When the node was last asked for something, and for what.
    var askedAt: UInt64
    var context: UInt64?
    /// When it goes on: a step for another time is none.
    var goesOnAt: UInt64 = 0
    var pieces = 0

    init(
        id: UInt64,
        node: Int,
        run: Int,
        appliedBefore: LogIndex,
        failedReads: Int,
        at now: UInt64,
        random: SeededRandom
    ) {
        self.id = id
        self.node = node
        self.run = run
        self.appliedBefore = appliedBefore
        self.failedReads = failedReads
        begunAt = now
        askedAt = now
        self.random = random
        switch self.random.below(8) {
        case 0: trouble = .abandoned(pieces: self.random.below(4))
        case 1: trouble = .powerCut
        case 2: trouble = .powerCutRestoring
        case 3, 4: trouble = .flip
        default: trouble = .none
        }
        // Its files are none that any other disk has.
        disk.place = self.random.next()
        if case .powerCut = trouble { disk.powerFailsAfter = self.random.below(40) }
    }
}
