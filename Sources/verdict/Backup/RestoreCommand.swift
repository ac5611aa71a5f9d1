import Backup
import Digest
import Journal
import Raft
import Reactor
import Verification

/// Makes data directories from a backup.
enum RestoreCommand {
    static let command = Command(
        name: "restore",
        summary: "make the data directory of a node of a new cluster from a backup",
        details: """
            Checks the backup whole, writes a data directory for node N into DIR2, which must be empty or not
            exist, and checks that whole. Do it once for each node of the new cluster, all from one backup, then
            start the nodes: they serve when all have met. The state, its answers and timelines, and the log up
            to the backup's entry are those of the old cluster; identity, term and votes are new.
            Give the new cluster a name of its own: a restored cluster must never meet the one that it was
            copied from, and another name makes their nodes refuse each other.
            """,
        options: [
            .init(name: "--from", value: "DIR", help: "the backup"),
            .init(name: "--data", value: "DIR2", help: "the data directory to make"),
            .init(name: "--node", value: "N", help: "the node whose directory it will be"),
            .init(
                name: "--cluster-name",
                value: "NAME",
                help: "the new cluster's name (default: the old one's)"
            ),
            .init(
                name: "--segment-mib",
                value: "N",
                help: "size of the log's files, as journal.segment_mib (default 64)"
            ),
            .json,
        ]
    ) { arguments throws(CommandFailure) in
        let source = try arguments.required("--from")
        let data = try arguments.required("--data")
        guard let node = try arguments.integer("--node", 1...65_535) else {
            throw arguments.failure("--node is missing")
        }
        if let name = arguments.value("--cluster-name"),
            name.utf8.count > 64 || !Token.isValid(name.utf8)
        {
            throw arguments.failure("--cluster-name must be 1–64 of A-Z a-z 0-9 . _ : -")
        }
        let mebibytes = try arguments.integer("--segment-mib", 1...1024) ?? 64
        let backup: BackupInspection
        let cluster: String
        do {
            var from = try FileDisk(directory: source, opensAnew: true)
            cluster =
                try arguments.value("--cluster-name")
                ?? BackupManifest.read(from: &from).cluster
            let directory = try DataDirectory(data)
            var to = try directory.disk()
            backup = try Restoration.restore(
                from: &from,
                to: &to,
                as: Restoration.Target(
                    cluster: cluster,
                    node: NodeID(UInt32(node)),
                    directory: DirectoryID(high: random(), low: random()),
                    salt: random(),
                    segmentSize: mebibytes << 20
                )
            )
        } catch let JournalError.missing(file) where file == BackupManifest.name {
            throw CommandFailure(
                .no,
                "\(source): \(file) is not there: this is no backup, or one that was not finished"
            )
        } catch {
            throw CommandFailure(.no, "\(source) to \(data): \(described(error))")
        }
        Terminal.print(
            arguments.has("--json")
                ? BackupReport.document(
                    backup,
                    directory: source,
                    restored: (data, node, cluster)
                )
                : BackupReport.restored(backup, data: data, node: node, cluster: cluster)
        )
        return .done
    }

    private static func random() -> UInt64 {
        SecureRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// An error in words, with the system's own for its numbers.
func described(_ error: any Error) -> String {
    switch error {
    case let error as DiskError: SystemError(error.operation, code: error.code).description
    case JournalError.disk(let error): SystemError(error.operation, code: error.code).description
    default: "\(error)"
    }
}
