import Chaos

extension RegionReport {
    /// One page that needs nothing from elsewhere.
    package var page: String {
        let badge =
            !isRight
            ? "<span class=\"badge bad\">wrong answers</span>"
            : meetsTargets
                ? "<span class=\"badge good\">all targets met</span>"
                : "<span class=\"badge warn\">targets missed</span>"
        let leader = inferring.leader.map { matrix.regions[$0 - 1] } ?? "moved"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Verdict across regions: \(ChaosReport.escaped(matrix.name))</title>
            <style>\(RegionReport.style)</style></head>
            <body>
            <header><h1>\(ChaosReport.escaped(matrix.name))</h1>\(badge)
            <p>A node in each of \(matrix.count) regions as real processes, relays between them that take
            as long as the way does; in each region \(rate) attempts a second posted to its own node, for
            \(seconds) s. The leader was in <b>\(ChaosReport.escaped(leader))</b>.</p></header>
            \(RegionPicture(self).svg)
            <p class="legend"><i style="background:\(RegionPicture.own)"></i>fresh decisions, commit
            inference\(plainLegend)<i
            style="background:\(RegionPicture.repeats)"></i>repeats<i
            style="background:\(RegionPicture.bound)"></i>the bound. A bar is the p50, its whisker the
            p99.</p>
            \(table)
            \(failoverPart)
            \(roundsPart)
            <footer>Run it again: <code>\(ChaosReport.escaped(command))</code></footer>
            </body></html>

            """
    }

    private var plainLegend: String {
        passes.count > 1
            ? "<i style=\"background:\(RegionPicture.plain)\"></i>plain forwarding" : ""
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
        .badge.warn { background: #b35900; }
        table { border-collapse: collapse; width: 100%; font-size: .88rem; margin-top: 1rem; }
        th { text-align: left; color: var(--soft); font-weight: 600; }
        th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line); }
        td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .ok { color: #17693a; font-weight: 600; } .no { color: #b3261e; font-weight: 600; }
        svg { width: 100%; height: auto; display: block; }
        .legend { color: var(--soft); font-size: .82rem; margin: .3rem 0 0; }
        .legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem;
          margin: 0 .3rem 0 .9rem; vertical-align: -.1rem; }
        footer { margin: 2rem 0 1rem; color: var(--soft); font-size: .85rem; }
        """

    private var table: String {
        var rows = "<tr><th>region</th><th></th><th class=\"n\">bound</th>"
        rows += "<th class=\"n\">fresh p50</th><th class=\"n\">p99</th><th></th>"
        rows += "<th class=\"n\">repeat p50</th><th class=\"n\">p99</th><th></th>"
        if plain != nil {
            rows += "<th class=\"n\">plain expected</th><th class=\"n\">p50</th>"
            rows += "<th class=\"n\">p99</th>"
        }
        rows += "</tr>"
        func number(_ value: UInt64?) -> String {
            "<td class=\"n\">\(RegionReport.shown(value))</td>"
        }
        func mark(_ holds: Bool) -> String {
            holds ? "<td class=\"ok\">within</td>" : "<td class=\"no\">above</td>"
        }
        for region in matrix.regions.indices {
            let own = inferring.regions[region]
            rows += "<tr><td>\(ChaosReport.escaped(matrix.regions[region]))</td>"
            rows += "<td>\(inferring.leader == region + 1 ? "leads" : "")</td>"
            rows += number(bound(region)) + number(own.decided.median) + number(own.decided.p99)
            rows += mark(isMet(region))
            rows += number(own.repeated.median) + number(own.repeated.p99)
            rows += mark(repeatsAreMet(region))
            if let plain {
                rows += number(expected(region, plain))
                rows += number(plain.regions[region].decided.median)
                rows += number(plain.regions[region].decided.p99)
            }
            rows += "</tr>"
        }
        return
            "<table>\(rows)</table><p class=\"legend\">Milliseconds. Within: p50 of fresh decisions "
            + "at most 5 % + 2 ms above "
            + (matrix.count == 3 ? "the bound" : "what the protocol takes from that leader")
            + ", p99 of repeats at most 1 ms.</p>"
    }

    private var roundsPart: String {
        guard let rounds else { return "" }
        return """
            <h2>Cut off and healed, \(rounds.rounds) times</h2>
            <p class="\(rounds.isRight ? "ok" : "no")">\(rounds.acknowledged) status callbacks were
            acknowledged by a region that was cut off, \(rounds.takenIn) of them from its intake;
            \(rounds.lost.count) were lost, \(rounds.twice.count) counted twice.</p>
            """
    }

    private var failoverPart: String {
        guard !failovers.isEmpty else { return "" }
        var rows = "<tr><th>the leader's region is</th>"
        for region in matrix.regions {
            rows += "<th class=\"n\">\(ChaosReport.escaped(region))</th>"
        }
        rows += "<th class=\"n\">bound</th><th class=\"n\">repeats there, p99</th><th></th></tr>"
        for one in failovers {
            rows += "<tr><td>\(one.kind.words)</td>"
            for region in matrix.regions.indices {
                if region == one.lost {
                    rows += "<td class=\"n\">lost</td>"
                    continue
                }
                let time = one.survivors.first { $0.region == region }?.nextDecision
                rows += "<td class=\"n\">\(time.map { "\($0 / 1_000_000)" } ?? "none")</td>"
            }
            rows += "<td class=\"n\">\(one.bound / 1_000_000)</td>"
            rows += "<td class=\"n\">\(RegionReport.shown(one.lostRepeats?.p99))</td>"
            rows +=
                one.isMet ? "<td class=\"ok\">within</td></tr>" : "<td class=\"no\">above</td></tr>"
        }
        return """
            <h2>The leader's region is lost: milliseconds to the next decision</h2>
            \(RegionPicture(self).failoverSVG)
            <p class="legend">Each dot is a decision at the moment of its answer, in the colour of its
            region, as high as it took. The line is the loss, the band the bound.</p>
            <table>\(rows)</table>
            """
    }
}
