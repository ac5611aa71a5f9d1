import FoundationEssentials
import Glibc
import Testing

extension ClusterTests {
    @Suite("chaos")
    struct Chaos {
        /// A directory of its own, which goes with the test.
        private func withDirectory(_ body: (String) throws -> Void) throws {
            let path =
                FileManager.default.temporaryDirectory.path + "/chaos-test-\(UUID().uuidString)"
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true
            )
            defer { try? FileManager.default.removeItem(atPath: path) }
            try body(path)
        }

        private var source: String {
            let here = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            return "/\(here)/cluster/faults.c"
        }

        private func start(_ words: [String], in directory: String) throws -> Child {
            try Child(
                ["chaos", "--faults-source", source, "--data", directory + "/nodes"] + words,
                output: directory + "/output",
                errors: directory + "/errors"
            )
        }

        private func left(in directory: String) -> [String] {
            (try? FileManager.default.contentsOfDirectory(atPath: directory + "/nodes")) ?? []
        }

        /// Processes whose command line names a directory.
        private func processes(of directory: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { entry in
                guard Int32(entry) != nil,
                    let data = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline")
                else { return false }
                let words = String(decoding: data, as: UTF8.self)
                // The run itself names it too.
                return words.contains(directory + "/nodes") && !words.contains("--data")
            }
        }

        private func mounts(of directory: String) -> Bool {
            guard let data = FileManager.default.contents(atPath: "/proc/mounts") else {
                return false
            }
            return String(decoding: data, as: UTF8.self).contains(directory)
        }

        @Test("a short run under faults keeps every promise, and says what it saw")
        func short() throws {
            try withDirectory { directory in
                let run = try start(
                    [
                        "--seconds", "12", "--seed", "5", "--rate", "20", "--replays", "3000",
                        "--faults", "kill-all,pause,isolate,torn-write,clock-jump,full-disk",
                        "--history", directory + "/history", "--report", directory + "/report",
                    ],
                    in: directory
                )
                let status = try run.exitStatus(within: .seconds(200))
                #expect(status == 0, "\(run.output)\n\(run.errors)")
                #expect(run.output.contains("linearizability"), "\(run.output)")
                #expect(run.errors.contains("/12 s  "), "no line of progress: \(run.errors)")
                #expect(!run.output.contains("\n0 decisions"))

                let page = try String(
                    decoding: Data(contentsOf: URL(filePath: directory + "/report")),
                    as: UTF8.self
                )
                #expect(page.contains("all promises held") && page.contains("<svg"))
                try checkHistory(directory + "/history")
                #expect(left(in: directory) == [])
                #expect(try processes(of: directory) == [])
                #expect(!mounts(of: directory))
            }
        }

        private struct Operation: Decodable {
            var client: String
            var op: String
            var attempt: String
            var outcome_in: String?
            var outcome_out: String?
            var invoke_ns: UInt64
            var return_ns: UInt64?
            var status: String
        }

        private func checkHistory(_ path: String) throws {
            let text = try Data(contentsOf: URL(filePath: path))
            var operations: [Operation] = []
            for line in text.split(separator: UInt8(ascii: "\n")) {
                operations.append(try JSONDecoder().decode(Operation.self, from: Data(line)))
            }
            #expect(operations.contains { $0.op == "read" && $0.status == "ok" })
            #expect(operations.contains { $0.op == "commit" && $0.outcome_out == "verified" })
            #expect(operations.allSatisfy { ["commit", "read"].contains($0.op) })
            #expect(operations.allSatisfy { ["ok", "fail", "unknown"].contains($0.status) })
            #expect(operations.allSatisfy { ($0.return_ns ?? .max) >= $0.invoke_ns })
        }

        @Test(
            "interrupted, it leaves no process, no mount and no file",
            arguments: [SIGINT, SIGTERM]
        )
        func interrupted(signal: Int32) throws {
            try withDirectory { directory in
                let run = try start(
                    ["--seconds", "100", "--seed", "3", "--faults", "full-disk,pause,kill"],
                    in: directory
                )
                try eventually("the load goes on", within: .seconds(60)) {
                    guard run.isRunning else { throw Child.Failure(description: run.errors) }
                    return run.errors.split(separator: "/100 s  ").count > 2
                }
                run.send(signal)
                if signal == SIGINT {
                    // The first one ends the faults and judges; the second one ends it all.
                    try eventually("it says so") { run.errors.contains("ended early") }
                    run.send(signal)
                }
                #expect(try run.exitStatus(within: .seconds(30)) == 1, "\(run.errors)")
                #expect(run.errors.contains("nothing was judged"), "\(run.errors)")
                #expect(left(in: directory) == [])
                #expect(try processes(of: directory) == [])
                #expect(!mounts(of: directory))
            }
        }

        @Test("killed, it takes its nodes along")
        func killed() throws {
            try withDirectory { directory in
                // One that needs the library, which sees to it.
                let run = try start(
                    ["--seconds", "100", "--seed", "3", "--faults", "slow-disk"],
                    in: directory
                )
                try eventually("the nodes run", within: .seconds(60)) {
                    guard run.isRunning else { throw Child.Failure(description: run.errors) }
                    return try processes(of: directory).count == 3
                        && run.errors.contains("/100 s  ")
                }
                run.send(SIGKILL)
                _ = try run.exitStatus()
                try eventually("the nodes are gone") { try processes(of: directory).isEmpty }
            }
        }

        @Test("what it is told wrongly it refuses with status 2, and leaves nothing")
        func usage() throws {
            try withDirectory { directory in
                for words in [
                    ["--faults", "earthquake"], ["--seed", "x"], ["--nodes", "2"],
                    ["--seconds", "0"],
                ] {
                    let run = try start(words, in: directory)
                    #expect(try run.exitStatus() == 2, "\(words): \(run.errors)")
                    #expect(left(in: directory) == [])
                }
            }
        }
    }
}
