package import Journal
package import Raft

/// Whether a node's disk has room for more of the log.
package enum DiskRoom: UInt8, Hashable, Sendable, CaseIterable {
    /// Segments can be made.
    case enough = 0
    /// No further segment can be made: what the last one still holds is the reserve.
    case reserve = 1
    /// The reserve is used up.
    case none = 2
}

/// What a node knows of its own disk's progress, by the time that its batches take.
struct DiskWatch {
    /// When the batch under way was handed out.
    private(set) var batchSince: Instant?
    /// The batch under way has taken longer than it may.
    private(set) var isStalled = false
    /// When a file is tried to be made again for which there was no room.
    private var triesAgainAt = Instant.distantFuture
    /// A leader with a stalled disk has asked another to take over.
    var hasAskedSuccessor = false
    /// A leader without room does not ask for a successor before.
    var asksForRoomAt = Instant(nanoseconds: 0)

    mutating func begun(at now: Instant) { batchSince = now }

    /// The batch is done, or was not begun for lack of room.
    ///
    /// - Returns: how long the disk had stalled, in nanoseconds; nil if it had not.
    mutating func ended(at now: Instant) -> UInt64? {
        defer {
            batchSince = nil
            isStalled = false
            hasAskedSuccessor = false
        }
        guard isStalled, let since = batchSince else { return nil }
        return now.nanoseconds(since: since)
    }

    /// - Returns: whether the disk counts as stalled from now on.
    mutating func notices(stallAfter limit: Duration, at now: Instant) -> Bool {
        guard !isStalled, let since = batchSince, since.advanced(by: limit) <= now else {
            return false
        }
        isStalled = true
        return true
    }

    mutating func tryAgain(at later: Instant) { triesAgainAt = later }

    mutating func isTimeToTry(at now: Instant) -> Bool {
        guard triesAgainAt <= now else { return false }
        triesAgainAt = .distantFuture
        return true
    }
}

extension ReplicaNode {
    /// After there was no room for a file, it is tried to be made again this often.
    static var roomRetryInterval: Duration { .seconds(1) }

    /// What this node's disk has room for.
    @inline(__always)
    package var diskRoom: DiskRoom {
        if journal.hasRoom { return .enough }
        return journal.room >= RaftNode.leastRoom ? .reserve : .none
    }

    /// A batch has been under way for longer than `ReplicaConfiguration.diskStall`.
    @inline(__always)
    package var isDiskStalled: Bool { diskWatch.isStalled }

    /// Whether this node learns nothing new.
    ///
    /// Its disk hangs, and so do its replies to a leader whose term it could not write yet. What its
    /// clients ask for may be committed, but not be answered here.
    package var isCutOffByDisk: Bool { diskWatch.isStalled && !raft.isTermDurable }

    /// How long the batch under way has taken so far, in nanoseconds; 0 if none is.
    package func diskWait(at now: Instant) -> UInt64 {
        diskWatch.batchSince.map { now.nanoseconds(since: $0) } ?? 0
    }

    /// What there is room for, as far as requests of this node's clients go.
    ///
    /// `enough` if a majority of the nodes has, which then can take new work; `reserve` if a majority
    /// can still write; `none` if not even that, or if this node cannot: it would not learn what the
    /// others decide. Peers that cannot be reached do not count, and where no majority can be reached
    /// the answer is `enough`: it is not for lack of room then that nothing can be committed.
    package func clusterRoom(at now: Instant) -> DiskRoom {
        let own = diskRoom
        guard own != .none else { return .none }
        let members = raft.configuration.membership
        var reached = 0
        var withRoom = 0
        var withReserve = 0
        func count(_ room: DiskRoom) {
            reached += 1
            if room == .enough { withRoom += 1 }
            if room != .none { withReserve += 1 }
        }
        if members.isVoter(node) { count(own) }
        for peer in peers where members.isVoter(peer.node) && isReachable(peer, at: now) {
            count(peer.status?.room ?? .enough)
        }
        if reached < members.quorum || withRoom >= members.quorum { return .enough }
        return withReserve >= members.quorum ? .reserve : .none
    }

    /// The batch was not begun, since there is no room for the file that it makes
    /// (`DiskBatch.isUntouched`); it is tried again after a while.
    package mutating func batchFoundNoRoom(_ number: UInt64, _ error: DiskError, at now: Instant) {
        let isNews = journal.hasRoom
        journal.foundNoRoom(number)
        diskGetsOn(at: now)
        diskWatch.tryAgain(at: now.advanced(by: ReplicaNode.roomRetryInterval))
        guard isNews, !journal.hasRoom else { return }
        counters.timesOutOfRoom += 1
        output.notices.append(.diskFull(error, reserve: journal.room))
        sayHowDiskIs(at: now)
    }

    /// Notes that the batch under way has ended.
    mutating func diskGetsOn(at now: Instant) {
        if let nanoseconds = diskWatch.ended(at: now) {
            output.notices.append(.diskGetsOn(after: .nanoseconds(Int64(nanoseconds))))
            sayHowDiskIs(at: now)
        }
        refreshRoom()
    }

    /// Tells the core what the disk has room for, and whether it gets on.
    mutating func refreshRoom() {
        raft.room = journal.room
        raft.isDiskStuck = diskWatch.isStalled || !journal.canPromise
    }

    /// Looks after the disk; part of the house-keeping.
    mutating func watchDisk(at now: Instant) {
        if diskWatch.notices(stallAfter: configuration.diskStall, at: now) {
            counters.diskStalls += 1
            output.notices.append(.diskStalled(configuration.diskStall))
            refreshRoom()
            sayHowDiskIs(at: now)
        }
        if diskWatch.isTimeToTry(at: now) { journal.tryForRoom() }
        if diskRoom != announcedRoom { sayHowDiskIs(at: now) }
        guard raft.role == .leader else { return }
        if diskWatch.isStalled {
            leaveOfficeForStall(at: now)
        } else if diskRoom != .enough {
            leaveOfficeForRoom(at: now)
        }
    }

    /// A leader whose disk hangs still sends heartbeats, so nobody would replace it: it hands over,
    /// and if that does not work within `ElectionTiming.transfer`, it steps down.
    private mutating func leaveOfficeForStall(at now: Instant) {
        // Alone, there is nobody to leave it to.
        guard raft.configuration.membership.quorum > 1 else { return }
        guard !raft.isTransferring else {
            // Whoever began it, there is no time for a second one.
            diskWatch.hasAskedSuccessor = true
            return
        }
        if !diskWatch.hasAskedSuccessor, let successor = successor(at: now) {
            diskWatch.hasAskedSuccessor = true
            let refusal = raft.transferLeadership(to: successor, at: now, into: &actions)
            settle(at: now)
            if refusal == nil { return }
        }
        raft.stepDown(at: now, into: &actions)
        settle(at: now)
    }

    /// A leader without room hands over to a node that has some; where there is none it stays, since
    /// another would be no better.
    private mutating func leaveOfficeForRoom(at now: Instant) {
        guard diskWatch.asksForRoomAt <= now, !raft.isTransferring,
            let successor = successor(at: now)
        else { return }
        // Proposals wait while it is tried, so it is not tried all the time.
        diskWatch.asksForRoomAt = now.advanced(by: configuration.raft.electionTimeout * 5)
        _ = raft.transferLeadership(to: successor, at: now, into: &actions)
        settle(at: now)
    }

    /// The voter with the longest log among those that answer, serve, and whose disks are well; one whose state is
    /// damaged only if no other is there.
    func successor(at now: Instant) -> NodeID? {
        func isWell(_ status: NodeStatus) -> Bool {
            status.condition.serves && status.room == .enough && !status.isDiskStalled
        }
        return successor(at: now) { $0.condition == .healthy && isWell($0) }
            ?? successor(at: now, isFit: isWell)
    }

    /// The voter with the longest log among those that answer and are fit.
    ///
    /// Who builds its state anew is never fit: it would not take office. Nor is one that needs entries which are not
    /// here any more: it could not be brought up to date before it takes office.
    func successor(at now: Instant, isFit: (NodeStatus) -> Bool) -> NodeID? {
        successor(at: now) { isFit($1) }
    }

    func successor(at now: Instant, isFit: (NodeID, NodeStatus) -> Bool) -> NodeID? {
        let fit = peers.filter { peer in
            peer.status.map { isFit(peer.node, $0) } ?? false && isReachable(peer, at: now)
        }
        return raft.progress
            .filter { progress in
                progress.isVoter && fit.contains { $0.node == progress.node }
                    && !journal.lacks(progress.matchIndex.next)
            }
            .max { $0.matchIndex < $1.matchIndex }?.node
    }

    /// Tells the peers at once when the disk's state changes, instead of with the next ping.
    private mutating func sayHowDiskIs(at now: Instant) {
        announcedRoom = diskRoom
        for peer in peers where peer.isConnected {
            output.messages.append(.init(to: peer.node, message: .ping(sentAt: now, status)))
        }
    }
}
