import Digest
import HTTP
import Providers
import Verification

/// What the tests share: one account, one origin, requests signed as Twilio signs them.
enum Example {
    static let token = "b2a1f0c4d8e94a07915b0c9e7d3f6a55"
    static let originText = "https://voice.example.com"
    static let call = "CA00000000000000000000000000000001"
    static let account = "AC00000000000000000000000000000001"

    static func origin(_ text: String = originText) throws -> PublicOrigin {
        guard let origin = PublicOrigin(text) else { throw ExampleError.notAnOrigin(text) }
        return origin
    }

    static func provider(_ tokens: [String] = [token], accounts: [String] = []) throws
        -> TwilioProvider
    {
        try TwilioProvider(secrets: tokens.map { Secret($0) }, accounts: accounts)
    }

    static func attempt(_ text: String = "va_1") throws -> AttemptID {
        guard let attempt = AttemptID(text) else { throw ExampleError.notAnAttempt(text) }
        return attempt
    }

    static func encode(_ form: [(String, String)]) -> [UInt8] {
        func escape(_ text: String) -> String {
            text.utf8.map { byte in
                Token.isTokenByte(byte)
                    ? String(decoding: [byte], as: UTF8.self) : "%" + Hex.string([byte])
            }.joined()
        }
        return Array(form.map { escape($0.0) + "=" + escape($0.1) }.joined(separator: "&").utf8)
    }

    static func post(
        _ target: String,
        _ form: [(String, String)],
        token: String = token,
        origin: String = originText
    ) -> Request {
        let signature = TwilioSignature.sign(url: origin + target, form: form, authToken: token)
        return Request(
            method: .post,
            target: target,
            headers: Headers([
                ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),
                ("X-Twilio-Signature", signature),
            ]),
            body: encode(form)
        )
    }

    static func post(_ form: [(String, String)], origin: String = originText) -> Request {
        post("/v1/callbacks/twilio/va_1", form, origin: origin)
    }

    static func status(_ status: String, _ more: [(String, String)] = []) -> [(String, String)] {
        [
            ("AccountSid", account), ("CallSid", call), ("CallStatus", status),
            ("CallbackSource", "call-progress-events"),
        ] + more
    }

    static func document(_ more: [(String, String)] = []) -> [(String, String)] {
        [("AccountSid", account), ("CallSid", call), ("CallStatus", "in-progress")] + more
    }
}

enum ExampleError: Error {
    case notAnOrigin(String)
    case notAnAttempt(String)
    case notAURL(String)
}
