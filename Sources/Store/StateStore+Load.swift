import Digest
package import Journal
package import Raft
package import Verification

extension StateStore {
    /// Finds the newest checkpoint, and removes what no checkpoint needs.
    ///
    /// - Parameters:
    ///   - disk: the files; it need not hold any.
    ///   - cluster: whose state it has to be.
    ///   - node: of which node.
    ///   - pieceSize: bytes of one write, about.
    /// - Returns: the store, with the newest checkpoint or none.
    /// - Throws: `JournalError` if the checkpoint cannot be used; nothing is changed then.
    package static func open(
        on disk: inout some Disk,
        cluster: String,
        node: NodeID,
        pieceSize: Int? = nil
    ) throws(JournalError) -> StateStore {
        let manifest = try readManifest(on: &disk, cluster: cluster, node: node)
        do {
            // The process may have ended between the manifest's replacement and its being durable:
            // then the disk may come back with the one before, whose runs must not be gone.
            try disk.perform(.syncDirectory)
            let needed = Set((manifest?.runs ?? []).map(\.file))
            for name in try disk.list() {
                let isRun = RunName.sequence(name) != nil && !needed.contains(name)
                if isRun || RunName.isTemporary(name) { try disk.perform(.remove(file: name)) }
            }
        } catch {
            throw .disk(error)
        }
        return StateStore(cluster: cluster, node: node, manifest: manifest, pieceSize: pieceSize)
    }

    private static func readManifest(
        on disk: inout some Disk,
        cluster: String,
        node: NodeID
    ) throws(JournalError) -> Manifest? {
        let bytes: [UInt8]
        do {
            guard try disk.list().contains(RunName.manifest) else { return nil }
            let size = try disk.size(of: RunName.manifest)
            bytes = try disk.read(RunName.manifest, at: 0, count: size)
        } catch {
            throw .disk(error)
        }
        let manifest = try Manifest(bytes)
        guard manifest.cluster == cluster else {
            throw .otherCluster(
                file: RunName.manifest,
                found: manifest.cluster,
                expected: cluster
            )
        }
        guard manifest.node == node else {
            throw .otherNode(file: RunName.manifest, found: manifest.node, expected: node)
        }
        return manifest
    }

    /// Moves a checkpoint that cannot be used aside as evidence, so that the next start goes by the
    /// log alone.
    package static func setAside(on disk: inout some Disk) throws(DiskError) {
        for operation in setAside { try disk.perform(operation) }
    }

    package static let setAside: [DiskOperation] = [
        .rename(from: RunName.manifest, to: "damaged-" + RunName.manifest), .syncDirectory,
    ]

    /// Reads the lists of all runs: calls `body` with the newest version of each attempt.
    ///
    /// - Throws: `JournalError` if a run is not there, or its list is damaged. Records themselves are
    ///   checked when they are read.
    package mutating func forEachRecord(
        on disk: inout some Disk,
        _ body: (_ place: RecordPlace, _ isOpen: Bool) -> Void
    ) throws(JournalError) {
        var seen = OrdinalSet()
        for handle in order.reversed() {
            guard let run = held[handle]?.run else { continue }
            try StateStore.check(run, on: &disk)
            var live = 0
            try FooterReader.forEachEntry(of: run, on: &disk) { entry in
                guard seen.insert(entry.ordinal) else { return }
                live += entry.length
                let location = location(of: entry, in: handle)
                body(RecordPlace(hash: entry.hash, location: location), entry.isOpen)
            }
            held[handle]?.liveBytes = live
        }
    }

    static func check(_ run: Run, on disk: inout some Disk) throws(JournalError) {
        let size: Int
        let header: [UInt8]
        do {
            guard try disk.list().contains(run.file) else {
                throw JournalError.missing(file: run.file)
            }
            size = try disk.size(of: run.file)
            header = try disk.read(run.file, at: 0, count: RunHeader.size)
        } catch let error as JournalError {
            throw error
        } catch let error as DiskError {
            throw .disk(error)
        } catch {
            fatalError("invariant broken: a disk threw \(error)")
        }
        guard size == run.bytes else {
            throw .damaged(
                file: run.file,
                offset: min(size, run.bytes),
                what: "it has \(size) bytes and should have \(run.bytes)"
            )
        }
        try RunHeader.check(header, sequence: run.sequence, file: run.file)
    }
}

/// Reads the list of records of a run.
enum FooterReader {
    /// Entries of one piece.
    private static let pieceEntries = 64 * 1024

    /// Reads it twice: nothing is taken from it before its checksum is known to match.
    static func forEachEntry(
        of run: Run,
        on disk: inout some Disk,
        _ body: (FooterEntry) -> Void
    ) throws(JournalError) {
        try read(run, on: &disk) { _, _ in }
        try read(run, on: &disk) { bytes, count in
            for entry in 0..<count { body(FooterEntry(bytes, at: entry * FooterEntry.size)) }
        }
    }

    private static func read(
        _ run: Run,
        on disk: inout some Disk,
        _ body: (_ piece: [UInt8], _ entries: Int) -> Void
    ) throws(JournalError) {
        var checksum: UInt32 = 0
        var left = run.records
        var at = run.footerOffset
        while left > 0 {
            let count = min(left, pieceEntries)
            let bytes: [UInt8]
            do {
                bytes = try disk.read(run.file, at: at, count: count * FooterEntry.size)
            } catch { throw .disk(error) }
            guard bytes.count == count * FooterEntry.size else {
                throw .damaged(file: run.file, offset: at, what: "its list of records is cut off")
            }
            checksum = CRC32C.checksum(of: bytes, continuing: checksum)
            body(bytes, count)
            left -= count
            at += bytes.count
        }
        guard checksum == run.footerChecksum else {
            throw .damaged(
                file: run.file,
                offset: run.footerOffset,
                what: "the checksum of its list of records does not match"
            )
        }
    }
}

/// Ordinals seen: a bit each, in chunks made as they are needed.
struct OrdinalSet {
    private static let chunkBits: UInt64 = 16
    private var chunks: [[UInt64]] = []

    /// - Returns: false if it was in already.
    mutating func insert(_ ordinal: UInt64) -> Bool {
        let chunk = Int(ordinal >> Self.chunkBits)
        while chunks.count <= chunk { chunks.append([]) }
        if chunks[chunk].isEmpty {
            chunks[chunk] = [UInt64](repeating: 0, count: 1 << (Int(Self.chunkBits) - 6))
        }
        let word = Int(ordinal & ((1 << Self.chunkBits) - 1)) >> 6
        let bit: UInt64 = 1 << (ordinal & 63)
        guard chunks[chunk][word] & bit == 0 else { return false }
        chunks[chunk][word] |= bit
        return true
    }
}
