internal import Raft
internal import Verification

/// How long decided attempts are kept, as `docs/verification.md` has it: two marks in log time, from the log alone.
extension DomainModel {
    struct Marks: Hashable {
        /// What was decided before is compact.
        var details: UInt64 = 0
        /// What was decided before does not exist, unless its ID is younger.
        var forget: UInt64 = 0
    }

    /// The marks after each entry.
    struct Kept {
        var settings = RetentionSettings.default
        private(set) var marks = Marks()
        /// Those after entry `i` are at `i - 1`.
        private var history: [Marks] = []

        mutating func pass(_ time: UInt64) {
            func mark(_ seconds: UInt64) -> UInt64 { time - min(time, seconds * 1000) }
            marks.details = max(marks.details, mark(settings.retentionSeconds))
            guard let forgotten = settings.forgetAfterSeconds else { return }
            marks.forget = max(marks.forget, mark(forgotten))
        }

        mutating func note(_ index: UInt64) {
            invariant(index == UInt64(history.count) + 1, "entry \(index) after \(history.count)")
            history.append(marks)
        }

        func marks(at index: UInt64) -> Marks {
            index > 0 ? history[Int(index) - 1] : Marks()
        }

        func isCompact(_ attempt: Attempt) -> Bool {
            attempt.state != .open && attempt.decidedAt < marks.details
        }

        func isForgotten(_ attempt: Attempt) -> Bool {
            attempt.state != .open && max(attempt.decidedAt, attempt.idTime ?? 0) < marks.forget
        }
    }

    /// What is left of an attempt.
    enum Standing: Hashable {
        /// It was never opened, or it is forgotten.
        case absent
        case whole
        case compact
    }

    /// What is left of an attempt after an entry.
    func standing(of id: AttemptID, at index: UInt64) -> Standing {
        guard let attempt = attempts[id], attempt.openIndex <= index else { return .absent }
        guard attempt.state != .open, attempt.decidedIndex <= index else { return .whole }
        let marks = kept.marks(at: index)
        if max(attempt.decidedAt, attempt.idTime ?? 0) < marks.forget { return .absent }
        return attempt.decidedAt < marks.details ? .compact : .whole
    }

    /// What is left of an attempt after the newest entry.
    func standing(of id: AttemptID) -> Standing {
        guard let attempt = attempts[id], !kept.isForgotten(attempt) else { return .absent }
        return kept.isCompact(attempt) ? .compact : .whole
    }

    /// An ID that no attempt has may have been one's that is forgotten.
    func isTooOld(_ id: AttemptID) -> Bool {
        guard kept.marks.forget > 0, let time = times[id] else { return false }
        return time < kept.marks.forget
    }
}

extension DomainModel.Attempt {
    /// What any callback gets when only the outcome is left: digits claim nothing any more.
    func answerWithoutDetails(_ callback: Callback) -> Decision {
        var claim: AttemptState?
        if callback.event == .cancel { claim = .cancelled }
        if callback.event == .outcome, let outcome = callback.outcome {
            claim = outcome == .verified ? .verified : .rejected
        }
        let isAgreed = claim == nil || claim == state
        return Decision(
            disposition: isAgreed ? .late : .contradicted,
            answer: terminalAnswer
        )
    }
}
