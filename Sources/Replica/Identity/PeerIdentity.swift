package import Journal
package import Raft
internal import Verification

/// What a node says of its data directory when it greets a peer.
package struct PeerIdentity: Hashable, Sendable {
    package var directory: DirectoryID
    /// Processes that have started on it, this one included.
    package var starts: UInt64
    /// What its log and promises have come to: never less than it promised anybody.
    package var term: Term
    package var lastEntry: EntryID
    /// It belongs to a cluster.
    package var isFormed: Bool
    /// It says itself that it has lost what it promised, and counts for nothing until it has
    /// caught up.
    package var isRepairing: Bool
    /// Which directory stands for which member, as far as its disk has it.
    package var members: [MemberTag]

    package init(
        directory: DirectoryID,
        starts: UInt64,
        term: Term,
        lastEntry: EntryID,
        isFormed: Bool,
        isRepairing: Bool,
        members: [MemberTag]
    ) {
        self.directory = directory
        self.starts = starts
        self.term = term
        self.lastEntry = lastEntry
        self.isFormed = isFormed
        self.isRepairing = isRepairing
        self.members = members
    }
}

/// Which directory stands for a member, and since which entry of the log.
package struct MemberTag: Hashable, Sendable {
    package var node: NodeID
    package var directory: DirectoryID
    package var admittedAt: LogIndex
    package init(node: NodeID, directory: DirectoryID, admittedAt: LogIndex) {
        self.node = node
        self.directory = directory
        self.admittedAt = admittedAt
    }
    init(_ record: MemberRecord) {
        self.init(
            node: record.node,
            directory: record.directory,
            admittedAt: record.admittedAt
        )
    }
    init(_ admission: Admission) {
        self.init(
            node: NodeID(admission.readmission.node),
            directory: DirectoryID(
                high: admission.readmission.high,
                low: admission.readmission.low
            ),
            admittedAt: LogIndex(admission.index.number)
        )
    }
}

/// What a refusal means to the one who is refused; the raw value is the byte on the wire.
package enum RefusalKind: UInt8, Hashable, Sendable, CaseIterable {
    case other = 0
    /// The cluster counts on another directory.
    case notMember = 1
    /// It once promised more than it has.
    case lostPromises = 2
}

/// Why a peer is not let in; in words that say what happened and what to do.
package enum IdentityRefusal: Hashable, Sendable, CustomStringConvertible {
    /// Its directory is not the one that stands for it: it was emptied, or is a copy.
    case otherDirectory(NodeID, found: DirectoryID, known: DirectoryID)
    /// No more processes have started on it than are known, without this one: an older copy was put in its place.
    case olderCopy(NodeID, starts: UInt64, known: UInt64)
    /// It has less than it promised: an older copy was put in its place.
    case brokenPromise(NodeID, found: EntryID, term: Term, promised: EntryID, promisedTerm: Term)
    /// Another process with the same directory is there.
    case secondProcess(NodeID)
    /// The peer's cluster counts on another directory of this node.
    case replaced(NodeID, found: DirectoryID, known: DirectoryID?)
    /// This node is not let in itself.
    case excluded(String)
    /// The cluster was formed without it.
    case unknownMember(NodeID)
    /// It said nothing of its directory.
    case noIdentity(NodeID)
    /// This directory was restored from a backup that ends with one entry, and its log ends with another.
    case otherRestore(NodeID, found: EntryID, restored: EntryID)

    package var description: String {
        switch self {
        case .otherDirectory(let node, let found, let known):
            """
            node \(node.number) comes with data directory \(found), but the cluster counts on \
            \(known): its directory was emptied or is a copy; put the right one back, or let it in \
            with: verdict readmit \(node.number)
            """
        case .olderCopy(let node, let starts, let known):
            """
            node \(node.number) comes with an older copy of its data directory (start \(starts), but \
            \(starts == known ? "another process was seen with that start" : "start \(known) was seen")\
            ); put the newest one back, or let it in with: verdict readmit \(node.number)
            """
        case .brokenPromise(let node, let found, let term, let promised, let promisedTerm):
            """
            node \(node.number) comes with an older copy of its data directory: its log ends with \
            \(found) in term \(term), but it had promised \(promised) in term \(promisedTerm); put \
            the newest one back, or let it in with: verdict readmit \(node.number)
            """
        case .secondProcess(let node):
            """
            a second process says it is node \(node.number) with the same data directory; stop one \
            of them: a copy of a directory must not run beside it
            """
        case .replaced(let node, let found, let known):
            """
            the cluster counts on data directory \(known?.description ?? "none") of node \
            \(node.number), and this one is \(found): it was emptied, is a copy, or was replaced; put the right one back, or let \
            it in with: verdict readmit \(node.number)
            """
        case .unknownMember(let node):
            """
            the cluster was formed without node \(node.number); let it in with: verdict readmit \
            \(node.number)
            """
        case .excluded(let reason): reason
        case .otherRestore(let node, let found, let restored):
            """
            node \(node.number) comes with a log that ends with \(found), but another node of this new \
            cluster was restored from a backup that ends with \(restored): restore the directories of all \
            nodes from one backup (verdict restore)
            """
        case .noIdentity(let node): "node \(node.number) says nothing of its data directory"
        }
    }

    /// The one who is refused has lost promises, and should know it itself.
    package var kind: RefusalKind {
        switch self {
        case .olderCopy, .brokenPromise: .lostPromises
        case .otherDirectory, .unknownMember, .otherRestore: .notMember
        case .secondProcess, .replaced, .excluded, .noIdentity: .other
        }
    }
}
