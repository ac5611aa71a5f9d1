/// Writes JSON whose bytes stay the same for ever.
///
/// The answer to a callback must have the same bytes on every node and after every upgrade, so the
/// order of members and the way strings are escaped are part of the contract. `JSONEncoder` promises
/// neither: the order follows a dictionary unless keys are sorted, and escaping has changed between
/// toolchains. Here members come in the order they are written, without white space, and only what
/// RFC 8259 §7 demands is escaped: `"`, `\` and the control characters below U+0020, those with a
/// short form by it (`\b \t \n \f \r`) and the others as `\u00xx` in lower case.
///
/// ```
/// var json = JSONText()
/// json.beginObject()
/// json.member("attempt", "va_1")
/// json.key("next")
/// json.beginObject()
/// json.member("action", "hangup")
/// json.endObject()
/// json.endObject()
/// json.bytes  // {"attempt":"va_1","next":{"action":"hangup"}}
/// ```
package struct JSONText: Sendable {
    /// What has been written.
    package private(set) var bytes: [UInt8] = []
    /// Whether a value or key that follows needs a comma before it.
    private var needsComma = false
    /// The containers that are open, the innermost in the lowest bit: 1 for an object.
    private var containers: UInt64 = 0
    private var depth = 0

    package init() { bytes.reserveCapacity(256) }

    package mutating func beginObject() { begin(UInt8(ascii: "{"), isObject: true) }
    package mutating func endObject() { end(UInt8(ascii: "}"), isObject: true) }
    package mutating func beginArray() { begin(UInt8(ascii: "["), isObject: false) }
    package mutating func endArray() { end(UInt8(ascii: "]"), isObject: false) }

    /// Writes a member's name; its value is what is written next.
    package mutating func key(_ name: String) {
        invariant(depth > 0 && containers & 1 == 1, "key \(name) outside of an object")
        separate()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func string(_ value: String) {
        separate()
        quote(value)
        needsComma = true
    }

    package mutating func integer(_ value: some BinaryInteger) {
        separate()
        bytes.append(contentsOf: String(value).utf8)
        needsComma = true
    }

    /// Writes a number with three decimals, exact since it is counted in thousandths.
    package mutating func thousandths(_ value: UInt64) {
        separate()
        bytes.append(contentsOf: String(value / 1000).utf8)
        bytes.append(UInt8(ascii: "."))
        CivilTime.append(Int(value % 1000), digits: 3, into: &bytes)
        needsComma = true
    }

    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: value ? "true".utf8 : "false".utf8)
        needsComma = true
    }

    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
        needsComma = true
    }

    package mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    package mutating func member(_ name: String, _ value: some BinaryInteger) {
        key(name)
        integer(value)
    }

    package mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }

    /// Writes a time as RFC 3339 in UTC with milliseconds.
    package mutating func member(_ name: String, milliseconds: UInt64) {
        key(name)
        bytes.append(UInt8(ascii: "\""))
        RFC3339.append(milliseconds: milliseconds, into: &bytes)
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func begin(_ bracket: UInt8, isObject: Bool) {
        invariant(depth < 64, "JSON nested \(depth) deep")
        separate()
        bytes.append(bracket)
        containers = containers << 1 | (isObject ? 1 : 0)
        depth += 1
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8, isObject: Bool) {
        invariant(
            depth > 0 && (containers & 1 == 1) == isObject,
            "JSON container closed that was not open, at depth \(depth)"
        )
        bytes.append(bracket)
        containers >>= 1
        depth -= 1
        needsComma = true
    }

    private mutating func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): escape(byte)
            case 0x08: escape(UInt8(ascii: "b"))
            case 0x09: escape(UInt8(ascii: "t"))
            case 0x0a: escape(UInt8(ascii: "n"))
            case 0x0c: escape(UInt8(ascii: "f"))
            case 0x0d: escape(UInt8(ascii: "r"))
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(UInt8(ascii: "0") + byte >> 4)
                let low = byte & 15
                bytes.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
    }
}
