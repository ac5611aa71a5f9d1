import Journal
import Raft

/// The slow reading of what lies on the disk, to find damage before it is needed or has company.
struct Scrubbing {
    /// Bytes that may be looked at now.
    var budget = 0
    /// The log was looked at last.
    var isStatesTurn = false
    /// The piece of a sealed segment that is being looked at.
    var log: DiskRead?
    /// When the round of the log began that is under way, or was the last one.
    var logBegan: Instant?
    var state = StateScrub()
}

/// What was looked through since the start, for metrics.
package struct ScrubCounts: Hashable, Sendable {
    package var bytes: UInt64 = 0
    /// Whole rounds.
    package var rounds: UInt64 = 0
    /// Damaged places that were found.
    package var damages: UInt64 = 0
    package init() {}
}

extension ReplicaNode {
    /// What was looked through of the sealed segments.
    package var logScrubCounts: ScrubCounts {
        var counts = ScrubCounts()
        counts.bytes = journal.scrub.bytes
        counts.rounds = journal.scrub.rounds
        counts.damages = journal.scrub.damages
        return counts
    }

    /// What was looked through of the runs of the state.
    package var stateScrubCounts: ScrubCounts { scrubbing.state.counts }

    /// Part of the house-keeping: reads a little of the sealed segments, and of the runs.
    ///
    /// They share one rate. Where it is not enough for both, they take turns.
    mutating func scrub(at now: Instant) {
        let rate = configuration.scrubBytesPerSecond
        guard rate > 0 else { return }
        scrubbing.budget = min(scrubbing.budget + rate / 10, rate)
        for _ in 0..<2 where scrubbing.budget > 0 {
            if scrubbing.isStatesTurn { scrubState(at: now) } else { scrubLog(at: now) }
            scrubbing.isStatesTurn.toggle()
        }
    }

    // MARK: The log

    private mutating func scrubLog(at now: Instant) {
        guard scrubbing.log == nil else { return }
        if journal.beginsScrubRound {
            if let began = scrubbing.logBegan,
                began.advanced(by: configuration.scrubInterval) > now
            {
                return
            }
            scrubbing.logBegan = now
        }
        guard var read = journal.planScrub() else { return }
        read.number = nextDiskReadNumber
        nextDiskReadNumber += 1
        scrubbing.budget -= read.count
        scrubbing.log = read
        output.diskReads.append(read)
    }

    /// - Returns: whether the read was of the log, to look for damage.
    mutating func logScrubbed(_ number: UInt64, _ result: Result<[UInt8], DiskError>) -> Bool {
        guard let read = scrubbing.log, read.number == number else { return false }
        scrubbing.log = nil
        do {
            try journal.scrubbed(try result.get(), of: read)
        } catch let error as JournalError {
            readFailed(error)
        } catch {
            journal.scrubFailed()
            readFailed(error)
        }
        return true
    }
}
