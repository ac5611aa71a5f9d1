extension FlowDefinition {
    private static let formatVersion: UInt8 = 1

    /// What `digest` is the SHA-256 of: a format version and every field but the digest.
    package var canonicalBytes: [UInt8] {
        var bytes = [Self.formatVersion]
        encodeDefinition(into: &bytes)
        return bytes
    }

    /// Every field but the digest.
    func encodeDefinition(into bytes: inout [UInt8]) {
        bytes.append(text: name)
        bytes.append(kind.rawValue)
        bytes.append(text: prompt)
        bytes.append(text: retryPrompt)
        bytes.append(text: language)
        bytes.append(digits)
        bytes.append(maxTries)
        bytes.append(varint: UInt64(graceSeconds))
        bytes.append(varint: UInt64(expirySeconds))
        bytes.append(waitSeconds)
    }

    init(digest: FlowDigest, from reader: inout ByteReader) throws(CommandDecodeError) {
        let name = try reader.text("flow name")
        let kind: FlowKind = try reader.raw("flow kind")
        let prompt = try reader.text("prompt")
        let retryPrompt = try reader.text("retry prompt")
        let language = try reader.text("language")
        let digits = try reader.byte()
        let maxTries = try reader.byte()
        let grace: UInt32 = try reader.number("grace")
        let expiry: UInt32 = try reader.number("expiry")
        self.init(
            digest: digest,
            name: name,
            kind: kind,
            prompt: prompt,
            retryPrompt: retryPrompt,
            language: language,
            digits: digits,
            maxTries: maxTries,
            graceSeconds: grace,
            expirySeconds: expiry,
            waitSeconds: try reader.byte()
        )
    }
}
