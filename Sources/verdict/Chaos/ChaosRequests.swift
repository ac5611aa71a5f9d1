import Chaos
import Digest

/// The bytes of a run's requests.
struct ChaosRequests {
    private let hosts: [String]
    private let origins: [String]
    private let tokens: ClusterFile.Tokens
    private let key: HMACKey
    private static let account = "AC" + String(repeating: "0", count: 32)

    init(_ file: ClusterFile) throws(CommandFailure) {
        guard let secret = file.providers.twilio?.secret else {
            throw CommandFailure(.usage, "the cluster file has no Twilio secret to sign with")
        }
        hosts = file.nodes.map { String($0.http.dropFirst("http://".count)) }
        origins = file.nodes.map(\.public)
        tokens = file.tokens
        key = HMACKey(algorithm: .sha1, key: Array(secret.utf8))
    }

    func get(_ target: String, node: Int, isOpen: Bool = false) -> [UInt8] {
        var text = "GET \(target) HTTP/1.1\r\nHost: \(hosts[node])\r\n"
        if !isOpen { text += "Authorization: Bearer \(tokens.read)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    func open(_ script: AttemptScript, node: Int) -> [UInt8] {
        let targets = Outcome.allCases.map {
            "\"\($0.rawValue)\":\"\(ToldState.targetStart)\($0.rawValue)/\(script.number)\""
        }
        let body = """
            {"flow":"chaos","subject":"user-\(script.number)","expires_in":\(script.expiresIn),\
            "challenge":{"digits":"\(AttemptScript.rightDigits)","max_tries":\(script.maxTries)},\
            "targets":{\(targets.joined(separator: ","))}}
            """
        return ownForm("PUT", "/v1/attempts/\(script.name)", node, body)
    }

    func post(_ post: Int, of script: AttemptScript, node: Int) -> [UInt8] {
        let scripted = script.posts[post]
        let path = "/v1/attempts/\(script.name)/callbacks"
        switch scripted.event {
        case .outcome(let outcome):
            return ownForm(
                "POST",
                path,
                node,
                #"{"event":"outcome","outcome":"\#(outcome.rawValue)","channel":"app"}"#,
                key: "app-\(outcome.rawValue)"
            )
        case .cancel:
            return ownForm(
                "POST",
                path,
                node,
                #"{"event":"cancel","channel":"app"}"#,
                key: "app-cancel"
            )
        default: return twilio(scripted, script, node)
        }
    }

    private func ownForm(
        _ method: String,
        _ path: String,
        _ node: Int,
        _ body: String,
        key: String? = nil
    ) -> [UInt8] {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: \(hosts[node])\r\n"
        text += "Authorization: Bearer \(tokens.ingest)\r\nContent-Type: application/json\r\n"
        if let key { text += "Idempotency-Key: \"\(key)\"\r\n" }
        text += "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        return Array(text.utf8)
    }

    private func twilio(_ post: ScriptedPost, _ script: AttemptScript, _ node: Int) -> [UInt8] {
        var query = ""
        // In the order of their names, as they are signed.
        var form = [
            ("AccountSid", ChaosRequests.account), ("CallSid", script.callName(post.call)),
        ]
        func progress(_ status: String, _ sequence: Int) {
            form.append(("CallStatus", status))
            form.append(("CallbackSource", "call-progress-events"))
            form.append(("SequenceNumber", "\(sequence)"))
        }
        switch post.event {
        case .initiated: progress("initiated", 0)
        case .ringing: progress("ringing", 1)
        case .answered: progress("in-progress", 2)
        case .ended(let status): progress(status, 3)
        case .voice: form.append(("CallStatus", "in-progress"))
        case .poll(let number):
            form.append(("CallStatus", "in-progress"))
            query = "?poll=\(number)"
        case .digits(let step, let isRight):
            form.append(("CallStatus", "in-progress"))
            form.append(("Digits", isRight ? AttemptScript.rightDigits : "00000\(step)"))
            query = "?step=\(step)"
        case .outcome, .cancel: break
        }
        return signed("/v1/callbacks/twilio/\(script.name)\(query)", form, node)
    }

    /// Opens an attempt that nobody decides.
    func open(_ attempt: String, node: Int) -> [UInt8] {
        ownForm("PUT", "/v1/attempts/\(attempt)", node, #"{"flow":"login","expires_in":86400}"#)
    }

    /// Twilio says that a call has ended, which any 2xx answers.
    func ended(_ call: String, of attempt: String, node: Int) -> [UInt8] {
        let form = [
            ("AccountSid", ChaosRequests.account), ("CallSid", call),
            ("CallStatus", "completed"), ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", "3"),
        ]
        return signed("/v1/callbacks/twilio/\(attempt)", form, node)
    }

    /// `form` is in the order of its names.
    private func signed(_ path: String, _ form: [(String, String)], _ node: Int) -> [UInt8] {
        let signed = origins[node] + path + form.map { $0.0 + $0.1 }.joined()
        let signature = Base64.string(key.authenticate(Array(signed.utf8)))
        let body = form.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        return Array(
            ("POST \(path) HTTP/1.1\r\nHost: \(hosts[node])\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\n"
                + "X-Twilio-Signature: \(signature)\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)").utf8
        )
    }
}
