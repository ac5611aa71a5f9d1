import Journal
import Raft
import Replica
import Testing
import Verification

/// The files of one node, durable as soon as a step is done.
struct MemoryDisk: Disk {
    private var files: [String: [UInt8]] = [:]

    mutating func list() throws(DiskError) -> [String] { files.keys.sorted() }
    mutating func size(of file: String) throws(DiskError) -> Int { try bytes(of: file).count }
    mutating func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let bytes = try bytes(of: file)
        return Array(bytes[min(offset, bytes.count)..<min(offset + count, bytes.count)])
    }
    private func bytes(of file: String) throws(DiskError) -> [UInt8] {
        guard let bytes = files[file] else { throw DiskError(operation: "open \(file)", code: 2) }
        return bytes
    }
    mutating func perform(_ operation: DiskOperation) throws(DiskError) {
        switch operation {
        case .create(let file, let size): files[file] = [UInt8](repeating: 0, count: size)
        case .write(let file, let offset, let new):
            var bytes = try bytes(of: file)
            if bytes.count < offset + new.count {
                bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
            }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
            files[file] = bytes
        case .sync, .syncDirectory: break
        case .rename(let from, let to):
            files[to] = try bytes(of: from)
            files[from] = nil
        case .remove(let file): files[file] = nil
        case .truncate(let file, let size):
            var bytes = try bytes(of: file)
            bytes =
                Array(bytes.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - bytes.count))
            files[file] = bytes
        }
    }
}

/// Three replicas in virtual time; what they say to each other goes through the wire's bytes.
final class Script {
    final class Node {
        var replica: ReplicaNode
        var disk = MemoryDisk()
        /// Batches wait instead of being carried out.
        var holdsDisk = false
        var heldBatch: DiskBatch?
        var isUp = true
        var completions: [UInt64: Completion.Result] = [:]
        var reads: [UInt64: Bool] = [:]

        init(_ id: UInt32, incarnation: UInt64, disk: MemoryDisk, at now: Instant) throws {
            var disk = disk
            replica = try ReplicaNode(
                recovering: &disk,
                configuration: Script.configuration(id, incarnation),
                at: now
            )
            self.disk = disk
        }
    }

    var nodes: [Node] = []
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// Links that carry nothing, as (from, to).
    var cut: Set<[UInt32]> = []
    /// Says which messages are lost.
    var loses: (PeerMessage) -> Bool = { _ in false }
    private var nextContext: UInt64 = 1
    private var incarnations: UInt64 = 100

    static let flow = FlowDefinition(
        digest: FlowDigest(bytes: [UInt8](repeating: 7, count: 32)),
        name: "login",
        kind: .code,
        prompt: "",
        retryPrompt: "",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 30,
        expirySeconds: 600,
        waitSeconds: 2
    )

    static func configuration(_ id: UInt32, _ incarnation: UInt64) -> ReplicaConfiguration {
        var raft = RaftConfiguration(
            node: NodeID(id),
            membership: Membership(voters: [NodeID(1), NodeID(2), NodeID(3)]),
            seed: UInt64(id)
        )
        raft.maxCachedBytes = 4096
        let journal = JournalConfiguration(
            cluster: "test",
            node: NodeID(id),
            salt: incarnation,
            segmentSize: 1 << 20
        )
        return ReplicaConfiguration(raft: raft, journal: journal, incarnation: incarnation)
    }

    init() throws {
        for id in 1...3 as ClosedRange<UInt32> {
            nodes.append(try Node(id, incarnation: UInt64(id), disk: MemoryDisk(), at: now))
        }
        for node in nodes { connect(node) }
    }

    subscript(id: UInt32) -> Node { nodes[Int(id) - 1] }
    var wall: WallTime { WallTime(milliseconds: 1_800_000_000_000 + now.nanoseconds / 1_000_000) }

    private func connect(_ node: Node) {
        for other in nodes where other !== node && other.isUp && node.isUp {
            node.replica.peerConnected(other.replica.node, at: now)
            other.replica.peerConnected(node.replica.node, at: now)
        }
    }

    /// Lets a millisecond pass and everything happen that can.
    func step() throws {
        now = now.advanced(by: .milliseconds(1))
        var isBusy = true
        while isBusy {
            isBusy = false
            for node in nodes where node.isUp {
                if node.replica.turn(at: now, wall: wall) { isBusy = true }
                if try carryOut(node) { isBusy = true }
            }
        }
    }

    private func carryOut(_ node: Node) throws -> Bool {
        let output = node.replica.output
        node.replica.output.removeAll()
        if let batch = output.batch { node.heldBatch = batch }
        for read in output.diskReads {
            let bytes = try node.disk.read(read.file, at: read.offset, count: read.count)
            node.replica.readCompleted(read.number, .success(bytes), at: now)
        }
        for completion in output.completions {
            #expect(node.completions[completion.context] == nil, "completed twice")
            node.completions[completion.context] = completion.result
        }
        for read in output.reads { node.reads[read.context] = read.isReady }
        let from = node.replica.node
        for envelope in output.messages {
            let to = self[envelope.to.number]
            guard to.isUp, !cut.contains([from.number, to.replica.node.number]),
                !loses(envelope.message)
            else { continue }
            var bytes: [UInt8] = []
            PeerFrame.message(envelope.message).encode(into: &bytes)
            var decoder = FrameDecoder()
            decoder.feed(bytes)
            guard case .message(let message) = try decoder.next() else {
                Issue.record("not a message")
                continue
            }
            #expect(message == envelope.message)
            to.replica.received(message, from: from, at: now)
        }
        return try performBatch(node) || !output.isEmpty
    }

    private func performBatch(_ node: Node) throws -> Bool {
        guard !node.holdsDisk, let batch = node.heldBatch else { return false }
        node.heldBatch = nil
        for operation in batch.operations { try node.disk.perform(operation) }
        node.replica.batchCompleted(batch.number, at: now)
        return true
    }

    /// Steps until the condition holds.
    func wait(
        _ what: String,
        upTo limit: Duration = .seconds(20),
        until isDone: () -> Bool
    ) throws {
        let end = now.advanced(by: limit)
        while !isDone() {
            try #require(now < end, "not within \(limit): \(what)")
            try step()
        }
    }

    func pass(_ span: Duration) throws {
        let end = now.advanced(by: span)
        while now < end { try step() }
    }

    var leader: UInt32? {
        nodes.first { $0.isUp && $0.replica.raft.role == .leader && $0.replica.canCommit }?
            .replica.node.number
    }

    func elect() throws -> UInt32 {
        try wait("a leader") { leader != nil }
        try wait("all know it") {
            nodes.allSatisfy { !$0.isUp || $0.replica.raft.leader?.number == leader }
        }
        return try #require(leader)
    }

    /// The process dies; its disk stays, and whoever is connected to it is told.
    func kill(_ id: UInt32) {
        self[id].isUp = false
        for node in nodes where node.isUp {
            node.replica.peerDisconnected(NodeID(id), broken: true, at: now)
        }
    }

    func start(_ id: UInt32) throws {
        incarnations += 1
        nodes[Int(id) - 1] = try Node(
            id,
            incarnation: incarnations,
            disk: self[id].disk,
            at: now
        )
        connect(self[id])
    }

    // MARK: Requests

    private func origin(_ id: UInt32) -> Origin {
        Origin(
            node: id,
            region: "r\(id)",
            receivedAt: wall,
            request: RequestID(node: id, incarnation: 0, sequence: 0)
        )
    }

    func attempt(_ name: String) throws -> AttemptID { try #require(AttemptID(name)) }

    /// Submits an open at a node.
    ///
    /// - Returns: its context.
    @discardableResult
    func open(_ name: String, at id: UInt32, expiresIn: UInt32 = 600) throws -> UInt64 {
        let open = OpenAttempt(
            attempt: try attempt(name),
            flow: Script.flow.digest,
            subject: "",
            expiresInSeconds: expiresIn,
            challenge: [1, 2, 3],
            maxTries: 3,
            targets: [],
            origin: origin(id)
        )
        return try submit(.open(open), at: id)
    }

    func callback(
        _ name: String,
        _ event: EventKind = .digits,
        sequence: UInt64 = 1,
        digits: [UInt8]? = [1, 2, 3],
        at id: UInt32
    ) throws -> Callback {
        Callback(
            attempt: try attempt(name),
            key: CallbackKey(provider: "test", call: "C1", event: event, sequence: sequence),
            provider: "test",
            call: "C1",
            event: event,
            sequence: sequence,
            digits: digits,
            status: nil,
            outcome: nil,
            channel: "voice",
            occurredAt: nil,
            origin: origin(id)
        )
    }

    @discardableResult
    func submit(_ command: Command, at id: UInt32) throws -> UInt64 {
        let context = nextContext
        nextContext += 1
        let submission = self[id].replica.submit(
            command,
            definition: Script.flow,
            context: context,
            at: now
        )
        guard case .taken = submission else {
            Issue.record("refused: \(submission)")
            return context
        }
        return context
    }

    func result(_ context: UInt64, at id: UInt32) throws -> Completion.Result {
        try wait("the result of request \(context) at n\(id)") {
            self[id].completions[context] != nil
        }
        return try #require(self[id].completions[context])
    }

    func decision(_ context: UInt64, at id: UInt32) throws -> Decision {
        guard case .applied(.decided(let decision)) = try result(context, at: id) else {
            throw Unexpected(result: "\(try result(context, at: id))")
        }
        return decision
    }
    struct Unexpected: Error { var result: String }

    func state(_ id: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        self[id].replica.machine.forEachCanonicalChunk { bytes += $0 }
        return bytes
    }
}
