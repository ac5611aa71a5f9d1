import Raft

/// Where the entries of the log lie on disk, to within some tens of kilobytes.
///
/// Sparse: a span of neighbouring entries shares one element.
struct EntryPositions: Sendable {
    /// Bytes after which a new span is begun.
    static let spacing = 32 * 1024
    /// The segment of entries that are not on this disk.
    static let nowhere: UInt64 = 0

    /// Entries from `first` up to the next span's; all begin at `offset` or later in the segment
    /// and end at `end` or before.
    struct Span: Hashable, Sendable {
        var first: LogIndex
        var segment: UInt64
        var offset: Int
        var end: Int
    }

    private(set) var spans: [Span] = []
    /// Set when the newest span lost entries: what follows in the file starts a new one.
    private var isCut = false

    /// Spacing in segments that were made again, in which nothing is ever cut.
    static let sealedSpacing = 128 * 1024

    /// Notes entries that directly follow the newest ones.
    mutating func append(_ span: Span, spacing: Int = spacing) {
        if !isCut, let last = spans.last, last.segment == span.segment,
            span.offset - last.offset < spacing
        {
            spans[spans.count - 1].end = span.end
        } else {
            spans.append(span)
            isCut = false
        }
    }

    /// Keeps the entries through `kept`; those after it, through `last`, are not on this disk.
    mutating func leaveHole(after kept: LogIndex, through last: LogIndex) {
        truncate(after: kept)
        guard kept < last else { return }
        spans.append(Span(first: kept.next, segment: Self.nowhere, offset: 0, end: 0))
    }

    /// Adds what comes after all of these.
    mutating func append(contentsOf other: EntryPositions) {
        spans.append(contentsOf: other.spans)
        isCut = other.isCut
    }

    /// Adds the spans of a segment as they are: where one ends, entries may have been dropped.
    mutating func append(contentsOf segment: [Span]) {
        spans.append(contentsOf: segment)
        isCut = true
    }

    /// The spans of one segment.
    func spans(in segment: UInt64) -> [Span] { spans.filter { $0.segment == segment } }

    /// Runs of entries that are not on this disk though older ones are, or should be.
    func holes(through last: LogIndex) -> [ClosedRange<LogIndex>] {
        var holes: [ClosedRange<LogIndex>] = []
        for (position, span) in spans.enumerated() where span.segment == Self.nowhere {
            let next = position + 1 < spans.count ? spans[position + 1].first : last.next
            if span.first < next { holes.append(span.first...next.previous) }
        }
        return holes
    }

    /// The entries of a segment are not to be had from it.
    mutating func lose(segment: UInt64) {
        guard let first = spans.firstIndex(where: { $0.segment == segment }) else { return }
        let hole = Span(first: spans[first].first, segment: Self.nowhere, offset: 0, end: 0)
        spans.removeAll { $0.segment == segment }
        // Two holes side by side are one.
        if first > 0, spans[first - 1].segment == Self.nowhere { return }
        if first < spans.count, spans[first].segment == Self.nowhere { spans.remove(at: first) }
        spans.insert(hole, at: first)
    }

    /// Entries of a hole are there now.
    ///
    /// - Parameters:
    ///   - found: contiguous, from the first entry of a hole on.
    ///   - last: the last of them.
    ///   - end: the last entry of the log, which may be in the hole.
    mutating func fill(_ found: [Span], through last: LogIndex, of end: LogIndex) {
        guard let from = found.first?.first, let at = span(of: from),
            spans[at].segment == Self.nowhere, spans[at].first == from
        else { return }
        let end = at + 1 < spans.count ? spans[at + 1].first : end.next
        spans.remove(at: at)
        if last.next < end {
            spans.insert(Span(first: last.next, segment: Self.nowhere, offset: 0, end: 0), at: at)
        }
        spans.insert(contentsOf: found, at: at)
    }

    /// Forgets that the first entries of the first hole ever were, and all before them.
    ///
    /// - Parameters:
    ///   - index: the first entry that somebody has.
    ///   - last: where the log ends, which may be with the hole.
    mutating func giveUpHole(before index: LogIndex, through last: LogIndex) {
        guard let at = spans.firstIndex(where: { $0.segment == Self.nowhere }) else { return }
        spans.removeFirst(at)
        let end = spans.count > 1 ? spans[1].first : last.next
        if index >= end { spans.removeFirst() } else { spans[0].first = max(spans[0].first, index) }
    }

    /// Forgets entries whose segments were removed, and what was missing between them.
    ///
    /// What is missing behind them stays: it may be had from others.
    mutating func removeFirst(through segment: UInt64) {
        let last = spans.lastIndex { $0.segment != Self.nowhere && $0.segment <= segment }
        if let last { spans.removeFirst(last + 1) }
    }

    /// Whether the entries just before those of a segment, or of the next one that has any, are not on this disk.
    func isHole(before segment: UInt64) -> Bool {
        guard let at = spans.firstIndex(where: { $0.segment >= segment }), at > 0 else {
            return false
        }
        return spans[at - 1].segment == Self.nowhere
    }

    mutating func truncate(after index: LogIndex) {
        while let span = spans.last, span.first > index { spans.removeLast() }
        isCut = true
    }

    /// The position in `spans` of the one that holds an entry.
    func span(of index: LogIndex) -> Int? {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].first <= index { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : low - 1
    }

    /// Whether the entry found at a place is the log's, and not one that was truncated away.
    ///
    /// Entries written after a truncation start a new span, which takes over its indexes from
    /// older spans; so a dropped entry lies before its span's start or in another segment.
    func isCurrent(_ index: LogIndex, segment: UInt64, offset: Int) -> Bool {
        guard let at = span(of: index) else { return false }
        return spans[at].segment == segment && spans[at].offset <= offset
    }
}
