internal import Raft
internal import Replica

/// The links between nodes, and what is wrong with them.
struct Network {
    /// One connection between two nodes.
    struct Link {
        var isUp = false
        var epoch = 0
    }

    private(set) var links: [[Link]]
    /// Whether a node was told that its link to a peer is up.
    var isTold: [[Bool]]
    /// Faults that keep messages from getting from one node to another; more than one may.
    private(set) var blocks: [[Int]]
    var slowness: [[UInt64]]
    /// What waits behind a block, in order.
    var held: [[[Parcel]]]
    var decoders: [[FrameDecoder]]
    /// When the last message arrives that was sent in this direction.
    private var lastArrival: [[UInt64]]
    private var random: [[SeededRandom]]
    private let nodes: Int

    init(nodes: Int, seed: UInt64) {
        self.nodes = nodes
        func square<Value>(_ value: Value) -> [[Value]] {
            [[Value]](repeating: [Value](repeating: value, count: nodes), count: nodes)
        }
        links = square(Link())
        isTold = square(false)
        blocks = square(0)
        slowness = square(1)
        held = square([])
        decoders = square(FrameDecoder())
        lastArrival = square(0)
        random = []
        for from in 0..<nodes {
            random.append(
                (0..<nodes).map { SeededRandom(seed: seed, stream: "link", from * 16 + $0) }
            )
        }
    }

    func link(_ a: Int, _ b: Int) -> Link { links[min(a, b)][max(a, b)] }
    func isBlocked(from: Int, to: Int) -> Bool { blocks[from][to] > 0 }

    mutating func block(from: Int, to: Int) {
        if from != to { blocks[from][to] += 1 }
    }
    mutating func unblock(from: Int, to: Int) {
        if from != to { blocks[from][to] = max(0, blocks[from][to] - 1) }
    }
    mutating func unblockAll() {
        for from in 0..<nodes {
            for to in 0..<nodes {
                blocks[from][to] = 0
                slowness[from][to] = 1
            }
        }
    }

    mutating func raise(_ a: Int, _ b: Int) {
        links[min(a, b)][max(a, b)].isUp = true
        for (from, to) in [(a, b), (b, a)] {
            decoders[to][from] = FrameDecoder()
            held[from][to] = []
        }
    }

    /// Ends a connection: what was under way on it is lost.
    mutating func lower(_ a: Int, _ b: Int) {
        links[min(a, b)][max(a, b)].isUp = false
        links[min(a, b)][max(a, b)].epoch += 1
        held[a][b] = []
        held[b][a] = []
    }

    mutating func draw(_ from: Int, _ to: Int) -> UInt64 { random[from][to].next() }
    mutating func chance(_ from: Int, _ to: Int, perMillion: UInt64) -> Bool {
        perMillion > 0 && random[from][to].chance(perMillion: perMillion)
    }
    mutating func below(_ from: Int, _ to: Int, _ bound: UInt64) -> UInt64 {
        random[from][to].below(bound)
    }

    /// One way's delay now.
    mutating func delay(_ from: Int, _ to: Int, _ plan: WorldPlan) -> UInt64 {
        var delay = plan.delays[from][to] + random[from][to].below(plan.jitter + 1)
        // Now and then a packet is sent again.
        if plan.jitter > 0, random[from][to].chance(perMillion: 2000) {
            delay += delay + plan.jitter * 4
        }
        return delay * slowness[from][to]
    }

    /// When a message sent now arrives, after all that were sent before it.
    mutating func orderedArrival(_ from: Int, _ to: Int, at now: UInt64, _ plan: WorldPlan)
        -> UInt64
    {
        let arrival = max(now + delay(from, to, plan), lastArrival[from][to])
        lastArrival[from][to] = arrival
        return arrival
    }
}
