internal import Backup
internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Operators take backups of running nodes.
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
            return endBackup(number, "the node is gone")
        }
        // The answer is on its way, unless the node goes first.
        guard copy.context == nil else { return askLater(number, after: WorldPlan.second) }
        guard !host.isPaused else { return askLater(number, after: 100 * WorldPlan.millisecond) }
        if case .abandoned(let pieces) = copy.trouble, copy.pieces >= pieces {
            return endBackup(number, "whoever took it is gone")
        }
        defer { wake(copy.node, after: plan.turnDelay) }
        guard copy.writer != nil else { return look(number, copy, process) }
        guard let wanted = copy.writer?.wanted else { return finishBackup(number, copy, process) }
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
            backupFailed(number, copy, "n\(copy.node + 1) has not got \(wanted) of its backup", nil)
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
                return backupFailed(number, copy, "n\(copy.node + 1) gives no backup's list", error)
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
            backupFailed(number, copy, "n\(copy.node + 1) cannot read a piece of its backup", error)
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
            backupFailed(number, copy, "a piece of n\(copy.node + 1)'s backup is refused", error)
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
        endBackup(number, "the node has given it up")
    }

    func endBackup(_ number: Int, _ why: String) {
        guard let copy = copies.removeValue(forKey: number) else { return }
        if let context = copy.context { copiesByContext[context] = nil }
        trace.note(now, "the backup of n\(copy.node + 1) ends: \(why)")
    }

    /// It cannot be taken: something of the node's was damaged, or the power is gone where it is written.
    func backupFailed(
        _ number: Int,
        _ copy: BackupCopy,
        _ what: String,
        _ error: JournalError?
    ) {
        let what = what + (error.map { ": \($0)" } ?? "")
        defer { endBackup(number, what) }
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
}
