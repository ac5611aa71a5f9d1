import Simulator

/// What is known of one simulated run, as a child tells it to its parent.
struct RunReport {
    var seed: UInt64
    var digest: UInt64 = 0
    /// Virtual milliseconds.
    var virtual: UInt64 = 0
    /// Processor milliseconds.
    var took: UInt64 = 0
    var counts: [UInt64] = []
    var violation: Violation?

    /// What `counts` counts.
    static let names = [
        "steps", "messages", "requests", "local", "reads", "retries", "committed", "elections",
        "attempts", "local reads", "crashes", "power cuts", "disk stops", "full disks",
        "refused for room", "stalled disks", "refused starts", "damaged", "repaired", "installs",
        "replaced directories", "doubted clocks", "changed states", "found by digest",
        "rotten runs", "found by scrub", "backups", "restored", "broken links",
        "journal reads", "accepted", "repeated", "mismatched", "late", "contradicted", "stale",
        "verified", "rejected", "abandoned", "unreachable", "expired", "cancelled",
        "without details", "too old",
    ]

    init(seed: UInt64) { self.seed = seed }

    init(_ result: RunResult, took: UInt64) {
        seed = result.options.seed
        digest = result.digest
        virtual = result.virtualTime / 1_000_000
        self.took = took
        violation = result.violation
        let s = result.statistics
        counts = [
            s.steps, s.messages, s.requests, s.answeredLocally, s.reads, s.retries, s.committed,
            s.elections, s.attempts, s.localReads, s.crashes, s.powerCuts, s.stopsByDisk,
            s.fullDisks, s.refusedForRoom, s.stalledDisks, s.refusedStarts, s.damaged, s.repaired,
            s.installs,
            s.replacedDirectories, s.doubtedClocks, s.corruptStates, s.foundByDigest,
            s.rottenRuns, s.foundByScrub, s.backups, s.restored,
            s.brokenLinks, s.journalReads,
        ]
        counts += s.dispositions[1...6].map { UInt64($0) }
        counts += s.outcomes[1...6].map { UInt64($0) }
        counts += [UInt64(s.withoutDetails), UInt64(s.tooOld)]
    }

    /// One line for the parent.
    var line: String {
        var text = "end\t\(seed)\t\(digest)\t\(virtual)\t\(took)"
        text += "\t" + counts.map(String.init).joined(separator: ",")
        if let violation {
            let what = violation.what.split(whereSeparator: \.isNewline).joined(separator: " ")
            text += "\t\(violation.checker)\t\(violation.at)\t\(what)"
        }
        return text
    }

    init?(line: String) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard fields.count >= 6, fields[0] == "end", let seed = UInt64(fields[1]),
            let digest = UInt64(fields[2]), let virtual = UInt64(fields[3]),
            let took = UInt64(fields[4])
        else { return nil }
        self.seed = seed
        self.digest = digest
        self.virtual = virtual
        self.took = took
        counts = fields[5].split(separator: ",").compactMap { UInt64($0) }
        if fields.count >= 9 {
            violation = Violation(
                checker: fields[6],
                what: fields[8...].joined(separator: " "),
                at: UInt64(fields[7]) ?? 0
            )
        }
    }

    func count(_ name: String) -> UInt64 {
        guard let at = RunReport.names.firstIndex(of: name), at < counts.count else { return 0 }
        return counts[at]
    }

    var summary: String {
        let factor = took > 0 ? "\(virtual / took)×" : "-"
        let text = """
            seed \(String(seed).leftPadded(to: 10))  \(virtual / 1000) s in \(took) ms (\(factor))  \
            \(count("committed")) committed, \(count("elections")) elections, \
            \(count("crashes") + count("power cuts")) crashes, \(count("retries")) retries
            """
        guard let violation else { return text + "  ok" }
        return text + "  VIOLATION of \(violation.checker)"
    }
}

/// What many runs did together.
struct RunTotals {
    var runs = 0
    var virtual: UInt64 = 0
    var took: UInt64 = 0
    var counts = [UInt64](repeating: 0, count: RunReport.names.count)
    var violations = 0

    mutating func add(_ report: RunReport) {
        runs += 1
        virtual += report.virtual
        took += report.took
        if report.violation != nil { violations += 1 }
        for (at, count) in report.counts.enumerated() where at < counts.count {
            counts[at] += count
        }
    }

    var text: String {
        let hours = virtual / 3_600_000
        let minutes = virtual / 60_000 % 60
        var text = """
            \(runs) runs, \(violations) violations, \(hours) h \(minutes) min virtual, \
            \(took > 0 ? virtual / took : 0) × real time on one core

            """
        let parts = zip(RunReport.names, counts).map { "\($1) \($0)" }
        text += parts.joined(separator: ", ")
        let unseen = zip(RunReport.names, counts).filter { $1 == 0 }.map(\.0)
        if !unseen.isEmpty { text += "\nnever happened: " + unseen.joined(separator: ", ") }
        return text
    }
}
