import FoundationEssentials

/// One configuration file while it is read: its text, and all that was found wrong so far.
final class ConfigurationDocument {
    let file: ConfigurationFile
    let root: JSONNode
    /// Whether messages must not quote values.
    let isSecret: Bool
    private let map: SourceMap
    private var findings: [ConfigurationError.Finding] = []

    init(_ file: ConfigurationFile, isSecret: Bool) throws(ConfigurationError) {
        self.file = file
        self.isSecret = isSecret
        func failure(line: Int? = nil, _ problem: String) -> ConfigurationError {
            ConfigurationError([.init(file: file.path, line: line, problem: problem)])
        }
        guard String(validating: file.bytes, as: UTF8.self) != nil else {
            throw failure("is not UTF-8")
        }
        do throws(SourceMap.SyntaxError) {
            map = try SourceMap(of: file.bytes)
        } catch {
            throw failure(line: error.line, error.problem)
        }
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        guard let root = try? decoder.decode(JSONNode.self, from: Data(file.bytes)) else {
            throw failure("is not JSON5")
        }
        self.root = root
        for duplicate in map.duplicates {
            findings.append(
                .init(
                    file: file.path,
                    line: duplicate.line,
                    field: shown(duplicate.path),
                    problem: "is given twice; first on line \(duplicate.first)"
                )
            )
        }
    }

    func report(_ path: FieldPath, _ problem: String) {
        findings.append(
            .init(file: file.path, line: line(of: path), field: shown(path), problem: problem)
        )
    }
    /// A place as a message may name it.
    ///
    /// Somebody may write a secret where the name of a field belongs, say `{ "TOKEN": "read" }`. No
    /// field of a file of secrets has a name as long as a secret must be.
    func shown(_ path: FieldPath) -> FieldPath {
        isSecret ? path.redactingNames(from: Secrets.lengths.lowerBound) : path
    }
    func line(of path: FieldPath) -> Int { map.line(of: path) }
    var hasFindings: Bool { !findings.isEmpty }

    /// Throws what was found, in the order of the file.
    func finish() throws(ConfigurationError) {
        guard !findings.isEmpty else { return }
        let ordered = findings.enumerated().sorted {
            ($0.element.line ?? 0, $0.offset) < ($1.element.line ?? 0, $1.offset)
        }
        throw ConfigurationError(ordered.map(\.element))
    }
}

/// Reads the fields of one object.
///
/// Every accessor reports what is wrong and returns a stand-in, so that one pass finds everything.
/// `ConfigurationDocument.finish` throws before one is used.
final class FieldReader {
    let document: ConfigurationDocument
    let path: FieldPath
    /// The fields' names, sorted.
    let names: [String]
    private let fields: [String: JSONNode]
    private var known: Set<String> = []

    init(_ document: ConfigurationDocument, _ node: JSONNode, at path: FieldPath) {
        self.document = document
        self.path = path
        if case .object(let fields) = node {
            self.fields = fields
        } else {
            fields = [:]
            document.report(path, "must be an object, is \(node.kind)")
        }
        names = fields.keys.sorted()
    }

    func report(_ name: String, _ problem: String) {
        document.report(path.appending(name), problem)
    }

    func has(_ name: String) -> Bool { fields[name] != nil }
    /// The length of a list; `nil` if there is none.
    func count(of name: String) -> Int? {
        if case .array(let items)? = fields[name] { items.count } else { nil }
    }
    /// A string as it stands; empty if there is none.
    func text(_ name: String) -> String {
        if case .string(let text)? = fields[name] { text } else { "" }
    }

    private func node(_ name: String, isRequired: Bool) -> JSONNode? {
        known.insert(name)
        if let node = fields[name] { return node }
        if isRequired { report(name, "is missing") }
        return nil
    }

    /// A whole number in a range; required if there is no default.
    func integer(_ name: String, _ range: ClosedRange<Int>, default other: Int? = nil) -> Int {
        let standIn = other ?? range.lowerBound
        guard let node = node(name, isRequired: other == nil) else { return standIn }
        guard case .integer(let value) = node else {
            report(name, "must be a whole number \(range.shown), is \(node.kind)")
            return standIn
        }
        guard let value = Int(exactly: value), range.contains(value) else {
            report(name, "must be \(range.shown), is \(value)")
            return standIn
        }
        return value
    }

    /// `true` or `false`.
    func flag(_ name: String, default other: Bool) -> Bool {
        guard let node = node(name, isRequired: false) else { return other }
        guard case .bool(let value) = node else {
            report(name, "must be true or false, is \(node.kind)")
            return other
        }
        return value
    }

    /// A string; required if there is no default.
    ///
    /// `problem` says what is wrong with a string, `nil` if nothing.
    func string(
        _ name: String,
        default other: String? = nil,
        problem: (String) -> String? = { _ in nil }
    ) -> String {
        guard let node = node(name, isRequired: other == nil) else { return other ?? "" }
        guard case .string(let value) = node else {
            report(name, "must be a string, is \(node.kind)")
            return other ?? ""
        }
        if let problem = problem(value) {
            report(name, document.isSecret ? problem : "\(problem), is \(quoted(value))")
            return other ?? ""
        }
        return value
    }

    /// A string turned into a value, required; `nil` after a report.
    func parsed<Value>(_ name: String, as what: String, _ parse: (String) -> Value?) -> Value? {
        var value: Value?
        _ = string(name) {
            value = parse($0)
            return value == nil ? "must be \(what)" : nil
        }
        return value
    }

    /// One of a few words; required if there is no default.
    func choice<Value>(
        _ name: String,
        _ words: KeyValuePairs<String, Value>,
        default other: Value? = nil
    ) -> Value {
        var found: Value?
        _ = string(name, default: other == nil ? nil : "") { text in
            found = words.first { $0.key == text }?.value
            let allowed = words.map(\.key).joined(separator: ", ")
            return found == nil ? "must be one of \(allowed)" : nil
        }
        return found ?? other ?? words[0].value
    }

    /// A list; absent is empty unless it is required.
    func list(_ name: String, isRequired: Bool = false) -> [(path: FieldPath, node: JSONNode)] {
        guard let node = node(name, isRequired: isRequired) else { return [] }
        guard case .array(let items) = node else {
            report(name, "must be a list, is \(node.kind)")
            return []
        }
        let place = path.appending(name)
        return items.enumerated().map { (place.appending($0.offset), $0.element) }
    }

    /// A list of strings, each with its place in the file.
    func strings(
        _ name: String,
        isRequired: Bool = false,
        problem: (String) -> String? = { _ in nil }
    ) -> [(path: FieldPath, text: String)] {
        list(name, isRequired: isRequired).compactMap { item in
            guard case .string(let text) = item.node else {
                document.report(item.path, "must be a string, is \(item.node.kind)")
                return nil
            }
            if let problem = problem(text) {
                document.report(
                    item.path,
                    document.isSecret ? problem : "\(problem), is \(quoted(text))"
                )
                return nil
            }
            return (item.path, text)
        }
    }

    /// An object; absent is empty unless it is required.
    func object(_ name: String, isRequired: Bool = false) -> FieldReader {
        let node = node(name, isRequired: isRequired)
        return FieldReader(document, node ?? .object([:]), at: path.appending(name))
    }

    /// An object whose absence means something; `nil` then.
    func optionalObject(_ name: String) -> FieldReader? {
        node(name, isRequired: false).map {
            FieldReader(document, $0, at: path.appending(name))
        }
    }

    /// Reports each field that nothing has asked for.
    func close() {
        for name in names where !known.contains(name) {
            let near = known.filter { $0.distance(from: name) <= 2 }.min()
            let hint =
                if let near { "did you mean \(near)?" } else {
                    "known here: \(known.sorted().joined(separator: ", "))"
                }
            report(name, "is not a field; \(hint)")
        }
    }
}

private func quoted(_ text: String) -> String {
    text.count <= 80 ? "\"\(text)\"" : "\"\(text.prefix(80))…\""
}

extension ClosedRange<Int> {
    fileprivate var shown: String { "\(lowerBound)…\(upperBound)" }
}

extension String {
    /// The number of single-character edits between two names (Levenshtein).
    fileprivate func distance(from other: String) -> Int {
        let other = Array(other)
        var row = Array(0...other.count)
        for (i, character) in enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, candidate) in other.enumerated() {
                let substituted = diagonal + (character == candidate ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = Swift.min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[other.count]
    }
}
