import Replica
import Testing

@Suite("round trips")
struct RoundTripsTests {
    /// From the sides above the diagonal, row by row.
    private func trips(_ count: Int, _ sides: [UInt64]) -> RoundTrips {
        var trips = RoundTrips(count: count)
        var place = 0
        for a in 0..<count {
            for b in 0..<count where b > a {
                trips[a, b] = sides[place]
                trips[b, a] = sides[place]
                place += 1
            }
        }
        return trips
    }

    private func decisions(_ trips: RoundTrips, leader: Int, infers: Bool) -> [UInt64?] {
        (0..<trips.count).map { trips.decision(at: $0, leader: leader, infers: infers) }
    }

    @Test(
        "of three the bound is the way to the nearest other, and the best corner meets it everywhere"
    )
    func threeRegions() {
        // Virginia, Ireland, Singapore.
        let trips = trips(3, [81, 217, 175])
        #expect((0..<3).map { trips.bound(at: $0) } == [81, 81, 175])
        #expect(trips.bestLeader(infers: true) == 1)
        #expect(decisions(trips, leader: 1, infers: true) == [81, 81, 175])
        #expect(decisions(trips, leader: 1, infers: false) == [162, 81, 256])
        #expect(decisions(trips, leader: 2, infers: false) == [392, 350, 175])
    }

    @Test("wherever the two shorter sides of a triangle meet is best")
    func corners() {
        let sides: [UInt64] = [80, 150, 220]
        // The sides are those of the pairs 0-1, 0-2 and 1-2.
        for (order, best) in [
            ([0, 1, 2], 0), ([0, 2, 1], 1), ([1, 0, 2], 0), ([2, 0, 1], 2), ([1, 2, 0], 1),
            ([2, 1, 0], 2),
        ] {
            let trips = trips(3, order.map { sides[$0] })
            for infers in [true, false] {
                #expect(trips.bestLeader(infers: infers) == best, "\(order)")
            }
            for voter in 0..<3 {
                #expect(
                    trips.decision(at: voter, leader: best, infers: true) == trips.bound(at: voter)
                )
            }
        }
    }

    @Test("of five a majority is two others, and inference saves nothing")
    func fiveRegions() {
        let trips = trips(5, [81, 217, 88, 89, 175, 137, 20, 165, 162, 158])
        #expect(trips.bound(at: 0) == 88)
        #expect(trips.bound(at: 4) == 89)
        #expect(
            decisions(trips, leader: 0, infers: true) == decisions(trips, leader: 0, infers: false)
        )
        #expect(decisions(trips, leader: 0, infers: true) == [88, 169, 305, 176, 177])
    }

    @Test("of equals the first is best, so that all nodes name the same")
    func ties() {
        #expect(trips(3, [50, 50, 50]).bestLeader(infers: true) == 0)
        #expect(trips(5, Array(repeating: 0, count: 10)).bestLeader(infers: true) == 0)
    }

    @Test("without all round trips there is no best corner, and no time is made up")
    func unknown() {
        var trips = trips(3, [81, 217, 175])
        trips[0, 2] = nil
        #expect(trips.bestLeader(infers: true) == 1, "the other end measured it too")
        trips[2, 0] = nil
        #expect(!trips.isComplete)
        #expect(trips.bestLeader(infers: true) == nil)
        #expect(trips.decision(at: 2, leader: 0, infers: true) == nil)
        #expect(trips.decision(at: 2, leader: 1, infers: true) == 175)
        #expect(RoundTrips(count: 3).bound(at: 0) == nil)
    }

    @Test("what two measured differently counts as the longer")
    func asymmetric() {
        var trips = trips(3, [81, 217, 175])
        trips[0, 1] = 90
        #expect(trips.between(0, 1) == 90 && trips.between(1, 0) == 90)
    }

    @Test("alone, nothing is waited for")
    func alone() {
        #expect(RoundTrips(count: 1).bound(at: 0) == 0)
        #expect(RoundTrips(count: 1).bestLeader(infers: true) == 0)
    }
}
