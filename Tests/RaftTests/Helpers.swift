import Raft

let n1 = NodeID(1)
let n2 = NodeID(2)
let n3 = NodeID(3)
let n4 = NodeID(4)
let n5 = NodeID(5)

/// Chance for scripts; the seed decides every draw.
struct Dice {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func roll() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(roll() % UInt64(max(bound, 1))) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

extension Instant {
    static let start = Instant(nanoseconds: 1_000_000_000)
    func after(milliseconds: Int) -> Instant {
        advanced(nanoseconds: UInt64(milliseconds) * 1_000_000)
    }
}

func id(_ term: UInt64, _ index: UInt64) -> EntryID {
    EntryID(term: Term(term), index: LogIndex(index))
}

func entry(_ term: UInt64, _ index: UInt64, _ text: String = "") -> Entry {
    Entry(
        id: id(term, index),
        time: Timestamp(milliseconds: index),
        kind: .command,
        payload: Array(text.utf8)
    )
}

/// Entries 1, 2, … with these terms.
func entries(_ terms: [UInt64]) -> [Entry] {
    terms.enumerated().map { entry($1, UInt64($0 + 1), "\($1)/\($0 + 1)") }
}

func runs(of entries: [Entry]) -> [TermRun] {
    var runs: [TermRun] = []
    for entry in entries where runs.last?.term != entry.term {
        runs.append(TermRun(term: entry.term, first: entry.index))
    }
    return runs
}

/// What a disk with these entries gives back; the tail starts with the committed entry.
func recovered(_ log: [Entry], hardState: HardState) -> RecoveredLog {
    let kept = max(0, Int(hardState.commitIndex.number) - 1)
    return RecoveredLog(
        hardState: hardState,
        tail: Array(log[kept...]),
        terms: runs(of: log),
        lastIndex: LogIndex(UInt64(log.count))
    )
}

extension Message {
    var append: AppendEntries? {
        if case .appendEntries(let append) = body { append } else { nil }
    }
    var appendReply: AppendEntriesReply? {
        if case .appendEntriesReply(let reply) = body { reply } else { nil }
    }
    var isTimeoutNow: Bool { body == .timeoutNow }
}
