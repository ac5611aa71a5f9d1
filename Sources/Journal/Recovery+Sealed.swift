import Digest
import Raft

extension Recovery {
    /// What is known of the segments before those that were read.
    struct Sealed {
        init(terms: TermRuns) { self.terms = terms }

        var segments: [LogJournal.Segment] = []
        var positions = EntryPositions()
        /// Which entries each of them begins after.
        var starts: [LogIndex] = []
        /// The term of every entry that the checkpoint stands for.
        let terms: TermRuns
        /// The last entry that they hold, or should.
        var end = LogIndex.zero
        var breaks = LogBreaks()
        /// Something was missing, or made again, and no segment has come yet that a start can begin with.
        private var isBroken = false
        /// Segments whose files are there but of no use, and whether an index is too.
        var ruins: [UInt64: Bool] = [:]
    }

    /// Looks at the segments that the checkpoint stands for: their headers, and where their entries are.
    ///
    /// What is missing or damaged among them endangers nothing that was decided; it leaves a hole, to
    /// be filled from others.
    mutating func loadSealed(_ disk: inout some Disk) throws(JournalError) -> Sealed {
        var sealed = Sealed(terms: TermRuns(checkpoint.terms))
        guard first > 0 || replay.base.index > .zero else {
            sealed.positions = replay.positions
            return sealed
        }
        var isFirst = true
        var next = try sealedHeader(at: 0, &disk)
        for at in 0..<first {
            let found = next
            next = try sealedHeader(at: at + 1, &disk)
            guard let header = found else {
                foundSealed(
                    .damaged(file: files[at], offset: 0, what: "its header is not whole"),
                    files[at],
                    &sealed
                )
                continue
            }
            var reader = try SegmentReader(files[at], on: &disk)
            let start = header.start.last.index
            if isFirst, isOldest(header) { sealed.end = start }
            isFirst = false
            sealed.comes(to: start)
            sealed.mayBegin(after: header.start.last)
            do throws(JournalError) {
                var (index, isIndexed) = try index(of: header, &reader, on: &disk)
                if let next {
                    try check(index, header, continuedBy: next, file: files[at])
                    if next.sequence == header.sequence + 1, !next.flags.contains(.rebuilt) {
                        index.last = next.start.last
                    }
                }
                sealed.add(index, after: start, capacity: reader.size, isIndexed: isIndexed)
                if header.flags.contains(.restart) { sealed.breaks.beginsAnew(after: start) }
                if header.flags.contains(.rebuilt) { sealed.breaksOff() }
            } catch {
                if case .disk = error { throw error }
                foundSealed(error, files[at], &sealed)
            }
        }
        if isFirst, next.map({ isOldest($0) }) ?? false { sealed.end = replay.base.index }
        sealed.comes(to: replay.base.index)
        sealed.mayBegin(after: replay.base)
        sealed.positions.append(contentsOf: replay.positions)
        return sealed
    }

    /// Whether the log begins with a segment: what was removed for its age, or was never to be here, is not missing.
    private func isOldest(_ header: SegmentHeader) -> Bool {
        guard oldest > 1 else { return false }
        // A directory that was restored begins with a segment that begins anew.
        return header.sequence == oldest || oldest == 2 && header.flags.contains(.restart)
    }

    private func sealedHeader(
        at: Int,
        _ disk: inout some Disk
    ) throws(JournalError) -> SegmentHeader? {
        guard at < files.count, !gone.contains(files[at]) else { return nil }
        var reader = try SegmentReader(files[at], on: &disk)
        guard let header = try header(of: &reader, on: &disk),
            SegmentName.file(header.sequence) == files[at], header.node == configuration.node,
            header.cluster == configuration.cluster
        else { return nil }
        return header
    }

    /// A segment ends where the next one goes on, unless either was made again since.
    private func check(
        _ index: SegmentIndex,
        _ header: SegmentHeader,
        continuedBy next: SegmentHeader,
        file: String
    ) throws(JournalError) {
        if header.flags.contains(.rebuilt) || next.flags.contains(.rebuilt) { return }
        guard next.sequence == header.sequence + 1 || next.flags.contains(.restart),
            index.lastBatch + 1 == next.firstBatch
                || index.lastBatch == 0 && header.firstBatch == next.firstBatch,
            index.lastChecksum == next.previousChecksum
        else {
            // A segment that is missing between leaves a hole of its own.
            if next.sequence != header.sequence + 1 { return }
            throw .damaged(
                file: file,
                offset: index.used,
                what: "it ends with batch \(index.lastBatch), the next segment begins with batch "
                    + "\(next.firstBatch)"
            )
        }
    }

    private mutating func foundSealed(
        _ error: JournalError,
        _ file: String,
        _ sealed: inout Sealed
    ) {
        sealed.breaksOff()
        if let sequence = SegmentName.sequence(file) {
            sealed.ruins[sequence] = names.contains(SegmentName.index(sequence))
        }
        damage.append(LogDamage(error: error, evidence: [], endsLog: false))
    }

    /// Where the entries of a segment are: from its index, or from the segment if there is none.
    private func index(
        of header: SegmentHeader,
        _ reader: inout SegmentReader,
        on disk: inout some Disk
    ) throws(JournalError) -> (index: SegmentIndex, isIndexed: Bool) {
        if reader.size < Int(clamping: header.fileSize) {
            throw .damaged(
                file: reader.file,
                offset: reader.size,
                what: "the file was made with \(header.fileSize) bytes"
            )
        }
        let name = SegmentName.index(header.sequence)
        if names.contains(name) {
            if let index = try SegmentIndex.read(header.sequence, salt: header.salt, on: &disk) {
                return (index, true)
            }
        }
        var scan = SegmentScan(header, file: reader.file)
        while !scan.isDone {
            let wanted = scan.wanted
            guard let at = try reader.load(at: wanted.lowerBound, count: wanted.count, from: &disk)
            else {
                try scan.ended()
                break
            }
            try scan.take(reader.bytes, at: at)
        }
        if names.contains(name) {
            do { try disk.perform(.remove(file: name)) } catch { throw .disk(error) }
        }
        return (scan.index, false)
    }
}

extension Recovery.Sealed {
    mutating func breaksOff() { isBroken = true }

    /// A start can begin with the segment that begins after this entry, unless that was replaced.
    mutating func mayBegin(after start: EntryID) {
        guard isBroken, terms.term(at: start.index) == start.term else { return }
        isBroken = false
        breaks.isMadeAgain(through: start.index)
    }

    /// The next segment begins after an entry.
    mutating func comes(to start: LogIndex) {
        if start > end {
            // The segment that would say so is missing, but entries at the end of the one before were
            // replaced: it has to be made again as well.
            while let last = segments.last,
                terms.term(at: last.lastEntry.index) != last.lastEntry.term
            {
                segments.removeLast()
                end = starts.removeLast()
                ruins[last.sequence] = last.isIndexed
            }
            positions.leaveHole(after: end, through: start)
            isBroken = true
        } else {
            positions.truncate(after: start)
        }
        end = start
    }

    mutating func add(
        _ index: SegmentIndex,
        after start: LogIndex,
        capacity: Int,
        isIndexed: Bool
    ) {
        starts.append(start)
        if let first = index.spans.first {
            // Entries that were not committed then have been replaced.
            positions.truncate(after: first.first.previous)
            positions.append(contentsOf: index.spans)
        }
        end = index.last.index
        segments.append(
            LogJournal.Segment(
                sequence: index.sequence,
                salt: index.salt,
                capacity: capacity,
                used: index.used,
                lastBatch: index.lastBatch,
                lastChecksum: index.lastChecksum,
                lastEntry: index.last,
                lastTime: index.time,
                isIndexed: isIndexed
            )
        )
    }
}

/// Reads a sealed segment batch by batch, checks all its checksums, and notes where its entries are.
///
/// Pure: it says which bytes it wants next and is given them, so that the same code serves recovery,
/// which reads at once, and the scrub, which reads a little at a time.
struct SegmentScan {
    let file: String
    private let header: SegmentHeader
    private var number: UInt64
    private var previous: UInt32
    private var offset = Sector.size
    /// The header of the batch whose records come next.
    private var batch: BatchHeader?
    private var positions = EntryPositions()
    private var last: EntryID
    private var time: Timestamp
    private var lastBatch: UInt64 = 0
    /// Where the segment ends, if that is known.
    private let end: Int?
    private(set) var isDone = false

    /// Begins with a segment's first batch; `end` is where its last one ends, nil to go on as far as
    /// batches follow.
    init(_ header: SegmentHeader, file: String, end: Int? = nil) {
        self.header = header
        self.file = file
        self.end = end
        number = header.firstBatch
        previous = header.previousChecksum
        last = header.start.last
        time = header.startTime
    }

    /// The bytes that are wanted next.
    var wanted: Range<Int> {
        guard let batch else { return offset..<offset + BatchHeader.size }
        return offset..<offset + BatchHeader.size + batch.length
    }

    /// The index of the segment, once all was read.
    var index: SegmentIndex {
        SegmentIndex(
            sequence: header.sequence,
            salt: header.salt,
            used: offset,
            lastBatch: lastBatch,
            lastChecksum: previous,
            last: last,
            time: time,
            spans: positions.spans
        )
    }

    /// Takes the wanted bytes, which begin at a place in `bytes`.
    mutating func take(_ bytes: [UInt8], at: Int) throws(JournalError) {
        guard let batch else {
            try takeHeader(bytes, at: at)
            return
        }
        let body = at + BatchHeader.size..<at + BatchHeader.size + batch.length
        guard CRC32C.checksum(of: bytes, in: body) == batch.bodyChecksum else {
            throw damaged("checksum of batch \(batch.number) does not match")
        }
        do {
            try takeRecords(batch, bytes, body)
        } catch {
            throw damaged(error.what)
        }
        offset += Sector.roundUp(BatchHeader.size + batch.length)
        previous = batch.checksum
        lastBatch = batch.number
        number += 1
        self.batch = nil
        if offset == end { isDone = true }
    }

    private mutating func takeHeader(_ bytes: [UInt8], at: Int) throws(JournalError) {
        guard let found = BatchHeader(bytes, at: at), found.salt == header.salt else {
            // Behind the last batch are zeroes.
            guard end == nil, bytes[at..<at + BatchHeader.size].allSatisfy({ $0 == 0 }) else {
                throw damaged("no whole header of batch \(number)")
            }
            isDone = true
            return
        }
        guard found.number == number, found.previousChecksum == previous else {
            throw damaged("batch \(found.number) stands where batch \(number) should be")
        }
        batch = found
    }

    /// The file ends before the wanted bytes.
    mutating func ended() throws(JournalError) {
        guard batch == nil, end == nil else { throw damaged("the file ends within a batch") }
        isDone = true
    }

    private mutating func takeRecords(
        _ batch: BatchHeader,
        _ bytes: [UInt8],
        _ body: Range<Int>
    ) throws(RecordFault) {
        var at = body.lowerBound
        for _ in 0..<batch.records {
            let extent = try Record.extent(in: bytes, at: at, isChecked: true)
            guard extent.upperBound <= body.upperBound else {
                throw RecordFault("record reaches beyond its batch")
            }
            switch try Record(in: bytes, extent: extent) {
            case .entry(let entry):
                let place = offset + BatchHeader.size + extent.lowerBound - body.lowerBound
                positions.append(
                    EntryPositions.Span(
                        first: entry.index,
                        segment: header.sequence,
                        offset: place,
                        end: place + extent.count
                    )
                )
                last = entry.id
                time = max(time, entry.time)
            case .truncate(let index):
                positions.truncate(after: index)
                // Its term is that of an entry before; only the index matters here.
                last.index = index
            case .hardState: break
            }
            at = (extent.upperBound + Record.alignment - 1) & ~(Record.alignment - 1)
        }
    }

    private func damaged(_ what: String) -> JournalError {
        .damaged(file: file, offset: offset, what: what)
    }
}
