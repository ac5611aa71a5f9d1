/// The log as the core sees it: the newest entries, and the term of every index.
struct RaftLog {
    /// Entries after `evicted`, through `lastIndex`.
    private var window: Ring<Entry>
    /// Entries through this index are on disk only.
    private(set) var evicted: LogIndex
    private(set) var lastIndex: LogIndex
    /// Sorted by index and by term; covers the whole log, so that a term is known at any index.
    private(set) var runs: [TermRun]
    /// Cost of the entries in memory, in bytes.
    private(set) var cachedBytes = 0
    /// The last batch handed out: followers in step get the same array, not a copy each.
    private var lastBatch: (from: LogIndex, end: EntryID, maxBytes: Int, entries: [Entry])?
    /// Time of the last entry before the window, as far as it matters: the clock never runs back.
    private var startTime: Timestamp

    init(_ recovered: RecoveredLog) {
        lastIndex = recovered.lastIndex
        runs = recovered.terms
        window = Ring(
            filler: Entry(id: .zero, time: .zero, kind: .noop, payload: [])
        )
        evicted = recovered.tail.first?.index.previous ?? recovered.start.index
        startTime = recovered.startTime
        var index = evicted
        for entry in recovered.tail {
            invariant(entry.index == index.next, "recovered \(entry.id) after index \(index)")
            index = entry.index
            cachedBytes += entry.cost
            window.append(entry)
        }
        invariant(index == lastIndex, "recovered entries end at \(index), the log at \(lastIndex)")
        let end = recovered.tail.last?.id ?? recovered.start
        invariant(end == lastID, "recovered log ends with \(end), its terms with \(lastID)")
    }

    /// Term and index of the last entry; zero if the log is empty.
    var lastID: EntryID {
        EntryID(term: lastIndex == .zero ? .zero : runs.last?.term ?? .zero, index: lastIndex)
    }

    /// Time of the last entry; the log's clock never runs back behind it.
    var lastTime: Timestamp { window.last?.time ?? startTime }

    /// The term of the entry at an index; nil behind the end, zero before the start.
    func term(at index: LogIndex) -> Term? {
        guard index <= lastIndex else { return nil }
        guard let run = run(of: index) else { return .zero }
        return runs[run].term
    }

    /// Position of the run that holds an index; nil for index 0.
    private func run(of index: LogIndex) -> Int? {
        guard index > .zero, var high = runs.indices.last else { return nil }
        if runs[high].first <= index { return high }
        var low = 0
        while low < high {
            let middle = (low + high + 1) / 2
            if runs[middle].first <= index { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// The last entry at or before `index` with at most this term, skipping whole terms.
    ///
    /// Both sides of a rejected AppendEntries look it up in their logs (dissertation §3.5): one
    /// round for each term that differs, not one for each entry.
    func lastID(atOrBefore index: LogIndex, termAtMost term: Term) -> EntryID {
        var index = min(index, lastIndex)
        guard var run = run(of: index) else { return .zero }
        while runs[run].term > term {
            index = runs[run].first.previous
            guard run > 0 else { return .zero }
            run -= 1
        }
        return EntryID(term: runs[run].term, index: index)
    }

    mutating func append(_ entry: Entry) {
        invariant(
            entry.index == lastIndex.next && entry.term >= lastID.term,
            "appending \(entry.id) after \(lastID)"
        )
        if runs.last?.term != entry.term {
            runs.append(TermRun(term: entry.term, first: entry.index))
        }
        lastIndex = entry.index
        cachedBytes += entry.cost
        window.append(entry)
    }

    /// Drops the entries after an index.
    mutating func truncate(after index: LogIndex) {
        invariant(index >= evicted, "truncating to \(index), evicted through \(evicted)")
        while lastIndex > index, let last = window.last {
            cachedBytes -= last.cost
            window.removeLast()
            lastIndex = lastIndex.previous
        }
        while let run = runs.last, run.first > lastIndex { runs.removeLast() }
        lastBatch = nil
    }

    /// Drops the oldest entries from memory while they cost more than `limit`, up to an index.
    mutating func evict(through index: LogIndex, limit: Int) {
        while cachedBytes > limit, evicted < index, let first = window.first {
            cachedBytes -= first.cost
            evicted = first.index
            window.removeFirst()
        }
    }

    /// Time of the entry at an index; zero where it is not in memory.
    func time(at index: LogIndex) -> Timestamp {
        guard index > evicted, index <= lastIndex else { return .zero }
        return window[index.distance(from: evicted) - 1].time
    }

    func cost(at index: LogIndex) -> Int { window[index.distance(from: evicted) - 1].cost }

    /// Entries in memory from `from` through `through`, capped by cost but at least one.
    func entries(from: LogIndex, through: LogIndex, maxBytes: Int) -> [Entry] {
        let through = min(through, lastIndex)
        guard from <= through else { return [] }
        invariant(from > evicted, "entry \(from) asked for, evicted through \(evicted)")
        let start = from.distance(from: evicted) - 1
        let limit = through.distance(from: evicted)
        var end = start + 1
        var bytes = window[start].cost
        while end < limit {
            bytes += window[end].cost
            if bytes > maxBytes { break }
            end += 1
        }
        var result: [Entry] = []
        result.reserveCapacity(end - start)
        for position in start..<end { result.append(window[position]) }
        return result
    }

    /// Entries from `from` on for one AppendEntries.
    mutating func batch(from: LogIndex, maxBytes: Int) -> [Entry] {
        if let last = lastBatch, last.from == from, last.end == lastID, last.maxBytes == maxBytes {
            return last.entries
        }
        let entries = entries(from: from, through: lastIndex, maxBytes: maxBytes)
        lastBatch = (from, lastID, maxBytes, entries)
        return entries
    }
}
