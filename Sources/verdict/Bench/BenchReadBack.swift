import HTTP
import Reactor

/// Reads attempts back whose outcome was acknowledged: what was said has to be there.
struct BenchReadBack {
    private static let sampleSize = 200
    /// A cluster that does not answer is told from one that forgot long before each attempt's limit.
    private static let limit: UInt64 = 20_000_000_000

    private(set) var right = 0
    /// Acknowledged as verified, but not so when read: the attempt, and what was read.
    private(set) var wrong: [String] = []
    private(set) var unreadable = 0

    /// Reads a sample from the nodes in turn, linearizably.
    mutating func read(
        _ decided: [Int],
        _ workload: BenchWorkload,
        _ file: ClusterFile,
        isStopped: () -> Bool
    ) {
        let end = Clock.monotonic() + BenchReadBack.limit
        let stride = max(
            1,
            (decided.count + BenchReadBack.sampleSize - 1) / BenchReadBack.sampleSize
        )
        // Who does not answer is not asked again; the others are asked instead.
        var nodes = file.nodes
        for (turn, place) in Swift.stride(from: 0, to: decided.count, by: stride).enumerated() {
            var isRead = false
            while !isRead, !nodes.isEmpty, Clock.monotonic() < end, !isStopped() {
                let node = turn % nodes.count
                let name = workload.attemptName(decided[place])
                isRead = read(name, nodes[node], file.tokens.read)
                if !isRead { nodes.remove(at: node) }
            }
            if !isRead { unreadable += 1 }
        }
    }

    private mutating func read(_ name: String, _ node: ClusterFile.Node, _ token: String) -> Bool {
        guard let origin = node.origin,
            let reply = try? HTTPClient.send(
                "GET",
                origin,
                "/v1/attempts/\(name)",
                headers: [("Authorization", "Bearer \(token)")],
                within: .seconds(5)
            ), reply.status != 503
        else { return false }
        let view: View? = JSON.decode(reply.body)
        // The one callback that decided, whose repeats are none of it.
        if reply.status == 200, let view, view.attempt == name, view.state == "verified",
            view.counts.callbacks == 1, view.counts.contradicted == 0
        {
            right += 1
        } else {
            let text = String(decoding: reply.body, as: UTF8.self)
            wrong.append("\(name) at node \(node.node): \(reply.status) \(text)")
        }
        return true
    }

    private struct View: Decodable {
        struct Counts: Decodable {
            var callbacks: Int
            var contradicted: Int
        }
        var attempt: String
        var state: String
        var counts: Counts
    }
}
