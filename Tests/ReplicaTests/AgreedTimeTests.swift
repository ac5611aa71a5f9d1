import Raft
import Replica
import Testing
import Verification

@Suite("The time that members agree on")
struct AgreedTimeTests {
    @Test("is the own clock, held within a second of the medians of those known", arguments: 1...7)
    func medians(voters: Int) {
        var random = SeededGenerator(seed: UInt64(voters))
        let kinds: [ClosedRange<UInt64>] = [
            0...3, 0...UInt64.max, 1_000_000...1_000_100, 1_000_000...1_010_000,
        ]
        for _ in 0..<2000 {
            let kind = kinds.randomElement(using: &random) ?? 0...3
            let known = Int.random(in: 0..<voters, using: &random)
            let own = UInt64.random(in: kind, using: &random)
            let others = (0..<known).map { _ in UInt64.random(in: kind, using: &random) }
            let reading = AgreedTime.reading(own: own, voters: voters, clocks: others)
            let all = ([own] + others).sorted()
            guard all.count > voters / 2 else {
                #expect(reading == nil, "\(own) and \(others)")
                continue
            }
            let (least, greatest) = (all[voters / 2], all[all.count - 1 - voters / 2])
            let lower = least - min(least, voters > 1 ? 1000 : 0)
            let upper = greatest + min(.max - greatest, voters > 1 ? 1000 : 0)
            #expect(reading == min(max(own, lower), upper), "\(own) and \(others)")
        }
    }

    @Test("is right where less than half of the clocks are wrong", arguments: [3, 5, 7])
    func minority(voters: Int) throws {
        var random = SeededGenerator(seed: UInt64(voters))
        let truth: UInt64 = 1_700_000_000_000
        for _ in 0..<2000 {
            var clocks = (0..<voters).map { _ in
                UInt64.random(in: truth - 100...truth + 100, using: &random)
            }
            for wrong in 0..<Int.random(in: 0...voters / 2, using: &random) {
                clocks[wrong] = UInt64.random(in: 0...UInt64.max, using: &random)
            }
            clocks.shuffle(using: &random)
            let reading = try #require(
                AgreedTime.reading(own: clocks[0], voters: voters, clocks: clocks[1...])
            )
            #expect(reading >= truth - 1100 && reading <= truth + 1100, "\(clocks)")
            // Of those that can be reached the half may be wrong: still none of them takes time ahead.
            let some = clocks[1..<Int.random(in: voters / 2 + 1...voters, using: &random)]
            let fewer = try #require(
                AgreedTime.reading(own: clocks[0], voters: voters, clocks: some)
            )
            #expect(fewer <= truth + 1100, "\(clocks[0]) and \(some)")
        }
    }

    @Test("blames a clock only if most show another time, and says by how much")
    func correction() {
        func correction(_ own: UInt64, _ clocks: [UInt64], tolerance: UInt64 = 1000) -> Int64 {
            AgreedTime.correction(own: own, voters: 3, clocks: clocks, tolerance: tolerance)
        }
        #expect(correction(10_000, [11_500, 11_600]) == 1500)
        #expect(correction(10_000, [8400, 8500]) == -1500)
        #expect(correction(10_000, [11_500, 10_900]) == 0)
        #expect(correction(10_000, [10_900, 10_950]) == 0)
        #expect(correction(10_000, [10_900, 10_950], tolerance: 500) == 900)
        #expect(correction(10_000, [900_000]) == 0, "nobody knows which of two is wrong")
        #expect(correction(10_000, [900_000, 8500]) == 0)
        #expect(correction(10_000, []) == 0)
    }

    private static let year: UInt64 = 365 * 86_400_000

    /// How far an attempt that is opened now is ahead of the right time, in milliseconds.
    private func lead(of id: String, _ cluster: Cluster) throws -> Int64 {
        let right = Int64(Cluster.startOfTime + cluster.now.nanoseconds / 1_000_000)
        try cluster.open(id, at: 0)
        let view = try #require(cluster.view(id, at: 0))
        return Int64(view.openedAt.milliseconds) - right
    }

    @Test("does not follow a leader whose clock is a year ahead, which says so")
    func leaderAhead() throws {
        let cluster = try Cluster()
        cluster.members[0].skew = Self.year
        try cluster.elect(0)
        #expect(try 900...1100 ~= lead(of: "a", cluster))
        cluster.run(for: .seconds(5))
        #expect(try 900...1100 ~= lead(of: "b", cluster))
        func told(_ notice: (Notice) -> Bool) -> [Int] {
            cluster.notices.filter { notice($0.notice) }.map(\.node)
        }
        let doubted = told {
            guard case .clockDoubted(let correction) = $0 else { return false }
            return abs(correction + Int64(Self.year)) < 100
        }
        #expect(doubted == [0])
        #expect(told { $0 == .clockAgrees } == [])
        cluster.members[0].skew = 0
        cluster.run(for: .seconds(1))
        #expect(told { $0 == .clockAgrees } == [0])
        // Nothing runs back: what was ahead stays so, and no more.
        #expect(try 900...1100 ~= lead(of: "c", cluster))
    }

    @Test("does not follow a leader whose clock jumps between two answers of the others")
    func leaderJumps() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        cluster.members[0].skew = Self.year
        #expect(try lead(of: "a", cluster) < 1100)
    }

    @Test("does not wait for a leader whose clock is behind")
    func leaderBehind() throws {
        let cluster = try Cluster()
        for node in 1..<3 { cluster.members[node].skew = Self.year }
        try cluster.elect(0)
        let ahead = Int64(Self.year)
        #expect(try ahead - 1100...ahead - 900 ~= lead(of: "a", cluster))
    }

    @Test("takes a node along that is away: its clock goes on", arguments: [1, 2])
    func away(node: Int) throws {
        let cluster = try Cluster()
        // One is a year behind; the leader or that one is restarted after an hour in which nothing came.
        for node in [0, 2] { cluster.members[node].skew = Self.year }
        try cluster.elect(node)
        try cluster.open("a", at: 0)
        cluster.run(for: .seconds(3600))
        cluster.crash(node)
        try cluster.awaitLeader(otherThan: node)
        try cluster.open("b", at: 0, expiresIn: 60)
        #expect(try abs(lead(of: "c", cluster) - Int64(Self.year)) < 1200)
        let doubted = cluster.notices.filter {
            if case .clockDoubted = $0.notice { true } else { false }
        }
        #expect(Set(doubted.map(\.node)) == [1])
        try cluster.start(node)
        cluster.run(for: .seconds(2))
        #expect(cluster.view("b", at: 0)?.state == .open)
    }

    @Test("is the lesser of two where the third was never heard")
    func twoOfThree() throws {
        let cluster = try Cluster(starting: [0, 1])
        cluster.members[0].skew = Self.year
        try cluster.elect(0)
        cluster.run(for: .seconds(3))
        #expect(try lead(of: "a", cluster) < 1200)
        #expect(cluster.look(0) { $0.clockCorrection } == 0, "nobody knows which is wrong")
        cluster.members[0].skew = 0
        cluster.members[1].skew = Self.year
        cluster.run(for: .seconds(2))
        #expect(try lead(of: "b", cluster) < 1200)
    }

    @Test("is not taken from a clock that is behind while one that would tell is still to come")
    func third() throws {
        let cluster = try Cluster()
        for node in [0, 2] { cluster.members[node].skew = Self.year }
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        for node in 0..<3 { cluster.crash(node) }
        cluster.run(for: .seconds(3600))
        var isLate = true
        cluster.intercept = { from, _, message in
            if from == 2, case .pong = message, isLate { return nil }
            return message
        }
        for node in 0..<3 { try cluster.start(node) }
        try cluster.elect(0)
        let context = try cluster.submit(
            Example.open("b", expiresIn: 60),
            definition: Example.flow,
            at: 0
        )
        cluster.run(for: .milliseconds(500))
        #expect(cluster.completions[context] == nil)
        isLate = false
        cluster.run(for: .seconds(1))
        _ = try cluster.applied(context)
        try cluster.open("c", at: 0)
        #expect(cluster.view("b", at: 0)?.state == .open)
    }

    @Test("is waited for: who leads and knows nobody's clock proposes nothing")
    func unknown() throws {
        let cluster = try Cluster()
        var isLost = true
        cluster.intercept = { _, _, message in
            if case .pong = message, isLost { return nil }
            return message
        }
        try cluster.elect(0)
        let last = cluster.look(0) { $0.raft.lastIndex }
        let contexts = try (0..<3).map {
            try cluster.submit(Example.open("a\($0)"), definition: Example.flow, at: $0)
        }
        cluster.run(for: .seconds(3))
        #expect(cluster.look(0) { $0.raft.lastIndex } == last)
        #expect(contexts.allSatisfy { cluster.completions[$0] == nil })
        isLost = false
        cluster.run(for: .seconds(1))
        for context in contexts { _ = try cluster.applied(context) }
        let opened = try #require(cluster.view("a1", at: 0)).openedAt.milliseconds
        let right = Cluster.startOfTime + cluster.now.nanoseconds / 1_000_000
        #expect(opened > right - 1000 && opened <= right)
        cluster.expectEqualStates()
    }
}
