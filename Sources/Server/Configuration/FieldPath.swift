/// Where a value stands in a configuration file, such as `peers[1].node`.
package struct FieldPath: Hashable, Sendable, CustomStringConvertible {
    package enum Step: Hashable, Sendable {
        case field(String)
        case index(Int)
    }
    package private(set) var steps: [Step] = []

    package static let root = FieldPath()

    package func appending(_ field: String) -> FieldPath {
        var path = self
        path.steps.append(.field(field))
        return path
    }
    package func appending(_ index: Int) -> FieldPath {
        var path = self
        path.steps.append(.index(index))
        return path
    }
    /// The path of the object or list that holds this value; `nil` at the root.
    package var parent: FieldPath? {
        guard !steps.isEmpty else { return nil }
        var path = self
        path.steps.removeLast()
        return path
    }

    /// The same place with each name of so many bytes, or more, made unreadable.
    package func redactingNames(from length: Int) -> FieldPath {
        var path = self
        path.steps = steps.map { step in
            if case .field(let name) = step, name.utf8.count >= length {
                return .field("<redacted>")
            }
            return step
        }
        return path
    }

    package var description: String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}
