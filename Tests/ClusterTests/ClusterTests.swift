import Testing

/// Everything here starts processes: one cluster at a time, so that two cores are enough.
@Suite("clusters of real processes", .serialized, .timeLimit(.minutes(5)))
enum ClusterTests {}

/// Runs a scenario on a cluster; if it throws, the ends of the nodes' logs go with the failure.
func withCluster(
    nodes: Int = 3,
    timers: String = LocalCluster.quickTimers,
    starts: Bool = true,
    _ scenario: (LocalCluster) throws -> Void
) throws {
    let cluster = try LocalCluster(nodes: nodes, timers: timers, starts: starts)
    do {
        try scenario(cluster)
    } catch {
        for node in cluster.numbers {
            let lines = (try? cluster.log(node))?.split(separator: "\n") ?? []
            Issue.record("log of node \(node):\n\(lines.suffix(15).joined(separator: "\n"))")
        }
        throw error
    }
}
