import HTTP
import Server
import Testing
import Verification

@Suite("Bodies of answers")
struct AnswerBodyTests {
    let attempt: AttemptID
    init() throws { attempt = try #require(AttemptID("va_1")) }

    private func answer(_ state: AttemptState, _ next: NextStep) -> Answer {
        Answer(
            attempt: attempt,
            state: state,
            index: EntryIndex(42),
            next: next,
            flow: Fixture.flow.digest
        )
    }

    @Test("the answer to a callback has these bytes, for ever")
    func answers() {
        let cases: [(Answer, String)] = [
            (
                answer(.verified, .redirect(url: "https://bank.example/ivr/ok?a=\"b\"")),
                #"{"attempt":"va_1","state":"verified","terminal":true,"index":42,"next":{"action":"redirect","url":"https://bank.example/ivr/ok?a=\"b\""}}"#
            ),
            (
                answer(.rejected, .hangup),
                #"{"attempt":"va_1","state":"rejected","terminal":true,"index":42,"next":{"action":"hangup"}}"#
            ),
            (
                answer(.open, .gather(digits: 6, triesLeft: 2, step: 3)),
                #"{"attempt":"va_1","state":"open","terminal":false,"index":42,"next":{"action":"gather","digits":6,"tries_left":2,"step":3}}"#
            ),
            (
                answer(.open, .wait(seconds: 2)),
                #"{"attempt":"va_1","state":"open","terminal":false,"index":42,"next":{"action":"wait","seconds":2}}"#
            ),
            (
                answer(.cancelled, .none),
                #"{"attempt":"va_1","state":"cancelled","terminal":true,"index":42,"next":{"action":"none"}}"#
            ),
        ]
        for (answer, expected) in cases {
            #expect(Fixture.text(AnswerBody.bytes(answer)) == expected)
        }
    }

    @Test("the disposition is in a header and never in the body")
    func dispositions() {
        let answer = answer(.verified, .hangup)
        for disposition in Disposition.allCases where disposition != .mismatched {
            let response = AnswerBody.response(Decision(disposition: disposition, answer: answer))
            #expect(response.status == 200)
            #expect(response.contentType == "application/json")
            #expect(response.headers.first("verdict-disposition") == disposition.name)
            #expect(response.body == AnswerBody.bytes(answer))
        }
    }

    @Test("a key used with another meaning gets 422 and the names of what differs")
    func mismatched() {
        let decision = Decision(
            disposition: .mismatched,
            answer: answer(.verified, .hangup),
            differs: ["digits", "sequence"]
        )
        let response = AnswerBody.response(decision)
        #expect(response.status == 422)
        #expect(response.headers.first("verdict-disposition") == "mismatched")
        #expect(
            Fixture.text(response.body)
                == #"{"type":"urn:verdict:problem:mismatched","title":"The key was used with another meaning","status":422,"detail":"the key was used before with other values; nothing moved","differs":["digits","sequence"]}"#
        )
    }

    private func view() -> AttemptView {
        AttemptView(
            attempt: attempt,
            flow: "login",
            subject: "user-8472",
            state: .open,
            openedAt: LogTime(milliseconds: 1_795_456_326_562),
            expiresAt: LogTime(milliseconds: 1_795_456_926_562),
            triesLeft: 2,
            outcome: nil,
            counts: AttemptView.Counts()
        )
    }

    private func decided() -> AttemptView {
        var view = view()
        view.state = .verified
        view.outcome = Outcome(
            state: .verified,
            index: EntryIndex(42),
            decidedAt: LogTime(milliseconds: 1_795_456_330_000),
            channel: "voice",
            call: "CA5ef8",
            region: "us-east"
        )
        view.counts.callbacks = 5
        view.counts.repeated = 3
        view.counts.late = 1
        return view
    }

    @Test("an attempt is shown as the contract has it")
    func attemptBody() {
        #expect(
            Fixture.text(AttemptBody.bytes(decided()))
                == #"{"attempt":"va_1","flow":"login","subject":"user-8472","state":"verified","terminal":true,"opened_at":"2026-11-23T17:52:06.562Z","expires_at":"2026-11-23T18:02:06.562Z","tries_left":2,"outcome":{"state":"verified","index":42,"decided_at":"2026-11-23T17:52:10.000Z","channel":"voice","call":"CA5ef8","region":"us-east"},"counts":{"callbacks":5,"repeated":3,"mismatched":0,"late":1,"contradicted":0,"stale":0}}"#
        )
        #expect(!Fixture.text(AttemptBody.bytes(view())).contains("outcome"))
    }

    @Test("opening again gives the same bytes, also after the attempt was decided")
    func openedBody() {
        // The state machine gives the attempt as it was opened, with all its tries.
        var later = decided()
        later.triesLeft = view().triesLeft
        #expect(AttemptBody.opened(view()) == AttemptBody.opened(later))
        #expect(
            Fixture.text(AttemptBody.opened(view()))
                == #"{"attempt":"va_1","flow":"login","subject":"user-8472","state":"open","terminal":false,"opened_at":"2026-11-23T17:52:06.562Z","expires_at":"2026-11-23T18:02:06.562Z","tries_left":2}"#
        )
    }

    @Test("a timeline tells receipts and deadlines, and leaves out what an entry lacks")
    func timeline() {
        let opened = TimelineEntry(
            index: EntryIndex(7),
            at: LogTime(milliseconds: 1_795_456_326_562),
            what: .opened,
            stateBefore: .open,
            stateAfter: .open
        )
        var receipt = TimelineEntry(
            index: EntryIndex(8),
            at: LogTime(milliseconds: 1_795_456_326_570),
            what: .callback(.ended),
            stateBefore: .open,
            stateAfter: .open
        )
        receipt.receivedAt = WallTime(milliseconds: 1_795_456_326_569)
        receipt.occurredAt = WallTime(milliseconds: 1_795_456_326_000)
        receipt.region = "us-east"
        receipt.node = 1
        receipt.provider = "twilio"
        receipt.key = CallbackKey(logged: "twilio/call/CA5ef8/ended/3")
        receipt.call = "CA5ef8"
        receipt.sequence = 3
        receipt.channel = "voice"
        receipt.status = .noAnswer
        receipt.claimed = .verified
        receipt.disposition = .mismatched
        receipt.differs = ["status"]
        receipt.repeats = 3
        receipt.lastRepeatAt = WallTime(milliseconds: 1_795_456_327_000)
        let deadline = TimelineEntry(
            index: EntryIndex(9),
            at: LogTime(milliseconds: 1_795_456_926_562),
            what: .deadline,
            stateBefore: .open,
            stateAfter: .expired
        )
        #expect(
            Fixture.text(TimelineBody.bytes(attempt, [opened, receipt, deadline]))
                == #"{"attempt":"va_1","entries":[{"index":7,"at":"2026-11-23T17:52:06.562Z","event":"opened","state_before":"open","state_after":"open"},"#
                + #"{"index":8,"at":"2026-11-23T17:52:06.570Z","received_at":"2026-11-23T17:52:06.569Z","occurred_at":"2026-11-23T17:52:06.000Z","region":"us-east","node":1,"provider":"twilio","key":"twilio/call/CA5ef8/ended/3","call":"CA5ef8","event":"ended","sequence":3,"channel":"voice","status":"no_answer","outcome":"verified","disposition":"mismatched","differs":["status"],"state_before":"open","state_after":"open","repeats":3,"last_repeat_at":"2026-11-23T17:52:07.000Z"},"#
                + #"{"index":9,"at":"2026-11-23T18:02:06.562Z","event":"deadline","state_before":"open","state_after":"expired"}]}"#
        )
        #expect(
            Fixture.text(TimelineBody.bytes(attempt, [])) == #"{"attempt":"va_1","entries":[]}"#
        )
    }

    @Test("the cluster's body says null for what is not known")
    func cluster() {
        var known = ClusterBody.Node(
            node: 1,
            region: "us-east",
            role: "follower",
            disk: "reserve",
            commitIndex: 42,
            appliedIndex: 41,
            isReachable: true,
            roundTripMilliseconds: 0.1,
            http: "http://127.0.0.1:8101"
        )
        var silent = ClusterBody.Node(
            node: 2,
            region: "eu-west",
            role: "unknown",
            commitIndex: nil,
            appliedIndex: nil,
            isReachable: false,
            roundTripMilliseconds: nil,
            http: "http://127.0.0.1:8102"
        )
        known.condition = "healthy"
        known.directory = "00ff"
        known.starts = 3
        known.intake = ClusterBody.Intake(records: 2, bytes: 340, oldestSeconds: 7)
        silent.refused = "its directory was emptied"
        var body = ClusterBody(
            leader: nil,
            term: 4,
            node: 1,
            retention: .init(detailsSeconds: 34_560_000, forgetAfterSeconds: nil),
            nodes: [known, silent]
        )
        body.bestLeader = 2
        body.bestDecisionMilliseconds = 112.333
        #expect(
            Fixture.text(body.bytes)
                == #"{"leader":null,"term":4,"node":1,"best_leader":2,"decision_ms":null,"best_decision_ms":112.333,"election_timeout_ms":null,"retention":{"details_seconds":34560000,"forget_after_seconds":null},"nodes":[{"node":1,"region":"us-east","role":"follower","disk":"reserve","commit_index":42,"applied_index":41,"reachable":true,"round_trip_ms":0.100,"http":"http://127.0.0.1:8101","condition":"healthy","directory":"00ff","starts":3,"refused":null,"intake":{"records":2,"bytes":340,"oldest_seconds":7}},{"node":2,"region":"eu-west","role":"unknown","disk":null,"commit_index":null,"applied_index":null,"reachable":false,"round_trip_ms":null,"http":"http://127.0.0.1:8102","condition":"unknown","directory":null,"starts":null,"refused":"its directory was emptied","intake":null}]}"#
        )
        #expect(Fixture.text(HandOverBody.bytes(leader: 2, term: 5)) == #"{"leader":2,"term":5}"#)
    }
}
