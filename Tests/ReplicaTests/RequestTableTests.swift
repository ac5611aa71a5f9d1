import Raft
import Replica
import Testing

/// What a `RequestTable` does, written down in the plainest way.
private struct PlainRequests {
    struct Item {
        var sequence: UInt64
        var context: UInt64?
        var deadline: UInt64
        var hasDefinition: Bool
        var state = "queued"
        var at: UInt64 = 0
        var number: UInt64 = 0
        var forwards = 0
        var refusals = 0
        var missingFlow = 0
    }
    var items: [Item] = []

    mutating func finish(_ sequence: UInt64) -> Item? {
        guard let i = items.firstIndex(where: { $0.sequence == sequence }) else { return nil }
        return items.remove(at: i)
    }
    mutating func send(
        as state: String,
        at now: UInt64,
        number: UInt64 = 0,
        most: Int
    ) -> [UInt64] {
        var sent: [UInt64] = []
        for i in items.indices where items[i].state == "queued" && sent.count < most {
            items[i].state = state
            items[i].at = now
            items[i].number = number
            if state == "forwarded" { items[i].forwards += 1 }
            sent.append(items[i].sequence)
        }
        return sent
    }
    mutating func expire(at now: UInt64, retryAfter: UInt64) -> [UInt64] {
        let over = items.filter { $0.deadline <= now }
        items.removeAll { $0.deadline <= now }
        for i in items.indices {
            switch items[i].state {
            case "forwarded":
                let patience: UInt64 = [1, 2, 4, 8][min(items[i].forwards, 4) - 1]
                if items[i].at + retryAfter * patience <= now { items[i].state = "queued" }
            case "refused":
                let quarters: UInt64 = [0, 1, 2, 4][min(items[i].refusals, 4) - 1]
                if items[i].at + retryAfter * quarters / 4 <= now { items[i].state = "queued" }
            default: break
            }
        }
        return over.compactMap(\.context)
    }
}

private func instant(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
}

private func request(
    _ sequence: UInt64,
    context: UInt64? = nil,
    definition: [UInt8]? = nil,
    deadline: UInt64
) -> RequestTable.Request {
    RequestTable.Request(
        sequence: sequence,
        command: [UInt8(truncatingIfNeeded: sequence)],
        definition: definition,
        context: context,
        submittedAt: instant(0),
        deadline: deadline == .max ? .distantFuture : instant(deadline)
    )
}

@Suite("Requests that wait")
struct RequestTableTests {
    private static func send(
        _ table: inout RequestTable,
        as state: RequestTable.State,
        most: Int = .max
    ) -> [UInt64] {
        var sent: [UInt64] = []
        table.sendQueued(as: state) { request in
            guard sent.count < most else { return false }
            sent.append(request.sequence)
            return true
        }
        return sent
    }

    @Test("does what a plain list would do", arguments: 1...20 as ClosedRange<UInt64>)
    func twin(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = RequestTable(limit: 1_000_000)
        var plain = PlainRequests()
        var now: UInt64 = 0
        var forward: UInt64 = 0
        for step in 0..<4000 {
            switch random.below(100) {
            case ..<45:
                let sequence = table.takeSequence()
                // Some numbers are drawn for requests that turn out too large.
                if random.chance(percent: 5) { continue }
                let isForNobody = random.chance(percent: 3)
                let hasDefinition = random.chance(percent: 20)
                let deadline = isForNobody ? .max : now + 500
                let context = isForNobody ? nil : sequence + 1000
                table.append(
                    request(
                        sequence,
                        context: context,
                        definition: hasDefinition ? [1] : nil,
                        deadline: deadline
                    )
                )
                plain.items.append(
                    PlainRequests.Item(
                        sequence: sequence,
                        context: context,
                        deadline: deadline,
                        hasDefinition: hasDefinition
                    )
                )
            case ..<75:
                let known = plain.items.randomElement(using: &random)?.sequence ?? 1
                let sequence = random.chance(percent: 85) ? known : UInt64(random.below(5000))
                let finished = table.finish(sequence)
                let expected = plain.finish(sequence)
                #expect(finished?.sequence == expected?.sequence)
                #expect(finished?.context == expected?.context)
            case ..<80:
                let most = random.below(30)
                forward += 1
                let sent = RequestTableTests.send(
                    &table,
                    as: .forwarded(at: instant(now), number: forward),
                    most: most
                )
                let expected = plain.send(
                    as: "forwarded",
                    at: now,
                    number: forward,
                    most: most
                )
                #expect(sent == expected)
            case ..<84:
                let sent = RequestTableTests.send(&table, as: .proposed)
                #expect(sent == plain.send(as: "proposed", at: now, most: .max))
            case ..<86:
                table.requeueAll()
                for i in plain.items.indices {
                    plain.items[i].state = "queued"
                    plain.items[i].forwards = 0
                    plain.items[i].refusals = 0
                }
            case ..<88:
                let number = forward - min(forward, UInt64(random.below(5)))
                table.refused(forward: number)
                for i in plain.items.indices
                where plain.items[i].state == "forwarded" && plain.items[i].number == number {
                    plain.items[i].state = "refused"
                    plain.items[i].refusals += 1
                    plain.items[i].forwards = 0
                }
            case ..<92:
                guard let i = plain.items.indices.randomElement(using: &random) else { continue }
                let expected = plain.items[i].hasDefinition && plain.items[i].missingFlow < 2
                #expect(table.requeueForMissingFlow(plain.items[i].sequence) == expected)
                if expected {
                    plain.items[i].missingFlow += 1
                    plain.items[i].state = "queued"
                }
            default:
                now += UInt64(random.below(100))
                let completions = table.expire(
                    at: instant(now),
                    retryAfter: .milliseconds(60)
                )
                #expect(
                    completions.map(\.context) == plain.expire(at: now, retryAfter: 60)
                )
                #expect(completions.allSatisfy { $0.result == .timedOut })
            }
            #expect(table.count == plain.items.count)
            #expect(table.hasQueued == plain.items.contains { $0.state == "queued" })
            guard table.count == plain.items.count else {
                Issue.record("seed \(seed), step \(step)")
                return
            }
        }
    }

    @Test("one that waits for ever does not keep the places of all behind it")
    func holes() {
        var table = RequestTable(limit: 20_000)
        // A report of repeats while there is no leader.
        table.append(request(table.takeSequence(), deadline: .max))
        for round in 1...200 as ClosedRange<UInt64> {
            for _ in 0..<500 {
                let sequence = table.takeSequence()
                table.append(request(sequence, context: sequence, deadline: round * 100))
            }
            let over = table.expire(at: instant(round * 100), retryAfter: .seconds(1))
            #expect(over.count == 500)
        }
        #expect(table.count == 1)
        #expect(table.slotCount <= 1025)
        #expect(RequestTableTests.send(&table, as: .proposed) == [1])
        #expect(table.finish(1)?.sequence == 1)
    }

    @Test("what the leader refused goes again with the next house-keeping, however early it is")
    func refused() {
        var table = RequestTable(limit: 10)
        for sequence in 1...3 as ClosedRange<UInt64> {
            table.append(request(sequence, context: sequence, deadline: 10_000))
        }
        #expect(
            RequestTableTests.send(&table, as: .forwarded(at: instant(1), number: 1)) == [1, 2, 3]
        )
        table.refused(forward: 1)
        #expect(!table.hasQueued)
        #expect(table.expire(at: instant(2), retryAfter: .seconds(1)).isEmpty)
        #expect(
            RequestTableTests.send(&table, as: .forwarded(at: instant(2), number: 1)) == [1, 2, 3]
        )
        #expect(table.sentAgain == 3)
    }

    @Test("a refusal names one forward: what was in another is not sent again for it")
    func refusedAlone() {
        var table = RequestTable(limit: 10)
        for sequence in 1...2 as ClosedRange<UInt64> {
            table.append(request(sequence, context: sequence, deadline: 10_000))
            let state = RequestTable.State.forwarded(at: instant(1), number: sequence)
            #expect(RequestTableTests.send(&table, as: state) == [sequence])
        }
        table.refused(forward: 2)
        table.refused(forward: 7)
        #expect(table.expire(at: instant(2), retryAfter: .seconds(1)).isEmpty)
        let again = RequestTable.State.forwarded(at: instant(2), number: 3)
        #expect(RequestTableTests.send(&table, as: again) == [2])
        #expect(table.sentAgain == 1)
    }

    @Test("what is refused again and again goes after a quarter, half and a whole span")
    func refusedAgain() {
        var table = RequestTable(limit: 10)
        table.append(request(table.takeSequence(), context: 1, deadline: 1_000_000))
        var sentAt: [UInt64] = []
        for now in 0..<1000 as Range<UInt64> {
            _ = table.expire(at: instant(now), retryAfter: .milliseconds(200))
            if !RequestTableTests.send(&table, as: .forwarded(at: instant(now), number: 1)).isEmpty
            {
                sentAt.append(now)
                table.refused(forward: 1)
            }
        }
        #expect(sentAt == [0, 1, 51, 151, 351, 551, 751, 951])
    }

    @Test("what another leader is sent, or this one after a refusal, is not missed for long")
    func freshPatience() {
        var table = RequestTable(limit: 10)
        table.append(request(table.takeSequence(), context: 1, deadline: 1_000_000))
        func send(at now: UInt64) -> [UInt64] {
            _ = table.expire(at: instant(now), retryAfter: .milliseconds(100))
            return RequestTableTests.send(&table, as: .forwarded(at: instant(now), number: 1))
        }
        for now in [0, 100, 300, 700] as [UInt64] { #expect(send(at: now) == [1]) }
        table.requeueAll()
        #expect(send(at: 750) == [1])
        #expect(send(at: 849) == [])
        #expect(send(at: 850) == [1])
        table.refused(forward: 1)
        #expect(send(at: 851) == [1])
        #expect(send(at: 950) == [])
        #expect(send(at: 951) == [1])
    }

    @Test("a request without an answer is sent again after one, two, four, eight, eight spans")
    func patience() {
        var table = RequestTable(limit: 10)
        table.append(request(table.takeSequence(), context: 1, deadline: 1_000_000))
        var sentAt: [UInt64] = []
        for now in 0..<4000 as Range<UInt64> {
            _ = table.expire(at: instant(now), retryAfter: .milliseconds(100))
            if !RequestTableTests.send(&table, as: .forwarded(at: instant(now), number: 1)).isEmpty
            {
                sentAt.append(now)
            }
        }
        #expect(sentAt == [0, 100, 300, 700, 1500, 2300, 3100, 3900])
    }
}
