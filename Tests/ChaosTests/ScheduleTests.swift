import Chaos
import Testing

@Suite("what a seed decides")
struct ScheduleTests {
    private func schedule(_ seed: UInt64, seconds: Int = 600) -> FaultSchedule {
        FaultSchedule(
            seed: seed,
            seconds: seconds,
            nodes: 3,
            diskNode: 1,
            kinds: Set(FaultKind.allCases)
        )
    }

    @Test("one seed is one schedule, another seed another one")
    func repeatable() {
        #expect(schedule(1) == schedule(1))
        #expect(schedule(1) != schedule(2))
        #expect(
            AttemptScript(seed: 1, number: 9, regions: 3) == .init(seed: 1, number: 9, regions: 3)
        )
    }

    @Test("a long run has faults of every kind, all of them over before its end")
    func kinds() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let faults = schedule(seed).faults
            #expect(Set(faults.map(\.kind)) == Set(FaultKind.allCases), "seed \(seed)")
            #expect(faults.allSatisfy { $0.ends <= 600_000 && $0.peer != $0.node })
            #expect(faults.filter { $0.kind == .fullDisk }.allSatisfy { $0.node == 1 })
        }
    }

    @Test("a run without kinds has no faults; a short one has several")
    func short() {
        let none = FaultSchedule(seed: 1, seconds: 60, nodes: 3, diskNode: 0, kinds: [])
        #expect(none.faults.isEmpty)
        for seed in 1...20 as ClosedRange<UInt64> {
            #expect(schedule(seed, seconds: 20).faults.count >= 2, "seed \(seed)")
        }
    }

    @Test("scripts hold all that platforms do: retries, bursts, two channels, keys of two meanings")
    func scripts() {
        let scripts = (0..<500).map { AttemptScript(seed: 3, number: $0, regions: 3) }
        let posts = scripts.flatMap(\.posts)
        #expect(posts.contains { $0.copies > 1 } && posts.contains { !$0.again.isEmpty })
        #expect(posts.contains { $0.at > 5000 } && posts.contains { $0.isOwnForm })
        #expect(
            scripts.contains { script in script.posts.indices.contains { script.hasTwoMeanings($0) }
            }
        )
        for event in [
            ScriptedPost.Event.cancel, .poll(1), .ended("busy"), .outcome(.rejected),
            .digits(step: 1, right: true), .digits(step: 2, right: false),
        ] {
            #expect(posts.contains { $0.event == event }, "\(event) is never posted")
        }
    }

    @Test("the state that an answer tells is read off JSON and off Twilio's documents")
    func toldStates() {
        func told(_ text: String) -> ToldState { ToldState(body: Array(text.utf8)) }
        #expect(told(#"{"attempt":"a","state":"open","terminal":false}"#) == .open)
        #expect(told(#"{"attempt":"a","state":"expired"}"#) == .ended(.expired))
        #expect(
            told("<Redirect method=\"POST\">\(ToldState.targetStart)verified/3</Redirect>")
                == .ended(.verified)
        )
        #expect(told("<Response><Gather input=\"dtmf\"></Gather></Response>") == .open)
        #expect(told("") == .nothing)
    }
}
