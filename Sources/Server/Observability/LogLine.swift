internal import HTTP

/// Builds one log line, escaped so that no value can end the line or pass for another field.
struct LogLine {
    private let format: Log.Format
    private var bytes: [UInt8] = []
    private var json = JSONText()

    init(_ format: Log.Format) {
        self.format = format
        switch format {
        case .logfmt: bytes.reserveCapacity(256)
        case .json: json.beginObject()
        }
    }

    mutating func add(_ name: String, _ value: Log.Value) {
        switch format {
        case .json: addJSON(name, value)
        case .logfmt:
            if !bytes.isEmpty { bytes.append(UInt8(ascii: " ")) }
            bytes.append(contentsOf: name.utf8)
            bytes.append(UInt8(ascii: "="))
            switch value {
            case .text(let text): appendLogfmt(text)
            case .number(let number): bytes.append(contentsOf: "\(number)".utf8)
            case .count(let count): bytes.append(contentsOf: "\(count)".utf8)
            case .flag(let flag): bytes.append(contentsOf: "\(flag)".utf8)
            case .span(let nanoseconds):
                let micro = nanoseconds / 1000
                let fraction = "\(1000 + micro % 1000)".dropFirst()
                bytes.append(contentsOf: "\(micro / 1000).\(fraction)ms".utf8)
            }
        }
    }

    private mutating func addJSON(_ name: String, _ value: Log.Value) {
        json.key(name)
        switch value {
        case .text(let text): json.string(text)
        case .number(let number): json.integer(number)
        case .count(let count): json.integer(count)
        case .flag(let flag): json.bool(flag)
        case .span(let nanoseconds): json.thousandths(nanoseconds / 1000)
        }
    }

    /// The line with its line feed.
    consuming func finished() -> [UInt8] {
        switch format {
        case .logfmt:
            bytes.append(UInt8(ascii: "\n"))
            return bytes
        case .json:
            json.endObject()
            var line = json.bytes
            line.append(UInt8(ascii: "\n"))
            return line
        }
    }

    /// Bare where nothing in the text could be taken for syntax, else in quotes.
    private mutating func appendLogfmt(_ text: String) {
        let isBare =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                byte > 0x20 && byte != 0x7f && byte != UInt8(ascii: "\"")
                    && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\\")
            }
        guard !isBare else {
            bytes.append(contentsOf: text.utf8)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\r"): bytes.append(contentsOf: #"\r"#.utf8)
            case UInt8(ascii: "\t"): bytes.append(contentsOf: #"\t"#.utf8)
            case 0..<0x20, 0x7f:
                bytes.append(contentsOf: #"\u00"#.utf8)
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
