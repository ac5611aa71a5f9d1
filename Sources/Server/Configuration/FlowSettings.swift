package import Verification

/// A flow as the configuration has it.
package struct FlowSettings: Hashable, Sendable {
    /// The flow of attempts that name none; a configuration may define it like any other.
    package static let unnamed = "default"

    package var name: String
    package var kind: FlowKind
    package var prompt: String
    package var retryPrompt: String
    /// BCP 47 tag, such as `en-US`.
    package var language: String = "en-US"
    /// 1…16.
    package var digits: Int = 6
    /// 1…10.
    package var tries: Int = 3
    /// Seconds an attempt stays open after its last call ended without a result.
    package var grace: Int = 30
    /// Seconds from open to expiry, unless the attempt says otherwise.
    package var expiresIn: Int = 600
    /// Seconds between polls of a waiting call.
    package var wait: Int = 2
    /// Where calls go, unless the attempt says otherwise; sorted by state.
    package var targets: [Target] = []

    package init(name: String, kind: FlowKind) {
        self.name = name
        self.kind = kind
        switch kind {
        case .code:
            prompt = "Please enter your code."
            retryPrompt = "That code is not right. Please enter it again."
        case .confirm:
            prompt = "Please confirm the request on your device."
            retryPrompt = "We are still waiting for your confirmation."
        }
    }

    /// What goes into the log; its digest is still to be set.
    package var definition: FlowDefinition {
        FlowDefinition(
            name: name,
            kind: kind,
            prompt: prompt,
            retryPrompt: retryPrompt,
            language: language,
            digits: UInt8(digits),
            maxTries: UInt8(tries),
            graceSeconds: UInt32(grace),
            expirySeconds: UInt32(expiresIn),
            waitSeconds: UInt8(wait)
        )
    }
}

extension FlowSettings {
    /// Reads the `flows` of a configuration, sorted by name.
    static func read(_ flows: FieldReader, allowing targets: TargetAllowList) -> [FlowSettings] {
        flows.names.map { name in
            if !isName(name) {
                flows.report(name, "a flow's name must be 1–64 of A-Z a-z 0-9 . _ : -")
            }
            return read(flows.object(name), name: name, allowing: targets)
        }
    }

    private static func isName(_ text: String) -> Bool {
        text.utf8.count <= 64 && Token.isValid(text.utf8)
    }

    private static func read(
        _ fields: FieldReader,
        name: String,
        allowing allowed: TargetAllowList
    ) -> FlowSettings {
        var flow = FlowSettings(
            name: name,
            kind: fields.choice("kind", ["code": FlowKind.code, "confirm": .confirm])
        )
        flow.prompt = fields.string("prompt", default: flow.prompt, problem: promptProblem)
        flow.retryPrompt = fields.string(
            "retry_prompt",
            default: flow.retryPrompt,
            problem: promptProblem
        )
        flow.language = fields.string("language", default: flow.language, problem: languageProblem)
        flow.digits = fields.integer("digits", 1...16, default: flow.digits)
        flow.tries = fields.integer("tries", 1...10, default: flow.tries)
        flow.grace = fields.integer("grace", 0...3600, default: flow.grace)
        flow.expiresIn = fields.integer("expires_in", 10...86_400, default: flow.expiresIn)
        flow.wait = fields.integer("wait", 1...60, default: flow.wait)

        let targets = fields.object("targets")
        for stateName in targets.names {
            let url = targets.string(stateName) { allowed.refusal(of: $0) }
            guard let state = AttemptState(name: stateName), state.isTerminal else {
                let names = AttemptState.allCases.filter(\.isTerminal).map(\.name)
                targets.report(
                    stateName,
                    "is not a terminal state; they are \(names.joined(separator: ", "))"
                )
                continue
            }
            flow.targets.append(Target(state: state, url: url))
        }
        flow.targets.sort { $0.state.rawValue < $1.state.rawValue }
        fields.close()
        return flow
    }

    private static func promptProblem(_ text: String) -> String? {
        // It is spoken through XML or JSON, neither of which carries control characters.
        guard (1...1000).contains(text.utf8.count),
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
        else { return "must be 1…1000 bytes of text without control characters" }
        return nil
    }

    private static func languageProblem(_ text: String) -> String? {
        let tags = text.split(separator: "-", omittingEmptySubsequences: false)
        let isTag = tags.allSatisfy {
            (1...8).contains($0.utf8.count)
                && $0.utf8.allSatisfy { $0.isDigit || $0.isLetter }
        }
        return isTag && text.utf8.count <= 35 ? nil : "must be a language tag such as en-US"
    }
}
