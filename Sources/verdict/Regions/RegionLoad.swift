import Digest
import HTTP
import Reactor

/// The platforms of all regions: each opens attempts at the node of its region, decides them there
/// and repeats the deciding callbacks.
final class RegionLoad {
    enum Kind: Int, CaseIterable { case opened, decided, repeated }
    struct Sample {
        var region: Int
        var kind: Kind
        /// Nanoseconds of the loop.
        var sent: UInt64
        var ended: UInt64
        var latency: UInt64 { ended - sent }
    }
    /// A request that got no answer, or was turned away.
    struct Failure {
        var region: Int
        var kind: Kind
        var sent: UInt64
        var ended: UInt64
        var what: String
    }

    private let loop: ChaosLoop
    private var workload: BenchWorkload
    private var clients: [ChaosClient] = []
    /// Between two attempts of a region, in nanoseconds.
    private let interval: UInt64
    private let patience: UInt64
    /// After this a decision is known everywhere, in milliseconds.
    private let settling: Int
    private var next = 1
    private var isRunning = false

    private(set) var samples: [Sample] = []
    private(set) var failures: [Failure] = []
    private(set) var wrong: [String] = []
    /// Attempts that were decided, and their answers; those of a region that is lost are repeated there.
    private var decided: [[(attempt: Int, at: UInt64, body: [UInt8])]]
    private var lost: Int?
    /// Requests without an answer yet.
    private(set) var underWay = 0

    /// `rate` is in attempts a second in each region, `patience` in nanoseconds, `settling` in
    /// milliseconds.
    ///
    /// - Throws: if the cluster has nothing to sign with.
    init(
        _ loop: ChaosLoop,
        _ file: ClusterFile,
        addresses: [ResolvedAddress],
        regions: [String],
        rate: Int,
        patience: UInt64,
        settling: Int
    ) throws(CommandFailure) {
        guard let secret = file.providers.twilio?.secret else {
            throw CommandFailure(.usage, "the cluster file has no Twilio secret to sign with")
        }
        self.loop = loop
        self.patience = patience
        self.settling = settling
        interval = 1_000_000_000 / UInt64(rate)
        decided = regions.map { _ in [] }
        workload = BenchWorkload(
            hosts: file.nodes.map { String($0.http.dropFirst("http://".count)) },
            origins: file.nodes.map(\.public),
            ingestToken: file.tokens.ingest,
            twilioSecret: secret,
            prefix: "region-" + Hex.string(SecureRandom.bytes(4))
        )
        for (number, region) in regions.enumerated() {
            clients.append(
                ChaosClient(
                    loop,
                    name: region,
                    number: number,
                    addresses: addresses,
                    limit: max(64, rate * 16)
                )
            )
        }
    }

    func begin() {
        isRunning = true
        let now = loop.now
        for region in clients.indices {
            // Not all at the same moment.
            openNext(in: region, at: now + interval * UInt64(region) / UInt64(clients.count))
        }
    }

    /// Begins nothing new; what is under way goes on.
    func stop() { isRunning = false }

    func abandon() {
        stop()
        for client in clients { client.abandon() }
        underWay = 0
    }

    private func openNext(in region: Int, at time: UInt64) {
        loop.at(time) { [weak self] in
            guard let self, self.isRunning else { return }
            self.open(in: region)
            self.openNext(in: region, at: time + self.interval)
        }
    }

    private func open(in region: Int) {
        let attempt = next
        next += 1
        send(.open, attempt, in: region) { [weak self] response in
            guard response.status == 201 else { return "opened with \(response.status)" }
            self?.decide(attempt, in: region)
            return nil
        }
    }

    private func decide(_ attempt: Int, in region: Int) {
        send(.decide, attempt, in: region) { [weak self] response in
            let disposition = response.headers.first("verdict-disposition") ?? "none"
            guard response.status == 200, disposition == "accepted" else {
                return "decided with \(response.status), \(disposition)"
            }
            guard let self else { return nil }
            self.decided[region].append((attempt, self.loop.now, response.body))
            self.again(attempt, in: region, as: response.body)
            // The same callback at another node, once it must have heard of the decision.
            let other = (region + 1) % self.clients.count
            self.loop.after(milliseconds: self.settling) { [weak self] in
                // A region that is lost may not have heard of it.
                guard self?.lost != other else { return }
                self?.again(attempt, in: other, as: response.body)
            }
            return nil
        }
    }

    /// A region is lost from now on: what was decided there before is repeated there, as by platforms
    /// that still reach its node, in turn and again: often enough for a hundredth of them to be several.
    func lose(_ region: Int) {
        lost = region
        let known = decided[region].map { (attempt: $0.attempt, body: $0.body) }
        guard !known.isEmpty else { return }
        repeatNext(0, of: known, in: region, at: loop.now)
    }

    private func repeatNext(
        _ number: Int,
        of known: [(attempt: Int, body: [UInt8])],
        in region: Int,
        at time: UInt64
    ) {
        guard isRunning else { return }
        let next = known[number % known.count]
        again(next.attempt, in: region, as: next.body)
        let later = time + interval / 5
        loop.at(later) { [weak self] in
            self?.repeatNext(number + 1, of: known, in: region, at: later)
        }
    }

    private func again(_ attempt: Int, in region: Int, as first: [UInt8]) {
        guard isRunning else { return }
        send(.repeated, attempt, in: region) { response in
            let disposition = response.headers.first("verdict-disposition") ?? "none"
            guard response.status == 200, disposition == "repeated", response.body == first else {
                return "repeated with \(response.status), \(disposition), "
                    + (response.body == first ? "the same body" : "another body")
            }
            return nil
        }
    }

    /// `judge` says what is wrong with an answer; `nil`: nothing.
    private func send(
        _ kind: BenchWorkload.Kind,
        _ attempt: Int,
        in region: Int,
        _ judge: @escaping (Response) -> String?
    ) {
        let measured: Kind =
            switch kind {
            case .open: .opened
            case .decide: .decided
            case .repeated: .repeated
            }
        var bytes: [UInt8] = []
        workload.append(kind, attempt: attempt, node: region, to: &bytes)
        let asked = loop.now
        underWay += 1
        clients[region].send(
            ChaosClient.Request(node: region, bytes: bytes, patience: patience) {
                [weak self] end, sent, ended in
                guard let self else { return }
                self.underWay -= 1
                var failure: String?
                switch end {
                case .notSent: failure = "not sent"
                case .unanswered: failure = "unanswered"
                case .answered(let response) where [503, 408].contains(response.status):
                    failure = "\(response.status)"
                case .answered(let response):
                    if let problem = judge(response) {
                        if self.wrong.count < 100 {
                            let name = self.workload.attemptName(attempt)
                            self.wrong.append("\(name) in region \(region + 1): \(problem)")
                        }
                        return
                    }
                }
                if let failure {
                    self.failures.append(
                        Failure(
                            region: region,
                            kind: measured,
                            sent: asked,
                            ended: ended,
                            what: failure
                        )
                    )
                } else {
                    self.samples.append(
                        Sample(region: region, kind: measured, sent: sent, ended: ended)
                    )
                }
            }
        )
    }
}
