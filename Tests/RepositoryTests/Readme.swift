import Foundation

/// The commands of README.md, each with the output that stands below it.
struct Readme {
    struct Step: Sendable {
        var line: Int
        var commands: String
        /// Lines in which `…` stands for anything, and a line of it alone for any lines.
        var output: [String]
    }
    var steps: [Step] = []

    /// Takes each `sh` block, and the `text` block that comes next for its output.
    init(_ lines: [Substring]) {
        var block: (language: Substring, line: Int, lines: [String])?
        for (offset, line) in lines.enumerated() {
            if block == nil, line.hasPrefix("```") {
                block = (line.dropFirst(3), offset + 1, [])
            } else if line == "```", let ended = block {
                switch ended.language {
                case "sh":
                    let commands = ended.lines.joined(separator: "\n")
                    steps.append(Step(line: ended.line, commands: commands, output: []))
                case "text":
                    if !steps.isEmpty { steps[steps.count - 1].output = ended.lines }
                default: break
                }
                block = nil
            } else {
                block?.lines.append(String(line))
            }
        }
    }

    /// A shell script of all steps; ahead of each it prints its line number, alone behind `marker`.
    func script(marker: String) -> String {
        var script = "set -eu\n"
        for step in steps {
            script += "printf '\\n%s\\n' '\(marker)\(step.line)'\n\(step.commands)\n"
        }
        return script
    }

    /// What the steps printed, by line number.
    static func outputs(of text: String, marker: String) -> [Int: [String]] {
        var outputs: [Int: [String]] = [:]
        var line: Int?
        // HTTP's line ends: `\r\n` is one character, and not a `\n`.
        let text = text.replacing("\r\n", with: "\n")
        for row in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if row.hasPrefix(marker) {
                line = Int(row.dropFirst(marker.count))
                line.map { outputs[$0] = [] }
            } else if let line {
                outputs[line]?.append(String(row))
            }
        }
        return outputs
    }

    /// Whether output is as it is printed on the page: all of it, spaces counted once.
    static func matches(_ output: [String], _ expected: [String]) -> Bool {
        func words(_ lines: [String]) -> [String] {
            var lines = lines.map { $0.split(separator: " ").joined(separator: " ") }
            while lines.last?.isEmpty == true { lines.removeLast() }
            return lines
        }
        return lines(words(output)[...], words(expected)[...])
    }

    private static func lines(_ output: ArraySlice<String>, _ expected: ArraySlice<String>) -> Bool
    {
        guard let pattern = expected.first else { return output.isEmpty }
        if pattern == "…" {
            return (output.startIndex...output.endIndex).contains {
                lines(output[$0...], expected.dropFirst())
            }
        }
        guard let line = output.first, matches(line, pattern) else { return false }
        return lines(output.dropFirst(), expected.dropFirst())
    }

    /// Whether a line is the pattern, in which each `…` stands for some text.
    private static func matches(_ line: String, _ pattern: String) -> Bool {
        let parts = pattern.components(separatedBy: "…")
        guard let first = parts.first, let last = parts.last, line.hasPrefix(first) else {
            return false
        }
        if parts.count == 1 { return line == first }
        var rest = line.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.hasSuffix(last)
    }
}
