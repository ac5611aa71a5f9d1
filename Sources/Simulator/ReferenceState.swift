internal import Raft
internal import Verification

/// What the committed log makes of a state, applied as far as somebody has asked: one machine, which no checkpoint,
/// eviction, crash or damage ever touches.
final class ReferenceState {
    private var machine = StateMachine()

    /// The sum of the whole state as of an entry, as ``StateMachine/canonicalFingerprint(version:reading:remembering:)``
    /// has it.
    ///
    /// An index before the newest that was asked for takes the log from its beginning.
    func fingerprint(
        at index: UInt64,
        _ committed: [CommittedEntry],
        _ book: LogBook
    ) -> UInt64 {
        if index >= machine.appliedIndex.number {
            ReferenceState.apply(&machine, through: index, committed, book, without: nil)
            return ReferenceState.sum(of: machine)
        }
        var earlier = StateMachine()
        ReferenceState.apply(&earlier, through: index, committed, book, without: nil)
        return ReferenceState.sum(of: earlier)
    }

    private static func sum(of machine: borrowing StateMachine) -> UInt64 {
        var nothing = CanonicalRecords()
        return machine.canonicalFingerprint(
            version: { _ in 0 },
            reading: { _ in [] },
            remembering: &nothing
        )
    }

    /// Has a machine go on through an entry, as if the one at `skipped` changed nothing.
    static func apply(
        _ machine: inout StateMachine,
        through last: UInt64,
        _ committed: [CommittedEntry],
        _ book: LogBook,
        without skipped: UInt64?
    ) {
        for position in Int(machine.appliedIndex.number)..<Int(last) {
            let id = committed[position].id
            let index = EntryIndex(id.index.number)
            let time = LogTime(milliseconds: committed[position].time)
            if id.index.number != skipped, case .success(let command?) = book[id]?.command {
                _ = machine.apply(command, at: index, time: time)
            } else {
                machine.applyNothing(at: index, time: time)
            }
        }
    }
}
