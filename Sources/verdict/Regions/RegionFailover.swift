/// How the leader's region is lost.
package enum RegionLoss: String, CaseIterable, Sendable {
    /// Its node's process is killed: its system resets the connections.
    case killed
    /// Its node's process is stopped: connections stay, nothing answers.
    case paused
    /// Nothing passes to or from it, and nobody is told.
    case cut
    /// The others hear from it, it does not hear from them.
    case deaf
    /// It hears from the others, they do not hear from it.
    case mute
    /// Nothing passes between it and one other region.
    case cutFromOne = "cut-from-one"

    package var words: String {
        switch self {
        case .killed: "killed"
        case .paused: "paused"
        case .cut: "cut off"
        case .deaf: "cut off one way: hears nothing"
        case .mute: "cut off one way: is not heard"
        case .cutFromOne: "cut off from one region"
        }
    }

    /// Whether the node of the lost region still runs and takes requests.
    var runs: Bool { self != .killed && self != .paused }
}

/// What the loss of the leader's region cost the others.
package struct RegionFailover: Sendable {
    package struct Survivor: Sendable {
        /// From 0.
        package var region: Int
        /// From the loss to the answer of the first deciding callback posted after it, in
        /// nanoseconds; `nil` if there was none.
        package var nextDecision: UInt64?
        package init(region: Int, nextDecision: UInt64?) {
            self.region = region
            self.nextDecision = nextDecision
        }
    }
    package var kind: RegionLoss
    package var lost: Int
    package var survivors: [Survivor]
    /// 4 times the longest round trip between survivors, and 500 ms.
    package var bound: UInt64
    /// Repeats that the lost region answered meanwhile, where its node runs.
    package var lostRepeats: Latencies?
    /// Decisions around the loss, for the picture: region, when (from the loss on), latency.
    package var dots: [(region: Int, at: Int64, latency: UInt64)]

    package init(
        kind: RegionLoss,
        lost: Int,
        survivors: [Survivor],
        bound: UInt64,
        lostRepeats: Latencies?,
        dots: [(region: Int, at: Int64, latency: UInt64)]
    ) {
        self.kind = kind
        self.lost = lost
        self.survivors = survivors
        self.bound = bound
        self.lostRepeats = lostRepeats
        self.dots = dots
    }

    package var isMet: Bool {
        survivors.allSatisfy { $0.nextDecision.map { $0 <= bound } ?? false }
            && (lostRepeats.map { ($0.p99 ?? .max) <= RegionReport.repeatLimit } ?? true)
    }
}

extension RegionReport {
    var failoverText: String {
        var text = "the leader's region is lost; ms to the next decision elsewhere\n\n"
        let rows = failovers.map { one in
            let times = matrix.regions.indices.map { region in
                if region == one.lost { return "lost" }
                let found = one.survivors.first { $0.region == region }
                guard let found else { return "-" }
                return found.nextDecision.map { "\($0 / 1_000_000)" } ?? "none"
            }
            return [one.kind.words] + times + [
                "\(one.bound / 1_000_000)", RegionReport.shown(one.lostRepeats?.p99),
                one.isMet ? "yes" : "NO",
            ]
        }
        let headings =
            ["region is"] + matrix.regions + ["bound", "repeats there p99", "within"]
        text += Terminal.table(headings, rows, right: Set(1..<(headings.count - 1)))
        text += "bound: 4 times the longest round trip between those left, and 500 ms\n"
        return text
    }
}
