import HTTP
import Reactor

/// Somebody who asks the nodes over connections of their own: a region's platforms, a reader.
final class ChaosClient {
    enum End {
        /// Nothing of the request left.
        case notSent
        /// It was sent, in part at least, and there is no answer.
        case unanswered
        case answered(Response)
    }
    struct Request {
        var node: Int
        var bytes: [UInt8]
        /// Nanoseconds.
        var patience: UInt64
        /// Called with the times of the run at which it was sent and ended.
        var completion: (End, UInt64, UInt64) -> Void
    }
    /// What is wrong between this client and a node.
    enum Fault {
        /// Nothing arrives there.
        case cut
        /// It arrives, and answers are lost.
        case deaf
    }

    private final class Connection: ChaosWatcher {
        unowned let client: ChaosClient
        let node: Int
        let descriptor: FileDescriptorBox
        var token: UInt64?
        var interest: Poller.Interest = .write
        var isConnected = false
        var output = OutputBuffer()
        var parser = ResponseParser()
        var request: Request?
        var sentAt: UInt64 = 0
        var deadline: UInt64 = 0
        var place = 0

        init(_ client: ChaosClient, _ node: Int, _ descriptor: FileDescriptorBox) {
            self.client = client
            self.node = node
            self.descriptor = descriptor
        }
        func isReady(_ event: Poller.Event) { client.isReady(self, event) }
    }

    let name: String
    let number: Int
    private let loop: ChaosLoop
    private let addresses: [ResolvedAddress]
    /// Connections to a node, at most.
    private let limit: Int
    private var idle: [[Connection]]
    private var busy: [Connection] = []
    private var counts: [Int]
    /// First in, first out, by node; `heads` is where each queue begins.
    private var queues: [[Request]]
    private var heads: [Int]
    private var faults: [[Fault]]
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)

    init(
        _ loop: ChaosLoop,
        name: String,
        number: Int,
        addresses: [ResolvedAddress],
        limit: Int
    ) {
        self.loop = loop
        self.name = name
        self.number = number
        self.addresses = addresses
        self.limit = limit
        let count = addresses.count
        idle = Array(repeating: [], count: count)
        counts = Array(repeating: 0, count: count)
        queues = Array(repeating: [], count: count)
        heads = Array(repeating: 0, count: count)
        faults = Array(repeating: [], count: count)
        sweep()
    }

    /// Requests that are under way or wait for a connection.
    var load: Int { busy.count + queued }
    var queued: Int { zip(queues, heads).reduce(0) { $0 + $1.0.count - $1.1 } }

    func send(_ request: Request) {
        queues[request.node].append(request)
        serve(request.node)
    }

    func begin(_ fault: Fault, to node: Int) {
        faults[node].append(fault)
        // What is under way is sent already, and its answer will not come.
        for connection in busy where connection.node == node { mute(connection) }
        for connection in idle[node] { close(connection) }
        idle[node] = []
    }

    func end(_ fault: Fault, to node: Int) {
        if let place = faults[node].firstIndex(of: fault) { faults[node].remove(at: place) }
    }

    private func isCut(_ node: Int) -> Bool { faults[node].contains(.cut) }
    private func isDeaf(_ node: Int) -> Bool { !faults[node].isEmpty }

    private func serve(_ node: Int) {
        while heads[node] < queues[node].count {
            let connection: Connection
            if let free = idle[node].popLast() {
                connection = free
            } else if counts[node] < limit {
                guard let made = connect(node) else { return }
                connection = made
            } else {
                return
            }
            let request = queues[node][heads[node]]
            heads[node] += 1
            if heads[node] > 1024, heads[node] * 2 > queues[node].count {
                queues[node].removeFirst(heads[node])
                heads[node] = 0
            }
            start(request, connection)
        }
    }

    private func connect(_ node: Int) -> Connection? {
        do throws(SystemError) {
            let descriptor = FileDescriptorBox(try Socket.connect(to: addresses[node]))
            let connection = Connection(self, node, descriptor)
            counts[node] += 1
            if !isCut(node) {
                connection.token = loop.watch(descriptor.descriptor, .write, connection)
            }
            return connection
        } catch {
            loop.fail(error)
            return nil
        }
    }

    private func start(_ request: Request, _ connection: Connection) {
        connection.request = request
        connection.sentAt = loop.now
        connection.deadline = loop.now + request.patience
        connection.place = busy.count
        busy.append(connection)
        connection.output.bytes.append(contentsOf: request.bytes)
        if connection.isConnected { write(connection) }
    }

    private func isReady(_ connection: Connection, _ event: Poller.Event) {
        if !connection.isConnected {
            guard event.isWritable || event.isBroken else { return }
            guard Socket.connectionError(connection.descriptor.descriptor) == 0 else {
                return finish(connection, .notSent)
            }
            connection.isConnected = true
            connection.sentAt = loop.now
            return write(connection)
        }
        if event.isWritable, !connection.output.isEmpty { write(connection) }
        guard event.isReadable, connection.token != nil else { return }
        switch Socket.read(connection.descriptor.descriptor, into: &buffer) {
        case .bytes(let count):
            guard connection.request != nil else { return drop(connection) }
            connection.parser.feed(buffer[..<count])
            take(connection, connection.parser.next())
        case .wouldBlock: break
        case .closed, .failed:
            guard connection.request != nil else { return drop(connection) }
            finish(connection, .unanswered)
        }
    }

    private func take(_ connection: Connection, _ step: ResponseParser.Step) {
        switch step {
        case .needsMore: break
        case .failed: finish(connection, .unanswered)
        case .response(let response, let keepsAlive):
            finish(connection, .answered(response), reuse: keepsAlive)
        }
    }

    private func write(_ connection: Connection) {
        switch connection.output.write(to: connection.descriptor.descriptor) {
        case nil: watch(connection, .read)
        case .wouldBlock: watch(connection, [.read, .write])
        default: return finish(connection, .unanswered)
        }
        if isDeaf(connection.node), connection.output.isEmpty { mute(connection) }
    }

    private func watch(_ connection: Connection, _ interest: Poller.Interest) {
        guard let token = connection.token, connection.interest != interest else { return }
        connection.interest = interest
        loop.change(token, connection.descriptor.descriptor, interest)
    }

    /// Hears nothing any more; its request ends with its patience.
    private func mute(_ connection: Connection) {
        guard let token = connection.token else { return }
        loop.unwatch(token, connection.descriptor.descriptor)
        connection.token = nil
    }

    private func finish(_ connection: Connection, _ end: End, reuse: Bool = false) {
        guard let request = connection.request else { return drop(connection) }
        connection.request = nil
        remove(connection)
        if reuse, connection.token != nil {
            idle[connection.node].append(connection)
        } else {
            close(connection)
        }
        request.completion(end, connection.sentAt, loop.now)
        serve(connection.node)
    }

    private func remove(_ connection: Connection) {
        let last = busy.removeLast()
        guard last !== connection else { return }
        busy[connection.place] = last
        last.place = connection.place
    }

    private func drop(_ connection: Connection) {
        idle[connection.node].removeAll { $0 === connection }
        close(connection)
    }

    private func close(_ connection: Connection) {
        mute(connection)
        counts[connection.node] -= 1
    }

    /// Ends what has waited too long.
    private func sweep() {
        let now = loop.now
        for connection in busy where connection.deadline <= now {
            finish(connection, connection.isConnected ? .unanswered : .notSent)
        }
        loop.after(milliseconds: 20) { [weak self] in self?.sweep() }
    }

    /// Gives up all that is under way, and every connection.
    func abandon() {
        for node in queues.indices {
            queues[node] = []
            heads[node] = 0
            for connection in idle[node] { close(connection) }
            idle[node] = []
        }
        for connection in busy { close(connection) }
        busy = []
    }
}
