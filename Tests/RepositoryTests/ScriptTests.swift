import Foundation
import Testing

@Suite("the scripts")
struct ScriptTests {
    /// Runs a script from another directory than the repository's.
    private static func run(_ script: String, _ arguments: String...) throws -> (
        status: Int32, output: String, errors: String
    ) {
        let process = Process()
        process.executableURL = Repository.root.appendingPathComponent(script)
        process.arguments = arguments
        process.currentDirectoryURL = FileManager.default.temporaryDirectory
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // Each fits into a pipe, so that reading one after the other cannot block the script.
        let texts = [output, errors].map {
            String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }
        process.waitUntilExit()
        return (process.terminationStatus, texts[0], texts[1])
    }

    private static func scripts() throws -> [String] {
        let cluster = try Repository.entries("cluster").filter { !$0.contains(".") }
        return cluster.map { "cluster/\($0)" } + ["Tests/run", ".ci/run"]
    }

    @Test("the scripts that others rely on are there")
    func present() throws {
        for name in ["up", "down", "kill", "start", "pause", "resume", "chaos", "regions"] {
            #expect(try ScriptTests.scripts().contains("cluster/\(name)"))
        }
    }

    @Test("every script explains itself with --help, and does nothing else then")
    func help() throws {
        for script in try ScriptTests.scripts() {
            let result = try ScriptTests.run(script, "--help")
            #expect(result.status == 0, "\(script) --help: \(result.errors)")
            #expect(result.output.contains("Usage: \(script)"), "\(script): \(result.output)")
            #expect(result.errors.isEmpty, "\(script): \(result.errors)")
        }
    }

    @Test("an option that a script does not have is a usage error: status 2, and nothing is done")
    func unknownOptions() throws {
        for script in try ScriptTests.scripts() where script != "Tests/run" {
            let result = try ScriptTests.run(script, "--no-such-option")
            #expect(result.status == 2, "\(script): \(result.output)\(result.errors)")
            #expect(result.errors.contains("--no-such-option"), "\(script): \(result.errors)")
            #expect(result.output.isEmpty, "\(script): \(result.output)")
        }
    }

    @Test("an option without its value is a usage error, not a script that never ends")
    func missingValues() throws {
        for script in try ScriptTests.scripts() where script.hasPrefix("cluster/") {
            if script == "cluster/install" { continue }
            let result = try ScriptTests.run(script, "--data")
            #expect(result.status == 2, "\(script): \(result.output)\(result.errors)")
        }
    }

    @Test("every script stops at the first failure")
    func strict() throws {
        for script in try ScriptTests.scripts() {
            let text = try Repository.files(under: script)[0].lines
            #expect(text[0] == "#!/usr/bin/env bash", "\(script)")
            #expect(
                text.contains { $0 == "set -euo pipefail" || $0.contains("/common.bash\"") },
                "\(script) must `set -euo pipefail` or source common.bash, which does."
            )
        }
    }
}
