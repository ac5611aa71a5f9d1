import Chaos
import HTTP
import Reactor

/// Asks each node again and again who leads, as it sees it.
final class ChaosMonitor {
    private struct View {
        var at: UInt64
        var term: UInt64
        var leads: Bool
        var applied: UInt64
    }

    private let loop: ChaosLoop
    private let client: ChaosClient
    private let requests: ChaosRequests
    private let nodes: Int
    private var views: [View?]
    private var ready: [Bool]
    /// Grows when what was asked before does not count any more.
    private var generations: [Int]
    private(set) var sights: [LeaderSight] = []
    private var isOver = false

    private static let interval = 200
    private static let patience: UInt64 = 800_000_000

    init(
        _ loop: ChaosLoop,
        _ requests: ChaosRequests,
        addresses: [ResolvedAddress]
    ) {
        self.loop = loop
        self.requests = requests
        nodes = addresses.count
        views = Array(repeating: nil, count: nodes)
        ready = Array(repeating: false, count: nodes)
        generations = Array(repeating: 0, count: nodes)
        client = ChaosClient(loop, name: "monitor", number: -1, addresses: addresses, limit: 4)
        for node in 0..<nodes {
            look(node)
            askReady(node)
        }
    }

    func end() {
        isOver = true
        client.abandon()
    }

    /// The leader of the newest term that has been seen lately.
    var leader: Int? {
        let now = loop.now
        return views.indices.filter { node in
            views[node].map { $0.leads && now - $0.at < 2_000_000_000 } ?? false
        }.max { (views[$0]?.term ?? 0) < (views[$1]?.term ?? 0) }.map { $0 + 1 }
    }
    var term: UInt64 { views.compactMap { $0?.term }.max() ?? 0 }
    func isReady(_ number: Int) -> Bool { ready[number - 1] }
    var allReady: Bool { ready.allSatisfy { $0 } }
    /// Whether all nodes have applied the same entries, as far as they have said.
    var isLevel: Bool {
        let applied = views.map { $0?.applied }
        return applied.allSatisfy { $0 != nil && $0 == applied[0] }
    }
    /// The node starts anew.
    func forget(_ number: Int) {
        views[number - 1] = nil
        ready[number - 1] = false
        generations[number - 1] += 1
    }
    /// What was known is out of date.
    func forget() { for number in 1...nodes { forget(number) } }

    private func look(_ node: Int) {
        guard !isOver else { return }
        ask(node, "/v1/cluster") { [weak self] response, at in
            guard let self, response.status == 200,
                let view: ClusterView = JSON.decode(response.body),
                let own = view.nodes.first(where: { $0.node == node + 1 })
            else { return }
            let leads = own.role == "leader"
            self.views[node] = View(
                at: at,
                term: view.term,
                leads: leads,
                applied: own.applied_index ?? 0
            )
            self.sights.append(
                LeaderSight(at: at, node: node + 1, term: view.term, leads: leads)
            )
        } then: { [weak self] in
            self?.look(node)
        }
    }

    private func askReady(_ node: Int) {
        guard !isOver else { return }
        var isReady = false
        let generation = generations[node]
        ask(node, "/readyz") { response, _ in
            isReady = response.status == 200
        } then: { [weak self] in
            guard let self else { return }
            self.ready[node] = isReady && self.generations[node] == generation
            self.askReady(node)
        }
    }

    private func ask(
        _ node: Int,
        _ target: String,
        _ answered: @escaping (Response, UInt64) -> Void,
        then: @escaping () -> Void
    ) {
        client.send(
            ChaosClient.Request(
                node: node,
                bytes: requests.get(target, node: node),
                patience: ChaosMonitor.patience
            ) { [weak self] end, _, at in
                if case .answered(let response) = end { answered(response, at) }
                self?.loop.after(milliseconds: ChaosMonitor.interval, then)
            }
        )
    }
}
