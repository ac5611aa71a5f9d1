import Server

/// A configuration that is good, and what makes it bad.
enum ConfigurationFixture {
    /// Line 1 is the opening brace.
    static let lines = [
        "{",
        "  cluster: 'test', // line 2",
        "  node: 1,",
        "  region: 'us-east',",
        "  data: 'node-1',",
        "  secrets: \"secrets.json5\",",
        "  http: '127.0.0.1:8101',",
        "  public: 'https://verdict.example',",
        "  peer: '0.0.0.0:9101',",
        "  peers: [",
        "    { node: 1, region: 'us-east', peer: '10.0.0.1:9101', http: '10.0.0.1:8101' },",
        "    { node: 2, region: 'eu-west', peer: '10.0.0.2:9101', http: '10.0.0.2:8101' },",
        "    { node: 3, region: 'ap-south', peer: 'c.example:9101', http: 'c.example:8101' },",
        "  ],",
        "  allowed_targets: ['https://bank.example/ivr/'],",
        "  flows: {",
        "    login: {",
        "      kind: 'code',",
        "      digits: 6,",
        "      targets: { verified: 'https://bank.example/ivr/ok' },",
        "    },",
        "    app: { kind: 'confirm', wait: 5 },",
        "  },",
        "  timers: { heartbeat_ms: 50, election_timeout_ms: 500, request_hold_ms: 9000 },",
        "  limits: { body_bytes: 2048 },",
        "  log: { format: 'json', level: 'warning' },",
        "  journal: { segment_mib: 16 },",
        "}",
    ]

    static func read(_ lines: [String] = lines) throws(ConfigurationError) -> NodeConfiguration {
        let text = lines.joined(separator: "\n")
        return try NodeConfiguration(
            reading: ConfigurationFile(path: "etc/node-1.json5", bytes: Array(text.utf8))
        )
    }

    /// The findings after some lines were replaced, one a line.
    static func findings(_ changes: [Int: String]) -> String {
        var lines = lines
        for (number, text) in changes { lines[number - 1] = text }
        return findings { () throws(ConfigurationError) in _ = try read(lines) }
    }

    static func findings(_ body: () throws(ConfigurationError) -> Void) -> String {
        do throws(ConfigurationError) {
            try body()
            return "good"
        } catch {
            return error.description.replacing("etc/", with: "")
        }
    }
}

enum SecretsFixture {
    static let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    static let lines = [
        "{",
        "  tokens: {",
        "    ingest: ['ingest-token-0001', 'ingest-token-0002'],",
        "    read: ['read-token-000001'],",
        "    operate: ['operate-token-001'],",
        "  },",
        "  digest_key: '\(key)',",
        "  providers: {",
        "    twilio: {",
        "      secrets: ['twilio-secret-0001'],",
        "      shared_keys: { 'SK-1': 'shared-key-000001' },",
        "      accounts: ['AC0123456789abcdef'],",
        "    },",
        "  },",
        "}",
    ]

    static func read(_ lines: [String] = lines) throws(ConfigurationError) -> Secrets {
        let text = lines.joined(separator: "\n")
        return try Secrets(
            reading: ConfigurationFile(path: "etc/secrets.json5", bytes: Array(text.utf8))
        )
    }

    static func findings(_ changes: [Int: String]) -> String {
        var lines = lines
        for (number, text) in changes { lines[number - 1] = text }
        return ConfigurationFixture.findings { () throws(ConfigurationError) in
            _ = try read(lines)
        }
    }
}
