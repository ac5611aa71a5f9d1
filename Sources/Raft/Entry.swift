/// The term and index of an entry: what two logs compare (Log Matching, dissertation §3.5).
package struct EntryID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var term: Term
    package var index: LogIndex
    @inlinable package init(term: Term, index: LogIndex) {
        self.term = term
        self.index = index
    }
    package static let zero = EntryID(term: .zero, index: .zero)
    /// Orders by how up-to-date a log ending here is (dissertation §3.6.1).
    @inlinable package static func < (a: EntryID, b: EntryID) -> Bool {
        a.term != b.term ? a.term < b.term : a.index < b.index
    }
    package var description: String { "\(term)/\(index)" }
}

/// One record of the replicated log.
package struct Entry: Hashable, Sendable {
    /// What an entry is for.
    ///
    /// The raw value is the byte on disk and on the wire.
    package enum Kind: UInt8, Sendable {
        /// Appended by a new leader so that it may count an entry of its own term.
        case noop = 0
        /// A payload of the state machine.
        case command = 1
        /// A membership; reserved for membership changes.
        case configuration = 2
    }

    package var id: EntryID
    /// The leader's clock when it appended this entry; never less than the entry before it.
    package var time: Timestamp
    package var kind: Kind
    package var payload: [UInt8]

    @inlinable package init(id: EntryID, time: Timestamp, kind: Kind, payload: [UInt8]) {
        self.id = id
        self.time = time
        self.kind = kind
        self.payload = payload
    }
    @inlinable package var index: LogIndex { id.index }
    @inlinable package var term: Term { id.term }
    /// Bytes this entry is counted with in limits: its payload and a fixed header.
    @inlinable package var cost: Int { payload.count + Entry.headerCost }
    /// Fixed part of `cost`, in bytes.
    package static let headerCost = 32
    /// Bytes that this entry takes up on disk, at most, its frame there included.
    @inlinable package var storedBytes: Int { Entry.storedBytes(of: payload.count) }
    /// The same for a payload of so many bytes.
    @inlinable package static func storedBytes(of payload: Int) -> Int { payload + 48 }
}

/// What a node must remember across restarts besides its log (dissertation §3.8).
package struct HardState: Hashable, Sendable {
    package var currentTerm: Term
    package var votedFor: NodeID?
    /// A hint: the newest commit index this node knew when it wrote.
    ///
    /// Never ahead of the truth; a restart may apply that far at once. Losing it costs time, not
    /// safety.
    package var commitIndex: LogIndex
    /// The log may lack entries that this node once said were durable; see `RaftNode.isRepairing`.
    package var isRepairing: Bool

    package init(
        currentTerm: Term = .zero,
        votedFor: NodeID? = nil,
        commitIndex: LogIndex = .zero,
        isRepairing: Bool = false
    ) {
        self.currentTerm = currentTerm
        self.votedFor = votedFor
        self.commitIndex = commitIndex
        self.isRepairing = isRepairing
    }
}

/// Number of a `LogWrite`, counted up from 1 in each run of a process.
///
/// A write is durable only together with all earlier ones.
package struct WriteNumber: Hashable, Comparable, Sendable {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    package static let zero = WriteNumber(0)
    @inlinable package static func < (a: WriteNumber, b: WriteNumber) -> Bool {
        a.number < b.number
    }
}

/// One change to stable storage, to be done whole and in the order of its number.
package struct LogWrite: Hashable, Sendable {
    package var number: WriteNumber
    /// If set, entries after this index are dropped before `entries` are appended.
    package var truncateAfter: LogIndex?
    /// Entries to append, contiguous, the first directly after the (truncated) end of the log.
    package var entries: [Entry]
    /// If set, replaces the hard state.
    package var hardState: HardState?

    package init(
        number: WriteNumber,
        truncateAfter: LogIndex? = nil,
        entries: [Entry] = [],
        hardState: HardState? = nil
    ) {
        self.number = number
        self.truncateAfter = truncateAfter
        self.entries = entries
        self.hardState = hardState
    }
}

/// Who takes part.
///
/// Voters and learners are kept sorted, so that no order depends on hashing.
package struct Membership: Hashable, Sendable {
    package private(set) var voters: [NodeID]
    package private(set) var learners: [NodeID]

    package init(voters: [NodeID], learners: [NodeID] = []) {
        self.voters = voters.sorted()
        self.learners = learners.sorted()
    }
    /// The smallest number of voters that is a majority.
    package var quorum: Int { voters.count / 2 + 1 }
    package func isVoter(_ node: NodeID) -> Bool { voters.contains(node) }
}
