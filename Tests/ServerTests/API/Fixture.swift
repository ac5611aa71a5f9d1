import HTTP
import Server
import Testing
import Verification

/// A node's surroundings as the body reader sees them.
enum Fixture {
    static let flow = FlowDefinition(
        digest: FlowDigest(bytes: Array(repeating: 7, count: 32)),
        name: "login",
        kind: .code,
        prompt: "Please enter your code",
        retryPrompt: "Once more",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 20,
        expirySeconds: 600,
        waitSeconds: 2
    )

    static let origin = Origin(
        node: 1,
        region: "us-east",
        receivedAt: WallTime(milliseconds: 1_795_456_326_562),
        request: RequestID(node: 1, incarnation: 9, sequence: 4)
    )

    /// Not HMAC, but shows like it that digits went through it and did not come out as they were.
    static func digest(_ attempt: AttemptID, _ digits: [UInt8]) -> [UInt8] {
        (Array(attempt.text.utf8) + [0] + digits).map { $0 ^ 0xff }
    }

    static func reader(targets: [Target] = [], hasDefault: Bool = true) -> BodyReader {
        BodyReader(
            flow: { name in
                guard name == "login" || (name == nil && hasDefault) else { return nil }
                return ConfiguredFlow(definition: flow, targets: targets)
            },
            allowsTarget: { $0.hasPrefix("https://bank.example/") },
            digest: digest
        )
    }

    static func request(
        _ body: String,
        _ headers: [(String, String)] = [("Content-Type", "application/json")]
    ) -> Request {
        Request(method: .post, target: "/", headers: Headers(headers), body: Array(body.utf8))
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
