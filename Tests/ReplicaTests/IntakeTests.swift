import Raft
import Replica
import Testing
import Verification

@Suite("A callback that is acknowledged before it stands in the log")
struct IntakeTests {
    private static let right = Example.callback("a", .digits, sequence: 1, digits: Example.right)
    private static let late = Example.callback("a", .cancel, key: "late")
    private static let ended = Example.callback("a", .ended, sequence: 9)

    /// A cluster with one attempt, decided unless told otherwise, and its last node cut off.
    private static func cluster(
        isDecided: Bool = true,
        configure: @escaping (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws -> Cluster {
        let cluster = try Cluster(configure: configure)
        try cluster.elect(0)
        try cluster.open("a", at: 0)
        if isDecided { try cluster.perform(.callback(right), at: 0) }
        cluster.expectEqualStates()
        cluster.cutOff(2)
        cluster.run(for: .seconds(3))
        return cluster
    }

    private static func expectOnce(
        _ callback: Callback,
        repeats: UInt64 = 0,
        receivedAt: WallTime? = nil,
        _ cluster: Cluster,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        cluster.run(for: .seconds(5))
        cluster.expectEqualStates(sourceLocation: sourceLocation)
        for node in 0..<3 {
            let lines = cluster.timeline("a", at: node).filter { $0.key == callback.key }
            #expect(lines.count == 1, sourceLocation: sourceLocation)
            #expect(lines.first?.repeats == repeats, sourceLocation: sourceLocation)
            #expect(lines.first?.node == 3, sourceLocation: sourceLocation)
            if let receivedAt {
                #expect(lines.first?.receivedAt == receivedAt, sourceLocation: sourceLocation)
            }
        }
        #expect(cluster.intake(at: 2) == 0, sourceLocation: sourceLocation)
    }

    private static func result(_ context: UInt64, _ cluster: Cluster) -> Completion.Result? {
        cluster.completions[context]?.result
    }

    @Test("has the committed outcome as its answer at once, and its line when the cluster is whole")
    func late() throws {
        let cluster = try IntakeTests.cluster()
        #expect(cluster.look(2) { $0.isWithoutQuorum(at: cluster.now) } == true)
        let decision = try #require(
            cluster.with(2) { $0.lateDecision(on: IntakeTests.late) } ?? nil
        )
        #expect(decision.disposition == .contradicted)
        let first = try #require(
            cluster.look(0) { $0.machine.knownAnswer(to: IntakeTests.right) } ?? nil
        )
        #expect(decision.answer == first.answer)
        let receivedAt = cluster.wall(2)
        let (context, _) = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(context, cluster) == .takenIn(isRepeat: false))
        #expect(cluster.intake(at: 2) == 1)

        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, receivedAt: receivedAt, cluster)
        // And every node gives that answer from then on.
        for node in 0..<3 {
            let again = cluster.look(node) { $0.machine.knownAnswer(to: IntakeTests.late) } ?? nil
            #expect(again?.answer == decision.answer)
        }
        #expect(cluster.timeline("a", at: 0).last?.disposition == .contradicted)
        let counters = try #require(cluster.look(2) { $0.counters })
        #expect(counters.takenIn == 1 && counters.intakeReplicated == 1)
    }

    @Test("is not for the intake to answer while its attempt is open, or its key is known")
    func undecided() throws {
        let cluster = try IntakeTests.cluster(isDecided: false)
        #expect(cluster.with(2) { $0.lateDecision(on: IntakeTests.late) } == .some(nil))
        let decided = try IntakeTests.cluster()
        #expect(decided.with(2) { $0.lateDecision(on: IntakeTests.right) } == .some(nil))
        var other = IntakeTests.right
        other.digits = Example.wrong
        #expect(decided.with(2) { $0.lateDecision(on: other) } == .some(nil))
    }

    @Test("is acknowledged by nobody before it is durable")
    func notDurable() throws {
        let cluster = try IntakeTests.cluster()
        cluster.members[2].holdsIntake = true
        let (context, _) = cluster.takeIn(IntakeTests.late, at: 2)
        let (second, again) = cluster.takeIn(IntakeTests.late, at: 2)
        guard case .taken = again else {
            Issue.record("what is not durable is answered: \(String(describing: again))")
            return
        }
        cluster.run(for: .seconds(1))
        #expect(IntakeTests.result(context, cluster) == nil)
        #expect(IntakeTests.result(second, cluster) == nil)
        // A disk that hangs keeps nobody waiting for ever.
        cluster.run(for: .seconds(2))
        #expect(IntakeTests.result(context, cluster) == .timedOut)
        #expect(IntakeTests.result(second, cluster) == .timedOut)
    }

    @Test("is a repeat where the log has the same callback by another way before it is durable")
    func logIsFirst() throws {
        let cluster = try IntakeTests.cluster()
        cluster.heal()
        cluster.run(for: .seconds(3))
        cluster.members[2].holdsIntake = true
        let (taken, _) = cluster.takeIn(IntakeTests.late, at: 2)
        let submitted = try cluster.submit(.callback(IntakeTests.late), at: 2)
        cluster.run(for: .milliseconds(500))
        #expect(try cluster.decision(submitted).disposition == .contradicted)
        #expect(IntakeTests.result(taken, cluster) == nil)
        cluster.releaseIntake(2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(taken, cluster) == .takenIn(isRepeat: true))
    }

    @Test("is not new once more to its node when the log has the same callback by another way")
    func intakeIsFirst() throws {
        let cluster = try IntakeTests.cluster()
        let submitted = try cluster.submit(.callback(IntakeTests.late), at: 2)
        let (taken, _) = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(taken, cluster) == .takenIn(isRepeat: false))
        cluster.heal()
        cluster.run(for: .seconds(5))
        #expect(try cluster.decision(submitted).disposition == .repeated)
        cluster.expectEqualStates()
    }

    @Test("is no repeat of what has its key and another meaning")
    func otherMeaning() throws {
        let cluster = try IntakeTests.cluster()
        var other = IntakeTests.late
        other.channel = "sms"
        let submitted = try cluster.submit(.callback(other), at: 2)
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.heal()
        cluster.run(for: .seconds(5))
        #expect(try cluster.decision(submitted).disposition != .repeated)
        cluster.expectEqualStates()
    }

    @Test("is found again by the next process, and comes into the log once")
    func crash() throws {
        let cluster = try IntakeTests.cluster()
        let receivedAt = cluster.wall(2)
        let (context, _) = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(context, cluster) == .takenIn(isRepeat: false))
        for _ in 0..<3 {
            cluster.crash(2)
            try cluster.start(2)
            cluster.run(for: .milliseconds(400))
            #expect(cluster.intake(at: 2) == 1)
        }
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, receivedAt: receivedAt, cluster)
    }

    @Test("counts once although its node dies before it has struck it off")
    func crashBeforeDone() throws {
        let cluster = try IntakeTests.cluster()
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        cluster.members[2].holdsIntake = true
        cluster.heal()
        let isThere = cluster.run(atMost: .seconds(10)) {
            cluster.timeline("a", at: 2).contains { $0.key == IntakeTests.late.key }
        }
        #expect(isThere)
        cluster.crash(2)
        cluster.members[2].holdsIntake = false
        // Nothing of what it applied is known to be committed when it starts.
        cluster.cutOff(2)
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, cluster)
    }

    @Test("goes to the log again if it came once more after the log had found no attempt")
    func openedSince() throws {
        for crashes in [false, true] { try repeatAfterRefusal(crashes: crashes) }
    }

    private func repeatAfterRefusal(crashes: Bool) throws {
        let cluster = try IntakeTests.cluster()
        cluster.heal()
        cluster.run(for: .seconds(3))
        // The node is heard, and does not hear what is committed.
        var forwarded: [PeerMessage] = []
        cluster.intercept = { from, to, message in
            if from == 2, to == 0, case .forward = message { forwarded.append(message) }
            guard to == 2, case .raft(let raft) = message, case .appendEntries = raft.body else {
                return message
            }
            return nil
        }
        let ended = Example.callback("b", .ended, sequence: 9)
        _ = cluster.takeIn(ended, at: 2)
        // Sent again, it is in the log more than once.
        for count in 1...2 as ClosedRange<UInt64> {
            let isRefused = cluster.run(atMost: .seconds(3)) {
                cluster.look(0) { $0.machine.counters.refusals(.unknownAttempt) } == count
            }
            #expect(isRefused)
            let copy = try #require(forwarded.last)
            if count == 1 {
                cluster.with(0) { $0.received(copy, from: NodeID(3), at: cluster.now) }
            }
        }
        try cluster.open("b", at: 0)
        let (_, submission) = cluster.takeIn(ended, at: 2)
        #expect(submission == .known)
        if crashes {
            cluster.crash(2)
            try cluster.start(2)
        }
        cluster.intercept = { _, _, message in message }
        cluster.run(for: .seconds(8))
        cluster.expectEqualStates()
        for node in 0..<3 {
            let lines = cluster.timeline("b", at: node).filter { $0.key == ended.key }
            #expect(lines.count == 1)
        }
        #expect(cluster.intake(at: 2) == 0)
    }

    @Test("is not taken for durable by the next process because it can read it")
    func readIsNotDurable() throws {
        let cluster = try IntakeTests.cluster()
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        cluster.crash(2)
        cluster.members[2].holdsIntake = true
        try cluster.start(2)
        // What was read may be in the system's memory only: it is written again before it counts.
        let (context, submission) = cluster.takeIn(IntakeTests.late, at: 2)
        guard case .taken(_, isHeld: true) = submission else {
            Issue.record("it counts as durable, or as new: \(String(describing: submission))")
            return
        }
        cluster.run(for: .seconds(1))
        #expect(IntakeTests.result(context, cluster) == nil)
        cluster.releaseIntake(2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(context, cluster) == .takenIn(isRepeat: false))
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, repeats: 1, cluster)
    }

    @Test("is known to a process that starts behind the entry that it came to")
    func behindItsEntry() throws {
        let cluster = try IntakeTests.cluster()
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(200))
        cluster.heal()
        cluster.run(atMost: .seconds(10)) { cluster.intake(at: 2) == 0 }
        #expect(cluster.timeline("a", at: 2).contains { $0.key == IntakeTests.late.key })
        // Long enough to strike the record off, if nothing held it back.
        cluster.run(for: .seconds(1))
        cluster.crash(2)
        cluster.cutOff(2)
        try cluster.start(2)
        if cluster.timeline("a", at: 2).contains(where: { $0.key == IntakeTests.late.key }) {
            Issue.record("the entry was known to be committed: this shows nothing")
        }
        cluster.run(for: .seconds(1))
        let (_, submission) = cluster.takeIn(IntakeTests.late, at: 2)
        #expect(submission == .known)
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, repeats: 1, cluster)
    }

    @Test("may come again while it waits: known, counted, and counted once")
    func again() throws {
        let cluster = try IntakeTests.cluster()
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        for _ in 0..<4 {
            #expect(cluster.takeIn(IntakeTests.late, at: 2).submission == .known)
        }
        var other = IntakeTests.late
        other.event = .outcome
        #expect(
            cluster.takeIn(other, at: 2).submission == .refused(.heldDifferently)
        )
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, repeats: 4, cluster)
    }

    @Test(
        "may be a request that nobody could decide in time: whichever way it comes, it counts once"
    )
    func timedOut() throws {
        let cluster = try IntakeTests.cluster(isDecided: false)
        let request = try cluster.submit(.callback(IntakeTests.ended), at: 2)
        let id = RequestID(node: 3, incarnation: 1, sequence: 1)
        cluster.run(for: .seconds(6))
        #expect(IntakeTests.result(request, cluster) == .timedOut)
        let (context, submission) = cluster.takeIn(IntakeTests.ended, as: id, at: 2)
        #expect(submission == .taken(id, isHeld: false))
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(context, cluster) == .takenIn(isRepeat: false))
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.ended, cluster)
    }

    @Test("finds the deadline passed that it was received before: its time is its entry's")
    func afterDeadline() throws {
        let cluster = try Cluster()
        try cluster.elect(0)
        try cluster.open("a", at: 0, expiresIn: 8)
        cluster.expectEqualStates()
        cluster.cutOff(2)
        cluster.run(for: .seconds(3))
        let receivedAt = cluster.wall(2)
        _ = cluster.takeIn(IntakeTests.ended, at: 2)
        cluster.run(for: .seconds(8))
        #expect(cluster.view("a", at: 0)?.state == .expired)
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.ended, receivedAt: receivedAt, cluster)
        #expect(cluster.timeline("a", at: 0).last?.disposition == .late)
    }

    @Test("is refused beyond the bounds of bytes and of age, and taken again when there is room")
    func bounds() throws {
        let cluster = try IntakeTests.cluster { $0.intake.bytes = 400 }
        var taken: [Callback] = []
        var refused = 0
        for number in 0..<10 {
            let callback = Example.callback("a", .cancel, key: "late-\(number)")
            switch cluster.takeIn(callback, at: 2).submission {
            case .taken: taken.append(callback)
            case .refused(.full): refused += 1
            default: Issue.record("neither taken nor refused")
            }
        }
        #expect(taken.count >= 2 && refused >= 2)
        #expect(cluster.look(2) { $0.counters.intakeRefused } == UInt64(refused))
        cluster.heal()
        for callback in taken { IntakeTests.expectOnce(callback, cluster) }
        guard case .taken = cluster.takeIn(IntakeTests.late, at: 2).submission else {
            Issue.record("there is room again")
            return
        }

        let old = try IntakeTests.cluster { $0.intake.age = .seconds(2) }
        _ = old.takeIn(IntakeTests.late, at: 2)
        old.run(for: .seconds(3))
        let second = Example.callback("a", .cancel, key: "second")
        #expect(old.takeIn(second, at: 2).submission == .refused(.full))
    }

    @Test("outlives a start on a disk that is full, and comes into the log when there is room")
    func fullAtStart() throws {
        let cluster = try IntakeTests.cluster()
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(200))
        cluster.crash(2)
        cluster.members[2].disk.isFull = true
        try cluster.start(2)
        cluster.run(for: .seconds(1))
        #expect(cluster.intake(at: 2) == 1)
        // What is new is refused, and the old is not forgotten for it.
        let (context, _) = cluster.takeIn(IntakeTests.ended, at: 2)
        cluster.run(for: .seconds(1))
        #expect(IntakeTests.result(context, cluster) == .notTakenIn)
        #expect(cluster.intake(at: 2) == 1)
        cluster.members[2].disk.isFull = false
        cluster.run(for: .seconds(1))
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, cluster)
    }

    @Test("is not taken in where the disk is full, and nothing else suffers")
    func noRoom() throws {
        let cluster = try IntakeTests.cluster()
        cluster.members[2].disk.isFull = true
        let (context, _) = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        #expect(IntakeTests.result(context, cluster) == .notTakenIn)
        #expect(cluster.intake(at: 2) == 0)
        cluster.members[2].disk.isFull = false
        _ = cluster.takeIn(IntakeTests.late, at: 2)
        cluster.run(for: .milliseconds(50))
        cluster.heal()
        IntakeTests.expectOnce(IntakeTests.late, cluster)
    }
}
