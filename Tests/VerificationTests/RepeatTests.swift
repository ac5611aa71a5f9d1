import Testing
import Verification

@Suite("repeats answered without the log", .inMemoryAndPaged)
struct RepeatTests {
    @Test("a known key with the same meaning is answered here, with the first answer")
    func knownAnswer() {
        var script = Script()
        script.open()
        let asked = script.callback(.answered)
        #expect(script.machine.knownAnswer(to: asked) == nil)
        let first = script.send(asked)
        script.outcome(.verified)
        let known = script.machine.knownAnswer(to: script.again(asked))
        #expect(known?.disposition == .repeated)
        #expect(known?.answer == first?.answer)
        #expect(known == script.send(script.again(asked)))
    }

    @Test("a mismatch is never answered here, nor a new key of a decided attempt")
    func notKnown() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing, key: "k")
        script.send(ringing)
        let other = script.callback(.answered, key: "k")
        #expect(script.machine.knownAnswer(to: other) == nil)
        script.send(other)
        #expect(script.machine.knownAnswer(to: other) == nil)
        #expect(script.machine.knownAnswer(to: ringing)?.disposition == .repeated)
        script.outcome(.verified)
        #expect(script.machine.knownAnswer(to: script.callback(.ended)) == nil)
    }

    @Test("a batch adds to the first receipt's line; what is unknown is ignored and counted")
    func batch() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        script.send(ringing)
        let at = WallTime(milliseconds: script.milliseconds + 500)
        let items = [
            item(ringing.key, count: 4, at: at),
            item(CallbackKey(logged: "verdict/key/unknown"), count: 5, at: at),
            item(ringing.key, attempt: Script.attempt("unknown"), count: 6, at: at),
        ]
        #expect(script.apply(batch(1, items)) == .noted)
        #expect(script.view?.counts.repeated == 4)
        #expect(script.timeline[1].repeats == 4)
        #expect(script.timeline[1].lastRepeatAt == at)
        #expect(script.machine.counters.callbacks(.repeated) == 4)
        #expect(script.machine.counters.ignoredRepeats == 11)
        // An earlier repeat that is reported later does not turn the time back.
        let earlier = WallTime(milliseconds: at.milliseconds - 1)
        script.apply(batch(2, [item(ringing.key, count: 1, at: earlier)]))
        #expect(script.timeline[1].repeats == 5)
        #expect(script.timeline[1].lastRepeatAt == at)
    }

    @Test("a batch proposed twice, or overtaken by a newer one, counts once; a new run counts")
    func batchOnce() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        script.send(ringing)
        let items = [item(ringing.key, count: 1, at: WallTime(milliseconds: 1))]
        let expected: [(node: UInt32, incarnation: UInt64, sequence: UInt64, counts: UInt64)] = [
            (1, 9, 1, 1), (1, 9, 1, 1), (1, 9, 3, 2), (1, 9, 2, 2), (2, 9, 1, 3), (1, 8, 1, 4),
            (1, 8, 1, 4), (2, 9, 1, 4), (2, 9, 2, 5), (3, 1, 0, 6),
        ]
        for (node, incarnation, sequence, counts) in expected {
            let request = RequestID(node: node, incarnation: incarnation, sequence: sequence)
            script.apply(.repeats(RepeatBatch(request: request, items: items)))
            #expect(script.view?.counts.repeated == counts)
        }
    }

    @Test("repeats move nothing")
    func movesNothing() {
        var script = Script()
        script.open()
        let wrong = script.callback(.digits, sequence: 1, digits: Script.wrong)
        script.send(wrong)
        var before = script.view
        script.apply(batch(1, [item(wrong.key, count: 100, at: WallTime(milliseconds: 1))]))
        before?.counts.repeated = 100
        #expect(script.view == before)
    }

    private func item(
        _ key: CallbackKey,
        attempt: AttemptID = Script.id,
        count: UInt32,
        at: WallTime
    ) -> RepeatBatch.Item {
        RepeatBatch.Item(attempt: attempt, key: key, count: count, lastAt: at)
    }

    private func batch(_ sequence: UInt64, _ items: [RepeatBatch.Item]) -> Command {
        let request = RequestID(node: 1, incarnation: 9, sequence: sequence)
        return .repeats(RepeatBatch(request: request, items: items))
    }
}
