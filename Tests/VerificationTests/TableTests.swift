import FoundationEssentials
import Testing
import Verification

/// The tables of `docs/verification.md`, written from the code.
@Suite("the tables in the documentation are the tables in the code")
struct TableTests {
    private func documentation() throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return try String(contentsOfFile: "/\(root)/docs/verification.md", encoding: .utf8)
    }

    private func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }

    private func table(_ head: [String], _ rows: [[String]]) -> String {
        ([row(head), "|" + String(repeating: "---|", count: head.count)] + rows.map(row))
            .joined(separator: "\n")
    }

    private func words(_ move: Move) -> String {
        switch move {
        case .advance(let progress): "→ \(progress)"
        case .again: "again"
        case .stale: "stale"
        case .judge: "judge"
        case .end: "→ ended, end"
        case .decide: "decide"
        case .unlogged: "–"
        }
    }

    @Test("events × progress of the call, for an open attempt")
    func events() throws {
        let progress = CallProgress.allCases
        let rows = EventKind.allCases.map { event in
            ["`\(event.name)`"] + progress.map { words(EventTable.move(event, call: $0)) }
        }
        let table = table(["event"] + progress.map { "\($0)" }, rows)
        #expect(try documentation().contains(table), "\(table)")
    }

    @Test("claims × states, for a decided attempt")
    func claims() throws {
        let claims: [AttemptState?] = [nil, .verified, .rejected, .cancelled]
        let rows = AttemptState.allCases.filter(\.isTerminal).map { state in
            ["`\(state.name)`"]
                + claims.map { EventTable.disposition(ofClaim: $0, decided: state).name }
        }
        let table = table(["decided"] + claims.map { "claims \($0?.name ?? "nothing")" }, rows)
        #expect(try documentation().contains(table), "\(table)")
    }

    @Test("what each event claims")
    func claimOfEvents() throws {
        let rows = EventKind.allCases.map { event in
            let names = [
                EventTable.claim(of: event, outcome: .verified, digitsAreRight: true),
                EventTable.claim(of: event, outcome: .rejected, digitsAreRight: false),
                EventTable.claim(of: event, outcome: nil, digitsAreRight: false),
            ].map { $0?.name ?? "nothing" }
            let unique = names.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
            return ["`\(event.name)`", unique.joined(separator: ", or ")]
        }
        let table = table(["event", "claims"], rows)
        #expect(try documentation().contains(table), "\(table)")
    }

    @Test("the state after the grace time")
    func grace() throws {
        let statuses: [EndStatus?] = EndStatus.allCases + [nil]
        let rows = statuses.map { status in
            [status.map { "`\($0.name)`" } ?? "not said"]
                + [true, false].map {
                    EventTable.stateAfterGrace(wasAnswered: $0, status: status).name
                }
        }
        let table = table(["last call ended", "answered before", "never answered"], rows)
        #expect(try documentation().contains(table), "\(table)")
    }

    @Test("the bounds")
    func bounds() throws {
        let limits = VerificationLimits()
        let text = try documentation()
        for (name, bound) in [
            ("attempts", limits.attempts), ("flows", limits.flows),
            ("callsPerAttempt", limits.callsPerAttempt),
            ("callbacksPerAttempt", limits.callbacksPerAttempt),
            ("bytesPerAttempt", limits.bytesPerAttempt),
            ("RepeatBatch.maxItems", RepeatBatch.maxItems),
            ("Command.maxEncodedLength", Command.maxEncodedLength),
        ] {
            #expect(text.contains("| `\(name)` | \(bound) |"))
        }
    }
}
