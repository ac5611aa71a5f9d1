/// Writes the Prometheus text exposition format, version 0.0.4.
package struct PrometheusText {
    package enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var bytes: [UInt8] = []
    private var family = ""

    package init(reserving capacity: Int = 64 * 1024) { bytes.reserveCapacity(capacity) }

    /// Begins a family; the samples that follow belong to it.
    package mutating func begin(_ name: String, _ kind: Kind, help: String) {
        family = name
        bytes.append(contentsOf: "# HELP \(name) ".utf8)
        appendEscaped(help, quotes: false)
        bytes.append(contentsOf: "\n# TYPE \(name) \(kind.rawValue)\n".utf8)
    }

    package mutating func sample(_ value: UInt64) { sample([], value) }

    package mutating func sample(_ labels: [(String, String)], _ value: UInt64) {
        beginSample("", labels)
        bytes.append(contentsOf: "\(value)\n".utf8)
    }

    /// A sample in seconds.
    package mutating func sample(_ labels: [(String, String)], nanoseconds: UInt64) {
        beginSample("", labels)
        appendSeconds(nanoseconds)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A sample in seconds, which may be less than none.
    package mutating func sample(_ labels: [(String, String)], milliseconds: Int64) {
        beginSample("", labels)
        if milliseconds < 0 { bytes.append(UInt8(ascii: "-")) }
        appendSeconds(min(milliseconds.magnitude, .max / 1_000_000) * 1_000_000)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// All samples of one histogram: its buckets, its sum in seconds and its count.
    package mutating func histogram(_ labels: [(String, String)], _ histogram: Histogram) {
        var total: UInt64 = 0
        for bucket in 0..<Histogram.bucketCount {
            total += histogram[bucket]
            beginSample("_bucket", labels, closing: false)
            bytes.append(contentsOf: (labels.isEmpty ? "{" : ",").utf8)
            bytes.append(contentsOf: "le=\"".utf8)
            if let bound = Histogram.upperBound(of: bucket) {
                appendSeconds(bound)
            } else {
                bytes.append(contentsOf: "+Inf".utf8)
            }
            bytes.append(contentsOf: "\"} \(total)\n".utf8)
        }
        beginSample("_sum", labels)
        appendSeconds(histogram.sum)
        bytes.append(UInt8(ascii: "\n"))
        beginSample("_count", labels)
        bytes.append(contentsOf: "\(histogram.count)\n".utf8)
    }

    private mutating func beginSample(
        _ suffix: String,
        _ labels: [(String, String)],
        closing: Bool = true
    ) {
        bytes.append(contentsOf: family.utf8)
        bytes.append(contentsOf: suffix.utf8)
        var separator = UInt8(ascii: "{")
        for (name, value) in labels {
            bytes.append(separator)
            bytes.append(contentsOf: name.utf8)
            bytes.append(contentsOf: "=\"".utf8)
            appendEscaped(value, quotes: true)
            bytes.append(UInt8(ascii: "\""))
            separator = UInt8(ascii: ",")
        }
        guard closing else { return }
        if !labels.isEmpty { bytes.append(UInt8(ascii: "}")) }
        bytes.append(UInt8(ascii: " "))
    }

    private mutating func appendEscaped(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\"") where quotes: bytes.append(contentsOf: #"\""#.utf8)
            default: bytes.append(byte)
            }
        }
    }

    /// Seconds as an exact decimal, without the rounding that a `Double` would bring.
    private mutating func appendSeconds(_ nanoseconds: UInt64) {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        bytes.append(contentsOf: String(seconds).utf8)
        guard rest > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        var divisor: UInt64 = 100_000_000
        var left = rest
        while left > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(left / divisor))
            left %= divisor
            divisor /= 10
        }
    }
}
