internal import Journal
internal import Raft
internal import Replica
internal import Verification

/// Data directories that are emptied or put back from an older copy, replicas whose state changes
/// behind their backs, and the operators who mend both.
extension World {
    // MARK: Directories

    /// It had lost something once, and its disk may still say so: a crash would have it repair again.
    ///
    /// Or it still lacks some of the log, which another one may be the last to have.
    func isMending(_ host: Host) -> Bool {
        guard host.hasLost else { return false }
        guard let process = host.process else { return true }
        return process.replica.raft.participation != .full || !process.replica.raft.isTermDurable
            || plan.keepsLog && !process.replica.journal.holes.isEmpty
    }

    /// A node's directory is emptied, or an older copy of it is put in its place.
    ///
    /// Never at so many that what was promised could be lost.
    func replaceDirectory(_ host: Host, by copy: SimulatedDisk?, after delay: UInt64) {
        let isOther = { (other: Host) in other.number != host.number }
        let lost = hosts.filter {
            isOther($0) && ($0.isOut || $0.isQuarantined || isMending($0))
        }.count
        guard lost < (hosts.count - 1) / 2, !host.isOut, !host.isQuarantined,
            !hosts.contains(where: {
                checker.records[$0.number].isRotten || $0.disk.isStateDamaged
            })
        else { return }
        kill(host.number)
        var place: UInt64 = 0
        while place == 0 { place = host.directories.next() }
        host.disk = copy ?? SimulatedDisk()
        // Its name is met, though perhaps no process has come up on it.
        if let found = try? IdentityFile.load(from: &host.disk), let file = found.file {
            host.meet(file.identity.directory)
        }
        host.disk.place = place
        host.isOut = true
        host.isDirectorySound = true
        host.hasLost = true
        host.wasMet = false
        host.runBefore = host.run
        checker.replaced(host.number)
        oracle.replaced(host.number)
        statistics.replacedDirectories += 1
        trace.note(
            now,
            "n\(host.number + 1)'s directory is \(copy == nil ? "emptied" : "an older copy")"
        )
        restartLater(host, after: delay)
        queue.schedule(
            .readmit(node: host.number),
            at: now + delay + host.directories.below(30 * WorldPlan.second)
        )
    }

    /// What could be put back later: what a power cut would leave now.
    func copyDirectory(_ host: Host) {
        guard !host.isOut, !host.isCorrupt, host.disk.hasFiles else { return }
        var copy = host.disk
        copy.clearFaults()
        // What is written to either of them from now on is not what is on the other.
        copy.place = ~copy.place
        copy.cutPower(.nothing, &host.directories)
        host.copy = copy
    }

    /// An operator lets a node in with the directory it has now, as often as it takes; now and then two do.
    func readmit(_ node: Int) {
        guard hosts[node].isOut else { return }
        var operators = now % 3 == 0 ? 2 : 1
        queue.schedule(.readmit(node: node), at: now + 2 * WorldPlan.second)
        for host in hosts where host.number != node && !host.isPaused {
            guard let process = host.process, process.replica.raft.leader != nil,
                let directory = process.replica.knock(of: hosts[node].id)
            else { continue }
            let command = Command.readmit(
                Readmission(
                    node: hosts[node].id.number,
                    high: directory.high,
                    low: directory.low,
                    replaces: process.replica.directory(of: hosts[node].id).map {
                        .init(high: $0.high, low: $0.low)
                    },
                    request: RequestID(node: host.id.number, incarnation: 0, sequence: 0)
                )
            )
            let context = nextRequest
            nextRequest += 1
            guard
                case .taken(let id) = process.replica.submit(command, context: context, at: instant)
            else { continue }
            checker.submitted(command, as: id)
            process.frontEnd.operations.insert(context)
            wake(host.number, after: plan.turnDelay)
            operators -= 1
            if operators == 0 { return }
        }
    }

    func note(_ notice: IdentityNotice, _ host: Host) {
        trace.note(now, "n\(host.number + 1): \(notice)")
        switch notice {
        case .repaired, .formed:
            guard host.isOut else { return }
            host.isOut = false
            calmSince = now
        case .opened(let directory, let origin, let starts, _):
            if host.isOut, origin == .known, !host.wasMet, !isNew(directory, starts, host) {
                checker.fail(
                    "directories",
                    "n\(host.number + 1) takes a copy of its directory for the directory",
                    at: now
                )
            }
            host.wasMet = true
            host.meet(directory)
        case .readmitted(let node, _, let index):
            guard !checker.admissions.contains(index.number) else { return }
            checker.fail(
                "directories",
                "n\(host.number + 1) lets \(node) in at \(index), which was in already",
                at: now
            )
        case .excluded, .repairing, .damaged: break
        }
    }

    /// A directory that is met for the first time, and yet is known where it lies.
    ///
    /// A copy must be known for one. But a start that fails, for
    /// want of power as a rule, may have drawn a new name before; it counts no more starts than there
    /// were since the directory was replaced.
    private func isNew(_ directory: DirectoryID, _ starts: UInt64, _ host: Host) -> Bool {
        !host.directoriesMet.contains(directory) && starts > 1
            && starts <= UInt64(host.run - host.runBefore)
    }

    // MARK: Greetings

    /// Two nodes greet each other over a link that could come up.
    ///
    /// - Returns: whether both let the other in.
    func greet(_ a: Int, _ b: Int) -> Bool {
        guard let one = hosts[a].process, let other = hosts[b].process else { return false }
        let refusal = judge(one, a, at: other, b)
        let back = judge(other, b, at: one, a)
        for node in [a, b] { wake(node, after: plan.turnDelay) }
        return refusal == nil && back == nil
    }

    /// `process` greets `judge`.
    private func judge(
        _ process: Process,
        _ node: Int,
        at judge: Process,
        _ peer: Int
    ) -> IdentityRefusal? {
        let refusal = judge.replica.refusal(
            of: process.replica.greeting,
            from: hosts[node].id,
            run: process.replica.configuration.incarnation,
            isRunning: false,
            at: instant
        )
        if let refusal {
            process.replica.refused(
                by: hosts[peer].id,
                refusal.description,
                kind: refusal.kind,
                at: instant
            )
            checker.observe(node, &process.replica, at: now)
            if !hosts[node].isOut, !hosts[peer].isOut, refusal.kind != .other {
                checker.fail(
                    "directories",
                    "n\(peer + 1) refuses n\(node + 1), which nothing happened to: \(refusal)",
                    at: now
                )
            }
        }
        checker.observe(peer, &judge.replica, at: now)
        return refusal
    }

    // MARK: States

    /// A replica's state changes behind its back: it is as if an entry had not been applied.
    func corruptState(_ host: Host) {
        // Else a second node could have its checkpoint before anybody sees that it is wrong.
        guard plan.keepsLog, hosts.count > 2, !host.isOut, let process = host.process,
            process.replica.isServing,
            process.replica.isStateAtRest,
            !hosts.contains(where: {
                // Nor may another one lose its state for a read that fails.
                $0.isCorrupt || $0.isQuarantined || checker.records[$0.number].isRotten
                    || $0.disk.failingReads > 0 || $0.disk.isStateDamaged
                    || $0.process?.replica.isServing == false
            })
        else { return }
        // Who has no state cannot say who is right.
        let lost = hosts.filter { $0 !== host && ($0.isOut || isMending($0)) }.count
        guard lost < (hosts.count - 1) / 2 else { return }
        let applied = process.replica.appliedIndex.number
        let marked = process.replica.machine.digest.marks.last?.index.number ?? 0
        // What was compared already stays as it was.
        let candidates = (marked..<applied).filter { checker.committed[Int($0)].changesState }
        guard !candidates.isEmpty else { return }
        let skipped = candidates[host.directories.below(candidates.count)]
        var machine = StateMachine(
            limits: process.replica.configuration.limits,
            hash: process.replica.machine.hash
        )
        let (committed, book) = (checker.committed, checker.book)
        ReferenceState.apply(&machine, through: applied, committed, book, without: skipped + 1)
        process.replica.machine = machine
        host.isCorrupt = true
        host.soundCheckpoint = process.replica.checkpoint
        host.newestSound = process.replica.checkpoint
        host.isDirectorySound = false
        checker.corrupted(host.number)
        statistics.corruptStates += 1
        calmSince = now
        trace.note(now, "n\(host.number + 1)'s state is as if entry \(skipped + 1) were missing")
    }

    func note(_ notice: DigestNotice, _ host: Host) {
        trace.note(now, "n\(host.number + 1): \(notice)")
        switch notice {
        case .quarantined(let mismatch):
            guard host.isCorrupt else {
                checker.fail(
                    "digest",
                    "n\(host.number + 1) is quarantined, but its state is right: \(mismatch)",
                    at: now
                )
                return
            }
            statistics.foundByDigest += 1
            queue.schedule(
                .rebuild(node: host.number),
                at: now + host.directories.below(10 * WorldPlan.second)
            )
        case .noMajority:
            guard !hosts.contains(where: \.isCorrupt) else { return }
            checker.fail("digest", "no majority has a digest, but all states are right", at: now)
        case .rebuiltInVain(let mismatch):
            checker.fail(
                "digest",
                "n\(host.number + 1) built its state anew, and it is wrong: \(mismatch)",
                at: now
            )
        case .rebuilding, .unconfirmed: break
        case .startsAnew:
            kill(host.number)
            restartLater(host, after: WorldPlan.millisecond)
        }
    }

    func rebuild(_ node: Int) {
        let host = hosts[node]
        guard host.isCorrupt, let process = host.process else { return }
        guard process.replica.rebuild(at: instant) else { return }
        wake(node, after: plan.turnDelay)
    }

    /// A process has started: its state is right again, unless it began with a checkpoint of the wrong one.
    func started(_ host: Host, _ process: Process) {
        guard host.isCorrupt else { return }
        if !host.isDirectorySound, let checkpoint = process.replica.checkpoint,
            checkpoint != host.soundCheckpoint
        {
            // The next comparison may find nothing: whoever had it built anew says so again.
            queue.schedule(
                .rebuild(node: host.number),
                at: now + host.directories.below(10 * WorldPlan.second)
            )
            return
        }
        stateIsRight(host)
    }

    private func stateIsRight(_ host: Host) {
        host.isCorrupt = false
        calmSince = now
        guard let process = host.process else { return }
        checker.rebuilt(host.number)
        checker.compareAll(host.number, &process.replica, at: now)
    }
}
