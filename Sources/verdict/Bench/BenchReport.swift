/// What a run gave.
struct BenchResult {
    struct Slice {
        var second: Int
        var answered: UInt64
        /// How long it was: a second, unless it was stopped.
        var nanoseconds: UInt64
        var errors: UInt64
        /// Nanoseconds.
        var median: UInt64
        var p99: UInt64

        var perSecond: UInt64 { BenchResult.rate(answered, nanoseconds) }

        func line(of seconds: Int, wrong: UInt64) -> String {
            "\(second)/\(seconds) s  \(perSecond)/s  p50 \(milliseconds(median)) ms  "
                + "p99 \(milliseconds(p99)) ms  errors \(errors)  wrong \(wrong)"
        }
    }

    var settings: BenchRun.Settings
    var nodes: Int
    var nanoseconds: UInt64 = 0
    var tally = BenchTally()
    var slices: [Slice] = []
    var readBack = BenchReadBack()
    /// What this process itself had of a processor, in nanoseconds.
    var processorTime: UInt64 = 0
    /// How long each request waits that was under way in the end, in nanoseconds.
    var unanswered: [UInt64] = []

    init(settings: BenchRun.Settings, nodes: Int) {
        self.settings = settings
        self.nodes = nodes
    }

    var isRight: Bool { tally.wrong == 0 && readBack.wrong.isEmpty }

    func perSecond(_ count: UInt64) -> UInt64 { BenchResult.rate(count, nanoseconds) }

    static func rate(_ count: UInt64, _ nanoseconds: UInt64) -> UInt64 {
        nanoseconds == 0 ? 0 : UInt64(Double(count) / Double(nanoseconds) * 1e9)
    }

    /// Microseconds of a processor that an answer cost this process.
    var processorMicroseconds: Double {
        let thousandths = Double(processorTime) / Double(max(tally.count, 1))
        return (thousandths / 100).rounded() / 10
    }

    /// Each kind that occurred, and all of them.
    var rows: [(name: String, latency: LatencyHistogram)] {
        let kinds = BenchWorkload.Kind.allCases.map { ($0.name, tally.latency[$0.rawValue]) }
            .filter { $0.1.count > 0 }
        return kinds + (kinds.count > 1 ? [("together", tally.all)] : [])
    }
}

/// Milliseconds with three decimals.
func milliseconds(_ nanoseconds: UInt64) -> String {
    let thousandths = String(nanoseconds / 1000 % 1000).leftPadded(to: 3)
    return "\(nanoseconds / 1_000_000).\(String(thousandths.map { $0 == " " ? "0" : $0 }))"
}

enum BenchReport {
    private static let quantiles: [(name: String, share: Double)] = [
        ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1),
    ]

    static func text(_ result: BenchResult) -> String {
        let headings = ["", "answers", "per second"] + quantiles.map { "\($0.name) ms" }
        let rows = result.rows.map { name, latency in
            [name, String(latency.count), String(result.perSecond(latency.count))]
                + quantiles.map { milliseconds(latency.quantile($0.share)) }
        }
        return """
            workload \(result.settings.name.rawValue), \(result.settings.connections) connections \
            over \(result.nodes) nodes, \(milliseconds(result.nanoseconds / 1000)) s

            \(Terminal.table(headings, rows, right: Set(1..<headings.count)))
            \(checks(result))
            """
    }

    private static func checks(_ result: BenchResult) -> String {
        let tally = result.tally
        var text = """
            errors: \(tally.unavailable) unavailable, \(tally.refused) refused, \
            \(tally.resets) reset, \(tally.timeouts) timed out (each request was asked again)
            under way in the end: \(result.unanswered.count), the oldest for \
            \(milliseconds(result.unanswered.max() ?? 0)) ms
            wrong answers: \(tally.wrong)
            read back: \(result.readBack.right) right, \(result.readBack.wrong.count) wrong, \
            \(result.readBack.unreadable) not readable
            the load's own share: \(result.processorMicroseconds) µs of a processor an answer
            """
        if let first = tally.firstWrong { text += "\nfirst wrong answer: \(first)" }
        if let first = result.readBack.wrong.first { text += "\nfirst outcome lost: \(first)" }
        return text
    }

    static func json(_ result: BenchResult) -> String {
        let kinds = result.rows.map { name, latency in
            let shares = quantiles.map {
                "\"\($0.name)\":\(milliseconds(latency.quantile($0.share)))"
            }
            return "\"\(name)\":{\"answers\":\(latency.count),"
                + "\"per_second\":\(result.perSecond(latency.count)),"
                + "\"mean\":\(milliseconds(latency.mean)),\(shares.joined(separator: ","))}"
        }
        let tally = result.tally
        return "{\"workload\":\"\(result.settings.name.rawValue)\","
            + "\"connections\":\(result.settings.connections),\"nodes\":\(result.nodes),"
            + "\"seconds\":\(milliseconds(result.nanoseconds / 1000)),"
            + "\"latency_ms\":{\(kinds.joined(separator: ","))},"
            + "\"errors\":{\"unavailable\":\(tally.unavailable),\"refused\":\(tally.refused),"
            + "\"reset\":\(tally.resets),\"timed_out\":\(tally.timeouts)},"
            + "\"under_way\":{\"count\":\(result.unanswered.count),"
            + "\"oldest_ms\":\(milliseconds(result.unanswered.max() ?? 0))},"
            + "\"load_cpu_us\":\(result.processorMicroseconds),"
            + "\"wrong\":\(tally.wrong),\"read_back\":{\"right\":\(result.readBack.right),"
            + "\"wrong\":\(result.readBack.wrong.count),"
            + "\"unreadable\":\(result.readBack.unreadable)}}"
    }

    /// One page without anything from elsewhere: the run over time, and the table.
    static func page(_ result: BenchResult) -> String {
        let rates = result.slices.map { Double($0.perSecond) }
        let seconds = result.slices.map { "\($0.second) s" }
        let shares = [0.1, 0.25] + quantiles.map(\.share)
        let colors = ["#1f6feb", "#17693a", "#b35900", "#5b6b7b"]
        let curves = zip(result.rows, colors).map { row, color in
            Line(
                name: row.name,
                color: color,
                values: shares.map { Double(row.latency.quantile($0)) / 1e6 }
            )
        }
        let p99 = result.slices.map { Double($0.p99) / 1e6 }
        let p50 = result.slices.map { Double($0.median) / 1e6 }
        var table = "<tr><th></th><th>answers</th><th>per second</th>"
        for quantile in quantiles { table += "<th>\(quantile.name) ms</th>" }
        table += "</tr>"
        for (name, latency) in result.rows {
            table += "<tr><th>\(name)</th><td>\(latency.count)</td>"
            table += "<td>\(result.perSecond(latency.count))</td>"
            for quantile in quantiles {
                table += "<td>\(milliseconds(latency.quantile(quantile.share)))</td>"
            }
            table += "</tr>"
        }
        return """
            <!doctype html><html lang="en"><meta charset="utf-8">
            <title>Verdict bench: \(result.settings.name.rawValue)</title>
            <style>
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
                   padding: 0 1rem; color: #1c2733; }
            table { border-collapse: collapse; margin: 1rem 0; }
            th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #d6dde4; }
            svg { width: 100%; height: auto; } pre { background: #f3f6f8; padding: .8rem; }
            .right { color: #17693a; } .wrong { color: #a3201d; }
            </style>
            <h1>Workload \(result.settings.name.rawValue)</h1>
            <p>\(result.settings.connections) connections over \(result.nodes) nodes for
            \(milliseconds(result.nanoseconds / 1000)) s: <b>\(result.perSecond(result.tally.count))</b> answers per
            second, <b class="\(result.isRight ? "right" : "wrong")">\(result.isRight
                ? "all right" : "some wrong")</b>.</p>
            <table>\(table)</table>
            <h2>Answers per second</h2>
            \(chart([Line(name: "answers/s", color: colors[0], values: rates)], along: seconds))
            <h2>Latency over time, milliseconds</h2>
            \(chart(
                [
                    Line(name: "p99", color: colors[2], values: p99),
                    Line(name: "p50", color: colors[0], values: p50),
                ],
                along: seconds
            ))
            <h2>Latency by percentile, milliseconds</h2>
            \(chart(curves, along: ["p10", "p25"] + quantiles.map(\.name)))
            <pre>\(escaped(checks(result)))</pre>
            </html>

            """
    }

    /// What a node said may be anything.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    private struct Line {
        var name: String
        var color: String
        var values: [Double]
    }

    private static func chart(_ lines: [Line], along labels: [String]) -> String {
        let (width, height, left, bottom) = (900.0, 240.0, 70.0, 30.0)
        let top = max(lines.flatMap(\.values).max() ?? 1, 1e-9) * 1.1
        let count = labels.count
        func x(_ i: Int) -> Double {
            left + (width - left - 30) * Double(i) / Double(max(count - 1, 1))
        }
        func y(_ value: Double) -> Double { (height - bottom) * (1 - value / top) + 5 }
        func short(_ value: Double) -> String {
            value >= 100 ? String(Int(value)) : String(Double(Int(value * 100)) / 100)
        }
        var svg = "<svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\" font-size=\"12\">"
        for step in 0...4 {
            let value = top * Double(step) / 4
            svg +=
                "<line x1=\"\(left)\" x2=\"\(width - 10)\" y1=\"\(y(value))\" y2=\"\(y(value))\" "
                + "stroke=\"#d6dde4\"/><text x=\"\(left - 6)\" y=\"\(y(value) + 4)\" "
                + "text-anchor=\"end\" fill=\"#5b6b7b\">\(short(value))</text>"
        }
        for i in Swift.stride(from: 0, to: count, by: max(1, count / 10)) {
            svg +=
                "<text x=\"\(x(i))\" y=\"\(height - 6)\" text-anchor=\"middle\" "
                + "fill=\"#5b6b7b\">\(labels[i])</text>"
        }
        for (position, line) in lines.enumerated() {
            let points = line.values.enumerated().map { (x($0.offset), y($0.element)) }
            // A line of one point shows nothing.
            for (x, y) in points where count <= 60 {
                svg += "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"2.5\" fill=\"\(line.color)\"/>"
            }
            let path = points.map { "\($0.0),\($0.1)" }.joined(separator: " ")
            svg +=
                "<polyline fill=\"none\" stroke=\"\(line.color)\" stroke-width=\"2\" "
                + "points=\"\(path)\"/>"
                + "<text x=\"\(left + 10 + Double(position) * 90)\" y=\"18\" fill=\"\(line.color)\">"
                + "\(line.name)</text>"
        }
        return svg + "</svg>"
    }
}
