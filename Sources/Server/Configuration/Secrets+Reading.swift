import Digest
import Providers

extension Secrets {
    /// Bytes that a token or a platform's secret may have.
    static let lengths = 16...512

    /// Reads a file of secrets; nobody but its owner may be able to use it.
    ///
    /// - Throws: all findings, each with file, line and field; none quotes a secret.
    package static func load(_ path: String) throws(ConfigurationError) -> Secrets {
        try Secrets(reading: ConfigurationFile(reading: path, isSecret: true))
    }

    package init(reading file: ConfigurationFile) throws(ConfigurationError) {
        let document = try ConfigurationDocument(file, isSecret: true)
        let fields = FieldReader(document, document.root, at: .root)
        var seen = SecretUses(document)

        let roles = fields.object("tokens", isRequired: true)
        tokens = Tokens(
            ingest: seen.secrets(roles, "ingest", 1...2),
            read: seen.secrets(roles, "read", 1...2),
            operate: seen.secrets(roles, "operate", 1...2)
        )
        roles.close()

        digestKey =
            fields.parsed("digest_key", as: "32 bytes in hex or base64", keyBytes)
            .map { Secret(bytes: $0) } ?? Secret("")
        // Compared as it is spelt, like the others.
        if fields.has("digest_key") {
            seen.note(fields.text("digest_key"), at: .root.appending("digest_key"))
        }

        let providers = fields.object("providers")
        twilio = providers.optionalObject("twilio").flatMap { Twilio(reading: $0, &seen) }
        providers.close()
        fields.close()
        try document.finish()
    }
}

extension Secrets.Twilio {
    /// - Returns: `nil` after a report.
    fileprivate init?(reading fields: FieldReader, _ seen: inout SecretUses) {
        let keys = fields.object("shared_keys")
        secrets = seen.secrets(
            fields,
            "secrets",
            (keys.names.isEmpty ? 1 : 0)...TwilioProvider.maxSecrets
        )
        sharedKeys = []
        for id in keys.names {
            let text = keys.string(id, problem: secretProblem)
            if text.isEmpty { continue }
            seen.note(text, at: keys.path.appending(id))
            sharedKeys.append(TwilioSharedKey(id: id, secret: Secret(text)))
        }
        accounts = fields.strings("accounts") { text in
            (1...64).contains(text.utf8.count)
                && text.utf8.allSatisfy { $0.isDigit || $0.isLetter }
                ? nil : "must be an account SID"
        }.map(\.text)
        fields.close()
        do throws(ProviderConfigurationError) {
            provider = try TwilioProvider(
                secrets: secrets,
                sharedKeys: sharedKeys,
                accounts: accounts
            )
        } catch {
            // Whatever it is, it follows from something above, unless the rules have parted.
            if !fields.document.hasFindings { fields.document.report(fields.path, "has \(error)") }
            return nil
        }
    }
}

/// Finds a secret that serves two purposes: who learns the one would have the other.
private struct SecretUses {
    private let document: ConfigurationDocument
    private var places: [String: FieldPath] = [:]

    init(_ document: ConfigurationDocument) { self.document = document }

    mutating func note(_ secret: String, at path: FieldPath) {
        if let first = places[secret] {
            document.report(
                path,
                "must not be used twice; it is \(document.shown(first)) too, "
                    + "line \(document.line(of: first))"
            )
        } else if !secret.isEmpty {
            places[secret] = path
        }
    }

    /// A list of secrets, of which so many may be active at a time.
    mutating func secrets(
        _ fields: FieldReader,
        _ name: String,
        _ count: ClosedRange<Int>
    ) -> [Secret] {
        let items = fields.strings(
            name,
            isRequired: count.lowerBound > 0,
            problem: secretProblem
        )
        if let given = fields.count(of: name), !count.contains(given) {
            fields.report(
                name,
                "must be a list of \(count.lowerBound)…\(count.upperBound), has \(given)"
            )
        }
        for item in items { note(item.text, at: item.path) }
        return items.map { Secret($0.text) }
    }
}

private func secretProblem(_ text: String) -> String? {
    Secrets.lengths.contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        ? nil : "must be 16…512 visible ASCII characters, has \(text.utf8.count)"
}

private func keyBytes(_ text: String) -> [UInt8]? {
    let bytes = text.utf8.count == 64 ? Hex.decode(text) : Base64.decode(text)
    return bytes?.count == 32 ? bytes : nil
}
