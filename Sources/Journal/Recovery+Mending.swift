import Digest
import Raft

extension Recovery {
    /// Leaves a log whose end is clean and certainly on the disk.
    mutating func mend(_ disk: inout some Disk) throws(JournalError) {
        hardState = try merged()
        do {
            // What a crash left of files in the making, and of segments that were being removed.
            for name in names where name.hasSuffix(SegmentName.unfinished) {
                try disk.perform(.remove(file: name))
            }
            for name in names {
                guard let sequence = SegmentName.anySequence(name), sequence < oldest else {
                    continue
                }
                try disk.perform(.remove(file: name))
            }
            if !promise.fileExists {
                try disk.perform(.create(file: Promise.file, size: Promise.size))
                try disk.perform(.sync(file: Promise.file))
            }
            try disk.perform(.syncDirectory)
            if repairs {
                // First of all, so that no crash can leave a shorter log that looks whole.
                try write(promiseToKeep(), &disk)
                try moveAside(&disk)
            } else {
                try cutTail(&disk)
            }
        } catch {
            throw .disk(error)
        }
    }

    /// The promise that says what the log will say.
    private func promiseToKeep() -> Promise {
        (promise.newest ?? Promise()).next(
            hardState,
            batch: replay.nextBatch - 1,
            firstSegment: promise.newest?.firstSegment ?? 1
        )
    }

    private func write(_ promise: Promise, _ disk: inout some Disk) throws(DiskError) {
        var operations: [DiskOperation] = []
        promise.append(to: &operations, node: configuration.node)
        for operation in operations { try disk.perform(operation) }
    }

    /// Cuts an unfinished batch off, and makes sure of the one before it.
    private func cutTail(_ disk: inout some Disk) throws(DiskError) {
        // Files after the newest segment hold nothing: made ahead, or their first write torn.
        for file in files.dropFirst(newest.map { $0 + 1 } ?? first) {
            try disk.perform(.remove(file: file))
        }
        for file in strayIndexes() { try disk.perform(.remove(file: file)) }
        try disk.perform(.syncDirectory)
        guard let segment = segments.last else { return }
        let file = SegmentName.file(segment.sequence)
        // Zeroes after the end, so that nothing of the torn batch is ever taken for a later one.
        for piece in leftovers {
            let zeroes = [UInt8](repeating: 0, count: piece.count)
            try disk.perform(.write(file: file, offset: piece.lowerBound, bytes: zeroes))
        }
        // The last batch may be known to the page cache only, perhaps after a failed sync that
        // left its pages marked clean: write it again, then a sync means what it says.
        if let last = lastBatch {
            let bytes = try disk.read(file, at: last.lowerBound, count: last.count)
            try disk.perform(.write(file: file, offset: last.lowerBound, bytes: bytes))
        }
        try disk.perform(.sync(file: file))
    }

    /// Indexes of segments that are not sealed, or not there.
    private func strayIndexes() -> [String] {
        // Where no segment is left of those that were read, the ones before them are sealed.
        let from =
            segments.last?.sequence
            ?? files.dropFirst(first).first.flatMap(SegmentName.sequence) ?? 0
        return names.filter { name in
            guard name.hasSuffix(".idx"), let sequence = SegmentName.anySequence(name) else {
                return false
            }
            return sequence >= oldest
                && (sequence >= from || !files.contains(SegmentName.file(sequence)))
        }
    }

    // MARK: Damage

    /// Moves the files with and behind the damage aside; the intact part of the log stays.
    private mutating func moveAside(_ disk: inout some Disk) throws(DiskError) {
        var evidence: [String] = []
        for file in files.dropFirst(newest.map { $0 + 1 } ?? first).reversed() {
            let name = evidenceName(file)
            try disk.perform(.rename(from: file, to: name))
            evidence.append(name)
            gone.insert(file)
        }
        if let segment = segments.last {
            let file = SegmentName.file(segment.sequence)
            if segment.used > Sector.size {
                let size = max(try disk.size(of: file), configuration.segmentSize)
                let name = evidenceName(file)
                try copy(file, segment.used, size: size, &disk)
                try disk.perform(.rename(from: file, to: name))
                try disk.perform(.rename(from: file + SegmentName.unfinished, to: file))
                evidence.append(name)
                segments[segments.count - 1].capacity = size
            } else {
                // Not even its first batch is whole: the segment never was.
                let name = evidenceName(file)
                try disk.perform(.rename(from: file, to: name))
                evidence.append(name)
                gone.insert(file)
                segments.removeLast()
            }
        }
        for file in strayIndexes() { try disk.perform(.remove(file: file)) }
        try disk.perform(.syncDirectory)
        damage[damage.count - 1].evidence = evidence.reversed()
    }

    /// A name for what is kept of a damaged file.
    private func evidenceName(_ file: String) -> String {
        var number = 1
        while names.contains("damaged-\(number)-\(file)") { number += 1 }
        return "damaged-\(number)-\(file)"
    }

    /// Makes a new file of the intact part of a segment, where the log goes on.
    private func copy(
        _ file: String,
        _ used: Int,
        size: Int,
        _ disk: inout some Disk
    ) throws(DiskError) {
        let new = file + SegmentName.unfinished
        try disk.perform(.create(file: new, size: size))
        var offset = 0
        while offset < used {
            let count = min(SegmentReader.pieceSize, used - offset)
            var bytes = try disk.read(file, at: offset, count: count)
            if offset == 0 { setFileSize(size, in: &bytes, of: file) }
            try disk.perform(.write(file: new, offset: offset, bytes: bytes))
            offset += count
        }
        try disk.perform(.sync(file: new))
    }

    /// The header that a file begins with says no size if the segment was made again from the others' entries, and
    /// perhaps another one than the copy's: a copy that is cut short later is to be told from a torn write.
    private func setFileSize(_ size: Int, in bytes: inout [UInt8], of file: String) {
        let sector = Array(bytes.prefix(Sector.size))
        guard var header = try? SegmentHeader(sector, file: file) else { return }
        header.fileSize = UInt64(size)
        bytes.replaceSubrange(..<Sector.size, with: header.encoded())
    }

    // MARK: Going on

    /// The journal, with term and vote in both copies.
    mutating func finish(_ disk: inout some Disk) throws(JournalError) -> Recovered {
        var sealed = try loadSealed(&disk)
        sealed.breaks.beginsAnew(after: beganAnewAfter)
        for at in segments.indices.dropLast() {
            let segment = segments[at]
            let name = SegmentName.index(segment.sequence)
            guard names.contains(name) else { continue }
            if try SegmentIndex.read(segment.sequence, salt: segment.salt, on: &disk) != nil {
                segments[at].isIndexed = true
            } else {
                do { try disk.perform(.remove(file: name)) } catch { throw .disk(error) }
            }
        }
        let isNew = segments.isEmpty && promise.newest == nil && hardState == HardState()
        let kept = isNew ? Promise() : promiseToKeep()
        var log = replay.recovered(startTime: startTime)
        log.hardState = hardState
        if restarts {
            log = RecoveredLog(
                hardState: hardState,
                terms: checkpoint.terms,
                lastIndex: checkpoint.last.index,
                start: checkpoint.last,
                startTime: checkpoint.time
            )
        }
        do {
            if !isNew { try write(kept, &disk) }
            if let recorded { replay.replaceHardState(recorded) }
            var journal = LogJournal(
                configuration: configuration,
                replay: replay,
                segments: sealed.segments + segments,
                positions: sealed.positions,
                breaks: sealed.breaks,
                promise: kept
            )
            if restarts {
                journal.restart(
                    after: checkpoint.last,
                    time: checkpoint.time,
                    terms: checkpoint.terms,
                    keeping: agreed
                )
            }
            if repairs || restarts || !kept.agrees(with: replay.point.hardState) {
                let batch = journal.hardStateBatch(hardState)
                for operation in batch.operations { try disk.perform(operation) }
                _ = journal.completed(batch.number)
            }
            if checkpoint.isFetched, kept.restartedAfter < checkpoint.last.index {
                for operation in journal.noteRestart(after: checkpoint.last.index) {
                    try disk.perform(operation)
                }
            }
            journal.rebuilding.ruins = sealed.ruins
            journal.checkpointed(through: checkpoint.last.index)
            return Recovered(log: log, tornTail: tornTail, damage: damage, journal: journal)
        } catch {
            throw .disk(error)
        }
    }

    /// The log and the checkpoint are known to agree through here.
    private var agreed: LogIndex {
        let last = replay.point.last
        let terms = TermRuns(checkpoint.terms)
        if last.index <= checkpoint.last.index, terms.term(at: last.index) == last.term {
            return last.index
        }
        return min(replay.base.index, checkpoint.last.index)
    }
}

extension SegmentName {
    /// Ends the names of files in the making.
    static let unfinished = ".new"

    /// The sequence number in the name of a segment or an index.
    static func anySequence(_ file: String) -> UInt64? {
        guard file.hasSuffix(".idx") else { return sequence(file) }
        return sequence(String(file.dropLast(4)) + ".seg")
    }
}
