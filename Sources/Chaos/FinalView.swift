/// What a node said of an attempt when all was over.
package struct FinalView: Hashable, Sendable {
    package struct Line: Hashable, Sendable {
        package var index: UInt64
        package var key: String?
        package var event: String
        package var disposition: Disposition?
        package var before: String
        package var after: String

        package init(
            index: UInt64,
            key: String?,
            event: String,
            disposition: Disposition?,
            before: String,
            after: String
        ) {
            self.index = index
            self.key = key
            self.event = event
            self.disposition = disposition
            self.before = before
            self.after = after
        }
    }

    package var node: Int
    /// `open` or the outcome; `nil` if the node knows no such attempt.
    package var state: String?
    /// The entry that decided it.
    package var decidedAt: UInt64?
    package var triesLeft: Int
    package var lines: [Line]
    /// The timeline as it was sent, byte for byte; its place in `History.bodies`.
    package var timeline: Int

    package init(
        node: Int,
        state: String?,
        decidedAt: UInt64?,
        triesLeft: Int,
        lines: [Line],
        timeline: Int
    ) {
        self.node = node
        self.state = state
        self.decidedAt = decidedAt
        self.triesLeft = triesLeft
        self.lines = lines
        self.timeline = timeline
    }
}
