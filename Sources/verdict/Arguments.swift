/// A command's options and operands, checked against what it declares.
package struct Arguments: Sendable {
    let command: String
    package private(set) var operands: [String] = []
    private var values: [String: [String]] = [:]
    package private(set) var wantsHelp = false

    /// Reads `--name value`, `--name=value`, switches and operands; `--` ends the options.
    package init(_ words: ArraySlice<String>, for command: Command) throws(CommandFailure) {
        self.command = command.name
        var rest = words
        var optionsEnded = false
        while let word = rest.popFirst() {
            if optionsEnded || !word.hasPrefix("-") || word == "-" {
                operands.append(word)
            } else if word == "--" {
                optionsEnded = true
            } else if word == "--help" || word == "-h" {
                wantsHelp = true
            } else {
                try take(word, from: &rest, for: command)
            }
        }
        if wantsHelp { return }
        guard operands.count <= command.operands.count else {
            throw failure("unexpected operand \"\(operands[command.operands.count])\"")
        }
        guard operands.count == command.operands.count else {
            throw failure("\(command.operands[operands.count]) is missing")
        }
    }

    private mutating func take(
        _ word: String,
        from rest: inout ArraySlice<String>,
        for command: Command
    ) throws(CommandFailure) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = command.options.first(where: { $0.name == name }) else {
            throw failure("unknown option \(name)")
        }
        let value: String
        if option.value == nil {
            guard parts.count == 1 else { throw failure("\(name) takes no value") }
            value = ""
        } else if parts.count == 2 {
            value = String(parts[1])
        } else {
            guard let next = rest.popFirst() else { throw failure("\(name) needs a value") }
            value = next
        }
        guard values[name] == nil || option.isRepeatable else {
            throw failure("\(name) is given twice")
        }
        values[name, default: []].append(value)
    }

    func failure(_ problem: String) -> CommandFailure {
        CommandFailure(.usage, "\(problem)\nTry: verdict \(command) --help")
    }

    package func has(_ name: String) -> Bool { values[name] != nil }
    package func value(_ name: String) -> String? { values[name]?.first }
    package func all(_ name: String) -> [String] { values[name] ?? [] }

    package func required(_ name: String) throws(CommandFailure) -> String {
        guard let value = value(name) else { throw failure("\(name) is missing") }
        return value
    }
    package func integer(_ name: String, _ range: ClosedRange<Int>) throws(CommandFailure) -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw failure(
                "\(name) must be \(range.lowerBound)…\(range.upperBound), is \"\(text)\""
            )
        }
        return number
    }
}
