/// Where settled attempts lie, by the hash of their IDs: 16 bytes a slot, open addressing.
///
/// Several slots may have one hash: the ID in the record decides. Split into shards that grow one at
/// a time, so that growing never holds the node up, and by a quarter, so that little is empty.
struct SettledIndex: Sendable {
    struct Slot: Sendable {
        var hash: UInt64
        /// A location's word, or, of a record in memory, its position there shifted left with the
        /// lowest bit set; 0 where the slot is empty.
        var word: UInt64
    }

    private static let shardBits: UInt64 = 12
    private static let empty = Slot(hash: 0, word: 0)
    private var shards = [[Slot]](repeating: [], count: 1 << shardBits)
    private var counts = [Int32](repeating: 0, count: 1 << shardBits)
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    private static func shard(_ hash: UInt64) -> Int { Int(hash >> (64 - shardBits)) }
    /// Where a hash's slots begin in a shard of `capacity` slots.
    private static func home(_ hash: UInt64, _ capacity: Int) -> Int {
        // A shift binds tighter than a multiplication.
        Int(((hash & 0xffff_ffff) &* UInt64(capacity)) >> 32)
    }

    /// Slots that a search for what is there walks over, on average.
    var meanWalk: Double {
        var walked = 0
        for shard in shards {
            for (at, slot) in shard.enumerated() where slot.word != 0 {
                let home = Self.home(slot.hash, shard.count)
                walked += 1 + (at >= home ? at - home : at + shard.count - home)
            }
        }
        return count == 0 ? 0 : Double(walked) / Double(count)
    }

    /// Makes room for so many slots in all at once, before they are inserted.
    mutating func reserve(_ total: Int) {
        let each = total >> Int(Self.shardBits)
        guard each > 0 else { return }
        let capacity = each + each / 3 + 8
        for shard in shards.indices where shards[shard].count < capacity {
            resize(shard, to: capacity)
        }
    }

    /// Calls `body` with the words of all slots that have the hash.
    func forEach(_ hash: UInt64, _ body: (UInt64) -> Void) {
        let shard = Self.shard(hash)
        let capacity = shards[shard].count
        guard capacity > 0 else { return }
        var at = Self.home(hash, capacity)
        while shards[shard][at].word != 0 {
            if shards[shard][at].hash == hash { body(shards[shard][at].word) }
            at = at + 1 == capacity ? 0 : at + 1
        }
    }

    /// Whether a record that may have the hash's ID is not in memory.
    func hasUnloaded(_ hash: UInt64) -> Bool {
        var found = false
        forEach(hash) { if $0 & RecordLocation.residentBit == 0 { found = true } }
        return found
    }

    func forEachUnloaded(_ body: (RecordPlace) -> Void) {
        for shard in shards {
            for slot in shard where slot.word != 0 && slot.word & RecordLocation.residentBit == 0 {
                body(RecordPlace(hash: slot.hash, location: RecordLocation(word: slot.word)))
            }
        }
    }

    private mutating func insert(_ hash: UInt64, word: UInt64) {
        let shard = Self.shard(hash)
        if (Int(counts[shard]) + 1) * 5 > shards[shard].count * 4 {
            resize(shard, to: shards[shard].count + shards[shard].count / 4 + 8)
        }
        place(Slot(hash: hash, word: word), in: shard)
        counts[shard] += 1
        count += 1
    }

    /// Whether a record that is not in memory lies at a place.
    func holdsUnloaded(_ place: RecordPlace) -> Bool {
        find(place.hash, place.location.word) != nil
    }

    /// The record at a place that is not in memory lies elsewhere from now on.
    ///
    /// - Returns: false if there is none.
    mutating func move(_ place: RecordPlace, to location: RecordLocation) -> Bool {
        change(place.hash, place.location.word, to: location.word)
    }

    /// The record at a place is in memory from now on.
    mutating func setResident(_ place: RecordPlace, at position: Int) -> Bool {
        change(place.hash, place.location.word, to: Self.word(ofResident: position))
    }

    /// A record in memory is not any more, and lies here.
    mutating func setUnloaded(_ hash: UInt64, _ position: Int, at location: RecordLocation) -> Bool
    {
        change(hash, Self.word(ofResident: position), to: location.word)
    }

    mutating func insertResident(_ hash: UInt64, at position: Int) {
        insert(hash, word: Self.word(ofResident: position))
    }

    mutating func insertUnloaded(_ place: RecordPlace) {
        insert(place.hash, word: place.location.word)
    }

    mutating func removeResident(_ hash: UInt64, at position: Int) -> Bool {
        remove(hash, Self.word(ofResident: position))
    }

    mutating func removeUnloaded(_ place: RecordPlace) -> Bool {
        remove(place.hash, place.location.word)
    }

    /// The positions in memory of records whose IDs have the hash.
    func forEachResident(_ hash: UInt64, _ body: (Int) -> Void) {
        forEach(hash) { word in
            if word & RecordLocation.residentBit != 0 { body(Int(word >> 1)) }
        }
    }

    private static func word(ofResident position: Int) -> UInt64 {
        UInt64(position) << 1 | RecordLocation.residentBit
    }

    private mutating func remove(_ hash: UInt64, _ word: UInt64) -> Bool {
        guard let found = find(hash, word) else { return false }
        let shard = Self.shard(hash)
        let capacity = shards[shard].count
        // What comes behind moves up, so that no gap parts a slot from its home.
        var gap = found
        var at = gap
        while true {
            at = at + 1 == capacity ? 0 : at + 1
            let slot = shards[shard][at]
            guard slot.word != 0 else { break }
            let home = Self.home(slot.hash, capacity)
            let fromHome = at >= home ? at - home : at + capacity - home
            let fromGap = at >= gap ? at - gap : at + capacity - gap
            if fromHome >= fromGap {
                shards[shard][gap] = slot
                gap = at
            }
        }
        shards[shard][gap] = Self.empty
        counts[shard] -= 1
        count -= 1
        return true
    }

    private func find(_ hash: UInt64, _ word: UInt64) -> Int? {
        let shard = Self.shard(hash)
        let capacity = shards[shard].count
        guard capacity > 0 else { return nil }
        var at = Self.home(hash, capacity)
        while shards[shard][at].word != 0 {
            let slot = shards[shard][at]
            if slot.hash == hash, slot.word == word { return at }
            at = at + 1 == capacity ? 0 : at + 1
        }
        return nil
    }

    private mutating func change(_ hash: UInt64, _ old: UInt64, to new: UInt64) -> Bool {
        guard let at = find(hash, old) else { return false }
        shards[Self.shard(hash)][at].word = new
        return true
    }

    private mutating func place(_ slot: Slot, in shard: Int) {
        let capacity = shards[shard].count
        var at = Self.home(slot.hash, capacity)
        while shards[shard][at].word != 0 { at = at + 1 == capacity ? 0 : at + 1 }
        shards[shard][at] = slot
    }

    private mutating func resize(_ shard: Int, to capacity: Int) {
        let old = shards[shard]
        shards[shard] = [Slot](repeating: Self.empty, count: capacity)
        for slot in old where slot.word != 0 { place(slot, in: shard) }
    }
}
