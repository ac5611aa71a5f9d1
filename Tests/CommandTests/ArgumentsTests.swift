import Testing
import verdict

@Suite("the command line")
struct ArgumentsTests {
    private static let command = Command(
        name: "try",
        operands: ["ID"],
        summary: "a command for tests",
        options: [
            .init(name: "--size", value: "N", help: "a value"),
            .init(name: "--tag", value: "TEXT", help: "several", isRepeatable: true),
            .init(name: "--json", help: "a switch"),
        ],
        run: { _ in .done }
    )
    private func read(_ words: String...) throws(CommandFailure) -> Arguments {
        try Arguments(words[...], for: ArgumentsTests.command)
    }

    @Test("options stand before, behind and around operands, in either spelling")
    func spellings() throws {
        let arguments = try read("--size", "3", "a", "--tag=x=1", "--tag", "-", "--json")
        #expect(arguments.operands == ["a"])
        #expect(try arguments.integer("--size", 1...9) == 3)
        #expect(arguments.all("--tag") == ["x=1", "-"])
        #expect(arguments.has("--json"))
        #expect(try read("--", "--size").operands == ["--size"])
        #expect(try read("--help").wantsHelp)
        #expect(try read("--size", "--json", "a").value("--size") == "--json")
    }

    @Test(
        "what a command does not take is a usage error that says what",
        arguments: [
            (["a", "--sise", "3"], "unknown option --sise"),
            (["a", "-x"], "unknown option -x"),
            (["a", "--size"], "--size needs a value"),
            (["a", "--json=1"], "--json takes no value"),
            (["a", "--size", "1", "--size", "2"], "--size is given twice"),
            (["a", "b"], "unexpected operand \"b\""),
            ([], "ID is missing"),
        ]
    )
    func refused(words: [String], message: String) {
        #expect {
            try Arguments(words[...], for: ArgumentsTests.command)
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.status == .usage
                && failure.message == "\(message)\nTry: verdict try --help"
        }
    }

    @Test("a number out of range or no number is a usage error")
    func numbers() throws {
        for text in ["0", "10", "x", "1.5", "", "99999999999999999999"] {
            let arguments = try read("a", "--size", text)
            #expect(throws: CommandFailure.self) { try arguments.integer("--size", 1...9) }
        }
        #expect(try read("a").integer("--size", 1...9) == nil)
    }

    @Test("every command explains each of its options, and no two have one name")
    func help() {
        #expect(Set(Commands.all.map(\.name)).count == Commands.all.count)
        for command in Commands.all {
            #expect(command.help.contains("Usage: verdict \(command.name)"))
            #expect(command.help.contains("--help"))
        }
    }

    @Test("exit status 2 is for usage and bad configuration, 3 for a cluster that is not there")
    func exitStatus() {
        #expect(Commands.run([]) == .usage)
        #expect(Commands.run(["--help"]) == .done)
        #expect(Commands.run(["--version"]) == .done)
        #expect(Commands.run(["attempt", "show", "--help"]) == .done)
        #expect(Commands.run(["nothing"]) == .usage)
        #expect(Commands.run(["attempt"]) == .usage)
        #expect(Commands.run(["serve"]) == .usage)
        #expect(Commands.run(["check-config", "/nonexistent"]) == .usage)
        #expect(Commands.run(["status", "--cluster", "/nonexistent"]) == .unreachable)
        #expect(Commands.run(["attempt", "show", "a/b", "--cluster", "/nonexistent"]) != .done)
    }
}
