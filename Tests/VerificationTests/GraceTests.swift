import Testing
import Verification

@Suite("the end of a call, and the grace time after it", .inMemoryAndPaged)
struct GraceTests {
    @Test("a call that ends with no result leaves the attempt open for the flow's grace time")
    func grace() {
        var script = Script()
        script.open()
        script.answered()
        #expect(script.ended()?.answer == script.answer(.none))
        #expect(script.machine.nextDeadline == script.time.advanced(bySeconds: 30))
        script.advance(milliseconds: 29_999)
        script.apply(.tick)
        #expect(script.state == .open)
        script.advance(milliseconds: 1)
        script.apply(.tick)
        #expect(script.state == .abandoned)
        let outcome = script.view?.outcome
        #expect(outcome?.index == script.entry)
        #expect(outcome?.decidedAt == script.time)
        #expect(outcome?.channel == nil)
        #expect(outcome?.call == nil)
        #expect(outcome?.region == nil)
        #expect(script.machine.nextDeadline == nil)
    }

    @Test("digits that the call's end overtook still count and verify")
    func overtakenDigits() {
        var script = Script()
        script.open()
        script.answered()
        script.ended()
        script.advance(seconds: 29)
        let decision = script.digits(Script.right, step: 1)
        #expect(decision?.disposition == .accepted)
        #expect(script.state == .verified)
        script.advance(seconds: 60)
        script.apply(.tick)
        #expect(script.state == .verified)
    }

    @Test("wrong digits that the call's end overtook use a try and give no more time")
    func overtakenWrongDigits() {
        var script = Script()
        script.open()
        script.ended(.busy)
        let deadline = script.machine.nextDeadline
        script.advance(seconds: 10)
        script.digits(Script.wrong, step: 1)
        #expect(script.view?.triesLeft == 2)
        #expect(script.machine.nextDeadline == deadline)
        script.advance(seconds: 20)
        script.apply(.tick)
        // Digits prove that somebody answered, whatever the end said.
        #expect(script.state == .abandoned)
    }

    @Test("how the last call ended tells a caller who hung up from one never reached")
    func statuses() {
        let expected: [(EndStatus?, answered: AttemptState, unanswered: AttemptState)] = [
            (.completed, .abandoned, .abandoned), (.canceled, .abandoned, .unreachable),
            (.busy, .abandoned, .unreachable), (.noAnswer, .abandoned, .unreachable),
            (.failed, .abandoned, .unreachable), (nil, .abandoned, .unreachable),
        ]
        for (status, whenAnswered, whenNot) in expected {
            for wasAnswered in [true, false] {
                var script = Script()
                script.open()
                if wasAnswered { script.answered() }
                script.ended(status)
                script.advance(seconds: 30)
                script.apply(.tick)
                #expect(script.state == (wasAnswered ? whenAnswered : whenNot))
            }
        }
    }

    @Test("a new call stops the grace time")
    func newCall() {
        var script = Script()
        script.open()
        script.ended(.noAnswer)
        script.advance(seconds: 20)
        script.send(script.callback(.initiated, call: "CA2"))
        #expect(script.machine.nextDeadline == script.view?.expiresAt)
        script.advance(seconds: 60)
        script.apply(.tick)
        #expect(script.state == .open)
    }

    @Test("no grace time runs while another call is live; the last to end decides")
    func twoCalls() {
        var script = Script()
        script.open()
        script.answered(call: "CA1")
        script.send(script.callback(.ringing, call: "CA2"))
        script.ended(.completed, call: "CA1")
        #expect(script.machine.nextDeadline == script.view?.expiresAt)
        script.advance(seconds: 60)
        script.ended(.noAnswer, call: "CA2")
        #expect(script.machine.nextDeadline == script.time.advanced(bySeconds: 30))
        script.advance(seconds: 30)
        script.apply(.tick)
        #expect(script.state == .unreachable)
    }

    @Test("a second end of the same call changes neither the deadline nor the first status")
    func secondEnd() {
        var script = Script()
        script.open()
        script.send(script.callback(.ended, key: "one", status: .busy))
        let deadline = script.machine.nextDeadline
        script.advance(seconds: 10)
        let second = script.send(script.callback(.ended, key: "two", status: .completed))
        #expect(second?.disposition == .stale)
        #expect(script.machine.nextDeadline == deadline)
        script.advance(seconds: 20)
        script.apply(.tick)
        #expect(script.state == .unreachable)
    }

    @Test("late progress of a call that has ended does not stop the grace time")
    func staleProgress() {
        var script = Script()
        script.open()
        script.ended()
        let deadline = script.machine.nextDeadline
        script.send(script.callback(.ringing))
        script.answered()
        #expect(script.machine.nextDeadline == deadline)
    }

    @Test("with no grace time the next entry decides")
    func noGrace() {
        var flow = Script.code
        flow.digest = FlowDigest(bytes: [0])
        flow.graceSeconds = 0
        var script = Script()
        script.apply(.defineFlow(flow))
        script.open(flow: flow)
        script.ended()
        #expect(script.state == .open)
        #expect(script.machine.nextDeadline == script.time)
        #expect(script.digits(Script.right, step: 1)?.disposition == .contradicted)
        #expect(script.state == .abandoned)
    }
}
