internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// A running node: what a crash takes away.
final class Process {
    var replica: ReplicaNode
    let run: Int
    /// Requests of clients that wait in the replica, by context.
    var frontEnd = SimulatedFrontEnd()

    init(replica: consuming ReplicaNode, run: Int) {
        self.replica = replica
        self.run = run
    }
}

/// Carries out one batch of disk operations at a time, one operation after the other.
struct DiskQueue {
    /// A node has three, which do not wait for each other.
    enum Name: Int {
        case log
        /// Checkpoints, runs and whatever else goes to the disk beside the log.
        case background
        case intake
    }

    var batch: DiskBatch?
    var next = 0
    /// The operation under way would be done if the disk did not hang.
    var isStalled = false

    static let idle = [DiskQueue](repeating: DiskQueue(), count: 3)

    var operation: DiskOperation? { batch?.operations[next] }
}

/// A machine: its disk and clock stay, its process comes and goes.
final class Host {
    let number: Int
    let id: NodeID
    let region: String
    var disk = SimulatedDisk()
    var process: Process?
    /// Counts processes; also the incarnation.
    var run = 0

    // Scheduling.
    /// When the next turn is due; later ones in the queue are stale.
    var turnAt = UInt64.max
    var isPaused = false
    /// Turns in a row that were due at once and did nothing.
    var idleTurns = 0
    /// What happened while the process was paused.
    var inbox: [Event] = []

    /// When its whole state was last compared with the others'.
    var comparedAt: UInt64 = 0

    // Disk work.
    var queues = DiskQueue.idle
    var slowFactor: UInt64 = 1
    var isHung = false
    /// The log's thread hangs, and the others do not.
    var isLogHung = false
    /// Since when its process leads although the operation under way hangs.
    var leadsStalledSince: UInt64?
    /// The longest that a hand-over may have taken since then.
    var stallPatience: UInt64 = 0
    /// Its process's term when that took the disk for stalled.
    var termWhenStalled: Term?
    var random: SeededRandom

    // Clock.
    /// Milliseconds that the wall clock is wrong by, and at which virtual time that was so.
    var clockOffset: Int64
    var clockDrift: Int64 = 0
    var clockSetAt: UInt64 = 0

    /// Its directory was replaced or its disk damaged, ever.
    var hasLost = false
    /// Its directory was emptied or is an older copy, and it does not count again yet.
    var isOut = false
    /// Its identity was looked at since.
    var wasMet = true
    /// The process that ran last on the directory before this one.
    var runBefore = 0
    /// Every directory that was this node's, or was put in its place.
    private(set) var directoriesMet: [DirectoryID] = []
    /// An older copy of its directory.
    var copy: SimulatedDisk?
    /// Its replica's state is not what its log says.
    var isCorrupt = false
    /// The checkpoint that it had before that; a later one may be wrong.
    var soundCheckpoint: EntryID?
    /// That one, also after a merge that went by the wrong state.
    var newestSound: EntryID?
    /// The node whose wrong state it fetches.
    var fetchesWrong: Int?
    /// Its directory is not the one that had the wrong state.
    var isDirectorySound = false
    /// The state that it fetches was damaged when that began.
    var fetchesDamage = false
    /// Chance about directories.
    var directories: SeededRandom

    /// Its disk is damaged: the journal refuses to start on it.
    var isQuarantined = false
    /// When it comes back at the latest.
    var restartsAt: UInt64?
    /// Platforms' secrets that it takes: this generation and the next.
    var secret = 0
    /// From then on the node is configured with the newer definitions of the flows.
    let newFlowsFrom: UInt64

    init(number: Int, plan: WorldPlan, seed: UInt64) {
        self.number = number
        id = NodeID(UInt32(number + 1))
        region = Flows.regions[number % Flows.regions.count]
        random = SeededRandom(seed: seed, stream: "host", number)
        directories = SeededRandom(seed: seed, stream: "directory", number)
        disk.place = UInt64(number + 1)
        clockOffset = plan.clockOffsets[number]
        newFlowsFrom = plan.chaosEnds / 3 + random.below(30 * WorldPlan.second)
    }

    subscript(name: DiskQueue.Name) -> DiskQueue {
        get { queues[name.rawValue] }
        set { queues[name.rawValue] = newValue }
    }

    func meet(_ directory: DirectoryID) {
        if !directoriesMet.contains(directory) { directoriesMet.append(directory) }
    }

    /// Virtual time zero, in milliseconds since the Unix epoch.
    static let epoch: Int64 = 1_800_000_000_000

    /// The node's own clock.
    func wall(at now: UInt64) -> WallTime {
        let elapsed = Int64(now / 1_000_000)
        let since = Int64((now - clockSetAt) / 1_000_000)
        let drifted = since * clockDrift / 1_000_000
        return WallTime(
            milliseconds: UInt64(max(0, Host.epoch + elapsed + clockOffset + drifted))
        )
    }

    /// Changes the clock's error from now on.
    func setClock(at now: UInt64, jump: Int64 = 0, drift: Int64? = nil) {
        let since = Int64((now - clockSetAt) / 1_000_000)
        clockOffset += since * clockDrift / 1_000_000 + jump
        clockSetAt = now
        if let drift { clockDrift = drift }
    }

    func repairClock(at now: UInt64) {
        clockOffset = 0
        clockDrift = 0
        clockSetAt = now
    }
}
