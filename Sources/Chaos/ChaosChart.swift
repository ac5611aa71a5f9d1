/// The run over time, as one picture: faults, throughput, latency, and who leads.
struct ChaosChart {
    private let report: ChaosReport
    private let span: Double
    private var parts = ""

    private static let width = 1200.0
    private static let left = 74.0
    private static let right = 14.0
    private static let ink = "#5b6b7b"
    private static let grid = "#e3e8ed"

    init(_ report: ChaosReport) {
        self.report = report
        span = max(1, Double(report.series.end) / 1e9)
    }

    var svg: String {
        var chart = self
        var top = 10.0
        let faultsEnd = chart.drawFaults(at: top)
        top = faultsEnd + 26
        let bandsBegin = top
        chart.drawThroughput(at: top, height: 150)
        top += 150 + 46
        chart.drawLatency(at: top, height: 130)
        top += 130 + 34
        let end = chart.drawLeaders(at: top)
        chart.drawTime(at: end + 4)
        let bands = chart.bands(from: bandsBegin, to: end)
        let height = end + 34
        return """
            <svg viewBox="0 0 \(Int(ChaosChart.width)) \(Int(height))" role="img"
            font-family="system-ui, Liberation Sans, DejaVu Sans, sans-serif" font-size="12">
            <title>Faults, decisions, latency and leaders over time</title>
            \(bands)\(chart.parts)</svg>
            """
    }

    private func x(_ nanoseconds: UInt64) -> Double { x(Double(nanoseconds) / 1e9) }
    private func x(_ seconds: Double) -> Double {
        let inner = ChaosChart.width - ChaosChart.left - ChaosChart.right
        return ChaosChart.left + inner * min(max(seconds / span, 0), 1)
    }
    private func text(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(abs(tenths % 10))"
    }

    private mutating func label(
        _ words: String,
        x: Double,
        y: Double,
        anchor: String = "end",
        color: String = ChaosChart.ink,
        weight: String = "400"
    ) {
        parts +=
            "<text x=\"\(text(x))\" y=\"\(text(y))\" text-anchor=\"\(anchor)\" fill=\"\(color)\" "
            + "font-weight=\"\(weight)\">\(ChaosReport.escaped(words))</text>"
    }
    private mutating func rectangle(
        _ x: Double,
        _ y: Double,
        _ width: Double,
        _ height: Double,
        _ color: String,
        _ more: String = "",
        title: String = ""
    ) {
        parts += ChaosChart.rectangle(x, y, width, height, color, more, title)
    }
    private static func rectangle(
        _ x: Double,
        _ y: Double,
        _ width: Double,
        _ height: Double,
        _ color: String,
        _ more: String,
        _ title: String
    ) -> String {
        func text(_ value: Double) -> String {
            let tenths = Int((value * 10).rounded())
            return "\(tenths / 10).\(abs(tenths % 10))"
        }
        let end = title.isEmpty ? "/>" : "><title>\(ChaosReport.escaped(title))</title></rect>"
        return "<rect x=\"\(text(x))\" y=\"\(text(y))\" width=\"\(text(width))\" "
            + "height=\"\(text(height))\" fill=\"\(color)\" \(more)\(end)"
    }
    private mutating func line(_ y: Double) {
        let right = ChaosChart.width - ChaosChart.right
        parts +=
            "<line x1=\"\(ChaosChart.left)\" x2=\"\(right)\" y1=\"\(text(y))\" y2=\"\(text(y))\" "
            + "stroke=\"\(ChaosChart.grid)\"/>"
    }

    // MARK: Faults

    private mutating func drawFaults(at top: Double) -> Double {
        // Beyond some number names only hide what they name; the table has them.
        report.faults.count > 40 ? drawFamilies(at: top) : drawNamedFaults(at: top)
    }

    /// A row for each family.
    private mutating func drawFamilies(at top: Double) -> Double {
        let height = 14.0
        var y = top
        for family in FaultFamily.allCases {
            let some = report.faults.filter { FaultFamily($0.plan.kind) == family }
            guard !some.isEmpty else { continue }
            label(family.rawValue, x: ChaosChart.left - 8, y: y + 11, color: family.color)
            line(y + height / 2)
            for fault in some {
                rectangle(
                    x(fault.began),
                    y,
                    max(3, x(fault.ended) - x(fault.began)),
                    height,
                    family.color,
                    "rx=\"2\" opacity=\"0.85\"",
                    title: ChaosChart.title(of: fault)
                )
            }
            y += height + 4
        }
        return y
    }

    private static func title(of fault: InjectedFault) -> String {
        "#\(fault.plan.number) \(fault.plan.kind.rawValue): \(fault.plan.description)"
    }

    /// Bars in as many rows as it takes for none to lie on another, with their names.
    private mutating func drawNamedFaults(at top: Double) -> Double {
        let height = 17.0
        var rowEnds: [Double] = []
        var rows: [(row: Int, fault: InjectedFault, from: Double, to: Double, name: String)] = []
        for fault in report.faults {
            let from = x(fault.began)
            let to = max(x(fault.ended), from + 3)
            let name = "\(fault.plan.number) \(fault.plan.kind.rawValue)"
            // A name may stand beside its bar, where a row has room for it.
            let needs = max(to - from, 6.4 * Double(name.count) + 8)
            let row = rowEnds.firstIndex { $0 + 3 <= from } ?? rowEnds.count
            if row == rowEnds.count { rowEnds.append(0) }
            rowEnds[row] = from + needs
            rows.append((row, fault, from, to, name))
        }
        for item in rows {
            let y = top + Double(item.row) * (height + 3)
            let color = FaultFamily(item.fault.plan.kind).color
            rectangle(
                item.from,
                y,
                item.to - item.from,
                height,
                color,
                "rx=\"2\"",
                title: ChaosChart.title(of: item.fault)
            )
            let fits = 6.4 * Double(item.name.count) + 4 <= item.to - item.from
            label(
                item.name,
                x: fits ? item.from + 4 : item.to + 3,
                y: y + 12.5,
                anchor: "start",
                color: fits ? "#ffffff" : color
            )
        }
        if !rowEnds.isEmpty { label("faults", x: ChaosChart.left - 8, y: top + 12.5) }
        return top + Double(max(1, rowEnds.count)) * (height + 3)
    }

    private func bands(from top: Double, to end: Double) -> String {
        var text = ""
        for fault in report.faults {
            let from = x(fault.began)
            text += ChaosChart.rectangle(
                from,
                top,
                max(1, x(fault.ended) - from),
                end - top,
                FaultFamily(fault.plan.kind).color,
                "opacity=\"0.10\"",
                ""
            )
        }
        return text
    }

    // MARK: Curves

    private mutating func drawThroughput(at top: Double, height: Double) {
        let slices = report.series.slices
        let most = slices.map { max($0.decisions, $0.failures) }.max() ?? 1
        let step = ChaosChart.roundStep(Double(max(1, most)) / 3)
        let limit = max(step, (Double(most) / step).rounded(.up) * step)
        func y(_ value: Double) -> Double { top + height * (1 - value / limit) }
        label("Decisions a second", x: ChaosChart.left, y: top - 8, anchor: "start", weight: "600")
        label(
            "failed or unanswered requests",
            x: ChaosChart.left + 140,
            y: top - 8,
            anchor: "start",
            color: "#b3261e"
        )
        var value = 0.0
        while value <= limit + 0.5 {
            line(y(value))
            label("\(Int(value))", x: ChaosChart.left - 8, y: y(value) + 4)
            value += step
        }
        var points = "\(text(x(0.0))),\(text(y(0)))"
        for (second, slice) in slices.enumerated() {
            let level = text(y(Double(slice.decisions)))
            points += " \(text(x(Double(second)))),\(level) \(text(x(Double(second + 1)))),\(level)"
        }
        points += " \(text(x(span))),\(text(y(0)))"
        parts +=
            "<polygon points=\"\(points)\" fill=\"#1f6feb\" fill-opacity=\"0.25\" "
            + "stroke=\"#1f6feb\" stroke-width=\"1.3\"/>"
        for (second, slice) in slices.enumerated() where slice.failures > 0 {
            let from = x(Double(second))
            let width = max(1, x(Double(second + 1)) - from - 0.5)
            let level = y(min(limit, Double(slice.failures)))
            rectangle(from, level, width, y(0) - level, "#b3261e", "opacity=\"0.55\"")
        }
        for gap in report.series.gaps {
            let from = x(gap.began)
            let width = max(1.5, x(gap.ended) - from)
            rectangle(
                from,
                y(0) + 2,
                width,
                5,
                "#b3261e",
                title: "\(ChaosReport.seconds(gap.length)) s without a decision"
            )
        }
        // The longest few are named, where their names do not lie on each other.
        var named: [Double] = []
        for gap in report.series.gaps.sorted(by: { $0.length > $1.length }).prefix(10)
        where gap.length >= 500_000_000 {
            let place = x((gap.began + gap.ended) / 2)
            guard !named.contains(where: { abs($0 - place) < 44 }) else { continue }
            named.append(place)
            label(
                "\(ChaosReport.seconds(gap.length)) s",
                x: place,
                y: y(0) + 18,
                anchor: "middle",
                color: "#b3261e"
            )
        }
    }

    private mutating func drawLatency(at top: Double, height: Double) {
        let slices = report.series.slices
        // From 0.1 ms to 10 s, a decade a step.
        func y(_ nanoseconds: UInt64) -> Double {
            let decades = ChaosChart.log10(max(1e5, min(1e10, Double(nanoseconds)))) - 5
            return top + height * (1 - decades / 5)
        }
        label(
            "Latency of a decision",
            x: ChaosChart.left,
            y: top - 8,
            anchor: "start",
            weight: "600"
        )
        let marks: [(UInt64, String)] = [
            (100_000, "0.1 ms"), (1_000_000, "1 ms"), (10_000_000, "10 ms"),
            (100_000_000, "100 ms"), (1_000_000_000, "1 s"), (10_000_000_000, "10 s"),
        ]
        for (value, name) in marks {
            line(y(value))
            label(name, x: ChaosChart.left - 8, y: y(value) + 4)
        }
        let curves: [(String, String, KeyPath<RunSeries.Slice, UInt64>)] = [
            ("slowest", "#c9a227", \.slowest), ("p99", "#b35900", \.p99),
            ("p50", "#17693a", \.median),
        ]
        for (place, (name, color, value)) in curves.enumerated() {
            var path = ""
            var isDown = false
            for (second, slice) in slices.enumerated() {
                guard slice.decisions > 0 else {
                    isDown = false
                    continue
                }
                path += isDown ? " L" : " M"
                path += "\(text(x(Double(second) + 0.5))) \(text(y(slice[keyPath: value])))"
                isDown = true
            }
            parts +=
                "<path d=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.4\" "
                + "stroke-linecap=\"round\"/>"
            label(
                name,
                x: ChaosChart.left + 160 + Double(2 - place) * 46,
                y: top - 8,
                anchor: "start",
                color: color
            )
        }
    }

    // MARK: Leaders

    private mutating func drawLeaders(at top: Double) -> Double {
        let height = 18.0
        label("Leader and term", x: ChaosChart.left, y: top - 8, anchor: "start", weight: "600")
        label(
            "pale: the node answers",
            x: ChaosChart.left + 120,
            y: top - 8,
            anchor: "start"
        )
        // A node that is not heard of for so long does not answer.
        let patience: UInt64 = 900_000_000
        for node in 1...report.settings.nodes {
            let y = top + Double(node - 1) * (height + 4)
            let region = report.settings.regions[node - 1]
            label(region, x: ChaosChart.left - 8, y: y + 13)
            let sights = report.sights.filter { $0.node == node }
            for (leads, color) in [(false, "#cfd8e0"), (true, "#17693a")] {
                for run in stretches(sights, patience, where: { leads ? $0.leads : true }) {
                    rectangle(
                        x(run.from),
                        y,
                        max(1, x(run.to) - x(run.from)),
                        height,
                        color,
                        "rx=\"2\"",
                        title: leads ? "node \(node) leads in term \(run.term)" : ""
                    )
                    let name = "\(run.term)"
                    if leads, x(run.to) - x(run.from) > 7 * Double(name.count) + 6 {
                        label(
                            name,
                            x: (x(run.from) + x(run.to)) / 2,
                            y: y + 13,
                            anchor: "middle",
                            color: "#ffffff"
                        )
                    }
                }
            }
        }
        return top + Double(report.settings.nodes) * (height + 4)
    }

    private func stretches(
        _ sights: [LeaderSight],
        _ patience: UInt64,
        where belongs: (LeaderSight) -> Bool
    ) -> [(from: UInt64, to: UInt64, term: UInt64)] {
        var runs: [(from: UInt64, to: UInt64, term: UInt64)] = []
        var last: LeaderSight?
        for sight in sights {
            defer { last = sight }
            guard belongs(sight) else { continue }
            if let last, belongs(last), sight.at - last.at <= patience, let run = runs.last,
                !sight.leads || run.term == sight.term
            {
                runs[runs.count - 1].to = sight.at
            } else {
                runs.append((sight.at, sight.at, sight.term))
            }
        }
        return runs
    }

    private mutating func drawTime(at top: Double) {
        let step = ChaosChart.roundStep(span / 10)
        var second = 0.0
        while second <= span {
            label("\(Int(second)) s", x: x(second), y: top + 16, anchor: "middle")
            second += max(1, step)
        }
    }

    /// 1, 2 or 5 times a power of ten, not below a value.
    private static func roundStep(_ value: Double) -> Double {
        var power = 1.0
        while power * 10 <= value { power *= 10 }
        for factor in [1.0, 2, 5, 10] where power * factor >= value { return power * factor }
        return power * 10
    }

    /// Exact enough for a picture: this room has no C library.
    private static func log10(_ value: Double) -> Double {
        var (rest, decades) = (value, 0.0)
        while rest >= 10 {
            rest /= 10
            decades += 1
        }
        var (low, high) = (0.0, 1.0)
        // rest = 10^f with f in 0…1, by halving: 10^(1/2^k) multiplies up.
        var factor = 3.1622776601683795
        var product = 1.0
        for _ in 0..<20 {
            let middle = (low + high) / 2
            if product * factor <= rest {
                product *= factor
                low = middle
            } else {
                high = middle
            }
            factor = factor.squareRoot()
        }
        return decades + low
    }
}
