import Raft
import Replica
import Testing

private func instant(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
}

@Suite("Reads that wait")
struct ReadTableTests {
    private static func served(_ table: inout ReadTable, applied: UInt64) -> [UInt64] {
        var completions: [ReadCompletion] = []
        table.serve(applied: LogIndex(applied), into: &completions)
        return completions.filter { $0.isReady }.map(\.context)
    }

    @Test("a round is served once its index is applied, not before")
    func serve() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(100))
        table.append(context: 2, deadline: instant(100))
        let round = table.beginRound(at: instant(0))
        table.append(context: 3, deadline: instant(100))
        #expect(ReadTableTests.served(&table, applied: 50) == [])
        table.resolved(round: round, index: LogIndex(51))
        #expect(ReadTableTests.served(&table, applied: 50) == [])
        #expect(ReadTableTests.served(&table, applied: 51) == [1, 2])
        #expect(table.count == 1)
        #expect(table.isCollecting)
    }

    @Test("answers of rounds that nobody knows change nothing")
    func unknownRounds() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(100))
        let round = table.beginRound(at: instant(0))
        table.resolved(round: round + 1, index: .zero)
        table.failed(round: round + 1)
        table.refused(round: round + 1)
        #expect(ReadTableTests.served(&table, applied: 1000) == [])
        #expect(table.count == 1)
    }

    @Test("a round that failed joins the next; the answer to it comes too late")
    func failure() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(100))
        let first = table.beginRound(at: instant(0))
        table.append(context: 2, deadline: instant(100))
        table.failed(round: first)
        table.resolved(round: first, index: .zero)
        #expect(ReadTableTests.served(&table, applied: 9) == [])
        let second = table.beginRound(at: instant(1))
        #expect(second != first)
        table.resolved(round: second, index: LogIndex(9))
        #expect(ReadTableTests.served(&table, applied: 9) == [1, 2])
        #expect(table.count == 0)
    }

    @Test("all rounds start again when the leader changes: what they wait for may be gone")
    func requeue() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(100))
        let confirmed = table.beginRound(at: instant(0))
        table.resolved(round: confirmed, index: LogIndex(5))
        table.append(context: 2, deadline: instant(100))
        _ = table.beginRound(at: instant(0))
        table.requeueAll()
        #expect(table.isCollecting)
        #expect(table.count == 2)
        // Entry 5 was the old leader's alone. The new one confirms an older index, which is as good.
        table.resolved(round: confirmed, index: LogIndex(9))
        let again = table.beginRound(at: instant(1))
        table.resolved(round: again, index: LogIndex(4))
        #expect(ReadTableTests.served(&table, applied: 4) == [1, 2])
    }

    @Test("a round without an answer is asked for again under its own number")
    func overdue() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(100))
        let round = table.beginRound(at: instant(10))
        func due(_ now: UInt64) -> [UInt64] {
            table.takeOverdue(at: instant(now), retryAfter: .milliseconds(50))
        }
        #expect(due(59) == [])
        #expect(due(60) == [round])
        #expect(due(61) == [])
        table.refused(round: round)
        #expect(due(62) == [round])
        table.resolved(round: round, index: LogIndex(5))
        #expect(due(1000) == [])
    }

    @Test("reads that waited too long are given up, wherever they wait")
    func expiry() {
        var table = ReadTable(incarnation: 1)
        table.append(context: 1, deadline: instant(10))
        table.append(context: 2, deadline: instant(20))
        let round = table.beginRound(at: instant(0))
        table.append(context: 3, deadline: instant(10))
        let first = table.expire(at: instant(10)).map(\.context)
        #expect(Set(first) == [1, 3])
        table.resolved(round: round, index: LogIndex(1))
        #expect(table.expire(at: instant(20)).map(\.context) == [2])
        #expect(table.expire(at: instant(20)).isEmpty)
        #expect(table.count == 0)
    }

    @Test("only so many rounds are under way; what comes then shares the next")
    func bounded() {
        var table = ReadTable(incarnation: 1)
        var rounds: [UInt64] = []
        for context in 1...1000 as ClosedRange<UInt64> {
            table.append(context: context, deadline: instant(100))
            if table.canBeginRound { rounds.append(table.beginRound(at: instant(0))) }
        }
        #expect(rounds.count == ReadTable.maxRounds)
        #expect(table.count == 1000)
        // A confirmed round that is not applied yet keeps its place, a served one does not.
        table.resolved(round: rounds[3], index: LogIndex(5))
        #expect(!table.canBeginRound)
        #expect(ReadTableTests.served(&table, applied: 5) == [4])
        #expect(table.canBeginRound)
        let last = table.beginRound(at: instant(1))
        table.resolved(round: last, index: LogIndex(6))
        #expect(ReadTableTests.served(&table, applied: 6).count == 1000 - ReadTable.maxRounds)
        table.requeueAll()
        #expect(table.roundCount == 0)
        #expect(table.canBeginRound)
        // Those whose entry was not applied wait anew with the rest.
        #expect(table.expire(at: instant(100)).count == ReadTable.maxRounds - 1)
        #expect(!table.canBeginRound)
    }

    @Test("no two runs of a process ask under the same number")
    func incarnations() {
        // An answer to the run before may come late, with an index that is too old for this run.
        var numbers: Set<UInt64> = []
        for incarnation in [1, 2, 3, 0x1234_5678_9ABC_DEF0, 0xFEDC_BA98_7654_3210] as [UInt64] {
            var table = ReadTable(incarnation: incarnation)
            for _ in 0..<100 {
                table.append(context: 0, deadline: instant(1))
                let round = table.beginRound(at: instant(0))
                #expect(round < 1 << 63)
                numbers.insert(round)
            }
        }
        #expect(numbers.count == 500)
    }
}
