/// Which run: the seed, and what is left out of what it would do.
package struct RunOptions: Hashable, Sendable {
    /// Faults that are no event but a property of the world.
    package enum Ambient: String, Hashable, Sendable, CaseIterable {
        case loss
        case duplication
        case reordering
        case corruption
        case jitter
        case skew
        /// Faults of data directories and of states.
        case directories
    }

    package var seed: UInt64
    /// Virtual minutes.
    package var minutes = 10
    /// Instead of what the seed draws.
    package var nodes: Int?
    /// Numbers of planned faults that do not happen.
    package var droppedFaults: Set<Int> = []
    /// Numbers of planned attempts that do not happen.
    package var droppedAttempts: Set<Int> = []
    package var without: Set<Ambient> = []

    package init(seed: UInt64) { self.seed = seed }

    /// The options of `verdict simulate` that ask for this run.
    package var arguments: [String] {
        var words = ["--seed", "\(seed)"]
        if minutes != 10 { words += ["--minutes", "\(minutes)"] }
        if let nodes { words += ["--nodes", "\(nodes)"] }
        if !droppedFaults.isEmpty {
            words += ["--drop-faults", RunOptions.list(droppedFaults)]
        }
        if !droppedAttempts.isEmpty {
            words += ["--drop-attempts", RunOptions.list(droppedAttempts)]
        }
        if !without.isEmpty {
            words += ["--without", without.map(\.rawValue).sorted().joined(separator: ",")]
        }
        return words
    }

    /// Numbers as ranges, such as `0-4,7`.
    package static func list(_ numbers: Set<Int>) -> String {
        var ranges: [ClosedRange<Int>] = []
        for number in numbers.sorted() {
            if let last = ranges.last, last.upperBound + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        return ranges.map { range in
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }.joined(separator: ",")
    }

    /// Reads what `list` writes.
    ///
    /// - Returns: `nil` if the text is no such list.
    package static func numbers(in text: String) -> Set<Int>? {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = ends.first, let low = first, ends.count <= 2,
                let high = ends[ends.count - 1], low >= 0, high >= low, high < 1_000_000
            else { return nil }
            numbers.formUnion(low...high)
        }
        return numbers
    }
}
