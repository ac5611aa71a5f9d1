package import Journal
package import Raft
import Store
package import Verification

/// Settled attempts: their records are read before an entry that names them is applied, and before
/// they are read from the state.
extension ReplicaNode {
    /// Times that a record's read may fail before the state is given up.
    static var maxLoadFailures: Int { 3 }

    /// Whether an attempt can be read from the state now.
    ///
    /// If not its record is read, and a `LoadCompletion` with `context` tells; whoever waits asks
    /// again then.
    package mutating func makeAvailable(
        _ attempt: AttemptID,
        context: UInt64,
        at now: Instant
    ) -> Availability {
        guard machine.presence(of: attempt) == .unloaded else { return .ready }
        guard loads.waiting < configuration.maxPendingRequests else { return .refused }
        let waiter = LoadTable.Waiter(
            context: context,
            attempt: attempt,
            deadline: now.advanced(by: configuration.requestHold)
        )
        machine.hold(attempt)
        enqueue(waiter)
        return .loading
    }

    /// Attempts' records under way.
    package var loadsUnderWay: Int { loads.count }

    private mutating func enqueue(_ waiter: LoadTable.Waiter) {
        placesToLoad.removeAll(keepingCapacity: true)
        machine.unloaded(waiter.attempt, into: &placesToLoad)
        // The last one's end finds the others in memory, or asks for them again.
        for place in placesToLoad where !loads.isUnderWay(place) { load(place) }
        if let place = placesToLoad.last { loads.wait(waiter, for: place) }
    }

    private mutating func load(
        _ place: RecordPlace,
        failures: Int = 0,
        _ waiters: [LoadTable.Waiter] = []
    ) {
        let read = store.read(place.location, number: nextDiskReadNumber)
        nextDiskReadNumber += 1
        store.pin(place.location.run)
        var load = LoadTable.Load(place: place, read: read, waiters: waiters)
        load.failures = failures
        loads.begin(load)
        output.loads.append(read)
    }

    /// Whether all that a committed entry names is in memory; what is not is read.
    mutating func isLoaded(_ entry: Entry) -> Bool {
        guard machine.settledCount > 0, entry.kind == .command else { return true }
        placesToLoad.removeAll(keepingCapacity: true)
        machine.unloaded(forCommand: entry.payload, into: &placesToLoad)
        guard !placesToLoad.isEmpty else { return true }
        for place in placesToLoad where !loads.isUnderWay(place) { load(place) }
        return false
    }

    /// Reads ahead for entries that are in the log and not applied yet, so that applying hardly ever
    /// waits.
    mutating func prefetch() {
        guard machine.settledCount > 0, stateFault == nil else { return }
        prefetched = max(min(prefetched, raft.lastIndex), appliedIndex)
        guard prefetched < raft.lastIndex, loads.count < configuration.state.maxLoads else {
            return
        }
        let entries = raft.entries(
            from: prefetched.next,
            through: raft.lastIndex,
            maxBytes: 1 << 18
        )
        for entry in entries {
            guard loads.count < configuration.state.maxLoads else { return }
            prefetched = entry.index
            _ = isLoaded(entry)
        }
    }

    /// A read of `output.loads` is done.
    ///
    /// - Returns: false if the read was none of these.
    mutating func loadCompleted(
        _ number: UInt64,
        _ result: Result<[UInt8], DiskError>,
        at now: Instant
    ) -> Bool {
        guard let load = loads.finish(number) else { return false }
        store.unpin(load.place.location.run)
        do {
            let bytes = try result.get()
            let record = try StateStore.record(in: bytes, of: load.read)
            try machine.load(record, from: load.place)
        } catch {
            loadFailed(load, "\(error)", at: now)
            return true
        }
        for waiter in load.waiters {
            if machine.presence(of: waiter.attempt) == .unloaded {
                enqueue(waiter)
            } else {
                tell(waiter, isReady: true)
            }
        }
        return true
    }

    private mutating func tell(_ waiter: LoadTable.Waiter, isReady: Bool) {
        output.loaded.append(LoadCompletion(context: waiter.context, isReady: isReady))
        served.append(waiter.attempt)
    }

    /// Part of the turn, after evictions: those told before it were served behind the turn before.
    mutating func releaseServed() {
        for attempt in served[..<servedBefore] { machine.release(attempt) }
        served.removeFirst(servedBefore)
        servedBefore = served.count
    }

    private mutating func loadFailed(_ load: LoadTable.Load, _ reason: String, at now: Instant) {
        // It may have been moved by a merge in the meantime, and is asked for where it is now.
        guard machine.wants(load.place) else {
            for waiter in load.waiters { enqueue(waiter) }
            return
        }
        guard load.failures + 1 < ReplicaNode.maxLoadFailures else {
            for waiter in load.waiters { tell(waiter, isReady: false) }
            giveUpState(reason)
            return
        }
        var again = load
        again.failures += 1
        again.retryAt = now.advanced(by: ReplicaNode.housekeepingInterval)
        loads.begin(again)
    }

    /// Part of the house-keeping: who waited too long is told, and what failed is tried again.
    mutating func keepLoads(at now: Instant) {
        for waiter in loads.expire(at: now) { tell(waiter, isReady: false) }
        for load in loads.takeRetries(at: now) {
            guard machine.wants(load.place) else {
                for waiter in load.waiters { enqueue(waiter) }
                continue
            }
            self.load(load.place, failures: load.failures, load.waiters)
        }
    }

    /// The state cannot be used any more.
    ///
    /// The log can: this node goes on to vote and to acknowledge, and has the leader's checkpoint instead.
    /// Alone it has nobody to ask. Where its whole log is there, the checkpoint is moved aside and the owner
    /// starts anew from the log; else it starts anew with what it has, since a read may fail once.
    mutating func giveUpState(_ reason: String) {
        guard stateFault == nil else { return }
        stateFault = reason
        helpedAt = lastTurnAt
        isRebuilding = true
        output.completions += requests.giveUpAll()
        raft.avoidOffice(true, at: lastTurnAt)
        output.notices.append(.stateDamaged(reason, isAlone: isAlone))
        handOverInQuarantine(at: lastTurnAt)
        guard isAlone, !journal.reachesBack else { return }
        isRetired = true
        output.notices.append(.digest(.startsAnew))
    }

    /// Part of the house-keeping: a state that could not be read, and that nobody has any more, is begun anew with
    /// what is on the disk.
    ///
    /// A read may have failed for a while only; and if a record is lost for good, a node that has all others is of
    /// more use than one that has none. Those who have a state may not hand it on: one that nobody compared, while
    /// those are away with whom it could be.
    mutating func startAnewWithoutHelp(at now: Instant) {
        guard stateFault != nil, !isRetired, !isPublishingInstall else { return }
        let hasHelp = otherVoters(at: now).contains { peer in
            peer.condition == .healthy
                || peer.condition == .damaged && damagedFetches < ReplicaNode.maxRefusedCopies
        }
        guard !hasHelp || helpedAt.advanced(by: ReplicaNode.patienceWithHelp) <= now else {
            helplessSince = nil
            return
        }
        let since = helplessSince ?? now
        helplessSince = since
        guard since.advanced(by: ReplicaNode.patienceWithoutHelp) <= now else { return }
        isRetired = true
        output.notices.append(.digest(.startsAnew))
    }

    /// So long nobody need have given a piece of a state, though some could.
    private static var patienceWithHelp: Duration { .seconds(60) }
    private static var patienceWithoutHelp: Duration { .seconds(10) }

    var isAlone: Bool { configuration.raft.membership.voters.count < 2 }

    // MARK: For checkers

    /// An attempt as the state has it, wherever its record is; reads the disk at once.
    package borrowing func attempt(
        _ id: AttemptID,
        reading disk: DiskView,
        remembering known: inout CanonicalRecords
    ) -> AttemptView? {
        machine.attempt(
            id,
            version: { disk.version(store.file(of: $0.location)) },
            reading: { record(at: $0, disk.read) },
            remembering: &known
        )
    }

    /// An attempt's timeline, wherever its record is; reads the disk at once.
    package borrowing func timeline(
        _ id: AttemptID,
        reading disk: DiskView
    ) -> [TimelineEntry]? {
        machine.timeline(id) { place in record(at: place, disk.read) }
    }

    /// A number for the whole state, wherever its records are; reads the disk at once.
    package borrowing func canonicalFingerprint(
        reading disk: DiskView,
        remembering known: inout CanonicalRecords
    ) -> UInt64 {
        var versions: [Int: UInt64] = [:]
        return machine.canonicalFingerprint(
            version: { disk.version(of: $0, in: store, &versions) },
            reading: { record(at: $0, disk.read) },
            remembering: &known
        )
    }

    /// Entries of the log from one of them on, at least one unless the log has not got that one; reads the disk at once.
    package mutating func entries(
        from index: LogIndex,
        reading disk: DiskView
    ) throws(JournalError) -> [Entry] {
        let size = 1 << 16
        guard let read = journal.planRead(from: index, maxBytes: size) else { return [] }
        return try journal.entries(in: disk.read(read), of: read, from: index, maxBytes: size)
    }

    private borrowing func record(
        at place: RecordPlace,
        _ disk: (DiskRead) -> [UInt8]
    ) -> [UInt8] {
        let read = store.read(place.location, number: 0)
        return (try? StateStore.record(in: disk(read), of: read)).map { Array($0) } ?? []
    }
}

/// What is on a disk, for checkers: without faults and at once.
package struct DiskView {
    package let read: (DiskRead) -> [UInt8]
    /// Another number from each change of a file on.
    package let version: (_ file: String) -> UInt64

    package init(
        read: @escaping (DiskRead) -> [UInt8],
        version: @escaping (_ file: String) -> UInt64
    ) {
        self.read = read
        self.version = version
    }

    /// The version of a record's run, asked for once in a walk through all records.
    func version(
        of place: RecordPlace,
        in store: StateStore,
        _ versions: inout [Int: UInt64]
    ) -> UInt64 {
        let run = place.location.run
        if let version = versions[run] { return version }
        let version = version(store.file(of: place.location))
        versions[run] = version
        return version
    }
}
