import HTTP
import Providers
import Verification

/// What callbacks are answered that could not be decided within the time they may be held.
extension NodeLoop {
    /// The hold is over: the call is told to hold on and ask again, where its platform has words for
    /// that; nothing is guessed.
    func undecided(
        _ attempt: AttemptID,
        _ form: Exchange.ReplyForm,
        digits: [UInt8]?,
        _ connection: HTTPConnection
    ) {
        guard case .platform(let provider, let callback) = form,
            var document = provider.hold(callback, of: attempt, digits: digits)
        else {
            answer(connection, timedOut().response)
            return
        }
        metrics.holds += 1
        document.headers.append(NodeLoop.pendingHeader, "hold")
        answer(connection, document)
    }

    /// Says of an answer with 2xx that it is no decision: `hold` for a document that has the call ask
    /// again.
    static let pendingHeader = "Verdict-Pending"
}
