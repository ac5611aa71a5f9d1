/// How an attempt ended, in the words of the API.
package enum Outcome: String, Hashable, Sendable, CaseIterable {
    case verified, rejected, abandoned, unreachable, expired, cancelled
}

/// What became of a delivery, in the words of the header `Verdict-Disposition`.
package enum Disposition: String, Hashable, Sendable, CaseIterable {
    case accepted, repeated, mismatched, late, contradicted, stale
}

/// What an answer says of the state of an attempt.
package enum ToldState: Hashable, Sendable {
    case nothing
    case open
    case ended(Outcome)

    package var outcome: Outcome? { if case .ended(let outcome) = self { outcome } else { nil } }

    /// Where calls of this load are sent when their attempt has ended: the URL tells how.
    package static let targetStart = "https://bank.example/chaos/"

    /// Reads a body as JSON of the API or as a document of Twilio's.
    ///
    /// It is read as bytes are, not as a language: all that is asked is which of a few words that this
    /// load put there itself it holds.
    package init(body: [UInt8]) {
        if let state = ToldState.word(after: #""state":""#, in: body) {
            self = state == "open" ? .open : Outcome(rawValue: state).map { .ended($0) } ?? .nothing
        } else if let word = ToldState.word(after: ToldState.targetStart, in: body) {
            self = Outcome(rawValue: word).map { .ended($0) } ?? .nothing
        } else if ToldState.find("<Gather ", in: body) != nil
            || ToldState.find("<Pause ", in: body) != nil
        {
            self = .open
        } else {
            self = .nothing
        }
    }

    private static func word(after start: String, in body: [UInt8]) -> String? {
        guard let place = find(start, in: body) else { return nil }
        let word = body[(place + start.utf8.count)...].prefix { (97...122).contains($0) }
        return String(decoding: word, as: UTF8.self)
    }

    private static func find(_ text: String, in body: [UInt8]) -> Int? {
        let wanted = Array(text.utf8)
        guard body.count >= wanted.count else { return nil }
        var place = 0
        while place + wanted.count <= body.count {
            var length = 0
            while length < wanted.count, body[place + length] == wanted[length] { length += 1 }
            if length == wanted.count { return place }
            place += 1
        }
        return nil
    }
}
