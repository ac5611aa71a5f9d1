import Journal
import Raft

/// What this node fetches from others, and reads for them.
struct Pulling {
    /// Whom it asked for entries, and when.
    var asked: (peer: NodeID, from: LogIndex, at: Instant)?
    /// Positions in the list of peers, tried in turn.
    var turn = 0
    /// Nobody had what was wanted when it was asked last.
    var restsUntil: Instant?
    /// Reads of the journal for peers that asked, one a peer.
    var reads: [Read] = []
    /// Checkpoints that peers fetch, one a peer.
    var offered: [Offered] = []
    /// Reads of their files for peers that asked, one a peer.
    var files: [(peer: NodeID, read: DiskRead)] = []
    /// The first entry that each peer says it has from the one on that it was asked for, and has not got.
    var oldest: [NodeID: LogIndex] = [:]
    /// What is here of checkpoints that were fetched in vain, and for how long.
    var fetched: [FetchedRun] = []
    var fetchedUntil = Instant(nanoseconds: 0)
    /// The piece that the source of a checkpoint said last that it has not got.
    var missing: (file: String, offset: Int)?

    struct Read {
        var peer: NodeID
        var from: LogIndex
        var maxBytes: Int
        var read: DiskRead
    }
}

extension ReplicaNode {
    /// How many entries of the log should be on this disk and are not.
    package var missingEntries: UInt64 {
        var count: UInt64 = 0
        // Alone, it has nobody to fetch from what its log once began with.
        for hole in journal.holes where !isAlone || hole.upperBound >= journal.firstIndex {
            count += hole.upperBound.number - hole.lowerBound.number + 1
        }
        return count
    }

    /// Part of the house-keeping: tells when part of the log begins to be missing, and when it is there again.
    mutating func watchGaps() {
        let missing = missingEntries
        guard (missing > 0) != isLogIncomplete else { return }
        isLogIncomplete = missing > 0
        output.notices.append(isLogIncomplete ? .logIncomplete(missing: missing) : .logComplete)
    }

    /// Entries asked for at a time cost so much.
    static let pulledBytes = 256 * 1024
    /// An answer that has not come by then will not come.
    static let pullPatience = Duration.seconds(2)

    // MARK: Asking

    /// Asks for the next entries that are missing on this disk, unless an answer is under way.
    mutating func pull(at now: Instant) {
        guard let wanted = journal.wantedEntry else { return }
        if let asked = pulling.asked {
            guard asked.at.advanced(by: ReplicaNode.pullPatience) <= now else { return }
            pulling.asked = nil
        }
        if let rest = pulling.restsUntil, rest > now { return }
        for _ in peers.indices {
            pulling.turn = (pulling.turn + 1) % peers.count
            let peer = peers[pulling.turn]
            guard peer.isConnected else { continue }
            pulling.asked = (peer.node, wanted, now)
            let message = PullMessage.entriesWanted(
                from: wanted,
                maxBytes: UInt32(ReplicaNode.pulledBytes)
            )
            output.messages.append(.init(to: peer.node, message: .pull(message)))
            return
        }
    }

    mutating func received(_ message: PullMessage, from peer: NodeID, at now: Instant) {
        switch message {
        case .entriesWanted(let from, let maxBytes):
            serve(peer, from: from, maxBytes: Int(maxBytes))
        case .checkpointOffered(let entry): receiveOffer(entry, from: peer, at: now)
        case .fileWanted(let file, let offset, let count):
            serveFile(file, offset: offset, count: count, to: peer, at: now)
        case .file(let file, let offset, let bytes):
            receiveFile(file, offset: offset, bytes, from: peer, at: now)
        case .comparisonWanted(let index): comparisonAsked(index, at: now)
        case .entries(let from, let first, let entries):
            guard let asked = pulling.asked, asked.peer == peer, asked.from == from else { return }
            pulling.asked = nil
            if journal.fill(entries) {
                counters.entriesFetched += UInt64(entries.count)
                pulling.oldest.removeAll()
            } else if entries.isEmpty, first > from {
                skip(from, peer, first, at: now)
            } else {
                // Somebody else may have them.
                pulling.restsUntil = now.advanced(by: .milliseconds(500))
            }
        }
    }

    /// A peer has only newer entries than the one that is wanted: if all have, it is gone for its age.
    private mutating func skip(
        _ wanted: LogIndex,
        _ peer: NodeID,
        _ first: LogIndex,
        at now: Instant
    ) {
        let isNews = pulling.oldest.updateValue(first, forKey: peer) != first
        guard pulling.oldest.count == peers.count, let oldest = pulling.oldest.values.min(),
            oldest > wanted
        else {
            // Whoever is left to be asked may be away, and those who were will say the same again.
            if !isNews { pulling.restsUntil = now.advanced(by: .seconds(1)) }
            return
        }
        pulling.oldest.removeAll()
        journal.giveUp(before: oldest, keptFrom: logKeptFrom)
        if journal.wantedEntry == wanted { pulling.restsUntil = now.advanced(by: .seconds(1)) }
    }

    // MARK: Answering

    private mutating func serve(_ peer: NodeID, from: LogIndex, maxBytes: Int) {
        guard !pulling.reads.contains(where: { $0.peer == peer }) else { return }
        let maxBytes = min(maxBytes, ReplicaNode.pulledBytes)
        guard from > .zero, from <= raft.commitIndex else {
            answer(peer, from, [])
            return
        }
        if from > raft.evictedIndex {
            answer(
                peer,
                from,
                raft.entries(from: from, through: raft.commitIndex, maxBytes: maxBytes)
            )
            return
        }
        guard var read = journal.planRead(from: from, maxBytes: maxBytes) else {
            answer(peer, from, [])
            return
        }
        read.number = nextDiskReadNumber
        nextDiskReadNumber += 1
        pulling.reads.append(
            Pulling.Read(peer: peer, from: from, maxBytes: maxBytes, read: read)
        )
        output.diskReads.append(read)
    }

    private mutating func answer(_ peer: NodeID, _ from: LogIndex, _ entries: [Entry]) {
        // Whoever lacks the same entries says which it has after them.
        let first = journal.nextEntry(from: from)
        output.messages.append(
            .init(to: peer, message: .pull(.entries(from: from, first: first, entries)))
        )
    }

    /// Takes what was read, if it was read for a peer or for a backup.
    ///
    /// - Returns: whether it was.
    mutating func pulled(_ number: UInt64, _ result: Result<[UInt8], DiskError>) -> Bool {
        if fileRead(number, result) || backupRead(number, result) { return true }
        guard let i = pulling.reads.firstIndex(where: { $0.read.number == number }) else {
            return false
        }
        let asked = pulling.reads.remove(at: i)
        do {
            let entries = try journal.entries(
                in: try result.get(),
                of: asked.read,
                from: asked.from,
                maxBytes: asked.maxBytes
            )
            answer(asked.peer, asked.from, entries)
        } catch {
            answer(asked.peer, asked.from, [])
            readFailed(error)
        }
        return true
    }

    /// A part of the log could not be read: what is damaged and sealed is made again from the others.
    mutating func readFailed(_ error: any Error) {
        guard let error = error as? JournalError, case .damaged(let file, _, _) = error else {
            output.notices.append(.journalReadFailed("\(error)"))
            return
        }
        if journal.foundDamage(in: file) {
            output.notices.append(
                .logDamaged(LogDamage(error: error, evidence: [], endsLog: false))
            )
        } else {
            // A checkpoint makes it one that can be, where there is another segment behind it.
            if journal.isFollowed(file) { checkpointing.isWanted = true }
            output.notices.append(.journalReadFailed("\(error)"))
        }
    }
}
