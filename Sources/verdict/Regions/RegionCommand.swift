import Digest
import FoundationEssentials
import Glibc

/// `verdict regions`: a node in each region, behind relays that take as long as the way does.
enum RegionCommand {
    static let command = Command(
        name: "regions",
        summary: "nodes in regions far apart, on this machine; what a decision takes in each",
        details: """
            Starts a cluster of its own, a node in each region, with relays between them that hold back
            what passes for half of a round trip each way. The platforms of each region post to its own
            node. Prints for each region how long fresh decisions and repeats take, beside the bound that
            no protocol goes below and beside plain forwarding, the same with commit inference off.
            Exits 1 if an answer was wrong or a target was missed.

            Matrices, by name: \(RegionMatrix.known.map(\.name).joined(separator: ", ")). A file is
            JSON5: {regions: ["a", "b", "c"], round_trip_ms: [[0, 80, 150], [80, 0, 220], [150, 220, 0]]}.

            Ctrl-C or SIGTERM stops it; its processes and files go with it.
            """,
        options: [
            .init(name: "--nodes", value: "N", help: "3 or 5 (default 3)"),
            .init(
                name: "--matrix",
                value: "FILE",
                help:
                    "round trips, by name or from a file (default \(standard(3)); of five \(standard(5)))"
            ),
            .init(name: "--seconds", value: "S", help: "measure for so long (default 10)"),
            .init(name: "--warmup", value: "S", help: "load before that (default 2)"),
            .init(name: "--rate", value: "R", help: "attempts a second in a region (default 20)"),
            .init(
                name: "--leader",
                value: "REGION",
                help: "where the leader is: best (default), worst, or a region"
            ),
            .init(name: "--no-plain", help: "leave plain forwarding out"),
            .init(name: "--failover", help: "lose the leader's region, in each of some ways"),
            .init(
                name: "--losses",
                value: "LIST",
                help:
                    "only in these ways: \(RegionLoss.allCases.map(\.rawValue).joined(separator: ","))"
            ),
            .init(
                name: "--rounds",
                value: "N",
                help: "cut a region off and heal it, so often; is any callback lost?"
            ),
            .init(name: "--report", value: "FILE", help: "write a page of HTML"),
            .json,
            .init(name: "--binary", value: "FILE", help: "the nodes run this build"),
            .init(
                name: "--data",
                value: "DIR",
                help: "where the nodes' files are, in a new directory (default: temporary)"
            ),
            .init(name: "--keep", help: "leave the files there"),
        ]
    ) { arguments throws(CommandFailure) in
        let settings = try settings(arguments)
        let isKept = arguments.has("--keep")
        defer {
            if isKept {
                Terminal.error("the nodes' files are in \(settings.directory)")
            } else {
                remove(settings.directory)
            }
        }
        let run = try RegionRun(settings)
        defer { run.tearDown() }
        do {
            let report = try run.result()
            run.tearDown()
            if let path = arguments.value("--report") { try save(report.page, to: path) }
            Terminal.print(arguments.has("--json") ? try report.json() : report.text)
            return report.isRight && report.meetsTargets ? .done : .no
        } catch is RegionRun.Stopped {
            throw CommandFailure(.no, "stopped before it was done")
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.no, "\(error)")
        }
    }

    private static func standard(_ nodes: Int) -> String {
        RegionMatrix.standard(nodes: nodes)?.name ?? "none"
    }

    private static func settings(
        _ arguments: Arguments
    ) throws(CommandFailure) -> RegionRun.Settings {
        let matrix = try matrix(arguments)
        var settings = RegionRun.Settings(matrix: matrix, directory: "", command: "")
        settings.seconds = try arguments.integer("--seconds", 1...3600) ?? settings.seconds
        settings.warmup = try arguments.integer("--warmup", 0...600) ?? settings.warmup
        settings.rate = try arguments.integer("--rate", 1...500) ?? settings.rate
        switch arguments.value("--leader") {
        case nil, "best": settings.leader = .best
        case "worst": settings.leader = .worst
        case let name?:
            guard let place = matrix.regions.firstIndex(of: name) else {
                let names = matrix.regions.joined(separator: ", ")
                throw arguments.failure("--leader: \"\(name)\" is none of best, worst, \(names)")
            }
            settings.leader = .node(place + 1)
        }
        settings.losses = try losses(arguments)
        settings.rounds = try arguments.integer("--rounds", 1...100_000) ?? 0
        settings.isPlainMeasured = !arguments.has("--no-plain")
        if let binary = arguments.value("--binary") { settings.binary = binary }
        var command = "cluster/regions"
        for name in [
            "--nodes", "--matrix", "--seconds", "--warmup", "--rate", "--leader", "--rounds",
        ] {
            if let value = arguments.value(name) { command += " \(name) \(value)" }
        }
        for name in ["--no-plain", "--failover"] where arguments.has(name) { command += " \(name)" }
        if let losses = arguments.value("--losses") { command += " --losses \(losses)" }
        settings.command = command
        settings.directory = try makeDirectory(arguments)
        return settings
    }

    private static func losses(_ arguments: Arguments) throws(CommandFailure) -> [RegionLoss] {
        guard let text = arguments.value("--losses") else {
            return arguments.has("--failover") ? RegionLoss.allCases : []
        }
        var losses: [RegionLoss] = []
        for word in text.split(separator: ",") {
            guard let loss = RegionLoss(rawValue: String(word)) else {
                let all = RegionLoss.allCases.map(\.rawValue).joined(separator: ", ")
                throw arguments.failure("--losses: \"\(word)\" is none of \(all)")
            }
            losses.append(loss)
        }
        return losses
    }

    private static func matrix(_ arguments: Arguments) throws(CommandFailure) -> RegionMatrix {
        let nodes = try arguments.integer("--nodes", 3...RegionMatrix.mostRegions)
        guard let name = arguments.value("--matrix") else {
            guard let matrix = RegionMatrix.standard(nodes: nodes ?? 3) else {
                throw arguments.failure("--nodes \(nodes ?? 3): give a --matrix of so many regions")
            }
            return matrix
        }
        let matrix = try RegionMatrix.load(name)
        if let nodes, nodes != matrix.count {
            throw arguments.failure(
                "--nodes is \(nodes), the regions of \(name) are \(matrix.count)"
            )
        }
        return matrix
    }

    private static func makeDirectory(_ arguments: Arguments) throws(CommandFailure) -> String {
        let name = "verdict-regions-\(Hex.string(SecureRandom.bytes(6)))"
        var parent = FileManager.default.temporaryDirectory.path
        if let given = arguments.value("--data") {
            guard !given.isEmpty else { throw arguments.failure("--data must be a path") }
            parent = given.hasPrefix("/") ? given : "\(currentDirectory())/\(given)"
        }
        while parent.count > 1, parent.hasSuffix("/") { parent.removeLast() }
        try verdict.makeDirectory(parent)
        try verdict.makeDirectory("\(parent)/\(name)")
        return "\(parent)/\(name)"
    }

    private static func remove(_ directory: String) {
        do {
            try FileManager.default.removeItem(atPath: directory)
        } catch {
            Terminal.error("\(directory) cannot be removed: \(error)")
        }
    }

    private static func save(_ text: String, to path: String) throws(CommandFailure) {
        do {
            try Data(text.utf8).write(to: URL(filePath: path))
        } catch {
            throw CommandFailure(.no, "cannot write \(path): \(error)")
        }
    }
}
