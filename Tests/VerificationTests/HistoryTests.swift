import Testing
import Verification

@Suite("what is shown of an attempt", .inMemoryAndPaged)
struct HistoryTests {
    @Test("first valid outcome in log order wins, whichever region or channel it came from")
    func firstWins() {
        var script = Script()
        script.open()
        script.answered()
        let app = script.callback(
            .outcome,
            key: "app",
            call: nil,
            outcome: .rejected,
            channel: "app",
            region: "eu-west"
        )
        script.send(app)
        let decidedAt = script.time
        let decidedIndex = script.entry
        script.advance(seconds: 240)
        let digits = script.digits(Script.right, step: 1)
        #expect(digits?.disposition == .contradicted)
        #expect(
            script.view?.outcome
                == Outcome(
                    state: .rejected,
                    index: decidedIndex,
                    decidedAt: decidedAt,
                    channel: "app",
                    call: nil,
                    region: "eu-west"
                )
        )
        #expect(digits?.answer.index == decidedIndex)
    }

    @Test("the view counts what was received, by what became of it")
    func counts() {
        var script = Script()
        script.open()
        let answered = script.callback(.answered)
        script.send(answered)
        script.send(script.again(answered))
        script.send(script.callback(.ringing))
        script.digits(Script.wrong, step: 1)
        script.digits(Script.right, step: 2)
        script.ended()
        script.cancel()
        var mismatch = script.again(answered)
        mismatch.channel = "app"
        script.send(mismatch)
        var expected = AttemptView.Counts()
        expected.callbacks = 7
        expected.repeated = 1
        expected.mismatched = 1
        expected.late = 1
        expected.contradicted = 1
        expected.stale = 1
        #expect(script.view?.counts == expected)
        #expect(script.view?.triesLeft == 2)
        #expect(script.view?.outcome?.call == "CA1")
        let counters = script.machine.counters
        #expect(counters.callbacks(.accepted) == 3)
        for disposition in Disposition.allCases where disposition != .accepted {
            #expect(counters.callbacks(disposition) == 1)
        }
    }

    @Test("the timeline has everything in log order, with the state before and after")
    func timeline() throws {
        var script = Script()
        script.open()
        script.send(script.callback(.ringing, sequence: 4))
        script.digits(Script.wrong, step: 1)
        let end = script.callback(.ended, status: .noAnswer)
        script.send(end)
        script.advance(seconds: 30)
        script.apply(.tick)
        script.outcome(.verified)
        let lines = script.timeline
        try #require(
            lines.map(\.what) == [
                .opened, .callback(.ringing), .callback(.digits), .callback(.ended), .deadline,
                .callback(.outcome),
            ]
        )
        #expect(lines.map(\.index.number) == [3, 4, 5, 6, 7, 8])
        #expect(
            lines.map(\.stateBefore) == [.open, .open, .open, .open, .open, .abandoned]
        )
        #expect(
            lines.map(\.stateAfter) == [.open, .open, .open, .open, .abandoned, .abandoned]
        )
        #expect(
            lines.map(\.disposition) == [nil, .accepted, .accepted, .accepted, nil, .contradicted]
        )
        #expect(lines[1].sequence == 4)
        #expect(lines[3].status == .noAnswer)
        #expect(lines[3].key == end.key)
        #expect(lines[3].call == "CA1")
        #expect(lines[3].provider == "verdict")
        #expect(lines[3].channel == "voice")
        #expect(lines[3].receivedAt == end.origin.receivedAt)
        #expect(lines[3].occurredAt == end.occurredAt)
        #expect(lines[3].region == "us-east")
        #expect(lines[3].node == 1)
        #expect(lines[4].receivedAt == nil)
        #expect(lines[5].claimed == .verified)
        #expect(lines[5].at == script.time)
    }

    @Test("a deadline that decides at a callback's entry stands before it, others after theirs")
    func deadlinePlace() {
        var script = Script()
        script.open(expiresIn: 10)
        script.answered()
        script.advance(seconds: 10)
        script.answered("late")
        script.answered("later")
        #expect(
            script.timeline.map(\.what)
                == [.opened, .callback(.answered), .deadline] + [
                    .callback(.answered), .callback(.answered),
                ]
        )
        #expect(script.timeline.map(\.stateBefore) == [.open, .open, .open, .expired, .expired])
    }

    @Test("canonical bytes tell replicas apart by anything that could show later")
    func canonicalBytes() {
        func bytes(_ change: (inout Script) -> Void) -> [UInt8] {
            var script = Script()
            script.open()
            script.answered()
            change(&script)
            return script.machine.canonicalBytes
        }
        let changes: [(inout Script) -> Void] = [
            { _ in },
            { $0.apply(.tick) },
            {
                $0.advance(seconds: 1)
                $0.apply(.tick)
            },
            { $0.ended() },
            { $0.ended(.busy) },
            { $0.digits(Script.wrong, step: 1) },
            { $0.digits(Script.right, step: 1) },
            { $0.outcome(.verified) },
            { $0.send($0.again($0.callback(.answered))) },
            { $0.open(Script.attempt("va_2")) },
            { $0.open(Script.attempt("va_3")) },
            { $0.open() },
        ]
        let all = changes.map { bytes($0) }
        #expect(Set(all).count == changes.count)
        #expect(changes.map { bytes($0) } == all)
    }

    @Test("the order in which attempts were opened shows in none but their own bytes")
    func canonicalOrder() {
        var script = Script()
        for number in (0..<50).reversed() { script.open(Script.attempt("va_\(number)")) }
        var pieces: [[UInt8]] = []
        script.machine.forEachCanonicalChunk { pieces.append($0) }
        let names = pieces.dropFirst().map { piece in
            String(decoding: piece[1..<1 + Int(piece[0])], as: UTF8.self)
        }
        #expect(names.count == 50)
        #expect(names == names.sorted())
    }

    @Test("thousands of attempts stay apart")
    func manyAttempts() {
        var script = Script()
        for number in 0..<3000 { script.open(Script.attempt("va_\(number)")) }
        for number in stride(from: 0, to: 3000, by: 7) {
            let id = Script.attempt("va_\(number)")
            let outcome: ClaimedOutcome = number.isMultiple(of: 2) ? .verified : .rejected
            let decision = script.send(
                script.callback(.outcome, key: "o", attempt: id, call: nil, outcome: outcome)
            )
            guard decision?.answer.attempt == id, decision?.answer.state == outcome.state else {
                Issue.record("\(id): \(String(describing: decision))")
                return
            }
        }
        for number in 0..<3000 {
            let expected: AttemptState =
                number.isMultiple(of: 7)
                ? (number.isMultiple(of: 2) ? .verified : .rejected) : .open
            guard script.machine.state(of: Script.attempt("va_\(number)")) == expected else {
                Issue.record("va_\(number) is not \(expected)")
                return
            }
        }
        #expect(script.machine.counters.attempts(in: .open) == 3000 - 429)
    }
}
