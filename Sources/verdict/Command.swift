/// How the process ends; the numbers are part of the command's contract.
package enum ExitStatus: Int32 {
    case done = 0
    /// The answer is no: not found, refused, a violation.
    case no = 1
    /// The command was given wrongly.
    case usage = 2
    case unreachable = 3
}

/// Ends a command: the message goes to standard error.
package struct CommandFailure: Error {
    package var status: ExitStatus
    package var message: String
    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }
}

/// One command: what it takes, how it is explained, and what it does.
package struct Command: Sendable {
    package struct Option: Sendable {
        /// With its dashes, such as `--config`.
        var name: String
        /// What its value is called; `nil` for a switch.
        var value: String?
        var help: String
        var isRepeatable: Bool = false

        package init(
            name: String,
            value: String? = nil,
            help: String,
            isRepeatable: Bool = false
        ) {
            self.name = name
            self.value = value
            self.help = help
            self.isRepeatable = isRepeatable
        }

        static let cluster = Option(
            name: "--cluster",
            value: "FILE",
            help: "the cluster to talk to (default .verdict/cluster.json)"
        )
        static let json = Option(name: "--json", help: "print JSON")
    }
    /// One word or more, such as `attempt open`.
    package var name: String
    /// The names of the operands, all required.
    var operands: [String] = []
    var summary: String
    /// More for `--help`, one paragraph or several.
    var details: String = ""
    var options: [Option] = []
    /// Hidden from the list of all commands: for scripts.
    var isForScripts: Bool = false
    package var run: @Sendable (Arguments) throws(CommandFailure) -> ExitStatus

    package init(
        name: String,
        operands: [String] = [],
        summary: String,
        details: String = "",
        options: [Option] = [],
        isForScripts: Bool = false,
        run: @escaping @Sendable (Arguments) throws(CommandFailure) -> ExitStatus
    ) {
        self.name = name
        self.operands = operands
        self.summary = summary
        self.details = details
        self.options = options
        self.isForScripts = isForScripts
        self.run = run
    }

    var words: [String] { name.split(separator: " ").map(String.init) }

    var usage: String {
        var text = "verdict \(name)"
        for operand in operands { text += " \(operand)" }
        if !options.isEmpty { text += " [OPTION…]" }
        return text
    }

    package var help: String {
        var text = "\(summary)\n\nUsage: \(usage)\n"
        if !details.isEmpty { text += "\n\(details)\n" }
        let all = options + [Option(name: "--help", help: "show this")]
        let shown = all.map { option in
            option.value.map { "\(option.name) \($0)" } ?? option.name
        }
        let width = shown.map(\.count).max() ?? 0
        text += "\nOptions:\n"
        for (option, label) in zip(all, shown) {
            text += "  \(label.padded(to: width))  \(option.help)\n"
        }
        return text
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }
    func leftPadded(to width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - count)) + self
    }
}
