import Testing
import Verification

@Suite("everything is bounded, and each bound has its refusal", .inMemoryAndPaged)
struct BoundsTests {
    private func limits(_ change: (inout VerificationLimits) -> Void) -> VerificationLimits {
        var limits = VerificationLimits()
        change(&limits)
        return limits
    }

    @Test("attempts: a new one beyond the bound is refused, a known one is not")
    func attempts() {
        var script = Script(limits: limits { $0.attempts = 2 })
        script.open(Script.attempt("a"))
        script.open(Script.attempt("b"))
        #expect(script.open(Script.attempt("c")) == .refused(.tooManyAttempts(limit: 2)))
        #expect(script.machine.state(of: Script.attempt("c")) == nil)
        guard case .opened(isNew: false, _) = script.open(Script.attempt("a")) else {
            Issue.record("a known attempt was refused")
            return
        }
        #expect(script.machine.counters.refusals(.tooManyAttempts) == 1)
    }

    @Test("flows: a new one beyond the bound is refused, a known one is not")
    func flows() {
        var script = Script(limits: limits { $0.flows = 2 })
        var third = Script.code
        third.digest = FlowDigest(bytes: [3])
        #expect(script.apply(.defineFlow(third)) == .refused(.tooManyFlows(limit: 2)))
        #expect(script.machine.flow(third.digest) == nil)
        #expect(
            script.apply(.defineFlow(Script.code)) == .flowDefined(Script.code.digest)
        )
    }

    @Test("calls: one more than the bound is refused and recorded nowhere; known ones go on")
    func calls() {
        var script = Script(limits: limits { $0.callsPerAttempt = 2 })
        script.open()
        script.send(script.callback(.ringing, call: "CA1"))
        script.send(script.callback(.ringing, call: "CA2"))
        let view = script.view
        for event in [EventKind.initiated, .ringing, .answered, .digits, .ended] {
            let third = script.callback(event, call: "CA3", digits: Script.right)
            #expect(script.apply(.callback(third)) == .refused(.tooManyCalls(limit: 2)))
        }
        #expect(script.view == view)
        #expect(script.answered(call: "CA2")?.disposition == .accepted)
        // An outcome is of the attempt, not of a call.
        let outcome = script.callback(.outcome, key: "o", call: "CA4", outcome: .verified)
        #expect(script.send(outcome)?.disposition == .accepted)
        // Nothing is kept of the calls of a decided attempt, so there is nothing to bound.
        let late = script.callback(.ringing, call: "CA3")
        #expect(script.send(late)?.disposition == .late)
    }

    @Test("callbacks: at the bound a new one is refused, in every state; a repeat is not")
    func callbacks() {
        for isDecided in [false, true] {
            var script = Script(limits: limits { $0.callbacksPerAttempt = 3 })
            script.open()
            let first = script.callback(.ringing)
            let answer = script.send(first)?.answer
            script.answered()
            if isDecided { script.outcome(.verified) } else { script.answered("again") }
            let view = script.view
            let refused = Applied.refused(.tooManyCallbacks(limit: 3))
            let more = script.callback(.digits, sequence: 1, digits: Script.right)
            #expect(script.apply(.callback(more)) == refused)
            #expect(script.apply(.callback(script.callback(.cancel))) == refused)
            var mismatch = script.again(first)
            mismatch.channel = "app"
            #expect(script.apply(.callback(mismatch)) == refused)
            #expect(script.view == view)
            let again = script.send(script.again(first))
            #expect(again?.disposition == .repeated)
            #expect(again?.answer == answer)
            #expect(script.machine.counters.refusals(.tooManyCallbacks) == 3)
        }
    }

    @Test("an attempt at its bound still expires")
    func fullAttemptExpires() {
        var script = Script(limits: limits { $0.callbacksPerAttempt = 1 })
        script.open(expiresIn: 10)
        script.answered()
        script.advance(seconds: 10)
        script.apply(.tick)
        #expect(script.state == .expired)
    }

    @Test("bytes: an open or a callback that would go beyond the bound is refused")
    func bytes() {
        var script = Script(limits: limits { $0.bytesPerAttempt = 300 })
        var opening = script.opening()
        opening.subject = String(repeating: "x", count: 300)
        #expect(script.apply(.open(opening)) == .refused(.tooManyBytes(limit: 300)))
        #expect(script.state == nil)
        script.open()
        let view = script.view
        var large = script.callback(.ringing)
        large.channel = String(repeating: "x", count: 300)
        #expect(script.apply(.callback(large)) == .refused(.tooManyBytes(limit: 300)))
        #expect(script.view == view)
        var accepted = 0
        while script.send(script.callback(.ringing, sequence: UInt64(accepted))) != nil {
            accepted += 1
        }
        #expect(accepted > 0 && accepted < 10)
        #expect(script.machine.counters.refusals(.tooManyBytes) == 3)
    }

    @Test("an unknown attempt's callback is refused, counted, and stored nowhere")
    func unknownAttempt() {
        var script = Script()
        let before = script.machine.canonicalBytes.dropFirst(16)
        #expect(script.apply(.callback(script.callback(.ringing))) == .refused(.unknownAttempt))
        // All but the applied index and time.
        #expect(script.machine.canonicalBytes.dropFirst(16) == before)
        #expect(script.machine.counters.refusals(.unknownAttempt) == 1)
        #expect(script.machine.knownAnswer(to: script.callback(.ringing)) == nil)
        #expect(script.machine.timeline(Script.id) == nil)
        #expect(script.machine.attempt(Script.id) == nil)
    }
}
