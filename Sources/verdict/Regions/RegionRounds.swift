/// What became of callbacks while regions were cut off and healed, over and over.
package struct RegionRounds: Sendable {
    package var rounds = 0
    /// Status callbacks that a region's node answered 2xx while it was cut off, and those of them that it
    /// took into its intake.
    package var acknowledged = 0
    package var takenIn = 0
    /// Turned away while it was cut off, and posted again after it.
    package var again = 0
    /// Callbacks that were acknowledged and that a node's timeline lacks, in words.
    package var lost: [String] = []
    /// Those that count more than once.
    package var twice: [String] = []

    package init() {}

    package var isRight: Bool { lost.isEmpty && twice.isEmpty }

    var text: String {
        var text = """
            \(rounds) rounds in which a region was cut off and healed: \(acknowledged) status callbacks \
            acknowledged meanwhile (\(takenIn) from the intake), \(again) posted again after it;
            in the timelines of all nodes \(lost.count) lost, \(twice.count) counted twice

            """
        for line in (lost + twice).prefix(5) { text += "  wrong: \(line)\n" }
        return text
    }
}
