internal import Journal
internal import Raft
internal import Replica
internal import Verification

extension World {
    func begin(_ planned: Fault, _ number: Int) {
        // After the healing began nothing goes wrong any more.
        guard !isHealing else { return }
        let fault = aim(planned, number)
        trace.note(now, "FAULT \(number): \(fault)")
        if fault.kind != .backup { calmSince = now }
        statistics.faults[fault.kind, default: 0] += 1
        let host = hosts[fault.node]
        var ends = true
        switch fault.kind {
        case .kill:
            kill(fault.node)
            restartLater(host, after: fault.duration)
            ends = false
        case .powerCut:
            cutPower(fault.node)
            restartLater(host, after: fault.duration)
            ends = false
        case .blackout:
            for host in hosts {
                cutPower(host.number)
                restartLater(host, after: fault.duration + host.random.below(WorldPlan.second))
            }
            ends = false
        case .crashAtDiskOperation: host.disk.powerFailsAfter = Int(fault.amount)
        case .pause: host.isPaused = host.process != nil
        case .isolate, .split, .oneWay, .cutLink:
            partition(fault) { network.block(from: $0, to: $1) }
        case .slowLink:
            network.slowness[fault.node][fault.peer] = UInt64(fault.amount)
            network.slowness[fault.peer][fault.node] = UInt64(fault.amount)
        case .reset:
            if fault.node != fault.peer { breakLink(fault.node, fault.peer, broken: true) }
            ends = false
        case .clockJump:
            lookAtClocks()
            host.setClock(at: now, jump: fault.amount)
            lookAtClocks()
            ends = false
        case .clockDrift: host.setClock(at: now, drift: fault.amount)
        case .slowDisk: host.slowFactor = UInt64(fault.amount)
        case .hungDisk: host.isHung = true
        case .hungLog: host.isLogHung = true
        case .fullDisk: host.disk.isFull = true
        case .failSync: host.disk.failsNextSync = true
        case .failWrite: host.disk.failsNextWrite = true
        case .failRead:
            // A record that cannot be read costs the node its state: that would be a second one, and
            // those who are right have to be a majority.
            let wrong = hosts.count { $0.isCorrupt || $0.disk.isStateDamaged }
            if wrong < max(1, (hosts.count - 1) / 2) {
                host.disk.failingReads = Int(fault.amount)
            }
        case .bitRot:
            rot(host, fault.duration, isOfEnd: fault.amount == 1)
            ends = false
        case .transfer:
            transfer(fault)
        case .rotateSecret: rotateSecret()
        case .wipe:
            replaceDirectory(host, by: nil, after: fault.duration)
            ends = false
        case .restoreCopy: copyDirectory(host)
        case .corruptState:
            corruptState(host)
            ends = false
        case .rotRun:
            rotRun(host)
            ends = false
        case .backup:
            beginBackup(number, at: fault.node, fault.amount)
            ends = false
        }
        if ends {
            activeFaults += 1
            queue.schedule(.faultEnds(number), at: fault.endsAt)
        }
    }

    private func aim(_ planned: Fault, _ number: Int) -> Fault {
        let leader = hosts.firstIndex { $0.process?.replica.raft.role == .leader }
        guard planned.aimsAtLeader, let leader, planned.kind != .bitRot,
            planned.kind != .restoreCopy
        else { return planned }
        var fault = planned
        if fault.peer == leader { fault.peer = fault.node }
        fault.node = leader
        aimed[number] = fault
        return fault
    }

    func end(_ fault: Fault) {
        guard !isHealing else { return }
        let host = hosts[fault.node]
        trace.note(now, "ends: \(fault)")
        calmSince = now
        activeFaults -= 1
        switch fault.kind {
        case .crashAtDiskOperation: host.disk.powerFailsAfter = nil
        case .pause: resume(host)
        case .isolate, .split, .oneWay, .cutLink:
            partition(fault) { network.unblock(from: $0, to: $1) }
            partition(fault) { release(from: $0, to: $1) }
        case .slowLink:
            network.slowness[fault.node][fault.peer] = 1
            network.slowness[fault.peer][fault.node] = 1
        case .clockDrift: host.setClock(at: now, drift: 0)
        case .slowDisk: host.slowFactor = 1
        case .hungDisk: unhang(host)
        case .hungLog: unhangLog(host)
        case .fullDisk: host.disk.isFull = false
        case .failSync, .failWrite, .failRead: host.disk.clearFailures()
        case .rotateSecret: if secret == hosts[0].secret { secret += 1 }
        case .transfer: endDeafness()
        case .restoreCopy:
            if let copy = host.copy {
                replaceDirectory(host, by: copy, after: WorldPlan.second)
            }
            host.copy = nil
        case .kill, .powerCut, .blackout, .reset, .clockJump, .bitRot, .wipe, .corruptState,
            .rotRun, .backup:
            break
        }
    }

    private func partition(_ fault: Fault, _ change: (Int, Int) -> Void) {
        switch fault.kind {
        case .isolate:
            for peer in hosts.indices where peer != fault.node {
                change(fault.node, peer)
                change(peer, fault.node)
            }
        case .split:
            for a in hosts.indices {
                for b in hosts.indices where fault.amount >> a & 1 != fault.amount >> b & 1 {
                    change(a, b)
                }
            }
        case .oneWay: change(fault.node, fault.peer)
        default:
            change(fault.node, fault.peer)
            change(fault.peer, fault.node)
        }
    }

    /// The leader, whoever it is, is told to hand over; now and then it cannot hear its successor
    /// for a while, and goes on believing that it leads.
    private func transfer(_ fault: Fault) {
        let leader = hosts.first { host in
            host.process?.replica.raft.role == .leader && !host.isPaused
        }
        guard let leader, let process = leader.process else { return }
        _ = process.replica.transferLeadership(to: nil, at: instant)
        checker.observe(leader.number, &process.replica, at: now)
        wake(leader.number, after: plan.turnDelay)
        guard fault.amount > 0, deafNode == nil else { return }
        deafNode = leader.number
        for peer in hosts.indices where peer != leader.number {
            network.block(from: peer, to: leader.number)
        }
    }

    private func endDeafness() {
        guard let node = deafNode else { return }
        deafNode = nil
        for peer in hosts.indices where peer != node {
            network.unblock(from: peer, to: node)
            release(from: peer, to: node)
        }
    }

    func resume(_ host: Host) {
        guard host.isPaused else { return }
        host.isPaused = false
        host.leadsStalledSince = nil
        var missed = host.inbox
        host.inbox = []
        // A process may look at its clients' sockets before it looks at its peers'.
        if host.random.chance(percent: 50) {
            missed = missed.filter(\.isRequest) + missed.filter { !$0.isRequest }
        }
        for event in missed { queue.schedule(event, at: now) }
        if host.process != nil {
            host.turnAt = .max
            wake(host.number, after: 0)
        }
    }

    func unhang(_ host: Host) {
        host.isHung = false
        goOn(host, [.background, .intake, .log])
    }

    private func unhangLog(_ host: Host) {
        host.isLogHung = false
        goOn(host, [.log])
    }

    private func goOn(_ host: Host, _ queues: [DiskQueue.Name]) {
        guard let process = host.process else { return }
        for name in queues where host[name].isStalled {
            host[name].isStalled = false
            queue.schedule(.diskStep(node: host.number, run: process.run, name), at: now)
        }
    }

    /// A machine goes down and its disk is damaged; never at so many that data could be lost.
    private func rot(_ host: Host, _ duration: UInt64, isOfEnd: Bool) {
        let lost = hosts.filter {
            checker.records[$0.number].isRotten || $0.isOut
                || $0.number != host.number && isMending($0)
        }.count
        guard !host.isOut, !hosts.contains(where: { $0.isCorrupt || $0.disk.isStateDamaged }),
            lost < (hosts.count - 1) / 2 || checker.records[host.number].isRotten
        else { return }
        cutPower(host.number)
        restartLater(host, after: duration)
        let what = isOfEnd ? host.disk.rotEnd(&host.random) : host.disk.rot(&host.random)
        guard let what else { return }
        checker.damaged(host.number)
        host.hasLost = true
        oracle.replaced(host.number)
        trace.note(now, "n\(host.number + 1): \(what)")
    }

    /// A bit flips in a run of the state while a node runs; never at two nodes at a time, so that what is damaged
    /// at one can be had from the others.
    private func rotRun(_ host: Host) {
        guard hosts.count > 2, host.process?.replica.isServing == true,
            !hosts.contains(where: { other in
                other.isCorrupt || other.isOut || other.isQuarantined || isMending(other)
                    || other.disk.failingReads > 0 || other.disk.isStateDamaged
                    || checker.records[other.number].isRotten
                    || other.process?.replica.isServing == false
            }),
            let rot = host.disk.rotRun(&host.directories)
        else { return }
        statistics.rottenRuns += 1
        if let damaged = rot.damaged { damagedRecords.append((damaged, rot.original)) }
        trace.note(now, "n\(host.number + 1): a bit flips in \(rot.file) at \(rot.offset)")
    }

    /// A host's disk for checkers.
    func view(of host: Host) -> DiskView {
        DiskView(
            read: { [unowned self] in peek($0, at: host) },
            version: { host.disk.version(of: $0) }
        )
    }

    /// What a checker reads: as it was written, though a bit flipped since.
    private func peek(_ read: DiskRead, at host: Host) -> [UInt8] {
        var bytes = host.disk.peek(read)
        // A copy of a damaged run is damaged as well.
        for (damaged, original) in damagedRecords where bytes.starts(with: damaged) {
            bytes.replaceSubrange(0..<original.count, with: original)
        }
        return bytes
    }

    /// The nodes learn the next secret, one after another, before the platform signs with it.
    private func rotateSecret() {
        for host in hosts { host.secret = secret }
    }

    /// Every fault ends: now the cluster has to recover, completely and in bounded time.
    func heal() {
        isHealing = true
        calmSince = now
        activeFaults = 0
        trace.note(now, "HEALING begins")
        network.unblockAll()
        lookAtClocks()
        for host in hosts { host.repairClock(at: now) }
        lookAtClocks()
        for host in hosts {
            host.disk.clearFaults()
            host.slowFactor = 1
            host.secret = secret
            resume(host)
            unhang(host)
            unhangLog(host)
            if host.process == nil {
                restartLater(host, after: host.random.below(WorldPlan.second))
            }
        }
        for from in hosts.indices {
            for to in hosts.indices where to != from { release(from: from, to: to) }
        }
        askLastQuestions()
    }

    /// In the calm at the end every node is asked once more for attempts that do not exist, which it
    /// cannot say without the others.
    private func askLastQuestions() {
        let last = now + plan.patience + WorldPlan.second
        let unknown = plan.attempts.indices.filter { attempt in
            !plan.attempts[attempt].isOpened && !plan.attempts[attempt].posts.isEmpty
        }
        for attempt in unknown.prefix(8) {
            for node in hosts.indices { ask(attempt, node, at: last) }
        }
        lastQuestionsUntil = last + plan.requestHold + WorldPlan.second
    }

    /// Compares whole states now and then; after the healing began, looks whether all is well.
    func inspect() {
        for host in hosts {
            guard let process = host.process else { continue }
            // In the calm it is looked at every second, and seldom anything has moved.
            if isHealing, now < plan.endsAt, now < host.comparedAt + 5 * WorldPlan.second {
                continue
            }
            host.comparedAt = now
            let closely = host.number == Int(now / (20 * WorldPlan.second)) % hosts.count
            checker.compareAll(host.number, &process.replica, closely: closely, at: now)
        }
        guard isHealing else {
            queue.schedule(.inspect, at: now + 20 * WorldPlan.second)
            return
        }
        if let ailment = findAilment() {
            self.ailment = ailment
        } else {
            lastSoundAt = now
            if healedAt == nil { rest() }
        }
        guard now >= plan.endsAt else {
            queue.schedule(.inspect, at: min(now + WorldPlan.second, plan.endsAt))
            return
        }
        // A deadline may pass at the very end, and its entry be with one node sooner than with another.
        if lastSoundAt == now { return finish() }
        guard healedAt != nil, now < plan.endsAt + 10 * WorldPlan.second else {
            checker.fail("heals", "the cluster has not healed: \(ailment)\(standing)", at: now)
            return
        }
        queue.schedule(.inspect, at: now + WorldPlan.second / 10)
    }

    /// What became of each node, a line for each.
    private var standing: String {
        hosts.map { host in
            let name = "\n  n\(host.number + 1)"
            guard let process = host.process else { return "\(name) is down" }
            return name + World.standing(process.replica) + World.standing(process.replica.raft)
        }.joined()
    }

    private static func standing(_ replica: borrowing ReplicaNode) -> String {
        " is \(replica.condition), serves: \(replica.isServing), applied \(replica.appliedIndex), "
    }

    private static func standing(_ raft: borrowing RaftNode) -> String {
        "\(raft.role) in term \(raft.currentTerm), \(raft.participation), may campaign: "
            + "\(raft.mayCampaign), log through \(raft.lastIndex), committed \(raft.commitIndex), "
            + "disk stuck: \(raft.isDiskStuck)"
    }

    /// All is well: until the end of the run a few more people call.
    private func rest() {
        healedAt = now
        trace.note(now, "HEALED")
        if now < plan.restEnds {
            let attempts = plan.restAttempts..<plan.attempts.count
            schedulePosts(of: attempts, from: now, until: plan.restEnds)
        }
        takeLastBackup()
    }

    private func findAilment() -> String? {
        if now < lastQuestionsUntil { return "the last questions are under way" }
        if unanswered > 0 { return "\(unanswered) posts were never answered" }
        let newest = checker.committed.count
        var leaders = 0
        for host in hosts where !host.isQuarantined {
            if host.isOut { return "n\(host.number + 1) does not count again" }
            if host.isCorrupt { return "n\(host.number + 1)'s state is wrong" }
            guard let process = host.process else { return "n\(host.number + 1) is down" }
            if process.replica.raft.role == .leader { leaders += 1 }
            let depth = process.replica.intakeDepth(wall: host.wall(at: now))
            if depth.records > 0 {
                return "n\(host.number + 1) has \(depth.records) callbacks in its intake"
            }
            if let ailment = damage(host, process) { return ailment }
            let applied = process.replica.appliedIndex.number
            if applied != UInt64(newest) {
                return "n\(host.number + 1) has applied \(applied) of \(newest)"
            }
            if process.replica.raft.lastIndex.number != UInt64(newest) {
                return "n\(host.number + 1) has entries that are not committed"
            }
            if process.replica.diskRoom != .enough || process.replica.isDiskStalled {
                return "n\(host.number + 1) takes its disk for full or stalled"
            }
        }
        guard leaders == 1 else { return "\(leaders) nodes lead" }
        return overdue()
    }

    /// What is damaged of a state is found by itself, and mended while another node has a better copy.
    private func damage(_ host: Host, _ process: Process) -> String? {
        let known = process.replica.knownDamages
        let hasBetter = hosts.contains { $0 !== host && !$0.disk.isStateDamaged }
        if known.kept > 0, hasBetter { return "n\(host.number + 1) keeps a damaged state" }
        guard known.all == 0 else { return nil }
        return host.disk.damagedRuns.first { process.replica.hasRun($0) }
            .map { "n\(host.number + 1) has not found that \($0) is damaged" }
    }

    /// Attempts whose deadline has passed by every clock, and that are open all the same.
    private func overdue() -> String? {
        let wall = hosts[0].wall(at: now).milliseconds
        let last = checker.committed.last?.time ?? 0
        let passed = checker.timePassed(at: now)
        for plan in plan.attempts {
            guard let attempt = checker.model.attempts[plan.id], let deadline = attempt.deadline
            else { continue }
            if deadline <= max(wall, last, passed) {
                return "\(plan.id) is open behind its deadline"
            }
        }
        return nil
    }

    private func finish() {
        let committed = checker.committedRequests()
        for host in hosts {
            guard let process = host.process else { continue }
            let missing = oracle.missing(
                in: { id in
                    process.replica.timeline(id, reading: view(of: host))
                },
                plan.attempts,
                checker.model,
                hasLost: { hosts[$0].hasLost },
                committed: committed
            )
            if let missing {
                checker.fail(
                    "nothing acknowledged is lost",
                    "missing at n\(host.number + 1): \(missing)",
                    at: now
                )
            }
        }
        checkPlacement()
        checkBackups()
        checkLogs()
        trace.note(now, "END")
        isDone = true
    }
}
