import Journal
import Raft
import Store

/// A checkpoint that is fetched from another node.
///
/// Nothing of it counts until its manifest takes the place of the own one, in one step; a process that ends before
/// leaves runs that no manifest names, which the next start removes.
struct Installing {
    enum Phase {
        case manifest(bytes: [UInt8])
        /// Of the run at this position, so many bytes are written.
        case run(Int, offset: Int)
        /// The manifest is written.
        case publishing
    }
    var source: NodeID
    var phase = Phase.manifest(bytes: [])
    /// As the source has it.
    var theirs: Manifest?
    /// The same with this node's number, and runs that have numbers of their own here.
    var ours: Manifest?
    var askedAt: Instant
    /// Questions in a row that got no answer.
    var unanswered = 0
    /// The run that is fetched, as far as it is looked through; `nil` if it is taken as it is.
    var scan: RunScan?
    /// Positions of runs that are here, and of those that were taken as they are.
    var here: Set<Int> = []
    var unsound: Set<Int> = []
    /// Of a run that was fetched in part before.
    var rest: (at: Int, run: FetchedRun)?
    /// The batch under way.
    var batch: DiskBatch?
    var isWriting = false
}

extension ReplicaNode {
    /// Bytes of a file fetched at a time: a frame that holds no heartbeat up for long.
    static let installedBytes = 256 * 1024
    /// Numbers of batches that write what is fetched; the store counts its own from 1.
    private static var installBatch: UInt64 { 1 << 63 }
    private static let maxUnanswered = 10
    /// After a damaged copy: a leader that finds the damage hands over meanwhile.
    private static let damagePause = Duration.seconds(5)
    /// After a checkpoint that was of no use: its source makes a newer one meanwhile.
    private static let newsPause = Duration.seconds(1)
    /// So many damaged copies are refused while somebody who is away may have a better one: a minute of them.
    static var maxRefusedCopies: Int { 12 }
    /// And so many while somebody is there who takes its own for whole, and has not found the damage in it yet.
    private static let maxRefusedForOthers = 120
    /// More than flows, runs and terms of any cluster take.
    private static let maxManifestBytes = 64 * 1024 * 1024

    // MARK: Fetching

    /// A checkpoint is being fetched: what was committed since is not known here before it is in place.
    package var isFetchingCheckpoint: Bool { installing != nil }

    /// Its manifest is about to take the place of the own one.
    var isPublishingInstall: Bool {
        if case .publishing = installing?.phase { true } else { false }
    }

    /// A leader has not got the entries that this node needs, but a checkpoint.
    mutating func receiveOffer(_ entry: EntryID, from peer: NodeID, at now: Instant) {
        guard installing == nil, !isRetired, raft.leader == peer, entry.index > raft.commitIndex,
            now >= nextFetchAt ?? now
        else {
            return
        }
        installing = Installing(source: peer, askedAt: now)
        askForPiece(at: now)
    }

    /// A state that is to be built anew comes from the leader.
    private mutating func fetchForRebuild(at now: Instant) {
        guard isRebuilding, installing == nil, !isRetired,
            let leader = raft.leader, leader != node, now >= nextFetchAt ?? now
        else { return }
        installing = Installing(source: leader, askedAt: now)
        askForPiece(at: now)
    }

    private mutating func askForPiece(at now: Instant) {
        guard var install = installing else { return }
        let file: String
        let offset: Int
        switch install.phase {
        case .manifest(let bytes): (file, offset) = (RunName.manifest, bytes.count)
        case .run(let at, let done):
            guard let run = install.theirs?.runs[at] else { return }
            (file, offset) = (run.file, done)
        case .publishing: return
        }
        install.askedAt = now
        install.unanswered += 1
        installing = install
        guard install.unanswered <= ReplicaNode.maxUnanswered else {
            return abandonInstall("\(install.source) does not answer")
        }
        // Nothing is there yet, and whoever leads answers sooner.
        if case .manifest = install.phase, let leader = raft.leader, leader != install.source {
            return abandonInstall("\(install.source) does not lead any more")
        }
        let message = PullMessage.fileWanted(
            file,
            offset: UInt64(offset),
            count: UInt32(ReplicaNode.installedBytes)
        )
        output.messages.append(.init(to: install.source, message: .pull(message)))
    }

    /// Asks again for what did not come.
    mutating func keepInstalling(at now: Instant) {
        fetchForRebuild(at: now)
        if installing == nil, pulling.fetchedUntil <= now { forgetFetched() }
        guard let install = installing, !install.isWriting, install.batch == nil,
            install.askedAt.advanced(by: ReplicaNode.pullPatience) <= now
        else { return }
        askForPiece(at: now)
    }

    mutating func receiveFile(
        _ file: String,
        offset: UInt64,
        _ bytes: [UInt8]?,
        from peer: NodeID,
        at now: Instant
    ) {
        guard var install = installing, install.source == peer, !install.isWriting,
            install.batch == nil
        else { return }
        switch install.phase {
        case .manifest(let before):
            guard file == RunName.manifest, offset == UInt64(before.count) else { return }
            guard let bytes else { return abandonInstall("the checkpoint is not there") }
            install.unanswered = 0
            let all = before + bytes
            guard all.count <= ReplicaNode.maxManifestBytes else {
                return abandonInstall("its manifest is larger than any")
            }
            guard bytes.count < ReplicaNode.installedBytes else {
                install.phase = .manifest(bytes: all)
                installing = install
                return askForPiece(at: now)
            }
            begin(&install, all, at: now)
        case .run(let at, let done):
            guard let run = install.theirs?.runs[at], file == run.file, offset == UInt64(done)
            else {
                return
            }
            guard let bytes, !bytes.isEmpty, done + bytes.count <= run.bytes else {
                // The source has forgotten what it offered: it is asked for that again. Or it cannot read the
                // file, which shows the second time: asking again at once would go on for ever.
                if pulling.missing?.file == file, pulling.missing?.offset == done {
                    refuseCopy(at: now)
                } else {
                    nextFetchAt = now.advanced(by: ReplicaNode.newsPause)
                }
                pulling.missing = (file, done)
                return abandonInstall("\(file) is not there any more")
            }
            pulling.missing = nil
            install.unanswered = 0
            if let reason = damage(in: bytes, at: done, of: run, &install, at: now) {
                refuseCopy(at: now)
                return abandonInstall(reason, keepsPart: false)
            }
            install.batch = write(bytes, at: done, ofRun: at, install)
            install.phase = .run(at, offset: done + bytes.count)
            installing = install
        case .publishing: return
        }
        if installing?.batch == nil { askForPiece(at: now) }
    }

    /// The manifest is there: its runs come next.
    private mutating func begin(
        _ install: inout Installing,
        _ bytes: [UInt8],
        at now: Instant
    ) {
        let manifest: Manifest
        do throws(JournalError) {
            manifest = try Manifest(bytes)
        } catch {
            // It may have been replaced between two pieces.
            return abandonInstall("\(error)")
        }
        guard manifest.cluster == configuration.journal.cluster, isOfUse(manifest.entry) else {
            nextFetchAt = now.advanced(by: ReplicaNode.newsPause)
            return abandonInstall("it is no news")
        }
        output.notices.append(.installBegun(manifest.entry, from: install.source))
        install.theirs = manifest
        var ours = manifest
        ours.node = node
        // Nobody can count on entries of this node's that the state does not stand for.
        ours.isFetched = raft.lastIndex < ours.entry.index
        // Numbers that no run of this node has, nor will have before the next start.
        var number = max(nextFetchedRun, (store.manifest?.nextRun ?? 1) + (1 << 32))
        for at in ours.runs.indices {
            if let run = takeFetched(manifest.runs[at], from: install.source) {
                ours.runs[at] = run.ours
                if run.count == run.theirs.bytes {
                    install.here.insert(at)
                } else {
                    install.rest = (at, run)
                }
            } else {
                ours.runs[at].sequence = number
                number += 1
            }
        }
        forgetFetched()
        ours.nextRun = number
        // One number more, which names this try's manifest and evidence.
        nextFetchedRun = number + 1
        install.ours = ours
        goOn(&install)
        installing = install
    }

    /// Begins with the next run that is not here, or has all of them take the place of the own ones.
    private func goOn(_ install: inout Installing) {
        guard let ours = install.ours else { return }
        guard let at = ours.runs.indices.first(where: { !install.here.contains($0) }) else {
            install.batch = publish(ours, &install.phase)
            return
        }
        install.phase = .run(at, offset: 0)
        guard let rest = install.rest, rest.at == at else { return }
        install.phase = .run(at, offset: rest.run.count)
        install.scan = rest.run.scan
        install.rest = nil
    }

    /// A start from a checkpoint at this entry finds all that it needs.
    private func isOfUse(_ entry: EntryID) -> Bool {
        if entry.index > raft.commitIndex { return true }
        // The own log goes on from there.
        return isRebuilding && !journal.lacks(entry.index) && entry.index >= journal.replaysFrom
            && raft.term(at: entry.index) == entry.term
    }

    /// Looks at a piece of a run: damage that the source has not found yet must not spread.
    ///
    /// The source looks through the run when it is asked anew (`beginOffer`), and hands leadership over. But where no
    /// other voter takes its own state for whole, one with a place that perhaps nobody will ever read is taken all the
    /// same: with it this node can decide, and have its state mended when the others are back. A node that has the log
    /// and lacks the state only, so that the cluster decides without it, waits for those who are away first.
    ///
    /// - Returns: why the run is not taken; `nil` if it is.
    private mutating func damage(
        in bytes: [UInt8],
        at offset: Int,
        of run: Run,
        _ install: inout Installing,
        at now: Instant
    ) -> String? {
        if offset == 0 { install.scan = RunScan(run, checksEnds: false) }
        do throws(JournalError) {
            try install.scan?.take(bytes)
            return nil
        } catch {
            let reason = "\(error), at \(install.source)"
            let others = otherVoters(at: now).filter { $0.node != install.source }
            let areAllThere = others.count + 2 >= configuration.raft.membership.voters.count
            let limit =
                others.contains { $0.condition == .healthy }
                ? ReplicaNode.maxRefusedForOthers
                : isRebuilding && !areAllThere ? ReplicaNode.maxRefusedCopies : 0
            if damagedFetches < limit { return reason }
            install.scan = nil
            if case .run(let at, _) = install.phase { install.unsound.insert(at) }
            output.notices.append(.runDamaged(reason, .kept))
            return nil
        }
    }

    private mutating func refuseCopy(at now: Instant) {
        damagedFetches += 1
        nextFetchAt = now.advanced(by: ReplicaNode.damagePause)
    }

    private func write(
        _ bytes: [UInt8],
        at offset: Int,
        ofRun at: Int,
        _ install: Installing
    ) -> DiskBatch? {
        guard let run = install.ours?.runs[at] else { return nil }
        var bytes = bytes
        var operations: [DiskOperation] = []
        if offset == 0 { operations.append(.create(file: run.file, size: 0)) }
        run.renumber(&bytes, at: offset)
        operations.append(.write(file: run.file, offset: offset, bytes: bytes))
        operations.append(.sync(file: run.file))
        if offset + bytes.count == run.bytes { operations.append(.syncDirectory) }
        return DiskBatch(number: ReplicaNode.installBatch, operations: operations)
    }

    /// A fetched manifest in the making; one that was given up may be in the way, so each try has its own.
    private var temporaryManifest: String { RunName.temporary((1 << 62) + nextFetchedRun) }
    /// What this replica had come to before it is built anew is kept, as evidence.
    private var evidenceManifest: String? {
        guard isRebuilding, store.manifest != nil else { return nil }
        return "damaged-\(RunName.manifest)-\(configuration.incarnation)-\(nextFetchedRun)"
    }
    /// What a publication makes, in this order.
    private var publication: [String] {
        (evidenceManifest.map { [$0] } ?? []) + [temporaryManifest]
    }

    /// One step puts the fetched checkpoint in the place of the own one.
    private func publish(_ manifest: Manifest, _ phase: inout Installing.Phase) -> DiskBatch {
        phase = .publishing
        let file = temporaryManifest
        var operations: [DiskOperation] = []
        if let evidence = evidenceManifest, let old = store.manifest {
            operations = [
                .create(file: evidence, size: 0),
                .write(file: evidence, offset: 0, bytes: old.encoded()),
                .sync(file: evidence),
            ]
        }
        return DiskBatch(
            number: ReplicaNode.installBatch,
            operations: operations + [
                .create(file: file, size: 0),
                .write(file: file, offset: 0, bytes: manifest.encoded()),
                .sync(file: file),
                .rename(from: file, to: RunName.manifest),
                .syncDirectory,
            ]
        )
    }

    /// The next batch of what was fetched, when the store's own is done.
    mutating func nextInstallBatch() -> DiskBatch? {
        guard installing?.isWriting == false, !store.isBatchUnderWay, let batch = installing?.batch
        else { return nil }
        // The promise must be there before the log may be found shorter than the checkpoint.
        if case .publishing = installing?.phase, !journal.hasPromise { return nil }
        if let ours = installing?.ours, ours.isFetched, raft.lastIndex >= ours.entry.index {
            abandonInstall("the entries came meanwhile")
            return nil
        }
        // Damage that was found in the log since then may lie behind it.
        if case .publishing = installing?.phase, let ours = installing?.ours, !isOfUse(ours.entry) {
            abandonInstall("it is of no use any more")
            return nil
        }
        // Not through the optional: what that replaces in a noncopyable value is never freed (Swift 6.3).
        guard var install = installing else { return nil }
        install.isWriting = true
        install.batch = nil
        installing = install
        return batch
    }

    /// - Returns: whether the batch was one of what was fetched.
    mutating func installCompleted(
        _ number: UInt64,
        _ result: Result<Void, DiskError>,
        at now: Instant
    ) -> Bool {
        guard number == ReplicaNode.installBatch else { return false }
        guard var install = installing else { return true }
        install.isWriting = false
        if case .failure(let error) = result {
            installFailed(install, error, at: now)
            return true
        }
        // Not what comes, but what stays of it, is a help.
        helpedAt = now
        switch install.phase {
        case .publishing:
            isRetired = true
            installing = nil
            output.notices.append(.installed(install.ours?.entry ?? .zero))
            return true
        case .run(let at, let offset):
            guard let ours = install.ours, offset == ours.runs[at].bytes else { break }
            install.here.insert(at)
            goOn(&install)
        case .manifest: break
        }
        installing = install
        if install.batch == nil { askForPiece(at: now) }
        return true
    }

    /// The disk has refused what was fetched.
    private mutating func installFailed(
        _ install: Installing,
        _ error: DiskError,
        at now: Instant
    ) {
        nextFetchAt = now.advanced(by: ReplicaNode.damagePause)
        guard case .publishing = install.phase, error.isLackOfRoom else {
            return abandonInstall("\(error)", keepsPart: false)
        }
        // Only what comes before the renaming takes room: the manifest is the one before, and the runs that are here
        // serve the next try. What that would not use goes.
        for file in publication {
            if error.operation == "create \(file)" { break }
            store.remove(file)
            if error.operation.hasSuffix(" \(file)") { break }
        }
        abandonInstall("\(error)")
    }

    /// The fetch ends in vain, but what is here of its runs serves the next one.
    ///
    /// - Parameters:
    ///   - reason: for the notice.
    ///   - keepsPart: whether what is here of the run under way is what the source has.
    private mutating func abandonInstall(_ reason: String, keepsPart: Bool = true) {
        if let install = installing { keepRuns(of: install, keepsPart: keepsPart) }
        installing = nil
        output.notices.append(.installAbandoned(reason))
    }
}
