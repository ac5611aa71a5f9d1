import Journal
import Raft
import Replica
import Testing
import Verification

/// Replicas, three or five, in virtual time: messages go through the codec over links that can be cut, and
/// disks finish when the script lets them.
///
/// A replica gets a turn when something reached it or its deadline is there, never otherwise: one
/// that forgets to ask for a turn stays behind.
final class Cluster {
    final class Process {
        var replica: ReplicaNode
        var batch: DiskBatch?
        var intake: DiskBatch?
        var needsTurn = true
        init(_ replica: consuming ReplicaNode) { self.replica = replica }
    }
    struct Member {
        let id: NodeID
        var disk = MemoryDisk()
        var process: Process?
        var run: UInt64 = 0
        /// Batches do not finish while this is set.
        var holdsDisk = false
        /// Batches of the intake do not finish while this is set.
        var holdsIntake = false
        /// Reads of the journal do not finish while this is set.
        var holdsReads = false
        /// Reads of the state do not finish while this is set.
        var holdsLoads = false
        var heldReads: [DiskRead] = []
        /// Tells its directory from a copy of it.
        var place: UInt64
        /// How far this node's wall clock is ahead, in milliseconds.
        var skew: UInt64 = 0
    }
    private enum Event {
        case arrive(from: Int, to: Int, epoch: Int, [UInt8])
        case batchDone(Int, run: UInt64, UInt64)
        case backgroundDone(Int, run: UInt64, DiskBatch)
        case intakeDone(Int, run: UInt64)
        case readDone(Int, run: UInt64, DiskRead)
    }

    var members: [Member]
    private(set) var now = Instant(nanoseconds: 1_000_000)
    private var queue: [(at: Instant, event: Event)] = []
    private var epoch: [[Int]]
    /// Messages from row to column are lost in silence.
    private var isCut: [[Bool]]
    private let configure: (inout ReplicaConfiguration) -> Void
    /// Sees each message before it is sent; what it gives instead goes, `nil` is lost.
    var intercept: (_ from: Int, _ to: Int, PeerMessage) -> PeerMessage? = { $2 }
    /// Pairs, by the lower node, that cannot connect at all.
    var cannotConnect: [(Int, Int)] = []

    private(set) var completions: [UInt64: Completion] = [:]
    private(set) var completedAt: [UInt64: Instant] = [:]
    private(set) var reads: [UInt64: Bool] = [:]
    private(set) var notices: [(node: Int, notice: Notice)] = []
    private(set) var diskReads = 0
    private var nextContext: UInt64 = 1

    static let latency = Duration.milliseconds(5)
    static let diskTime = Duration.milliseconds(2)
    static let electionTimeout = Duration.milliseconds(300)
    static let startOfTime: UInt64 = 1_700_000_000_000

    /// Nodes greet each other and judge each other's directories.
    private let hasDirectories: Bool
    private(set) var refusals: [(judge: Int, node: Int, refusal: IdentityRefusal)] = []

    init(
        hasDirectories: Bool = false,
        size: Int = 3,
        starting: [Int]? = nil,
        configure: @escaping (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws {
        self.hasDirectories = hasDirectories
        members = (1...UInt32(size)).map { Member(id: NodeID($0), place: UInt64($0)) }
        epoch = Array(repeating: Array(repeating: 0, count: size), count: size)
        isCut = Array(repeating: Array(repeating: false, count: size), count: size)
        self.configure = configure
        for node in starting ?? Array(0..<size) { try start(node) }
    }

    // MARK: Nodes

    func start(_ node: Int) throws {
        members[node].run += 1
        let id = members[node].id
        var raft = RaftConfiguration(
            node: id,
            membership: Membership(voters: members.map(\.id)),
            seed: UInt64(id.number) * 100 + members[node].run
        )
        raft.electionTimeout = Cluster.electionTimeout
        raft.heartbeatInterval = .milliseconds(50)
        let journal = JournalConfiguration(
            cluster: "test",
            node: id,
            salt: UInt64(id.number) << 32 + members[node].run,
            segmentSize: 64 * 1024,
            tailBytes: 4096
        )
        var configuration = ReplicaConfiguration(
            raft: raft,
            journal: journal,
            incarnation: members[node].run
        )
        configuration.requestHold = .seconds(5)
        configuration.forwardRetry = .milliseconds(400)
        configuration.scrubBytesPerSecond = 0
        // Indexes are the scripts' own, unless one is about digests.
        configuration.digestInterval = nil
        if hasDirectories {
            configuration.identity = IdentityConfiguration(
                fresh: DirectoryID(high: UInt64(id.number), low: members[node].run),
                place: members[node].place
            )
        }
        configure(&configuration)
        let replica = try ReplicaNode(
            recovering: &members[node].disk,
            configuration: configuration,
            at: now
        )
        members[node].process = Process(replica)
        for other in members.indices where other != node && members[other].process != nil {
            connect(node, other)
        }
    }

    /// The process dies; what its disk has not finished is lost.
    func crash(_ node: Int) {
        members[node].process = nil
        for other in members.indices where other != node {
            loseLink(node, other)
            with(other) { $0.peerDisconnected(self.members[node].id, broken: true, at: self.now) }
        }
    }

    private func loseLink(_ a: Int, _ b: Int) {
        epoch[a][b] += 1
        epoch[b][a] += 1
    }

    func connect(_ a: Int, _ b: Int) {
        if cannotConnect.contains(where: { $0 == (min(a, b), max(a, b)) }) { return }
        let isWelcome = greet(a, at: b)
        guard greet(b, at: a), isWelcome else { return }
        with(a) { $0.peerConnected(self.members[b].id, at: self.now) }
        with(b) { $0.peerConnected(self.members[a].id, at: self.now) }
    }

    /// - Returns: whether a node is let in.
    private func greet(_ node: Int, at judge: Int) -> Bool {
        guard let greeting = look(node, { $0.greeting }) else { return true }
        let refusal = with(judge) {
            $0.refusal(
                of: greeting,
                from: self.members[node].id,
                run: self.members[node].run,
                isRunning: false,
                at: self.now
            )
        }
        guard let refusal = refusal ?? nil else { return true }
        refusals.append((judge, node, refusal))
        with(node) {
            $0.refused(
                by: self.members[judge].id,
                refusal.description,
                kind: refusal.kind,
                at: self.now
            )
        }
        return false
    }

    /// The connection ends and a new one is made; what was under way is lost.
    func resetLink(_ a: Int, _ b: Int) {
        loseLink(a, b)
        with(a) { $0.peerDisconnected(self.members[b].id, broken: false, at: self.now) }
        with(b) { $0.peerDisconnected(self.members[a].id, broken: false, at: self.now) }
        connect(a, b)
    }

    /// Nothing passes between a node and the others, and nobody is told.
    func cutOff(_ node: Int) {
        for other in members.indices {
            isCut[node][other] = true
            isCut[other][node] = true
        }
    }

    func heal() {
        for a in isCut.indices { for b in isCut.indices { isCut[a][b] = false } }
    }

    func releaseDisk(_ node: Int) {
        members[node].holdsDisk = false
        guard let process = members[node].process, let batch = process.batch else { return }
        let done = Event.batchDone(node, run: members[node].run, batch.number)
        schedule(done, after: Cluster.diskTime)
    }

    func releaseIntake(_ node: Int) {
        members[node].holdsIntake = false
        guard members[node].process?.intake != nil else { return }
        schedule(.intakeDone(node, run: members[node].run), after: Cluster.diskTime)
    }

    func releaseReads(_ node: Int) {
        members[node].holdsReads = false
        members[node].holdsLoads = false
        for read in members[node].heldReads {
            schedule(.readDone(node, run: members[node].run, read), after: Cluster.diskTime)
        }
        members[node].heldReads = []
    }

    /// Calls a replica, which then gets a turn.
    @discardableResult
    func with<Result>(_ node: Int, _ body: (inout ReplicaNode) -> Result) -> Result? {
        guard let process = members[node].process else { return nil }
        process.needsTurn = true
        return body(&process.replica)
    }

    /// Looks at a replica.
    func look<Result>(_ node: Int, _ body: (borrowing ReplicaNode) -> Result) -> Result? {
        members[node].process.map { body($0.replica) }
    }

    // MARK: Time

    private func schedule(_ event: Event, after delay: Duration) {
        let at = now.advanced(by: delay)
        let place = queue.firstIndex { $0.at > at } ?? queue.count
        queue.insert((at, event), at: place)
    }

    func wall(_ node: Int) -> WallTime {
        WallTime(
            milliseconds: Cluster.startOfTime + members[node].skew + now.nanoseconds / 1_000_000
        )
    }

    func run(for span: Duration) { run(atMost: span) { false } }

    /// Goes on until a condition holds.
    ///
    /// - Returns: whether it came to hold.
    @discardableResult
    func run(atMost span: Duration, until condition: () -> Bool) -> Bool {
        let end = now.advanced(by: span)
        var stepsInPlace = 0
        while !condition() {
            turnAll()
            if condition() { return true }
            var next = end
            if let first = queue.first { next = min(next, first.at) }
            for node in members.indices {
                guard let process = members[node].process else { continue }
                if process.needsTurn { next = now }
                next = min(next, process.replica.nextDeadline(at: now, wall: wall(node)))
            }
            if next >= end {
                now = end
                return condition()
            }
            stepsInPlace = next <= now ? stepsInPlace + 1 : 0
            guard stepsInPlace < 10_000 else {
                Issue.record("time stands still at \(now.nanoseconds)")
                return false
            }
            now = max(now, next)
            while let first = queue.first, first.at <= now {
                queue.removeFirst()
                carryOut(first.event)
            }
        }
        return true
    }

    private func turnAll() {
        for node in members.indices {
            guard let process = members[node].process else { continue }
            let wall = wall(node)
            let deadline = process.replica.nextDeadline(at: now, wall: wall)
            guard process.needsTurn || deadline <= now else { continue }
            process.needsTurn = process.replica.turn(at: now, wall: wall)
            let output = process.replica.output
            process.replica.output.removeAll()
            for envelope in output.messages { send(envelope, from: node) }
            if let batch = output.batch {
                #expect(process.batch == nil, "two batches at a time")
                process.batch = batch
                if !members[node].holdsDisk {
                    let done = Event.batchDone(node, run: members[node].run, batch.number)
                    schedule(done, after: Cluster.diskTime)
                }
            }
            if let batch = output.intake {
                #expect(process.intake == nil, "two batches of the intake at a time")
                process.intake = batch
                let done = Event.intakeDone(node, run: members[node].run)
                if !members[node].holdsIntake { schedule(done, after: Cluster.diskTime) }
            }
            for peer in output.disconnects {
                let other = Int(peer.number) - 1
                loseLink(node, other)
                with(other) {
                    $0.peerDisconnected(self.members[node].id, broken: false, at: self.now)
                }
                with(node) { $0.peerDisconnected(peer, broken: false, at: self.now) }
            }
            if let batch = output.background {
                schedule(
                    .backgroundDone(node, run: members[node].run, batch),
                    after: Cluster.diskTime
                )
            }
            for read in output.loads {
                guard !members[node].holdsLoads else {
                    members[node].heldReads.append(read)
                    continue
                }
                schedule(
                    .readDone(node, run: members[node].run, read),
                    after: Cluster.diskTime
                )
            }
            for read in output.diskReads {
                diskReads += 1
                guard !members[node].holdsReads else {
                    members[node].heldReads.append(read)
                    continue
                }
                let done = Event.readDone(node, run: members[node].run, read)
                schedule(done, after: Cluster.diskTime)
            }
            for completion in output.completions {
                #expect(completions[completion.context] == nil, "answered twice")
                completions[completion.context] = completion
                completedAt[completion.context] = now
            }
            for read in output.reads {
                #expect(reads[read.context] == nil, "read answered twice")
                reads[read.context] = read.isReady
                if read.isReady { readServed(read.context, node) }
            }
            notices += output.notices.map { (node, $0) }
            guard process.replica.isRetired else { continue }
            crash(node)
            do { try start(node) } catch { Issue.record(error) }
        }
    }

    /// Called when a read may be served at a node, before anything else happens there.
    var readServed: (_ context: UInt64, _ node: Int) -> Void = { _, _ in }

    private func send(_ envelope: ReplicaOutput.Envelope, from: Int) {
        let to = Int(envelope.to.number) - 1
        guard !isCut[from][to], let message = intercept(from, to, envelope.message) else { return }
        var bytes: [UInt8] = []
        PeerFrame.message(message).encode(into: &bytes)
        let event = Event.arrive(from: from, to: to, epoch: epoch[from][to], bytes)
        schedule(event, after: Cluster.latency)
    }

    private func carryOut(_ event: Event) {
        switch event {
        case .arrive(let from, let to, let epoch, let bytes):
            guard self.epoch[from][to] == epoch, !isCut[from][to] else { return }
            var decoder = FrameDecoder()
            decoder.feed(bytes)
            do {
                guard case .message(let message) = try decoder.next() else {
                    Issue.record("a message was sent, none arrives")
                    return
                }
                with(to) { $0.received(message, from: self.members[from].id, at: self.now) }
            } catch {
                Issue.record(error)
            }
        case .batchDone(let node, let run, let number):
            guard members[node].run == run, !members[node].holdsDisk,
                let process = members[node].process, let batch = process.batch,
                batch.number == number
            else { return }
            process.batch = nil
            for (position, operation) in batch.operations.enumerated() {
                do throws(DiskError) {
                    try members[node].disk.perform(operation)
                } catch {
                    guard batch.isUntouched(by: error, at: position) else {
                        Issue.record(error)
                        return
                    }
                    with(node) { $0.batchFoundNoRoom(number, error, at: self.now) }
                    return
                }
            }
            with(node) { $0.batchCompleted(number, at: self.now) }
        case .backgroundDone(let node, let run, let batch):
            guard members[node].run == run, members[node].process != nil else { return }
            var result: Result<Void, DiskError> = .success(())
            do throws(DiskError) {
                for operation in batch.operations { try members[node].disk.perform(operation) }
            } catch {
                result = .failure(error)
            }
            with(node) { $0.backgroundCompleted(batch.number, result, at: self.now) }
        case .intakeDone(let node, let run):
            guard members[node].run == run, !members[node].holdsIntake,
                let process = members[node].process, let batch = process.intake
            else { return }
            process.intake = nil
            for (position, operation) in batch.operations.enumerated() {
                do throws(DiskError) {
                    try members[node].disk.perform(operation)
                } catch {
                    guard batch.isUntouched(by: error, at: position) else {
                        Issue.record(error)
                        return
                    }
                    with(node) { $0.intakeFoundNoRoom(batch.number, error, at: self.now) }
                    return
                }
            }
            with(node) { $0.intakeWritten(batch.number, at: self.now) }
        case .readDone(let node, let run, let read):
            guard members[node].run == run else { return }
            let result: Result<[UInt8], DiskError>
            do throws(DiskError) {
                result = .success(
                    try members[node].disk.read(read.file, at: read.offset, count: read.count)
                )
            } catch {
                result = .failure(error)
            }
            with(node) { $0.readCompleted(read.number, result, at: self.now) }
        }
    }

    // MARK: Leaders

    /// The leader of the newest term.
    var leader: Int? {
        members.indices
            .filter { look($0) { $0.raft.role == .leader } == true }
            .max { term($0) < term($1) }
    }
    func term(_ node: Int) -> Term { look(node) { $0.raft.currentTerm } ?? .zero }

    /// Waits for a leader that all others know, other than `old`.
    @discardableResult
    func awaitLeader(otherThan old: Int? = nil, knownTo nodes: [Int]? = nil) throws -> Int {
        let nodes = nodes ?? members.indices.filter { members[$0].process != nil }
        let isElected = run(atMost: .seconds(10)) {
            guard let leader, leader != old else { return false }
            return nodes.allSatisfy { node in
                look(node) { $0.canCommit && $0.raft.leader == members[leader].id } == true
            }
        }
        try #require(isElected, "no leader")
        return try #require(leader)
    }

    /// Sees to it that a node leads.
    func elect(_ node: Int) throws {
        try awaitLeader()
        for _ in 0..<10 where leader != node {
            guard let leader else { continue }
            with(leader) { replica in
                _ = replica.transferLeadership(to: self.members[node].id, at: self.now)
            }
            run(atMost: .seconds(2)) { self.leader == node }
        }
        try #require(try awaitLeader() == node)
    }

    // MARK: Requests

    /// Hands a command in; the number names its completion.
    func submit(
        _ command: Command,
        definition: FlowDefinition? = nil,
        at node: Int
    ) throws -> UInt64 {
        let context = nextContext
        nextContext += 1
        var command = command
        command.receivedAt(members[node].id, wall(node))
        let submission = with(node) {
            $0.submit(command, definition: definition, context: context, at: self.now)
        }
        guard case .taken = submission else {
            throw Refused(submission: submission)
        }
        return context
    }
    struct Refused: Error { var submission: Submission? }

    /// Hands a command in and waits for its result.
    @discardableResult
    func perform(
        _ command: Command,
        definition: FlowDefinition? = nil,
        at node: Int,
        within span: Duration = .seconds(5)
    ) throws -> Applied {
        let context = try submit(command, definition: definition, at: node)
        run(atMost: span) { self.completions[context] != nil }
        return try applied(context)
    }

    func applied(_ context: UInt64) throws -> Applied {
        guard case .applied(let applied) = try #require(completions[context]).result else {
            throw TimedOut()
        }
        return applied
    }
    struct TimedOut: Error {}

    func decision(_ context: UInt64) throws -> Decision {
        guard case .decided(let decision) = try applied(context) else { throw TimedOut() }
        return decision
    }

    func open(_ attempt: String, at node: Int, expiresIn: UInt32 = 600) throws {
        let command = Example.open(attempt, expiresIn: expiresIn)
        let applied = try perform(command, definition: Example.flow, at: node)
        guard case .opened(isNew: true, _) = applied else {
            throw Refused(submission: nil)
        }
    }

    /// Hands a callback to a node's intake; the number names its completion.
    func takeIn(_ callback: Callback, as id: RequestID? = nil, at node: Int) -> (
        context: UInt64, submission: IntakeSubmission?
    ) {
        let context = nextContext
        nextContext += 1
        var command = Command.callback(callback)
        command.receivedAt(members[node].id, wall(node))
        guard case .callback(let received) = command else { return (context, nil) }
        let submission = with(node) {
            $0.takeIn(received, as: id, context: context, at: self.now)
        }
        return (context, submission)
    }

    func intake(at node: Int) -> Int {
        look(node) { $0.intakeDepth(wall: WallTime(milliseconds: 0)).records } ?? 0
    }

    func beginRead(at node: Int) -> UInt64 {
        let context = nextContext
        nextContext += 1
        with(node) { $0.beginRead(context: context, at: self.now) }
        return context
    }

    // MARK: States

    func digest(_ node: Int) -> [UInt8] {
        var all: [UInt8] = []
        members[node].process?.replica.machine.forEachCanonicalChunk { all += $0 }
        return all
    }

    /// Waits until all have applied the same log, and expects equal states.
    func expectEqualStates(sourceLocation: SourceLocation = #_sourceLocation) {
        let isEven = run(atMost: .seconds(10)) {
            let applied = Set(members.indices.map { look($0) { $0.appliedIndex } })
            let last = Set(members.indices.map { look($0) { $0.raft.lastIndex } })
            return applied.count == 1 && applied == last
        }
        #expect(isEven, "not all have applied the same", sourceLocation: sourceLocation)
        #expect(digest(0) == digest(1), sourceLocation: sourceLocation)
        #expect(digest(0) == digest(2), sourceLocation: sourceLocation)
    }

    func timeline(_ attempt: String, at node: Int) -> [TimelineEntry] {
        look(node) { $0.machine.timeline(Example.id(attempt)) ?? [] } ?? []
    }
    func view(_ attempt: String, at node: Int) -> AttemptView? {
        look(node) { $0.machine.attempt(Example.id(attempt)) } ?? nil
    }
}

extension Command {
    fileprivate mutating func receivedAt(_ node: NodeID, _ time: WallTime) {
        switch self {
        case .open(var open):
            open.origin.node = node.number
            open.origin.receivedAt = time
            self = .open(open)
        case .callback(var callback):
            callback.origin.node = node.number
            callback.origin.receivedAt = time
            self = .callback(callback)
        case .readmit(var readmission):
            readmission.request.node = node.number
            self = .readmit(readmission)
        case .defineFlow, .repeats, .tick, .checkDigest, .settings: break
        }
    }
}

extension ReplicaConfiguration {
    /// The log in many small files of which only the newest stay, so that a checkpoint is needed soon.
    mutating func keepLittleLog() {
        keepsLog = false
        journal = JournalConfiguration(
            cluster: journal.cluster,
            node: journal.node,
            salt: journal.salt,
            segmentSize: 4096,
            tailBytes: 0
        )
        raft.maxCachedBytes = 0
    }
}

extension Cluster {
    /// Whether a new attempt is opened at a node within a few seconds.
    func decides(_ attempt: String, at node: Int) throws -> Bool {
        let context = try submit(Example.open(attempt), definition: Example.flow, at: node)
        run(for: .seconds(4))
        guard let done = completions[context], case .applied = done.result else { return false }
        return true
    }

    /// Behind a node's back its state becomes another one.
    func spoilState(_ node: Int) {
        with(node) { replica in
            var machine = StateMachine(limits: replica.configuration.limits)
            machine.applyNothing(
                at: EntryIndex(replica.appliedIndex.number),
                time: replica.machine.time
            )
            replica.machine = machine
        }
    }

    /// Behind a node's back its state becomes what it would be without its last open.
    func missLastOpen(_ node: Int) {
        with(node) { replica in
            let entries = replica.raft.entries(
                from: LogIndex(1),
                through: replica.appliedIndex,
                maxBytes: 1 << 24
            )
            let commands = entries.map { entry in
                entry.kind == .command ? try? Command(decoding: entry.payload) : nil
            }
            let last = commands.lastIndex { if case .open = $0 { true } else { false } }
            var machine = StateMachine(
                limits: replica.configuration.limits,
                hash: replica.machine.hash
            )
            for (at, entry) in entries.enumerated() {
                let index = EntryIndex(entry.index.number)
                let time = LogTime(milliseconds: entry.time.milliseconds)
                if let command = commands[at], at != last {
                    _ = machine.apply(command, at: index, time: time)
                } else {
                    machine.applyNothing(at: index, time: time)
                }
            }
            replica.machine = machine
        }
    }
}

extension PeerMessage {
    /// The same message, where it carries what its sender says of itself with that changed.
    func saying(_ change: (inout NodeStatus) -> Void) -> PeerMessage {
        switch self {
        case .ping(let sentAt, var status):
            change(&status)
            return .ping(sentAt: sentAt, status)
        case .pong(let sentAt, let wall, var status):
            change(&status)
            return .pong(sentAt: sentAt, wall: wall, status)
        default: return self
        }
    }
}
