import Glibc
import Replica

extension RegionRun {
    /// Loses the leader's region in each of the ways that are asked for, each in a cluster of its own.
    func failovers() throws -> [RegionFailover] {
        var all: [RegionFailover] = []
        for kind in settings.losses { all.append(try failover(kind)) }
        return all
    }

    /// Seconds of load before the loss, so that timers have followed the round trips, and after it.
    private static let before = 4
    private static let after = 6

    private func failover(_ kind: RegionLoss) throws -> RegionFailover {
        let cluster = try start("failover-\(kind.rawValue)", infers: true)
        guard let leader = cluster.monitor.leader else {
            throw CommandFailure(.no, "no node leads")
        }
        let trips = settings.matrix.roundTrips
        Terminal.error("\(settings.matrix.regions[leader - 1]) leads, and is \(kind.words)")
        cluster.load.begin()
        try run(seconds: RegionRun.before) { false }
        lostNode = leader
        let lostAt = loop.now
        cluster.load.lose(leader - 1)
        lose(leader, kind, cluster.nodes, trips)
        try run(seconds: RegionRun.after) { false }
        defer { lostNode = nil }
        let samples = cluster.load.samples
        let wrong = cluster.load.wrong
        end(cluster)
        if let first = wrong.first { throw CommandFailure(.no, "a wrong answer: \(first)") }
        let survivors = settings.matrix.regions.indices.filter { $0 != leader - 1 }
        var longest: UInt64 = 0
        for a in survivors {
            for b in survivors { longest = max(longest, trips.between(a, b) ?? 0) }
        }
        let decided = samples.filter { $0.kind == .decided }
        return RegionFailover(
            kind: kind,
            lost: leader - 1,
            survivors: survivors.map { region in
                let next = decided.filter { $0.region == region && $0.sent >= lostAt }
                    .map(\.ended).min()
                return .init(region: region, nextDecision: next.map { $0 - lostAt })
            },
            bound: 4 * longest + 500_000_000,
            lostRepeats: kind.runs
                ? Latencies(
                    samples.filter {
                        $0.kind == .repeated && $0.region == leader - 1 && $0.sent >= lostAt
                    }.map(\.latency)
                ) : nil,
            dots: decided.map {
                (
                    region: $0.region, at: Int64($0.ended) - Int64(lostAt), latency: $0.latency
                )
            }
        )
    }

    private func lose(
        _ leader: Int,
        _ kind: RegionLoss,
        _ nodes: RegionNodes,
        _ trips: RoundTrips
    ) {
        switch kind {
        case .killed: nodes.send(SIGKILL, to: leader)
        case .paused: nodes.send(SIGSTOP, to: leader)
        case .cut, .deaf, .mute, .cutFromOne:
            for relay in relays(of: leader, kind, nodes, trips) { relay.cut() }
        }
    }

    /// What has to be cut for a region to be lost in this way; nothing where its node itself is lost.
    func relays(
        of node: Int,
        _ kind: RegionLoss,
        _ nodes: RegionNodes,
        _ trips: RoundTrips
    ) -> [Relay] {
        switch kind {
        case .killed, .paused: return []
        case .cut: return nodes.relays(of: node)
        case .deaf: return nodes.relays(of: node, outgoing: false)
        case .mute: return nodes.relays(of: node, incoming: false)
        case .cutFromOne:
            // The farthest one.
            let other = (1...nodes.count).filter { $0 != node }.max {
                (trips.between(node - 1, $0 - 1) ?? 0) < (trips.between(node - 1, $1 - 1) ?? 0)
            }
            guard let other else { return [] }
            return [nodes.relay(from: node, to: other), nodes.relay(from: other, to: node)]
                .compactMap { $0 }
        }
    }
}
