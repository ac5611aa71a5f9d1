import Digest
import HTTP
import Providers
import Testing
import Verification

@Suite("only what Twilio signed is authentic") struct TwilioSignatureTests {
    func reason(
        _ request: Request,
        _ provider: TwilioProvider? = nil,
        at origin: String = Example.originText
    ) throws -> AuthenticationFailure? {
        let provider = try provider ?? Example.provider()
        let origin = try Example.origin(origin)
        do throws(CallbackError) {
            _ = try provider.receive(request, at: origin)
            return nil
        } catch {
            guard case .unauthenticated(let reason) = error else { throw error }
            #expect(error.status == 403)
            return reason
        }
    }

    @Test("the published example of the documents is what the signing helper makes")
    func helper() {
        let form = [
            ("To", "+18005551212"), ("From", "+12349013030"), ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"), ("Caller", "+12349013030"),
        ]
        #expect(
            TwilioSignature.sign(
                url: "https://mycompany.com/myapp.php?foo=1&bar=2",
                form: form,
                authToken: "12345"
            ) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
        )
    }

    @Test("a change of any byte of target or body makes the signature wrong")
    func tampering() throws {
        let request = Example.post(Example.document([("From", "+15")]))
        #expect(try reason(request) == nil)
        var other = request
        other.target += "?step=2"
        #expect(try reason(other) == .signatureMismatch)
        for index in request.body.indices {
            var other = request
            // Another letter or digit, so that the form still decodes.
            other.body[index] = other.body[index] == 0x41 ? 0x42 : 0x41
            if String(decoding: other.body, as: UTF8.self).contains("%A") { continue }
            #expect(try reason(other) == .signatureMismatch, "byte \(index)")
        }
    }

    @Test("the configured origin counts, and Host does not")
    func origin() throws {
        var request = Example.post(Example.document())
        request.headers.append("Host", "evil.example")
        #expect(try reason(request) == nil)
        #expect(try reason(request, at: "https://other.example.com") == .signatureMismatch)
        #expect(try reason(request, at: "http://voice.example.com") == .signatureMismatch)
    }

    @Test("a prefix that a proxy takes away is put back from the configuration")
    func prefix() throws {
        let request = Example.post(Example.document(), origin: "https://voice.example.com/verdict")
        #expect(try reason(request, at: "https://voice.example.com/verdict") == nil)
        #expect(try reason(request) == .signatureMismatch)
    }

    @Test("the port may be signed or not, whether it is configured or the scheme's own")
    func ports() throws {
        for (configured, signed) in [
            ("https://a.example", "https://a.example:443"),
            ("http://a.example", "http://a.example:80"),
            ("https://a.example:8443", "https://a.example"), ("http://[::1]:8101", "http://[::1]"),
            ("http://[::1]", "http://[::1]:80"), ("https://a.example:443", "https://a.example"),
        ] {
            let request = Example.post(Example.document(), origin: signed)
            #expect(try reason(request, at: configured) == nil, "\(configured) for \(signed)")
        }
        let request = Example.post(Example.document(), origin: "https://a.example:444")
        #expect(try reason(request, at: "https://a.example") == .signatureMismatch)
    }

    @Test("a GET is signed by its URL alone, and its parameters are the query's")
    func get() throws {
        let target = "/v1/callbacks/twilio/va_1?CallSid=\(Example.call)&step=2&Digits=12"
        let signature = TwilioSignature.sign(
            url: Example.originText + target,
            form: [],
            authToken: Example.token
        )
        var request = Request(
            method: .get,
            target: target,
            headers: Headers([("X-Twilio-Signature", signature)])
        )
        let callback = try Example.provider().receive(request, at: Example.origin())
        #expect(callback.event == .digits && callback.sequence == 2)
        request.body = Array("Digits=13".utf8)
        #expect(try reason(request) == .bodyNotCovered)
    }

    @Test("a signature for another attempt cannot be moved by cutting the URL elsewhere")
    func boundary() throws {
        let form = Example.document()
        let signed = Example.post("/v1/callbacks/twilio/va_12", form)
        for (target, field) in [("va_1", "2"), ("va_", "12"), ("va", "_12")] {
            var moved = signed
            moved.target = "/v1/callbacks/twilio/\(target)"
            moved.body = Example.encode([(field, "")] + form)
            let provider = try Example.provider()
            #expect(throws: CallbackError.self, "\(field)") {
                try provider.receive(moved, at: Example.origin())
            }
        }
        // The signature itself holds there, which is why the check is needed.
        var moved = signed
        moved.target = "/v1/callbacks/twilio/va_1"
        moved.body = Example.encode([("2", "")] + form)
        #expect(try Example.provider().authenticate(moved, at: Example.origin()) != nil)
    }

    @Test("no header, two headers, or no base64 is no signature")
    func headers() throws {
        var request = Example.post(Example.document())
        let signature = request.headers.first("x-twilio-signature") ?? ""
        request.headers = Headers([("Content-Type", "application/x-www-form-urlencoded")])
        #expect(try reason(request) == .missingHeader)
        request.headers.append("X-Twilio-Signature", "nonsense!")
        #expect(try reason(request) == .malformedHeader)
        request.headers = Headers([
            ("X-Twilio-Signature", signature), ("X-Twilio-Signature", signature),
        ])
        #expect(try reason(request) == .malformedHeader)
        request.headers = Headers([("X-Twilio-Signature", "")])
        #expect(try reason(request) == .signatureMismatch)
    }

    @Test("a body that is neither form nor hashed in the URL is not covered")
    func uncovered() throws {
        let target = "/v1/callbacks/twilio/va_1"
        let signature = TwilioSignature.sign(
            url: Example.originText + target,
            form: [],
            authToken: Example.token
        )
        let request = Request(
            method: .post,
            target: target,
            headers: Headers([
                ("Content-Type", "application/json"), ("X-Twilio-Signature", signature),
            ]),
            body: Array("{}".utf8)
        )
        #expect(try reason(request) == .bodyNotCovered)
    }

    @Test("an authentic body that is no form is of no use")
    func json() throws {
        let body = Array("{}".utf8)
        let target = "/v1/callbacks/twilio/va_1?bodySHA256=\(Hex.string(SHA256.hash(of: body)))"
        let signature = TwilioSignature.sign(
            url: Example.originText + target,
            form: [],
            authToken: Example.token
        )
        let request = Request(
            method: .post,
            target: target,
            headers: Headers([
                ("Content-Type", "application/json"), ("X-Twilio-Signature", signature),
            ]),
            body: body
        )
        #expect(throws: CallbackError.unsupportedType) {
            try Example.provider().receive(request, at: Example.origin())
        }
    }

    @Test("a shared key works with the algorithms it is configured for, and with no other")
    func sharedKeys() throws {
        let provider = try TwilioProvider(
            secrets: [],
            sharedKeys: [
                TwilioSharedKey(id: "one", secret: Secret("k1"), algorithms: [.sha256]),
                TwilioSharedKey(id: "two", secret: Secret("k2"), algorithms: [.sha1, .sha256]),
            ]
        )
        func reason(_ settings: String?, _ key: String, _ algorithm: HMACKey.Algorithm) throws
            -> AuthenticationFailure?
        {
            var request = Example.post(Example.document())
            let signature = TwilioSignature.sign(
                url: Example.originText + request.target,
                form: Example.document(),
                key: HMACKey(algorithm: algorithm, key: Array(key.utf8))
            )
            request.headers = Headers([
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("X-Twilio-Signature", signature),
            ])
            if let settings {
                request.headers.append("X-Twilio-Webhooks-Signature-Settings", settings)
            }
            return try self.reason(request, provider)
        }
        #expect(try reason("key=one,algorithm=HMAC_SHA256", "k1", .sha256) == nil)
        #expect(try reason(" key=two , algorithm=hmac_sha1 ", "k2", .sha1) == nil)
        #expect(try reason("algorithm=HMAC_SHA256,key=two", "k2", .sha256) == nil)
        #expect(try reason("key=one,algorithm=HMAC_SHA1", "k1", .sha1) == .unsupportedAlgorithm)
        #expect(try reason("key=one,algorithm=HMAC_SHA256", "k2", .sha256) == .signatureMismatch)
        #expect(try reason("key=three,algorithm=HMAC_SHA256", "k1", .sha256) == .unknownKey)
        #expect(try reason("key=one", "k1", .sha256) == .malformedHeader)
        #expect(
            try reason("key=one,key=two,algorithm=HMAC_SHA256", "k1", .sha256) == .malformedHeader
        )
        #expect(try reason("", "k1", .sha256) == .malformedHeader)
        #expect(try reason(nil, "k1", .sha1) == .unknownKey)
    }

    @Test("accounts outside the list are refused, however well signed")
    func accounts() throws {
        let request = Example.post(Example.document())
        #expect(try reason(request, Example.provider(accounts: [Example.account])) == nil)
        #expect(try reason(request, Example.provider(accounts: ["AC2"])) == .accountNotAllowed)
        let none = Example.post([("CallSid", Example.call)])
        #expect(try reason(none, Example.provider(accounts: ["AC2"])) == .accountNotAllowed)
        #expect(try reason(none) == nil)
    }

    @Test("a configuration without, with empty, or with too many secrets is refused")
    func configuration() throws {
        #expect(throws: ProviderConfigurationError.noSecret) { try Example.provider([]) }
        #expect(throws: ProviderConfigurationError.emptySecret) { try Example.provider(["a", ""]) }
        #expect(throws: ProviderConfigurationError.tooManySecrets(limit: 2)) {
            try Example.provider(["a", "b", "c"])
        }
        let key = TwilioSharedKey(id: "one", secret: Secret("k"))
        #expect(throws: ProviderConfigurationError.duplicateKey(id: "one")) {
            try TwilioProvider(secrets: [], sharedKeys: [key, key])
        }
    }

    @Test(
        "what is no origin is refused",
        arguments: [
            "", "a.example", "ftp://a.example", "https://", "https://a.example/",
            "https://a.example/x/",
            "https://a.example?x", "https://u@a.example", "https://a.example:",
            "https://a.example:0",
            "https://a.example:65536", "https://a.example:8x", "https://[::1", "https://[]",
            "https://a b", "https://a.example/x#y", "HTTPS://a.example",
        ]
    )
    func notAnOrigin(text: String) {
        #expect(PublicOrigin(text) == nil)
    }

    @Test("neither secret nor digits show when something is printed")
    func redaction() throws {
        let request = Example.post(
            "/v1/callbacks/twilio/va_1?step=1",
            Example.document([("Digits", "482913")])
        )
        let callback = try Example.provider().receive(request, at: Example.origin())
        var text = "\(callback) \(String(reflecting: callback)) \(try Example.provider())"
        dump(callback, to: &text)
        dump(try Example.provider(), to: &text)
        #expect(callback.digits?.bytes == Array("482913".utf8))
        #expect(!text.contains("482913") && !text.contains(Example.token))
        #expect(!text.contains("52, 56, 50") && text.contains("<redacted>"))
    }
}
