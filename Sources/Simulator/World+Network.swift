internal import Raft
internal import Replica

extension World {
    /// Sends what a node's turn put out.
    func send(_ message: PeerMessage, from: Int, to: Int) {
        statistics.messages += 1
        guard network.isTold[from][to] else {
            statistics.unsent += 1
            return
        }
        let parcel = Parcel(
            from: from,
            to: to,
            epoch: network.link(from, to).epoch,
            message: message
        )
        if plan.isEncoded {
            PeerFrame.message(message).encode(into: &parcel.bytes)
            if !isHealing, network.chance(from, to, perMillion: plan.corruption) {
                let bit = network.below(from, to, UInt64(parcel.bytes.count * 8))
                parcel.bytes[Int(bit / 8)] ^= 1 << UInt8(bit % 8)
                parcel.isCorrupt = true
                statistics.corruptions += 1
            }
        }
        if plan.isOrdered || isHealing { sendInOrder(parcel) } else { sendLoosely(parcel) }
    }

    private func sendInOrder(_ parcel: Parcel) {
        let (from, to) = (parcel.from, parcel.to)
        if network.isBlocked(from: from, to: to) {
            if network.held[from][to].isEmpty {
                queue.schedule(
                    .stalled(from, to, epoch: parcel.epoch),
                    at: now + plan.stallLimit
                )
            }
            network.held[from][to].append(parcel)
            return
        }
        let arrival = network.orderedArrival(from, to, at: now, plan)
        queue.schedule(.arrive(parcel), at: arrival)
    }

    private func sendLoosely(_ parcel: Parcel) {
        let (from, to) = (parcel.from, parcel.to)
        if network.isBlocked(from: from, to: to) { return }
        if network.chance(from, to, perMillion: plan.loss) {
            statistics.losses += 1
            return
        }
        var delay = network.delay(from, to, plan)
        if network.chance(from, to, perMillion: plan.reordering) {
            delay += network.below(from, to, plan.electionTimeout * 2)
        }
        queue.schedule(.arrive(parcel), at: now + delay)
        if network.chance(from, to, perMillion: plan.duplication) {
            statistics.duplicates += 1
            // Right behind the first, or when nobody expects it any more.
            let isSoon = network.chance(from, to, perMillion: 500_000)
            let later = network.below(from, to, isSoon ? 1_000_000 : plan.electionTimeout * 4)
            queue.schedule(.arrive(parcel), at: now + delay + later)
        }
    }

    /// Lets what was held back go on, in order.
    func release(from: Int, to: Int) {
        guard !network.isBlocked(from: from, to: to) else { return }
        let parcels = network.held[from][to]
        network.held[from][to] = []
        for parcel in parcels {
            let arrival = network.orderedArrival(from, to, at: now, plan)
            queue.schedule(.arrive(parcel), at: arrival)
        }
    }

    func arrived(_ parcel: Parcel) {
        let (from, to) = (parcel.from, parcel.to)
        let link = network.link(from, to)
        guard let process = hosts[to].process, link.epoch == parcel.epoch else { return }
        trace.fold(UInt64(from) << 8 | UInt64(to) | 1 << 16)
        guard plan.isEncoded else {
            deliver(parcel.message, from, to, process)
            return
        }
        var decoder = plan.isOrdered ? network.decoders[to][from] : FrameDecoder()
        let split = Int(network.below(from, to, UInt64(parcel.bytes.count + 1)))
        do {
            decoder.feed(parcel.bytes[..<split])
            var frame = try decoder.next()
            decoder.feed(parcel.bytes[split...])
            var count = 0
            while true {
                if frame == nil { frame = try decoder.next() }
                guard case .message(let message) = frame else { break }
                frame = nil
                count += 1
                if message != parcel.message {
                    checker.fail(
                        "wire format",
                        "\(parcel.message) sent by n\(from + 1) arrives as \(message)",
                        at: now
                    )
                }
                deliver(message, from, to, process)
            }
            if count != 1, !parcel.isCorrupt, decoder.bufferedBytes == 0 {
                checker.fail("wire format", "one frame sent, \(count) arrive", at: now)
            }
            if plan.isOrdered { network.decoders[to][from] = decoder }
            if decoder.bufferedBytes > 0 {
                // Not even a changed length may have the receiver wait for what never comes.
                checker.fail("wire format", "a whole frame leaves bytes that wait", at: now)
            }
        } catch {
            if !parcel.isCorrupt, network.decoders[to][from].bufferedBytes == 0 {
                checker.fail("wire format", "\(parcel.message) does not decode: \(error)", at: now)
            }
            trace.note(now, "n\(to + 1) closes its link to n\(from + 1): \(error)")
            if plan.isOrdered { breakLink(from, to, broken: false) }
        }
    }

    private func deliver(_ message: PeerMessage, _ from: Int, _ to: Int, _ process: Process) {
        trace.note(now, "n\(from + 1) → n\(to + 1)  \(describe(message))")
        let timer = process.replica.raft.role == .leader ? nil : process.replica.raft.nextDeadline
        process.replica.received(message, from: hosts[from].id, at: instant)
        if let timer, case .raft(let message) = message, message.isVoteRequest {
            checkTimer(timer, message, process, to)
        }
        checker.observe(to, &process.replica, at: now)
        wake(to, after: plan.turnDelay)
    }

    /// Only a vote that was granted starts the election timer again (dissertation §3.4).
    private func checkTimer(_ timer: Instant, _ message: Message, _ process: Process, _ node: Int) {
        let isGranted =
            process.replica.raft.votedFor == message.from
            && process.replica.raft.currentTerm == message.term
        guard process.replica.raft.nextDeadline > timer, !isGranted else { return }
        checker.fail(
            "election timer",
            "n\(node + 1) refuses \(message.from) its vote and starts its timer again",
            at: now
        )
    }

    /// Nothing has got through for long: the link is given up.
    func stalled(_ a: Int, _ b: Int, epoch: Int) {
        let link = network.link(a, b)
        guard link.isUp, link.epoch == epoch else { return }
        let isStuck =
            !network.held[a][b].isEmpty || !network.held[b][a].isEmpty
            || network.decoders[a][b].bufferedBytes > 0
            || network.decoders[b][a].bufferedBytes > 0
        guard isStuck else { return }
        breakLink(a, b, broken: false)
    }

    /// A connection ends; both sides hear of it, and try again.
    func breakLink(_ a: Int, _ b: Int, broken: Bool) {
        guard network.link(a, b).isUp else { return }
        trace.note(now, "link n\(a + 1)-n\(b + 1) ends, broken: \(broken)")
        statistics.brokenLinks += 1
        network.lower(a, b)
        let epoch = network.link(a, b).epoch
        for (node, peer) in [(a, b), (b, a)] where hosts[node].process != nil {
            network.isTold[node][peer] = false
            queue.schedule(
                .linkDown(node: node, peer: peer, epoch: epoch, broken: broken),
                at: now
            )
        }
        reconnectLater(a, b)
    }

    func reconnectLater(_ a: Int, _ b: Int) {
        let backoff = (50 + network.below(a, b, 450)) * WorldPlan.millisecond
        queue.schedule(.connect(a, b), at: now + backoff)
    }

    func connect(_ a: Int, _ b: Int) {
        guard !network.link(a, b).isUp else { return }
        // A node that starts tries by itself.
        guard hosts[a].process != nil, hosts[b].process != nil else { return }
        guard !network.isBlocked(from: a, to: b), !network.isBlocked(from: b, to: a),
            !hosts[a].isPaused, !hosts[b].isPaused
        else {
            reconnectLater(a, b)
            return
        }
        guard greet(a, b) else {
            reconnectLater(a, b)
            return
        }
        network.raise(a, b)
        let epoch = network.link(a, b).epoch
        network.isTold[a][b] = true
        queue.schedule(.linkUp(node: a, peer: b, epoch: epoch), at: now)
        let arrival = network.orderedArrival(a, b, at: now, plan)
        queue.schedule(.linkUp(node: b, peer: a, epoch: epoch), at: arrival)
    }

    func linkUp(_ node: Int, _ peer: Int, epoch: Int) {
        let link = network.link(node, peer)
        guard link.isUp, link.epoch == epoch, let process = hosts[node].process else { return }
        trace.note(now, "n\(node + 1) is connected to n\(peer + 1)")
        network.isTold[node][peer] = true
        process.replica.peerConnected(hosts[peer].id, at: instant)
        checker.observe(node, &process.replica, at: now)
        wake(node, after: plan.turnDelay)
    }

    func linkDown(_ node: Int, _ peer: Int, epoch: Int, broken: Bool) {
        guard let process = hosts[node].process else { return }
        // A newer link may be up by now.
        guard network.link(node, peer).epoch == epoch, !network.isTold[node][peer] else { return }
        process.replica.peerDisconnected(hosts[peer].id, broken: broken, at: instant)
        checker.observe(node, &process.replica, at: now)
        wake(node, after: plan.turnDelay)
    }

    /// A process or machine is gone: its peers hear of it sooner or later.
    func linksLost(of node: Int, isMachine: Bool) {
        for peer in hosts.indices where peer != node {
            network.isTold[node][peer] = false
            guard network.link(node, peer).isUp else { continue }
            network.lower(node, peer)
            guard hosts[peer].process != nil else { continue }
            network.isTold[peer][node] = false
            let isReset = !isMachine && !network.isBlocked(from: node, to: peer)
            let delay = isReset ? network.delay(node, peer, plan) : plan.stallLimit
            queue.schedule(
                .linkDown(
                    node: peer,
                    peer: node,
                    epoch: network.link(node, peer).epoch,
                    broken: isReset
                ),
                at: now + delay
            )
        }
    }
}

extension Message {
    fileprivate var isVoteRequest: Bool {
        switch body {
        case .preVote, .requestVote: true
        default: false
        }
    }
}
