internal import Journal
internal import Replica

/// What a node's disk does for its process: three queues of batches, and reads.
extension World {
    func begin(
        _ batch: DiskBatch,
        on name: DiskQueue.Name,
        _ host: Host,
        _ process: Process
    ) {
        guard host[name].batch == nil else {
            checker.fail(
                "one batch at a time",
                "n\(host.number + 1) starts batch \(batch.number) (\(name)) beside another",
                at: now
            )
            return
        }
        host[name] = DiskQueue(batch: batch)
        if name == .log, ReplicaNode.carriesLog(batch), process.replica.journal.isWritingRecords {
            checker.batchBegun(host.number, &process.replica)
        }
        scheduleStep(name, host, process)
    }

    private func scheduleStep(_ name: DiskQueue.Name, _ host: Host, _ process: Process) {
        guard let operation = host[name].operation else { return }
        var delay = plan.diskWrite
        switch operation {
        case .sync, .syncDirectory: delay = plan.diskSync
        default: break
        }
        delay = (delay / 2 + host.random.below(delay + 1)) * host.slowFactor
        // Every disk has its slow moments.
        if name == .log, host.random.chance(perMillion: 2000) { delay *= 20 }
        queue.schedule(.diskStep(node: host.number, run: process.run, name), at: now + delay)
    }

    func diskStep(_ node: Int, run: Int, _ name: DiskQueue.Name) {
        let host = hosts[node]
        guard let process = host.process, process.run == run, let batch = host[name].batch,
            let operation = host[name].operation
        else { return }
        guard !host.isHung, name != .log || !host.isLogHung else {
            host[name].isStalled = true
            return
        }
        trace.fold(UInt64(node) << 8 | UInt64(5 + name.rawValue))
        do throws(DiskError) {
            try host.disk.perform(operation)
        } catch {
            failed(error, batch, name, host, run)
            return
        }
        trace.note(now, "n\(node + 1) disk, \(name): \(describe(operation))")
        host[name].next += 1
        guard host[name].next == batch.operations.count else {
            scheduleStep(name, host, process)
            return
        }
        if name == .log { checker.batchEnded(node, isClean: host.disk.isLogClean) }
        ended(batch, name, nil, host, run)
    }

    private func ended(
        _ batch: DiskBatch,
        _ name: DiskQueue.Name,
        _ error: DiskError?,
        _ host: Host,
        _ run: Int
    ) {
        host[name].batch = nil
        happen(.batchDone(node: host.number, run: run, name, number: batch.number, error))
    }

    private func failed(
        _ error: DiskError,
        _ batch: DiskBatch,
        _ name: DiskQueue.Name,
        _ host: Host,
        _ run: Int
    ) {
        trace.note(now, "n\(host.number + 1) disk, \(name): \(error)")
        if error.code == SimulatedDisk.powerLost {
            cutPower(host.number)
        } else if name == .background {
            // The process goes on without it.
            ended(batch, name, error, host, run)
            return
        } else if batch.isUntouched(by: error, at: host[name].next) {
            statistics.fullDisks += 1
            ended(batch, name, error, host, run)
            return
        } else if error.code == SimulatedDisk.ioError {
            // A failed write or sync stops the node at once.
            trace.note(now, "n\(host.number + 1) stops: \(error)")
            statistics.stopsByDisk += 1
            kill(host.number)
        } else {
            checker.fail("written where there is room", "n\(host.number + 1): \(error)", at: now)
            return
        }
        restartLater(host, after: WorldPlan.second + host.random.below(5 * WorldPlan.second))
    }

    /// The process hears that its batch is durable, or what ended it.
    func batchDone(
        _ node: Int,
        run: Int,
        _ name: DiskQueue.Name,
        number: UInt64,
        _ error: DiskError?
    ) {
        guard let process = hosts[node].process, process.run == run else { return }
        switch (name, error) {
        case (.log, nil): process.replica.batchCompleted(number, at: instant)
        case (.log, let error?): process.replica.batchFoundNoRoom(number, error, at: instant)
        case (.intake, nil): process.replica.intakeWritten(number, at: instant)
        case (.intake, let error?): process.replica.intakeFoundNoRoom(number, error, at: instant)
        case (.background, nil):
            process.replica.backgroundCompleted(number, .success(()), at: instant)
        case (.background, let error?):
            process.replica.backgroundCompleted(number, .failure(error), at: instant)
        }
        checker.observe(node, &process.replica, at: now)
        wake(node, after: plan.turnDelay / 4)
    }

    func diskRead(_ node: Int, run: Int, _ read: DiskRead) {
        let host = hosts[node]
        guard let process = host.process, process.run == run else { return }
        guard !host.isHung else {
            queue.schedule(
                .diskRead(node: node, run: run, read),
                at: now + 100 * WorldPlan.millisecond
            )
            return
        }
        statistics.journalReads += 1
        let result: Result<[UInt8], DiskError>
        do throws(DiskError) {
            result = .success(
                try host.disk.read(read.file, at: read.offset, count: read.count)
            )
        } catch {
            result = .failure(error)
        }
        process.replica.readCompleted(read.number, result, at: instant)
        checker.observe(node, &process.replica, at: now)
        wake(node, after: plan.turnDelay / 4)
    }

    /// The power goes: what was under way may have begun.
    func beginWhatIsUnderWay(_ host: Host) {
        for name in [DiskQueue.Name.log, .background, .intake] {
            guard let operation = host[name].operation else { continue }
            if name == .log {
                guard case .write = operation else { continue }
            }
            guard host.random.chance(percent: 50) else { continue }
            host.disk.clearFaults()
            // Whether it succeeds, nobody is left to hear.
            _ = try? host.disk.perform(operation)
        }
    }
}
