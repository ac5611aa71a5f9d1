import Journal
import Raft
import Replica
import Testing
import Verification

/// A replica alone in its cluster, in virtual time, whose disk does at once what it is told.
final class LoneNode {
    var disk: MemoryDisk
    private(set) var replica: ReplicaNode
    private(set) var now = Instant(nanoseconds: 1_000_000)
    private(set) var pieces: [UInt64: Result<[UInt8], JournalError>] = [:]
    private(set) var notices: [Notice] = []
    private var completions: [UInt64: Completion] = [:]
    private var nextContext: UInt64 = 1

    static let segmentSize = 16 * 1024

    init(
        on found: MemoryDisk = MemoryDisk(),
        cluster: String = "old",
        node: UInt32 = 1,
        run: UInt64 = 1,
        startsAt seconds: UInt64 = 0,
        configure: (inout ReplicaConfiguration) -> Void = { _ in }
    ) throws {
        let id = NodeID(node)
        let raft = RaftConfiguration(node: id, membership: Membership(voters: [id]), seed: run)
        let journal = JournalConfiguration(
            cluster: cluster,
            node: id,
            salt: 1000 * UInt64(node) + run,
            segmentSize: LoneNode.segmentSize,
            tailBytes: 4096
        )
        var configuration = ReplicaConfiguration(raft: raft, journal: journal, incarnation: run)
        configuration.digestInterval = nil
        configuration.scrubBytesPerSecond = 0
        configuration.identity = IdentityConfiguration(
            fresh: DirectoryID(high: UInt64(node), low: run),
            place: UInt64(node)
        )
        configure(&configuration)
        disk = found
        now = now.advanced(bySeconds: seconds, nanoseconds: 0)
        replica = try ReplicaNode(recovering: &disk, configuration: configuration, at: now)
        settle()
    }

    var wall: WallTime {
        WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000)
    }

    /// Calls the replica, and lets it do all that follows.
    @discardableResult
    func with<Result>(_ body: (inout ReplicaNode) throws -> Result) rethrows -> Result {
        let result = try body(&replica)
        settle()
        return result
    }

    func wait(_ span: Duration) {
        // In steps, so that the house is kept meanwhile.
        for _ in 0..<max(1, Int(span / .milliseconds(100))) {
            now = now.advanced(by: .milliseconds(100))
            settle()
        }
    }

    private func settle() {
        for _ in 0..<100_000 {
            now = now.advanced(by: .microseconds(10))
            var goesOn = replica.turn(at: now, wall: wall)
            let output = replica.output
            replica.output.removeAll()
            notices += output.notices
            for piece in output.backupPieces { pieces[piece.context] = piece.result }
            for completion in output.completions { completions[completion.context] = completion }
            if let batch = output.batch {
                perform(batch)
                replica.batchCompleted(batch.number, at: now)
                goesOn = true
            }
            if let batch = output.background {
                perform(batch)
                replica.backgroundCompleted(batch.number, .success(()), at: now)
                goesOn = true
            }
            if let batch = output.intake {
                perform(batch)
                replica.intakeWritten(batch.number, at: now)
                goesOn = true
            }
            for read in output.diskReads + output.loads {
                let result: Result<[UInt8], DiskError>
                do throws(DiskError) {
                    result = .success(
                        try disk.read(read.file, at: read.offset, count: read.count)
                    )
                } catch {
                    result = .failure(error)
                }
                replica.readCompleted(read.number, result, at: now)
                goesOn = true
            }
            if !goesOn { return }
        }
        Issue.record("the node does not come to rest")
    }

    private func perform(_ batch: DiskBatch) {
        do {
            for operation in batch.operations { try disk.perform(operation) }
        } catch {
            Issue.record(error)
        }
    }

    // MARK: Requests

    func takeContext() -> UInt64 {
        nextContext += 1
        return nextContext
    }

    @discardableResult
    func perform(_ command: Command, _ definition: FlowDefinition? = nil) throws -> Applied {
        let context = takeContext()
        let wall = wall
        let now = now
        with { replica in
            _ = replica.submit(
                command.received(at: wall),
                definition: definition,
                context: context,
                at: now
            )
        }
        guard case .applied(let applied) = try #require(completions[context]).result else {
            throw Undecided()
        }
        return applied
    }
    struct Undecided: Error {}

    func open(_ attempt: String) throws {
        guard case .opened = try perform(Example.open(attempt), Example.flow) else {
            throw Undecided()
        }
    }

    /// Decides an attempt, or asks again for what was decided.
    @discardableResult
    func verify(_ attempt: String) throws -> Decision {
        if let known = try makeAvailable(
            attempt,
            { replica in
                replica.answerLocally(Example.verified(attempt))
            }
        ) {
            return known
        }
        guard case .decided(let decision) = try perform(.callback(Example.verified(attempt)))
        else { throw Undecided() }
        return decision
    }

    func timeline(_ attempt: String) throws -> [TimelineEntry] {
        try #require(try makeAvailable(attempt) { $0.machine.timeline(Example.id(attempt)) })
    }

    private func makeAvailable<Result>(
        _ attempt: String,
        _ body: (inout ReplicaNode) -> Result
    ) throws -> Result {
        for _ in 0..<10 {
            let context = takeContext()
            let now = now
            let availability = replica.makeAvailable(Example.id(attempt), context: context, at: now)
            if availability == .ready { return with(body) }
            settle()
        }
        throw Undecided()
    }
}

extension Command {
    /// As a node names it when it comes.
    fileprivate func received(at wall: WallTime) -> Command {
        switch self {
        case .open(var open):
            open.origin.receivedAt = wall
            return .open(open)
        case .callback(var callback):
            callback.origin.receivedAt = wall
            return .callback(callback)
        default: return self
        }
    }
}

/// Commands for the tests.
enum Example {
    static let flow = FlowDefinition(
        digest: FlowDigest(bytes: Array("login".utf8)),
        name: "login",
        kind: .code,
        prompt: "Please enter your code.",
        retryPrompt: "Please try again.",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 30,
        expirySeconds: 600,
        waitSeconds: 2
    )
    static let right = [UInt8](repeating: 0xAA, count: 32)

    static let origin = Origin(
        node: 0,
        region: "us-east",
        receivedAt: WallTime(milliseconds: 5),
        request: RequestID(node: 0, incarnation: 0, sequence: 0)
    )

    static func id(_ text: String) -> AttemptID {
        guard let id = AttemptID(text) else { fatalError("\(text) is not an attempt ID") }
        return id
    }

    static func open(_ attempt: String) -> Command {
        .open(
            OpenAttempt(
                attempt: id(attempt),
                flow: flow.digest,
                subject: "user",
                expiresInSeconds: 86_000,
                challenge: right,
                maxTries: 3,
                targets: [Target(state: .verified, url: "https://bank.example/ok")],
                origin: origin
            )
        )
    }

    static func verified(_ attempt: String) -> Callback {
        Callback(
            attempt: id(attempt),
            key: CallbackKey(provider: "verdict", call: "CA1", event: .digits, sequence: 1),
            provider: "verdict",
            call: "CA1",
            event: .digits,
            sequence: 1,
            digits: right,
            status: nil,
            outcome: nil,
            channel: "voice",
            occurredAt: nil,
            origin: origin
        )
    }
}
