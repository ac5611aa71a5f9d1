internal import Backup
internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Whether another cluster could go on from what operators took: each finished backup is looked at, and restored.
extension World {
    // MARK: Looking at it

    func finishBackup(_ number: Int, _ copy: BackupCopy, _ process: Process) {
        var disk = copy.disk
        do throws(JournalError) {
            let found = try copy.writer?.finish(at: UInt64(Host.epoch), on: &disk)
            copy.disk = disk
            guard let found else { return }
            statistics.backups += 1
            trace.fold(found.manifest.entry.index.number)
            _ = process.replica.endBackup(copy.id)
            endBackup(number, "it is of entry \(found.manifest.entry)")
            check(found.manifest, copy, process)
        } catch {
            copy.disk = disk
            backupFailed(number, copy, "n\(copy.node + 1)'s backup is not whole", error)
        }
    }

    /// The machine that it is written on has lost its power: it is finished and whole, or says that it is not finished.
    func checkCutOff(_ copy: BackupCopy) {
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
        .damaged(file: "the log", offset: 0, what: what)
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
