/// Where attempts in memory are in the slab, by ID.
///
/// Split into shards so that growing never rehashes more than a sliver of it at once. Never iterated,
/// so the order of hashing shows nowhere.
struct AttemptIndex: Sendable {
    private static let shardCount = 1024
    private var shards = [[AttemptID: Int]](repeating: [:], count: shardCount)

    subscript(id: AttemptID) -> Int? { shards[AttemptIndex.shard(of: id)][id] }

    /// Puts an attempt in; one that is forgotten, but was still held, may have had the ID.
    mutating func set(_ id: AttemptID, at position: Int) {
        shards[AttemptIndex.shard(of: id)][id] = position
    }

    mutating func remove(_ id: AttemptID) { shards[AttemptIndex.shard(of: id)][id] = nil }

    /// FNV-1a, 32 bits.
    private static func shard(of id: AttemptID) -> Int {
        var hash: UInt32 = 2_166_136_261
        for byte in id.text.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return Int(hash ^ (hash >> 16)) & (shardCount - 1)
    }
}

/// How an attempt in memory stands to the state store.
struct Residence: Sendable {
    enum Freeze: UInt8, Sendable {
        case none
        /// Belongs to the checkpoint under way, which has not encoded it yet.
        case waiting
        /// The checkpoint under way has it as it was when that began.
        case encoded
    }
    /// Where its newest durable version lies, if there is one.
    var location: RecordLocation?
    /// What its place in the cache is counted with while it is clean and decided.
    var cost: UInt32 = 0
    /// Not evicted before the state machine's clock of turns is beyond this.
    var keptUntil: UInt32 = 0
    var freeze = Freeze.none
    /// Changed since the newest checkpoint began.
    var isDirty = false
    /// Asked for since the clock's hand came by.
    var isReferenced = false
    var isFree = false
    /// Counted in the cache: decided, and all of it durable.
    var isCached = false
    /// Forgotten, and its ID taken by another: no lookup finds it.
    var isDetached = false
}

/// All attempts in memory, changed in place.
///
/// Kept in chunks so that growing moves none of them; places of evicted ones are used again.
struct AttemptSlab: Sendable {
    private static let chunkBits = 10
    private static let chunkSize = 1 << chunkBits
    private var chunks: [[AttemptRecord]] = []
    var residences: [Residence] = []
    private var free: [Int] = []
    /// Places, free ones included.
    private(set) var end = 0
    var count: Int { end - free.count }

    subscript(position: Int) -> AttemptRecord {
        _read { yield chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
        _modify { yield &chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
    }

    /// - Returns: the record's position.
    mutating func append(_ record: AttemptRecord) -> Int {
        if let position = free.popLast() {
            self[position] = record
            residences[position] = Residence()
            return position
        }
        if end & (Self.chunkSize - 1) == 0 {
            chunks.append([])
            chunks[chunks.count - 1].reserveCapacity(Self.chunkSize)
        }
        chunks[chunks.count - 1].append(record)
        residences.append(Residence())
        end += 1
        return end - 1
    }

    mutating func remove(at position: Int) {
        self[position] = AttemptRecord.placeholder
        residences[position] = Residence()
        residences[position].isFree = true
        free.append(position)
    }
}
