import Testing
import Verification

@Suite("what becomes of a callback", .inMemoryAndPaged)
struct DispositionTests {
    // MARK: Repeated and mismatched

    @Test("the same key again is repeated: the first answer, also when much has happened since")
    func repeated() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        let tried = script.callback(.digits, sequence: 1, digits: Script.wrong)
        let first = [script.send(ringing), script.send(tried)]
        script.digits(Script.right, step: 2)
        let again = [script.send(script.again(ringing)), script.send(script.again(tried))]
        for (first, again) in zip(first, again) {
            #expect(first?.disposition == .accepted)
            #expect(again?.disposition == .repeated)
            #expect(again?.answer == first?.answer)
            #expect(again?.answer.state == .open)
        }
        #expect(script.view?.counts.repeated == 2)
        #expect(script.view?.counts.callbacks == 3)
    }

    @Test("a late, contradicted or stale callback that comes again is repeated too")
    func repeatedAfterOtherDispositions() {
        var script = Script()
        script.open()
        script.answered()
        let stale = script.callback(.ringing)
        #expect(script.send(stale)?.disposition == .stale)
        script.outcome(.verified)
        let late = script.callback(.ended, status: .completed)
        #expect(script.send(late)?.disposition == .late)
        let contradicted = script.callback(.cancel, key: "c", call: nil)
        #expect(script.send(contradicted)?.disposition == .contradicted)
        for callback in [stale, late, contradicted] {
            #expect(script.send(script.again(callback))?.disposition == .repeated)
        }
        let counts = script.view?.counts
        #expect(counts?.stale == 1)
        #expect(counts?.late == 1)
        #expect(counts?.contradicted == 1)
        #expect(counts?.repeated == 3)
    }

    @Test("the line of the first receipt counts its repeats and when the last of them came")
    func repeatsOnTheLine() throws {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        script.send(ringing)
        script.advance(seconds: 5)
        script.send(script.again(ringing))
        script.advance(seconds: 5)
        let last = script.again(ringing)
        script.send(last)
        try #require(script.timeline.count == 2)
        #expect(script.timeline[1].repeats == 2)
        #expect(script.timeline[1].lastRepeatAt == last.origin.receivedAt)
        #expect(script.timeline[1].receivedAt == ringing.origin.receivedAt)
    }

    @Test("a command that was proposed twice is one receipt")
    func proposedTwice() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        let first = script.send(ringing)
        #expect(script.send(ringing)?.answer == first?.answer)
        #expect(script.view?.counts.repeated == 0)
        let retry = script.again(ringing)
        script.send(retry)
        script.send(retry)
        #expect(script.view?.counts.repeated == 1)
        #expect(script.machine.counters.callbacks(.repeated) == 1)
        #expect(script.machine.counters.callbacks(.accepted) == 1)
    }

    @Test("a copy of a repeat counts for nothing behind other repeats either")
    func proposedTwiceBehindOthers() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        script.send(ringing)
        var other = ringing
        other.origin = script.origin(node: 2)
        let retries = [script.again(ringing), other, script.again(ringing), script.again(ringing)]
        for retry in retries { script.send(retry) }
        #expect(script.view?.counts.repeated == 4)
        for retry in retries + retries.reversed() { script.send(retry) }
        script.send(ringing)
        #expect(script.view?.counts.repeated == 4)
        #expect(script.machine.counters.callbacks(.repeated) == 4)
        #expect(script.timeline.last?.repeats == 4)
    }

    @Test("what a retry restamps is no part of its meaning")
    func restamped() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing)
        script.send(ringing)
        var again = ringing
        again.occurredAt = nil
        again.origin = script.origin(node: 3, region: "ap-south")
        #expect(script.send(again)?.disposition == .repeated)
    }

    @Test("the same key with another meaning is mismatched, and names what differs")
    func mismatched() {
        var script = Script()
        script.open()
        let first = script.callback(
            .ended,
            key: "k",
            sequence: 1,
            digits: Script.wrong,
            status: .busy,
            outcome: .verified
        )
        let answer = script.send(first)?.answer
        let changes: [(String, (inout Callback) -> Void)] = [
            ("call", { $0.call = nil }),
            ("channel", { $0.channel = "app" }),
            ("digits", { $0.digits = Script.right }),
            ("event", { $0.event = .ringing }),
            ("outcome", { $0.outcome = .rejected }),
            ("provider", { $0.provider = "twilio" }),
            ("sequence", { $0.sequence = 2 }),
            ("status", { $0.status = .completed }),
        ]
        for (name, change) in changes {
            var other = script.again(first)
            change(&other)
            let decision = script.send(other)
            #expect(decision?.disposition == .mismatched)
            #expect(decision?.differs == [name])
            #expect(decision?.answer == answer)
            #expect(script.timeline.last?.disposition == .mismatched)
            #expect(script.timeline.last?.differs == [name])
        }
        var all = script.again(first)
        for (_, change) in changes { change(&all) }
        #expect(script.send(all)?.differs == changes.map(\.0))
        #expect(script.view?.counts.mismatched == 9)
        // The key still has its first meaning.
        #expect(script.send(script.again(first))?.disposition == .repeated)
    }

    @Test("a mismatch moves nothing: neither a try, nor the call, nor the outcome")
    func mismatchMovesNothing() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing, key: "k")
        script.send(ringing)
        for (event, outcome) in [
            (EventKind.digits, nil), (.ended, nil), (.cancel, nil), (.outcome, .verified),
        ] as [(EventKind, ClaimedOutcome?)] {
            let other = script.callback(
                event,
                key: "k",
                digits: Script.right,
                status: .completed,
                outcome: outcome
            )
            #expect(script.send(other)?.disposition == .mismatched)
        }
        #expect(script.state == .open)
        #expect(script.view?.triesLeft == 3)
        #expect(script.machine.nextDeadline == script.view?.expiresAt)
        #expect(script.answered()?.disposition == .accepted)
    }

    @Test("a mismatch after the decision gets its key's first answer, not the outcome")
    func mismatchAfterDecision() {
        var script = Script()
        script.open()
        let ringing = script.callback(.ringing, key: "k")
        let answer = script.send(ringing)?.answer
        script.outcome(.verified)
        let decision = script.send(script.callback(.answered, key: "k"))
        #expect(decision?.disposition == .mismatched)
        #expect(decision?.answer == answer)
    }

    @Test("a mismatch that comes again is counted on its line and fills nothing")
    func repeatedMismatch() throws {
        var script = Script()
        script.open()
        script.send(script.callback(.ringing, key: "k"))
        let other = script.callback(.answered, key: "k")
        script.send(other)
        script.send(other)  // proposed twice
        for _ in 0..<400 {
            let decision = script.send(script.again(other))
            #expect(decision?.disposition == .mismatched)
            #expect(decision?.differs == ["event"])
        }
        try #require(script.timeline.count == 3)
        #expect(script.timeline[2].repeats == 400)
        #expect(script.view?.counts.mismatched == 401)
        #expect(script.view?.counts.repeated == 0)
        #expect(script.machine.counters.callbacks(.mismatched) == 401)
    }

    // MARK: Late and contradicted

    @Test("after each outcome, each kind of callback is late or contradicted as it claims")
    func afterTheDecision() {
        let events: [(EventKind, [UInt8]?, ClaimedOutcome?, claim: AttemptState?)] = [
            (.initiated, nil, nil, nil), (.ringing, nil, nil, nil), (.answered, nil, nil, nil),
            (.ended, nil, nil, nil), (.digits, Script.wrong, nil, nil),
            (.digits, Script.right, nil, .verified), (.outcome, nil, .verified, .verified),
            (.outcome, nil, .rejected, .rejected), (.outcome, nil, nil, nil),
            (.cancel, nil, nil, .cancelled),
        ]
        for decided in AttemptState.allCases where decided.isTerminal {
            for (event, digits, outcome, claim) in events {
                var script = Script()
                script.open()
                script.bring(to: decided)
                let before = script.view
                let decision = script.send(
                    script.callback(event, key: "new", digits: digits, outcome: outcome)
                )
                let expected: Disposition =
                    claim == nil || claim == decided ? .late : .contradicted
                #expect(decision?.disposition == expected, "\(event) after \(decided)")
                #expect(decision?.answer == script.machine.pollAnswer(for: Script.id))
                #expect(script.state == decided)
                #expect(script.view?.outcome == before?.outcome)
                #expect(script.timeline.last?.stateBefore == decided)
                #expect(script.timeline.last?.stateAfter == decided)
            }
        }
    }

    @Test("digits claim nothing where the flow does not compare them")
    func digitsAfterConfirm() {
        var script = Script()
        script.open(flow: Script.confirm)
        script.outcome(.rejected)
        #expect(script.digits(Script.right, step: 1)?.disposition == .late)
    }

    // MARK: Stale

    @Test("a call's progress only moves forward")
    func stale() {
        let events: [EventKind] = [.initiated, .ringing, .answered, .ended]
        for later in events.indices {
            for earlier in events[...later] {
                var script = Script()
                script.open()
                script.send(script.callback(events[later], key: "later"))
                let decision = script.send(script.callback(earlier, key: "earlier"))
                let again = earlier == .answered && events[later] == .answered
                #expect(
                    decision?.disposition == (again ? .accepted : .stale),
                    "\(earlier) after \(events[later])"
                )
            }
        }
    }

    @Test("a stale question of a live call is told its step, any other stale event nothing")
    func staleAnswers() {
        var script = Script()
        script.open()
        script.send(script.callback(.answered, key: "a", sequence: 5))
        script.digits(Script.wrong, step: 1)
        let asked = script.send(script.callback(.answered, key: "b", sequence: 4))
        #expect(asked?.disposition == .stale)
        #expect(asked?.answer == script.answer(.gather(digits: 6, triesLeft: 2, step: 2)))
        #expect(script.send(script.callback(.ringing))?.answer == script.answer(.none))
        script.ended()
        let late = script.answered("c")
        #expect(late?.disposition == .stale)
        #expect(late?.answer == script.answer(.none))
    }

    @Test("the platform's own numbers tell an older event, but never overtake a call's end")
    func sequences() {
        var script = Script()
        script.open()
        script.send(script.callback(.ringing, sequence: 7))
        #expect(script.send(script.callback(.answered, sequence: 6))?.disposition == .stale)
        #expect(script.send(script.callback(.answered, sequence: 7))?.disposition == .accepted)
        // Digits are numbered by the gather's step, a numbering of their own.
        #expect(script.digits(Script.wrong, step: 1)?.disposition == .accepted)
        let end = script.callback(.ended, sequence: 3, status: .completed)
        #expect(script.send(end)?.disposition == .accepted)
        #expect(script.machine.nextDeadline == script.time.advanced(bySeconds: 30))
    }

    @Test("calls of one attempt progress each for itself")
    func callsApart() {
        var script = Script()
        script.open()
        script.answered(call: "CA1")
        #expect(script.send(script.callback(.ringing, call: "CA2"))?.disposition == .accepted)
        #expect(script.send(script.callback(.ringing, call: nil))?.disposition == .accepted)
        #expect(script.send(script.callback(.ringing, call: "CA1"))?.disposition == .stale)
    }

    @Test("digits mean that their call was answered")
    func digitsImplyAnswered() {
        var script = Script()
        script.open()
        script.digits(Script.wrong, step: 1)
        #expect(script.send(script.callback(.ringing))?.disposition == .stale)
        let asked = script.answered()
        #expect(asked?.disposition == .accepted)
        #expect(asked?.answer.next == .gather(digits: 6, triesLeft: 2, step: 2))
    }

    @Test("the voice URL and the status callback both say answered: both are told the step")
    func answeredTwice() {
        var script = Script()
        script.open()
        let gather = NextStep.gather(digits: 6, triesLeft: 3, step: 1)
        #expect(script.answered("voice-url")?.answer == script.answer(gather))
        let second = script.answered("status")
        #expect(second?.disposition == .accepted)
        #expect(second?.answer == script.answer(gather))
    }
}

extension Script {
    /// Brings an open code attempt to a terminal state by the shortest way.
    mutating func bring(to state: AttemptState) {
        switch state {
        case .open: break
        case .verified: digits(Script.right, step: 900)
        case .rejected: outcome(.rejected, key: "bring")
        case .cancelled: cancel("bring")
        case .expired:
            advance(seconds: 600)
            apply(.tick)
        case .abandoned, .unreachable:
            ended(state == .abandoned ? .completed : .busy, call: "bring")
            advance(seconds: 30)
            apply(.tick)
        }
        if self.state != state { Issue.record("no way to \(state)") }
    }
}
