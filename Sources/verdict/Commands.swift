import Server

/// All commands, in the order of the help.
package enum Commands {
    /// The place where a command is made known.
    package static let all: [Command] =
        [
            ServeCommand.command, CheckConfigCommand.command, StatusCommand.command,
            BenchCommand.command, SimulateCommand.command, ChaosCommand.command,
            RegionCommand.command, InspectCommand.command, BackupCommand.command,
            RestoreCommand.command,
        ]
        + AttemptCommands.all + MemberCommands.all + LocalCommands.all

    package static func run(_ words: [String]) -> ExitStatus {
        do throws(CommandFailure) {
            return try dispatch(words)
        } catch {
            Terminal.error("verdict: \(error.message)")
            return error.status
        }
    }

    private static func dispatch(_ words: [String]) throws(CommandFailure) -> ExitStatus {
        guard let first = words.first else {
            Terminal.error(overview)
            return .usage
        }
        if ["--help", "-h", "help"].contains(first) {
            Terminal.print(overview)
            return .done
        }
        if first == "--version" {
            Terminal.print("verdict \(VerdictVersion.text)")
            return .done
        }
        guard let command = all.first(where: { words.starts(with: $0.words) }) else {
            // `verdict attempt --help` explains the group.
            let group = all.filter { $0.words.count > 1 && $0.words[0] == first }
            guard !group.isEmpty else {
                let kind = first.hasPrefix("-") ? "option" : "command"
                throw CommandFailure(.usage, "unknown \(kind) \(first)\nTry: verdict --help")
            }
            if words.contains("--help") || words.contains("-h") {
                Terminal.print(group.map(\.help).joined(separator: "\n"))
                return .done
            }
            let names = group.map { $0.words[1] }.joined(separator: ", ")
            throw CommandFailure(
                .usage,
                "\(first) needs one of: \(names)\nTry: verdict \(first) --help"
            )
        }
        let arguments = try Arguments(words[command.words.count...], for: command)
        if arguments.wantsHelp {
            Terminal.print(command.help)
            return .done
        }
        return try command.run(arguments)
    }

    private static var overview: String {
        let shown = all.filter { !$0.isForScripts }
        let labels = shown.map { ([$0.name] + $0.operands).joined(separator: " ") }
        let width = labels.map(\.count).max() ?? 0
        var text = """
            Verdict commits the outcome of each phone verification exactly once, in every region.

            Usage: verdict COMMAND [OPTION…]

            Commands:

            """
        for (command, label) in zip(shown, labels) {
            text += "  \(label.padded(to: width))  \(command.summary)\n"
        }
        text += """

            verdict COMMAND --help says more about each, verdict --version which this is. Exit status: 0 done, 1 the answer is no,
            2 usage or configuration, 3 the cluster could not be reached.

            """
        return text
    }
}
