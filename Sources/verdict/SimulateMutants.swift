import Simulator

/// Known bugs, planted one at a time: the simulator has to find each.
enum SimulateMutants {
    /// Their names; none in a build that holds no mutants.
    static var names: [String] { Mutants.names }

    static func run(
        _ search: SimulateSearch,
        from first: UInt64,
        upTo runs: UInt64
    ) throws(CommandFailure) -> ExitStatus {
        guard !names.isEmpty else {
            throw CommandFailure(.usage, "this build holds no mutants; see docs/testing.md")
        }
        var rows: [[String]] = []
        var missed = 0
        for name in names {
            var search = search
            search.extra = ["--mutant", name]
            var found: RunReport?
            var tried: UInt64 = 0
            try search.run(from: first, runs: runs) { report in
                tried += 1
                if report.violation != nil { found = report }
                return found == nil
            }
            if let found, let violation = found.violation {
                rows.append([name, violation.checker, "\(tried)", "\(found.seed)"])
                Terminal.print("\(name): \(violation.checker), \(tried) seeds: \(violation.what)")
            } else {
                missed += 1
                rows.append([name, "NOT FOUND", "\(tried)", "-"])
                Terminal.print("\(name): NOT FOUND in \(tried) seeds")
            }
        }
        Terminal.print(
            Terminal.table(["mutant", "found by", "seeds", "seed"], rows, right: [2, 3])
        )
        Terminal.print("\(names.count) mutants, \(missed) not found")
        return missed == 0 ? .done : .no
    }
}
