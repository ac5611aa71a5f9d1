import Journal
import Raft
import Store
import Verification

/// How far the runs of the newest durable checkpoint are looked through.
///
/// One at a time, from front to back, by their numbers. Which record a damaged place belongs to only the run's list
/// knows, and whether that is sound is known when it is looked through, too; so what was found in a run is judged at
/// its end.
struct StateScrub {
    enum Phase {
        case resting
        case reading(RunScan)
        /// The list is read, which says where each record begins: one is damaged, or in a piece that cannot be read.
        case listing(RunScan, FooterScan, Failure?)
        case judging
    }
    /// Why a place does not count as whole.
    struct Failure {
        var part: RunScan.Part
        var reason: String
    }
    struct Finding {
        var failure: Failure
        var offset: Int
        /// Of a record: what the list says of it.
        var entry: FooterEntry?
    }
    /// A place of a run, by the run's number.
    struct Place: Hashable {
        var run: UInt64
        var offset: Int
    }

    var phase = Phase.resting
    /// The run that is looked through, pinned in the store.
    var handle = 0
    /// Its list, if anything was damaged in it.
    var list: [FooterEntry] = []
    var findings: [Finding] = []
    var read: DiskRead?
    /// Times in a row that the same place could not be read, or was damaged.
    var failures = 0
    var failedAt = -1
    var restsUntil: Instant?
    /// A read failed, which says nothing about where in the piece: what lies before is read part by part.
    var carefulUntil = 0
    /// Turns in a row that what requests wait for came first.
    var turnsWaited = 0

    /// When the round began that is under way, or was the last one.
    var began: Instant?
    /// The run before the next one, and the last one of the round; runs begun later are for the next round.
    var done: UInt64 = 0
    var last: UInt64 = 0
    /// Looked through before all others: something found damage in it.
    var urgent: Int?

    /// What is known to be damaged, and what was last said to be done about it.
    var known: [Place: RunRemedy] = [:]
    /// Since when this node has kept damage, and the peers are told so.
    var keptSince: Instant?
    /// What it had applied then.
    var keptAt = LogIndex.zero
    var counts = ScrubCounts()

    @inline(__always)
    var keepsDamage: Bool { keptSince != nil }
}

extension ReplicaNode {
    /// Damaged records of one run that are looked at one by one.
    private static var maxFindings: Int { 32 }
    /// House-keepings in a row that a piece waits while requests wait for records.
    private static var maxTurnsWaited: Int { 10 }

    // MARK: Reading

    /// Reads a little of the runs of the state.
    mutating func scrubState(at now: Instant) {
        guard scrubbing.state.read == nil, isServing, stateFault == nil, !isRetired else { return }
        if case .resting = scrubbing.state.phase {
            guard beginRunScrub(at: now) else { return }
        } else if !store.isCurrent(scrubbing.state.handle) {
            // It was merged meanwhile.
            endRunScrub()
            return
        }
        if let rest = scrubbing.state.restsUntil, rest > now { return }
        switch scrubbing.state.phase {
        case .resting: break
        case .judging: judgeRun(at: now)
        case .reading(let scan):
            guard let piece = nextPiece(of: scan) else { break }
            readRun(scan.run, at: piece.offset, count: piece.count)
        case .listing(let scan, let list, _):
            guard let piece = list.next else { break }
            readRun(scan.run, at: piece.offset, count: piece.count)
        }
    }

    /// - Returns: false if no run is to be looked through now.
    private mutating func beginRunScrub(at now: Instant) -> Bool {
        var next: Int?
        if let urgent = scrubbing.state.urgent {
            scrubbing.state.urgent = nil
            if store.isCurrent(urgent) { next = urgent }
        }
        if next == nil {
            next = store.run(after: scrubbing.state.done, through: scrubbing.state.last)
            if next == nil {
                guard beginScrubRound(at: now) else { return false }
                next = store.run(after: 0, through: scrubbing.state.last)
            }
            if let next, let run = store.run(next) { scrubbing.state.done = run.sequence }
        }
        guard let handle = next, let run = store.run(handle) else { return false }
        store.pin(handle)
        scrubbing.state.handle = handle
        scrubbing.state.phase = .reading(RunScan(run))
        return true
    }

    private mutating func beginScrubRound(at now: Instant) -> Bool {
        if let began = scrubbing.state.began {
            if scrubbing.state.last > 0 { endScrubRound(at: now) }
            guard began.advanced(by: configuration.scrubInterval) <= now else { return false }
        }
        guard store.runCount > 0 else { return false }
        scrubbing.state.began = now
        scrubbing.state.done = 0
        scrubbing.state.last = store.lastRun
        return true
    }

    private mutating func endScrubRound(at now: Instant) {
        scrubbing.state.counts.rounds += 1
        scrubbing.state.done = 0
        scrubbing.state.last = 0
        guard !scrubbing.state.known.isEmpty else { return }
        let runs = Set((store.manifest?.runs ?? []).map(\.sequence))
        scrubbing.state.known = scrubbing.state.known.filter { runs.contains($0.key.run) }
        noteKept(at: now)
    }

    mutating func endRunScrub() {
        store.unpin(scrubbing.state.handle)
        scrubbing.state.phase = .resting
        scrubbing.state.list = []
        scrubbing.state.findings = []
        scrubbing.state.failures = 0
        scrubbing.state.failedAt = -1
        scrubbing.state.restsUntil = nil
        scrubbing.state.carefulUntil = 0
    }

    private func nextPiece(of scan: RunScan) -> (offset: Int, count: Int)? {
        guard scan.position < scrubbing.state.carefulUntil else { return scan.wanted() }
        let end = scan.recordBytes(scrubbing.state.list).map { scan.position + $0 } ?? scan.partEnd
        return scan.wanted(min(RunScan.pieceSize, end - (scan.wanted()?.offset ?? end)))
    }

    private mutating func readRun(_ run: Run, at offset: Int, count: Int) {
        // What requests wait for comes first, but not for ever.
        if !loads.isEmpty, scrubbing.state.turnsWaited < ReplicaNode.maxTurnsWaited {
            scrubbing.state.turnsWaited += 1
            return
        }
        scrubbing.state.turnsWaited = 0
        let read = DiskRead(
            number: nextDiskReadNumber,
            file: run.file,
            offset: offset,
            count: count
        )
        nextDiskReadNumber += 1
        scrubbing.budget -= count
        scrubbing.state.read = read
        output.loads.append(read)
    }

    /// - Returns: whether the read was of a run, to look for damage.
    mutating func stateScrubbed(
        _ number: UInt64,
        _ result: Result<[UInt8], DiskError>,
        at now: Instant
    ) -> Bool {
        guard let read = scrubbing.state.read, read.number == number else { return false }
        scrubbing.state.read = nil
        if case .success(let bytes) = result {
            scrubbing.state.counts.bytes += UInt64(bytes.count)
        }
        switch scrubbing.state.phase {
        case .reading(let scan): take(result, of: read, scan, at: now)
        case .listing(let scan, let list, let failure):
            takeList(result, list, scan, failure, at: now)
        case .resting, .judging: break
        }
        return true
    }

    private mutating func take(
        _ result: Result<[UInt8], DiskError>,
        of read: DiskRead,
        _ before: RunScan,
        at now: Instant
    ) {
        var scan = before
        let failure: StateScrub.Failure
        var isUnread = false
        do {
            try scan.take(try result.get())
            scrubbing.state.failures = 0
            return goOn(scan, at: now)
        } catch let error as JournalError {
            failure = StateScrub.Failure(part: scan.damaged, reason: "\(error)")
        } catch {
            isUnread = true
            scan.startOver()
            failure = StateScrub.Failure(part: scan.part, reason: "\(error)")
        }
        scrubbing.state.phase = .reading(scan)
        guard hasFailed(at: scan.position, at: now) else { return }
        guard isUnread, scan.position >= scrubbing.state.carefulUntil else {
            return found(failure, scan, at: now)
        }
        scrubbing.state.carefulUntil = read.offset + read.count
        scrubbing.state.failures = 0
        guard scan.position < scan.run.footerOffset, scrubbing.state.list.isEmpty else { return }
        scrubbing.state.phase = .listing(scan, FooterScan(scan.run), nil)
    }

    private mutating func takeList(
        _ result: Result<[UInt8], DiskError>,
        _ before: FooterScan,
        _ scan: RunScan,
        _ failure: StateScrub.Failure?,
        at now: Instant
    ) {
        var list = before
        do {
            try list.take(try result.get())
        } catch {
            guard hasFailed(at: scan.run.footerOffset, at: now) else {
                // Any piece of it may have been the wrong one.
                scrubbing.state.phase = .listing(scan, FooterScan(scan.run), failure)
                return
            }
            return found(StateScrub.Failure(part: .list, reason: "\(error)"), scan, at: now)
        }
        guard list.next == nil else {
            scrubbing.state.phase = .listing(scan, list, failure)
            return
        }
        scrubbing.state.list = list.entries
        scrubbing.state.failures = 0
        scrubbing.state.phase = .reading(scan)
        if let failure { found(failure, scan, at: now) }
    }

    private mutating func goOn(_ scan: RunScan, at now: Instant) {
        scrubbing.state.phase = .reading(scan)
        if scan.isDone { runEnds(scan.run, at: now) }
    }

    /// Something went wrong at a place; it is tried again before it counts, since a read may go wrong once.
    ///
    /// - Returns: whether it counts now.
    private mutating func hasFailed(at position: Int, at now: Instant) -> Bool {
        if scrubbing.state.failedAt != position {
            scrubbing.state.failedAt = position
            scrubbing.state.failures = 0
        }
        scrubbing.state.failures += 1
        guard scrubbing.state.failures < ReplicaNode.maxLoadFailures else { return true }
        scrubbing.state.restsUntil = now.advanced(by: ReplicaNode.housekeepingInterval)
        return false
    }

    // MARK: Damage

    /// A place is not what was written, however often it is read.
    private mutating func found(_ failure: StateScrub.Failure, _ scan: RunScan, at now: Instant) {
        var scan = scan
        var finding = StateScrub.Finding(failure: failure, offset: scan.position)
        scrubbing.state.failures = 0
        switch failure.part {
        case .header, .trailer: scan.skipPart()
        case .record, .padding:
            guard !scrubbing.state.list.isEmpty else {
                scrubbing.state.phase = .listing(scan, FooterScan(scan.run), failure)
                return
            }
            finding.entry = scan.skipRecord(scrubbing.state.list)
            if finding.entry == nil { finding.failure.part = .list }
        case .list: break
        }
        scrubbing.state.findings.append(finding)
        if scrubbing.state.findings.count >= ReplicaNode.maxFindings {
            scrubbing.state.findings[scrubbing.state.findings.count - 1].failure.part = .list
        }
        // Without the list nothing can be said about what follows.
        if scrubbing.state.findings.last?.failure.part == .list {
            return runEnds(scan.run, at: now)
        }
        goOn(scan, at: now)
    }

    private mutating func runEnds(_ run: Run, at now: Instant) {
        guard scrubbing.state.findings.isEmpty else {
            scrubbing.state.phase = .judging
            return
        }
        store.mend(scrubbing.state.handle, .none)
        if !scrubbing.state.known.isEmpty {
            scrubbing.state.known = scrubbing.state.known.filter { $0.key.run != run.sequence }
            noteKept(at: now)
        }
        endRunScrub()
    }
}
