import HTTP
import Raft
import Replica

/// What the node says of its disk.
extension NodeLoop {
    var isDiskStalled: Bool { replica.isDiskStalled }

    /// What a request for which there is no room is answered.
    func noRoom() -> Problem {
        .diskFull(retryAfter: 5, leader: replica.raft.leader?.number)
    }

    func noteDisk(_ notice: Notice) {
        switch notice {
        case .diskStalled(let limit):
            log.error(
                "disk",
                "the disk stalls: a batch is not done; the node leads no more until it is",
                ["after_ms": .number(Int64(limit / .milliseconds(1)))]
            )
        case .diskGetsOn(let time):
            log.warning(
                "disk",
                "the disk gets on again: the batch that stalled is done",
                ["took_ms": .number(Int64(time / .milliseconds(1)))]
            )
        case .diskFull(let error, let reserve):
            log.error(
                "disk",
                "the disk is full: no further segment of the log can be made; tried again each second",
                ["error": .text(describe(error)), "reserve_bytes": .number(Int64(reserve))]
            )
        case .diskHasRoomAgain:
            log.warning("disk", "the disk has room again")
        default:
            fatalError("invariant broken: \(notice) is not about the disk")
        }
    }
}

extension NodeStatus {
    /// The disk's state in one word, the worst first.
    var disk: String {
        if isDiskStalled { return "stalled" }
        switch room {
        case .enough: return "good"
        case .reserve: return "reserve"
        case .none: return "full"
        }
    }
}

extension Gauges.Scrub {
    init(_ counts: ScrubCounts) {
        self.init(bytes: counts.bytes, rounds: counts.rounds, damages: counts.damages)
    }
}

extension Gauges.DiskRoom {
    init(_ room: DiskRoom) {
        switch room {
        case .enough: self = .enough
        case .reserve: self = .reserve
        case .none: self = .none
        }
    }
}
