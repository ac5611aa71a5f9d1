import HTTP
import Journal
import Providers
import Raft
import Reactor
import Verification

/// One client's connection: at most one request of it is being answered at a time, so that
/// pipelined requests are answered in their order.
final class HTTPConnection {
    let descriptor: FileDescriptor
    let slot: Int
    let generation: UInt64
    var parser: RequestParser
    var output = OutputBuffer()
    /// The request that waits for its answer.
    var exchange: Exchange?
    var interest: Poller.Interest = .read
    /// No request is taken any more; it is closed when all is written.
    var isClosing = false
    /// The client is in the middle of a request that is refused: closing at once would have its
    /// system throw our answer away, so what still comes is read and dropped for a while.
    var lingers = false
    /// The client has closed its side; what it sent before is still answered.
    var inputHasEnded = false
    /// Requests wait because the client does not take its answers.
    var isThrottled = false
    /// Since when bytes wait that the client does not take.
    var blockedSince: Instant?
    /// Whether it is in the list of those to be written in this turn.
    var isDirty = false
    /// The parser's phase and since when, for the time-outs.
    var phase = RequestParser.Phase.idle
    var phaseSince: Instant

    init(
        _ descriptor: consuming FileDescriptor,
        slot: Int,
        generation: UInt64,
        limits: MessageLimits,
        at now: Instant
    ) {
        self.descriptor = descriptor
        self.slot = slot
        self.generation = generation
        self.parser = RequestParser(limits: limits)
        self.phaseSince = now
    }

    /// Names the connection to the replica, which gives it back with a result.
    var context: UInt64 { generation << 32 | UInt64(UInt32(slot)) }
}

/// A request under way and what is to be done when it can go on.
struct Exchange {
    enum Step {
        /// A command has been submitted; its result is to be worded in this form. The callback, if it
        /// is one, has the request's ID.
        case committing(ReplyForm, Callback?)
        /// A callback becomes durable in the intake; then this is the decision that it is answered with, if there is
        /// one yet.
        case takingIn(Decision?, ReplyForm)
        /// A linearizable read has been asked for.
        case reading(Read)
        /// The record of an attempt is being read from the disk.
        case loading(Loading)
        /// Leadership is being handed to this node.
        case transferring(NodeID)
        /// A directory is let in for a node, once the log says so.
        case readmitting(NodeID, DirectoryID)
        /// A piece of a backup is being read from the disk.
        case readingBackup
    }
    enum Read {
        case attempt(AttemptID)
        case timeline(AttemptID)
        /// A callback whose attempt is not known here yet.
        case callback(Callback, ReplyForm)
        case poll(AttemptID, ReplyForm)
    }
    /// What goes on once a record is in memory.
    enum Loading {
        /// The request is served from the start.
        case request(Route, Request)
        /// A linearizable read is answered.
        case read(Read)
    }
    enum ReplyForm {
        case opened
        /// Verdict's own form.
        case own
        case platform(Provider, NormalizedCallback)

        /// What acknowledges the callback without a decision; nil where the answer has to say one.
        var acknowledgement: Response? {
            guard case .platform(let provider, let callback) = self else { return nil }
            return provider.acknowledgement(of: callback)
        }

        /// How long the client waits, if that is known.
        var maxHold: Duration? {
            guard case .platform(let provider, _) = self else { return nil }
            return provider.maxHold
        }
    }

    var route: RouteKind?
    var startedAt: Instant
    var isHead: Bool
    var keepsAlive: Bool
    var step: Step?
}

/// Connections by slot.
struct ConnectionTable {
    private var slots: [HTTPConnection?] = []
    private var free: [Int] = []
    private var nextGeneration: UInt64 = 1
    private(set) var count = 0

    mutating func insert(_ make: (_ slot: Int, _ generation: UInt64) -> HTTPConnection)
        -> HTTPConnection
    {
        let slot = free.popLast() ?? slots.count
        let connection = make(slot, nextGeneration & PollToken.generationMask)
        nextGeneration += 1
        if slot == slots.count { slots.append(connection) } else { slots[slot] = connection }
        count += 1
        return connection
    }

    mutating func remove(_ connection: HTTPConnection) {
        guard slots[connection.slot] === connection else { return }
        slots[connection.slot] = nil
        free.append(connection.slot)
        count -= 1
    }

    /// The connection that still has this slot in this generation.
    func find(slot: Int, generation: UInt64) -> HTTPConnection? {
        guard slot < slots.count, let connection = slots[slot],
            connection.generation == generation
        else { return nil }
        return connection
    }

    func find(context: UInt64) -> HTTPConnection? {
        find(slot: PollToken.slot(context), generation: PollToken.generation(context))
    }

    func forEach(_ body: (HTTPConnection) -> Void) {
        for case let connection? in slots { body(connection) }
    }
}
