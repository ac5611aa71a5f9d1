extension ChaosReport {
    /// One page that needs nothing from elsewhere.
    package var page: String {
        let verdict =
            judgement.holds
            ? "<span class=\"badge good\">all promises held</span>"
            : "<span class=\"badge bad\">\(ChaosReport.violations(judgement.violations))</span>"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Verdict chaos, seed \(settings.seed)</title>
            <style>\(ChaosReport.style)</style></head>
            <body>
            <header><h1>Chaos, seed \(settings.seed)</h1>\(verdict)
            <p>\(settings.nodes) nodes (\(settings.regions.joined(separator: ", "))) as real processes
            under load and faults for \(settings.seconds) s\(
                interrupted ? ", ended early" : ""
            ); everything that clients were told was judged afterwards.</p></header>
            \(tiles)
            \(ChaosChart(self).svg)
            \(legend)
            <h2>Promises</h2>
            \(checkTable)
            <div class="columns"><section><h2>Gaps without a decision</h2>
            \(gapTable)</section>
            <section><h2>By kind of fault</h2>
            \(kindTable)</section></div>
            <h2>Faults</h2>
            \(faultTable)
            \(noteList)
            <footer>Run it again: <code>\(ChaosReport.escaped(command))</code>. The seed decides what
            is posted and which faults come when; what the machine makes of it differs each time.</footer>
            </body></html>

            """
    }

    private static let style = """
        :root { color-scheme: light; --ink: #1c2733; --soft: #5b6b7b; --line: #d9e0e6; }
        body { font: 15px/1.5 system-ui, "Liberation Sans", "DejaVu Sans", sans-serif;
          color: var(--ink); max-width: 1240px; margin: 1.5rem auto; padding: 0 1.25rem; }
        h1 { font-size: 1.6rem; margin: 0; display: inline-block; }
        h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
        header p { margin: .3rem 0 0; color: var(--soft); }
        .badge { display: inline-block; margin-left: .8rem; padding: .12rem .7rem; border-radius: 1rem;
          color: #fff; font-weight: 600; font-size: .9rem; vertical-align: .25rem; }
        .badge.good { background: #17693a; } .badge.bad { background: #b3261e; }
        .tiles { display: grid; grid-template-columns: repeat(4, 1fr);
          gap: .6rem; margin: 1.1rem 0; }
        .tile { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
        .tile b { display: block; font-size: 1.35rem; line-height: 1.3; }
        .tile span { color: var(--soft); font-size: .82rem; }
        table { border-collapse: collapse; width: 100%; font-size: .88rem; }
        th { text-align: left; color: var(--soft); font-weight: 600; }
        th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line);
          vertical-align: top; }
        td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .ok { color: #17693a; font-weight: 600; } .no { color: #b3261e; font-weight: 600; }
        pre { background: #fbf0ef; padding: .5rem .7rem; margin: .3rem 0 0; white-space: pre-wrap;
          font-size: .8rem; overflow-wrap: anywhere; }
        svg { width: 100%; height: auto; display: block; }
        .legend { color: var(--soft); font-size: .82rem; margin: .3rem 0 0; }
        .legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem;
          margin: 0 .3rem 0 .9rem; vertical-align: -.1rem; }
        .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr));
          gap: 0 2.5rem; }
        footer { margin: 2rem 0 1rem; color: var(--soft); font-size: .85rem; }
        code { font-size: .85rem; }
        """

    private var noteList: String {
        guard !notes.isEmpty else { return "" }
        let items = notes.map { "<li>\(ChaosReport.escaped($0))</li>" }
        return "<h2>Notes</h2><ul>\(items.joined())</ul>"
    }

    private var tiles: String {
        func tile(_ value: String, _ label: String) -> String {
            "<div class=\"tile\"><b>\(value)</b><span>\(label)</span></div>"
        }
        let gap = series.longestGap.map { ChaosReport.seconds($0.length) + " s" } ?? "none"
        let recovered = facts.decidedAfter.map { ChaosReport.seconds($0) + " s" } ?? "never"
        return "<div class=\"tiles\">"
            + tile(ChaosReport.grouped(exchanges), "exchanges judged")
            + tile(ChaosReport.grouped(attempts), "attempts")
            + tile(ChaosReport.grouped(series.decisions.count), "decisions")
            + tile("\(faults.count)", "faults injected")
            + tile(ChaosReport.percent(availability) + " %", "of the time without a gap")
            + tile(gap, "longest gap without a decision")
            + tile(recovered, "until it decided again, at the end")
            + tile(
                "\(ChaosReport.short(series.median)) / \(ChaosReport.short(series.p99)) ms",
                "p50 / p99 of a decision"
            ) + "</div>"
    }

    private var legend: String {
        let families = FaultFamily.allCases.filter { family in
            faults.contains { FaultFamily($0.plan.kind) == family }
        }
        return "<p class=\"legend\">Faults:"
            + families.map { "<i style=\"background:\($0.color)\"></i>\($0.rawValue)" }.joined()
            + "<i style=\"background:#b3261e\"></i>a gap without a decision</p>"
    }

    private var checkTable: String {
        var rows = "<tr><th></th><th>promise</th><th></th><th class=\"n\">judged</th>"
        rows += "<th class=\"n\">violations</th></tr>"
        for check in judgement.checks {
            rows += "<tr><td class=\"\(check.holds ? "ok\">held" : "no\">broken")</td>"
            rows += "<td><b>\(check.name)</b></td><td>\(ChaosReport.escaped(check.promise))"
            if !check.examples.isEmpty {
                let lines = check.examples.map(ChaosReport.escaped).joined(separator: "\n")
                rows += "<pre>\(lines)</pre>"
            }
            rows += "</td><td class=\"n\">\(ChaosReport.grouped(check.judged))</td>"
            rows += "<td class=\"n\">\(check.violations)</td></tr>"
        }
        return "<table>\(rows)</table>"
    }

    private var gapTable: String {
        let longest = series.gaps.sorted { $0.length > $1.length }.prefix(12)
        guard !longest.isEmpty else { return "<p>None of 0.25 s or more.</p>" }
        var rows = "<tr><th class=\"n\">length</th><th class=\"n\">from</th>"
        rows += "<th>faults then</th></tr>"
        for gap in longest {
            let some = RunSeries.causes(of: gap, among: faults, healing: ChaosReport.healing)
            let names = some.map { "#\($0.plan.number) \($0.plan.kind.rawValue)" }
            rows += "<tr><td class=\"n\">\(ChaosReport.seconds(gap.length)) s</td>"
            rows += "<td class=\"n\">\(ChaosReport.seconds(gap.began)) s</td>"
            rows += "<td>\(names.isEmpty ? "none" : names.joined(separator: ", "))</td></tr>"
        }
        return "<table>\(rows)</table>"
    }

    private var kindTable: String {
        var rows = "<tr><th>kind</th><th class=\"n\">injected</th>"
        rows += "<th class=\"n\">longest gap</th></tr>"
        for (kind, count, gap) in counts {
            rows += "<tr><td>\(kind.rawValue)</td><td class=\"n\">\(count)</td>"
            rows += "<td class=\"n\">\(gap == 0 ? "–" : ChaosReport.seconds(gap) + " s")</td></tr>"
        }
        return "<table>\(rows)</table>"
    }

    private var faultTable: String {
        guard !faults.isEmpty else { return "<p>None.</p>" }
        var rows = "<tr><th class=\"n\">#</th><th class=\"n\">from</th><th class=\"n\">for</th>"
        rows += "<th>kind</th><th>what</th><th>nodes</th><th class=\"n\">longest gap</th></tr>"
        for fault in faults {
            let gap = longestGap(of: fault)
            let nodes = fault.nodes.map(String.init).joined(separator: ", ")
            rows += "<tr><td class=\"n\">\(fault.plan.number)</td>"
            rows += "<td class=\"n\">\(ChaosReport.seconds(fault.began)) s</td>"
            rows += "<td class=\"n\">\(ChaosReport.seconds(fault.ended - fault.began)) s</td>"
            rows += "<td>\(fault.plan.kind.rawValue)</td><td>\(fault.plan.description)</td>"
            rows += "<td>\(nodes)</td>"
            let length = gap.map { ChaosReport.seconds($0.length) + " s" } ?? "–"
            rows += "<td class=\"n\">\(length)</td></tr>"
        }
        return "<table>\(rows)</table>"
    }

    static func violations(_ count: Int) -> String {
        count == 1 ? "1 violation" : "\(count) violations"
    }

    static func grouped(_ number: Int) -> String {
        var text = ""
        for (place, digit) in String(number).reversed().enumerated() {
            // A thin space, as a person would group it.
            if place > 0, place % 3 == 0 { text.append("\u{202f}") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// Milliseconds in as few digits as a person needs.
    static func short(_ nanoseconds: UInt64) -> String {
        let tenths = nanoseconds / 100_000
        return tenths >= 1000 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    package static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}

/// Faults that are drawn in one colour.
enum FaultFamily: String, CaseIterable {
    case processes, network, platforms, disks, clocks

    init(_ kind: FaultKind) {
        self =
            switch kind {
            case .kill, .killLeader, .killTwo, .killAll, .pause, .rollingRestart: .processes
            case .isolate, .oneWay, .cutPair, .resetLinks, .slowLink: .network
            case .cutPlatform, .loseAnswers: .platforms
            case .clockJump: .clocks
            case .tornWrite, .slowDisk, .hungDisk, .failSync, .failWrite, .fullDisk, .killSyncing,
                .corrupt:
                .disks
            }
    }

    var color: String {
        switch self {
        case .processes: "#d9822b"
        case .network: "#7a5fd0"
        case .platforms: "#2f8f9d"
        case .disks: "#8a6d3b"
        case .clocks: "#c2458a"
        }
    }
}
