package import Raft

extension LogJournal {
    /// Plans to read old entries, for a follower that lags behind what is kept in memory.
    ///
    /// - Parameters:
    ///   - index: the first entry wanted.
    ///   - maxBytes: how much is wanted; the read takes in at least that entry.
    /// - Returns: nil if the entry is not on disk, or not yet.
    package mutating func planRead(from index: LogIndex, maxBytes: Int) -> DiskRead? {
        guard index > .zero, index <= readable, let first = positions.span(of: index) else {
            return nil
        }
        let span = positions.spans[first]
        guard span.segment != EntryPositions.nowhere else { return nil }
        var end = span.end
        for next in positions.spans[(first + 1)...] {
            guard next.segment == span.segment, next.offset - span.offset < maxBytes else { break }
            end = next.end
        }
        return DiskRead(
            number: nextRead(),
            file: SegmentName.file(span.segment),
            offset: span.offset,
            count: end - span.offset
        )
    }

    /// Takes entries out of what a planned read has found.
    ///
    /// - Parameters:
    ///   - bytes: what was read.
    ///   - read: the plan.
    ///   - index: the first entry wanted.
    ///   - maxBytes: cost of the entries, at most, but at least one is returned.
    /// - Returns: entries from `index` on; none if the log was truncated before it meanwhile.
    /// - Throws: `JournalError.damaged` if a checksum does not match or the entry is not there.
    package func entries(
        in bytes: [UInt8],
        of read: DiskRead,
        from index: LogIndex,
        maxBytes: Int
    ) throws(JournalError) -> [Entry] {
        guard let segment = SegmentName.sequence(read.file) else {
            throw .damaged(file: read.file, offset: read.offset, what: "not a segment of the log")
        }
        var entries: [Entry] = []
        var cost = 0
        var next = index
        var at = 0
        // Where something stands that is no record, but may be padding.
        var fault: JournalError?
        while next <= readable, at + Record.prefix <= bytes.count {
            let offset = read.offset + at
            do throws(RecordFault) {
                if offset % Sector.size == 0, bytes.uint64(at: at) == BatchHeader.magic {
                    guard BatchHeader(bytes, at: at) != nil else {
                        throw RecordFault("checksum of a batch header does not match")
                    }
                    at += BatchHeader.size
                    continue
                }
                if bytes.uint32(at: at + 4) == 0 {  // the padding after a batch
                    at = Sector.roundUp(offset + 1) - read.offset
                    continue
                }
                let extent = try Record.extent(in: bytes, at: at)
                at =
                    extent.upperBound + (Record.alignment - extent.upperBound % Record.alignment)
                    % Record.alignment
                guard Record.entryIndex(in: bytes, extent: extent) == next,
                    positions.isCurrent(next, segment: segment, offset: offset),
                    case .entry(let entry) = try Record(in: bytes, extent: extent)
                else { continue }
                guard entries.isEmpty || cost + entry.cost <= maxBytes else { return entries }
                entries.append(entry)
                cost += entry.cost
                next = next.next
            } catch {
                let damage = JournalError.damaged(
                    file: read.file,
                    offset: offset,
                    what: error.what
                )
                guard let batch = batchBehindPadding(bytes, at: offset, of: read, segment) else {
                    throw damage
                }
                fault = fault ?? damage
                at = batch
            }
        }
        guard !entries.isEmpty || index > readable else {
            throw fault
                ?? .damaged(
                    file: read.file,
                    offset: read.offset,
                    what: "entry \(index) is not where it was written"
                )
        }
        return entries
    }

    /// Where the next batch begins, if what is not whole may be the padding before it.
    ///
    /// No checksum covers padding, so neither a start nor the scrub minds what stands there. An entry that is
    /// passed over as such is missed after all.
    private func batchBehindPadding(
        _ bytes: [UInt8],
        at offset: Int,
        of read: DiskRead,
        _ segment: UInt64
    ) -> Int? {
        let at = Sector.roundUp(offset) - read.offset
        guard offset % Sector.size != 0, let header = BatchHeader(bytes, at: at),
            segments.contains(where: { $0.sequence == segment && $0.salt == header.salt })
        else { return nil }
        return at
    }
}
