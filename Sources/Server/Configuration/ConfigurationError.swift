import Raft

/// What is wrong with a configuration: every finding, never none.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// One thing to put right; prints as `FILE:LINE: FIELD: PROBLEM`.
    package struct Finding: Hashable, Sendable, CustomStringConvertible {
        package var file: String
        /// Counted from 1; `nil` if the whole file is meant.
        package var line: Int?
        /// `nil` if no field is meant, as for a file that cannot be read.
        package var field: FieldPath?
        package var problem: String

        package init(file: String, line: Int? = nil, field: FieldPath? = nil, problem: String) {
            self.file = file
            self.line = line
            self.field = field
            self.problem = problem
        }
        package var description: String {
            var text = file
            if let line { text += ":\(line)" }
            if let field, field != .root { text += ": \(field)" }
            return "\(text): \(problem)"
        }
    }
    package var findings: [Finding]

    package init(_ findings: [Finding]) {
        invariant(!findings.isEmpty, "a configuration error without a finding")
        self.findings = findings
    }
    package var description: String {
        findings.map(\.description).joined(separator: "\n")
    }
}
