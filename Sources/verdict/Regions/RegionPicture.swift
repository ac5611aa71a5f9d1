import Chaos
import Glibc

/// The regions and the ways between them, and what a decision takes in each, as one picture.
struct RegionPicture {
    static let own = "#1f6feb"
    static let plain = "#b9c4cf"
    static let repeats = "#17693a"
    static let bound = "#b3261e"
    private static let ink = "#1c2733"
    private static let soft = "#5b6b7b"
    private static let grid = "#e3e8ed"
    private static let regionColors = [
        "#1f6feb", "#d9822b", "#7a5fd0", "#2f8f9d", "#c2458a", "#8a6d3b", "#17693a", "#b3261e",
        "#5b6b7b",
    ]
    private static let font = "system-ui, Liberation Sans, DejaVu Sans, sans-serif"

    private let report: RegionReport
    private var parts = ""

    init(_ report: RegionReport) { self.report = report }

    private func text(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    private mutating func label(
        _ words: String,
        x: Double,
        y: Double,
        anchor: String = "start",
        color: String = RegionPicture.soft,
        weight: String = "400"
    ) {
        parts +=
            "<text x=\"\(text(x))\" y=\"\(text(y))\" text-anchor=\"\(anchor)\" fill=\"\(color)\" "
            + "font-weight=\"\(weight)\">\(ChaosReport.escaped(words))</text>"
    }

    private mutating func line(
        _ x1: Double,
        _ y1: Double,
        _ x2: Double,
        _ y2: Double,
        _ color: String,
        _ width: Double = 1,
        dash: String = ""
    ) {
        parts +=
            "<line x1=\"\(text(x1))\" y1=\"\(text(y1))\" x2=\"\(text(x2))\" y2=\"\(text(y2))\" "
            + "stroke=\"\(color)\" stroke-width=\"\(text(width))\""
            + (dash.isEmpty ? "/>" : " stroke-dasharray=\"\(dash)\"/>")
    }

    private mutating func bar(
        _ x: Double,
        _ y: Double,
        _ width: Double,
        _ height: Double,
        _ color: String,
        title: String
    ) {
        parts +=
            "<rect x=\"\(text(x))\" y=\"\(text(y))\" width=\"\(text(max(1, width)))\" "
            + "height=\"\(text(height))\" fill=\"\(color)\" rx=\"2\">"
            + "<title>\(ChaosReport.escaped(title))</title></rect>"
    }

    var svg: String {
        var picture = self
        let bars = picture.drawBars(left: 430, top: 34, width: 740)
        let height = max(320, bars + 30)
        picture.drawMap(centre: (200, height / 2), radius: 125)
        return """
            <svg viewBox="0 0 1200 \(Int(height))" role="img" font-family="\(RegionPicture.font)"
            font-size="12"><title>Regions, the ways between them, and what a decision takes</title>
            \(picture.parts)</svg>
            """
    }

    // MARK: The map

    /// Where something stands that no label may cover.
    private struct Box {
        let left: Double
        let top: Double
        let width: Double
        let height: Double

        init(centre: (x: Double, y: Double), width: Double, height: Double) {
            left = centre.x - width / 2
            top = centre.y - height / 2
            self.width = width
            self.height = height
        }

        func meets(_ other: Box) -> Bool {
            left < other.left + other.width && other.left < left + width
                && top < other.top + other.height && other.top < top + height
        }
    }

    /// The regions on a circle; the ways of the best corner are drawn bold.
    private mutating func drawMap(centre: (x: Double, y: Double), radius: Double) {
        let count = report.matrix.count
        let places = (0..<count).map { number in
            let angle = 2 * Double.pi * Double(number) / Double(count) - Double.pi / 2
            return (x: centre.x + radius * cos(angle), y: centre.y + radius * sin(angle))
        }
        let leader = report.inferring.leader.map { $0 - 1 }
        for a in 0..<count {
            for b in 0..<a {
                let isOfLeader = a == leader || b == leader
                line(
                    places[a].x,
                    places[a].y,
                    places[b].x,
                    places[b].y,
                    isOfLeader ? RegionPicture.own : "#c9d2da",
                    isOfLeader ? 2.4 : 1.2,
                    dash: isOfLeader ? "" : "4 4"
                )
            }
        }
        let names = places.indices.map { number in
            report.matrix.regions[number] + (number == leader ? ", leads" : "")
        }
        func nameY(_ number: Int) -> Double {
            let y = places[number].y
            return y < centre.y ? y - 20 : y + 28
        }
        var taken = places.map { Box(centre: $0, width: 30, height: 30) }
        for number in places.indices {
            taken.append(
                Box(
                    centre: (places[number].x, nameY(number) - 4),
                    width: Double(names[number].count) * 7.5,
                    height: 18
                )
            )
        }
        for a in 0..<count {
            for b in 0..<a {
                let milliseconds = report.matrix.milliseconds[a][b]
                let words =
                    milliseconds == milliseconds.rounded()
                    ? "\(Int(milliseconds))" : "\(milliseconds)"
                let width = Double(words.count) * 7 + 8
                // In the middle of the way, or where nothing else stands.
                let spots = [0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72].map { share in
                    Box(
                        centre: (
                            places[a].x + (places[b].x - places[a].x) * share,
                            places[a].y + (places[b].y - places[a].y) * share
                        ),
                        width: width,
                        height: 18
                    )
                }
                let spot =
                    spots.first { spot in !taken.contains { $0.meets(spot) } } ?? spots[0]
                taken.append(spot)
                parts +=
                    "<rect x=\"\(text(spot.left))\" y=\"\(text(spot.top))\" "
                    + "width=\"\(text(width))\" height=\"18\" rx=\"9\" fill=\"#ffffff\"/>"
                label(
                    words,
                    x: spot.left + width / 2,
                    y: spot.top + 13,
                    anchor: "middle",
                    color: RegionPicture.ink
                )
            }
        }
        for (number, place) in places.enumerated() {
            let leads = number == leader
            parts +=
                "<circle cx=\"\(text(place.x))\" cy=\"\(text(place.y))\" r=\"\(leads ? 13 : 9)\" "
                + "fill=\"\(leads ? RegionPicture.own : "#5b6b7b")\" stroke=\"#fff\" "
                + "stroke-width=\"2\"/>"
            label(
                names[number],
                x: place.x,
                y: nameY(number),
                anchor: "middle",
                color: RegionPicture.ink,
                weight: "600"
            )
        }
    }

    // MARK: The bars

    private mutating func drawBars(left: Double, top: Double, width: Double) -> Double {
        let regions = report.matrix.regions
        var longest: UInt64 = 1
        for pass in report.passes {
            for region in pass.regions {
                longest = max(longest, region.decided.p99 ?? 0, region.decided.median ?? 0)
            }
        }
        let step = RegionPicture.roundStep(Double(longest) / 1e6 / 6)
        let limit = (Double(longest) / 1e6 / step).rounded(.up) * step
        let begin = left + 90
        func x(_ nanoseconds: UInt64) -> Double {
            begin + (width - 90) * Double(nanoseconds) / 1e6 / limit
        }
        let rowHeight = report.plain == nil ? 62.0 : 84.0
        let bottom = top + rowHeight * Double(regions.count)
        var mark = 0.0
        while mark <= limit + 0.01 {
            let place = x(UInt64(mark * 1e6))
            line(place, top - 6, place, bottom, RegionPicture.grid)
            label(
                mark == mark.rounded() ? "\(Int(mark)) ms" : "\(mark) ms",
                x: place,
                y: top - 12,
                anchor: "middle"
            )
            mark += step
        }
        for (number, name) in regions.enumerated() {
            let y = top + rowHeight * Double(number) + 6
            let leads = report.inferring.leader == number + 1
            label(
                name,
                x: begin - 10,
                y: y + 18,
                anchor: "end",
                color: RegionPicture.ink,
                weight: "600"
            )
            if leads { label("leads", x: begin - 10, y: y + 33, anchor: "end") }
            let own = report.inferring.regions[number]
            var at = y
            drawBar(own.decided, at: at, RegionPicture.own, "fresh decisions, \(name)", x)
            at += 22
            if let plain = report.plain {
                let plain = plain.regions[number].decided
                drawBar(plain, at: at, RegionPicture.plain, "plain forwarding, \(name)", x)
                at += 22
            }
            drawBar(own.repeated, at: at, RegionPicture.repeats, "repeats, \(name)", x)
            let bound = x(report.bound(number))
            line(bound, y - 4, bound, at + 20, RegionPicture.bound, 2)
        }
        return bottom
    }

    private mutating func drawBar(
        _ latencies: Latencies,
        at y: Double,
        _ color: String,
        _ name: String,
        _ x: (UInt64) -> Double
    ) {
        guard let median = latencies.median, let p99 = latencies.p99 else { return }
        let words = "p50 \(RegionReport.shown(median)) ms, p99 \(RegionReport.shown(p99)) ms"
        bar(x(0), y, x(median) - x(0), 16, color, title: "\(name): \(words)")
        line(x(median), y + 8, x(p99), y + 8, color, 2)
        line(x(p99), y + 3, x(p99), y + 13, color, 2)
        label(RegionReport.shown(median), x: x(p99) + 6, y: y + 12.5, color: RegionPicture.ink)
    }

    /// 1, 2 or 5 times a power of ten, not below a value.
    private static func roundStep(_ value: Double) -> Double {
        var power = 0.1
        while power * 10 <= value { power *= 10 }
        for factor in [1.0, 2, 5, 10] where power * factor >= value { return power * factor }
        return power * 10
    }

    // MARK: Failover

    /// A row for each way to lose the leader's region.
    var failoverSVG: String {
        var picture = self
        let height = 96.0
        for (number, one) in report.failovers.enumerated() {
            picture.drawFailover(one, top: 20 + Double(number) * (height + 34), height: height)
        }
        for (number, name) in report.matrix.regions.enumerated() {
            picture.label(
                name,
                x: 700 + Double(number) * 100,
                y: 12,
                color: RegionPicture.regionColors[number],
                weight: "600"
            )
        }
        let total = 20 + Double(report.failovers.count) * (height + 34)
        return """
            <svg viewBox="0 0 1200 \(Int(total))" role="img" font-family="\(RegionPicture.font)"
            font-size="12"><title>Decisions around the loss of the leader's region</title>
            \(picture.parts)</svg>
            """
    }

    private mutating func drawFailover(_ one: RegionFailover, top: Double, height: Double) {
        let begin = -1_000_000_000.0
        let end = max(3_000_000_000, Double(one.bound) * 2)
        let left = 60.0
        let width = 1120.0
        func x(_ nanoseconds: Double) -> Double {
            left + width * (nanoseconds - begin) / (end - begin)
        }
        let slowest = one.dots.map(\.latency).max() ?? 1
        let limit = max(Double(slowest), 1e8)
        func y(_ latency: UInt64) -> Double { top + height * (1 - Double(latency) / limit) }
        parts +=
            "<rect x=\"\(text(x(0)))\" y=\"\(text(top))\" width=\"\(text(x(Double(one.bound)) - x(0)))\" "
            + "height=\"\(text(height))\" fill=\"#17693a\" opacity=\"0.08\"/>"
        line(left, top + height, left + width, top + height, RegionPicture.grid)
        line(x(0), top, x(0), top + height, RegionPicture.bound, 2)
        label(
            "\(report.matrix.regions[one.lost]) is \(one.kind.words)",
            x: left,
            y: top - 4,
            weight: "600"
        )
        label("\(Int(limit / 1e6)) ms", x: left - 6, y: top + 10, anchor: "end")
        var second = -1.0
        while second * 1e9 <= end {
            label("\(Int(second)) s", x: x(second * 1e9), y: top + height + 14, anchor: "middle")
            second += 1
        }
        for dot in one.dots where Double(dot.at) >= begin && Double(dot.at) <= end {
            parts +=
                "<circle cx=\"\(text(x(Double(dot.at))))\" cy=\"\(text(y(dot.latency)))\" r=\"2.2\" "
                + "fill=\"\(RegionPicture.regionColors[dot.region])\" opacity=\"0.75\"/>"
        }
    }
}
