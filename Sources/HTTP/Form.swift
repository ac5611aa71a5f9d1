/// Why a query, a form or a path does not decode.
package enum FormError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A `%` without two hexadecimal digits behind it.
    case badEscape
    case tooManyPairs(limit: Int)

    package var description: String {
        switch self {
        case .badEscape: "a percent sign without two hexadecimal digits"
        case .tooManyPairs(let limit): "more than \(limit) fields"
        }
    }
}

package enum PercentDecoding {
    /// Decodes percent escapes strictly; for a path's segments.
    package static func decode(_ text: some Collection<UInt8>) throws(FormError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        try append(Array(text)[...], plusIsSpace: false, into: &bytes)
        return bytes
    }

    // Of one type, since a generic one is not specialised across modules and this is hot.
    static func append(
        _ text: ArraySlice<UInt8>,
        plusIsSpace: Bool,
        into bytes: inout [UInt8]
    ) throws(FormError) {
        var high: UInt8?
        var digitsDue = 0
        for byte in text {
            if digitsDue > 0 {
                guard let digit = byte.hexValue else { throw .badEscape }
                if let first = high {
                    bytes.append(first << 4 | digit)
                    high = nil
                } else {
                    high = digit
                }
                digitsDue -= 1
            } else if byte == UInt8(ascii: "%") {
                digitsDue = 2
            } else {
                bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? .space : byte)
            }
        }
        guard digitsDue == 0 else { throw .badEscape }
    }
}

/// The (name, value) pairs of a query or an `application/x-www-form-urlencoded` body, decoded, in
/// the order they came.
///
/// They lie decoded in one buffer; only what is asked for becomes a `String`.
package struct Form: Sendable {
    /// Most pairs that are taken unless told otherwise.
    package static let maxPairs = 128

    private struct Place {
        var name: Range<Int>
        var value: Range<Int>
    }
    private var bytes: [UInt8] = []
    private var places: [Place] = []

    /// Decodes pairs; empty ones (`&&`) are skipped, a name without `=` has an empty value.
    package init(_ text: [UInt8], maxPairs: Int = Form.maxPairs) throws(FormError) {
        bytes.reserveCapacity(text.count)
        places.reserveCapacity(min(maxPairs, 24))
        for pair in text.split(separator: UInt8(ascii: "&")) {
            guard places.count < maxPairs else { throw .tooManyPairs(limit: maxPairs) }
            let equals = pair.firstIndex(of: UInt8(ascii: "="))
            let start = bytes.count
            try PercentDecoding.append(
                pair[..<(equals ?? pair.endIndex)],
                plusIsSpace: true,
                into: &bytes
            )
            let middle = bytes.count
            if let equals {
                try PercentDecoding.append(
                    pair[equals...].dropFirst(),
                    plusIsSpace: true,
                    into: &bytes
                )
            }
            places.append(Place(name: start..<middle, value: middle..<bytes.count))
        }
    }

    /// The pairs of a target's query; none without one.
    package init(query: Substring?, maxPairs: Int = Form.maxPairs) throws(FormError) {
        try self.init(query.map { Array($0.utf8) } ?? [], maxPairs: maxPairs)
    }

    /// Pairs that are decoded already.
    package init(pairs: [(String, String)]) {
        for pair in pairs {
            let start = bytes.count
            bytes.append(contentsOf: pair.0.utf8)
            let middle = bytes.count
            bytes.append(contentsOf: pair.1.utf8)
            places.append(Place(name: start..<middle, value: middle..<bytes.count))
        }
    }

    package var count: Int { places.count }

    package func name(_ index: Int) -> ArraySlice<UInt8> { bytes[places[index].name] }

    package func value(_ index: Int) -> ArraySlice<UInt8> { bytes[places[index].value] }

    /// Every pair as text; for what is not hot.
    package var pairs: [(name: String, value: String)] {
        places.map {
            (
                String(decoding: bytes[$0.name], as: UTF8.self),
                String(decoding: bytes[$0.value], as: UTF8.self)
            )
        }
    }

    /// The first value of a name, which compares with case.
    package func first(_ name: String) -> ArraySlice<UInt8>? {
        for place in places where isNamed(place, name) { return bytes[place.value] }
        return nil
    }

    package func firstText(_ name: String) -> String? {
        first(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// How often a name occurs.
    package func count(_ name: String) -> Int {
        places.reduce(0) { $0 + (isNamed($1, name) ? 1 : 0) }
    }

    private func isNamed(_ place: Place, _ name: String) -> Bool {
        guard place.name.count == name.utf8.count else { return false }
        var index = place.name.lowerBound
        for byte in name.utf8 {
            guard bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }
}

extension Form {
    /// The pairs' indices, sorted by the bytes of their names, then of their values; of equal pairs
    /// one.
    package func sortedDistinctIndices() -> [Int] {
        // Most comparisons end within eight bytes, which one integer holds.
        var order = places.indices.map { (prefix: prefix(places[$0].name), index: $0) }
        order.sort { a, b in
            guard a.prefix == b.prefix else { return a.prefix < b.prefix }
            return compare(places[a.index], places[b.index]) < 0
        }
        var indices: [Int] = []
        indices.reserveCapacity(order.count)
        for (_, index) in order {
            if let last = indices.last, compare(places[last], places[index]) == 0 { continue }
            indices.append(index)
        }
        return indices
    }

    /// The first eight bytes in an order that integers keep; a shorter name is filled up with zeros.
    private func prefix(_ range: Range<Int>) -> UInt64 {
        var prefix: UInt64 = 0
        for offset in 0..<8 {
            prefix <<= 8
            if offset < range.count { prefix |= UInt64(bytes[range.lowerBound + offset]) }
        }
        return prefix
    }

    private func compare(_ a: Place, _ b: Place) -> Int {
        let names = compare(a.name, b.name)
        return names == 0 ? compare(a.value, b.value) : names
    }

    private func compare(_ a: Range<Int>, _ b: Range<Int>) -> Int {
        for offset in 0..<min(a.count, b.count) {
            let x = bytes[a.lowerBound + offset]
            let y = bytes[b.lowerBound + offset]
            guard x == y else { return x < y ? -1 : 1 }
        }
        return a.count - b.count
    }
}
