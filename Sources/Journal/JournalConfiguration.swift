package import Raft

/// Settings of a `LogJournal` that do not change while it runs.
package struct JournalConfiguration: Sendable {
    /// Name of the cluster whose log this is; 1 to 128 bytes of UTF-8.
    package var cluster: String
    package var node: NodeID
    /// A random number, new in each run of the process; stored in the segments and batches it makes.
    ///
    /// Payloads come from outside. Who cannot guess this number cannot have bytes stored that look
    /// like a batch to the search which tells a torn tail from damage.
    package var salt: UInt64
    /// Bytes of a segment file; a multiple of 512.
    package let segmentSize: Int
    /// Cost of committed entries that `RecoveredLog.tail` holds before the commit index, at most.
    package var tailBytes: Int
    /// Bytes that may wait for a disk that does not get on; see `LogJournal.room`.
    package var maxPendingBytes: Int
    /// Other replicas have the log as well: a log that is damaged starts in repair instead of being
    /// refused.
    package var canRepair = false

    /// Makes a configuration; the segment size is rounded up to whole sectors, at least eight.
    package init(
        cluster: String,
        node: NodeID,
        salt: UInt64,
        segmentSize: Int = 64 * 1024 * 1024,
        tailBytes: Int = 16 * 1024 * 1024,
        maxPendingBytes: Int = 64 * 1024 * 1024
    ) {
        self.cluster = cluster
        self.node = node
        self.salt = salt
        self.segmentSize = max(8 * Sector.size, Sector.roundUp(segmentSize))
        self.tailBytes = tailBytes
        self.maxPendingBytes = maxPendingBytes
    }
}

/// The unit in which disks write: what is durable and what is being written never share one.
enum Sector {
    static let size = 512
    static func roundUp(_ count: Int) -> Int { (count + size - 1) & ~(size - 1) }
}
