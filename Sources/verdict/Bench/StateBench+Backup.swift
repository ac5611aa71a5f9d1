import Backup
import Journal
import Raft
import Reactor
import Store

extension StateBench {
    private static let pieceSize = 1024 * 1024

    /// Makes a backup of a filled directory, without a log.
    ///
    /// `verdict restore` makes nodes of it, so that what so many attempts cost can be measured on a whole
    /// cluster.
    ///
    /// - Returns: what it is, for people.
    static func backUp(_ directory: String, to target: String) throws(CommandFailure) -> String {
        do {
            var source = try FileDisk(directory: directory)
            try DataDirectory.make(target, mode: 0o700)
            var disk = try FileDisk(directory: target)
            let found = try copy(from: &source, to: &disk)
            return BackupReport.text(found, directory: target)
        } catch {
            throw CommandFailure(.no, "\(directory) to \(target): \(described(error))")
        }
    }

    private static func copy(
        from source: inout FileDisk,
        to disk: inout FileDisk
    ) throws -> BackupInspection {
        let checkpoint = RunName.manifest
        let bytes = try source.read(checkpoint, at: 0, count: try source.size(of: checkpoint))
        let manifest = try Manifest(bytes)
        var files = [
            BackupWriter.Plan.File(
                name: checkpoint,
                bytes: bytes.count,
                checksum: Manifest.checksum(of: bytes)
            )
        ]
        files += manifest.runs.map {
            .init(name: $0.file, bytes: $0.bytes, checksum: $0.footerChecksum)
        }
        var writer = try BackupWriter(
            BackupWriter.Plan(
                cluster: manifest.cluster,
                node: manifest.node,
                directory: DirectoryID(high: 0, low: 1),
                entry: manifest.entry,
                firstIndex: manifest.entry.index.next,
                files: files
            ),
            on: &disk
        )
        while case .file(let name, let offset) = writer.wanted {
            let piece = try source.read(name, at: offset, count: pieceSize)
            try writer.take(piece, on: &disk)
        }
        return try writer.finish(at: Clock.wallMilliseconds(), on: &disk)
    }
}
