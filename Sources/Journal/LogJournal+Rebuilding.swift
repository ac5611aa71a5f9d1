import Digest
package import Raft

/// Segments that are made again from the entries of other replicas.
struct Rebuilding: Sendable {
    /// Entries that came and are not written yet; contiguous.
    var waiting: [Entry] = []
    /// The segment in the making.
    var segment: Segment?
    /// The batch under way makes its file.
    var creates = false
    /// The last batch completes it.
    var finishes = false
    /// The file of one that was given up, in the way of the next.
    var leftover: String?
    /// Sequence numbers of segments whose files are there but of no use, and whether an index is too.
    var ruins: [UInt64: Bool] = [:]
    /// Those of them that make way for the segment that the last batch completes.
    var replaced: [UInt64] = []

    struct Segment: Sendable {
        var header: SegmentHeader
        var offset = Sector.size
        var nextBatch: UInt64 = 1
        var previousChecksum: UInt32 = 0
        var last: EntryID
        var time = Timestamp.zero
        var positions = EntryPositions()

        var file: String { SegmentName.file(header.sequence) + SegmentName.unfinished }
    }
}

/// Where the batches of a segment do not continue those of the one before: a start that reads the log from before such
/// a place would take what follows for damage.
struct LogBreaks: Sendable {
    /// The log begins anew after this entry.
    private var anewAfter = LogIndex.zero
    /// Segments before the one that begins after this entry were made again, or are missing.
    private var madeAgainThrough = LogIndex.zero

    mutating func beginsAnew(after index: LogIndex) { anewAfter = max(anewAfter, index) }
    mutating func isMadeAgain(through index: LogIndex) {
        madeAgainThrough = max(madeAgainThrough, index)
    }

    /// Reading begins with the segment after the last of those that were made again, or with the one in which the log
    /// begins anew, if the checkpoint is of the entry before it or of a later one.
    var replaysFrom: LogIndex { max(madeAgainThrough, anewAfter) }
}

extension LogJournal {
    /// Runs of entries that this disk lacks though it has, or should have, older ones.
    ///
    /// They are stood for by a checkpoint: they are missing from timelines, not from the state.
    package var holes: [ClosedRange<LogIndex>] { positions.holes(through: readable) }

    /// The first entry that should be fetched from others now; nil if none is missing, or what came
    /// is still being written.
    package var wantedEntry: LogIndex? {
        guard rebuilding.waiting.isEmpty, !rebuilding.finishes else { return nil }
        if let segment = rebuilding.segment { return segment.last.index.next }
        return holes.first?.lowerBound
    }

    /// Takes entries that were fetched from another replica.
    ///
    /// - Returns: whether they are the ones that were wanted. The term of every index is known here, and
    ///   an entry's term and index say which it is; so no other can slip in.
    package mutating func fill(_ entries: [Entry]) -> Bool {
        guard let wanted = wantedEntry, let hole = holes.first, entries.first?.index == wanted
        else {
            return false
        }
        let entries = entries.filter { $0.index <= hole.upperBound }
        var next = wanted
        for entry in entries {
            guard entry.index == next, entry.term == terms.term(at: next) else { return false }
            next = next.next
        }
        rebuilding.waiting = entries
        return true
    }

    /// Says that the segment in a file is damaged.
    ///
    /// - Returns: whether it can be made again from the entries of others: it is sealed, and a
    ///   checkpoint stands for it, so that no start reads it. If not, the next start repairs the log from there on.
    package mutating func foundDamage(in file: String) -> Bool {
        guard let sequence = SegmentName.sequence(file),
            let at = segments.firstIndex(where: { $0.sequence == sequence }),
            let through = breakEnd(at), through <= checkpoint
        else { return false }
        rebuilding.ruins[sequence] = segments[at].isIndexed
        breaks.isMadeAgain(through: through)
        forgetSegment(at)
        positions.lose(segment: sequence)
        return true
    }

    /// Another segment follows the one in a file: once a checkpoint stands for it, it can be made again.
    package func isFollowed(_ file: String) -> Bool {
        guard let sequence = SegmentName.sequence(file), let last = segments.last else {
            return false
        }
        return sequence < last.sequence
    }

    /// The entry after which the first segment behind a damaged one begins that a start can begin with.
    ///
    /// Nil if there is none. One that begins after an entry which was replaced is read together with the one before.
    private func breakEnd(_ at: Int) -> LogIndex? {
        segments[at..<segments.count - 1].first { segment in
            terms.term(at: segment.lastEntry.index) == segment.lastEntry.term
        }?.lastEntry.index
    }

    /// Entries before this one are too old: nobody has them any more.
    ///
    /// What is here of entries before those that are missing goes too, since its time is over as well: it is of before
    /// `time`. Where it is not, the others have lost what is missing, and nothing is given up.
    package mutating func giveUp(before index: LogIndex, keptFrom time: Timestamp) {
        guard rebuilding.waiting.isEmpty, !rebuilding.creates, !rebuilding.finishes,
            let hole = holes.first, isOutdated(before: hole, time)
        else { return }
        giveUpRebuilding()
        positions.giveUpHole(before: index, through: readable)
    }

    /// A segment without entries of the log is older than anything.
    private func isOutdated(before hole: ClosedRange<LogIndex>, _ time: Timestamp) -> Bool {
        guard let at = positions.span(of: hole.lowerBound) else { return true }
        return positions.spans[..<at].allSatisfy { span in
            segments.contains { $0.sequence == span.segment && $0.lastTime < time }
        }
    }

    /// Segments were removed, and with them perhaps what was being made again.
    mutating func giveUpOutdatedRebuilding() {
        let begun =
            rebuilding.segment?.header.start.last.index.next ?? rebuilding.waiting.first?.index
        guard let begun, begun != holes.first?.lowerBound else { return }
        giveUpRebuilding()
        rebuilding.waiting = []
    }

    /// The first entry from this one on that is on this disk.
    package func nextEntry(from index: LogIndex) -> LogIndex {
        guard let at = positions.span(of: index) else { return firstIndex }
        if positions.spans[at].segment != EntryPositions.nowhere { return index }
        let next = positions.spans.dropFirst(at).first { $0.segment != EntryPositions.nowhere }
        return next?.first ?? readable.next
    }

    /// An entry that the log has is not on this disk: it was removed, or is still to be fetched.
    package func lacks(_ index: LogIndex) -> Bool {
        guard index > .zero, index <= readable else { return false }
        guard let at = positions.span(of: index) else { return true }
        return positions.spans[at].segment == EntryPositions.nowhere
    }

    /// The whole log is on this disk, from its first entry on.
    package var reachesBack: Bool {
        !lacks(LogIndex(1)) && holes.isEmpty && replaysFrom == .zero
    }

    // MARK: Writing

    /// The next piece of a segment in the making.
    ///
    /// Nothing counts on it before it is complete: where there is no room for a piece, it is given up.
    mutating func rebuildBatch() -> [DiskOperation]? {
        if let leftover = rebuilding.leftover {
            return [.remove(file: leftover), .syncDirectory]
        }
        guard !rebuilding.waiting.isEmpty, let hole = holes.first else { return nil }
        guard var segment = rebuilding.segment else { return beginSegment(hole) }
        var operations: [DiskOperation] = []
        let file = segment.file
        if segment.offset == Sector.size {
            operations.append(.write(file: file, offset: 0, bytes: segment.header.encoded()))
        }
        operations.append(
            .write(file: file, offset: segment.offset, bytes: batch(&segment, rebuilding.waiting))
        )
        operations.append(.sync(file: file))
        rebuilding.waiting = []
        rebuilding.finishes =
            segment.last.index == hole.upperBound
            || segment.offset >= configuration.segmentSize && !isHole(behind: hole)
                && hasNumber(segment.header.sequence + 1, in: hole)
        rebuilding.segment = segment
        if rebuilding.finishes { finish(segment, of: hole, &operations) }
        return operations
    }

    /// Whether a segment with entries of a hole may have a sequence number.
    private func hasNumber(_ sequence: UInt64, in hole: ClosedRange<LogIndex>) -> Bool {
        sequence < segmentBehind(hole) && !segments.contains { $0.sequence == sequence }
    }

    /// The sequence number of the first segment with entries behind a hole; another hole may lie between.
    private func segmentBehind(_ hole: ClosedRange<LogIndex>) -> UInt64 {
        let behind = spans(behind: hole).first { $0.segment != EntryPositions.nowhere }
        return behind?.segment ?? segments.last?.sequence ?? .max
    }

    /// Whether a hole lies side by side with the next one, which needs a number of its own.
    private func isHole(behind hole: ClosedRange<LogIndex>) -> Bool {
        spans(behind: hole).first?.segment == EntryPositions.nowhere
    }

    private func spans(behind hole: ClosedRange<LogIndex>) -> ArraySlice<EntryPositions.Span> {
        let at = positions.span(of: hole.lowerBound) ?? 0
        return positions.spans.dropFirst(at + 1)
    }

    /// Makes the file of a segment, unless there is no sequence number left for it.
    private mutating func beginSegment(_ hole: ClosedRange<LogIndex>) -> [DiskOperation]? {
        let at = positions.span(of: hole.lowerBound) ?? 0
        let before = at > 0 ? positions.spans[at - 1].segment : promise.firstSegment - 1
        let behind = segmentBehind(hole)
        // Of one before, no entry may be known any more.
        let older = segments.last {
            $0.sequence < behind && $0.lastEntry.index < hole.lowerBound
        }
        var sequence = max(before, older?.sequence ?? 0) + 1
        while segments.contains(where: { $0.sequence == sequence }) { sequence += 1 }
        guard hasNumber(sequence, in: hole) else {
            // With the entries of the segment before, they fit in that one's place.
            rebuilding.waiting = []
            if before > EntryPositions.nowhere { _ = foundDamage(in: SegmentName.file(before)) }
            return nil
        }
        let previous = hole.lowerBound.previous
        var header = SegmentHeader(
            configuration: configuration,
            sequence: sequence,
            firstBatch: 1,
            previousChecksum: 0,
            start: LogPoint(last: EntryID(term: terms.term(at: previous), index: previous))
        )
        header.flags = .rebuilt
        header.fileSize = 0
        let segment = Rebuilding.Segment(header: header, last: header.start.last)
        rebuilding.segment = segment
        rebuilding.creates = true
        return [.create(file: segment.file, size: 0), .syncDirectory]
    }

    private func batch(_ segment: inout Rebuilding.Segment, _ entries: [Entry]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: BatchHeader.size)
        for entry in entries {
            let start = bytes.count
            Record.append(entry, to: &bytes)
            segment.positions.append(
                EntryPositions.Span(
                    first: entry.index,
                    segment: segment.header.sequence,
                    offset: segment.offset + start,
                    end: segment.offset + bytes.count
                ),
                spacing: EntryPositions.sealedSpacing
            )
            segment.last = entry.id
            segment.time = max(segment.time, entry.time)
        }
        let length = bytes.count - BatchHeader.size
        var header = BatchHeader(
            number: segment.nextBatch,
            salt: segment.header.salt,
            length: length,
            records: UInt32(entries.count),
            previousChecksum: segment.previousChecksum,
            bodyChecksum: CRC32C.checksum(of: bytes, in: BatchHeader.size..<bytes.count)
        )
        bytes.append(contentsOf: repeatElement(0, count: Sector.roundUp(bytes.count) - bytes.count))
        header.write(into: &bytes)
        segment.offset += bytes.count
        segment.nextBatch += 1
        segment.previousChecksum = header.checksum
        return bytes
    }

    /// Puts the segment in the place of the damaged one, which stays as evidence; with the last segment of a hole all
    /// that were damaged in it make way, also those whose entries are in another one now.
    private mutating func finish(
        _ segment: Rebuilding.Segment,
        of hole: ClosedRange<LogIndex>,
        _ operations: inout [DiskOperation]
    ) {
        let sequence = segment.header.sequence
        var last = sequence
        if segment.last.index == hole.upperBound, !isHole(behind: hole) {
            last = max(sequence, segmentBehind(hole) - 1)
        }
        // They are known until this is done: there may be no room for it yet.
        rebuilding.replaced = rebuilding.ruins.keys.filter { $0 >= sequence && $0 <= last }.sorted()
        for ruin in rebuilding.replaced {
            let file = SegmentName.file(ruin)
            operations.append(.rename(from: file, to: "damaged-\(batchCount)-\(file)"))
            if rebuilding.ruins[ruin] == true {
                operations.append(.remove(file: SegmentName.index(ruin)))
            }
        }
        let file = SegmentName.file(sequence)
        operations.append(.rename(from: file + SegmentName.unfinished, to: file))
        operations.append(.syncDirectory)
    }

    private func record(of segment: Rebuilding.Segment) -> Segment {
        Segment(
            sequence: segment.header.sequence,
            salt: segment.header.salt,
            capacity: segment.offset,
            used: segment.offset,
            lastBatch: segment.nextBatch - 1,
            lastChecksum: segment.previousChecksum,
            lastEntry: segment.last,
            lastTime: segment.time
        )
    }

    /// What `rebuildBatch` said is done.
    mutating func rebuilt() {
        if rebuilding.leftover != nil {
            rebuilding.leftover = nil
        } else if rebuilding.creates {
            rebuilding.creates = false
        } else if rebuilding.finishes, let segment = rebuilding.segment {
            rebuilding.finishes = false
            rebuilding.segment = nil
            for ruin in rebuilding.replaced { rebuilding.ruins[ruin] = nil }
            insertSegment(record(of: segment))
            positions.fill(segment.positions.spans, through: segment.last.index, of: readable)
        }
    }

    /// There was no room for what `rebuildBatch` said: it is begun anew when there is.
    mutating func giveUpRebuilding() {
        guard let segment = rebuilding.segment else { return }
        if !rebuilding.creates { rebuilding.leftover = segment.file }
        rebuilding.creates = false
        rebuilding.finishes = false
        rebuilding.segment = nil
        rebuilding.waiting = []
    }
}
