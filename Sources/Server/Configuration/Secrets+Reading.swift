import FoundationEssentials

extension Secrets {
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
            .map(Secret.init(_:)) ?? Secret([])
        // Compared as it is spelt, like the others.
        if fields.has("digest_key") {
            seen.note(Array(fields.text("digest_key").utf8), at: .root.appending("digest_key"))
        }

        let providers = fields.object("providers")
        twilio = providers.optionalObject("twilio").map { Twilio(reading: $0, &seen) }
        providers.close()
        fields.close()
        try document.finish()
    }
}

extension Secrets.Twilio {
    fileprivate init(reading fields: FieldReader, _ seen: inout SecretUses) {
        let keys = fields.object("shared_keys")
        secrets = seen.secrets(fields, "secrets", (keys.names.isEmpty ? 1 : 0)...2)
        sharedKeys = []
        for id in keys.names {
            let path = keys.path.appending(id)
            let text = keys.string(id, problem: secretProblem)
            if text.isEmpty { continue }
            seen.note(Array(text.utf8), at: path)
            sharedKeys.append(SharedKey(id: id, key: Secret(Array(text.utf8))))
        }
        accounts = fields.strings("accounts") { text in
            (1...64).contains(text.utf8.count)
                && text.utf8.allSatisfy { $0.isDigit || $0.isLetter }
                ? nil : "must be an account SID"
        }.map(\.text)
        fields.close()
    }
}

/// Finds a secret that serves two purposes: who learns the one would have the other.
private struct SecretUses {
    private let document: ConfigurationDocument
    private var places: [[UInt8]: FieldPath] = [:]

    init(_ document: ConfigurationDocument) { self.document = document }

    mutating func note(_ secret: [UInt8], at path: FieldPath) {
        if let first = places[secret] {
            document.report(
                path,
                "must not be used twice; it is \(first) too, line \(document.line(of: first))"
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
        for item in items { note(Array(item.text.utf8), at: item.path) }
        return items.map { Secret(Array($0.text.utf8)) }
    }
}

private func secretProblem(_ text: String) -> String? {
    (16...512).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        ? nil : "must be 16…512 visible ASCII characters, has \(text.utf8.count)"
}

private func keyBytes(_ text: String) -> [UInt8]? {
    if text.utf8.count == 64, text.utf8.allSatisfy(\.isHexDigit) {
        var bytes: [UInt8] = []
        var rest = text[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
    guard let data = Data(base64Encoded: text), data.count == 32 else { return nil }
    return Array(data)
}
