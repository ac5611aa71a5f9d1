import Reactor

/// Stands in front of a node's peer port for one other node, so that this one direction between the
/// two can be cut, delayed or broken.
///
/// What a node has to say to a peer goes over its own connection, and each node is configured to
/// reach each peer through a relay of the pair; so a relay carries one direction. A cut is silence:
/// nothing is read, nothing is written, and no end of a connection is passed on.
final class Relay: ChaosWatcher {
    let from: Int
    let to: Int
    let port: UInt16
    private let loop: ChaosLoop
    private let listener: Listener
    private let target: ResolvedAddress
    private var token: UInt64?
    private var connections: [ObjectIdentifier: RelayedConnection] = [:]
    /// How many hold it cut.
    private var cuts = 0
    /// Nanoseconds that bytes take on the way.
    private(set) var delay: UInt64 = 0

    /// Listens at a port that the kernel picks; `target` is the peer's own.
    init(loop: ChaosLoop, from: Int, to: Int, target: HostPort) throws(SystemError) {
        self.loop = loop
        self.from = from
        self.to = to
        self.target = try ResolvedAddress.find(target)
        listener = try Listener(on: HostPort(host: "127.0.0.1", port: 0))
        port = listener.port
        token = loop.watch(listener.descriptor, .read, self)
    }

    var isCut: Bool { cuts > 0 }

    func cut() {
        cuts += 1
        guard cuts == 1 else { return }
        if let token { loop.unwatch(token, listener.descriptor) }
        token = nil
        for connection in connections.values { connection.suspend() }
    }

    /// - Parameter breaks: whether connections are broken now, rather than go on where they were.
    func heal(breaks: Bool) {
        cuts -= 1
        guard cuts == 0 else { return }
        token = loop.watch(listener.descriptor, .read, self)
        if breaks { breakAll() } else { for one in connections.values { one.resume() } }
    }

    /// Takes no more connections, and breaks those that there are.
    func close() {
        if let token { loop.unwatch(token, listener.descriptor) }
        token = nil
        breakAll()
    }

    func breakAll() { for connection in Array(connections.values) { connection.close() } }

    func setDelay(milliseconds: Int) { delay = UInt64(milliseconds) * 1_000_000 }
    func setDelay(nanoseconds: UInt64) { delay = nanoseconds }

    func isReady(_ event: Poller.Event) {
        while case .connection(let accepted) = listener.accept() {
            do throws(SystemError) {
                let server = FileDescriptorBox(try Socket.connect(to: target))
                let connection = RelayedConnection(loop, self, FileDescriptorBox(accepted), server)
                connections[ObjectIdentifier(connection)] = connection
                connection.resume()
            } catch {
                // The node sees its connection closed, as by a peer that is gone.
                continue
            }
        }
    }

    func forget(_ connection: RelayedConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }
}

/// A node's connection to a relay and the relay's to the peer.
final class RelayedConnection {
    /// One end, and what waits to be written to it.
    private final class Side: ChaosWatcher {
        let descriptor: FileDescriptorBox
        unowned let connection: RelayedConnection
        var token: UInt64?
        var interest: Poller.Interest = .read
        /// What may be written from a time on, oldest first.
        var waiting: [(due: UInt64, bytes: [UInt8])] = []
        var waitingBytes = 0
        var output = OutputBuffer()
        /// The other side has ended: nothing comes after what waits, and this side hears of it then.
        var endsAt: UInt64?
        var endsThen: Bool { endsAt != nil }
        var isConnected: Bool
        /// When a timer looks after it.
        var wakesAt: UInt64?
        /// What is to come for it goes nowhere.
        var isBroken = false

        init(_ descriptor: FileDescriptorBox, _ connection: RelayedConnection, isConnected: Bool) {
            self.descriptor = descriptor
            self.connection = connection
            self.isConnected = isConnected
        }

        func isReady(_ event: Poller.Event) { connection.isReady(self, event) }
    }

    private let loop: ChaosLoop
    private let relay: Relay
    // Both are made with this value, and do not outlive it.
    private var node: Side?
    private var peer: Side?
    private var isClosed = false
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)

    /// Bytes under way beyond which nothing more is read.
    private static let window = 4 << 20

    init(
        _ loop: ChaosLoop,
        _ relay: Relay,
        _ node: FileDescriptorBox,
        _ peer: FileDescriptorBox
    ) {
        self.loop = loop
        self.relay = relay
        self.node = Side(node, self, isConnected: true)
        self.peer = Side(peer, self, isConnected: false)
    }

    private var sides: [Side] { [node, peer].compactMap { $0 } }
    private func other(of side: Side) -> Side? { side === node ? peer : node }

    func suspend() {
        for side in sides {
            if let token = side.token { loop.unwatch(token, side.descriptor.descriptor) }
            side.token = nil
        }
    }

    func resume() {
        guard !isClosed else { return }
        for side in sides where side.token == nil && !side.isBroken {
            side.interest = wanted(side)
            side.token = loop.watch(side.descriptor.descriptor, side.interest, side)
        }
        for side in sides { flush(side) }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        suspend()
        node = nil
        peer = nil
        relay.forget(self)
    }

    private func wanted(_ side: Side) -> Poller.Interest {
        var interest: Poller.Interest = []
        if !side.isConnected || !side.output.isEmpty { interest.insert(.write) }
        let isOpen = side.isConnected && !(other(of: side)?.endsThen ?? true)
        if isOpen, (other(of: side)?.waitingBytes ?? 0) < RelayedConnection.window {
            interest.insert(.read)
        }
        return interest
    }

    private func update(_ side: Side) {
        let interest = wanted(side)
        guard let token = side.token, interest != side.interest else { return }
        side.interest = interest
        loop.change(token, side.descriptor.descriptor, interest)
    }

    private func isReady(_ side: Side, _ event: Poller.Event) {
        guard !isClosed, !relay.isCut else { return }
        if !side.isConnected {
            guard event.isWritable || event.isBroken else { return }
            guard Socket.connectionError(side.descriptor.descriptor) == 0 else { return close() }
            Socket.limitUnacknowledged(side.descriptor.descriptor, milliseconds: 30_000)
            side.isConnected = true
            flush(side)
            if !isClosed { update(side) }
            return
        }
        if event.isWritable { flush(side) }
        guard !isClosed, event.isReadable, let other = other(of: side) else { return }
        if other.endsThen {
            // Its end is known and waits for what came before it.
            if event.isBroken { unwatch(side) }
            return
        }
        switch Socket.read(side.descriptor.descriptor, into: &buffer) {
        case .bytes(let count):
            if other.isBroken { break }
            let due = max(other.waiting.last?.due ?? 0, loop.now + relay.delay)
            other.waiting.append((due, Array(buffer[..<count])))
            other.waitingBytes += count
            flush(other)
        case .wouldBlock: break
        case .closed, .failed:
            end(other)
            if !isClosed, event.isBroken { unwatch(side) }
        }
        if !isClosed {
            update(side)
            update(other)
        }
    }

    /// One side has ended: the other hears of it as late as of anything else.
    private func end(_ side: Side) {
        guard !side.endsThen else { return }
        side.endsAt = max(side.waiting.last?.due ?? 0, loop.now + relay.delay)
        flush(side)
    }

    /// A broken end is told of again and again.
    private func unwatch(_ side: Side) {
        if let token = side.token { loop.unwatch(token, side.descriptor.descriptor) }
        side.token = nil
    }

    /// Has a side looked after at a time: by one timer, however much comes for it before.
    private func wake(_ side: Side, at time: UInt64) {
        if let wakesAt = side.wakesAt, wakesAt <= time { return }
        side.wakesAt = time
        loop.at(time) { [weak self, weak side] in
            guard let self, let side, side.wakesAt == time else { return }
            side.wakesAt = nil
            self.flush(side)
        }
    }

    private func flush(_ side: Side) {
        guard !isClosed, !relay.isCut, side.isConnected, !side.isBroken else { return }
        let now = loop.now
        while let first = side.waiting.first, first.due <= now {
            side.output.bytes.append(contentsOf: first.bytes)
            side.waitingBytes -= first.bytes.count
            side.waiting.removeFirst()
        }
        if !side.output.isEmpty {
            switch side.output.write(to: side.descriptor.descriptor) {
            case nil, .wouldBlock, .bytes: break
            case .closed, .failed:
                // What came from it before is still on its way.
                side.output.removeAll()
                side.waiting.removeAll()
                side.waitingBytes = 0
                unwatch(side)
                side.isBroken = true
                guard let other = other(of: side), !side.endsThen else { return close() }
                return end(other)
            }
        }
        if let first = side.waiting.first {
            wake(side, at: first.due)
        } else if let end = side.endsAt, side.output.isEmpty {
            guard now < end else { return close() }
            wake(side, at: end)
        }
        update(side)
        if let other = other(of: side) { update(other) }
    }
}
