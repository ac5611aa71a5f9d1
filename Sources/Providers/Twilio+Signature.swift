package import Digest
package import HTTP

/// A key that Twilio signs with in place of the Auth Token, named in a header.
package struct TwilioSharedKey: Sendable {
    package var id: String
    package var secret: Secret
    /// What this key may be used with.
    ///
    /// The header that names the algorithm is not signed, so the algorithm is the receiver's choice.
    package var algorithms: [HMACKey.Algorithm]

    package init(id: String, secret: Secret, algorithms: [HMACKey.Algorithm] = [.sha256]) {
        self.id = id
        self.secret = secret
        self.algorithms = algorithms
    }
}

/// A secret made ready to check with.
struct TwilioKey: Sendable {
    /// `nil` for an Auth Token.
    var id: String?
    var key: HMACKey

    init(id: String?, algorithm: HMACKey.Algorithm, secret: Secret) {
        self.id = id
        key = HMACKey(algorithm: algorithm, key: secret.bytes)
    }
}

extension TwilioProvider {
    /// Checks a request's signature over the configured origin and the request's own target.
    ///
    /// - Returns: the signed parameters; `nil` if the body is authentic but not a form.
    /// - Throws: `unauthenticated` with the reason; `malformed` if what is signed does not decode.
    package func authenticate(_ request: Request, at origin: PublicOrigin) throws(CallbackError)
        -> Form?
    {
        let headers = request.headers
        guard let signatureText = headers.firstBytes("x-twilio-signature") else {
            throw .unauthenticated(.missingHeader)
        }
        guard headers.count("x-twilio-signature") == 1,
            let signature = Base64.decode(signatureText)
        else { throw .unauthenticated(.malformedHeader) }
        let keys = try candidateKeys(headers)

        let isQuery = request.method == .get
        guard !isQuery || request.body.isEmpty else { throw .unauthenticated(.bodyNotCovered) }
        let isForm =
            isQuery || request.body.isEmpty
            || headers.hasMediaType("application/x-www-form-urlencoded")
        let form: Form?
        do throws(FormError) {
            form =
                isQuery
                ? try Form(query: request.query) : isForm ? try Form(request.body) : nil
        } catch {
            throw .malformed(field: isQuery ? "query" : "body", detail: error.description)
        }

        var tail = Array(request.target.utf8)
        if !isQuery, let form { TwilioSignature.appendSorted(form, to: &tail) }
        guard TwilioSignature.isValid(signature, keys: keys, origin: origin, tail: tail) else {
            throw .unauthenticated(.signatureMismatch)
        }
        if form == nil { try checkBodyHash(request) }
        return form
    }

    /// The keys that may have signed: the one the settings header names, else the Auth Tokens.
    private func candidateKeys(_ headers: Headers) throws(CallbackError) -> [TwilioKey] {
        guard let settings = headers.first("x-twilio-webhooks-signature-settings") else {
            guard !authTokens.isEmpty else { throw .unauthenticated(.unknownKey) }
            return authTokens
        }
        guard headers.count("x-twilio-webhooks-signature-settings") == 1 else {
            throw .unauthenticated(.malformedHeader)
        }
        var id: Substring?
        var name: Substring?
        for part in settings.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { throw .unauthenticated(.malformedHeader) }
            let value = TwilioSignature.trimmed(pair[1])
            switch TwilioSignature.trimmed(pair[0]) {
            case "key" where id == nil: id = value
            case "algorithm" where name == nil: name = value
            default: throw .unauthenticated(.malformedHeader)
            }
        }
        guard let id, let name else { throw .unauthenticated(.malformedHeader) }
        let algorithm: HMACKey.Algorithm
        switch name.uppercased() {
        case "HMAC_SHA1": algorithm = .sha1
        case "HMAC_SHA256": algorithm = .sha256
        default: throw .unauthenticated(.unsupportedAlgorithm)
        }
        let named = sharedKeys.filter { $0.id.map { $0 == id } ?? false }
        guard !named.isEmpty else { throw .unauthenticated(.unknownKey) }
        let fitting = named.filter { $0.key.algorithm == algorithm }
        guard !fitting.isEmpty else { throw .unauthenticated(.unsupportedAlgorithm) }
        return fitting
    }

    /// A body that is no form is covered by its hash in the signed URL.
    private func checkBodyHash(_ request: Request) throws(CallbackError) {
        let query: Form
        do throws(FormError) { query = try Form(query: request.query) } catch {
            throw .malformed(field: "query", detail: error.description)
        }
        guard query.count("bodySHA256") == 1, let claimed = query.first("bodySHA256") else {
            throw .unauthenticated(.bodyNotCovered)
        }
        guard constantTimeEqual(Array(claimed), Hex.encode(SHA256.hash(of: request.body))) else {
            throw .unauthenticated(.bodyHashMismatch)
        }
    }
}

/// Twilio's request signature.
package enum TwilioSignature {
    /// The value of `X-Twilio-Signature` for a form posted to a URL; for tests and load.
    package static func sign(
        url: String,
        form: [(String, String)],
        authToken: String
    ) -> String {
        sign(url: url, form: form, key: HMACKey(algorithm: .sha1, key: Array(authToken.utf8)))
    }

    /// The same with a key that is used again and again.
    package static func sign(url: String, form: [(String, String)], key: HMACKey) -> String {
        var text = Array(url.utf8)
        appendSorted(Form(pairs: form), to: &text)
        return Base64.string(key.authenticate(text))
    }

    /// Appends names and values as they are signed: sorted by bytes, equal pairs once.
    static func appendSorted(_ form: Form, to text: inout [UInt8]) {
        for index in form.sortedDistinctIndices() {
            text.append(contentsOf: form.name(index))
            text.append(contentsOf: form.value(index))
        }
    }

    /// Tries each key over each spelling of the origin, in constant time each.
    static func isValid(
        _ signature: [UInt8],
        keys: [TwilioKey],
        origin: PublicOrigin,
        tail: [UInt8]
    ) -> Bool {
        for spelling in origin.spellings {
            let text = spelling + tail
            for key in keys where key.key.isValid(signature, for: text) { return true }
        }
        return false
    }

    static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
