import Testing
import Verification

@Suite("deadlines are log time", .inMemoryAndPaged)
struct DeadlineTests {
    @Test("an attempt expires at the first entry whose time is at or past its expiry")
    func expiry() {
        var script = Script()
        script.open(expiresIn: 10)
        #expect(script.machine.nextDeadline == script.time.advanced(bySeconds: 10))
        script.advance(milliseconds: 9_999)
        script.apply(.tick)
        #expect(script.state == .open)
        script.advance(milliseconds: 1)
        script.apply(.tick)
        #expect(script.state == .expired)
        #expect(
            script.machine.pollAnswer(for: Script.id)
                == Answer(
                    attempt: Script.id,
                    state: .expired,
                    index: script.entry,
                    next: .hangup,
                    flow: Script.code.digest
                )
        )
    }

    @Test("an event behind the deadline finds the attempt expired, at the event's own entry")
    func lateEvent() throws {
        var script = Script()
        script.open(expiresIn: 10)
        script.advance(seconds: 10)
        let decision = script.digits(Script.right, step: 1)
        #expect(decision?.disposition == .contradicted)
        #expect(decision?.answer.state == .expired)
        #expect(decision?.answer.index == script.entry)
        let lines = script.timeline
        try #require(lines.map(\.what) == [.opened, .deadline, .callback(.digits)])
        #expect(lines[1].index == lines[2].index)
        #expect(lines.map(\.stateBefore) == [.open, .open, .expired])
        #expect(lines.map(\.stateAfter) == [.open, .expired, .expired])
    }

    @Test("any entry lets time pass: a no-op, one that cannot be decoded, one for another attempt")
    func anyEntry() {
        for kind in 0..<4 {
            var script = Script()
            script.open(expiresIn: 10)
            script.advance(seconds: 11)
            let next = EntryIndex(script.index + 5)
            switch kind {
            case 0: script.machine.applyNothing(at: next, time: script.time)
            case 1:
                script.machine.applyUndecodable(at: next, time: script.time)
                #expect(script.machine.counters.undecodable == 1)
            case 2: script.open(Script.attempt("va_2"))
            default: script.apply(.repeats(RepeatBatch(request: .zero, items: [])))
            }
            #expect(script.state == .expired)
            #expect(script.machine.time == script.time)
        }
    }

    @Test("several attempts may be decided by one entry")
    func manyAtOnce() {
        var script = Script()
        for number in 0..<20 {
            script.open(Script.attempt("va_\(number)"), expiresIn: UInt32(40 - number))
        }
        script.advance(seconds: 30)
        script.apply(.tick)
        for number in 0..<20 {
            let view = script.machine.attempt(Script.attempt("va_\(number)"))
            #expect(view?.state == (number >= 10 ? .expired : .open))
            #expect(view?.outcome?.index == (number >= 10 ? script.entry : nil))
        }
        #expect(script.machine.counters.attempts(in: .expired) == 10)
        #expect(script.machine.counters.attempts(in: .open) == 10)
    }

    @Test("where both have passed the earlier deadline decides, on a tie the expiry")
    func bothPassed() {
        for (expiresIn, expected) in [
            (29, AttemptState.expired), (30, .expired), (31, .abandoned),
        ] as [(UInt32, AttemptState)] {
            var script = Script()
            script.open(expiresIn: expiresIn)
            script.ended()
            script.advance(seconds: 100)
            script.apply(.tick)
            #expect(script.state == expected)
        }
    }

    @Test("a decided attempt has no deadline")
    func decided() {
        for state in AttemptState.allCases where state.isTerminal {
            var script = Script()
            script.open()
            script.bring(to: state)
            #expect(script.machine.nextDeadline == nil)
            script.advance(seconds: 10_000)
            script.apply(.tick)
            #expect(script.state == state)
        }
    }

    @Test("the end of time does not trap")
    func endOfTime() {
        var machine = StateMachine()
        let end = LogTime(milliseconds: .max)
        _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: end)
        var script = Script()
        let applied = machine.apply(.open(script.opening()), at: EntryIndex(2), time: end)
        #expect(applied.isNewlyOpened)
        _ = machine.apply(.tick, at: EntryIndex(.max), time: end)
        #expect(machine.state(of: Script.id) == .expired)
    }

    @Test("the next deadline is the least of all, whatever was opened, moved and decided before")
    func nextDeadline() {
        var generator = SeededGenerator(seed: 3)
        var script = Script()
        // The naive twin: every open attempt's deadline.
        var expected: [AttemptID: UInt64] = [:]
        for round in 0..<600 {
            let id = Script.attempt(
                "va_\(Int.random(in: 0..<60, using: &generator))-\(round / 200)"
            )
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1:
                let seconds = UInt32.random(in: 1...400, using: &generator)
                if script.open(id, expiresIn: seconds).isNewlyOpened {
                    expected[id] = script.milliseconds + UInt64(seconds) * 1000
                }
            case 2:
                let call = "CA\(round)"
                let ended = script.callback(.ended, attempt: id, call: call, status: .busy)
                let decision = script.send(ended)
                if decision?.disposition == .accepted, let known = expected[id] {
                    let expiry = script.machine.attempt(id)?.expiresAt.milliseconds ?? known
                    expected[id] = min(expiry, script.milliseconds + 30_000)
                }
            case 3:
                let cancel = script.callback(.cancel, key: "c\(round)", attempt: id, call: nil)
                if script.send(cancel)?.disposition == .accepted { expected[id] = nil }
            default:
                script.advance(milliseconds: UInt64.random(in: 0...9_000, using: &generator))
                script.apply(.tick)
            }
            expected = expected.filter { $0.value > script.milliseconds }
            let least = expected.values.min().map { LogTime(milliseconds: $0) }
            guard script.machine.nextDeadline == least else {
                Issue.record("round \(round): \(String(describing: script.machine.nextDeadline))")
                return
            }
        }
        #expect(script.machine.counters.attempts(in: .expired) > 20)
        #expect(script.machine.counters.attempts(in: .unreachable) > 20)
        #expect(script.machine.counters.attempts(in: .cancelled) > 10)
        #expect(script.machine.counters.attempts(in: .open) == UInt64(expected.count))
    }

    @Test("an index that does not rise, or a time that falls, stops the process")
    func invariants() async {
        await #expect(processExitsWith: .failure) {
            var machine = StateMachine()
            machine.applyNothing(at: EntryIndex(2), time: LogTime(milliseconds: 5))
            machine.applyNothing(at: EntryIndex(2), time: LogTime(milliseconds: 5))
        }
        await #expect(processExitsWith: .failure) {
            var machine = StateMachine()
            machine.applyNothing(at: EntryIndex(2), time: LogTime(milliseconds: 5))
            machine.applyNothing(at: EntryIndex(3), time: LogTime(milliseconds: 4))
        }
        await #expect(processExitsWith: .success) {
            var machine = StateMachine()
            machine.applyNothing(at: EntryIndex(2), time: LogTime(milliseconds: 5))
            machine.applyNothing(at: EntryIndex(7), time: LogTime(milliseconds: 5))
        }
    }
}

extension Applied {
    var isNewlyOpened: Bool {
        if case .opened(isNew: true, _) = self { return true }
        return false
    }
}
