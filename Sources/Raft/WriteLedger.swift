/// Which changes are under way to stable storage, and what is known to be there.
struct WriteLedger {
    /// The last write handed out.
    private(set) var lastNumber = WriteNumber.zero
    /// All writes through this one are durable.
    private(set) var durableNumber = WriteNumber.zero
    /// The log in memory equals the log on disk through this index.
    private(set) var durableIndex: LogIndex
    /// Writes under way that carry entries, and where the log ended with them.
    private var outstanding = Ring<Outstanding>(
        filler: Outstanding(number: .zero, through: .zero)
    )
    /// The last write that changed term or vote.
    private var hardStateNumber = WriteNumber.zero
    private var writtenCommit: LogIndex
    /// A restart finds entries committed through this one, at least.
    private(set) var durableCommit: LogIndex
    /// Writes under way that carry a commit index, and that.
    private var commits = Ring<Outstanding>(filler: Outstanding(number: .zero, through: .zero))

    /// The write being put together in this call.
    private var truncateAfter: LogIndex?
    private var entries: [Entry] = []
    private var hardStateChanged = false

    private struct Outstanding {
        var number: WriteNumber
        var through: LogIndex
    }

    init(durableIndex: LogIndex, commitIndex: LogIndex) {
        self.durableIndex = durableIndex
        self.writtenCommit = commitIndex
        self.durableCommit = commitIndex
    }

    /// The write that must be durable before a message of this term may be sent.
    var hardStateGate: WriteNumber {
        hardStateChanged ? WriteNumber(lastNumber.number + 1) : hardStateNumber
    }

    /// Term and vote are on disk as they are in memory.
    var isHardStateDurable: Bool { hardStateGate <= durableNumber }

    mutating func changeHardState() { hardStateChanged = true }

    /// Stages the end of the log being cut off.
    ///
    /// A write under way may still report entries that are now superseded: it counts only up to
    /// the cut.
    mutating func truncate(after index: LogIndex) {
        invariant(entries.isEmpty, "truncating to \(index) under staged entries")
        truncateAfter = index
        durableIndex = min(durableIndex, index)
        for position in 0..<outstanding.count where outstanding[position].through > index {
            outstanding[position].through = index
        }
    }

    mutating func append(_ entry: Entry) { entries.append(entry) }

    mutating func append(contentsOf more: [Entry]) {
        if entries.isEmpty { entries = more } else { entries.append(contentsOf: more) }
    }

    mutating func reserve(_ more: Int) { entries.reserveCapacity(entries.count + more) }

    /// Hands out the staged write, if anything is staged.
    ///
    /// The commit index is a hint: it goes along when it moved, but causes no write of its own.
    mutating func take(hardState: HardState) -> LogWrite? {
        guard hardStateChanged || truncateAfter != nil || !entries.isEmpty else { return nil }
        lastNumber = WriteNumber(lastNumber.number + 1)
        var write = LogWrite(number: lastNumber, truncateAfter: truncateAfter)
        if hardStateChanged || hardState.commitIndex > writtenCommit {
            write.hardState = hardState
            writtenCommit = hardState.commitIndex
            commits.append(Outstanding(number: lastNumber, through: writtenCommit))
        }
        if hardStateChanged { hardStateNumber = lastNumber }
        if let last = entries.last {
            outstanding.append(Outstanding(number: lastNumber, through: last.index))
        }
        swap(&write.entries, &entries)
        truncateAfter = nil
        hardStateChanged = false
        return write
    }

    /// All writes through this one are durable.
    ///
    /// - Returns: false if that was known.
    mutating func persisted(_ number: WriteNumber) -> Bool {
        invariant(number <= lastNumber, "persisted \(number.number) of \(lastNumber.number)")
        guard number > durableNumber else { return false }
        durableNumber = number
        while let first = outstanding.first, first.number <= number {
            durableIndex = max(durableIndex, first.through)
            outstanding.removeFirst()
        }
        while let first = commits.first, first.number <= number {
            durableCommit = first.through
            commits.removeFirst()
        }
        return true
    }
}
