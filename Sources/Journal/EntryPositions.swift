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

    /// Notes entries that directly follow the newest ones.
    mutating func append(_ span: Span) {
        if !isCut, let last = spans.last, last.segment == span.segment,
            span.offset - last.offset < Self.spacing
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
