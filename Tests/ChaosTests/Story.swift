import Chaos

/// A made-up run of one attempt, good until something is planted in it.
struct Story {
    var history = History()
    var views: [FinalView] = []
    var facts = RunFacts()

    /// The first attempt of a seed whose script has what a test needs.
    init(where fits: (AttemptScript) -> Bool) {
        var seed: UInt64 = 0
        var script: AttemptScript
        repeat {
            seed += 1
            script = AttemptScript(seed: seed, number: 0, regions: 3)
        } while !fits(script) && seed < 10_000
        history.scripts = [script]
        history.clients = ["platform", "reader"]
        facts.decidedAfter = 1_000_000_000
        facts.readyAfter = 2_000_000_000
        facts.recoveryBound = 60_000_000_000
    }

    var script: AttemptScript { history.scripts[0] }
    var checks: [String] {
        Judgement(history, views: [views], facts).checks.filter { !$0.holds }.map(\.name)
    }

    func post(_ event: ScriptedPost.Event) -> Int {
        guard let place = script.posts.firstIndex(where: { $0.event == event }) else {
            fatalError("the script has no \(event)")
        }
        return place
    }

    mutating func opened(at time: UInt64, body: String = "opened") {
        add(.open, at: time, node: 1, status: 201, nil, .open, body)
    }
    mutating func posted(
        _ event: ScriptedPost.Event,
        at time: UInt64,
        node: Int = 1,
        _ disposition: Disposition,
        _ told: ToldState,
        body: String? = nil
    ) {
        let text = body ?? "\(event) \(told)"
        add(.post(post(event)), at: time, node: node, status: 200, disposition, told, text)
    }
    mutating func read(_ told: ToldState, at time: UInt64, node: Int = 2, isLocal: Bool = false) {
        add(isLocal ? .localRead : .read, at: time, node: node, status: 200, nil, told, "")
    }
    mutating func add(
        _ kind: Exchange.Kind,
        at time: UInt64,
        node: Int,
        status: Int,
        _ disposition: Disposition?,
        _ told: ToldState,
        _ body: String
    ) {
        history.add(
            Exchange(
                client: 0,
                attempt: 0,
                node: node,
                kind: kind,
                invoked: time * 1_000_000,
                returned: (time + 1) * 1_000_000,
                end: .answered(
                    Exchange.Answer(
                        status: status,
                        disposition: disposition,
                        told: told,
                        body: history.intern(Array(body.utf8))
                    )
                )
            )
        )
    }

    /// What all three nodes hold in the end.
    mutating func end(_ state: String, triesLeft: Int, _ lines: [FinalView.Line]) {
        views = (1...3).map { node in
            FinalView(
                node: node,
                state: state,
                decidedAt: state == "open" ? nil : 9,
                triesLeft: triesLeft,
                lines: lines,
                timeline: 0
            )
        }
    }
    func line(
        _ event: ScriptedPost.Event,
        _ name: String,
        _ index: UInt64,
        _ disposition: Disposition = .accepted,
        _ before: String = "open",
        _ after: String = "open"
    ) -> FinalView.Line {
        FinalView.Line(
            index: index,
            key: script.key(of: post(event)),
            event: name,
            disposition: disposition,
            before: before,
            after: after
        )
    }
}
