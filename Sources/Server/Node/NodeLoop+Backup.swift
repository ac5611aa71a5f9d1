import Digest
import HTTP
import Journal
import Raft
import Reactor
import Replica

/// Copies that are taken of this node while it runs: what is copied stays until they are done.
extension NodeLoop {
    func beginBackup(_ request: Request, _ connection: HTTPConnection) throws(Problem) {
        let allowsGap = try BackupQuery.allowsGap(request.query)
        let id = SecureRandom.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        switch replica.beginBackup(id, allowsGap: allowsGap, at: now) {
        case nil: break
        case .tooMany: throw .overloaded(retryAfter: 5)
        case .notServing: throw .quarantined(isRebuilding: replica.isRebuilding)
        case .nothingThere: throw .noBackupNow("nothing was committed yet")
        case .logIncomplete:
            throw .noBackupNow(
                """
                part of the log is not on this node's disk, and is fetched from the others if they have it \
                (log=partial takes what is behind the gap)
                """
            )
        }
        log.info("backup", "a copy of this node is begun", ["backup": .text(BackupBody.name(id))])
        needsTurn = true
        var response = json(try backupBody(id))
        response.status = 201
        answer(connection, response)
    }

    func showBackup(_ name: String, _ connection: HTTPConnection) throws(Problem) {
        answer(connection, json(try backupBody(try backupID(name))))
    }

    func endBackup(_ name: String, _ connection: HTTPConnection) throws(Problem) {
        guard replica.endBackup(try backupID(name)) else { throw .unknownBackup }
        log.info("backup", "a copy of this node is done", ["backup": .text(name)])
        answer(connection, Response(status: 204))
    }

    func readBackup(
        _ name: String,
        file: String,
        _ request: Request,
        _ connection: HTTPConnection
    ) throws(Problem) {
        let offset = try BackupQuery.number("offset", request.query) ?? 0
        let reading = replica.readBackup(
            try backupID(name),
            file: file,
            offset: offset,
            context: connection.context,
            at: now
        )
        try wait(for: reading, connection)
    }

    func readBackupLog(
        _ name: String,
        _ request: Request,
        _ connection: HTTPConnection
    ) throws(Problem) {
        guard let from = try BackupQuery.number("from", request.query) else {
            throw .invalid(field: "from", "must be the index of an entry")
        }
        let reading = replica.readBackupLog(
            try backupID(name),
            from: from,
            context: connection.context,
            at: now
        )
        try wait(for: reading, connection)
    }

    private func wait(
        for reading: BackupReading,
        _ connection: HTTPConnection
    ) throws(Problem) {
        switch reading {
        case .begun:
            connection.exchange?.step = .readingBackup
            needsTurn = true
        case .known(let bytes): answer(connection, octets(bytes))
        case .unknownBackup: throw .unknownBackup
        case .notInIt: throw .notInBackup
        }
    }

    func backupPieceIsRead(_ piece: BackupPiece) {
        guard let connection = connections.find(context: piece.context),
            case .readingBackup = connection.exchange?.step
        else { return }
        do {
            answer(connection, octets(try piece.result.get()))
        } catch {
            log.error(
                "backup",
                "a piece of a copy cannot be read",
                ["error": .text(describe(error))]
            )
            answer(connection, Problem.noBackupNow("a file cannot be read here").response)
        }
    }

    func backupIsGivenUp(_ id: UInt64) {
        log.warning(
            "backup",
            "nobody asks any more for a copy that was begun: it is given up",
            ["backup": .text(BackupBody.name(id))]
        )
    }

    private func backupID(_ name: String) throws(Problem) -> UInt64 {
        guard let id = BackupBody.id(name) else { throw .unknownBackup }
        return id
    }

    private func backupBody(_ id: UInt64) throws(Problem) -> [UInt8] {
        guard let view = replica.backup(id, at: now) else { throw .unknownBackup }
        return BackupBody.bytes(
            id,
            node: configuration.node.number,
            cluster: configuration.cluster,
            directory: replica.directoryIdentity?.directory.description,
            digestKeyMark: secrets.digestKeyMark,
            view
        )
    }

    private func octets(_ bytes: [UInt8]) -> Response {
        Response(status: 200, contentType: BackupBody.octets, body: bytes)
    }
}
