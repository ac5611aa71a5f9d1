import Chaos
import HTTP
import Reactor

/// Carries out the scripts of attempts: opens them at a rate and posts their callbacks as platforms
/// do, to the nearest node first and after a time-out or a refusal to another one; and reads.
final class ChaosLoad {
    struct Settings {
        var seed: UInt64
        /// Openings a second.
        var rate: Int
        /// Reads a second.
        var readRate: Int
        /// All clients' together.
        var connections: Int
        /// Nanoseconds that a platform waits for an answer.
        var patience: UInt64
    }

    private let loop: ChaosLoop
    private let settings: Settings
    private let requests: ChaosRequests
    private let nodes: Int
    private(set) var history = History()
    /// The platforms of each region, in the order of the nodes: their nearest is the node of theirs.
    private(set) var platforms: [ChaosClient] = []
    private var channels: [ChaosClient] = []
    private var readers: [ChaosClient] = []
    private var random: ChaosRandom
    private var isOpening = false
    /// Attempts that were opened for certain, in that order.
    private(set) var opened: [Int] = []
    private var knownOpen: Set<Int> = []
    /// Deliveries that are not given up and have no answer.
    private(set) var underWay = 0
    /// Those that are still to be sent, but for what comes late.
    private var planned = 0
    /// What the end of the load waits for.
    var pending: Int { underWay + planned }
    /// Openings that were left out since too much waited.
    private(set) var heldBack = 0
    private(set) var givenUp = 0
    private var outcomes: [Int: Outcome] = [:]
    private var firstBodies: [Int: Int] = [:]
    /// Answers that contradict another one, as far as is seen at once.
    private(set) var liveViolations = 0

    /// Called with each decision: when its request was sent, and when it was answered.
    var decided: (UInt64, UInt64) -> Void = { _, _ in }
    private(set) var recent = LatencyHistogram()
    private(set) var decisions = 0

    init(
        _ loop: ChaosLoop,
        _ settings: Settings,
        _ requests: ChaosRequests,
        addresses: [ResolvedAddress],
        regions: [String]
    ) {
        self.loop = loop
        self.settings = settings
        self.requests = requests
        nodes = addresses.count
        random = ChaosRandom(seed: settings.seed, stream: "load")
        let share = max(2, settings.connections / (nodes * (2 * nodes + 1)))
        func client(_ name: String, _ limit: Int) -> ChaosClient {
            history.clients.append(name)
            return ChaosClient(
                loop,
                name: name,
                number: history.clients.count - 1,
                addresses: addresses,
                limit: limit
            )
        }
        for region in regions { platforms.append(client("platform \(region)", share + share / 2)) }
        for region in regions { channels.append(client("app \(region)", max(1, share / 2))) }
        readers.append(client("reader", share))
    }

    // MARK: Openings

    func begin() {
        isOpening = true
        openNext(at: loop.now)
        if settings.readRate > 0 { readNext() }
    }

    func stopOpening() { isOpening = false }

    private func openNext(at time: UInt64) {
        guard isOpening else { return }
        // A load that nothing takes does not grow without bound.
        if underWay < 20 * settings.rate + 200 { open() } else { heldBack += 1 }
        let next = time + 1_000_000_000 / UInt64(settings.rate)
        loop.at(next) { [weak self] in self?.openNext(at: next) }
    }

    private func open() {
        let script = AttemptScript(
            seed: settings.seed,
            number: history.scripts.count,
            regions: nodes
        )
        history.scripts.append(script)
        deliver(Delivery(attempt: script.number, kind: .open, region: script.number % nodes))
    }

    /// The attempt is there: its calls begin.
    private func isOpen(_ attempt: Int) {
        guard knownOpen.insert(attempt).inserted else { return }
        opened.append(attempt)
        let script = history.scripts[attempt]
        for (place, post) in script.posts.enumerated() {
            for copy in 0..<post.copies {
                deliver(attempt, place, post, after: post.at, first: post.region + copy)
            }
            for (number, at) in post.again.enumerated() {
                deliver(attempt, place, post, after: at, first: post.region + number + 1)
            }
        }
    }

    private func deliver(
        _ attempt: Int,
        _ place: Int,
        _ post: ScriptedPost,
        after milliseconds: Int,
        first: Int
    ) {
        var delivery = Delivery(attempt: attempt, kind: .post(place), region: post.region)
        delivery.node = first % nodes
        // A run's end does not wait for what comes late.
        let isLate = milliseconds >= 5000
        if !isLate { planned += 1 }
        loop.after(milliseconds: milliseconds) { [weak self] in
            guard let self else { return }
            if !isLate { self.planned -= 1 }
            if self.isOpening || !isLate { self.deliver(delivery) }
        }
    }

    // MARK: Deliveries

    private struct Delivery {
        var attempt: Int
        var kind: Exchange.Kind
        var region: Int
        var node: Int
        var tries = 0

        init(attempt: Int, kind: Exchange.Kind, region: Int) {
            self.attempt = attempt
            self.kind = kind
            self.region = region
            node = region
        }
    }

    /// As often a platform tries; then its callback is lost, as in life.
    private static let maxTries = 8

    private func deliver(_ delivery: Delivery) {
        underWay += 1
        let script = history.scripts[delivery.attempt]
        let client: ChaosClient
        let bytes: [UInt8]
        switch delivery.kind {
        case .post(let post):
            let isOwn = script.posts[post].isOwnForm
            client = isOwn ? channels[delivery.region] : platforms[delivery.region]
            bytes = requests.post(post, of: script, node: delivery.node)
        default:
            client = channels[delivery.region]
            bytes = requests.open(script, node: delivery.node)
        }
        client.send(
            ChaosClient.Request(
                node: delivery.node,
                bytes: bytes,
                patience: settings.patience
            ) { [weak self] end, sent, ended in
                self?.ended(delivery, client, end, sent, ended)
            }
        )
    }

    private func ended(
        _ delivery: Delivery,
        _ client: ChaosClient,
        _ end: ChaosClient.End,
        _ sent: UInt64,
        _ ended: UInt64
    ) {
        underWay -= 1
        let exchange = note(
            client.number,
            delivery.attempt,
            delivery.node,
            delivery.kind,
            end,
            sent,
            ended
        )
        if let answer = exchange.goodAnswer {
            if RunSeries.isDecision(exchange, answer) {
                decisions += 1
                recent.add(nanoseconds: ended - sent)
                decided(sent, ended)
            }
            if delivery.kind == .open { isOpen(delivery.attempt) }
            return
        }
        if let answer = exchange.answer, answer.status < 500, answer.status != 408,
            answer.pending != .hold
        {
            return
        }
        var again = delivery
        again.tries += 1
        again.node = (delivery.node + 1) % nodes
        guard again.tries < ChaosLoad.maxTries else {
            givenUp += 1
            return
        }
        underWay += 1
        let pause = min(2000, 60 << again.tries)
        loop.after(milliseconds: pause + random.below(pause)) { [weak self] in
            guard let self else { return }
            self.underWay -= 1
            self.deliver(again)
        }
    }

    /// Puts an exchange into the history.
    @discardableResult
    func note(
        _ client: Int,
        _ attempt: Int,
        _ node: Int,
        _ kind: Exchange.Kind,
        _ end: ChaosClient.End,
        _ sent: UInt64,
        _ ended: UInt64,
        isReplay: Bool = false
    ) -> Exchange {
        var exchange = Exchange(
            client: client,
            attempt: attempt,
            node: node + 1,
            kind: kind,
            invoked: sent,
            returned: ended,
            end: .notSent,
            isReplay: isReplay
        )
        switch end {
        case .notSent: break
        case .unanswered: exchange.end = .unknown
        case .answered(let response):
            exchange.end = .answered(
                Exchange.Answer(
                    status: response.status,
                    disposition: response.headers.first("verdict-disposition").flatMap {
                        Disposition(rawValue: $0)
                    },
                    told: ToldState(body: response.body),
                    // A read's body holds what changes, and is compared nowhere.
                    body: kind == .read || kind == .localRead
                        ? history.intern([]) : history.intern(response.body),
                    pending: response.headers.first("verdict-pending").flatMap {
                        Exchange.Pending(rawValue: $0)
                    }
                )
            )
        }
        history.add(exchange)
        watch(exchange)
        return exchange
    }

    /// A first look while the run goes on; all is judged afterwards.
    private func watch(_ exchange: Exchange) {
        guard let answer = exchange.goodAnswer else { return }
        if let outcome = answer.told.outcome {
            let known = outcomes[exchange.attempt]
            if known == nil { outcomes[exchange.attempt] = outcome }
            if let known, known != outcome { liveViolations += 1 }
        }
        guard case .post(let post) = exchange.kind,
            !history.scripts[exchange.attempt].posts[post].isPoll
        else { return }
        let place = exchange.attempt << 16 | post
        if let known = firstBodies[place] {
            if known != answer.body { liveViolations += 1 }
        } else {
            firstBodies[place] = answer.body
        }
    }

    func intern(_ body: [UInt8]) -> Int { history.intern(body) }
    func addClient(_ name: String) -> Int {
        history.clients.append(name)
        return history.clients.count - 1
    }

    func takeRecent() -> LatencyHistogram {
        defer { recent = LatencyHistogram() }
        return recent
    }

    // MARK: Reads

    private func readNext() {
        guard isOpening else { return }
        if let newest = opened.indices.last, readers[0].load < 200 {
            // Mostly what is new, where something is going on.
            let age = random.chance(percent: 80) ? random.below(100) : random.below(newest + 1)
            let attempt = opened[max(0, newest - age)]
            let node = random.below(nodes)
            let isLocal = random.chance(percent: 50)
            let name = history.scripts[attempt].name
            let query = isLocal ? "?consistency=local" : ""
            let reader = readers[0]
            reader.send(
                ChaosClient.Request(
                    node: node,
                    bytes: requests.get("/v1/attempts/\(name)\(query)", node: node),
                    patience: settings.patience
                ) { [weak self] end, sent, ended in
                    self?.note(
                        reader.number,
                        attempt,
                        node,
                        isLocal ? .localRead : .read,
                        end,
                        sent,
                        ended
                    )
                }
            )
        }
        loop.after(milliseconds: max(1, 1000 / settings.readRate)) { [weak self] in
            self?.readNext()
        }
    }

    func abandon() {
        isOpening = false
        for client in platforms + channels + readers { client.abandon() }
    }
}
