/// Where attempts are in the slab, by ID.
///
/// Split into shards so that growing never rehashes more than a sliver of it at once: a single
/// dictionary of some million attempts would hold up the node for most of a second when it
/// doubles. Never iterated, so the order of hashing shows nowhere.
struct AttemptIndex: Sendable {
    private static let shardCount = 1024
    private var shards = [[AttemptID: Int]](repeating: [:], count: shardCount)

    subscript(id: AttemptID) -> Int? { shards[AttemptIndex.shard(of: id)][id] }

    mutating func insert(_ id: AttemptID, at position: Int) {
        let previous = shards[AttemptIndex.shard(of: id)].updateValue(position, forKey: id)
        invariant(previous == nil, "\(id) is held twice")
    }

    /// FNV-1a, 32 bits.
    private static func shard(of id: AttemptID) -> Int {
        var hash: UInt32 = 2_166_136_261
        for byte in id.text.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return Int(hash ^ (hash >> 16)) & (shardCount - 1)
    }
}

/// All attempts, in order of opening, changed in place.
///
/// Kept in chunks so that growing moves none of them.
struct AttemptSlab: Sendable {
    private static let chunkBits = 10
    private static let chunkSize = 1 << chunkBits
    private var chunks: [[AttemptRecord]] = []
    private(set) var count = 0

    subscript(position: Int) -> AttemptRecord {
        _read { yield chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
        _modify { yield &chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
    }

    /// - Returns: the record's position.
    mutating func append(_ record: AttemptRecord) -> Int {
        if count & (Self.chunkSize - 1) == 0 {
            chunks.append([])
            chunks[chunks.count - 1].reserveCapacity(Self.chunkSize)
        }
        chunks[chunks.count - 1].append(record)
        count += 1
        return count - 1
    }
}
