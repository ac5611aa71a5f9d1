import Digest

/// What is sent: the bytes of each request, and what its answer has to be.
///
/// All attempts of a run are alike but for their number, which has always the same width; so nearly
/// every byte is made once. Each attempt has a target of its own, so that an answer that belongs to
/// another attempt is found.
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

    /// The unchanging bytes of a node's requests.
    private struct Node {
        /// From the opening's path to its body.
        var openHead: [UInt8]
        /// From the callback's path to its signature.
        var callbackHead: [UInt8]
        /// The URL that is signed, before the attempt.
        var signedStart: [UInt8]
    }

    private let nodes: [Node]
    private let prefix: [UInt8]
    private let openBodyStart: [UInt8]
    private let callbackTail: [UInt8]
    /// The rest of the signed URL, and the form's pairs as the signature has them: sorted, without
    /// separators.
    private let signedEnd: [UInt8]
    private let key: HMACKey
    /// What is signed, and what is expected; kept for its memory.
    private var scratch: [UInt8] = []

    private static let digits = "482913"
    private static let numberWidth = 10

    private static let openStart = Array("PUT /v1/attempts/".utf8)
    private static let callbackStart = Array("POST \(callbackPath)".utf8)
    private static let callbackPath = "/v1/callbacks/twilio/"
    private static let callbackQuery = "?step=1"
    private static let openBodyEnd = Array(#""}}"#.utf8)
    private static let targetStart = "https://bank.example/ivr/"
    private static let decidedStart = Array(
        "<Response><Redirect method=\"POST\">\(targetStart)".utf8
    )
    private static let decidedEnd = Array("</Redirect></Response>".utf8)
    private static let openedStart = Array(#"{"attempt":""#.utf8)
    private static let openedMiddle = Array(#"","flow":"login","#.utf8)

    /// A workload for nodes with these `Host`s and with these origins, which the platform signs;
    /// the prefix tells the attempts of this run from all others.
    package init(
        hosts: [String],
        origins: [String],
        ingestToken: String,
        twilioSecret: String,
        prefix: String
    ) {
        typealias Me = BenchWorkload
        self.prefix = Array("\(prefix)-".utf8)
        openBodyStart = Array(
            """
            {"flow":"login","challenge":{"digits":"\(Me.digits)"},\
            "targets":{"verified":"\(Me.targetStart)
            """.utf8
        )
        let openLength =
            openBodyStart.count + self.prefix.count + Me.numberWidth + Me.openBodyEnd.count
        let account = "AC" + String(repeating: "0", count: 32)
        let call = "CA" + String(repeating: "1", count: 32)
        let form = [
            ("AccountSid", account), ("CallSid", call), ("CallStatus", "in-progress"),
            ("Digits", Me.digits),
        ]
        let body = form.map { "\($0)=\($1)" }.joined(separator: "&")
        callbackTail = Array("\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
        signedEnd = Array((Me.callbackQuery + form.map { $0 + $1 }.joined()).utf8)
        nodes = zip(hosts, origins).map { host, origin in
            Node(
                openHead: Array(
                    """
                     HTTP/1.1\r
                    Host: \(host)\r
                    Authorization: Bearer \(ingestToken)\r
                    Content-Type: application/json\r
                    Content-Length: \(openLength)\r
                    \r

                    """.utf8
                ),
                callbackHead: Array(
                    ("\(Me.callbackQuery) HTTP/1.1\r\nHost: \(host)\r\n"
                        + "Content-Type: application/x-www-form-urlencoded\r\n"
                        + "X-Twilio-Signature: ").utf8
                ),
                signedStart: Array((origin + Me.callbackPath).utf8)
            )
        }
        key = HMACKey(algorithm: .sha1, key: Array(twilioSecret.utf8))
    }

    package func attemptName(_ number: Int) -> String {
        var name: [UInt8] = []
        appendName(number, to: &name)
        return String(decoding: name, as: UTF8.self)
    }

    /// Appends the request of this kind for an attempt, to be sent to a node.
    package mutating func append(
        _ kind: Kind,
        attempt: Int,
        node: Int,
        to bytes: inout [UInt8]
    ) {
        switch kind {
        case .open:
            bytes.append(contentsOf: BenchWorkload.openStart)
            appendName(attempt, to: &bytes)
            bytes.append(contentsOf: nodes[node].openHead)
            bytes.append(contentsOf: openBodyStart)
            appendName(attempt, to: &bytes)
            bytes.append(contentsOf: BenchWorkload.openBodyEnd)
        case .decide, .repeated:
            bytes.append(contentsOf: BenchWorkload.callbackStart)
            appendName(attempt, to: &bytes)
            bytes.append(contentsOf: nodes[node].callbackHead)
            scratch.removeAll(keepingCapacity: true)
            scratch.append(contentsOf: nodes[node].signedStart)
            appendName(attempt, to: &scratch)
            scratch.append(contentsOf: signedEnd)
            bytes.append(contentsOf: Base64.encode(key.authenticate(scratch)))
            bytes.append(contentsOf: callbackTail)
        }
    }

    private func appendName(_ number: Int, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: prefix)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: BenchWorkload.numberWidth))
        var rest = number
        var place = bytes.count
        while rest > 0 {
            place -= 1
            bytes[place] += UInt8(rest % 10)
            rest /= 10
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

    /// Judges an answer in the bytes that were read.
    ///
    /// `isRetried` means that an earlier try of this very request got no answer: it may have been
    /// carried out all the same, so that the answer now may say that it is not the first.
    package mutating func judge(
        _ answer: BenchAnswer,
        in bytes: [UInt8],
        to kind: Kind,
        attempt: Int,
        isRetried: Bool
    ) -> Judgement {
        if answer.status == 503 || answer.status == 408 { return .unavailable }
        scratch.removeAll(keepingCapacity: true)
        switch kind {
        case .open:
            guard answer.status == 201 || (answer.status == 200 && isRetried) else { return .wrong }
            scratch.append(contentsOf: BenchWorkload.openedStart)
            appendName(attempt, to: &scratch)
            scratch.append(contentsOf: BenchWorkload.openedMiddle)
            // The rest holds times that only the node knows.
            guard answer.body.count > scratch.count else { return .wrong }
            return stands(in: bytes, at: answer.body.lowerBound) ? .right : .wrong
        case .decide, .repeated:
            guard answer.status == 200 else { return .wrong }
            switch answer.disposition {
            case .accepted: guard kind == .decide else { return .wrong }
            case .repeated: guard kind == .repeated || isRetried else { return .wrong }
            case .none, .other: return .wrong
            }
            scratch.append(contentsOf: BenchWorkload.decidedStart)
            appendName(attempt, to: &scratch)
            scratch.append(contentsOf: BenchWorkload.decidedEnd)
            guard answer.body.count == scratch.count else { return .wrong }
            return stands(in: bytes, at: answer.body.lowerBound) ? .right : .wrong
        }
    }

    private func stands(in bytes: [UInt8], at start: Int) -> Bool {
        for i in scratch.indices where bytes[start + i] != scratch[i] { return false }
        return true
    }
}
