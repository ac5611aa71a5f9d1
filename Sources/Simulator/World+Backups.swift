internal import Backup
internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Operators take backups of running nodes, and see whether another cluster could go on from them.
extension World {
    // MARK: Taking

    /// Begins one at a node, or at the next one that will; now and then where a state is known to be wrong, but not
    /// to the node.
    func beginBackup(_ number: Int, at node: Int, _ amount: Int64) {
        var random = SeededRandom(seed: options.seed, stream: "backup", Int(amount))
        var first = node
        if random.chance(percent: 50), let wrong = hosts.firstIndex(where: \.isCorrupt) {
            first = wrong
        }
        for step in hosts.indices {
            let host = hosts[(first + step) % hosts.count]
            guard let process = host.process, !host.isPaused else { continue }
            let id = random.next()
            let refusal = process.replica.beginBackup(id, at: instant)
            if let refusal {
                trace.note(now, "n\(host.number + 1) takes no backup: \(refusal)")
                continue
            }
            trace.note(now, "a backup of n\(host.number + 1) is begun")
            trace.fold(UInt64(host.number) << 8 | 11)
            copies[number] = BackupCopy(
                id: id,
                node: host.number,
                run: process.run,
                appliedBefore: process.replica.appliedIndex,
                failedReads: host.disk.failedReads,
                at: now,
                random: random
            )
            wake(host.number, after: plan.turnDelay)
            return askLater(number)
        }
    }

    private func askLater(_ number: Int, after delay: UInt64 = 0) {
        guard let copy = copies[number] else { return }
        let trip = WorldPlan.millisecond + copy.random.below(20 * WorldPlan.millisecond)
        copy.goesOnAt = now + delay + trip
        queue.schedule(.backup(number), at: copy.goesOnAt)
    }

    /// Whoever takes it asks for the next piece.
    func goOnWithBackup(_ number: Int) {
        guard let copy = copies[number], copy.goesOnAt == now else { return }
        let host = hosts[copy.node]
        guard let process = host.process, process.run == copy.run else {
            return end(number, "the node is gone")
        }
        // The answer is on its way, unless the node goes first.
        guard copy.context == nil else { return askLater(number, after: WorldPlan.second) }
        guard !host.isPaused else { return askLater(number, after: 100 * WorldPlan.millisecond) }
        if case .abandoned(let pieces) = copy.trouble, copy.pieces >= pieces {
            return end(number, "whoever took it is gone")
        }
        defer { wake(copy.node, after: plan.turnDelay) }
        guard copy.writer != nil else { return look(number, copy, process) }
        guard let wanted = copy.writer?.wanted else { return finish(number, copy, process) }
        let context = nextRequest
        nextRequest += 1
        let reading =
            switch wanted {
            case .file(let file, let offset):
                process.replica.readBackup(
                    copy.id,
                    file: file,
                    offset: UInt64(offset),
                    context: context,
                    at: instant
                )
            case .entries(let from):
                process.replica.readBackupLog(
                    copy.id,
                    from: from.number,
                    context: context,
                    at: instant
                )
            }
        switch reading {
        case .begun:
            copy.askedAt = now
            copy.context = context
            copiesByContext[context] = number
            askLater(number, after: WorldPlan.second)
        case .known(let bytes):
            copy.askedAt = now
            take(bytes, number, copy)
        case .unknownBackup: forgotten(number, copy, process)
        case .notInIt:
            failed(number, copy, "n\(copy.node + 1) has not got \(wanted) of its backup", nil)
        }
    }

    /// What it consists of, once the node says so.
    private func look(_ number: Int, _ copy: BackupCopy, _ process: Process) {
        switch process.replica.backup(copy.id, at: instant) {
        case nil: return forgotten(number, copy, process)
        case .preparing:
            copy.askedAt = now
            askLater(number, after: 200 * WorldPlan.millisecond)
        case .ready(let contents):
            copy.askedAt = now
            copy.isCompared = contents.isCompared
            if !contents.isCompared, now < copy.begunAt + 30 * WorldPlan.second {
                checker.fail(
                    "backup",
                    "n\(copy.node + 1) hands out what nobody has compared, and did not wait for it",
                    at: now
                )
            }
            if contents.entry.index < copy.appliedBefore {
                checker.fail(
                    "backup",
                    """
                    n\(copy.node + 1) had applied entry \(copy.appliedBefore) when its backup was begun, which is \
                    of entry \(contents.entry)
                    """,
                    at: now
                )
            }
            let plan = BackupWriter.Plan(
                cluster: process.replica.configuration.journal.cluster,
                node: hosts[copy.node].id,
                directory: process.replica.directoryIdentity?.directory ?? .none,
                entry: contents.entry,
                firstIndex: contents.firstIndex,
                files: contents.files.map {
                    .init(name: $0.name, bytes: $0.bytes, checksum: $0.checksum)
                }
            )
            var disk = copy.disk
            do throws(JournalError) {
                copy.writer = try BackupWriter(plan, on: &disk)
            } catch {
                return failed(number, copy, "n\(copy.node + 1) gives no backup's list", error)
            }
            copy.disk = disk
            askLater(number)
        }
    }

    /// A node has read a piece of a backup, or could not.
    func backupPieceIsRead(_ piece: BackupPiece) {
        guard let number = copiesByContext.removeValue(forKey: piece.context),
            let copy = copies[number]
        else { return }
        copy.context = nil
        switch piece.result {
        case .success(let bytes): take(bytes, number, copy)
        case .failure(let error):
            failed(number, copy, "n\(copy.node + 1) cannot read a piece of its backup", error)
        }
    }

    private func take(_ bytes: [UInt8], _ number: Int, _ copy: BackupCopy) {
        copy.pieces += 1
        var disk = copy.disk
        do throws(JournalError) {
            try copy.writer?.take(bytes, on: &disk)
            copy.disk = disk
            askLater(number)
        } catch {
            copy.disk = disk
            failed(number, copy, "a piece of n\(copy.node + 1)'s backup is refused", error)
        }
    }

    private func forgotten(_ number: Int, _ copy: BackupCopy, _ process: Process) {
        let isQuiet = now >= copy.askedAt + 30 * WorldPlan.second
        if process.replica.isServing, !isQuiet {
            checker.fail(
                "backup",
                "n\(copy.node + 1) has forgotten a backup that is being taken",
                at: now
            )
        }
        end(number, "the node has given it up")
    }

    private func end(_ number: Int, _ why: String) {
        guard let copy = copies.removeValue(forKey: number) else { return }
        if let context = copy.context { copiesByContext[context] = nil }
        trace.note(now, "the backup of n\(copy.node + 1) ends: \(why)")
    }

    /// It cannot be taken: something of the node's was damaged, or the power is gone where it is written.
    private func failed(
        _ number: Int,
        _ copy: BackupCopy,
        _ what: String,
        _ error: JournalError?
    ) {
        let what = what + (error.map { ": \($0)" } ?? "")
        defer { end(number, what) }
        if case .powerCut = copy.trouble, copy.disk.hasLostPower { return checkCutOff(copy) }
        let host = hosts[copy.node]
        // A hole in the log is found and forgotten while the node runs, so any damage of its disk before counts.
        let isDamaged =
            host.hasLost || host.fetchesDamage || host.disk.isStateDamaged
            || checker.records[host.number].isRotten
        let isExcused =
            switch error {
            case .disk(let error):
                error.code == SimulatedDisk.ioError
                    && host.disk.failedReads > copy.failedReads
            case .damaged: isDamaged
            default: host.hasLost
            }
        guard !isExcused else { return }
        checker.fail("backup", "\(what), though nothing damaged it", at: now)
    }

    // MARK: Looking at it

    private func finish(_ number: Int, _ copy: BackupCopy, _ process: Process) {
        var disk = copy.disk
        do throws(JournalError) {
            let found = try copy.writer?.finish(at: UInt64(Host.epoch), on: &disk)
            copy.disk = disk
            guard let found else { return }
            statistics.backups += 1
            trace.fold(found.manifest.entry.index.number)
            _ = process.replica.endBackup(copy.id)
            end(number, "it is of entry \(found.manifest.entry)")
            check(found.manifest, copy, process)
        } catch {
            copy.disk = disk
            failed(number, copy, "n\(copy.node + 1)'s backup is not whole", error)
        }
    }

    /// The machine that it is written on has lost its power: it is finished and whole, or says that it is not finished.
    private func checkCutOff(_ copy: BackupCopy) {
        copy.disk.clearFaults()
        copy.disk.cutPower(survival(&copy.random), &copy.random)
        var disk = copy.disk
        do throws(JournalError) {
            let found = try BackupInspection(&disk)
            guard let damage = found.damage.first else { return }
            checker.fail(
                "backup",
                "a backup that was cut off counts as finished: \(damage)",
                at: now
            )
        } catch {
            if case .missing(BackupManifest.name) = error { return }
            checker.fail("backup", "a backup that was cut off is none: \(error)", at: now)
        }
    }

    private func survival(_ random: inout SeededRandom) -> SimulatedDisk.Survival {
        random.pick([.nothing, .everything, .someSectors, .prefix])
    }

    /// A finished backup is the state as of its entry and the log through it, and survives a loss of power.
    private func check(_ manifest: BackupManifest, _ copy: BackupCopy, _ process: Process) {
        copy.disk.clearFaults()
        if copy.random.chance(percent: 50) {
            copy.disk.cutPower(survival(&copy.random), &copy.random)
        }
        let index = manifest.entry.index.number
        // Its node may have the wrong state and not know it yet; but what a majority has is the right one.
        let isJudged = copy.isCompared || !hosts[copy.node].isCorrupt
        do throws(JournalError) {
            var disk = copy.disk
            let inspection = try BackupInspection(&disk)
            if let damage = inspection.damage.first {
                throw .damaged(file: damage.file, offset: damage.offset, what: damage.what)
            }
            let fingerprint = try fingerprint(of: copy.disk, process.replica.configuration)
            if isJudged, fingerprint != checker.stateFingerprint(at: index) {
                checker.fail(
                    "backup",
                    "the backup of n\(copy.node + 1) is not the state at \(index)",
                    at: now
                )
            }
            try checkRestored(manifest, copy, process.replica.configuration)
        } catch {
            checker.fail(
                "backup",
                "the finished backup of n\(copy.node + 1) at \(index) cannot be used: \(error)",
                at: now
            )
        }
        guard case .flip = copy.trouble else { return }
        checkThatDamageShows(copy)
    }

    private func fingerprint(
        of found: SimulatedDisk,
        _ configuration: ReplicaConfiguration,
        forgetsAdmissions: Bool = false
    ) throws(JournalError) -> UInt64? {
        var disk = found
        var nothing = CanonicalRecords()
        return try ReplicaNode.canonicalFingerprint(
            ofCheckpointOn: &disk,
            version: { found.version(of: $0) },
            configuration: configuration,
            forgetsAdmissions: forgetsAdmissions,
            remembering: &nothing
        )?.fingerprint
    }

    /// A bit flips in a finished backup: whoever looks at it finds that.
    private func checkThatDamageShows(_ copy: BackupCopy) {
        var disk = copy.disk
        let what = disk.flipAnywhere(&copy.random)
        do throws(JournalError) {
            guard try BackupInspection(&disk).damage.isEmpty else { return }
        } catch {
            return
        }
        checker.fail("backup", "\(what) of a backup, and nobody sees it", at: now)
    }

    // MARK: Restoring it

    /// A node of another cluster goes on from the entry of the backup, with the same state and the same log.
    private func checkRestored(
        _ manifest: BackupManifest,
        _ copy: BackupCopy,
        _ configuration: ReplicaConfiguration
    ) throws(JournalError) {
        var target = SimulatedDisk()
        target.place = copy.random.next()
        let node = hosts[copy.random.below(hosts.count)].id
        let name = "restored"
        var disk = copy.disk
        var restored = configuration
        restored.journal = JournalConfiguration(
            cluster: name,
            node: node,
            salt: copy.random.next(),
            segmentSize: configuration.journal.segmentSize,
            tailBytes: configuration.journal.tailBytes,
            maxPendingBytes: configuration.journal.maxPendingBytes
        )
        restored.raft.node = node
        restored.identity?.place = target.place
        let directory = DirectoryID(high: copy.random.next(), low: copy.random.next())
        let whose = Restoration.Target(
            cluster: name,
            node: node,
            directory: directory,
            salt: restored.journal.salt,
            segmentSize: restored.journal.segmentSize
        )
        if case .powerCutRestoring = copy.trouble {
            var whole = target
            _ = try Restoration.restore(from: &disk, to: &whole, as: whose)
            target.powerFailsAfter = copy.random.below(Int(whole.operations))
        }
        var isCutOff = false
        do throws(JournalError) {
            _ = try Restoration.restore(from: &disk, to: &target, as: whose)
        } catch {
            guard target.hasLostPower else { throw error }
            isCutOff = true
        }
        target.clearFaults()
        target.cutPower(survival(&copy.random), &copy.random)
        // Where it was cut off nothing starts, unless all is there, or nothing at all.
        if isCutOff, !target.hasFiles { return }
        var replica: ReplicaNode
        do throws(JournalError) {
            var started = target
            replica = try ReplicaNode(recovering: &started, configuration: restored, at: instant)
        } catch {
            if isCutOff, case .unfinishedRestore = error { return }
            throw error
        }
        statistics.restored += 1
        let expected = try fingerprint(of: copy.disk, configuration, forgetsAdmissions: true)
        guard try fingerprint(of: target, restored) == expected else {
            throw other("the state became another one")
        }
        guard replica.appliedIndex == manifest.entry.index,
            replica.raft.lastIndex == manifest.entry.index
        else {
            throw other(
                "it goes on from \(replica.appliedIndex), log through \(replica.raft.lastIndex)"
            )
        }
        try compareLog(
            of: &replica,
            from: manifest.firstIndex,
            through: manifest.entry.index,
            target
        )
    }

    /// Every entry is the one that was committed.
    func compareLog(
        of replica: inout ReplicaNode,
        from first: LogIndex,
        through last: LogIndex,
        _ disk: SimulatedDisk
    ) throws(JournalError) {
        let view = DiskView(read: { disk.peek($0) }, version: { disk.version(of: $0) })
        var next = first
        while next <= last {
            let entries = try replica.entries(from: next, reading: view)
            if entries.isEmpty { throw .missing(file: "entry \(next)") }
            for entry in entries where entry.index <= last {
                let position = Int(entry.index.number) - 1
                guard entry.index == next, position < checker.committed.count,
                    checker.book[checker.committed[position].id]?.entry == entry
                else { throw other("entry \(entry.id) is not the one that was committed") }
                next = next.next
            }
        }
    }

    private func other(_ what: String) -> JournalError {
        .damaged(file: "the restored directory", offset: 0, what: what)
    }
}

extension World {
    // MARK: In the calm at the end

    private var lastBackup: Int { plan.faults.count }

    /// Once more when all is well: then nothing keeps it from being finished.
    func takeLastBackup() {
        guard plan.faultKinds.contains(.backup) else { return }
        beginBackup(lastBackup, at: Int(options.seed % UInt64(hosts.count)), -1)
    }

    /// Nor does a node keep what nobody asks for any more.
    func checkBackups() {
        guard let healedAt, now > healedAt + 90 * WorldPlan.second else { return }
        if let copy = copies[lastBackup] {
            checker.fail(
                "backup",
                """
                the backup of n\(copy.node + 1) that was begun when all was well is not finished: it wants \
                \(copy.writer.map { "\($0.wanted, default: "nothing")" } ?? "to be compared")
                """,
                at: now
            )
        }
        for host in hosts {
            guard let backups = host.process.map({ $0.replica.backupsUnderWay }), backups > 0
            else { continue }
            checker.fail(
                "backup",
                "n\(host.number + 1) keeps what \(backups) backups consist of, and nobody takes them",
                at: now
            )
        }
    }
}
