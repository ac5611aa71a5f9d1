import Simulator
import Testing

@Suite("Determinism: the seed is the whole run")
struct DeterminismTests {
    static func run(_ seed: UInt64, minutes: Int = 2) -> RunResult {
        var options = RunOptions(seed: seed)
        options.minutes = minutes
        return World(options).run()
    }

    @Test("one seed twice is the same run to the last step", arguments: [1, 5, 9] as [UInt64])
    func sameSeed(seed: UInt64) {
        let first = DeterminismTests.run(seed)
        let second = DeterminismTests.run(seed)
        #expect(first.digest == second.digest)
        #expect(first.statistics == second.statistics)
    }

    @Test("another seed is another run")
    func otherSeed() {
        #expect(DeterminismTests.run(1).digest != DeterminismTests.run(2).digest)
    }
}
