import Journal
import Raft
import Store

/// A checkpoint that a peer fetches.
///
/// Newer ones are made meanwhile, and runs merged: what it consists of stays until the peer has it, or does
/// not ask any more. Else a slow peer would begin anew with each, and never end.
struct Offered {
    var peer: NodeID
    var manifest: Manifest
    /// The manifest's file.
    var bytes: [UInt8]
    /// Its runs, pinned in the store.
    var handles: [Int]
    var askedAt: Instant
    /// The run of which it asked for a piece last.
    var lastRun: Int?
}

extension ReplicaNode {
    /// Who has not asked for so long has what it wanted, or will begin anew.
    private static let offerPatience = Duration.seconds(30)

    /// A follower needs an entry that is not on this disk any more, or starts empty against a long log:
    /// it gets the state instead.
    ///
    /// - Returns: whether it was told so.
    mutating func offerCheckpoint(to peer: NodeID, lacking index: LogIndex) -> Bool {
        // What differs from the others' is not handed on.
        guard isServing, let entry = store.manifest?.entry, entry.index >= index else {
            return false
        }
        let isLong = index == LogIndex(1) && entry.index.number >= configuration.snapshotLag
        guard isLong || journal.lacks(index) else { return false }
        // The core asks again.
        guard mayHandOn(entry.index, to: peer, at: lastTurnAt) else { return true }
        output.messages.append(.init(to: peer, message: .pull(.checkpointOffered(entry))))
        return true
    }

    /// Gives a peer a piece of the newest checkpoint's manifest, or of a run of the one that it fetches.
    mutating func serveFile(
        _ file: String,
        offset: UInt64,
        count: UInt32,
        to peer: NodeID,
        at now: Instant
    ) {
        if file == RunName.manifest, offset == 0 {
            // Without an answer it asks again.
            if isServing, let entry = checkpoint, !mayHandOn(entry.index, to: peer, at: now) {
                return
            }
            beginOffer(to: peer, at: now)
        }
        let count = min(Int(count), ReplicaNode.installedBytes)
        guard isServing, offset < 1 << 62,
            let at = pulling.offered.firstIndex(where: { $0.peer == peer })
        else { return answerFile(file, offset, nil, to: peer) }
        pulling.offered[at].askedAt = now
        let offered = pulling.offered[at]
        // What nobody could compare when it was begun perhaps can be by now.
        guard mayHandOn(offered.manifest.entry.index, to: peer, at: now) else { return }
        if file == RunName.manifest {
            let start = min(Int(offset), offered.bytes.count)
            let end = min(start + count, offered.bytes.count)
            return answerFile(file, offset, Array(offered.bytes[start..<end]), to: peer)
        }
        guard offered.manifest.runs.contains(where: { $0.file == file }) else {
            return answerFile(file, offset, nil, to: peer)
        }
        // The answer is on its way, from a slow disk.
        guard !pulling.files.contains(where: { $0.peer == peer }) else { return }
        pulling.offered[at].lastRun = offered.handles.first { store.run($0)?.file == file }
        let read = DiskRead(
            number: nextDiskReadNumber,
            file: file,
            offset: Int(offset),
            count: count
        )
        nextDiskReadNumber += 1
        pulling.files.append((peer, read))
        output.loads.append(read)
    }

    private mutating func beginOffer(to peer: NodeID, at now: Instant) {
        if let before = pulling.offered.first(where: { $0.peer == peer }) {
            if let run = before.lastRun {
                // Who begins anew in the middle of a run may have found it damaged.
                scrubbing.state.urgent = run
            } else if before.manifest.entry == store.manifest?.entry {
                // Who had the manifest and asked for nothing more may have a log that begins behind it.
                checkpointing.isWanted = true
            }
        }
        endOffers { $0.peer == peer }
        guard isServing else { return }
        guard let manifest = store.manifest else {
            checkpointing.isWanted = true
            return
        }
        comparison.holdsUntil = now
        pulling.offered.append(
            Offered(
                peer: peer,
                manifest: manifest,
                bytes: manifest.encoded(),
                handles: store.pinCheckpoint(),
                askedAt: now
            )
        )
    }

    /// Part of the house-keeping: lets go of what nobody asks for any more.
    mutating func watchOffers(at now: Instant) {
        endOffers { $0.askedAt.advanced(by: ReplicaNode.offerPatience) <= now }
    }

    private mutating func endOffers(where isOver: (Offered) -> Bool) {
        guard !pulling.offered.isEmpty else { return }
        for offered in pulling.offered where isOver(offered) {
            for handle in offered.handles { store.unpin(handle) }
        }
        pulling.offered.removeAll(where: isOver)
    }

    /// The log that a peer needs behind the checkpoint that it fetches begins there.
    var oldestOffered: LogIndex? { pulling.offered.map(\.manifest.entry.index).min() }

    private mutating func answerFile(
        _ file: String,
        _ offset: UInt64,
        _ bytes: [UInt8]?,
        to peer: NodeID
    ) {
        output.messages.append(
            .init(to: peer, message: .pull(.file(file, offset: offset, bytes)))
        )
    }

    /// - Returns: whether the read was for a peer that fetches the checkpoint.
    mutating func fileRead(_ number: UInt64, _ result: Result<[UInt8], DiskError>) -> Bool {
        guard let i = pulling.files.firstIndex(where: { $0.read.number == number }) else {
            return false
        }
        let (peer, read) = pulling.files.remove(at: i)
        // What cannot be read is not there; the peer begins anew.
        answerFile(read.file, UInt64(read.offset), try? result.get(), to: peer)
        return true
    }
}
