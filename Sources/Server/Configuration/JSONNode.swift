/// A JSON5 document as a tree.
///
/// The reader of a configuration walks it and goes on after an error, which a `Decodable` type
/// cannot: decoding stops at the first.
package indirect enum JSONNode: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONNode])
    case object([String: JSONNode])
    /// Well-formed, but no value of ours: a number out of range, a string that is not Unicode.
    case unreadable

    /// What the value is, for messages; never what it says.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a Boolean"
        case .integer: "a whole number"
        case .number: "a number with a fraction"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        case .unreadable: "a value that cannot be represented"
        }
    }
}

extension JSONNode: Decodable {
    package init(from decoder: any Decoder) throws {
        // The kinds are told apart by trying: a decoder does not say what comes next.
        if let container = try? decoder.container(keyedBy: Key.self) {
            var fields: [String: JSONNode] = [:]
            for key in container.allKeys {
                fields[key.stringValue] = try container.decode(JSONNode.self, forKey: key)
            }
            self = .object(fields)
        } else if var container = try? decoder.unkeyedContainer() {
            var items: [JSONNode] = []
            while !container.isAtEnd { items.append(try container.decode(JSONNode.self)) }
            self = .array(items)
        } else {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? container.decode(Int64.self) {
                self = .integer(value)
            } else if let value = try? container.decode(Double.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .string(value)
            } else {
                self = .unreadable
            }
        }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init?(intValue: Int) { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
    }
}
