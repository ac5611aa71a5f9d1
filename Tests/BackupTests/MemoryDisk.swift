import Journal

/// The files of a directory in memory, durable as soon as a step is done.
struct MemoryDisk: Disk {
    private(set) var files: [String: [UInt8]] = [:]
    private(set) var performed = 0
    /// The operation of this number and all after it fail.
    var failsFrom: Int?

    mutating func list() throws(DiskError) -> [String] { files.keys.sorted() }
    mutating func size(of file: String) throws(DiskError) -> Int { try bytes(of: file).count }
    mutating func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let bytes = try bytes(of: file)
        return Array(bytes[min(offset, bytes.count)..<min(offset + count, bytes.count)])
    }
    private func bytes(of file: String) throws(DiskError) -> [UInt8] {
        guard let bytes = files[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return bytes
    }

    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        performed += 1
        if let failsFrom, performed > failsFrom {
            throw DiskError(operation: "\(operation)", code: 5)
        }
        switch operation {
        case .create(let file, let size):
            guard files[file] == nil else { throw DiskError(operation: "create \(file)", code: 17) }
            files[file] = [UInt8](repeating: 0, count: size)
        case .write(let file, let offset, let new):
            var bytes = try bytes(of: file)
            files[file] = nil
            let missing = offset + new.count - bytes.count
            if missing > 0 { bytes += [UInt8](repeating: 0, count: missing) }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
            files[file] = bytes
        case .sync, .syncDirectory: break
        case .rename(let from, let to):
            files[to] = try bytes(of: from)
            files[from] = nil
        case .remove(let file): files[file] = nil
        case .truncate(let file, let size): files[file] = Array(try bytes(of: file).prefix(size))
        }
    }

    /// Changes a bit behind everyone's back.
    mutating func flip(_ file: String, at offset: Int, bit: UInt8 = 0x10) {
        files[file]?[offset] ^= bit
    }
    mutating func lose(_ file: String) { files[file] = nil }
}
