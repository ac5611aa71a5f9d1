import Journal

/// The files of one node, durable as soon as a step is done.
struct MemoryDisk: Disk {
    private var files: [String: [UInt8]] = [:]
    /// No file can be made.
    var isFull = false
    /// There is no room in files whose names begin so.
    var fullFor: String?
    /// A place that no read gets past.
    var unreadable: (file: String, offset: Int)?

    mutating func list() throws(DiskError) -> [String] { files.keys.sorted() }
    mutating func size(of file: String) throws(DiskError) -> Int { try bytes(of: file).count }
    mutating func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let bytes = try bytes(of: file)
        if let place = unreadable, place.file == file,
            (offset..<offset + count).contains(place.offset)
        {
            throw DiskError(operation: "read \(file)", code: 5)
        }
        return Array(bytes[min(offset, bytes.count)..<min(offset + count, bytes.count)])
    }
    /// A bit flips behind everyone's back.
    mutating func flip(_ file: String, at offset: Int) throws(DiskError) {
        var bytes = try bytes(of: file)
        bytes[offset] ^= 1
        files[file] = bytes
    }
    private func bytes(of file: String) throws(DiskError) -> [UInt8] {
        guard let bytes = files[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return bytes
    }
    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        switch operation {
        case .create(let file, let size):
            guard files[file] == nil else {
                throw DiskError(operation: "create \(file)", code: 17)
            }
            guard !isFull else { throw DiskError(operation: "create \(file)", code: 28) }
            files[file] = [UInt8](repeating: 0, count: size)
        case .write(let file, let offset, let new):
            if let fullFor, file.hasPrefix(fullFor) {
                throw DiskError(operation: "write \(file)", code: 28)
            }
            var bytes = try bytes(of: file)
            if bytes.count < offset + new.count {
                guard !isFull else { throw DiskError(operation: "write \(file)", code: 28) }
                bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
            }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
            files[file] = bytes
        case .sync, .syncDirectory: break
        case .rename(let from, let to):
            files[to] = try bytes(of: from)
            files[from] = nil
        case .remove(let file):
            _ = try bytes(of: file)
            files[file] = nil
        case .truncate(let file, let size):
            var bytes = try bytes(of: file)
            bytes =
                Array(bytes.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - bytes.count))
            files[file] = bytes
        }
    }
}
