/// The newest batch of repeats that each node reported.
struct RepeatReporters: Sendable {
    /// Nodes remembered; far more than a cluster has, so that the list stays bounded.
    static let maxNodes = 1024
    /// Sorted by node.
    private(set) var newest: [RequestID] = []

    init() {}
    init(newest: [RequestID]) { self.newest = newest }

    /// Notes a batch.
    ///
    /// - Returns: false if it is not newer than the last of the same run of its node, or if there
    ///   is no room for another node.
    mutating func accept(_ request: RequestID) -> Bool {
        let place = newest.firstIndex { $0.node >= request.node } ?? newest.count
        guard place < newest.count, newest[place].node == request.node else {
            guard newest.count < Self.maxNodes else { return false }
            newest.insert(request, at: place)
            return true
        }
        let last = newest[place]
        if last.incarnation == request.incarnation, request.sequence <= last.sequence {
            return false
        }
        newest[place] = request
        return true
    }
}

extension AttemptRecord {
    /// Counts repeats that a node answered from its own state, on their line.
    mutating func countRepeats(_ item: RepeatBatch.Item, of line: Int) {
        callbacks[line].repeats.add(item.count, lastAt: item.lastAt)
        counts.repeated += UInt64(item.count)
    }
}
