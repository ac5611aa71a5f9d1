/// One callback of an attempt, and when and how often it is sent.
package struct ScriptedPost: Hashable, Sendable {
    package enum Event: Hashable, Sendable {
        /// Status callbacks, numbered by the platform.
        case initiated, ringing, answered
        /// The call's end, with the platform's word for how.
        case ended(String)
        /// The call asks what to do.
        case voice
        case digits(step: Int, right: Bool)
        case poll(Int)
        /// Another channel, in Verdict's own form.
        case outcome(Outcome)
        case cancel
    }

    /// Milliseconds after the attempt is open.
    package var at: Int
    package var event: Event
    /// Which call of the attempt; 0 for what comes from another channel.
    package var call: Int
    /// The region of the platform, or of the other channel, that sends it.
    package var region: Int
    /// How many are sent at once, each to another node.
    package var copies = 1
    /// When it is sent once more, in milliseconds after the attempt is open.
    package var again: [Int] = []

    package init(at: Int, _ event: Event, call: Int, region: Int) {
        self.at = at
        self.event = event
        self.call = call
        self.region = region
    }

    /// What a callback may do to the outcome.
    package enum Claim: Hashable, Sendable {
        case nothing
        /// It asks for this outcome, and gets one for certain.
        case outcome(Outcome)
        /// Wrong digits: the last try makes the attempt rejected.
        case wrongTry
        /// The end of a call, after which the grace time may decide.
        case callEnds
    }
    package var claim: Claim {
        switch event {
        case .initiated, .ringing, .answered, .voice, .poll: .nothing
        case .ended: .callEnds
        case .digits(_, let isRight): isRight ? .outcome(.verified) : .wrongTry
        case .outcome(let outcome): .outcome(outcome)
        case .cancel: .outcome(.cancelled)
        }
    }

    package var isPoll: Bool { if case .poll = event { true } else { false } }
    package var isOwnForm: Bool {
        switch event {
        case .outcome, .cancel: true
        default: false
        }
    }

    /// The callback's identity, as timelines spell it; `nil` for a poll, which is a read.
    package func key(callName: String) -> String? {
        switch event {
        case .initiated: "twilio/call/\(callName)/initiated/0"
        case .ringing: "twilio/call/\(callName)/ringing/1"
        case .answered: "twilio/call/\(callName)/answered/2"
        case .ended: "twilio/call/\(callName)/ended/3"
        case .voice: "twilio/call/\(callName)/answered/-"
        case .digits(let step, _): "twilio/call/\(callName)/digits/\(step)"
        case .poll: nil
        case .outcome(let outcome): "verdict/key/app-\(outcome.rawValue)"
        case .cancel: "verdict/key/app-cancel"
        }
    }
}

/// What platforms and other channels will say about one attempt; a function of seed and number.
package struct AttemptScript: Hashable, Sendable {
    package let number: Int
    package let name: String
    package let maxTries: Int
    /// Seconds.
    package let expiresIn: Int
    package private(set) var posts: [ScriptedPost] = []

    /// Seconds that an attempt stays open after its last call; the flow of the load has it.
    package static let grace = 2
    package static let rightDigits = "482913"

    package init(seed: UInt64, number: Int, regions: Int) {
        var random = ChaosRandom(seed: seed, stream: "attempt", number)
        self.number = number
        name = "chaos-\(seed)-\(number)"
        maxTries = random.between(1, 3)
        expiresIn = random.chance(percent: 10) ? random.between(10, 20) : 600
        let home = number % regions
        switch random.below(100) {
        case ..<26: call(1, home, .right, &random)
        case ..<38: call(1, home, .wrongThenRight, &random)
        case ..<48: call(1, home, .wrong, &random)
        case ..<57: call(1, home, .hungUp, &random)
        case ..<63: call(1, home, .unreachable, &random)
        case ..<75:
            // Two channels at once, of two minds.
            call(1, home, .right, &random)
            let at = posts.map(\.at).max() ?? 0
            let claimed: Outcome = random.chance(percent: 70) ? .rejected : .verified
            add(.outcome(claimed), at: max(0, at - random.below(400)), away(home, regions, &random))
        case ..<85:
            // Two calls in two regions, at the same time.
            call(1, home, random.chance(percent: 50) ? .right : .wrong, &random)
            call(2, (home + 1) % regions, .right, &random)
        case ..<91:
            call(1, home, .hungUp, &random)
            add(.outcome(.verified), at: random.between(1500, 4500), away(home, regions, &random))
        case ..<95:
            call(1, home, .right, &random)
            add(.cancel, at: random.below(1200), away(home, regions, &random))
        default:
            // Nobody decides: its time runs out, or the run does.
            add(.voice, at: random.below(300), home, call: 1)
        }
        if random.chance(percent: 15) {
            let outcome: Outcome = random.chance(percent: 50) ? .rejected : .verified
            if !posts.contains(where: { $0.event == .outcome(outcome) }) {
                add(.outcome(outcome), at: random.between(5_000, 20_000), random.below(regions))
            }
        }
        disturb(&random)
    }

    private enum Course { case right, wrongThenRight, wrong, hungUp, unreachable }

    private mutating func call(
        _ call: Int,
        _ region: Int,
        _ course: Course,
        _ random: inout ChaosRandom
    ) {
        var at = random.below(200)
        func pause(_ longest: Int) -> Int { random.between(20, longest) }
        add(.initiated, at: at, region, call: call)
        at += pause(200)
        add(.ringing, at: at, region, call: call)
        if course == .unreachable {
            add(
                .ended(random.pick(["busy", "no-answer", "failed"])),
                at: at + pause(600),
                region,
                call: call
            )
            return
        }
        at += pause(300)
        add(.answered, at: at, region, call: call)
        add(.voice, at: at, region, call: call)
        at += pause(500)
        switch course {
        case .right: add(.digits(step: 1, right: true), at: at, region, call: call)
        case .wrongThenRight, .wrong:
            let wrong = course == .wrong ? maxTries + random.below(2) : max(1, maxTries - 1)
            for step in 1...wrong {
                add(.digits(step: step, right: false), at: at, region, call: call)
                at += pause(500)
            }
            if course == .wrongThenRight {
                add(.digits(step: wrong + 1, right: true), at: at, region, call: call)
            }
        case .hungUp:
            if random.chance(percent: 40) { add(.poll(1), at: at, region, call: call) }
        case .unreachable: break
        }
        at += pause(600)
        add(.ended("completed"), at: at, region, call: call)
    }

    /// Retries, bursts, events that overtake each other, and a key with two meanings.
    private mutating func disturb(_ random: inout ChaosRandom) {
        if random.chance(percent: 30) {
            for place in posts.indices { posts[place].at += random.below(1500) }
        }
        for place in posts.indices {
            if random.chance(percent: 12) { posts[place].copies = random.between(2, 3) }
            if random.chance(percent: 15) {
                posts[place].again = [posts[place].at + random.between(50, 6000)]
            }
        }
        if random.chance(percent: 5),
            let post = posts.first(where: {
                if case .digits(_, right: false) = $0.event { true } else { false }
            }), case .digits(let step, _) = post.event
        {
            var other = post
            other.event = .digits(step: step, right: true)
            other.at += random.between(0, 300)
            posts.append(other)
        }
    }

    private mutating func add(
        _ event: ScriptedPost.Event,
        at: Int,
        _ region: Int,
        call: Int = 0
    ) {
        posts.append(ScriptedPost(at: at, event, call: call, region: region))
    }

    private func away(_ home: Int, _ regions: Int, _ random: inout ChaosRandom) -> Int {
        (home + random.between(1, max(1, regions - 1))) % regions
    }

    /// The platform's name of one of its calls.
    package func callName(_ call: Int) -> String {
        let digits = String(number * 10 + call)
        return "CA" + String(repeating: "0", count: max(0, 32 - digits.count)) + digits
    }
    package func key(of post: Int) -> String? {
        posts[post].key(callName: callName(posts[post].call))
    }
    /// Posts that share a key with another one of another meaning.
    package func hasTwoMeanings(_ post: Int) -> Bool {
        guard let key = key(of: post) else { return false }
        return posts.indices.contains { $0 != post && self.key(of: $0) == key }
    }
}
