package import Journal
package import Raft
private import Verification

/// What this node knows of a peer, for operators and for where to send.
package struct PeerState: Hashable, Sendable {
    package var node: NodeID
    package var isConnected = false
    /// Smoothed round trip, in nanoseconds; `nil` until measured on this link.
    package var roundTrip: UInt64?
    /// How far its wall clock is ahead of this node's, in milliseconds, as of the last round trip.
    package var clockOffset: Int64?
    /// What its clock showed when it was heard last, on this link or an earlier one.
    var clock: ClockReading?
    package var lastHeardAt: Instant?
    @inline(__always)
    package var status: NodeStatus?
    /// Its directory is the one that stands for it.
    var isWelcome = false
    /// Why it was not let in when it last greeted.
    package var refusal: IdentityRefusal?
    package init(node: NodeID) { self.node = node }
}

/// A read of the journal under way for a peer that lags.
struct JournalReadTicket {
    var peer: NodeID
    var from: LogIndex
    var maxBytes: Int
    /// Set once it is planned.
    var read: DiskRead?
}

extension ReplicaNode {
    package var peerStates: [PeerState] { peers }

    /// What this node says of itself.
    package var status: NodeStatus {
        NodeStatus(
            role: raft.role,
            term: raft.currentTerm,
            commitIndex: raft.commitIndex,
            appliedIndex: appliedIndex,
            room: diskRoom,
            isDiskStalled: diskWatch.isStalled,
            promised: raft.promisedEntry,
            condition: condition,
            mark: newestMark
        )
    }

    /// A peer that answered a ping within this time counts as reachable.
    package static let reachableWithin = Duration.seconds(2)

    /// Whether a peer has been heard from lately.
    package func isReachable(_ peer: PeerState, at now: Instant) -> Bool {
        guard peer.isConnected, let heard = peer.lastHeardAt else { return false }
        return heard.advanced(by: ReplicaNode.reachableWithin) > now
    }

    /// A link to this peer is up; messages to it can be sent.
    package mutating func peerConnected(_ peer: NodeID, at now: Instant) {
        guard let i = peers.firstIndex(where: { $0.node == peer }) else { return }
        peers[i].isConnected = true
        peers[i].lastHeardAt = now
        raft.peerConnected(peer, at: now, into: &actions)
        settle(at: now)
        // Forwards on the old link may be lost.
        if raft.leader == peer {
            requests.requeueAll()
            reads.requeueAll()
        }
        output.messages.append(.init(to: peer, message: .ping(sentAt: now, status)))
        sendMembers(to: peer)
    }

    /// The link to this peer is down.
    ///
    /// `broken` means that the connection was closed or reset by the peer's system: its process
    /// ended.
    package mutating func peerDisconnected(_ peer: NodeID, broken: Bool, at now: Instant) {
        guard let i = peers.firstIndex(where: { $0.node == peer }) else { return }
        peers[i].isConnected = false
        peers[i].roundTrip = nil
        // Its clock goes on meanwhile, as this node's does: what was seen of it still tells which are right.
        peers[i].clockOffset = nil
        // It may come back with less than it has now.
        registry?.keepNotes()
        raft.peerDisconnected(peer, broken: broken, at: now, into: &actions)
        settle(at: now)
    }

    /// A message came over the link that `peer` identified itself on.
    package mutating func received(_ message: PeerMessage, from peer: NodeID, at now: Instant) {
        guard let i = peers.firstIndex(where: { $0.node == peer }) else { return }
        guard registry == nil || peers[i].isWelcome else { return }
        peers[i].lastHeardAt = now
        switch message {
        case .raft(let message):
            guard message.from == peer else { return }
            notePromise(message)
            raft.received(message, at: now, into: &actions)
            settle(at: now)
        case .forward(let forward):
            receiveForward(forward, from: peer)
        case .forwardRefused(let number):
            if raft.leader == peer { requests.refused(forward: number) }
        case .readIndex(let round):
            receiveReadIndex(round: round, from: peer, at: now)
            settle(at: now)
        case .readIndexReply(let round, let index):
            if let index {
                reads.resolved(round: round, index: index)
            } else {
                reads.refused(round: round)
            }
        case .pull(let message): received(message, from: peer, at: now)
        case .ping(let sentAt, let status):
            note(status, of: i)
            output.messages.append(
                .init(to: peer, message: .pong(sentAt: sentAt, wall: wall(at: now), self.status))
            )
        case .members(let tags, let isFormed):
            receiveMembers(tags, isFormed: isFormed, from: peer, at: now)
        case .pong(let sentAt, let wall, let status):
            note(status, of: i)
            let sample = now.nanoseconds(since: sentAt)
            peers[i].clock = ClockReading(wall: wall, at: now)
            peers[i].clockOffset = clockOffset(of: wall, roundTrip: sample, at: now)
            // The smoothing of TCP's round-trip estimate (RFC 6298 §2).
            peers[i].roundTrip = peers[i].roundTrip.map { $0 - $0 / 8 + sample / 8 } ?? sample
            placement.meters[i].add(sample)
        case .roundTrips(let report): received(report, from: i, at: now)
        }
    }

    /// This node's clock, as it was shown to the last turn, and what has passed since.
    private func wall(at now: Instant) -> WallTime {
        let passed = now.nanoseconds(since: lastTurnAt) / 1_000_000
        let (sum, over) = lastWall.milliseconds.addingReportingOverflow(passed)
        return WallTime(milliseconds: over ? .max : sum)
    }

    /// How far a peer's clock is ahead, if its answer took half the round trip (RFC 5905 §8).
    private func clockOffset(of peer: WallTime, roundTrip: UInt64, at now: Instant) -> Int64 {
        let own = Int64(clamping: wall(at: now).milliseconds)
        let then = own - min(own, Int64(clamping: roundTrip / 2_000_000))
        return Int64(clamping: peer.milliseconds) - then
    }

    private mutating func note(_ status: NodeStatus, of peer: Int) {
        peers[peer].status = status
        guard status.condition != .repairing, status.condition != .excluded else { return }
        guard status.promised > .zero else { return }
        note(peers[peer].node, term: status.term, status.promised)
    }

    /// Reads for a peer, one at a time: the core asks again after a while, and while the disk hangs
    /// its wishes must not pile up.
    mutating func planJournalRead(_ ticket: JournalReadTicket) {
        // Only its last wish counts.
        deferredReads.removeAll { $0.peer == ticket.peer }
        if let underWay = journalReads.first(where: { $0.peer == ticket.peer }) {
            if underWay.from != ticket.from { deferredReads.append(ticket) }
            return
        }
        if offerCheckpoint(to: ticket.peer, lacking: ticket.from) { return }
        guard var read = journal.planRead(from: ticket.from, maxBytes: ticket.maxBytes) else {
            // Applied here but not on this disk yet: it will be, or the node will stop.
            deferredReads.append(ticket)
            return
        }
        read.number = nextDiskReadNumber
        nextDiskReadNumber += 1
        var ticket = ticket
        ticket.read = read
        journalReads.append(ticket)
        output.diskReads.append(read)
    }

    /// A read of `output.diskReads` is done.
    package mutating func readCompleted(
        _ number: UInt64,
        _ result: Result<[UInt8], DiskError>,
        at now: Instant
    ) {
        if pulled(number, result) || logScrubbed(number, result) { return }
        if loadCompleted(number, result, at: now) || mergeReadCompleted(number, result, at: now)
            || stateScrubbed(number, result, at: now)
        {
            return
        }
        guard let i = journalReads.firstIndex(where: { $0.read?.number == number }),
            let read = journalReads[i].read
        else { return }
        let ticket = journalReads.remove(at: i)
        do {
            let entries = try journal.entries(
                in: try result.get(),
                of: read,
                from: ticket.from,
                maxBytes: ticket.maxBytes
            )
            raft.entriesRead(
                for: ticket.peer,
                from: ticket.from,
                entries: entries,
                at: now,
                into: &actions
            )
            settle(at: now)
        } catch {
            // The core asks again after an election time-out, if the peer still needs it.
            readFailed(error)
        }
    }
}
