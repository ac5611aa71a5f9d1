import Journal

/// A disk in memory that knows what a power cut would leave, by whole files.
struct StoreDisk: Disk {
    private struct File {
        var now: [UInt8] = []
        var durable: [UInt8] = []
        var isSynced = true
    }

    private var files: [File] = []
    private var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    /// The operation of this number fails, and then all go on.
    var failsAt: Int?
    private(set) var performed = 0

    func list() -> [String] { names.keys.sorted() }

    func size(of file: String) throws(DiskError) -> Int { files[try number(file)].now.count }

    func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let bytes = files[try number(file)].now
        let start = min(offset, bytes.count)
        return Array(bytes[start..<min(start + count, bytes.count)])
    }

    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        performed += 1
        if performed - 1 == failsAt { throw DiskError(operation: "\(operation)", code: 28) }
        switch operation {
        case .create(let file, let size):
            guard names[file] == nil else { throw DiskError(operation: "create \(file)", code: 17) }
            names[file] = files.count
            files.append(File(now: [UInt8](repeating: 0, count: size), isSynced: false))
        case .write(let file, let offset, let bytes):
            let id = try number(file)
            let missing = offset + bytes.count - files[id].now.count
            if missing > 0 { files[id].now.append(contentsOf: repeatElement(0, count: missing)) }
            files[id].now.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            files[id].isSynced = false
        case .sync(let file):
            let id = try number(file)
            files[id].durable = files[id].now
            files[id].isSynced = true
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
            files[id].isSynced = false
        }
    }

    private func number(_ file: String) throws(DiskError) -> Int {
        guard let id = names[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return id
    }

    /// The disk after a power cut: of what was not synced all, none, or the first bytes are left.
    func afterPowerCut(keepsNames: Bool, unsynced share: Double) -> StoreDisk {
        var disk = self
        disk.failsAt = nil
        if !keepsNames { disk.names = durableNames }
        disk.durableNames = disk.names
        for id in files.indices where !files[id].isSynced {
            let durable = files[id].durable
            let reached = durable.count + Int(Double(files[id].now.count - durable.count) * share)
            disk.files[id].now = Array(files[id].now.prefix(max(durable.count, reached)))
            disk.files[id].durable = disk.files[id].now
            disk.files[id].isSynced = true
        }
        return disk
    }

    /// Changes a byte behind everyone's back.
    mutating func flip(_ file: String, at offset: Int) {
        guard let id = names[file] else { return }
        files[id].now[offset] ^= 0x41
        files[id].durable = files[id].now
    }

    mutating func lose(_ file: String) { names[file] = nil }
}
