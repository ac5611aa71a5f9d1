package import Raft

/// Linearizable reads that wait (ReadIndex, dissertation §6.4).
///
/// All that came since the last round share the next one: at the leader a round is the core's read,
/// at a follower a question to the leader.
package struct ReadTable {
    private struct Waiter {
        var context: UInt64
        var deadline: Instant
    }
    private struct Round {
        var number: UInt64
        var waiters: [Waiter]
        /// `nil` if the leader said that it could not serve it.
        var askedAt: Instant?
        /// Set once the round is confirmed: served when this is applied.
        var index: LogIndex?
    }

    private var collecting: [Waiter] = []
    private var rounds: [Round] = []
    private var nextRound: UInt64

    /// - Parameter incarnation: of this run of the process. An answer to a question of an earlier
    ///   run may still be on its way: it must not be taken for the answer to one of this run, as the
    ///   index in it may be older than this run's reads. So each run has its own numbers.
    package init(incarnation: UInt64) {
        nextRound = (incarnation & 0x3FFF_FFFF) << 32 + 1
    }

    /// Rounds at a time, at most; reads that come meanwhile share the next one.
    ///
    /// A turn would start a round each time otherwise, and while the leader cannot confirm any (it
    /// has not committed in its term, say) thousands of them would be asked for again and again.
    /// Those that wait lose nothing: what they are to see is at least as new as what the rounds
    /// before them wait for.
    package static let maxRounds = 64

    package var isCollecting: Bool { !collecting.isEmpty }
    /// Whether reads wait and a round may start with them.
    package var canBeginRound: Bool { isCollecting && rounds.count < ReadTable.maxRounds }
    package var roundCount: Int { rounds.count }
    package var count: Int { collecting.count + rounds.reduce(0) { $0 + $1.waiters.count } }

    package mutating func append(context: UInt64, deadline: Instant) {
        collecting.append(Waiter(context: context, deadline: deadline))
    }

    /// Starts a round with all that wait.
    ///
    /// - Returns: its number.
    package mutating func beginRound(at now: Instant) -> UInt64 {
        defer { nextRound += 1 }
        rounds.append(Round(number: nextRound, waiters: collecting, askedAt: now, index: nil))
        collecting.removeAll(keepingCapacity: true)
        return nextRound
    }

    package mutating func resolved(round number: UInt64, index: LogIndex) {
        guard let i = rounds.firstIndex(where: { $0.number == number }) else { return }
        rounds[i].index = index
    }

    /// The round could not be confirmed; its reads join the next one.
    package mutating func failed(round number: UInt64) {
        guard let i = rounds.firstIndex(where: { $0.number == number }), rounds[i].index == nil
        else { return }
        collecting.insert(contentsOf: rounds[i].waiters, at: 0)
        rounds.remove(at: i)
    }

    /// The leader could not serve the round: it is asked again with the next house-keeping, when
    /// this node may know better who leads.
    package mutating func refused(round number: UInt64) {
        guard let i = rounds.firstIndex(where: { $0.number == number }) else { return }
        rounds[i].askedAt = nil
    }

    /// Rounds that were asked for some time ago and have no answer: they are asked for again.
    ///
    /// Under the same number, since a late answer to the first question is as good: a round that
    /// started anew each time would never end where an answer takes longer than `retryAfter`.
    package mutating func takeOverdue(at now: Instant, retryAfter: Duration) -> [UInt64] {
        var overdue: [UInt64] = []
        for i in rounds.indices
        where rounds[i].index == nil {
            if let asked = rounds[i].askedAt, asked.advanced(by: retryAfter) > now { continue }
            rounds[i].askedAt = now
            overdue.append(rounds[i].number)
        }
        return overdue
    }

    /// All rounds start again: another node may lead.
    ///
    /// Confirmed ones too: what they wait for may be an entry that the new leader does not have, and
    /// then nothing would say that they may go on. A newer index serves them as well.
    package mutating func requeueAll() {
        for round in rounds.reversed() { collecting.insert(contentsOf: round.waiters, at: 0) }
        rounds.removeAll(keepingCapacity: true)
    }

    package mutating func serve(applied: LogIndex, into completions: inout [ReadCompletion]) {
        guard !rounds.isEmpty else { return }
        rounds.removeAll { round in
            guard let index = round.index, index <= applied else { return false }
            for waiter in round.waiters {
                completions.append(ReadCompletion(context: waiter.context, isReady: true))
            }
            return true
        }
    }

    /// Takes out reads that waited too long.
    package mutating func expire(at now: Instant) -> [ReadCompletion] {
        guard !rounds.isEmpty || !collecting.isEmpty else { return [] }
        var expired: [ReadCompletion] = []
        let takeExpired: (inout [Waiter]) -> Void = { waiters in
            waiters.removeAll { waiter in
                guard waiter.deadline <= now else { return false }
                expired.append(ReadCompletion(context: waiter.context, isReady: false))
                return true
            }
        }
        takeExpired(&collecting)
        for i in rounds.indices { takeExpired(&rounds[i].waiters) }
        rounds.removeAll { $0.waiters.isEmpty }
        return expired
    }
}
