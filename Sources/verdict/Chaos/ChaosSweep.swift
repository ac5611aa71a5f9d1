import Chaos
import HTTP
import Reactor

/// When all is over: hears every answer again from every node, and reads what the nodes hold.
final class ChaosSweep {
    private let loop: ChaosLoop
    private let load: ChaosLoad
    private let requests: ChaosRequests
    private let client: ChaosClient
    private let number: Int
    private let nodes: Int
    private var waiting = 0
    private(set) var replays = 0
    private(set) var unread: [String] = []
    private(set) var views: [[FinalView]] = []

    private static let patience: UInt64 = 12_000_000_000
    /// Requests under way at once, for each node.
    private static let width = 8

    init(
        _ loop: ChaosLoop,
        _ load: ChaosLoad,
        _ requests: ChaosRequests,
        addresses: [ResolvedAddress]
    ) {
        self.loop = loop
        self.load = load
        self.requests = requests
        nodes = addresses.count
        number = load.addClient("sweep")
        client = ChaosClient(
            loop,
            name: "sweep",
            number: number,
            addresses: addresses,
            limit: ChaosSweep.width
        )
    }

    func abandon() { client.abandon() }

    // MARK: Replays

    /// Sends again what was acknowledged, to each node: of so many attempts, spread over the run, that
    /// about `limit` requests are made.
    func replay(limit: Int, until isOver: () -> Bool) throws(SystemError) {
        var posts: [[Int]] = Array(repeating: [], count: load.history.scripts.count)
        for exchange in load.history.exchanges {
            guard case .post(let post) = exchange.kind, exchange.goodAnswer != nil,
                !load.history.scripts[exchange.attempt].posts[post].isPoll,
                !posts[exchange.attempt].contains(post)
            else { continue }
            posts[exchange.attempt].append(post)
        }
        let all = load.opened.reduce(0) { $0 + (posts[$1].count + 1) * nodes }
        let stride = max(1, (all + limit - 1) / max(1, limit))
        var tasks: [(attempt: Int, kind: Exchange.Kind, node: Int)] = []
        for (place, attempt) in load.opened.enumerated() where place % stride == 0 {
            for node in 0..<nodes {
                tasks.append((attempt, .open, node))
                for post in posts[attempt] { tasks.append((attempt, .post(post), node)) }
            }
        }
        try each(tasks.count, until: isOver) { place, done in
            self.send(tasks[place].attempt, tasks[place].kind, tasks[place].node, done)
        }
    }

    private func send(
        _ attempt: Int,
        _ kind: Exchange.Kind,
        _ node: Int,
        _ done: @escaping () -> Void
    ) {
        let script = load.history.scripts[attempt]
        let bytes: [UInt8]
        if case .post(let post) = kind {
            bytes = requests.post(post, of: script, node: node)
        } else {
            bytes = requests.open(script, node: node)
        }
        client.send(
            ChaosClient.Request(node: node, bytes: bytes, patience: ChaosSweep.patience) {
                [weak self] end, sent, ended in
                guard let self else { return }
                self.load.note(
                    self.number,
                    attempt,
                    node,
                    kind,
                    end,
                    sent,
                    ended,
                    isReplay: true
                )
                self.replays += 1
                done()
            }
        )
    }

    /// Does things some at a time, until all are done.
    private func each(
        _ count: Int,
        until isOver: () -> Bool,
        _ start: @escaping (Int, @escaping () -> Void) -> Void
    ) throws(SystemError) {
        var next = 0
        func fill() {
            while waiting < ChaosSweep.width * nodes, next < count {
                waiting += 1
                next += 1
                start(next - 1) { [weak self] in self?.waiting -= 1 }
            }
        }
        try loop.run {
            fill()
            return (next == count && waiting == 0) || isOver()
        }
    }

    // MARK: Reading

    /// Reads all that was opened at all nodes.
    func read(until isOver: () -> Bool) throws(SystemError) {
        views = Array(repeating: [], count: load.history.scripts.count)
        try read(load.opened, until: isOver)
    }

    /// Reads those again on which the nodes do not agree, or that `isWrong` names.
    ///
    /// - Returns: how many they were.
    func readAgain(
        until isOver: () -> Bool,
        _ isWrong: ([FinalView]) -> Bool
    ) throws(SystemError) -> Int {
        let some = load.opened.filter { attempt in
            let views = views[attempt]
            return views.count < nodes || isWrong(views)
                || views.contains {
                    $0.timeline != views[0].timeline || $0.state != views[0].state
                        || $0.triesLeft != views[0].triesLeft
                }
        }
        for attempt in some { views[attempt] = [] }
        try read(some, until: isOver)
        return some.count
    }

    private func read(_ attempts: [Int], until isOver: () -> Bool) throws(SystemError) {
        unread = []
        let nodes = self.nodes
        try each(attempts.count * nodes, until: isOver) { place, done in
            self.read(attempts[place / nodes], place % nodes, done)
        }
        for attempt in attempts { views[attempt].sort { $0.node < $1.node } }
    }

    private func read(_ attempt: Int, _ node: Int, _ done: @escaping () -> Void) {
        let path = "/v1/attempts/\(load.history.scripts[attempt].name)"
        get(path, node) { [weak self] shown in
            guard let self else { return }
            self.get(path + "/timeline", node) { timeline in
                if let shown, let timeline { self.note(attempt, node, shown, timeline) }
                done()
            }
        }
    }

    private func get(_ path: String, _ node: Int, _ then: @escaping (Response?) -> Void) {
        client.send(
            ChaosClient.Request(
                node: node,
                bytes: requests.get(path + "?consistency=local", node: node),
                patience: ChaosSweep.patience
            ) { [weak self] end, _, _ in
                if case .answered(let response) = end,
                    response.status == 200 || response.status == 404
                {
                    return then(response)
                }
                if let self, self.unread.count < 20 {
                    self.unread.append("node \(node + 1) does not answer \(path)")
                }
                then(nil)
            }
        )
    }

    private struct Shown: Decodable {
        struct Outcome: Decodable { var index: UInt64 }
        var state: String
        var tries_left: Int
        var outcome: Outcome?
    }
    private struct Timeline: Decodable {
        struct Entry: Decodable {
            var index: UInt64
            var key: String?
            var event: String
            var disposition: String?
            var state_before: String
            var state_after: String
        }
        var entries: [Entry]
    }

    private func note(_ attempt: Int, _ node: Int, _ shown: Response, _ timeline: Response) {
        let body = load.intern(timeline.body)
        var view = FinalView(
            node: node + 1,
            state: nil,
            decidedAt: nil,
            triesLeft: 0,
            lines: [],
            timeline: body
        )
        if shown.status == 200 {
            guard let attempt: Shown = JSON.decode(shown.body) else {
                return unread.append("node \(node + 1): an attempt that cannot be read")
            }
            view.state = attempt.state
            view.triesLeft = attempt.tries_left
            view.decidedAt = attempt.outcome?.index
        }
        if let known = views[attempt].first(where: { $0.timeline == body }) {
            // The same bytes say the same.
            view.lines = known.lines
        } else if timeline.status == 200 {
            guard let read: Timeline = JSON.decode(timeline.body) else {
                return unread.append("node \(node + 1): a timeline that cannot be read")
            }
            view.lines = read.entries.map { entry in
                FinalView.Line(
                    index: entry.index,
                    key: entry.key,
                    event: entry.event,
                    disposition: entry.disposition.flatMap { Disposition(rawValue: $0) },
                    before: entry.state_before,
                    after: entry.state_after
                )
            }
        }
        views[attempt].append(view)
    }
}
