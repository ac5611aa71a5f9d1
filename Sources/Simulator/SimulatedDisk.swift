internal import Journal

/// A node's disk: what its files hold for a process, and what a power cut would leave of them.
struct SimulatedDisk: Disk {
    static let sector = 512
    /// EIO, and ENOSPC.
    static let ioError: Int32 = 5
    static let noSpace: Int32 = 28
    /// Stands for no error number: the machine is gone.
    static let powerLost: Int32 = -1

    private struct File {
        /// As a process reads it: the page cache.
        var now: [UInt8]
        /// As a power cut would leave it, but for what is in `unsynced`.
        var durable: [UInt8] = []
        /// Ranges written since the last sync.
        var unsynced: [Range<Int>] = []
        /// Where the newest write that was synced began: damage above it cannot be told from an
        /// unfinished write (FAST'18, protocol-aware recovery).
        var lastWrite = 0
        /// Bits that were flipped behind everyone's back.
        var flips: [(offset: Int, mask: UInt8)] = []
        /// Another one from each change of `now` on, flips aside.
        var version: UInt64 = 0
        /// A sync failed: `now` is not what a power cut leaves, though all seems written.
        var isAdrift = false
    }

    private struct Name {
        let name: String
        let file: Int
        let isOfLog: Bool
        let isRun: Bool

        init(_ name: String, _ file: Int) {
            self.name = name
            self.file = file
            isOfLog = name == "PROMISE" || name.hasPrefix("log-") && name.hasSuffix(".seg")
            isRun = name.hasPrefix("state-")
        }
    }

    private var files: [File] = []
    /// Sorted by name.
    private var names: [Name] = []
    private var durableNames: [Name] = []
    private(set) var operations: UInt64 = 0
    private var changes: UInt64 = 0
    /// Tells the directory from a copy of it.
    var place: UInt64 = 0
    var hasFiles: Bool { !names.isEmpty }
    /// The power failed at an operation, and has not come back.
    var hasLostPower: Bool { powerFailsAfter.map { $0 < 0 } ?? false }

    /// Faults, set and cleared by the world.
    var isFull = false
    var failsNextSync = false
    var failsNextWrite = false
    /// Reads that fail next, so many.
    var failingReads = 0
    /// How many have failed.
    private(set) var failedReads = 0
    /// The power fails at the operation after so many.
    var powerFailsAfter: Int?

    /// Errors end; a full disk stays full.
    mutating func clearFailures() {
        failsNextSync = false
        failsNextWrite = false
        failingReads = 0
    }

    mutating func clearFaults() {
        clearFailures()
        isFull = false
        powerFailsAfter = nil
    }

    // MARK: Disk

    func list() -> [String] { names.map(\.name) }

    func size(of file: String) throws(DiskError) -> Int { files[try number(of: file)].now.count }

    mutating func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        if failingReads > 0 {
            failingReads -= 1
            failedReads += 1
            throw DiskError(operation: "read \(file)", code: SimulatedDisk.ioError)
        }
        let bytes = files[try number(of: file)].now
        let start = min(offset, bytes.count)
        return Array(bytes[start..<min(start + count, bytes.count)])
    }

    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        if let left = powerFailsAfter {
            powerFailsAfter = left - 1
            guard left > 0 else {
                throw DiskError(operation: "power", code: SimulatedDisk.powerLost)
            }
        }
        operations += 1
        switch operation {
        case .create(let name, let size):
            guard position(of: name) == nil else {
                throw DiskError(operation: "create \(name)", code: 17)
            }
            try takeRoom("create \(name)")
            let file = files.count
            files.append(File(now: [UInt8](repeating: 0, count: size)))
            files[file].unsynced = [0..<0]
            changed(file)
            names.insert(Name(name, file), at: place(of: name))
        case .write(let name, let offset, let bytes):
            let file = try number(of: name)
            if failsNextWrite {
                failsNextWrite = false
                throw DiskError(operation: "write \(name)", code: SimulatedDisk.ioError)
            }
            if offset + bytes.count > files[file].now.count { try takeRoom("write \(name)") }
            files[file].now.lay(bytes[...], at: offset)
            changed(file)
            files[file].flips.removeAll { (offset..<offset + bytes.count).contains($0.offset) }
            files[file].unsynced.append(offset..<offset + bytes.count)
        case .sync(let name):
            let file = try number(of: name)
            if failsNextSync {
                failsNextSync = false
                // The pages are marked clean all the same: they never reach the disk unless they
                // are written again, yet are read as if they had (ATC'20, fsync failures).
                files[file].unsynced = []
                files[file].isAdrift = true
                throw DiskError(operation: "sync \(name)", code: SimulatedDisk.ioError)
            }
            flush(file)
        case .syncDirectory:
            durableNames = names
        case .rename(let from, let to):
            let file = try number(of: from)
            names.removeAll { $0.name == from || $0.name == to }
            names.insert(Name(to, file), at: place(of: to))
        case .remove(let name):
            _ = try number(of: name)
            names.removeAll { $0.name == name }
        case .truncate(let name, let size):
            let file = try number(of: name)
            let old = files[file].now.count
            if size < old {
                files[file].now.removeLast(old - size)
            } else {
                files[file].now.append(contentsOf: repeatElement(0, count: size - old))
            }
            files[file].unsynced.append(min(size, old)..<size)
            changed(file)
        }
    }

    /// A file's content is another one from now on.
    private mutating func changed(_ file: Int) {
        changes += 1
        files[file].version = place &+ changes &* 0x9E37_79B9_7F4A_7C15
    }

    /// A number for what ``peek(_:)`` gives of a file, here and on copies of this disk; no other content has it.
    func version(of file: String) -> UInt64 {
        position(of: file).map { files[names[$0].file].version } ?? 0
    }

    /// All that was written of the log is on the disk, and so are its files' names.
    ///
    /// The indexes of segments and segments in the making do not count: nothing that was promised is in
    /// them.
    var isLogClean: Bool {
        var other = 0
        for name in names where name.isOfLog {
            while other < durableNames.count, !durableNames[other].isOfLog { other += 1 }
            guard other < durableNames.count, durableNames[other].file == name.file,
                durableNames[other].name == name.name, files[name.file].unsynced.isEmpty
            else { return false }
            other += 1
        }
        return !durableNames[other...].contains(where: \.isOfLog)
    }

    /// What a checker reads: no fault comes in between, and no bit has flipped.
    func peek(_ read: DiskRead) -> [UInt8] {
        guard let position = position(of: read.file) else { return [] }
        let file = files[names[position].file]
        var bytes = file.now
        for flip in file.flips where flip.offset < bytes.count { bytes[flip.offset] ^= flip.mask }
        let start = min(read.offset, bytes.count)
        return Array(bytes[start..<min(start + read.count, bytes.count)])
    }

    private func takeRoom(_ operation: String) throws(DiskError) {
        if isFull { throw DiskError(operation: operation, code: SimulatedDisk.noSpace) }
    }

    /// Where a name stands, or would.
    private func place(of name: String) -> Int {
        var (low, high) = (0, names.count)
        while low < high {
            let middle = (low + high) / 2
            if names[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func position(of name: String) -> Int? {
        let place = place(of: name)
        return place < names.count && names[place].name == name ? place : nil
    }

    private func number(of name: String) throws(DiskError) -> Int {
        guard let position = position(of: name) else {
            throw DiskError(operation: "open \(name)", code: 2)
        }
        return names[position].file
    }

    private mutating func flush(_ file: Int) {
        let size = files[file].now.count
        files[file].durable.resize(to: size)
        let written = files[file].unsynced.filter { !$0.isEmpty }
        if let first = written.map(\.lowerBound).min() { files[file].lastWrite = first }
        for range in written {
            let range = range.clamped(to: 0..<size)
            files[file].durable.replaceSubrange(range, with: files[file].now[range])
        }
        files[file].unsynced = []
    }

    // MARK: Faults

    /// How much of what was not synced a power cut leaves.
    enum Survival: Sendable {
        case nothing
        case everything
        /// Each sector by itself, and the one that was being written may be torn inside.
        case someSectors
        /// Older writes, and of the newest some first sectors.
        case prefix
    }

    /// The power goes: the page cache is lost, unsynced writes may be lost, torn or reordered.
    mutating func cutPower(_ survival: Survival, _ random: inout SeededRandom) {
        let keepsNames = random.chance(percent: 50)
        if keepsNames { durableNames = names } else { names = durableNames }
        for file in files.indices {
            guard !files[file].unsynced.isEmpty || files[file].isAdrift else { continue }
            if !files[file].unsynced.isEmpty { lose(file, survival, &random) }
            files[file].now = files[file].durable
            files[file].unsynced = []
            files[file].isAdrift = false
            changed(file)
        }
    }

    private mutating func lose(
        _ file: Int,
        _ survival: Survival,
        _ random: inout SeededRandom
    ) {
        switch survival {
        case .nothing:
            return
        case .everything:
            flush(file)
        case .someSectors, .prefix:
            let size = files[file].now.count
            if random.chance(percent: 75) { files[file].durable.resize(to: size) }
            let ranges = files[file].unsynced
            for (position, range) in ranges.enumerated() {
                let isLast = position == ranges.count - 1
                let cut =
                    isLast ? range.lowerBound + random.below(range.count + 1) : range.upperBound
                var at = range.lowerBound
                while at < range.upperBound {
                    let end = min(
                        range.upperBound,
                        (at / SimulatedDisk.sector + 1) * SimulatedDisk.sector
                    )
                    var piece = at..<end
                    let survives: Bool
                    switch survival {
                    case .prefix:
                        survives = at < cut
                        piece = at..<max(at, min(end, cut))
                    default:
                        survives = random.chance(percent: 50)
                        if random.chance(percent: 5) {
                            piece = at..<at + random.below(end - at + 1)
                        }
                    }
                    if survives, piece.upperBound <= files[file].durable.count,
                        piece.upperBound <= size
                    {
                        files[file].durable.replaceSubrange(piece, with: files[file].now[piece])
                    }
                    at = end
                }
            }
        }
    }

    /// Damages what was durable behind the node's back: a bit flips, a page reads as zeroes, a
    /// segment is cut short, lost, or has another's content.
    ///
    /// Only below the newest write of a file, where damage can be told from an unfinished write;
    /// and only a segment gets lost that others follow.
    ///
    /// - Returns: what and where, or `nil` if there is nothing to damage.
    mutating func rot(_ random: inout SeededRandom) -> String? {
        let kind = random.below(10)
        let segments = durableNames.filter { $0.name.hasSuffix(".seg") }
        let full = segments.filter { files[$0.file].lastWrite > 0 }
        switch kind {
        case 0...4:
            let candidates = durableNames.filter { files[$0.file].lastWrite > 0 }
            guard !candidates.isEmpty else { return nil }
            let picked = random.pick(candidates)
            let (name, file) = (picked.name, picked.file)
            return kind < 3 ? flip(name, file, &random) : zeroPage(name, file, &random)
        case 5, 6:
            guard !full.isEmpty else { return nil }
            let picked = random.pick(full)
            let (name, file) = (picked.name, picked.file)
            let size = random.below(files[file].durable.count)
            replace(file, Array(files[file].durable.prefix(size)))
            return "\(name) is cut to \(size) bytes"
        case 7, 8:
            // The newest one, and one made ahead, leave nothing behind that tells of them.
            guard full.count > 1 else { return nil }
            let picked = random.pick(full.dropLast())
            let (name, file) = (picked.name, picked.file)
            files[file].unsynced = []
            durableNames.removeAll { $0.name == name }
            names.removeAll { $0.name == name }
            return "\(name) is lost"
        default:
            // What was set aside as evidence is an older state of a file that is there: with that in
            // its place the log has just been set back, which the disk alone cannot tell.
            let full = full.filter { !$0.name.hasPrefix("damaged-") }
            guard full.count > 1 else { return nil }
            let first = random.below(full.count)
            let second = (first + 1 + random.below(full.count - 1)) % full.count
            let content = files[full[first].file].durable
            replace(full[first].file, files[full[second].file].durable)
            replace(full[second].file, content)
            return "\(full[first].name) and \(full[second].name) have changed places"
        }
    }

    /// A bit flips in what was written to the log last but for one write.
    mutating func rotEnd(_ random: inout SeededRandom) -> String? {
        let newest = durableNames.last {
            $0.name.hasPrefix("log-") && $0.name.hasSuffix(".seg") && files[$0.file].lastWrite > 0
        }
        return newest.flatMap { flip($0.name, $0.file, &random, within: 2048) }
    }

    private mutating func flip(
        _ name: String,
        _ file: Int,
        _ random: inout SeededRandom,
        within end: Int = .max
    ) -> String? {
        let limit = min(files[file].lastWrite, files[file].durable.count)
        guard limit > 0, files[file].unsynced.isEmpty else { return nil }
        let length = min(end, limit)
        let offset = limit - length + random.below(length)
        let mask: UInt8 = 1 << UInt8(random.below(8))
        files[file].durable[offset] ^= mask
        files[file].flips.append((offset, mask))
        files[file].now[offset] = files[file].durable[offset]
        if files[file].isAdrift { changed(file) }
        return "a bit flips in \(name) at \(offset)"
    }

    /// A bit flips in a run of the state, wherever in it.
    ///
    /// - Returns: where, and the record that it is in as it is now and as it was; `nil` if there is no run.
    mutating func rotRun(
        _ random: inout SeededRandom
    ) -> (file: String, offset: Int, damaged: [UInt8]?, original: [UInt8])? {
        let runs = durableNames.filter {
            $0.isRun && files[$0.file].unsynced.isEmpty && !files[$0.file].durable.isEmpty
        }
        guard !runs.isEmpty else { return nil }
        let (name, file) = { ($0.name, $0.file) }(random.pick(runs))
        let before = files[file].now
        let offset = random.below(before.count)
        let mask: UInt8 = 1 << UInt8(random.below(8))
        files[file].durable[offset] ^= mask
        files[file].now[offset] = files[file].durable[offset]
        files[file].flips.append((offset, mask))
        if files[file].isAdrift { changed(file) }
        // Records follow each other behind a header of 64 bytes, each with its length.
        var start = 64
        while start + 8 <= before.count {
            let length = (0..<4).reduce(0) { $0 | Int(before[start + 4 + $1]) << (8 * $1) }
            let end = start + (8 + length + 7) / 8 * 8
            guard end <= before.count else { break }
            if (start..<end).contains(offset) {
                let record = start..<end
                return (name, offset, Array(files[file].now[record]), Array(before[record]))
            }
            start = end
        }
        return (name, offset, nil, [])
    }

    /// Runs of the state in which bits flipped.
    var damagedRuns: [String] {
        names.filter { $0.isRun && !files[$0.file].flips.isEmpty }.map(\.name)
    }
    private var hasDamagedRuns: Bool {
        names.contains { $0.isRun && !files[$0.file].flips.isEmpty }
    }
    /// What it has of the state was fetched where that was damaged.
    var hasFetchedDamage = false
    /// Something in the state's files is not what was written, here or where they come from.
    var isStateDamaged: Bool { hasFetchedDamage || hasDamagedRuns }

    /// A bit flips in a file, wherever in it.
    ///
    /// - Returns: which.
    mutating func flipAnywhere(_ random: inout SeededRandom) -> String {
        let name = random.pick(names.filter { !files[$0.file].now.isEmpty })
        let offset = random.below(files[name.file].now.count)
        files[name.file].now[offset] ^= 1 << UInt8(random.below(8))
        changed(name.file)
        return "a bit flips in \(name.name) at \(offset)"
    }

    private mutating func zeroPage(
        _ name: String,
        _ file: Int,
        _ random: inout SeededRandom
    ) -> String? {
        let limit = min(files[file].lastWrite, files[file].durable.count)
        guard limit > 0, files[file].unsynced.isEmpty else { return nil }
        let start = random.below(limit) / 4096 * 4096
        for at in start..<min(start + 4096, limit) {
            files[file].durable[at] = 0
            files[file].now[at] = 0
        }
        changed(file)
        return "a page of \(name) at \(start) is zero"
    }

    private mutating func replace(_ file: Int, _ bytes: [UInt8]) {
        files[file].durable = bytes
        files[file].now = bytes
        files[file].unsynced = []
        changed(file)
    }
}

extension [UInt8] {
    fileprivate mutating func resize(to size: Int) {
        if size < count {
            removeLast(count - size)
        } else if size > count {
            append(contentsOf: repeatElement(0, count: size - count))
        }
    }

    fileprivate mutating func lay(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        if offset + bytes.count > count { resize(to: offset + bytes.count) }
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}
