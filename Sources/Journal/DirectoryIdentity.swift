package import Raft

/// What a node remembers of one member of its cluster, itself included.
package struct MemberRecord: Hashable, Sendable {
    package var node: NodeID
    /// The directory that stands for this member.
    package var directory: DirectoryID
    /// The entry of the log that admitted this directory; zero for one the cluster was formed with.
    ///
    /// Of two records of a member, the one with the later entry holds.
    package var admittedAt: LogIndex
    /// How often a process had started on that directory when it was last met, and which process.
    package var starts: UInt64 = 0
    package var run: UInt64 = 0
    /// What it is known to have promised: the newest term, and an entry that it keeps.
    ///
    /// A directory that has reached less is an older copy.
    package var promisedTerm: Term = .zero
    package var promisedEntry: EntryID = .zero
    /// The entry was promised in an earlier term: it may have been replaced since, unless it is committed.
    package var isPromiseOfEarlierTerm = false

    package init(node: NodeID, directory: DirectoryID, admittedAt: LogIndex) {
        self.node = node
        self.directory = directory
        self.admittedAt = admittedAt
    }
}

/// What the file `IDENTITY` of a data directory says.
package struct DirectoryIdentity: Hashable, Sendable {
    package var cluster: String
    package var node: NodeID
    package var directory: DirectoryID
    /// Of which directory this is a copy, if it was found to be one.
    package var copiedFrom: DirectoryID?
    /// Processes that have started on this directory, and the newest one's own random number.
    package var starts: UInt64
    package var run: UInt64
    /// Tells this place on this disk from the place of a copy; 0 if it is not known.
    package var place: UInt64
    /// This directory belongs to a cluster: it was formed with it, or was admitted to it.
    package var isFormed: Bool
    /// Set while this node may have lost what it promised: it takes part again when its log is
    /// durable through this entry, at least.
    package var repairingThrough: LogIndex?
    /// The last entry of the backup that this directory was made from, until its cluster is formed.
    ///
    /// It forms one with none but directories whose logs end there too: what the state stands for is
    /// committed, and the others have to have it.
    package var restoredThrough: EntryID?
    /// Sorted by number.
    package var members: [MemberRecord]

    package init(
        cluster: String,
        node: NodeID,
        directory: DirectoryID,
        run: UInt64,
        place: UInt64
    ) {
        self.cluster = cluster
        self.node = node
        self.directory = directory
        starts = 1
        self.run = run
        self.place = place
        isFormed = false
        members = [MemberRecord(node: node, directory: directory, admittedAt: .zero)]
    }

    package subscript(member node: NodeID) -> MemberRecord? {
        members.first { $0.node == node }
    }

    package mutating func set(_ record: MemberRecord) {
        if let i = members.firstIndex(where: { $0.node == record.node }) {
            members[i] = record
        } else {
            members.append(record)
            members.sort { $0.node < $1.node }
        }
    }
}
