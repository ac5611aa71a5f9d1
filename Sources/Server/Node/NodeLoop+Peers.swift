import Raft
import Reactor
import Replica

/// Links between nodes: each node connects to each other one, says hello, and sends over its own
/// connection only.
extension NodeLoop {
    // MARK: Outbound

    /// Starts, restarts and times out links.
    func driveLinks() {
        for link in links where link.deadline <= now {
            switch link.state {
            case .down: resolve(link)
            case .connecting, .greeting:
                breakLink(link, "no answer in time", isBroken: false)
            case .resolving, .up: break
            }
        }
    }

    /// Finds out where the peer is: at once for an IP address, by the system's resolver for a
    /// name, which is asked again when all it named have been tried.
    private func resolve(_ link: PeerLink) {
        if let address = ResolvedAddress.numeric(link.address) {
            connect(link, to: address)
        } else if let address = link.addresses.popLast() {
            connect(link, to: address)
        } else {
            link.state = .resolving
            let mailbox = self.mailbox
            let slot = link.slot
            do throws(SystemError) {
                try Resolver.lookUp(link.address) {
                    mailbox.post(.resolved(slot: slot, $0))
                }
            } catch {
                breakLink(link, "\(error)", isBroken: false)
            }
        }
    }

    func addressIsKnown(slot: Int, _ result: Result<[ResolvedAddress], SystemError>) {
        let link = links[slot]
        guard case .resolving = link.state else { return }
        switch result {
        case .success(let addresses):
            link.addresses = addresses.reversed()
            resolve(link)
        case .failure(let error):
            breakLink(link, "\(error)", isBroken: false)
        }
    }

    private func connect(_ link: PeerLink, to address: ResolvedAddress) {
        do throws(SystemError) {
            let descriptor = FileDescriptorBox(try Socket.connect(to: address))
            Socket.limitUnacknowledged(descriptor.descriptor, milliseconds: 5000)
            link.generation = nextGeneration & PollToken.generationMask
            nextGeneration += 1
            link.descriptor = descriptor
            link.interest = [.read, .write]
            link.state = .connecting(since: now)
            try poller.add(
                descriptor.descriptor,
                token: PollToken.make(.peerOutbound, slot: link.slot, generation: link.generation),
                interest: link.interest
            )
        } catch {
            breakLink(link, "\(error)", isBroken: false)
        }
    }

    func linkIsReady(slot: Int, generation: UInt64, _ event: Poller.Event) {
        guard slot < links.count, links[slot].generation == generation,
            let descriptor = links[slot].descriptor
        else { return }
        let link = links[slot]
        if case .connecting = link.state {
            guard event.isWritable else { return }
            let code = Socket.connectionError(descriptor.descriptor)
            guard code == 0 else {
                breakLink(link, SystemError("connect", code: code).description, isBroken: false)
                return
            }
            greet(link)
        }
        if event.isReadable { readLink(link, descriptor) }
        if event.isWritable { flushLink(link) }
    }

    private func greet(_ link: PeerLink) {
        link.state = .greeting(since: now)
        PeerFrame.hello(
            Hello(
                cluster: configuration.cluster,
                from: configuration.node,
                to: link.peer,
                incarnation: replica.configuration.incarnation,
                identity: replica.greeting
            )
        ).encode(into: &link.output.bytes)
    }

    private func readLink(_ link: PeerLink, _ descriptor: FileDescriptorBox) {
        switch Socket.read(descriptor.descriptor, into: &readBuffer) {
        case .bytes(let count):
            link.decoder.feed(readBuffer[..<count])
            do throws(WireError) {
                while let frame = try link.decoder.next() {
                    guard takeReply(frame, on: link) else { return }
                }
            } catch {
                breakLink(link, "\(error)", isBroken: false)
            }
        case .wouldBlock: break
        case .closed: breakLink(link, "closed by the peer", isBroken: true)
        case .failed(let code):
            breakLink(
                link,
                SystemError("read", code: code).description,
                isBroken: SystemError.meansReset(code)
            )
        }
    }

    /// - Returns: false if the link was broken off.
    private func takeReply(_ frame: PeerFrame, on link: PeerLink) -> Bool {
        guard case .greeting = link.state, case .helloReply(let reply) = frame else {
            breakLink(link, "a frame that has no place here", isBroken: false)
            return false
        }
        switch reply {
        case .welcome(let run, let identity):
            // The peer takes this node; whether it is who it should be itself is another question.
            if let refusal = judge(identity, from: link.peer, run: run) {
                breakLink(link, "not the peer it should be: \(refusal)", isBroken: false)
                return false
            }
            link.state = .up
            link.backoff = PeerLink.firstBackoff
            link.loggedRefusal = nil
            log.info(
                "peer",
                "link up",
                ["peer": .number(Int64(link.peer.number)), "address": .text("\(link.address)")]
            )
            replica.peerConnected(link.peer, at: now)
            return true
        case .refused(let reason, let kind):
            replica.refused(by: link.peer, reason, kind: kind, at: now)
            needsTurn = true
            breakLink(link, "refused by the peer: \(reason)", isBroken: false)
            return false
        }
    }

    /// Takes a link down and plans the next try; `isBroken` means that the peer's system said that
    /// nobody is there any more.
    private func breakLink(_ link: PeerLink, _ reason: String, isBroken: Bool) {
        let wasUp = link.isUp
        if let descriptor = link.descriptor { poller.remove(descriptor.descriptor) }
        link.descriptor = nil
        link.decoder = FrameDecoder()
        link.output.removeAll()
        link.state = .down(until: now.advanced(by: link.backoff))
        link.backoff = min(link.backoff * 2, PeerLink.longestBackoff)
        if wasUp || link.loggedRefusal != reason {
            log.warning(
                "peer",
                "link down",
                [
                    "peer": .number(Int64(link.peer.number)),
                    "address": .text("\(link.address)"), "reason": .text(reason),
                ]
            )
            link.loggedRefusal = reason
        }
        if wasUp {
            replica.peerDisconnected(link.peer, broken: isBroken, at: now)
            needsTurn = true
        }
    }

    func send(_ envelope: ReplicaOutput.Envelope) {
        guard let link = links.first(where: { $0.peer == envelope.to }), link.isUp else {
            return
        }
        guard link.output.count < PeerLink.maxQueuedBytes else {
            link.droppedMessages += 1
            return
        }
        PeerFrame.message(envelope.message).encode(into: &link.output.bytes)
    }

    func flushLinks() {
        for link in links where !link.output.isEmpty { flushLink(link) }
    }

    private func flushLink(_ link: PeerLink) {
        guard let descriptor = link.descriptor else { return }
        if case .connecting = link.state { return }
        let before = link.output.count
        let stop = link.output.write(to: descriptor.descriptor)
        link.bytesSent += UInt64(before - link.output.count)
        switch stop {
        case nil: watch(link, descriptor, .read)
        case .wouldBlock: watch(link, descriptor, [.read, .write])
        case .closed: breakLink(link, "closed by the peer", isBroken: true)
        case .failed(let code):
            breakLink(
                link,
                SystemError("write", code: code).description,
                isBroken: SystemError.meansReset(code)
            )
        case .bytes: break
        }
    }

    private func watch(
        _ link: PeerLink,
        _ descriptor: FileDescriptorBox,
        _ interest: Poller.Interest
    ) {
        guard link.interest != interest else { return }
        link.interest = interest
        do throws(SystemError) {
            try poller.modify(
                descriptor.descriptor,
                token: PollToken.make(.peerOutbound, slot: link.slot, generation: link.generation),
                interest: interest
            )
        } catch {
            breakLink(link, "\(error)", isBroken: false)
        }
    }

    // MARK: Inbound

    func acceptPeers() {
        while true {
            let descriptor: FileDescriptor
            switch peerListener.accept() {
            case .connection(let accepted): descriptor = accepted
            case .none: return
            case .exhausted:
                log.error("peer", "no descriptor left for a connection; pausing accepts")
                poller.remove(peerListener.descriptor)
                acceptsPeersAgainAt = now.advanced(by: .milliseconds(500))
                return
            }
            makeRoomForStranger()
            let slot = inbound.firstIndex { $0 == nil } ?? inbound.count
            let peer = InboundPeer(
                descriptor,
                slot: slot,
                generation: nextGeneration & PollToken.generationMask,
                at: now
            )
            nextGeneration += 1
            do throws(SystemError) {
                try poller.add(
                    peer.descriptor,
                    token: PollToken.make(.peerInbound, slot: slot, generation: peer.generation),
                    interest: .read
                )
            } catch {
                log.error("peer", "a connection cannot be watched", ["error": .text("\(error)")])
                return
            }
            if slot == inbound.count { inbound.append(peer) } else { inbound[slot] = peer }
        }
    }

    /// Connections to the peer port whose owner has not said who it is, at most.
    private static let maxStrangers = 64

    /// Closes the oldest stranger when there are as many as may be: a flood of them must not keep a
    /// real peer out, which says who it is at once.
    private func makeRoomForStranger() {
        let strangers = inbound.compactMap { $0 }.filter { $0.peer == nil }
        guard strangers.count >= NodeLoop.maxStrangers,
            let oldest = strangers.min(by: { $0.since < $1.since })
        else { return }
        closeInbound(oldest, nil)
        guard strangerFloodLoggedAt.map({ $0.advanced(by: .seconds(10)) <= now }) ?? true else {
            return
        }
        strangerFloodLoggedAt = now
        log.warning("peer", "many connections to the peer port say nothing; the oldest are closed")
    }

    /// Bytes that may wait of somebody who has not said who it is, above what a hello has: a frame
    /// of a known peer may be large, a stranger's must not fill the memory.
    private static let maxGreetingBytes = 1024

    func inboundIsReady(slot: Int, generation: UInt64) {
        guard slot < inbound.count, let peer = inbound[slot], peer.generation == generation else {
            return
        }
        switch Socket.read(peer.descriptor, into: &readBuffer) {
        case .bytes(let count):
            peer.bytesReceived += UInt64(count)
            peer.decoder.feed(readBuffer[..<count])
            do throws(WireError) {
                while inbound[slot] === peer, let frame = try peer.decoder.next() {
                    take(frame, from: peer)
                }
            } catch {
                closeInbound(peer, "\(error)")
            }
            if inbound[slot] === peer, peer.peer == nil,
                peer.decoder.bufferedBytes > NodeLoop.maxGreetingBytes
            {
                closeInbound(peer, "it sent more than a hello before it said who it is")
            }
        case .wouldBlock: break
        case .closed: closeInbound(peer, nil)
        case .failed(let code):
            closeInbound(peer, SystemError("read", code: code).description)
        }
    }

    private func take(_ frame: PeerFrame, from peer: InboundPeer) {
        switch (frame, peer.peer) {
        case (.message(let message), let node?):
            replica.received(message, from: node, at: now)
        case (.hello(let hello), nil):
            welcome(hello, peer)
        default:
            closeInbound(peer, "a frame that has no place here")
        }
    }

    private func welcome(_ hello: Hello, _ peer: InboundPeer) {
        if let reason = refusal(of: hello) {
            refuse(peer, reason, .other, isLogged: true)
            return
        }
        peer.claimed = hello.from
        if let refusal = judge(hello.identity, from: hello.from, run: hello.incarnation) {
            metrics.refusedPeers += 1
            let reason = refusal.description
            // It tries again every second: once a minute is often enough to say so.
            let logged = loggedRefusals[hello.from]
            let isNews =
                logged?.reason != reason
                || logged.map { $0.at.advanced(by: .seconds(60)) <= now } ?? true
            if isNews { loggedRefusals[hello.from] = (reason, now) }
            refuse(peer, reason, refusal.kind, isLogged: isNews)
            return
        }
        // A peer has one link: a new one means that it gave the old one up.
        for case let old? in inbound where old.peer == hello.from { closeInbound(old, nil) }
        peer.peer = hello.from
        peer.run = hello.incarnation
        // It is there again: no need to wait for the next try to reach it.
        if let link = links.first(where: { $0.peer == hello.from }), case .down = link.state {
            link.backoff = PeerLink.firstBackoff
            link.state = .down(until: now)
            needsTurn = true
        }
        PeerFrame.helloReply(
            .welcome(
                incarnation: replica.configuration.incarnation,
                identity: replica.greeting
            )
        ).encode(into: &peer.output.bytes)
        if peer.output.write(to: peer.descriptor) != nil {
            // A new connection takes a few bytes at once, or something is wrong with it.
            closeInbound(peer, "its hello could not be answered")
        }
    }

    private func refuse(
        _ peer: InboundPeer,
        _ reason: String,
        _ kind: RefusalKind,
        isLogged: Bool
    ) {
        PeerFrame.helloReply(.refused(reason, kind: kind)).encode(into: &peer.output.bytes)
        _ = peer.output.write(to: peer.descriptor)
        closeInbound(peer, isLogged ? reason : nil)
    }

    /// Whether a peer's data directory is the one that the cluster counts on.
    private func judge(_ identity: PeerIdentity?, from node: NodeID, run: UInt64)
        -> IdentityRefusal?
    {
        let last = inbound.contains { $0?.peer == node && $0?.run != run }
        let heard = replica.peerStates.first { $0.node == node }?.lastHeardAt
        // Pings come twice a second: who is silent for longer is hardly there.
        let isRunning = last && heard.map { $0.advanced(by: .milliseconds(1500)) > now } ?? false
        needsTurn = true
        return replica.refusal(
            of: identity,
            from: node,
            run: run,
            isRunning: isRunning,
            at: now
        )
    }

    /// Another directory stands for a node now: what is connected to the old one has to go.
    func disconnect(_ node: NodeID) {
        for case let peer? in inbound where peer.peer == node {
            closeInbound(peer, "another data directory stands for it now")
        }
        if let link = links.first(where: { $0.peer == node }), link.isUp {
            breakLink(link, "another data directory stands for it now", isBroken: false)
        }
    }

    private func refusal(of hello: Hello) -> String? {
        if hello.cluster != configuration.cluster {
            return
                "it is of cluster \"\(hello.cluster)\", this node of \"\(configuration.cluster)\""
        }
        if hello.to != configuration.node {
            return "it looks for node \(hello.to.number), this is node \(configuration.node.number)"
        }
        if hello.from == configuration.node {
            return "it says it is node \(hello.from.number), which this node is"
        }
        guard configuration.peers.contains(where: { $0.node == hello.from }) else {
            return "node \(hello.from.number) is not in this node's configuration"
        }
        return nil
    }

    /// Closes a connection to the peer port; a reason is logged.
    func closeInbound(_ peer: InboundPeer, _ reason: String?) {
        poller.remove(peer.descriptor)
        if inbound[peer.slot] === peer { inbound[peer.slot] = nil }
        guard let reason else { return }
        // Anybody can connect: a few lines a second at most are about strangers.
        if peer.peer == nil, !strangerLines.allows(at: now) { return }
        log.warning(
            "peer",
            "connection refused or closed",
            [
                "peer": .number(Int64((peer.peer ?? peer.claimed)?.number ?? 0)),
                "reason": .text(reason),
                "left_out_before": .number(Int64(strangerLines.takeLeftOut())),
            ]
        )
    }

    func bytesReceived(from node: NodeID) -> UInt64 {
        inbound.reduce(0) { $0 + ($1?.peer == node ? $1?.bytesReceived ?? 0 : 0) }
    }
}
