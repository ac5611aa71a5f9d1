import Testing
import Verification

@Suite("what the call does next", .inMemoryAndPaged)
struct StepTests {
    @Test("a code flow: ring, answer, a wrong code, the right one")
    func codeFlow() {
        var script = Script()
        script.open()
        #expect(script.send(script.callback(.initiated))?.answer == script.answer(.none))
        #expect(script.send(script.callback(.ringing))?.answer == script.answer(.none))
        #expect(
            script.answered()?.answer
                == script.answer(.gather(digits: 6, triesLeft: 3, step: 1))
        )
        #expect(
            script.digits(Script.wrong, step: 1)?.answer
                == script.answer(.gather(digits: 6, triesLeft: 2, step: 2))
        )
        #expect(script.view?.triesLeft == 2)
        let decision = script.digits(Script.right, step: 2)
        #expect(
            decision
                == Decision(
                    disposition: .accepted,
                    answer: Answer(
                        attempt: Script.id,
                        state: .verified,
                        index: script.entry,
                        next: .redirect(url: "https://bank.example/ivr/ok"),
                        flow: Script.code.digest
                    )
                )
        )
        #expect(script.state == .verified)
    }

    @Test("a confirm flow: wait while polling, then the redirect of the live call")
    func confirmFlow() {
        var script = Script()
        script.open(flow: Script.confirm, challenge: nil)
        let opened = script.entry
        let waits = NextStep.wait(seconds: 2)
        #expect(
            script.machine.pollAnswer(for: Script.id)
                == Answer(
                    attempt: Script.id,
                    state: .open,
                    index: opened,
                    next: waits,
                    flow: Script.confirm.digest
                )
        )
        let answered = script.answered()
        #expect(answered?.answer == script.answer(waits, flow: Script.confirm))
        #expect(script.machine.pollAnswer(for: Script.id) == answered?.answer)
        let outcome = script.outcome(.verified)
        #expect(outcome?.answer.next == .redirect(url: "https://bank.example/ivr/ok"))
        #expect(script.machine.pollAnswer(for: Script.id) == outcome?.answer)
    }

    @Test("digits in a confirm flow are recorded and wait")
    func digitsInConfirmFlow() {
        var script = Script()
        script.open(flow: Script.confirm)
        let decision = script.digits(Script.right, step: 1)
        #expect(decision?.disposition == .accepted)
        #expect(decision?.answer == script.answer(.wait(seconds: 2), flow: Script.confirm))
        #expect(script.state == .open)
        #expect(script.view?.triesLeft == 3)
    }

    @Test("digits without a challenge are nobody's to judge here: the call waits for an outcome")
    func noChallenge() {
        var script = Script()
        script.open(challenge: nil)
        #expect(
            script.answered()?.answer.next == .gather(digits: 6, triesLeft: 3, step: 1)
        )
        let decision = script.digits(Script.wrong, step: 1)
        #expect(decision?.disposition == .accepted)
        #expect(decision?.answer == script.answer(.wait(seconds: 2)))
        // The poll of the waiting call does not ask for them once more.
        #expect(script.machine.pollAnswer(for: Script.id)?.next == .wait(seconds: 2))
        #expect(script.view?.triesLeft == 3)
        script.outcome(.rejected)
        #expect(
            script.machine.pollAnswer(for: Script.id)?.next
                == .redirect(url: "https://bank.example/ivr/no")
        )
    }

    @Test("the last try that is wrong rejects")
    func triesUsedUp() {
        var script = Script()
        script.open(maxTries: 2)
        script.digits(Script.wrong, step: 1)
        let decision = script.digits(Script.wrong, step: 2)
        #expect(decision?.disposition == .accepted)
        #expect(decision?.answer.state == .rejected)
        #expect(decision?.answer.next == .redirect(url: "https://bank.example/ivr/no"))
        #expect(script.view?.triesLeft == 0)
    }

    @Test("the right code on the last try verifies")
    func rightOnLastTry() {
        var script = Script()
        script.open(maxTries: 2)
        script.digits(Script.wrong, step: 1)
        #expect(script.digits(Script.right, step: 2)?.answer.state == .verified)
        #expect(script.view?.triesLeft == 1)
    }

    @Test("no tries allowed is one try; a gather with nothing keyed in is a wrong one")
    func fewestTries() {
        var script = Script()
        script.open(maxTries: 0)
        #expect(
            script.answered()?.answer.next == .gather(digits: 6, triesLeft: 0, step: 1)
        )
        #expect(script.digits(nil, step: 1)?.answer.state == .rejected)
    }

    @Test("255 tries are counted to the last")
    func mostTries() {
        var limits = VerificationLimits()
        limits.callbacksPerAttempt = 300
        var script = Script(limits: limits)
        script.open(maxTries: 255)
        for step in 1...254 {
            let decision = script.digits(Script.wrong, step: UInt64(step))
            #expect(
                decision?.answer.next
                    == .gather(
                        digits: 6,
                        triesLeft: UInt8(255 - step),
                        step: UInt32(step) + 1
                    )
            )
        }
        #expect(script.digits(Script.wrong, step: 255)?.answer.state == .rejected)
    }

    @Test("the same digits keyed in twice are two tries, a retry of one of them is none")
    func stepsAreKeys() {
        var script = Script()
        script.open()
        let first = script.callback(.digits, sequence: 1, digits: Script.wrong)
        let one = script.send(first)
        let two = script.digits(Script.wrong, step: 2)
        #expect(two?.disposition == .accepted)
        #expect(script.view?.triesLeft == 1)
        #expect(script.send(script.again(first))?.answer == one?.answer)
        #expect(script.view?.triesLeft == 1)
    }

    @Test("a terminal state without a target hangs up")
    func noTarget() {
        var script = Script()
        script.open()
        #expect(script.cancel()?.answer.next == .hangup)
    }

    @Test("every answer after the decision is one and the same, the deciding one included")
    func oneTerminalAnswer() {
        var script = Script()
        script.open()
        script.answered()
        let deciding = script.digits(Script.right, step: 1)?.answer
        let others = [
            script.answered("voice-url"), script.ended(), script.outcome(.rejected),
            script.outcome(.verified), script.cancel(), script.digits(Script.wrong, step: 2),
            script.digits(Script.right, step: 3),
            script.send(script.callback(.ringing, call: "CA9")),
        ]
        for other in others { #expect(other?.answer == deciding) }
        #expect(script.machine.pollAnswer(for: Script.id) == deciding)
    }

    @Test("an outcome that names none is recorded and moves nothing")
    func emptyOutcome() {
        var script = Script()
        script.open()
        let decision = script.send(script.callback(.outcome, key: "o", call: nil))
        #expect(decision?.disposition == .accepted)
        #expect(decision?.answer == script.answer(.none))
        #expect(script.state == .open)
    }

    @Test("a poll in the log moves nothing, and one outside it is answered from the state")
    func polls() {
        var script = Script()
        script.open()
        let before = script.view
        #expect(script.apply(.callback(script.callback(.poll))) == .noted)
        #expect(script.view == before)
        #expect(script.machine.counters.loggedPolls == 1)
        #expect(script.timeline.count == 1)
        #expect(
            script.machine.pollAnswer(for: Script.id)?.next
                == .gather(digits: 6, triesLeft: 3, step: 1)
        )
        script.digits(Script.wrong, step: 1)
        #expect(
            script.machine.pollAnswer(for: Script.id)
                == script.answer(.gather(digits: 6, triesLeft: 2, step: 2))
        )
        #expect(script.machine.pollAnswer(for: Script.attempt("other")) == nil)
    }
}
