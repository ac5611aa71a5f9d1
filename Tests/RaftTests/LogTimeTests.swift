import Raft
import Testing

@Suite("Time in the log")
struct LogTimeTests {
    /// Times of all entries.
    private static func times(_ solo: Solo) -> [UInt64] {
        let last = solo.raft.lastIndex
        return solo.raft.entries(from: LogIndex(1), through: last, maxBytes: 1 << 20)
            .map(\.time.milliseconds)
    }
    private static func pass(_ microseconds: UInt64, _ solo: Solo) {
        solo.now = solo.now.advanced(nanoseconds: microseconds * 1000)
    }

    @Test("is the leader's clock, from its first proposal on")
    func wall() {
        let solo = Solo()
        solo.becomeLeader()
        for time in [5000, 5000, 5003, 9000] as [UInt64] {
            #expect(solo.propose(["a"], wall: time) == nil)
        }
        #expect(LogTimeTests.times(solo) == [0, 5000, 5000, 5003, 9000])
    }

    @Test("passes with the monotonic clock where the wall clock was ahead and is set right")
    func setRight() {
        let solo = Solo()
        solo.becomeLeader()
        _ = solo.propose(["ahead"], wall: 5000)
        for _ in 0..<10 {
            // Less than a millisecond between two of them adds up all the same.
            LogTimeTests.pass(400, solo)
            _ = solo.propose(["right"], wall: 100)
        }
        #expect(
            LogTimeTests.times(solo).dropFirst()
                == [5000, 5000, 5000, 5001, 5001, 5002, 5002, 5002, 5003, 5003, 5004]
        )
        // Until the wall clock has caught up.
        LogTimeTests.pass(600_000, solo)
        let time = solo.raft.logTime(wall: Timestamp(milliseconds: 5700), at: solo.now)
        #expect(time == Timestamp(milliseconds: 5700))
        _ = solo.propose(["caught up"], wall: 5700)
        _ = solo.propose(["jumps"], wall: 3)
        #expect(LogTimeTests.times(solo).suffix(2) == [5700, 5700])
    }

    @Test("goes on from the last entry's where another node takes over, and no clock overflows it")
    func takeover() {
        let solo = Solo([1, 1])
        solo.becomeLeader()
        let last = LogTimeTests.times(solo)
        #expect(last[2] == last[1])
        LogTimeTests.pass(7000, solo)
        _ = solo.propose(["a"], wall: 0)
        #expect(LogTimeTests.times(solo)[3] == last[1] + 7)
        _ = solo.propose(["end of time"], wall: .max)
        LogTimeTests.pass(7000, solo)
        _ = solo.propose(["b"], wall: 0)
        #expect(LogTimeTests.times(solo).suffix(2) == [.max, .max])
    }
}
