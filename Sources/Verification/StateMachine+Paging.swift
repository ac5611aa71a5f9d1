/// What the state machine knows of attempts that are not in memory, and of those that need not be.
struct Paging: Sendable {
    /// Attempts changed since the newest checkpoint began, by position.
    var dirty: [UInt32] = []
    /// The checkpoint under way, if one is.
    var freezing = Freezing()
    var isFreezing = false
    /// What the newest durable checkpoint keeps of the past: a restart begins there, so that what was
    /// forgotten since must not be lost yet.
    var durable = Retention()
    /// Clean decided attempts in memory, and what they cost.
    var cachedCount = 0
    var cachedBytes = 0
    /// Where the clock's hand stands.
    var hand = 0
    /// Counts calls of `evict`.
    var turn: UInt32 = 1
    /// Hashes of attempts that somebody waits for: their records are not evicted.
    var held: [UInt64: Int] = [:]
    var loads: UInt64 = 0
    var evictions: UInt64 = 0
    /// Reads records at once, for tests and for a start from the log: whoever sets it need not load.
    var reader: (@Sendable (RecordPlace) -> [UInt8])?
}

/// Whether an attempt can be asked for.
package enum Presence: Hashable, Sendable {
    case resident
    /// No attempt has this ID.
    case absent
    /// Records that may be its are to be loaded first.
    case unloaded
}

extension StateMachine {
    // MARK: Looking up

    /// Where an attempt stands in memory, for a change; `nil` if there is none with this ID.
    mutating func find(_ id: AttemptID) -> Int? {
        if let position = positions[id] { return use(position) }
        guard !settled.isEmpty else { return nil }
        let hash = self.hash(id)
        if settled.hasUnloaded(hash) {
            loadNow(hash)
            guard let position = positions[id] else { return nil }
            return use(position)
        }
        return nil
    }

    private mutating func use(_ position: Int) -> Int? {
        attempts.residences[position].isReferenced = true
        guard attempts[position].verdict != nil else { return position }
        if retention.isForgotten(attempts[position]) { return nil }
        if retention.isCompact(attempts[position]), !attempts[position].isCompact {
            // The checkpoint under way may be of a time when it was not.
            if attempts.residences[position].freeze == .waiting { encodeFrozen(position) }
            attempts[position].dropDetails()
        }
        return position
    }

    /// Shows an attempt as the state has it.
    func look<Result>(_ id: AttemptID, _ body: (AttemptRecord) -> Result) -> Result? {
        guard let position = positions[id] else {
            guard !settled.isEmpty else { return nil }
            let hash = self.hash(id)
            guard settled.hasUnloaded(hash) else { return nil }
            guard let reader = paging.reader else {
                fatalError("invariant broken: \(id) is read before it is loaded")
            }
            return peek(id, hash, { decode(reader($0)) }, body)
        }
        guard attempts[position].verdict != nil else { return body(attempts[position]) }
        if retention.isForgotten(attempts[position]) { return nil }
        guard retention.isCompact(attempts[position]), !attempts[position].isCompact else {
            return body(attempts[position])
        }
        var record = attempts[position]
        record.dropDetails()
        return body(record)
    }

    private func peek<Result>(
        _ id: AttemptID,
        _ hash: UInt64,
        _ read: (RecordPlace) -> AttemptRecord?,
        _ body: (AttemptRecord) -> Result
    ) -> Result? {
        var places: [RecordPlace] = []
        unloaded(hash, into: &places)
        for place in places {
            guard var record = read(place), record.id == id,
                !retention.isForgotten(record)
            else { continue }
            if retention.isCompact(record) { record.dropDetails() }
            return body(record)
        }
        return nil
    }

    private func decode(_ bytes: [UInt8]) -> AttemptRecord? {
        do {
            return try AttemptRecord(decoding: bytes[...], flows: flowList)
        } catch {
            fatalError("invariant broken: a record that was read does not decode: \(error)")
        }
    }

    /// An attempt that need not be in memory: for checkers, which may read at once.
    package func attempt(
        _ id: AttemptID,
        version: (RecordPlace) -> UInt64,
        reading read: (RecordPlace) -> [UInt8],
        remembering known: inout CanonicalRecords
    ) -> AttemptView? {
        if positions[id] != nil { return attempt(id) }
        return peek(
            id,
            hash(id),
            { place in decoded(at: place, version, read, &known).value },
            { $0.view }
        )
    }

    /// The timeline of an attempt that need not be in memory.
    package func timeline(
        _ id: AttemptID,
        reading read: (RecordPlace) -> [UInt8]
    ) -> [TimelineEntry]? {
        if positions[id] != nil { return timeline(id) }
        return peek(id, hash(id), { decode(read($0)) }, { $0.timeline })
    }

    // MARK: Loading

    /// Whether an attempt can be asked for; counts as a use of it.
    package mutating func presence(of id: AttemptID) -> Presence {
        if let position = positions[id] {
            attempts.residences[position].isReferenced = true
            return retention.isForgotten(attempts[position]) ? .absent : .resident
        }
        guard !settled.isEmpty, paging.reader == nil else { return .absent }
        return settled.hasUnloaded(hash(id)) ? .unloaded : .absent
    }

    /// The records to be loaded before an attempt is asked for.
    package func unloaded(_ id: AttemptID, into places: inout [RecordPlace]) {
        guard !settled.isEmpty, positions[id] == nil else { return }
        unloaded(hash(id), into: &places)
    }

    /// The records to be loaded before an encoded command can be applied.
    package func unloaded(forCommand payload: [UInt8], into places: inout [RecordPlace]) {
        guard !settled.isEmpty else { return }
        if let id = Command.attemptID(in: payload) {
            unloaded(hash(id), into: &places)
        } else if Command.isRepeats(payload), let command = try? Command(decoding: payload),
            case .repeats(let batch) = command
        {
            for item in batch.items { unloaded(item.attempt, into: &places) }
        }
    }

    private func unloaded(_ hash: UInt64, into places: inout [RecordPlace]) {
        settled.forEach(hash) { word in
            if word & RecordLocation.residentBit == 0 {
                places.append(RecordPlace(hash: hash, location: RecordLocation(word: word)))
            }
        }
    }

    private mutating func loadNow(_ hash: UInt64) {
        guard let reader = paging.reader else {
            fatalError("invariant broken: entry \(appliedIndex.number) applied before its load")
        }
        var places: [RecordPlace] = []
        unloaded(hash, into: &places)
        for place in places {
            do {
                _ = try load(reader(place)[...], from: place)
            } catch {
                fatalError("invariant broken: a record that was read does not decode: \(error)")
            }
        }
    }

    /// Keeps what is loaded of an attempt, and of others with its hash, in memory until `release`.
    ///
    /// Who waits for several records needs them all at once.
    package mutating func hold(_ id: AttemptID) { paging.held[hash(id), default: 0] += 1 }

    package mutating func release(_ id: AttemptID) {
        let hash = self.hash(id)
        guard let count = paging.held[hash] else { return }
        paging.held[hash] = count > 1 ? count - 1 : nil
    }

    /// Whether a record is still where a load was begun from, and not in memory.
    package func wants(_ place: RecordPlace) -> Bool { settled.holdsUnloaded(place) }

    /// Takes a record into memory.
    ///
    /// Nothing happens if it is there already, or was moved since the load began: whoever needs it
    /// looks again.
    ///
    /// - Parameters:
    ///   - bytes: the record, as it was encoded.
    ///   - place: where it was read.
    /// - Throws: `CommandDecodeError` if the bytes are not a record of that place.
    package mutating func load(
        _ bytes: ArraySlice<UInt8>,
        from place: RecordPlace
    ) throws(CommandDecodeError) {
        guard settled.holdsUnloaded(place) else { return }
        let record = try AttemptRecord(decoding: bytes, flows: flowList)
        guard hash(record.id) == place.hash else { throw .invalid(field: "attempt") }
        // A forgotten one may have a successor by the same name. Two that are not forgotten are two states
        // in one, after something changed the state behind its back.
        if !retention.isForgotten(record), let other = positions[record.id],
            !retention.isForgotten(attempts[other])
        {
            throw .invalid(field: "attempt")
        }
        guard !paging.durable.isForgotten(record) else {
            _ = settled.removeUnloaded(place)
            return
        }
        paging.loads += 1
        // One that is forgotten since is held, but no lookup finds it.
        let isForgotten = retention.isForgotten(record)
        let position = isForgotten ? attempts.append(record) : insert(record)
        attempts.residences[position].isDetached = isForgotten
        _ = settled.setResident(place, at: position)
        attempts.residences[position].location = place.location
        attempts.residences[position].keptUntil = paging.turn &+ 2
        if record.state == .open {
            deadlines.set(record.deadline, of: position)
        } else {
            cache(position)
        }
    }

    /// Puts a record in memory, in the place of a forgotten one if there is one.
    mutating func insert(_ record: AttemptRecord) -> Int {
        let old = positions[record.id]
        let position = attempts.append(record)
        positions.set(record.id, at: position)
        if let old {
            invariant(retention.isForgotten(attempts[old]), "\(record.id) is held twice")
            attempts.residences[old].isDetached = true
        }
        return position
    }

    // MARK: Changes and the cache

    /// A record is about to change: the checkpoint under way takes it as it is, and the next one will
    /// take what becomes of it.
    mutating func willChange(_ position: Int) {
        if attempts.residences[position].freeze == .waiting { encodeFrozen(position) }
        guard !attempts.residences[position].isDirty else { return }
        attempts.residences[position].isDirty = true
        paging.dirty.append(UInt32(position))
        uncache(position)
    }

    /// A decided record whose newest version is durable may be evicted from now on.
    mutating func cache(_ position: Int) {
        guard !attempts.residences[position].isCached else { return }
        let cost = attempts[position].memoryCost
        attempts.residences[position].isCached = true
        attempts.residences[position].cost = UInt32(clamping: cost)
        paging.cachedCount += 1
        paging.cachedBytes += cost
    }

    private mutating func uncache(_ position: Int) {
        guard attempts.residences[position].isCached else { return }
        attempts.residences[position].isCached = false
        paging.cachedCount -= 1
        paging.cachedBytes -= Int(attempts.residences[position].cost)
    }

    /// Gives memory back: clean decided records, those not asked for lately first (clock).
    ///
    /// Once a turn. What was loaded in this turn or the last stays, so that whoever waited for it
    /// finds it.
    ///
    /// - Parameters:
    ///   - limit: cost of the records that may stay, in bytes.
    ///   - maxSteps: places looked at, at most.
    /// - Returns: whether more is to be evicted.
    @discardableResult
    package mutating func evict(keeping limit: Int, maxSteps: Int = 512) -> Bool {
        paging.turn &+= 1
        // The first time round takes the marks of use away, the second one evicts.
        var steps = min(maxSteps, 2 * attempts.end)
        var isOfUse = false
        while paging.cachedBytes > limit, steps > 0 {
            steps -= 1
            paging.hand = paging.hand + 1 < attempts.end ? paging.hand + 1 : 0
            let residence = attempts.residences[paging.hand]
            guard residence.isCached, residence.keptUntil < paging.turn else { continue }
            if residence.isReferenced {
                attempts.residences[paging.hand].isReferenced = false
                isOfUse = true
                continue
            }
            if !paging.held.isEmpty, paging.held[hash(attempts[paging.hand].id)] != nil { continue }
            evict(paging.hand)
            isOfUse = true
        }
        // Where nothing may go now, asking again at once is in vain.
        return paging.cachedBytes > limit && isOfUse
    }

    /// Lets go of a record in memory that is forgotten.
    mutating func evictForgotten(_ position: Int) {
        invariant(
            retention.isForgotten(attempts[position]),
            "\(attempts[position].id) is dropped and not forgotten"
        )
        evict(position)
    }

    private mutating func evict(_ position: Int) {
        let residence = attempts.residences[position]
        guard let location = residence.location, !residence.isDirty, residence.freeze == .none
        else {
            fatalError("invariant broken: \(attempts[position].id) evicted before it is durable")
        }
        let id = attempts[position].id
        let hash = self.hash(id)
        uncache(position)
        let isGone = paging.durable.isForgotten(attempts[position])
        if !residence.isDetached, positions[id] == position { positions.remove(id) }
        let isKnown =
            isGone
            ? settled.removeResident(hash, at: position)
            : settled.setUnloaded(hash, position, at: location)
        invariant(isKnown, "\(id) evicted, and its place is not in the index")
        attempts.remove(at: position)
        paging.evictions += 1
    }

    // MARK: Sizes

    /// Reads records at once from here on; for tests, and for a start from the log.
    package mutating func setReader(_ reader: (@Sendable (RecordPlace) -> [UInt8])?) {
        paging.reader = reader
    }

    /// Attempts in memory.
    package var residentCount: Int { attempts.count }
    /// Attempts with a record in the state store.
    package var settledCount: Int { settled.count }
    /// Where all settled attempts lie that are not in memory; for checkers.
    package var unloadedPlaces: [RecordPlace] {
        var places: [RecordPlace] = []
        settled.forEachUnloaded { places.append($0) }
        return places
    }
    /// Slots that a search in the index of settled attempts walks over, on average; takes a walk through
    /// all of it.
    package var meanIndexWalk: Double { settled.meanWalk }
    /// Attempts changed since the newest checkpoint began.
    package var dirtyCount: Int { paging.dirty.count }
    /// Cost of what may be evicted, in bytes.
    package var cachedBytes: Int { paging.cachedBytes }
    package var loadCount: UInt64 { paging.loads }
    package var evictionCount: UInt64 { paging.evictions }
    /// Attempts that are open.
    package var openCount: Int { deadlines.count }
}
