import Backup
import Glibc
import HTTP
import Journal
import Raft
import Reactor
import Server

/// Copies a running node.
enum BackupCommand {
    static let command = Command(
        name: "backup",
        summary: "take a checked copy of a running node, without stopping it",
        details: """
            Copies the state of one node as of one committed entry, and the log up to there, into DIR, which must
            not exist or be empty. The node makes a checkpoint first, keeps it while it is copied, and goes on
            serving. Everything is checked on the way and once more on the disk; the file BACKUP is written last,
            so that a copy without it is unfinished. Needs a token of scope operate.
            No secrets are in it but what the log has; digest_key has to be kept beside it. Callbacks that
            wait in a node's intake are not in the log yet, and not in the copy.
            A node that lacks part of its log gives none. If none has all of it, --allow-gap says that the log
            behind the gap will do; the state is whole either way.
            """,
        options: [
            .init(name: "--to", value: "DIR", help: "where to write it"),
            .init(
                name: "--allow-gap",
                help: "if no node has all of its log, take what is behind the gap"
            ),
            .json,
        ] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let directory = try arguments.required("--to")
        let client = try ClusterClient(arguments)
        var disk = try open(directory)
        let transfer = try BackupTransfer(client, allowsGap: arguments.has("--allow-gap"))
        let (found, isCompared): (BackupInspection, Bool?)
        do throws(CommandFailure) {
            (found, isCompared) = try transfer.copy(to: &disk, in: directory)
            transfer.end()
        } catch {
            transfer.end()
            throw CommandFailure(
                error.status,
                "\(error.message)\n\(directory) is no finished backup; remove it and begin again"
            )
        }
        if isCompared == false {
            Terminal.error(
                """
                the state was not compared with the other nodes': no majority did so within half a minute, or \
                digest.check_seconds is 0
                """
            )
        }
        Terminal.print(
            arguments.has("--json")
                ? BackupReport.document(found, directory: directory, isCompared: isCompared)
                : BackupReport.text(found, directory: directory)
        )
        return .done
    }

    /// Makes the directory, or takes one that is empty.
    private static func open(_ directory: String) throws(CommandFailure) -> FileDisk {
        do {
            try DataDirectory.make(directory, mode: 0o700)
            var disk = try FileDisk(directory: directory)
            if let name = try disk.list().first {
                throw CommandFailure(.no, "\(directory) is not empty: \(name) is in it")
            }
            return disk
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.no, "\(directory): \(described(error))")
        }
    }
}

/// What a node gives of itself, over its operators' routes.
private struct BackupTransfer {
    private let client: ClusterClient
    private let name: String
    private let node: Int
    /// How long a node may take for its checkpoint.
    private static let patience = Duration.seconds(600)

    /// Has the first node that will begin a backup: one that has all of its log, if there is one.
    init(_ all: ClusterClient, allowsGap: Bool) throws(CommandFailure) {
        var failures: [String] = []
        var status = ExitStatus.unreachable
        let targets = ["/v1/backups", "/v1/backups?log=partial"].prefix(allowsGap ? 2 : 1)
        for target in targets {
            failures = []
            for node in all.nodes {
                let client = all.only(node)
                do throws(CommandFailure) {
                    let reply = try client.send(
                        "POST",
                        target,
                        token: client.file.tokens.operate,
                        takesRefusals: true
                    )
                    if reply.status == 201, let begun: BackupReply = JSON.decode(reply.body) {
                        self.client = client
                        self.node = node.node
                        name = begun.backup
                        return
                    }
                    status = .no
                    failures.append("node \(node.node): \(ClusterClient.problem(of: reply))")
                } catch {
                    failures.append(error.message)
                }
            }
        }
        if !allowsGap, failures.contains(where: { $0.contains("log=partial") }) {
            failures.append("--allow-gap takes a copy all the same, of the log behind the gap")
        }
        throw CommandFailure(status, failures.joined(separator: "\n         "))
    }

    private var path: String { "/v1/backups/\(name)" }

    /// Says that nothing more is asked for; a node that does not hear it finds out by itself.
    func end() {
        _ = try? client.send("DELETE", path, token: client.file.tokens.operate)
    }

    private func get(_ target: String) throws(CommandFailure) -> [UInt8] {
        let reply = try client.send("GET", target, token: client.file.tokens.operate)
        guard reply.status == 200 else {
            throw CommandFailure(.no, "node \(node): \(ClusterClient.problem(of: reply))")
        }
        return reply.body
    }

    func copy(
        to disk: inout FileDisk,
        in directory: String
    ) throws(CommandFailure) -> (BackupInspection, isCompared: Bool?) {
        let (plan, isCompared) = try plan()
        do {
            var writer = try BackupWriter(plan, on: &disk)
            while let wanted = writer.wanted {
                let bytes: [UInt8]
                switch wanted {
                case .file(let file, let offset):
                    bytes = try get("\(path)/files/\(file)?offset=\(offset)")
                case .entries(let from): bytes = try get("\(path)/log?from=\(from)")
                }
                try writer.take(bytes, on: &disk)
            }
            return (try writer.finish(at: Clock.wallMilliseconds(), on: &disk), isCompared)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.no, "\(directory): \(described(error))")
        }
    }

    /// Waits for the node's checkpoint, and until that is compared.
    private func plan() throws(CommandFailure) -> (BackupWriter.Plan, isCompared: Bool?) {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            guard let reply: BackupReply = JSON.decode(try get(path)) else {
                throw CommandFailure(.no, "node \(node) gives no backup's list of files")
            }
            if reply.state == "ready" {
                guard let plan = reply.plan else {
                    throw CommandFailure(.no, "node \(node) gives no backup's list of files")
                }
                return (plan, reply.compared)
            }
            guard ContinuousClock.now < deadline else {
                throw CommandFailure(.no, "node \(node) made no checkpoint in \(Self.patience)")
            }
            usleep(50_000)
        }
    }
}

/// What a node says of a backup.
private struct BackupReply: Decodable {
    struct Entry: Decodable {
        var term: UInt64
        var index: UInt64
    }
    struct File: Decodable {
        var file: String
        var bytes: Int
        var checksum: UInt32
    }
    var backup: String
    var node: UInt32
    var cluster: String
    var directory: String?
    var digest_key_mark: String?
    var state: String
    var entry: Entry?
    var log_from: UInt64?
    /// Older nodes do not say.
    var compared: Bool?
    var files: [File]?

    private var unnamed: String { "\(DirectoryID.none)" }

    /// `nil` if something is missing or impossible.
    var plan: BackupWriter.Plan? {
        guard let entry, let log_from, let files, let place = DirectoryID(directory ?? unnamed)
        else { return nil }
        return BackupWriter.Plan(
            cluster: cluster,
            node: NodeID(node),
            directory: place,
            entry: EntryID(term: Term(entry.term), index: LogIndex(entry.index)),
            firstIndex: LogIndex(log_from),
            digestKeyMark: digest_key_mark.flatMap { UInt64($0, radix: 16) } ?? 0,
            files: files.map { .init(name: $0.file, bytes: $0.bytes, checksum: $0.checksum) }
        )
    }
}
