import HTTP
import Raft
import Reactor
import Replica

/// An orderly stop: no new connections, leadership handed over, what waits is answered.
extension NodeLoop {
    func beginStopping(_ signal: Int32) {
        guard stopsBy == nil else {
            log.warning("node", "told to stop again: stopping at once")
            exitStatus = 0
            return
        }
        log.info("node", "stopping", ["signal": .number(Int64(signal))])
        stopsBy = now.advanced(by: configuration.timers.shutdown)
        replica.reportRepeats(at: now)
        // Who has been let in by the system, or has sent a request, gets an answer.
        acceptConnections()
        httpListener = nil
        connections.forEach { connection in
            if connection.exchange == nil, !connection.isClosing { read(connection) }
            if connection.exchange == nil, !connection.isClosing,
                connection.parser.phase == .idle
            {
                closeWhenWritten(connection)
            }
        }
        if replica.raft.role == .leader, !links.isEmpty {
            if let refusal = replica.transferLeadership(to: nil, at: now) {
                log.warning(
                    "raft",
                    "leadership not handed over",
                    ["reason": .text("\(refusal)")]
                )
            } else {
                transferIsUnderWay = true
            }
        }
        needsTurn = true
    }

    func continueStopping() {
        guard let stopsBy else { return }
        let isDrained =
            !transferIsUnderWay && replica.pendingRequests == 0 && connections.count == 0
            && (!replica.hasUnreportedRepeats || !replica.canCommit)
        guard isDrained || stopsBy <= now else { return }
        log.info(
            "node",
            "stopped",
            [
                "drained": .flag(isDrained),
                "waiting": .number(Int64(replica.pendingRequests)),
            ]
        )
        exitStatus = 0
    }
}
