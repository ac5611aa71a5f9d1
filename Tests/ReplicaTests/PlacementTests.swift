import Raft
import Replica
import Testing

@Suite("placement")
struct PlacementTests {
    private static let millisecond: UInt64 = 1_000_000

    /// Sides in milliseconds.
    private func triangle(_ ab: Double, _ ac: Double, _ bc: Double) -> RoundTrips {
        var trips = RoundTrips(count: 3)
        for (a, b, side) in [(0, 1, ab), (0, 2, ac), (1, 2, bc)] {
            trips[a, b] = UInt64(side * 1_000_000)
        }
        return trips
    }

    private func at(_ seconds: Double) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + UInt64(seconds * 1_000_000_000))
    }

    private func settings() -> PlacementSettings { PlacementSettings() }

    // MARK: When leadership moves

    @Test("it moves to the best corner once that was the best one for a while")
    func moves() {
        var policy = PlacementPolicy(settings())
        // Virginia, Ireland, Singapore.
        let trips = triangle(81, 217, 175)
        for second in 0..<10 {
            #expect(policy.look(at: trips, leader: 0, infers: true, now: at(Double(second))) == nil)
        }
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(10)) == 1)
        #expect(policy.look(at: trips, leader: 1, infers: true, now: at(11)) == nil)
    }

    @Test("whatever interrupts the calm makes it wait anew")
    func interruptions() {
        var policy = PlacementPolicy(settings())
        let trips = triangle(81, 217, 175)
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(0)) == nil)
        policy.interrupt()
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(9)) == nil)
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(12)) == nil)
        // For a moment another corner is the best.
        let other = triangle(217, 81, 175)
        #expect(policy.look(at: other, leader: 0, infers: true, now: at(15)) == nil)
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(16)) == nil)
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(25)) == nil)
        #expect(policy.look(at: trips, leader: 0, infers: true, now: at(26)) == 1)
    }

    @Test("a small gain is not worth a move, in milliseconds or in hundredths")
    func smallGains() {
        for trips in [
            // One room: everything is near.
            triangle(0.2, 0.9, 0.3),
            // Means 140 and 133: 7 ms, but 5 %.
            triangle(100, 180, 160),
            // 20 %, but less than 5 ms.
            triangle(4, 16, 8),
        ] {
            var policy = PlacementPolicy(settings())
            #expect(trips.bestLeader(infers: true) == 1)
            for second in 0..<100 {
                let target = policy.look(
                    at: trips,
                    leader: 0,
                    infers: true,
                    now: at(Double(second))
                )
                #expect(target == nil)
            }
        }
    }

    @Test("without all round trips nothing moves")
    func unknown() {
        var policy = PlacementPolicy(settings())
        var trips = RoundTrips(count: 3)
        trips[0, 1] = 81 * PlacementTests.millisecond
        for second in 0..<100 {
            #expect(policy.look(at: trips, leader: 0, infers: true, now: at(Double(second))) == nil)
        }
    }

    @Test("round trips that swing to and fro move it ever less often")
    func swinging() {
        var policy = PlacementPolicy(settings())
        let ways = [triangle(81, 217, 175), triangle(217, 81, 175)]
        var moves: [Int] = []
        for second in 0..<7200 {
            // This node leads again whenever it looks; each quarter of a minute another way is short.
            let trips = ways[second / 15 % 2]
            if policy.look(at: trips, leader: 0, infers: true, now: at(Double(second))) != nil {
                policy.moved(at: at(Double(second)))
                moves.append(second)
            }
        }
        #expect(moves.count >= 3 && moves.count <= 16, "\(moves)")
        #expect(zip(moves, moves.dropFirst()).allSatisfy { $1 - $0 >= 30 }, "\(moves)")
    }

    @Test("after a long calm the waits are short again")
    func calm() {
        var backoff = MoveBackoff(first: .seconds(30), longest: .seconds(600))
        backoff.moved(at: at(0))
        #expect(!backoff.allows(at: at(29)) && backoff.allows(at: at(30)))
        backoff.moved(at: at(30))
        #expect(!backoff.allows(at: at(89)) && backoff.allows(at: at(90)))
        backoff.moved(at: at(90))
        #expect(!backoff.allows(at: at(209)) && backoff.allows(at: at(210)))
        backoff.moved(at: at(10_000))
        #expect(!backoff.allows(at: at(10_029)) && backoff.allows(at: at(10_030)))
    }

    // MARK: What is measured

    @Test(
        "a round trip is the least of the last ones: slow samples change nothing, a longer way does"
    )
    func meter() {
        var meter = RoundTripMeter()
        for sample in [90, 500, 81] as [UInt64] { meter.add(sample) }
        #expect(meter.least == nil)
        meter.add(300)
        #expect(meter.least == 81)
        for _ in 0..<100 {
            meter.add(85)
            meter.add(2000)
        }
        #expect(meter.least == 85)
        for _ in 0..<RoundTripMeter.window { meter.add(120) }
        #expect(meter.least == 120)
        meter.add(81)
        #expect(meter.least == 81)
    }

    // MARK: Timers

    private func electionTimeout(_ longest: UInt64, _ settings: TimingSettings = .init()) -> UInt64
    {
        DerivedTiming.electionTimeout(
            longest: longest * PlacementTests.millisecond,
            settings
        ) / PlacementTests.millisecond
    }

    @Test("the election time-out follows the longest round trip, within bounds")
    func electionTimeouts() {
        #expect(electionTimeout(0) == 400)
        #expect(electionTimeout(217) == 400)
        #expect(electionTimeout(300) == 475)
        #expect(electionTimeout(60_000) == 5000)
        var settings = TimingSettings()
        settings.fixedElectionTimeout = .milliseconds(1500)
        #expect(electionTimeout(217, settings) == 1500)
        settings = TimingSettings()
        settings.fixedHeartbeat = .milliseconds(200)
        #expect(electionTimeout(0, settings) == 800)
        settings.least = .milliseconds(1000)
        #expect(electionTimeout(0, settings) == 1000)
    }

    @Test("heartbeats fit several times into the time-out")
    func heartbeats() {
        for longest in [0, 81, 217, 1000, 60_000] as [UInt64] {
            let timeout = DerivedTiming.electionTimeout(
                longest: longest * PlacementTests.millisecond,
                TimingSettings()
            )
            let heartbeat = DerivedTiming.heartbeat(electionTimeout: timeout, TimingSettings())
            #expect(heartbeat * 4 <= timeout)
            #expect(heartbeat >= 25 * PlacementTests.millisecond)
        }
    }

    @Test("turns: all nodes draw up the same order, also when they measured a little differently")
    func order() {
        let five: [(Int, Int, UInt64)] = [
            (0, 1, 81), (0, 2, 217), (0, 3, 88), (0, 4, 89), (1, 2, 175), (1, 3, 137), (1, 4, 20),
            (2, 3, 165), (2, 4, 162), (3, 4, 158),
        ]
        func trips(_ more: UInt64) -> RoundTrips {
            var trips = RoundTrips(count: 5)
            for (a, b, side) in five {
                trips[a, b] = side * PlacementTests.millisecond + more * UInt64(a)
            }
            return trips
        }
        let order = DerivedTiming.order(trips(0), besides: 0, [0, 1, 2, 3, 4])
        #expect(order == [1, 4, 3, 2])
        #expect(DerivedTiming.order(trips(90_000), besides: 0, [0, 1, 2, 3, 4]) == order)
        #expect(DerivedTiming.order(trips(0), besides: 0, [2, 3]) == [2, 3])
    }

    @Test("each turn leaves the time for an election of those before it")
    func turns() {
        let trips = triangle(81, 217, 175)
        let names = [NodeID(1), NodeID(2), NodeID(3)]
        func timing(_ own: Int, leader: Int?) -> ElectionTiming {
            DerivedTiming.timing(
                trips,
                own: own,
                leader: leader,
                present: [0, 1, 2],
                longest: trips.longest,
                names: names,
                TimingSettings()
            )
        }
        let millisecond = PlacementTests.millisecond
        // Ireland leads: of the two others the first comes first, the other after two round trips.
        #expect(timing(0, leader: 1).turn == 0)
        #expect(timing(2, leader: 1).turn == (2 * 217 + 50) * millisecond)
        // The leader's own turn is of no use; its heir is who comes first.
        #expect(timing(1, leader: 1).heir == NodeID(1))
        #expect(timing(0, leader: 1).electionTimeout == 400 * millisecond)
        #expect(timing(0, leader: 1).transfer == 1000 * millisecond)
    }
}
