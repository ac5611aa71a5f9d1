import Simulator
import Testing

/// A run of a few virtual minutes.
func run(_ seed: UInt64, minutes: Int = 4, _ change: (inout RunOptions) -> Void = { _ in })
    -> RunResult
{
    var options = RunOptions(seed: seed)
    options.minutes = minutes
    change(&options)
    return World(options).run()
}

@Suite("Determinism: the seed is the whole run")
struct DeterminismTests {
    @Test("one seed twice is the same run to the last step", arguments: [1, 5, 9] as [UInt64])
    func sameSeed(seed: UInt64) {
        let first = run(seed)
        let second = run(seed)
        #expect(first.digest == second.digest)
        #expect(first.statistics == second.statistics)
    }

    @Test("another seed is another run")
    func otherSeed() {
        #expect(run(1).digest != run(2).digest)
    }

    @Test("a trace that is read does not change the run")
    func traceChangesNothing() {
        var options = RunOptions(seed: 3)
        options.minutes = 4
        var lines = 0
        let traced = World(options) { _ in lines += 1 }.run()
        #expect(traced.digest == run(3).digest)
        #expect(lines > 1000)
    }

    @Test("leaving a fault out changes neither the other faults nor the attempts")
    func streamsAreApart() {
        let whole = WorldPlan(RunOptions(seed: 4))
        var options = RunOptions(seed: 4)
        options.droppedFaults = [0]
        let part = WorldPlan(options)
        #expect(
            whole.faults.dropFirst().map(\.description)
                == part.faults.dropFirst().map(\.description)
        )
        #expect(whole.attemptCount == part.attemptCount)
    }
}

@Suite("Fresh worlds")
struct FreshWorldTests {
    @Test("nothing is broken, and the world heals", arguments: 20..<32 as Range<UInt64>)
    func clean(seed: UInt64) {
        let result = run(seed)
        #expect(result.violation == nil, "seed \(seed)")
        #expect(result.statistics.committed > 10, "seed \(seed) decides nothing")
    }

    @Test("what a test of a cluster needs does happen somewhere: no net without fish")
    func everythingHappens() {
        var dispositions = [Int](repeating: 0, count: 8)
        var outcomes = [Int](repeating: 0, count: 8)
        var total = RunStatistics()
        for seed in 40..<52 as Range<UInt64> {
            let statistics = run(seed).statistics
            for at in 1...6 {
                dispositions[at] += statistics.dispositions[at]
                outcomes[at] += statistics.outcomes[at]
            }
            total.crashes += statistics.crashes
            total.powerCuts += statistics.powerCuts
            total.stopsByDisk += statistics.stopsByDisk
            total.elections += statistics.elections
            total.reads += statistics.reads
            total.localReads += statistics.localReads
            total.answeredLocally += statistics.answeredLocally
            total.journalReads += statistics.journalReads
            total.losses += statistics.losses
            total.duplicates += statistics.duplicates
            total.corruptions += statistics.corruptions
        }
        #expect(dispositions[1...6].allSatisfy { $0 > 0 }, "\(dispositions)")
        #expect(outcomes[1...6].allSatisfy { $0 > 0 }, "\(outcomes)")
        #expect(total.crashes > 0 && total.powerCuts > 0 && total.stopsByDisk > 0)
        #expect(total.elections > 20 && total.reads > 0 && total.answeredLocally > 0)
        #expect(total.journalReads > 0 && total.localReads > 0)
        #expect(total.losses > 0 && total.duplicates > 0 && total.corruptions > 0)
    }

    @Test("a run lasts as long as it is asked to, healed or not", arguments: [1, 3, 6])
    func lasts(minutes: Int) {
        let result = run(17, minutes: minutes)
        #expect(result.violation == nil)
        #expect(result.virtualTime == UInt64(minutes) * 60_000_000_000)
    }

    @Test("a run whose faults are all left out is a calm one")
    func withoutFaults() {
        let plan = WorldPlan(RunOptions(seed: 6))
        let result = run(6, minutes: 10) { $0.droppedFaults = Set(0..<plan.faultCount) }
        #expect(result.violation == nil)
        #expect(result.statistics.crashes == 0 && result.statistics.powerCuts == 0)
        #expect(result.statistics.restarts == UInt64(plan.nodes))
    }
}

@Suite("Options of a run")
struct RunOptionsTests {
    @Test("lists of numbers are read as they are written")
    func lists() {
        #expect(RunOptions.list([7, 0, 1, 2, 9, 10]) == "0-2,7,9-10")
        #expect(RunOptions.numbers(in: "0-2,7,9-10") == [0, 1, 2, 7, 9, 10])
        #expect(RunOptions.numbers(in: "3") == [3])
        for text in ["", "a", "3-1", "1-2-3", "1,,2", "-1"] {
            #expect(RunOptions.numbers(in: text) == nil, "\(text)")
        }
    }

    @Test("the command that replays a run says all that differs from the default")
    func arguments() {
        var options = RunOptions(seed: 12)
        #expect(options.arguments == ["--seed", "12"])
        options.minutes = 3
        options.nodes = 5
        options.droppedFaults = [1, 2]
        options.without = [.loss, .jitter]
        #expect(
            options.arguments == [
                "--seed", "12", "--minutes", "3", "--nodes", "5", "--drop-faults", "1-2",
                "--without", "jitter,loss",
            ]
        )
    }
}
