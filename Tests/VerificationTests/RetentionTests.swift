import Testing
import Verification

@Suite("how long attempts are kept", .inMemoryAndPaged)
struct RetentionTests {
    private static let day: UInt64 = 24 * 60 * 60

    private func settings(_ retention: UInt64, forget: UInt64? = nil) -> Command {
        .settings(
            RetentionSettings(
                retentionSeconds: retention * Self.day,
                forgetAfterSeconds: forget.map { $0 * Self.day }
            )
        )
    }

    @Test("within the retention time all of a decided attempt is there, after it only the outcome")
    func details() {
        var script = Script()
        script.apply(settings(10))
        script.open()
        script.answered()
        let first = script.digits(Script.right, step: 1)
        let decidedAt = script.entry
        script.advance(seconds: 10 * Self.day)
        script.apply(.tick)
        #expect(script.timeline.count == 3)
        script.advance(milliseconds: 1)
        script.apply(.tick)
        let view = script.view
        #expect(view?.isCompact == true)
        #expect(view?.state == .verified)
        #expect(view?.outcome?.index == decidedAt)
        #expect(view?.subject == "")
        #expect(view?.counts == AttemptView.Counts())
        #expect(script.timeline.map(\.what) == [.decided])
        #expect(script.timeline.map(\.index) == [decidedAt])
        // The final answer has the same bytes for ever.
        #expect(script.machine.pollAnswer(for: Script.id) == first?.answer)
    }

    @Test("a callback after it gets the outcome, and nothing is recorded")
    func callbacks() {
        var script = Script()
        script.apply(settings(1))
        script.open()
        let right = script.callback(.digits, sequence: 1, digits: Script.right)
        let answer = script.send(right)?.answer
        script.advance(seconds: 2 * Self.day)
        script.apply(.tick)
        let before = script.machine.canonicalBytes.count
        #expect(script.send(script.again(right))?.disposition == .late)
        #expect(script.outcome(.rejected)?.disposition == .contradicted)
        #expect(script.outcome(.verified)?.answer == answer)
        #expect(script.machine.knownAnswer(to: script.again(right))?.answer == answer)
        #expect(script.timeline.count == 1)
        #expect(script.machine.canonicalBytes.count == before)
        let items = [
            RepeatBatch.Item(
                attempt: Script.id,
                key: right.key,
                count: 5,
                lastAt: WallTime(milliseconds: 1)
            )
        ]
        script.apply(.repeats(RepeatBatch(request: script.origin().request, items: items)))
        #expect(script.machine.counters.ignoredRepeats == 5)
    }

    @Test("it cannot be opened again, by whoever meant what")
    func reopened() {
        var script = Script()
        script.apply(settings(1))
        script.open()
        script.bring(to: .cancelled)
        script.advance(seconds: 2 * Self.day)
        #expect(script.apply(.open(script.opening())) == .refused(.detailsRemoved))
        #expect(script.machine.knownAnswer(to: script.opening()) == nil)
        #expect(script.state == .cancelled)
    }

    @Test("an open attempt has no age")
    func open() {
        var script = Script()
        script.apply(settings(1, forget: 2))
        script.open(expiresIn: 100 * 24 * 60 * 60)
        script.advance(seconds: 50 * Self.day)
        script.answered()
        #expect(script.view?.isCompact == false)
        #expect(script.timeline.count == 2)
    }

    @Test("what is to be forgotten does not exist any more, and its ID can be used anew")
    func forgotten() {
        var script = Script()
        script.apply(settings(1, forget: 3))
        script.open()
        script.bring(to: .verified)
        script.advance(seconds: 3 * Self.day)
        script.apply(.tick)
        #expect(script.state == .verified)
        script.advance(milliseconds: 1)
        script.apply(.tick)
        #expect(script.state == nil)
        #expect(script.apply(.callback(script.callback(.ringing))) == .refused(.unknownAttempt))
        #expect(script.open().isNewlyOpened)
        #expect(script.state == .open)
        #expect(script.timeline.count == 1)
        script.bring(to: .cancelled)
        #expect(script.state == .cancelled)
    }

    @Test("an ID of a clock ahead of the log's is not run again either, before or after its time")
    func ahead() {
        var script = Script()
        script.advance(seconds: 1_700_000_000)
        script.apply(settings(1, forget: 3))
        let ahead = Self.day / 2
        let id = Script.attempt(Script.uuid(script.milliseconds + ahead * 1000))
        script.open(id)
        script.apply(.callback(script.callback(.cancel, attempt: id)))
        #expect(script.machine.state(of: id) == .cancelled)
        script.advance(seconds: 3 * Self.day + 1)
        // The decision is past the mark, the ID is not.
        for step in [0, ahead - 2] {
            script.advance(seconds: step)
            #expect(script.apply(.open(script.opening(id))) == .refused(.detailsRemoved))
            #expect(script.machine.state(of: id) == .cancelled)
        }
        script.advance(seconds: 4)
        #expect(script.apply(.open(script.opening(id))) == .refused(.tooOld))
        #expect(script.machine.state(of: id) == nil)
    }

    @Test("an ID that carries a time from before is never run again")
    func tooOld() {
        var script = Script()
        script.advance(seconds: 1_700_000_000)
        script.apply(settings(1, forget: 3))
        script.apply(.tick)
        let now = script.milliseconds
        let old = now - 4 * Self.day * 1000
        for text in [Script.uuid(old), "va_" + Script.uuid(old), "eu:" + Script.uuid(old)] {
            let id = Script.attempt(text)
            #expect(script.apply(.open(script.opening(id))) == .refused(.tooOld))
            #expect(
                script.apply(.callback(script.callback(.ringing, attempt: id)))
                    == .refused(.tooOld)
            )
            #expect(script.machine.retention.refuses(id))
        }
        for text in [
            Script.uuid(now), "va_" + Script.uuid(now - 1000), "va_1", "x" + Script.uuid(old),
        ] {
            #expect(script.open(Script.attempt(text)).isNewlyOpened, "\(text)")
        }
    }

    @Test("times in IDs: UUIDv7 and ULID, and nothing else")
    func embeddedTimes() {
        // From RFC 9562, appendix A.6, and the ULID specification.
        let uuid = Script.attempt("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
        #expect(uuid.embeddedTime == LogTime(milliseconds: 1_645_557_742_000))
        let ulid = Script.attempt("01ARYZ6S41TSV4RRFFQ69G5FAV")
        #expect(ulid.embeddedTime == LogTime(milliseconds: 1_469_918_176_385))
        #expect(Script.attempt("va_01ARYZ6S41TSV4RRFFQ69G5FAV").embeddedTime != nil)
        for text in [
            "017F22E2-79B0-4CC3-98C4-DC0C0C07398F", "017F22E2-79B0-7CC3-58C4-DC0C0C07398F",
            "017F22E279B07CC398C4DC0C0C07398F", "81ARYZ6S41TSV4RRFFQ69G5FAV",
            "01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FA", "login-1",
        ] {
            #expect(Script.attempt(text).embeddedTime == nil, "\(text)")
        }
    }

    @Test("marks never go back, whatever the settings become")
    func marks() {
        var script = Script()
        script.advance(seconds: 1000 * Self.day)
        script.apply(settings(1, forget: 2))
        let marks = script.machine.retention
        script.apply(settings(400))
        #expect(script.machine.retention.detailsMark == marks.detailsMark)
        #expect(script.machine.retention.forgetMark == marks.forgetMark)
        script.advance(seconds: 10 * Self.day)
        script.apply(.tick)
        #expect(script.machine.retention.detailsMark == marks.detailsMark)
    }
}
