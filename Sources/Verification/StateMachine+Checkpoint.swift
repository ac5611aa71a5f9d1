/// Records that a checkpoint has encoded, in a row.
package struct EncodedRecords: Sendable {
    package struct Item: Sendable {
        /// Names the record to `StateMachine.settle`.
        package var position: UInt32
        package var hash: UInt64
        package var ordinal: UInt64
        /// When it was decided; `nil`: it is open.
        package var decidedAt: LogTime?
        package var isCompact: Bool
        /// Where it ends in `bytes`; it begins where the one before ends.
        package var end: Int
    }
    package var bytes: [UInt8] = []
    package var items: [Item] = []
    package init() {}
}

/// The checkpoint under way: the attempts that it takes, as they were when it began.
struct Freezing: Sendable {
    var positions: [UInt32] = []
    /// Those before are encoded.
    var next = 0
    var encoded = EncodedRecords()
    /// Records given back to the store's writer and not settled yet.
    var unsettled = 0
    /// What was kept of the past when it began.
    var retention = Retention()
}

/// Checkpoints: the state as it is at one entry is written while further entries are applied.
///
/// The list of changed attempts is taken at once; they are encoded bit by bit, and one that is about to
/// change before its turn is encoded first (copy on write).
extension StateMachine {
    /// Begins a checkpoint of the state as it is now.
    ///
    /// - Returns: all of the state but the attempts (`StateMachine.init(restoring:)`).
    /// - Precondition: none is under way.
    package mutating func beginCheckpoint() -> [UInt8] {
        invariant(!paging.isFreezing, "a checkpoint begun beside another")
        var positions: [UInt32] = []
        swap(&positions, &paging.dirty)
        for position in positions {
            attempts.residences[Int(position)].isDirty = false
            attempts.residences[Int(position)].freeze = .waiting
        }
        paging.isFreezing = true
        paging.freezing = Freezing(
            positions: positions,
            unsettled: positions.count,
            retention: retention
        )
        return encodeHead()
    }

    /// Encodes further records of the checkpoint under way, some `maxBytes` at most.
    ///
    /// - Returns: whether all are encoded.
    package mutating func encodeCheckpoint(maxBytes: Int) -> Bool {
        invariant(paging.isFreezing, "no checkpoint is under way")
        let limit = paging.freezing.encoded.bytes.count + maxBytes
        while paging.freezing.next < paging.freezing.positions.count {
            guard paging.freezing.encoded.bytes.count < limit else { return false }
            let position = Int(paging.freezing.positions[paging.freezing.next])
            paging.freezing.next += 1
            if attempts.residences[position].freeze == .waiting { encodeFrozen(position) }
        }
        return true
    }

    mutating func encodeFrozen(_ position: Int) {
        invariant(paging.isFreezing, "a record is frozen and no checkpoint under way")
        attempts.residences[position].freeze = .encoded
        // By the marks of the state that is written, which may have moved on since.
        if paging.freezing.retention.isCompact(attempts[position]) {
            attempts[position].dropDetails()
        }
        attempts[position].encode(into: &paging.freezing.encoded.bytes)
        let item = EncodedRecords.Item(
            position: UInt32(position),
            hash: hash(attempts[position].id),
            ordinal: attempts[position].ordinal,
            decidedAt: attempts[position].verdict?.moment.time,
            isCompact: attempts[position].isCompact,
            end: paging.freezing.encoded.bytes.count
        )
        paging.freezing.encoded.items.append(item)
    }

    /// Takes what was encoded since the last time.
    package mutating func takeEncoded() -> EncodedRecords {
        var encoded = EncodedRecords()
        swap(&encoded, &paging.freezing.encoded)
        return encoded
    }

    /// A record of the checkpoint is durable, and the checkpoint too.
    ///
    /// - Returns: where the version before lies.
    @discardableResult
    package mutating func settle(
        _ item: EncodedRecords.Item,
        at location: RecordLocation
    ) -> RecordLocation? {
        let position = Int(item.position)
        invariant(
            attempts.residences[position].freeze == .encoded
                && attempts[position].ordinal == item.ordinal,
            "attempt \(item.ordinal) settled, and not of the checkpoint"
        )
        attempts.residences[position].freeze = .none
        let old = attempts.residences[position].location
        if old == nil {
            settled.insertResident(item.hash, at: position)
        }
        attempts.residences[position].location = location
        if !attempts.residences[position].isDirty, attempts[position].state.isTerminal {
            cache(position)
        }
        paging.freezing.unsettled -= 1
        return old
    }

    /// The checkpoint is durable and all of its records are settled.
    package mutating func endCheckpoint() {
        invariant(
            paging.isFreezing && paging.freezing.unsettled == 0,
            "a checkpoint ended with \(paging.freezing.unsettled) records not settled"
        )
        paging.isFreezing = false
        paging.durable = paging.freezing.retention
        paging.freezing = Freezing()
    }

    /// The checkpoint under way could not be written: its records belong to the next one.
    package mutating func abandonCheckpoint() {
        guard paging.isFreezing else { return }
        let positions = paging.freezing.positions
        paging.isFreezing = false
        paging.freezing = Freezing()
        for position in positions {
            attempts.residences[Int(position)].freeze = .none
            guard !attempts.residences[Int(position)].isDirty else { continue }
            attempts.residences[Int(position)].isDirty = true
            paging.dirty.append(position)
        }
    }

    package var isCheckpointUnderWay: Bool { paging.isFreezing }

    // MARK: Copies

    /// What becomes of a settled record when runs are merged.
    package enum Copy: Hashable, Sendable {
        /// `decidedAt` is later than that where it is the ID's time that keeps the record: then it is to be
        /// looked at again, but not for ever. (A run takes it for no later than its checkpoint.)
        case asItIs(decidedAt: LogTime?, isCompact: Bool)
        /// Its retention time is over: these bytes are left.
        case compact([UInt8], decidedAt: LogTime)
        case forgotten(decidedAt: LogTime)
        /// Another version of it is newer.
        case superseded
    }

    /// What is to be copied of a record that lies at a place.
    package func copy(
        of bytes: ArraySlice<UInt8>,
        at place: RecordPlace
    ) throws(CommandDecodeError) -> Copy {
        guard isNewest(place) else { return .superseded }
        guard let decided = AttemptRecord.decidedAt(in: bytes) else {
            return .asItIs(decidedAt: nil, isCompact: false)
        }
        // By the marks of the durable checkpoint: a restart from there still has what they keep.
        let retention = paging.durable
        guard decided.at < max(retention.forgetMark, retention.detailsMark) else {
            return .asItIs(decidedAt: decided.at, isCompact: decided.isCompact)
        }
        if decided.isCompact, decided.at >= retention.forgetMark {
            return .asItIs(decidedAt: decided.at, isCompact: true)
        }
        var record = try AttemptRecord(decoding: bytes, flows: flowList)
        if retention.isForgotten(record) { return .forgotten(decidedAt: decided.at) }
        var keptFor = decided.at
        if decided.at < retention.forgetMark, let time = record.id.embeddedTime {
            keptFor = min(time, self.time)
        }
        guard retention.isCompact(record), !decided.isCompact else {
            return .asItIs(decidedAt: keptFor, isCompact: decided.isCompact)
        }
        record.dropDetails()
        var left: [UInt8] = []
        record.encode(into: &left)
        return .compact(left, decidedAt: keptFor)
    }

    /// What the newest durable checkpoint keeps of the past.
    package var durableRetention: Retention { paging.durable }

    /// Whether the newest durable version of a record lies here.
    package func isNewest(_ place: RecordPlace) -> Bool {
        settled.holdsUnloaded(place) || resident(at: place) != nil
    }

    /// Has a record written again with the next checkpoint, since it cannot be read where it lies.
    ///
    /// - Returns: false if it is not in memory, so that nobody here has it any more.
    package mutating func writeAgain(_ place: RecordPlace) -> Bool {
        guard let position = resident(at: place) else { return false }
        // The checkpoint under way may have it already.
        if attempts.residences[position].freeze == .none { willChange(position) }
        return true
    }

    private func resident(at place: RecordPlace) -> Int? {
        var found: Int?
        settled.forEachResident(place.hash) { position in
            if attempts.residences[position].location == place.location { found = position }
        }
        return found
    }

    /// A record was copied: its durable version lies elsewhere now, unless a newer one does.
    ///
    /// - Returns: whether the copy is the newest version.
    package mutating func moved(_ place: RecordPlace, to location: RecordLocation) -> Bool {
        if settled.move(place, to: location) { return true }
        guard let position = resident(at: place) else { return false }
        attempts.residences[position].location = location
        return true
    }

    /// The bytes of a forgotten record were not copied: its place is given up.
    ///
    /// - Returns: false if it is in memory still, from where it goes by itself; its bytes must stay.
    package mutating func dropped(_ place: RecordPlace) -> Bool {
        if settled.removeUnloaded(place) { return true }
        guard let position = resident(at: place) else { return true }
        guard !attempts.residences[position].isDirty, attempts.residences[position].freeze == .none
        else { return false }
        evictForgotten(position)
        return true
    }
}
