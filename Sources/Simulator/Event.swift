internal import Journal
internal import Replica

/// Something that is going to happen in the world.
enum Event {
    /// A node's own deadline, or work that is waiting; `run` is that of its process.
    case turn(node: Int, run: Int)
    case arrive(Parcel)
    /// A node is told that its link to a peer is up.
    case linkUp(node: Int, peer: Int, epoch: Int)
    case linkDown(node: Int, peer: Int, epoch: Int, broken: Bool)
    /// Two nodes try to connect.
    case connect(Int, Int)
    /// A link on which nothing gets through is given up.
    case stalled(Int, Int, epoch: Int)
    /// The disk operation under way on one of a node's queues is done.
    case diskStep(node: Int, run: Int, DiskQueue.Name)
    /// The process learns that a batch is done, or what ended it.
    indirect case batchDone(node: Int, run: Int, DiskQueue.Name, number: UInt64, DiskError?)
    indirect case diskRead(node: Int, run: Int, DiskRead)
    case restart(node: Int, run: Int)
    case fault(Int)
    case faultEnds(Int)
    /// The healing begins.
    case heal
    /// Whole states are compared; after the healing began, whether all is well.
    case inspect
    /// A platform sends a planned post, for the n-th time.
    case post(attempt: Int, post: Int, tries: Int)
    case request(UInt64)
    indirect case reply(UInt64, Reply)
    /// The platform's time-out.
    case giveUp(UInt64)
    /// An operator lets a node in with the directory that it has.
    case readmit(node: Int)
    /// An operator has a node build its state anew.
    case rebuild(node: Int)
    /// An operator asks for more of a backup.
    case backup(Int)

    /// The node whose process must run for this to have an effect, and wait for if it is paused.
    var process: Int? {
        switch self {
        case .turn(let node, _), .linkUp(let node, _, _), .linkDown(let node, _, _, _),
            .diskRead(let node, _, _), .batchDone(let node, _, _, _, _):
            node
        case .arrive(let parcel): parcel.to
        default: nil
        }
    }
}

extension Event {
    var isRequest: Bool {
        if case .request = self { true } else { false }
    }
}

/// A message under way; an object, so that the queue moves references about.
final class Parcel {
    let from: Int
    let to: Int
    /// The link it was sent on.
    let epoch: Int
    let message: PeerMessage
    /// What is on the wire, if the run encodes messages.
    var bytes: [UInt8] = []
    var isCorrupt = false

    init(from: Int, to: Int, epoch: Int, message: PeerMessage) {
        self.from = from
        self.to = to
        self.epoch = epoch
        self.message = message
    }
}
