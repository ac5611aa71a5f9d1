import Simulator

/// Makes a failing run smaller: leaves out faults and attempts as long as it still fails the same
/// way (delta debugging).
struct SimulateMinimizer {
    var options: RunOptions
    let checker: String
    var extra: [String]
    private(set) var tries = 0
    static let maxTries = 400

    init(_ options: RunOptions, checker: String, extra: [String]) {
        self.options = options
        self.checker = checker
        self.extra = extra
    }

    mutating func minimize() throws(CommandFailure) {
        let plan = WorldPlan(options)
        try shrink(Array(0..<plan.faultCount), \.droppedFaults)
        try shrink(Array(0..<plan.attemptCount), \.droppedAttempts)
        for ambient in RunOptions.Ambient.allCases {
            var smaller = options
            smaller.without.insert(ambient)
            if try fails(smaller) { options = smaller }
        }
        try shrink(Array(0..<plan.faultCount), \.droppedFaults)
    }

    private mutating func fails(_ candidate: RunOptions) throws(CommandFailure) -> Bool {
        guard tries < SimulateMinimizer.maxTries else { return false }
        tries += 1
        return try SimulateSearch.once(candidate, extra: extra).violation?.checker == checker
    }

    /// Leaves out chunks of what is still there, smaller and smaller ones.
    private mutating func shrink(
        _ all: [Int],
        _ dropped: WritableKeyPath<RunOptions, Set<Int>>
    ) throws(CommandFailure) {
        var left = all.filter { !options[keyPath: dropped].contains($0) }
        var size = left.count
        while size > 0, !left.isEmpty {
            var at = 0
            var hasShrunk = false
            while at < left.count {
                let chunk = left[at..<min(left.count, at + size)]
                var smaller = options
                smaller[keyPath: dropped].formUnion(chunk)
                if try fails(smaller) {
                    options = smaller
                    left.removeSubrange(at..<min(left.count, at + size))
                    hasShrunk = true
                } else {
                    at += size
                }
                Terminal.error("\(left.count) of \(all.count) left after \(tries) runs")
            }
            size = size == 1 && hasShrunk && left.count < 12 ? 1 : size / 2
        }
    }
}
