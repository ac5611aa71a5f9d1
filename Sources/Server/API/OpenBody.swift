package import Verification

/// The body of `PUT /v1/attempts/{attempt}`; every member may be left out.
struct OpenBody: Decodable {
    var flow: String?
    var subject: String?
    var expiresIn: UInt32?
    var challenge: Challenge?
    var targets: Targets?

    static let none = OpenBody()
    private init() {}

    init(from decoder: any Decoder) throws {
        let object = try StrictObject(
            from: decoder,
            at: "",
            members: ["flow", "subject", "expires_in", "challenge", "targets"]
        )
        flow = try object.value(String.self, "flow", expected: "a string")
        subject = try object.value(String.self, "subject", expected: "a string")
        expiresIn = try object.value(UInt32.self, "expires_in", expected: "whole seconds")
        challenge = try object.value(Challenge.self, "challenge", expected: "an object")
        targets = try object.value(Targets.self, "targets", expected: "an object")
    }

    struct Challenge: Decodable {
        var digits: String?
        var maxTries: UInt8?
        init(from decoder: any Decoder) throws {
            let object = try StrictObject(
                from: decoder,
                at: "challenge",
                members: ["digits", "max_tries"]
            )
            digits = try object.value(String.self, "digits", expected: "a string")
            maxTries = try object.value(UInt8.self, "max_tries", expected: "a number from 1 to 10")
        }
    }

    struct Targets: Decodable {
        /// Sorted by state.
        var list: [Target] = []
        init(from decoder: any Decoder) throws {
            let states = AttemptState.allCases.filter(\.isTerminal)
            let object = try StrictObject(
                from: decoder,
                at: "targets",
                members: states.map(\.name)
            )
            for state in states {
                guard let url = try object.value(String.self, state.name, expected: "a URL") else {
                    continue
                }
                list.append(Target(state: state, url: url))
            }
        }
    }
}

/// A flow as the configuration has it: its definition, and where calls go that do not say.
package struct ConfiguredFlow: Sendable {
    /// With its digest set.
    package var definition: FlowDefinition
    /// At most one a state.
    package var targets: [Target]
    package init(definition: FlowDefinition, targets: [Target]) {
        self.definition = definition
        self.targets = targets
    }
}

/// The limits of what a body may say.
package enum BodyLimits {
    package static let subjectLength = 256
    package static let urlLength = 2048
    package static let digitCount = 1...32
    package static let maxTries: ClosedRange<UInt8> = 1...10
    package static let expirySeconds: ClosedRange<UInt32> = 10...86_400
    package static let channelLength = 32

    /// Digits are those of a telephone's keys.
    static func isDigits(_ text: String) -> Bool {
        digitCount.contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "*") || byte == UInt8(ascii: "#")
            }
    }
}
