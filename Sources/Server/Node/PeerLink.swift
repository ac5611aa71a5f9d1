import Raft
import Reactor
import Replica

/// The connection this node makes to a peer; what it has to say to that peer goes over it, and
/// what the peer has to say comes over the peer's own.
final class PeerLink {
    enum State {
        /// Not connected; the next try is due then.
        case down(until: Instant)
        /// Its host's name is being looked up.
        case resolving
        case connecting(since: Instant)
        /// The peer has to answer our hello.
        case greeting(since: Instant)
        case up
    }

    let peer: NodeID
    let region: String
    let address: HostPort
    let slot: Int
    var generation: UInt64 = 0
    var descriptor: FileDescriptorBox?
    /// Where a host's name led, tried in turn.
    var addresses: [ResolvedAddress] = []
    var state: State
    var decoder = FrameDecoder()
    var output = OutputBuffer()
    var interest: Poller.Interest = []
    var isDirty = false
    /// Grows with each failed try.
    var backoff = PeerLink.firstBackoff
    /// The last refusal that was logged, so that each is logged once.
    var loggedRefusal: String?
    var bytesSent: UInt64 = 0
    var droppedMessages: UInt64 = 0

    static let firstBackoff = Duration.milliseconds(20)
    static let longestBackoff = Duration.milliseconds(1000)
    /// A peer has this long to accept a connection and to answer a hello.
    static let greetingTimeout = Duration.seconds(3)
    /// Bytes that may wait for a peer; what is sent beyond is dropped, and Raft sends it again.
    static let maxQueuedBytes = 64 * 1024 * 1024

    init(peer: NodeID, region: String, address: HostPort, slot: Int, at now: Instant) {
        self.peer = peer
        self.region = region
        self.address = address
        self.slot = slot
        self.state = .down(until: now)
    }

    var isUp: Bool { if case .up = state { true } else { false } }

    /// When something has to be done about this link if nothing happens before.
    var deadline: Instant {
        switch state {
        case .down(let until): until
        case .connecting(let since), .greeting(let since):
            since.advanced(by: PeerLink.greetingTimeout)
        case .resolving, .up: .distantFuture
        }
    }
}

/// A connection that a peer, or somebody else, made to this node's peer port.
final class InboundPeer {
    let descriptor: FileDescriptor
    let slot: Int
    let generation: UInt64
    let since: Instant
    /// Who it is, once its hello was good.
    var peer: NodeID?
    /// Who it says it is, whether or not it is let in.
    var claimed: NodeID?
    /// Its process's incarnation.
    var run: UInt64 = 0
    var decoder = FrameDecoder()
    var output = OutputBuffer()
    var bytesReceived: UInt64 = 0

    init(_ descriptor: consuming FileDescriptor, slot: Int, generation: UInt64, at now: Instant) {
        self.descriptor = descriptor
        self.slot = slot
        self.generation = generation
        self.since = now
    }
}
