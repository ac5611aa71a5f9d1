package import Journal
package import Raft
import Store
package import Verification

/// What a start finds on the disk: the newest checkpoint, and the log after it.
struct RecoveredState: ~Copyable {
    let log: RecoveredLog
    let store: StateStore
    let counters: ReplicaCounters
    /// Cost of the entries replayed.
    let appliedBytes: Int
    /// Why the checkpoint could not be used, if so.
    let setAside: String?
    /// Set if the end of the log was cut.
    let tornTail: TornTail?
    let damage: [LogDamage]
    /// Why there is no state, though there is a checkpoint and the log after it, if so.
    let stateFault: String?
    var journal: LogJournal
    var machine: StateMachine
}

extension RecoveredState {
    /// Loads the checkpoint and replays the log after it.
    ///
    /// A damaged checkpoint is moved aside where the whole log is there: all that it says is in the log as
    /// well. Elsewhere the log after it is kept, since others may count on it, and the state comes from the
    /// leader; but without the checkpoint's manifest nobody can say what that log goes on from.
    static func recover(
        from disk: inout some Disk,
        _ configuration: ReplicaConfiguration,
        _ intake: inout Intake
    ) throws(JournalError) -> RecoveredState {
        do {
            return try attempt(from: &disk, configuration, &intake)
        } catch {
            guard let file = error.fileOfState else { throw error }
            if try !isLogWhole(on: &disk, configuration.journal) {
                // Nobody has it again: what is there is left as it is.
                if configuration.raft.membership.voters.count < 2 { throw error }
                if file != RunName.manifest {
                    return try attempt(from: &disk, configuration, &intake, stateFault: "\(error)")
                }
            }
            do {
                try StateStore.setAside(on: &disk)
            } catch { throw .disk(error) }
            return try attempt(from: &disk, configuration, &intake, setAside: "\(error)")
        }
    }

    /// Whether the log reaches from the first entry to where it ends, without damage.
    private static func isLogWhole(
        on disk: inout some Disk,
        _ configuration: JournalConfiguration
    ) throws(JournalError) -> Bool {
        var configuration = configuration
        configuration.canRepair = false
        do throws(JournalError) {
            _ = try LogJournal.recover(from: &disk, configuration: configuration) { _ in }
            return true
        } catch {
            switch error {
            case .damaged, .missing, .promiseLost: return false
            default: throw error
            }
        }
    }

    private static func attempt(
        from disk: inout some Disk,
        _ configuration: ReplicaConfiguration,
        _ intake: inout Intake,
        setAside: String? = nil,
        stateFault: String? = nil
    ) throws(JournalError) -> RecoveredState {
        var store = try StateStore.open(
            on: &disk,
            cluster: configuration.journal.cluster,
            node: configuration.raft.node,
            pieceSize: configuration.state.pieceSize
        )
        var machine =
            stateFault == nil
            ? try restore(&store, from: &disk, configuration) : empty(configuration)
        var counters = ReplicaCounters()
        let checkpoint =
            store.manifest.map {
                LogCheckpoint(
                    last: $0.entry,
                    time: $0.time,
                    terms: $0.terms,
                    isFetched: $0.isFetched
                )
            } ?? .none
        var bytes = 0
        var journal = configuration.journal
        // Alone, there is nobody to repair from.
        journal.canRepair = configuration.raft.membership.voters.count > 1
        // The journal reads the disk meanwhile: from the first entry on that needs a record from the
        // store, entries wait. Without a checkpoint none does.
        var waiting: [Entry] = []
        let recovered = try LogJournal.recover(
            from: &disk,
            configuration: journal,
            after: checkpoint
        ) { entry in
            bytes += entry.cost
            guard stateFault == nil else { return }
            guard waiting.isEmpty, isLoaded(entry, machine) else {
                waiting.append(entry)
                return
            }
            ReplicaNode.replay(entry, into: &machine, &counters, &intake)
        }
        let log = recovered.log
        let tornTail = recovered.tornTail
        let damage = recovered.damage
        for entry in waiting {
            try load(entry, store, &machine, from: &disk)
            ReplicaNode.replay(entry, into: &machine, &counters, &intake)
            machine.evict(keeping: configuration.state.cacheBytes)
        }
        return RecoveredState(
            log: log,
            store: store,
            counters: counters,
            appliedBytes: bytes,
            setAside: setAside,
            tornTail: tornTail,
            damage: damage,
            stateFault: stateFault,
            journal: recovered.takeJournal(),
            machine: machine
        )
    }

    private static func empty(_ configuration: ReplicaConfiguration) -> StateMachine {
        StateMachine(
            limits: configuration.limits,
            hash: AttemptHash(
                key: configuration.journal.salt,
                bits: configuration.state.hashBits
            )
        )
    }

    fileprivate static func restore(
        _ store: inout StateStore,
        from disk: inout some Disk,
        _ configuration: ReplicaConfiguration
    ) throws(JournalError) -> StateMachine {
        guard let manifest = store.manifest else {
            return empty(configuration)
        }
        var machine: StateMachine
        do {
            machine = try StateMachine(
                restoring: manifest.head,
                limits: configuration.limits,
                hash: AttemptHash(key: manifest.hashKey, bits: configuration.state.hashBits)
            )
        } catch {
            throw .damaged(file: RunName.manifest, offset: 0, what: "\(error)")
        }
        guard machine.appliedIndex.number == manifest.entry.index.number else {
            throw .damaged(
                file: RunName.manifest,
                offset: 0,
                what: "its state is that of entry \(machine.appliedIndex.number)"
            )
        }
        let records = manifest.runs.reduce(0) { $0 + $1.records }
        machine.reservePlaces(min(records, Int(clamping: manifest.attempts)))
        var open: [RecordPlace] = []
        try store.forEachRecord(on: &disk) { place, isOpen in
            machine.place(place)
            if isOpen { open.append(place) }
        }
        for place in open { try load(place, store, &machine, from: &disk) }
        // A state that was wrong when it was written may not fit what it was written to.
        let counted = machine.counters.attempts(in: .open)
        guard counted == UInt64(open.count) else {
            throw .damaged(
                file: manifest.runs.last?.file ?? RunName.manifest,
                offset: 0,
                what: "the runs have \(open.count) open attempts, the checkpoint counts \(counted)"
            )
        }
        return machine
    }

    private static func isLoaded(_ entry: Entry, _ machine: borrowing StateMachine) -> Bool {
        guard entry.kind == .command, machine.settledCount > 0 else { return true }
        var places: [RecordPlace] = []
        machine.unloaded(forCommand: entry.payload, into: &places)
        return places.isEmpty
    }

    private static func load(
        _ entry: Entry,
        _ store: StateStore,
        _ machine: inout StateMachine,
        from disk: inout some Disk
    ) throws(JournalError) {
        guard entry.kind == .command else { return }
        var places: [RecordPlace] = []
        machine.unloaded(forCommand: entry.payload, into: &places)
        for place in places { try load(place, store, &machine, from: &disk) }
    }

    private static func load(
        _ place: RecordPlace,
        _ store: StateStore,
        _ machine: inout StateMachine,
        from disk: inout some Disk
    ) throws(JournalError) {
        let read = store.read(place.location, number: 0)
        let bytes: [UInt8]
        do {
            bytes = try disk.read(read.file, at: read.offset, count: read.count)
        } catch { throw .disk(error) }
        let record = try StateStore.record(in: bytes, of: read)
        do {
            try machine.load(record, from: place)
        } catch {
            throw .damaged(file: read.file, offset: read.offset, what: "\(error)")
        }
    }
}

extension ReplicaNode {
    /// A number for the state as the newest checkpoint on a disk has it, for checkers.
    ///
    /// With `forgetsAdmissions` it is that of the state that another cluster begins with.
    ///
    /// - Returns: the entry that it stands for, and the number; `nil` if there is no checkpoint.
    /// - Throws: `JournalError` if it cannot be used.
    package static func canonicalFingerprint(
        ofCheckpointOn disk: inout some Disk,
        version: (_ file: String) -> UInt64,
        configuration: ReplicaConfiguration,
        forgetsAdmissions: Bool = false,
        remembering known: inout CanonicalRecords
    ) throws(JournalError) -> (entry: EntryID, fingerprint: UInt64)? {
        var store = try StateStore.open(
            on: &disk,
            cluster: configuration.journal.cluster,
            node: configuration.raft.node
        )
        guard let manifest = store.manifest else { return nil }
        var machine = try RecoveredState.restore(&store, from: &disk, configuration)
        if forgetsAdmissions { machine.forgetAdmissions() }
        var records: [RecordPlace: [UInt8]] = [:]
        for place in machine.unloadedPlaces {
            let file = store.file(of: place.location)
            if known.holds(place, version: version(file)) { continue }
            let read = store.read(place.location, number: 0)
            let bytes: [UInt8]
            do {
                bytes = try disk.read(read.file, at: read.offset, count: read.count)
            } catch { throw .disk(error) }
            records[place] = Array(try StateStore.record(in: bytes, of: read))
        }
        let fingerprint = machine.canonicalFingerprint(
            version: { version(store.file(of: $0.location)) },
            reading: { records[$0] ?? [] },
            remembering: &known
        )
        return (manifest.entry, fingerprint)
    }
}

extension JournalError {
    /// The file of the state store that is damaged or missing, which the log can make again.
    fileprivate var fileOfState: String? {
        switch self {
        case .damaged(let file, _, _), .missing(let file):
            file == RunName.manifest || RunName.sequence(file) != nil ? file : nil
        case .disk, .invalidClusterName, .otherCluster, .otherNode, .unsupportedVersion,
            .promiseLost, .unfinishedRestore:
            nil
        }
    }
}
