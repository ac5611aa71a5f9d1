import Foundation
import Glibc
import Testing

/// The README's commands against a real cluster: three processes, in a directory of their own.
///
/// The directory looks like the repository's root after a build, so the commands run as they are
/// printed. Only the ports are others, since somebody's own cluster may have the usual ones.
@Suite("the README")
struct ReadmeTests {
    private static let marker = "== step at line "

    @Test("every command of the README does what it says, in order", .timeLimit(.minutes(3)))
    func commands() throws {
        let page = try #require(try Repository.files(under: "README.md").first)
        let base = try #require(ReadmeTests.freeBasePort(), "no free ports")
        let readme = Readme(page.lines.map { ReadmeTests.moved($0, to: base)[...] })
        #expect(readme.steps.count >= 10)

        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("verdict-readme-\(getpid())-\(base)")
        let files = FileManager.default
        let built = directory.appendingPathComponent(".build/release/verdict")
        try files.createDirectory(
            at: built.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        try files.createSymbolicLink(
            at: directory.appendingPathComponent("cluster"),
            withDestinationURL: Repository.root.appendingPathComponent("cluster")
        )
        // What this test was built with.
        let product = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("verdict")
        try files.createSymbolicLink(at: built, withDestinationURL: product)

        var stopped = (status: Int32(-1), output: "")
        defer {
            // Whatever failed, no process is left; the scripts know them by number.
            if let result = try? ReadmeTests.run("cluster/down", in: directory, built) {
                stopped = result
            }
            #expect(stopped.status == 0, "processes may be left: \(stopped.output)")
            if stopped.status == 0 { try? files.removeItem(at: directory) }
        }
        let made = try ReadmeTests.run(
            "\(built.path) local init --base-port \(base)",
            in: directory,
            built
        )
        try #require(made.status == 0, "\(made.output)")

        let result = try ReadmeTests.run(
            readme.script(marker: ReadmeTests.marker),
            in: directory,
            built
        )
        #expect(result.status == 0, "\(result.output)")
        let outputs = Readme.outputs(of: result.output, marker: ReadmeTests.marker)
        for step in readme.steps {
            let output = outputs[step.line]
            #expect(output != nil, "README.md:\(step.line) was not reached")
            // Functions and variables print nothing; so does what has no output on the page.
            #expect(
                Readme.matches(output ?? [], step.output),
                """
                README.md:\(step.line): the commands printed
                \((output ?? []).joined(separator: "\n"))
                and not
                \(step.output.joined(separator: "\n"))
                """
            )
        }
    }

    @Test("output that differs from the page is seen")
    func matching() {
        #expect(Readme.matches(["a  b", "c", ""], ["a b", "c"]))
        #expect(Readme.matches(["x", "y", "node 12 ok"], ["…", "node … ok"]))
        #expect(Readme.matches(["node 12: 3 of 4"], ["node …: … of 4"]))
        #expect(!Readme.matches(["node 12: 3 of 5"], ["node …: … of 4"]))
        #expect(!Readme.matches(["a"], ["a", "b"]))
        #expect(!Readme.matches(["a", "b"], ["a"]))
        #expect(!Readme.matches(["200 from node 3: late"], ["200 from node 3: repeated"]))
        #expect(!Readme.matches([], ["201"]))
    }

    @Test("a step is its commands and the output below them")
    func parsing() {
        let text = "```sh\na\n\nb\n```\nwords\n```text\nc\n```\n```json\n{}\n```\n```sh\nd\n```"
        let readme = Readme(text.split(separator: "\n", omittingEmptySubsequences: false))
        #expect(readme.steps.map(\.commands) == ["a\n\nb", "d"])
        #expect(readme.steps.map(\.output) == [["c"], []])
        #expect(readme.steps.map(\.line) == [1, 13])
    }

    /// A line with the ports of a cluster at `base` in place of the usual ones.
    private static func moved(_ line: Substring, to base: Int) -> String {
        String(
            line.replacing("127.0.0.1:810", with: "127.0.0.1:\(base / 10)")
                .replacing("127.0.0.1:910", with: "127.0.0.1:\((base + 1000) / 10)")
        )
    }

    /// Runs commands with bash; what they print, errors too, goes through a file, so that nothing
    /// can block.
    private static func run(
        _ commands: String,
        in directory: URL,
        _ binary: URL
    ) throws -> (status: Int32, output: String) {
        let log = directory.appendingPathComponent("output")
        try Data().write(to: log)
        let handle = try FileHandle(forWritingTo: log)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["timeout", "120", "bash", "-c", commands]
        process.currentDirectoryURL = directory
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["VERDICT_BINARY": binary.path]
        ) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        try handle.close()
        return (
            process.terminationStatus, String(decoding: try Data(contentsOf: log), as: UTF8.self)
        )
    }

    /// A base port whose six ports nobody listens on, below those that the system gives out.
    private static func freeBasePort() -> Int? {
        (0..<50).lazy.map { _ in Int.random(in: 1100...3000) * 10 }.first { base in
            (1...3).allSatisfy { isFree(base + $0) && isFree(base + 1000 + $0) }
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
