import HTTP
import Reactor

extension RegionRun {
    private static let callsPerRound = 3
    private static let patience: UInt64 = 20_000_000_000

    private struct Call: Hashable {
        var attempt: String
        var name: String
        /// Posted again, so that it may be counted as a repeat.
        var isAgain: Bool
    }

    private struct Timeline: Decodable {
        struct Entry: Decodable {
            var call: String?
            var event: String?
            var repeats: UInt64?
        }
        var entries: [Entry]
    }

    /// Cuts the regions off, one after another and the leader's among them, both ways, one way and from one
    /// other region, posts status callbacks to their nodes meanwhile, heals them, and looks for each of them in
    /// the timelines of all nodes.
    func rounds() throws -> RegionRounds? {
        guard settings.rounds > 0 else { return nil }
        let cluster = try start("rounds", infers: true)
        Terminal.error("\(settings.rounds) rounds of a region that is cut off and healed")
        let requests = try ChaosRequests(cluster.nodes.file)
        let client = ChaosClient(
            loop,
            name: "platforms",
            number: -3,
            addresses: cluster.addresses,
            limit: 8
        )
        defer { client.abandon() }
        var result = RegionRounds()
        var calls: [Call] = []
        for round in 1...settings.rounds {
            calls += try self.round(round, cluster, client, requests, &result)
            if round % 10 == 0 { Terminal.error("\(round) rounds") }
        }
        for node in settings.matrix.regions.indices {
            try look(for: calls, at: node, client, requests, &result)
        }
        end(cluster)
        return result
    }

    private func round(
        _ round: Int,
        _ cluster: Cluster,
        _ client: ChaosClient,
        _ requests: ChaosRequests,
        _ result: inout RegionRounds
    ) throws -> [Call] {
        let node = (round - 1) % settings.matrix.count
        let attempt = "round-\(round)"
        guard
            let opened = try ask(client, node, requests.open(attempt, node: node)),
            opened.status == 201
        else { throw CommandFailure(.no, "\(attempt) cannot be opened at node \(node + 1)") }
        let ways = RegionLoss.allCases.filter(\.runs)
        let way = ways[(round - 1) / settings.matrix.count % ways.count]
        let relays = relays(of: node + 1, way, cluster.nodes, settings.matrix.roundTrips)
        for relay in relays { relay.cut() }
        var calls = (1...RegionRun.callsPerRound).map { call in
            let digits = String(round * 100 + call)
            let zeros = String(repeating: "0", count: 32 - digits.count)
            return Call(attempt: attempt, name: "CA" + zeros + digits, isAgain: false)
        }
        var answers: [Response?] = Array(repeating: nil, count: calls.count)
        var waiting = calls.count
        for place in calls.indices {
            let bytes = requests.ended(calls[place].name, of: attempt, node: node)
            client.send(
                ChaosClient.Request(node: node, bytes: bytes, patience: RegionRun.patience) {
                    end,
                    _,
                    _ in
                    if case .answered(let response) = end { answers[place] = response }
                    waiting -= 1
                }
            )
        }
        try run(seconds: 30) { waiting == 0 }
        for relay in relays { relay.heal(breaks: false) }
        cluster.monitor.forget()
        guard try run(seconds: 30, { cluster.monitor.allReady }) else {
            throw CommandFailure(.no, "round \(round): not all nodes are ready again after 30 s")
        }
        for place in calls.indices {
            if let answer = answers[place], answer.status / 100 == 2 {
                result.acknowledged += 1
                if answer.headers.first("verdict-pending") != nil { result.takenIn += 1 }
                continue
            }
            calls[place].isAgain = true
            result.again += 1
            let bytes = requests.ended(calls[place].name, of: attempt, node: node)
            guard let answer = try ask(client, node, bytes), answer.status / 100 == 2 else {
                throw CommandFailure(
                    .no,
                    "\(attempt): node \(node + 1) takes nothing after healing"
                )
            }
        }
        result.rounds += 1
        return calls
    }

    private func ask(
        _ client: ChaosClient,
        _ node: Int,
        _ bytes: [UInt8]
    ) throws -> Response? {
        var answer: Response?
        var isOver = false
        client.send(
            ChaosClient.Request(node: node, bytes: bytes, patience: RegionRun.patience) {
                end,
                _,
                _ in
                if case .answered(let response) = end { answer = response }
                isOver = true
            }
        )
        try run(seconds: 30) { isOver }
        return answer
    }

    /// Waits, for a while, until a node's timelines have all that was acknowledged, and notes what they lack.
    private func look(
        for calls: [Call],
        at node: Int,
        _ client: ChaosClient,
        _ requests: ChaosRequests,
        _ result: inout RegionRounds
    ) throws {
        let until = loop.now + 30_000_000_000
        let byAttempt = Dictionary(grouping: calls, by: \.attempt)
        for (attempt, calls) in byAttempt.sorted(by: { $0.key < $1.key }) {
            var entries: [Timeline.Entry] = []
            var missing = calls
            while !missing.isEmpty {
                let path = "/v1/attempts/\(attempt)/timeline"
                let answer = try ask(client, node, requests.get(path, node: node))
                guard let answer, answer.status == 200,
                    let timeline: Timeline = JSON.decode(answer.body)
                else { throw CommandFailure(.no, "node \(node + 1) does not show \(path)") }
                entries = timeline.entries.filter { $0.event == "ended" }
                missing = calls.filter { call in !entries.contains { $0.call == call.name } }
                guard loop.now < until else { break }
                if !missing.isEmpty { try run(until: loop.now + 100_000_000) { false } }
            }
            for call in missing {
                result.lost.append("\(call.name) of \(attempt) is unknown to node \(node + 1)")
            }
            for call in calls {
                let lines = entries.filter { $0.call == call.name }
                let isRepeated = !call.isAgain && lines.contains { ($0.repeats ?? 0) > 0 }
                guard lines.count > 1 || isRepeated else { continue }
                result.twice.append(
                    "\(call.name) of \(attempt) counts more than once at node \(node + 1)"
                )
            }
        }
    }
}
