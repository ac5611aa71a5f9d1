/// One request of the load, and what came of it.
package struct Exchange: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case open
        /// The callback at this place of the attempt's script.
        case post(Int)
        /// A linearizable read.
        case read
        /// A read of what the node itself knows.
        case localRead
    }
    package enum End: Hashable, Sendable {
        /// Nothing of it left this machine.
        case notSent
        /// It may have been carried out, now or later; nobody knows.
        case unknown
        case answered(Answer)
    }
    package struct Answer: Hashable, Sendable {
        package var status: Int
        package var disposition: Disposition?
        package var told: ToldState
        /// Its place in `History.bodies`.
        package var body: Int
        /// Set where a 2xx is no decision.
        package var pending: Pending?

        package init(
            status: Int,
            disposition: Disposition?,
            told: ToldState,
            body: Int,
            pending: Pending? = nil
        ) {
            self.status = status
            self.disposition = disposition
            self.told = told
            self.body = body
            self.pending = pending
        }
    }

    /// Why a 2xx is no decision, in the words of the header `Verdict-Pending`.
    package enum Pending: String, Hashable, Sendable {
        /// Hold on and ask again: nothing was taken.
        case hold
        /// Taken, to be decided later.
        case intake
    }

    /// Who asked; its place in `History.clients`.
    package var client: Int
    package var attempt: Int
    package var node: Int
    package var kind: Kind
    /// Nanoseconds since the run began.
    package var invoked: UInt64
    package var returned: UInt64
    package var end: End
    /// Sent after all faults, to hear the answer again.
    package var isReplay = false

    package init(
        client: Int,
        attempt: Int,
        node: Int,
        kind: Kind,
        invoked: UInt64,
        returned: UInt64,
        end: End,
        isReplay: Bool = false
    ) {
        self.client = client
        self.attempt = attempt
        self.node = node
        self.kind = kind
        self.invoked = invoked
        self.returned = returned
        self.end = end
        self.isReplay = isReplay
    }

    package var answer: Answer? { if case .answered(let answer) = end { answer } else { nil } }
    /// The answer, unless it is one that says nothing about the attempt.
    package var goodAnswer: Answer? {
        guard let answer, answer.status == 200 || answer.status == 201, answer.pending != .hold
        else { return nil }
        return answer
    }
}

/// Everything that clients saw.
package struct History: Sendable {
    package var clients: [String] = []
    /// By attempt number.
    package var scripts: [AttemptScript] = []
    package private(set) var exchanges: [Exchange] = []
    /// Each distinct body that was answered.
    package private(set) var bodies: [[UInt8]] = []
    private var places: [[UInt8]: Int] = [:]

    package init() {}

    package mutating func intern(_ body: [UInt8]) -> Int {
        if let place = places[body] { return place }
        bodies.append(body)
        places[body] = bodies.count - 1
        return bodies.count - 1
    }

    package mutating func add(_ exchange: Exchange) { exchanges.append(exchange) }

    /// Places in `exchanges`, by attempt, in the order of their returns.
    package func byAttempt() -> [[Int]] {
        var places = [[Int]](repeating: [], count: scripts.count)
        for (place, exchange) in exchanges.enumerated() { places[exchange.attempt].append(place) }
        return places
    }

    package func text(_ body: Int) -> String {
        let text = String(decoding: bodies[body].prefix(300), as: UTF8.self)
        return text.isEmpty ? "(empty)" : text
    }
}
