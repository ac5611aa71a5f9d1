internal import Journal
internal import Raft

/// Which directory stands for each member, and what each is known to have promised.
///
/// docs/protocol.md has the rules and why they suffice.
struct MemberRegistry {
    private(set) var file: IdentityFile
    let origin: DirectoryOrigin
    private let members: [NodeID]
    /// For when this directory turns out to have lost its promises: its new name.
    private let fresh: DirectoryID

    /// What is on the disk, and so may be said to others.
    private(set) var durable: DirectoryIdentity
    /// Something changed that has to be written; and what others need not hear of at once.
    private var needsWrite = false
    private(set) var isNoted = false
    private var underWay: DirectoryIdentity?
    /// While the cluster is not formed: what the members say they have on their disks.
    private var heard: [NodeID: [MemberTag]] = [:]
    /// Directories that knocked for a member that counts on another one.
    private(set) var knocks: [NodeID: DirectoryID] = [:]
    /// Why the cluster does not take this node, if it said so.
    private(set) var exclusion: String? {
        didSet { if exclusion != oldValue { isExclusionNews = exclusion != nil } }
    }
    /// The log has not been told of it yet, whoever said it first: a peer's refusal, or its greeting.
    private(set) var isExclusionNews = false
    /// Members whose directory changed: links to the old one have to go.
    private var replaced: [NodeID] = []

    init(file: IdentityFile, origin: DirectoryOrigin, members: [NodeID], fresh: DirectoryID) {
        self.file = file
        self.origin = origin
        self.members = members.sorted()
        self.fresh = fresh
        durable = file.identity
    }

    var identity: DirectoryIdentity { file.identity }
    var node: NodeID { file.identity.node }
    var tags: [MemberTag] { durable.members.map(MemberTag.init) }

    /// Whether this node may take part, by what its disk has.
    var participation: Participation {
        guard durable.isFormed, identity.isFormed else { return .barred }
        return identity.repairingThrough.map { .repairing(through: $0) } ?? .full
    }

    mutating func takeReplaced() -> [NodeID] {
        defer { replaced = [] }
        return replaced
    }

    mutating func exclusionIsTold() { isExclusionNews = false }

    // MARK: Greetings

    /// Whether a peer that greets is who the cluster counts on; nil if it is.
    ///
    /// `run` is the process's own random number; `isRunning` says that an earlier process of this
    /// peer is known to be there still, `isCommitted` that the entry which it promised is known to be.
    mutating func refusal(
        of greeting: PeerIdentity,
        from peer: NodeID,
        run: UInt64,
        isRunning: Bool,
        isCommitted: Bool
    ) -> IdentityRefusal? {
        learn(greeting.members, isFormed: greeting.isFormed, from: peer)
        if greeting.isFormed, !identity.isFormed, let exclusion { return .excluded(exclusion) }
        if let refusal = refusalOfRestored(greeting, from: peer) { return refusal }
        guard var record = identity[member: peer] else {
            guard identity.isFormed else {
                var record = MemberRecord(
                    node: peer,
                    directory: greeting.directory,
                    admittedAt: .zero
                )
                meet(&record, greeting, run)
                return nil
            }
            knocks[peer] = greeting.directory
            return .unknownMember(peer)
        }
        guard record.directory == greeting.directory else {
            guard identity.isFormed || greeting.isFormed else {
                // Not formed yet: nobody has promised anything.
                heard[peer] = nil
                record = MemberRecord(
                    node: peer,
                    directory: greeting.directory,
                    admittedAt: .zero
                )
                meet(&record, greeting, run)
                return nil
            }
            knocks[peer] = greeting.directory
            return .otherDirectory(peer, found: greeting.directory, known: record.directory)
        }
        if greeting.starts < record.starts {
            return .olderCopy(peer, starts: greeting.starts, known: record.starts)
        }
        if record.run != 0, run != record.run {
            if isRunning { return .secondProcess(peer) }
            // Each process counts one start: what this one has is from before the one that is known.
            if greeting.starts == record.starts {
                return .olderCopy(peer, starts: greeting.starts, known: record.starts)
            }
        }
        if greeting.isRepairing {
            record.promisedEntry = .zero
        } else if greeting.term < record.promisedTerm
            || greeting.lastEntry < record.promisedEntry
                && (record.isBound(in: greeting.term) || isCommitted)
        {
            return .brokenPromise(
                peer,
                found: greeting.lastEntry,
                term: greeting.term,
                promised: record.promisedEntry,
                promisedTerm: record.promisedTerm
            )
        }
        knocks[peer] = nil
        // Whoever said that this node is not in was behind.
        if greeting.isFormed, identity.isFormed { exclusion = nil }
        meet(&record, greeting, run)
        return nil
    }

    /// A directory that was restored from a backup forms a cluster with those restored from the same one.
    ///
    /// The backup's entries are committed: a majority without them could elect a leader that lacks them.
    private mutating func refusalOfRestored(
        _ greeting: PeerIdentity,
        from peer: NodeID
    ) -> IdentityRefusal? {
        guard let restored = identity.restoredThrough, !identity.isFormed, !greeting.isFormed,
            greeting.lastEntry != restored
        else { return nil }
        heard[peer] = nil
        return .otherRestore(peer, found: greeting.lastEntry, restored: restored)
    }

    private mutating func meet(
        _ record: inout MemberRecord,
        _ greeting: PeerIdentity,
        _ run: UInt64
    ) {
        record.starts = greeting.starts
        record.run = run
        guard identity[member: record.node] != record else { return }
        file.identity.set(record)
        needsWrite = true
    }

    /// A peer that belongs to the cluster refused this node.
    ///
    /// If that `voidsPromises`, it knows of promises that this directory does not keep; then this node
    /// must not count on them either, not even with peers that know nothing of it.
    mutating func refused(_ reason: String, voidsPromises: Bool) {
        if exclusion == nil { exclusion = reason }
        if voidsPromises, identity.directory != fresh { leaveCluster(as: fresh) }
    }

    /// This directory is not, or not any more, the one that the cluster counts on.
    private mutating func leaveCluster(as directory: DirectoryID) {
        if directory != identity.directory { file.identity.copiedFrom = identity.directory }
        file.identity.directory = directory
        file.identity.isFormed = false
        file.identity.repairingThrough = nil
        file.identity.members = [
            MemberRecord(node: node, directory: directory, admittedAt: .zero)
        ]
        needsWrite = true
    }

    // MARK: Who stands for whom

    /// Takes in what a peer says of the members.
    mutating func learn(_ tags: [MemberTag], isFormed: Bool, from peer: NodeID) {
        guard isFormed else {
            if !identity.isFormed { heard[peer] = tags }
            return
        }
        let own = tags.first { $0.node == node }
        guard identity.isFormed else {
            // The word of a cluster that was formed stands above what was gathered here.
            guard let own, own.directory == identity.directory else {
                exclude(known: own?.directory)
                return
            }
            exclusion = nil
            for tag in tags { take(tag) }
            file.identity.isFormed = true
            file.identity.restoredThrough = nil
            if own.admittedAt > .zero { file.identity.repairingThrough = own.admittedAt }
            needsWrite = true
            return
        }
        for tag in tags {
            let known = identity[member: tag.node]
            guard tag.admittedAt > known?.admittedAt ?? .zero || known == nil else { continue }
            admit(tag)
        }
    }

    private mutating func exclude(known: DirectoryID?) {
        guard exclusion == nil else { return }
        let refusal = IdentityRefusal.replaced(node, found: identity.directory, known: known)
        exclusion = refusal.description
    }

    private mutating func take(_ tag: MemberTag) {
        if let known = identity[member: tag.node], MemberTag(known) == tag { return }
        var record = MemberRecord(
            node: tag.node,
            directory: tag.directory,
            admittedAt: tag.admittedAt
        )
        if let known = identity[member: tag.node], known.directory == tag.directory {
            record.starts = known.starts
            record.run = known.run
        }
        file.identity.set(record)
        needsWrite = true
    }

    /// An entry of the log lets a directory stand for a member.
    mutating func admit(_ tag: MemberTag) {
        guard identity.isFormed else { return }
        let known = identity[member: tag.node]
        guard tag.admittedAt > known?.admittedAt ?? .zero || known == nil else { return }
        if tag.node == node {
            guard tag.directory == identity.directory else {
                exclude(known: tag.directory)
                leaveCluster(as: identity.directory)
                return
            }
            file.identity.repairingThrough = tag.admittedAt
        } else if known?.directory != tag.directory {
            replaced.append(tag.node)
            knocks[tag.node] = nil
        }
        take(tag)
    }

    /// The cluster is formed when every member has the same members on its disk as this one has.
    ///
    /// Only then may any of them promise anything: from then on every member knows every other's
    /// directory, so that no emptied one is ever taken for new.
    private mutating func formIfAgreed() {
        guard !identity.isFormed, !durable.isFormed, exclusion == nil, !needsWrite else { return }
        let tags = tags
        guard tags.map(\.node) == members,
            members.allSatisfy({ $0 == node || heard[$0] == tags })
        else { return }
        file.identity.isFormed = true
        file.identity.restoredThrough = nil
        needsWrite = true
        heard = [:]
    }

    // MARK: Promises

    /// A member is known to have reached this term, and to keep its log through this entry while the term lasts.
    ///
    /// In a later term a leader that lacks the entry may have it replaced, by entries of older terms at first. What is
    /// committed nobody replaces, so that is kept in mind for good: a directory that was put back to before it, and has
    /// come to a later term since, is found by it. `isCommitted` says whether the entry noted before is.
    mutating func note(
        _ peer: NodeID,
        term: Term,
        entry: EntryID,
        isCommitted: Bool
    ) {
        guard let before = identity[member: peer], term >= before.promisedTerm else { return }
        var record = before
        record.promisedTerm = term
        if term > before.promisedTerm { record.isPromiseOfEarlierTerm = true }
        let isOutlived = record.isPromiseOfEarlierTerm && !isCommitted
        if entry > record.promisedEntry || entry > .zero && isOutlived {
            record.promisedEntry = entry
            record.isPromiseOfEarlierTerm = false
        }
        guard record != before else { return }
        file.identity.set(record)
        isNoted = true
    }

    /// What was noted shall be on the disk soon.
    mutating func keepNotes() { if isNoted { needsWrite = true } }

    /// This node takes full part again.
    mutating func repaired() {
        guard identity.repairingThrough != nil else { return }
        file.identity.repairingThrough = nil
        needsWrite = true
    }

    // MARK: Disk

    /// What has to be written, if anything has.
    mutating func nextWrite() -> [DiskOperation]? {
        guard underWay == nil else { return nil }
        formIfAgreed()
        guard needsWrite else { return nil }
        needsWrite = false
        isNoted = false
        underWay = file.identity
        return file.write()
    }

    var isWriting: Bool { underWay != nil }

    /// What was handed out is durable.
    ///
    /// - Returns: whether others should hear of it.
    mutating func written() -> Bool {
        guard let written = underWay else { return false }
        underWay = nil
        let before = (tags, durable.isFormed)
        durable = written
        return before != (tags, durable.isFormed)
    }
}

extension MemberRecord {
    /// Whether a directory in this term has to hold the promised entry, committed or not.
    fileprivate func isBound(in term: Term) -> Bool {
        term == promisedTerm && !isPromiseOfEarlierTerm
    }
}

extension MemberRegistry {
    /// Opens the directory's identity for this process, with what there is to say of it.
    static func open(
        on disk: inout some Disk,
        _ configuration: ReplicaConfiguration,
        _ directory: IdentityConfiguration,
        hasLog: Bool
    ) throws(JournalError) -> (registry: MemberRegistry, notices: [Notice]) {
        let membership = configuration.raft.membership
        let members = (membership.voters + membership.learners).sorted()
        let opened = try IdentityFile.open(
            on: &disk,
            configuration: configuration.journal,
            members: members,
            fresh: directory.fresh,
            place: directory.place,
            run: configuration.incarnation,
            hasLog: hasLog
        )
        let identity = opened.file.identity
        var notices: [Notice] = [
            .identity(
                .opened(
                    identity.directory,
                    opened.origin,
                    starts: identity.starts,
                    copiedFrom: identity.copiedFrom
                )
            )
        ]
        if let damage = opened.damage { notices.append(.identity(.damaged(damage))) }
        let registry = MemberRegistry(
            file: opened.file,
            origin: opened.origin,
            members: members,
            fresh: directory.fresh
        )
        return (registry, notices)
    }
}
