import Replica
import Verification

extension PeerMessage {
    /// Commands in one forward, as requests that no node of the tests numbers so.
    static func forward(_ commands: [[UInt8]], number: UInt64 = 1) -> PeerMessage {
        let requests = commands.enumerated().map {
            ForwardedRequest(sequence: UInt64($0.offset), command: $0.element)
        }
        return .forward(Forward(number: number, incarnation: .max, requests: requests))
    }
}

/// Commands for the tests.
enum Example {
    static let flow = FlowDefinition(
        digest: FlowDigest(bytes: Array("login".utf8)),
        name: "login",
        kind: .code,
        prompt: "Please enter your code.",
        retryPrompt: "Please try again.",
        language: "en-US",
        digits: 6,
        maxTries: 3,
        graceSeconds: 30,
        expirySeconds: 600,
        waitSeconds: 2
    )
    static let right = [UInt8](repeating: 0xAA, count: 32)
    static let wrong = [UInt8](repeating: 0xBB, count: 32)

    /// The replica names the request when it takes it.
    private static func origin(_ region: String) -> Origin {
        Origin(
            node: 0,
            region: region,
            receivedAt: WallTime(milliseconds: 5),
            request: RequestID(node: 0, incarnation: 0, sequence: 0)
        )
    }

    static func id(_ text: String) -> AttemptID {
        guard let id = AttemptID(text) else { fatalError("\(text) is not an attempt ID") }
        return id
    }

    static func open(
        _ attempt: String,
        expiresIn seconds: UInt32 = 600,
        subject: String = "user"
    ) -> Command {
        .open(
            OpenAttempt(
                attempt: id(attempt),
                flow: flow.digest,
                subject: subject,
                expiresInSeconds: seconds,
                challenge: right,
                maxTries: 3,
                targets: [Target(state: .verified, url: "https://bank.example/ok")],
                origin: origin("us-east")
            )
        )
    }

    static func callback(
        _ attempt: String,
        _ event: EventKind,
        key: String? = nil,
        sequence: UInt64? = nil,
        digits: [UInt8]? = nil
    ) -> Callback {
        let chosen = key.flatMap { CallbackKey(provider: "verdict", chosen: $0) }
        return Callback(
            attempt: id(attempt),
            key: chosen
                ?? CallbackKey(provider: "verdict", call: "CA1", event: event, sequence: sequence),
            provider: "verdict",
            call: "CA1",
            event: event,
            sequence: sequence,
            digits: digits,
            status: nil,
            outcome: nil,
            channel: "voice",
            occurredAt: nil,
            origin: origin("us-east")
        )
    }
}
