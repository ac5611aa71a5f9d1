import Digest
package import HTTP
import Providers

/// What is sent: the bytes of each request, and what its answer has to be.
package struct BenchWorkload {
    package enum Name: String, CaseIterable, Sendable {
        /// Attempts opened, then decided by a Twilio gather's digits.
        case fresh
        /// As `fresh`, with each callback sent three times, to three nodes in turn.
        case retry
        /// Repeats of the deciding callbacks of decided attempts.
        case dup
    }

    /// Which request of an attempt.
    package enum Kind: Int, CaseIterable, Sendable {
        case open, decide, repeated
        package var name: String {
            switch self {
            case .open: "opened"
            case .decide: "decided"
            case .repeated: "repeated"
            }
        }
    }

    private struct Node {
        /// `Host` and what else each request to the node carries.
        var hostHeader: [UInt8]
        /// The origin that the platform signs.
        var origin: [UInt8]
    }

    private let nodes: [Node]
    private let prefix: String
    private let openHead: [UInt8]
    private let openBody: [UInt8]
    private let key: HMACKey
    private let formBody: [UInt8]
    /// The form's pairs as the signature has them: sorted, without separators.
    private let signedForm: [UInt8]

    package static let target = "https://bank.example/ivr/ok"
    private static let digits = "482913"
    private static let accepted = Array("accepted".utf8)[...]

    /// The body of each deciding callback's answer.
    package static let decidedBody = Array(
        "<Response><Redirect method=\"POST\">\(target)</Redirect></Response>".utf8
    )

    package init(
        hosts: [String],
        origins: [String],
        ingestToken: String,
        twilioSecret: String,
        prefix: String
    ) {
        nodes = zip(hosts, origins).map { host, origin in
            Node(hostHeader: Array("Host: \(host)\r\n".utf8), origin: Array(origin.utf8))
        }
        self.prefix = prefix
        openBody = Array(
            """
            {"flow":"login","challenge":{"digits":"\(BenchWorkload.digits)"},\
            "targets":{"verified":"\(BenchWorkload.target)"}}
            """.utf8
        )
        openHead = Array(
            """
            Authorization: Bearer \(ingestToken)\r
            Content-Type: application/json\r
            Content-Length: \(openBody.count)\r
            \r

            """.utf8
        )
        key = HMACKey(algorithm: .sha1, key: Array(twilioSecret.utf8))
        let account = "AC" + String(repeating: "0", count: 32)
        let call = "CA" + String(repeating: "1", count: 32)
        formBody = Array(
            "AccountSid=\(account)&CallSid=\(call)&CallStatus=in-progress&Digits=\(BenchWorkload.digits)"
                .utf8
        )
        signedForm = Array(
            "AccountSid\(account)CallSid\(call)CallStatusin-progressDigits\(BenchWorkload.digits)"
                .utf8
        )
    }

    package func attemptName(_ number: Int) -> String { "\(prefix)-\(number)" }

    /// Appends the request of this kind for an attempt, to be sent to a node.
    package func append(_ kind: Kind, attempt: Int, node: Int, to bytes: inout [UInt8]) {
        switch kind {
        case .open:
            bytes.append(contentsOf: "PUT /v1/attempts/".utf8)
            bytes.append(contentsOf: attemptName(attempt).utf8)
            bytes.append(contentsOf: " HTTP/1.1\r\n".utf8)
            bytes.append(contentsOf: nodes[node].hostHeader)
            bytes.append(contentsOf: openHead)
            bytes.append(contentsOf: openBody)
        case .decide, .repeated:
            var target = Array("/v1/callbacks/twilio/".utf8)
            target.append(contentsOf: attemptName(attempt).utf8)
            target.append(contentsOf: "?step=1".utf8)
            let signature = Base64.encode(
                key.authenticate(nodes[node].origin + target + signedForm)
            )
            bytes.append(contentsOf: "POST ".utf8)
            bytes.append(contentsOf: target)
            bytes.append(contentsOf: " HTTP/1.1\r\n".utf8)
            bytes.append(contentsOf: nodes[node].hostHeader)
            bytes.append(
                contentsOf:
                    "Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: "
                    .utf8
            )
            bytes.append(contentsOf: signature)
            bytes.append(contentsOf: "\r\nContent-Length: \(formBody.count)\r\n\r\n".utf8)
            bytes.append(contentsOf: formBody)
        }
    }

    /// What an answer is worth.
    package enum Judgement: Hashable, Sendable {
        case right
        /// An answer that must not be, whatever happened before.
        case wrong
        /// The node could not say; a platform asks again.
        case unavailable
    }

    /// Judges an answer.
    ///
    /// `isRetried` means that an earlier try of this very request got no answer: it may have been
    /// carried out all the same, so that the answer now may say that it is not the first.
    package static func judge(_ response: Response, to kind: Kind, isRetried: Bool) -> Judgement {
        if response.status == 503 || response.status == 408 { return .unavailable }
        switch kind {
        case .open:
            return response.status == 201 || (response.status == 200 && isRetried) ? .right : .wrong
        case .decide, .repeated:
            guard response.status == 200, response.body == decidedBody,
                let disposition = response.headers.firstBytes("verdict-disposition")
            else { return .wrong }
            if disposition == repeatedName {
                return kind == .repeated || isRetried ? .right : .wrong
            }
            return disposition == accepted && kind == .decide ? .right : .wrong
        }
    }
    private static let repeatedName = Array("repeated".utf8)[...]
}
