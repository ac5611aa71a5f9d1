import Replica
import Testing
import Verification

@Suite("Repeats to be reported")
struct RepeatLedgerTests {
    private static func callback(_ attempt: String, _ key: String, at time: UInt64) -> Callback {
        var callback = Example.callback(attempt, .answered, key: key)
        callback.origin.receivedAt = WallTime(milliseconds: time)
        return callback
    }

    @Test("each key is counted by itself, with the time of its last receipt")
    func counts() {
        var ledger = RepeatLedger(maxItems: 100)
        #expect(ledger.isEmpty)
        ledger.note(RepeatLedgerTests.callback("b", "k", at: 10))
        ledger.note(RepeatLedgerTests.callback("a", "k", at: 11))
        ledger.note(RepeatLedgerTests.callback("b", "k", at: 12))
        ledger.note(RepeatLedgerTests.callback("b", "l", at: 13))
        let report = ledger.takeReport()
        #expect(report.map(\.attempt.text) == ["b", "a", "b"])
        #expect(report.map(\.count) == [2, 1, 1])
        #expect(report.map(\.lastAt.milliseconds) == [12, 11, 13])
        #expect(ledger.isEmpty)
        #expect(ledger.takeReport().isEmpty)
    }

    @Test("a full ledger still counts what it knows, and says how much it dropped")
    func full() {
        var ledger = RepeatLedger(maxItems: 2)
        for key in ["k", "l", "m", "k", "n"] {
            ledger.note(RepeatLedgerTests.callback("a", key, at: 1))
        }
        #expect(ledger.dropped == 2)
        #expect(ledger.takeReport().map(\.count) == [2, 1])
    }

    @Test("a whole report of the longest names fits into an entry")
    func longest() throws {
        var ledger = RepeatLedger(maxItems: 5000)
        for i in 1000..<2100 {
            let attempt = String(i) + String(repeating: "a", count: Token.maxLength - 4)
            let key = String(i) + String(repeating: "k", count: CallbackKey.maxChosenLength - 4)
            ledger.note(Example.callback(attempt, .answered, key: key))
        }
        let id = RequestID(node: .max, incarnation: .max, sequence: .max)
        var bytes: [UInt8] = []
        let report = ledger.takeReport()
        #expect(report.count == RepeatLedger.maxItemsPerReport)
        Command.repeats(RepeatBatch(request: id, items: report)).encode(into: &bytes)
        #expect(bytes.count <= PeerFrame.maxPayloadLength)
    }

    @Test("what waits longest is reported first, whatever its name, and nothing is lost or doubled")
    func order() {
        var random = SeededGenerator(seed: 3)
        var ledger = RepeatLedger(maxItems: 100_000)
        var noted: [String: UInt32] = [:]
        var reported: [String: UInt32] = [:]
        func take() {
            let report = ledger.takeReport()
            #expect(report.count <= RepeatLedger.maxItemsPerReport)
            for item in report { reported[item.attempt.text, default: 0] += item.count }
        }
        ledger.note(RepeatLedgerTests.callback("z", "k", at: 0))
        noted["z"] = 1
        for round in 0..<8 {
            for _ in 0..<3000 {
                let name = "a\(random.below(4000))"
                ledger.note(RepeatLedgerTests.callback(name, "k", at: UInt64(round)))
                noted[name, default: 0] += 1
            }
            take()
            // Many others come before it in the alphabet.
            #expect(reported["z"] == 1)
        }
        while !ledger.isEmpty { take() }
        #expect(reported == noted)
    }
}
