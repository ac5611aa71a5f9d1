import Raft

/// Where the slow reading of all sealed segments has come to.
package struct Scrub: Sendable {
    /// Segments checked since the start, damaged ones included.
    package var segments: UInt64 = 0
    package var bytes: UInt64 = 0
    /// Whole rounds.
    package var rounds: UInt64 = 0
    package var damages: UInt64 = 0

    static let pieceSize = 256 * 1024
    /// The segment that is read, by its sequence number.
    var sequence: UInt64 = 0
    var scan: SegmentScan?
    var isReading = false
}

extension LogJournal {
    /// What is read next is the first piece of a round.
    package var beginsScrubRound: Bool {
        guard !scrub.isReading, segments.count > 1 else { return false }
        return scrub.sequence == 0 || scrub.sequence > segments[segments.count - 2].sequence
    }

    /// Plans to read the next piece of the sealed segments, to see whether they still are what was
    /// written; nil if there are none, or a piece is being read.
    ///
    /// `number` of the read is the caller's to choose.
    package mutating func planScrub() -> DiskRead? {
        guard !scrub.isReading, segments.count > 1 else { return nil }
        var at = segments.firstIndex { $0.sequence >= scrub.sequence } ?? segments.count
        if at >= segments.count - 1 {
            if scrub.segments > 0 { scrub.rounds += 1 }
            scrub.scan = nil
            at = 0
        }
        let segment = segments[at]
        if segment.sequence != scrub.sequence { scrub.scan = nil }
        scrub.sequence = segment.sequence
        scrub.isReading = true
        let wanted = scrub.scan?.wanted ?? 0..<Sector.size
        return DiskRead(
            number: 0,
            file: SegmentName.file(segment.sequence),
            offset: wanted.lowerBound,
            count: min(
                max(wanted.count, Scrub.pieceSize),
                max(wanted.count, segment.used - wanted.lowerBound)
            )
        )
    }

    /// Looks at a piece that was read.
    ///
    /// - Throws: what is wrong with the segment; `foundDamage(in:)` decides what is done about it.
    package mutating func scrubbed(
        _ bytes: [UInt8],
        of read: DiskRead
    ) throws(JournalError) {
        scrub.isReading = false
        scrub.bytes += UInt64(bytes.count)
        guard let at = segments.firstIndex(where: { $0.sequence == scrub.sequence }),
            SegmentName.file(scrub.sequence) == read.file
        else { return }  // removed meanwhile
        do throws(JournalError) {
            try scrub(bytes, of: read, segments[at])
        } catch {
            scrub.damages += 1
            endSegment()
            throw error
        }
    }

    /// A piece could not be read at all.
    package mutating func scrubFailed() {
        scrub.isReading = false
        endSegment()
    }

    private mutating func endSegment() {
        scrub.segments += 1
        scrub.scan = nil
        scrub.sequence += 1
    }

    private mutating func scrub(
        _ bytes: [UInt8],
        of read: DiskRead,
        _ segment: Segment
    ) throws(JournalError) {
        var scan: SegmentScan
        if let begun = scrub.scan {
            scan = begun
        } else {
            guard bytes.count >= Sector.size,
                let header = try SegmentHeader(Array(bytes[..<Sector.size]), file: read.file),
                header.sequence == segment.sequence, header.salt == segment.salt
            else {
                throw .damaged(file: read.file, offset: 0, what: "its header is not whole")
            }
            scan = SegmentScan(header, file: read.file, end: segment.used)
        }
        while !scan.isDone {
            let wanted = scan.wanted
            let at = wanted.lowerBound - read.offset
            guard at + wanted.count <= bytes.count else {
                if at == 0 { try scan.ended() }
                break
            }
            try scan.take(bytes, at: at)
        }
        scrub.scan = scan
        guard scan.isDone else { return }
        let index = scan.index
        guard index.lastBatch == segment.lastBatch, index.lastChecksum == segment.lastChecksum
        else {
            throw .damaged(
                file: read.file,
                offset: index.used,
                what: "it ends with batch \(index.lastBatch), not \(segment.lastBatch)"
            )
        }
        endSegment()
    }
}
