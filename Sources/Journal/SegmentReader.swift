/// Reads a segment file front to back, a piece at a time.
struct SegmentReader {
    static let pieceSize = 1024 * 1024

    let file: String
    let size: Int
    /// What was read last, and where in the file it begins.
    private(set) var bytes: [UInt8] = []
    private(set) var base = 0

    init(_ file: String, on disk: inout some Disk) throws(JournalError) {
        self.file = file
        do { size = try disk.size(of: file) } catch { throw .disk(error) }
    }

    /// Has `bytes` hold `count` bytes from `offset` on.
    ///
    /// - Returns: their place in `bytes`, or nil if the file ends before.
    mutating func load(
        at offset: Int,
        count: Int,
        from disk: inout some Disk
    ) throws(JournalError) -> Int? {
        guard offset >= 0, count >= 0, offset <= size, count <= size - offset else { return nil }
        if offset < base || offset + count > base + bytes.count {
            do {
                bytes = try disk.read(
                    file,
                    at: offset,
                    count: min(max(count, Self.pieceSize), size - offset)
                )
            } catch { throw .disk(error) }
            base = offset
        }
        return offset + count <= base + bytes.count ? offset - base : nil
    }
}
