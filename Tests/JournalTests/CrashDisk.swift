import Journal

/// A disk in memory that knows what a power cut would leave.
struct CrashDisk: Disk {
    /// A file's contents as seen now, as of its last sync, and the writes in between.
    struct File {
        var now: [UInt8] = []
        var durable: [UInt8] = []
        var unsynced: [(offset: Int, bytes: [UInt8])] = []
    }

    private var files: [File] = []
    private var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    /// Operations performed.
    private(set) var performed = 0
    /// The operation of this number fails, and all after it.
    var failsAt: Int?
    /// No file can be made, and none can grow.
    var isFull = false
    /// It is full from the operation of this number on.
    var fullAt: Int?

    func list() -> [String] { names.keys.sorted() }

    func size(of file: String) throws(DiskError) -> Int { try contents(file).count }

    func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let bytes = try contents(file)
        let start = min(offset, bytes.count)
        return Array(bytes[start..<min(start + count, bytes.count)])
    }

    func contents(_ file: String) throws(DiskError) -> [UInt8] {
        guard let id = names[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return files[id].now
    }

    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        if let failsAt, performed >= failsAt { throw DiskError(operation: "\(operation)", code: 5) }
        if let fullAt, performed >= fullAt { isFull = true }
        performed += 1
        switch operation {
        case .create(let file, let size):
            guard names[file] == nil else { throw DiskError(operation: "create \(file)", code: 17) }
            guard !isFull else { throw DiskError(operation: "create \(file)", code: 28) }
            names[file] = files.count
            files.append(File(now: [UInt8](repeating: 0, count: size)))
        case .write(let file, let offset, let bytes):
            let id = try number(file)
            guard !isFull || offset + bytes.count <= files[id].now.count else {
                throw DiskError(operation: "write \(file)", code: 28)
            }
            files[id].now.lay(bytes, at: offset)
            files[id].unsynced.append((offset, bytes))
        case .sync(let file):
            let id = try number(file)
            files[id].durable = files[id].now
            files[id].unsynced = []
        case .syncDirectory: durableNames = names
        case .rename(let from, let to):
            names[to] = try number(from)
            names[from] = nil
        case .remove(let file):
            _ = try number(file)
            names[file] = nil
        case .truncate(let file, let size):
            let id = try number(file)
            files[id].now = Array(files[id].now.prefix(size))
            let missing = size - files[id].now.count
            files[id].now.append(contentsOf: repeatElement(0, count: missing))
        }
    }

    private func number(_ file: String) throws(DiskError) -> Int {
        guard let id = names[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return id
    }

    /// What a power cut leaves.
    enum Survival {
        /// Nothing that was not synced.
        case onlySynced
        /// Everything, synced or not.
        case all
        /// All but the newest write, and of that its first bytes.
        case lastWrite(prefix: Int)
        /// Of each unsynced sector what the draws decide: the new bytes, or those before.
        case sectors(any: (Int) -> Bool)
    }

    /// The disk after a power cut.
    func afterPowerCut(_ survival: Survival, keepsNames: Bool) -> CrashDisk {
        var disk = self
        disk.failsAt = nil
        if !keepsNames { disk.names = durableNames }
        disk.durableNames = disk.names
        for id in files.indices {
            var bytes = files[id].durable
            let writes = files[id].unsynced
            switch survival {
            case .onlySynced: break
            case .all: bytes = files[id].now
            case .lastWrite(let prefix):
                if let last = writes.last {
                    bytes.extend(to: files[id].now.count)
                    for write in writes.dropLast() { bytes.lay(write.bytes, at: write.offset) }
                    bytes.lay(Array(last.bytes.prefix(prefix)), at: last.offset)
                }
            case .sectors(let any):
                if !writes.isEmpty { bytes.extend(to: files[id].now.count) }
                for write in writes {
                    for start in stride(from: 0, to: write.bytes.count, by: 512)
                    where any(write.offset + start) {
                        let sector = Array(write.bytes[start...].prefix(512))
                        bytes.lay(sector, at: write.offset + start)
                    }
                }
            }
            disk.files[id] = File(now: bytes, durable: bytes)
        }
        return disk
    }

    /// Changes bits of a byte behind everyone's back.
    mutating func flip(_ file: String, at offset: Int, mask: UInt8 = 0x41) {
        guard let id = names[file] else { return }
        files[id].now[offset] ^= mask
        files[id].durable = files[id].now
    }

    /// Zeroes a part of a file behind everyone's back.
    mutating func zero(_ file: String, _ range: Range<Int>) {
        guard let id = names[file] else { return }
        let range = range.clamped(to: 0..<files[id].now.count)
        for at in range { files[id].now[at] = 0 }
        files[id].durable = files[id].now
    }

    /// Replaces a file's contents behind everyone's back.
    mutating func replace(_ file: String, with bytes: [UInt8]) {
        guard let id = names[file] else { return }
        files[id] = File(now: bytes, durable: bytes)
    }

    mutating func lose(_ file: String) {
        names[file] = nil
        durableNames[file] = nil
    }

    mutating func make(_ file: String, _ bytes: [UInt8]) {
        names[file] = files.count
        durableNames = names
        files.append(File(now: bytes, durable: bytes))
    }
}

extension [UInt8] {
    mutating func extend(to size: Int) {
        if size > count { append(contentsOf: repeatElement(0, count: size - count)) }
    }

    mutating func lay(_ bytes: [UInt8], at offset: Int) {
        extend(to: offset + bytes.count)
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}

/// SplitMix64: the tests' draws follow from a seed.
struct Draws {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
