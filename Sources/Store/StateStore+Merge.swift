import Digest
package import Journal
package import Verification

/// Bounds of merging.
package struct MergePolicy: Hashable, Sendable {
    /// Live bytes that one merge copies, at most.
    package var maxBytes = 256 * 1024 * 1024
    /// Runs with less than a quarter of that which may be there before some are merged.
    package var maxSmallRuns = 16
    /// Superseded bytes below which nothing is merged for their sake.
    package var minDeadBytes = 16 * 1024 * 1024
    package init() {}
}

extension StateStore {
    /// Runs that should be merged now, none if all is well.
    ///
    /// Where more than half of all bytes are superseded: the runs with the largest part of them. Where
    /// there are many small runs: the smallest. Runs of which all details' retention time is over: so
    /// that they are dropped; or of which all is to be forgotten. Before all others those that are damaged, unless
    /// something live in them cannot be read.
    package func mergeCandidates(_ policy: MergePolicy, _ retention: Retention) -> [Int] {
        var runs = order.compactMap { handle in held[handle].map { (handle: handle, held: $0) } }
        runs.removeAll { $0.held.mending == .keep }
        func fitting(_ sorted: [(handle: Int, held: Held)]) -> [Int] {
            var chosen: [Int] = []
            var bytes = 0
            for run in sorted {
                bytes += max(0, run.held.liveBytes)
                guard chosen.isEmpty || bytes <= policy.maxBytes else { break }
                chosen.append(run.handle)
            }
            return chosen
        }
        if let at = runs.firstIndex(where: { $0.held.mending == .merge }) {
            // What is forgotten is dropped on the way: no older version of it may be left behind, to count again.
            let forgotten = runs[..<at].first {
                $0.held.run.newestDecision < retention.forgetMark
            }
            return fitting([forgotten ?? runs[at]])
        }
        let aged = runs.filter { run in
            let newest = run.held.run.newestDecision
            return newest < retention.forgetMark
                || run.held.run.hasDetails && newest < retention.detailsMark
        }
        if let first = aged.first { return fitting([first]) }
        // Of those only that can be merged: what others have too much of would have these copied again and again.
        let all = runs.reduce(0) { $0 + $1.held.run.bytes }
        let dead = all - runs.reduce(0) { $0 + $1.held.liveBytes }
        if dead > policy.minDeadBytes, dead > all / 2 {
            return fitting(
                runs.sorted {
                    $0.held.liveBytes * $1.held.run.bytes < $1.held.liveBytes * $0.held.run.bytes
                }
            )
        }
        let small = runs.filter { $0.held.liveBytes < policy.maxBytes / 4 }
        guard small.count > policy.maxSmallRuns else { return [] }
        let chosen = fitting(small.sorted { $0.held.liveBytes < $1.held.liveBytes })
        return chosen.count > 1 ? chosen : []
    }

    package var isMergeUnderWay: Bool { merge != nil }

    /// Begins to copy what is live in some runs into a new one.
    package mutating func beginMerge(_ inputs: [Int]) {
        guard merge == nil, let manifest else {
            fatalError(
                "invariant broken: runs merged beside another merge, or without a checkpoint"
            )
        }
        merge = Job(writer: nil, handle: 0, manifest: manifest, inputs: inputs)
        for handle in inputs { pin(handle) }
    }

    /// Whether little enough waits for the disk that more records may come.
    package var wantsCopies: Bool {
        (merge?.writer?.pendingBytes ?? 0) < 3 * RunWriter.pieceSize
    }

    /// Adds a copy to the merge under way.
    package mutating func copy(
        _ payload: ArraySlice<UInt8>,
        _ label: RecordLabel
    ) -> RecordLocation {
        if merge?.writer == nil {
            let (writer, handle) = beginRun(at: merge?.manifest.time)
            merge?.writer = writer
            merge?.handle = handle
        }
        guard let entry = merge?.writer?.append(payload, label), let handle = merge?.handle else {
            fatalError("invariant broken: a copy without a merge")
        }
        return location(of: entry, in: handle)
    }

    /// All copies were added.
    package mutating func sealMerge() {
        merge?.isSealed = true
        merge?.writer?.seal()
    }

    /// Run of a handle, and how much of it is its list of records.
    package func run(_ handle: Int) -> Run? { held[handle]?.run }

    package func place(of entry: FooterEntry, in handle: Int) -> RecordPlace {
        RecordPlace(hash: entry.hash, location: location(of: entry, in: handle))
    }

    /// The records that lie in a piece of a run.
    package static func payload(
        of entry: FooterEntry,
        in bytes: [UInt8],
        readAt offset: Int,
        file: String
    ) throws(JournalError) -> ArraySlice<UInt8> {
        guard let payload = RunRecord.payload(in: bytes, at: entry.offset - offset) else {
            throw .damaged(
                file: file,
                offset: entry.offset,
                what: "the checksum of a record does not match"
            )
        }
        return payload
    }
}

/// A run's list of records as it is read bit by bit, and checked.
package struct FooterScan: Sendable {
    private static let pieceEntries = 32 * 1024

    package let run: Run
    package private(set) var entries: [FooterEntry] = []
    private var checksum: UInt32 = 0

    package init(_ run: Run) {
        self.run = run
        entries.reserveCapacity(run.records)
    }

    /// The next piece to be read; `nil` if all were.
    package var next: (offset: Int, count: Int)? {
        guard entries.count < run.records else { return nil }
        let count = min(run.records - entries.count, Self.pieceEntries)
        return (run.footerOffset + entries.count * FooterEntry.size, count * FooterEntry.size)
    }

    /// Takes a piece in.
    package mutating func take(_ bytes: [UInt8]) throws(JournalError) {
        guard bytes.count == next?.count else {
            throw .damaged(
                file: run.file,
                offset: run.footerOffset,
                what: "its list of records is cut off"
            )
        }
        checksum = CRC32C.checksum(of: bytes, continuing: checksum)
        for entry in 0..<bytes.count / FooterEntry.size {
            entries.append(FooterEntry(bytes, at: entry * FooterEntry.size))
        }
        guard entries.count < run.records || checksum == run.footerChecksum else {
            throw .damaged(
                file: run.file,
                offset: run.footerOffset,
                what: "the checksum of its list of records does not match"
            )
        }
    }
}
