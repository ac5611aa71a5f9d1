/// A reader of the Prometheus text format, strict enough to refuse what a scraper would.
struct Exposition {
    struct Failure: Error, CustomStringConvertible {
        var line: Int
        var description: String
    }
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: Double
    }
    struct Family {
        var kind: String
        var samples: [Sample] = []
    }
    private(set) var families: [String: Family] = [:]

    init(_ text: String) throws(Failure) {
        guard text.hasSuffix("\n") else { throw Failure(line: 0, description: "no last line feed") }
        var helped: String?
        var current = ""
        var series: Set<String> = []
        for (number, line) in text.split(separator: "\n").enumerated() {
            func fail(_ reason: String) -> Failure {
                Failure(line: number + 1, description: "\(reason): \(line)")
            }
            if line.hasPrefix("# HELP ") {
                helped = line.dropFirst(7).split(separator: " ").first.map(String.init)
                continue
            }
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                guard words.count == 4, String(words[2]) == helped else { throw fail("TYPE") }
                current = String(words[2])
                guard families[current] == nil else { throw fail("family twice") }
                guard ["counter", "gauge", "histogram"].contains(words[3]) else {
                    throw fail("kind")
                }
                families[current] = Family(kind: String(words[3]))
                continue
            }
            guard let sample = Exposition.sample(line) else { throw fail("sample") }
            let isHistogram = families[current]?.kind == "histogram"
            let suffixes = isHistogram ? ["_bucket", "_sum", "_count"] : [""]
            guard suffixes.contains(where: { current + $0 == sample.name }) else {
                throw fail("not of family \(current)")
            }
            let labels = sample.labels.sorted { $0.key < $1.key }
            guard series.insert("\(sample.name)\(labels)").inserted else { throw fail("twice") }
            families[current]?.samples.append(sample)
        }
    }

    private static func sample(_ line: Substring) -> Sample? {
        var rest = line
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        guard let first = name.first, !first.isNumber else { return nil }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            repeat {
                rest.removeFirst()
                let key = rest.prefix { $0.isLetter || $0 == "_" }
                rest = rest.dropFirst(key.count)
                guard !key.isEmpty, rest.hasPrefix("=\"") else { return nil }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.popFirst(), character != "\"" {
                    guard character == "\\" else {
                        value.append(character)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n": value.append("\n")
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    default: return nil
                    }
                }
                guard labels.updateValue(value, forKey: String(key)) == nil else { return nil }
            } while rest.first == ","
            guard rest.popFirst() == "}" else { return nil }
        }
        guard rest.popFirst() == " ", let value = Double(rest) else { return nil }
        return Sample(name: String(name), labels: labels, value: value)
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        for family in families.values {
            for sample in family.samples where sample.name == name && sample.labels == labels {
                return sample.value
            }
        }
        return nil
    }
}
