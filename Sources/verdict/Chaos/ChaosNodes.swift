import Chaos
import FoundationEssentials
import Glibc
import Reactor

/// The nodes of a run: their files, processes and disks, and the relays between them.
final class ChaosNodes {
    final class Node {
        let number: Int
        let faults: FaultPage
        var process: ChaosProcess?
        /// How many want it to be down.
        var downs = 0
        /// Faults under way of which it may end.
        var endingFaults = 0
        /// Until then, in nanoseconds of the run, its end may come of a fault that is over.
        var mayEndUntil: UInt64 = 0
        /// Failures that the library had given to its processes when this one began.
        var failuresBefore: Int64 = 0
        var startsAgainAt: UInt64?
        /// How often it was started.
        var starts = 0
        init(_ number: Int, _ faults: FaultPage) {
            self.number = number
            self.faults = faults
        }
    }

    let directory: String
    let file: ClusterFile
    private(set) var nodes: [Node] = []
    private(set) var relays: [Relay] = []
    /// The node with a small file system of its own, and where that is.
    private(set) var smallDisk: (node: Int, path: String)?
    /// The library that stands between a node and the C library.
    private(set) var preload: String?
    private(set) var unexpectedEnds: [String] = []
    private let loop: ChaosLoop
    private let cluster: LocalCluster
    private let binary: String

    static let regions = ["us-east", "eu-west", "ap-south", "us-west", "eu-north"]

    /// Writes all files; starts nothing.
    init(
        _ loop: ChaosLoop,
        directory: String,
        count: Int,
        binary: String
    ) throws(CommandFailure) {
        self.loop = loop
        self.directory = directory
        self.binary = binary
        cluster = LocalCluster(directory: directory)
        let base = try ChaosNodes.freeBasePort(nodes: count)
        try cluster.create(nodes: count, basePort: base)
        file = try cluster.load()
        do throws(SystemError) {
            for from in 1...count {
                for to in 1...count where to != from {
                    let target = HostPort(
                        host: "127.0.0.1",
                        port: UInt16(base + LocalCluster.peerPortOffset + to)
                    )
                    relays.append(try Relay(loop: loop, from: from, to: to, target: target))
                }
            }
        } catch {
            throw CommandFailure(.no, "\(error)")
        }
        for number in 1...count {
            nodes.append(Node(number, try FaultPage("\(directory)/faults-\(number)")))
        }
    }

    deinit { tearDown() }

    var count: Int { nodes.count }
    func node(_ number: Int) -> Node { nodes[number - 1] }
    func relay(from: Int, to: Int) -> Relay? { relays.first { $0.from == from && $0.to == to } }
    func log(of number: Int) -> String { "\(directory)/node-\(number).log" }
    func data(of number: Int) -> String {
        smallDisk.map { $0.node == number ? $0.path + "/data" : nil }
            .flatMap { $0 } ?? cluster.data(of: number)
    }

    /// Below the range that the system hands out by itself, where nothing listens.
    static func freeBasePort(nodes: Int) throws(CommandFailure) -> Int {
        for _ in 0..<200 {
            let base = Int.random(in: 1024...3000) * 10
            let ports = (1...nodes).flatMap {
                [base + $0, base + LocalCluster.peerPortOffset + $0]
            }
            let isFree = ports.allSatisfy { port in
                (try? Listener(on: HostPort(host: "127.0.0.1", port: UInt16(port)))) != nil
            }
            if isFree { return base }
        }
        throw CommandFailure(.no, "no ports are free")
    }

    // MARK: Preparation

    /// Compiles the library for faults within a node.
    ///
    /// - Returns: why there is none.
    func compile(_ source: String?) throws(CommandFailure) -> String? {
        guard let source else { return "no source is given (--faults-source)" }
        let library = "\(directory)/faults.so"
        for compiler in ["cc", "clang", "gcc"] {
            let words = [compiler, "-shared", "-fPIC", "-O2", "-o", library, source]
            // A name that is in no directory of PATH shows as a failure to start, or as 127.
            guard let process = try? ChaosProcess(words, output: "\(directory)/compiler.log") else {
                continue
            }
            if process.wait() == 0 {
                preload = library
                return nil
            }
        }
        return "it cannot be compiled (cc or clang is needed)"
    }

    /// Gives a node a small file system of its own.
    ///
    /// - Returns: why it has none.
    func mount(_ number: Int, megabytes: Int) throws(CommandFailure) -> String? {
        let path = "\(directory)/disk-\(number)"
        try makeDirectory(path)
        let result = unsafe Glibc.mount(
            "verdict-chaos",
            path,
            "tmpfs",
            0,
            "size=\(megabytes)m,mode=0700"
        )
        guard result == 0 else {
            return SystemError("mount a small file system", code: errno).description
        }
        smallDisk = (number, path)
        return nil
    }

    func writeConfigurations() throws(CommandFailure) {
        for node in nodes {
            try write(
                document(for: file.nodes[node.number - 1]),
                to: cluster.configuration(of: node.number),
                mode: 0o644
            )
        }
    }

    private func document(for node: ClusterFile.Node) -> String {
        let name = "chaos-\(directory.split(separator: "/").last ?? "run")"
        let peers = file.nodes.map { peer in
            let port = relay(from: node.node, to: peer.node)?.port
            let address = port.map { "127.0.0.1:\($0)" } ?? peer.peer
            return "    { node: \(peer.node), region: \"\(peer.region)\", peer: \"\(address)\", "
                + "http: \"\(peer.http.dropFirst("http://".count))\" },"
        }
        return """
            // Node \(node.node) of a chaos run; it reaches the others through relays.
            {
              cluster: "\(name.prefix(60))",
              node: \(node.node),
              region: "\(node.region)",
              data: "\(data(of: node.node))",
              secrets: "secrets.json5",
              http: "\(node.http.dropFirst("http://".count))",
              public: "\(node.public)",
              peer: "\(node.peer)",
              peers: [
            \(peers.joined(separator: "\n"))
              ],
              journal: { segment_mib: 1, reserve_mib: 0 },
              allowed_targets: ["https://bank.example/"],
              flows: {
                chaos: { kind: "code", digits: 6, tries: 3, grace: \(AttemptScript.grace) },
              },
            }

            """
    }

    // MARK: Processes

    func start(_ node: Node) throws(CommandFailure) {
        guard !(node.process?.isRunning ?? false) else { return }
        node.faults.forgetProcess()
        node.failuresBefore = node.faults[.faultsDone]
        node.startsAgainAt = nil
        node.starts += 1
        var environment = ["SWIFT_BACKTRACE=enable=no"]
        if let preload {
            environment += ["LD_PRELOAD=\(preload)", "VERDICT_FAULTS=\(node.faults.path)"]
        }
        node.process = try ChaosProcess(
            [binary, "serve", "--config", cluster.configuration(of: node.number)],
            environment: environment,
            output: log(of: node.number)
        )
    }

    func kill(_ node: Node) {
        node.process?.end()
        node.faults.forgetProcess()
    }

    /// Notices ends that nobody asked for, and starts again what should run.
    func supervise() throws(CommandFailure) {
        let now = loop.now
        for node in nodes {
            guard node.downs == 0, let process = node.process, !process.isRunning else { continue }
            if let again = node.startsAgainAt {
                if again <= now { try start(node) }
                continue
            }
            // A failure that it was given in time may be carried out late.
            let wasGivenFailure = node.faults[.faultsDone] > node.failuresBefore
            if node.endingFaults == 0, now > node.mayEndUntil, !wasGivenFailure {
                unexpectedEnds.append(
                    "node \(node.number) ended at \(now / 1_000_000) ms with status "
                        + "\(process.status ?? 0): \(lastLines(of: node.number))"
                )
            }
            // As whoever looks after processes would, after a moment.
            node.startsAgainAt = now + 500_000_000
            if unexpectedEnds.count > 50 {
                throw CommandFailure(.no, "nodes end again and again: \(unexpectedEnds[0])")
            }
        }
    }

    func lastLines(of number: Int) -> String {
        guard let data = FileManager.default.contents(atPath: log(of: number)) else { return "" }
        let text = String(decoding: data.suffix(4000), as: UTF8.self)
        return text.split(separator: "\n").suffix(3).joined(separator: " | ")
    }

    // MARK: Disks

    /// Takes all room that a node's own file system has left.
    func fillDisk() {
        guard let smallDisk else { return }
        let path = smallDisk.path + "/filler"
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var offset: off_t = 0
        // By ever smaller pieces, until nothing fits any more.
        var piece: off_t = 16 << 20
        while piece >= 4096 {
            if posix_fallocate(descriptor, offset, piece) == 0 {
                offset += piece
            } else {
                piece /= 2
            }
        }
    }

    func emptyDisk() {
        guard let smallDisk else { return }
        unsafe _ = unlink(smallDisk.path + "/filler")
    }

    /// What was written last cannot be told from an unfinished write, once it is damaged: it stays as it is.
    private static let spared = 256 * 1024

    /// Flips a bit of a node's log or of the runs of its state.
    ///
    /// - Returns: where, for people; `nil` if there is too little to damage.
    func corrupt(_ number: Int, _ random: inout ChaosRandom) throws(CommandFailure) -> String? {
        let directory = data(of: number)
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        } catch {
            throw CommandFailure(.no, "\(directory) cannot be listed: \(error)")
        }
        var places: [(path: String, ends: Int)] = []
        for name in names
        where name.hasPrefix("log-") && name.hasSuffix(".seg") || name.hasSuffix(".run") {
            let path = "\(directory)/\(name)"
            // The newest segments are made ahead, and empty to their ends.
            guard let bytes = FileManager.default.contents(atPath: path),
                let last = bytes.lastIndex(where: { $0 != 0 })
            else { continue }
            let ends = name.hasSuffix(".run") ? last : last - ChaosNodes.spared
            if ends > 4096 { places.append((path, ends)) }
        }
        guard !places.isEmpty else { return nil }
        let file = random.pick(places)
        let place = 4096 + random.below(file.ends - 4096)
        let descriptor = unsafe open(file.path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.no, "\(file.path) cannot be opened: error \(errno)")
        }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        guard unsafe pread(descriptor, &byte, 1, off_t(place)) == 1 else {
            throw CommandFailure(.no, "\(file.path) cannot be read: error \(errno)")
        }
        byte ^= UInt8(1 << random.below(8))
        guard unsafe pwrite(descriptor, &byte, 1, off_t(place)) == 1 else {
            throw CommandFailure(.no, "\(file.path) cannot be written: error \(errno)")
        }
        return "\(file.path) at \(place)"
    }

    // MARK: The end

    /// Ends all processes and takes all that was mounted away; safe to call twice.
    func tearDown() {
        for node in nodes { node.process?.end() }
        if let smallDisk {
            unsafe _ = umount2(smallDisk.path, Int32(MNT_DETACH))
            self.smallDisk = nil
        }
    }
}
