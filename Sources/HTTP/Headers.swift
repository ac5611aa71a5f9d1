/// Header fields in the order they came; names compare without case.
///
/// The fields lie in one buffer as they came off the wire; a name or value becomes a `String` only
/// when it is asked for, since most of a request's fields never are.
package struct Headers: Sendable {
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    /// Where a field lies in `bytes`.
    struct Place: Sendable {
        var name: Range<UInt32>
        var value: Range<UInt32>
    }

    private(set) var bytes: [UInt8]
    private(set) var places: [Place]

    package init(_ fields: [(String, String)] = []) {
        bytes = []
        places = []
        for field in fields { append(field.0, field.1) }
    }

    init(bytes: [UInt8], places: [Place]) {
        self.bytes = bytes
        self.places = places
    }

    /// Every field, decoded; for tests and for what is not hot.
    package var fields: [Field] {
        places.map { Field(name: text(in: $0.name), value: text(in: $0.value)) }
    }

    package mutating func append(_ name: String, _ value: String) {
        let start = UInt32(bytes.count)
        bytes.append(contentsOf: name.utf8)
        let middle = UInt32(bytes.count)
        bytes.append(contentsOf: value.utf8)
        places.append(Place(name: start..<middle, value: middle..<UInt32(bytes.count)))
    }

    /// The first value of a field, whose name is given in lower case.
    package func first(_ name: String) -> String? {
        for place in places where isNamed(place, lowercase: name) { return text(in: place.value) }
        return nil
    }

    /// The first value of a field, whose name is given in lower case, as bytes.
    package func firstBytes(_ name: String) -> ArraySlice<UInt8>? {
        for place in places where isNamed(place, lowercase: name) {
            return bytes[Int(place.value.lowerBound)..<Int(place.value.upperBound)]
        }
        return nil
    }

    /// How often a field occurs, whose name is given in lower case.
    package func count(_ name: String) -> Int {
        places.reduce(0) { $0 + (isNamed($1, lowercase: name) ? 1 : 0) }
    }

    /// Whether there is one `Content-Type` and it is this type, given in lower case, with any
    /// parameters.
    package func hasMediaType(_ type: String) -> Bool {
        guard count("content-type") == 1, let value = firstBytes("content-type"),
            value.count >= type.utf8.count
        else { return false }
        var rest = value
        for byte in type.utf8 {
            guard rest.removeFirst().lowercased == byte else { return false }
        }
        guard let next = rest.first(where: { !$0.isBlank }) else { return true }
        return next == UInt8(ascii: ";")
    }

    private func text(in range: Range<UInt32>) -> String {
        String(decoding: bytes[Int(range.lowerBound)..<Int(range.upperBound)], as: UTF8.self)
    }

    private func isNamed(_ place: Place, lowercase name: String) -> Bool {
        guard place.name.count == name.utf8.count else { return false }
        var index = Int(place.name.lowerBound)
        for byte in name.utf8 {
            guard bytes[index].lowercased == byte else { return false }
            index += 1
        }
        return true
    }
}
