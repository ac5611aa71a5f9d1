import FoundationEssentials
import Glibc
import Providers
import Server
import Testing

@Suite("the file of secrets")
struct ConfigurationSecretsTests {
    @Test("a whole file is read as it stands, with two tokens of a role during a rotation")
    func whole() throws {
        let secrets = try SecretsFixture.read()
        #expect(
            secrets.tokens.ingest.map(\.bytes)
                == ["ingest-token-0001", "ingest-token-0002"].map { Array($0.utf8) }
        )
        #expect(secrets.digestKey.bytes == Array(0..<32))
        #expect(secrets.twilio?.secrets.map(\.bytes) == [Array("twilio-secret-0001".utf8)])
        #expect(secrets.twilio?.sharedKeys.map(\.id) == ["SK-1"])
        #expect(secrets.twilio?.accounts == ["AC0123456789abcdef"])
    }

    @Test("the digest key may be in hex or in base64, and is 32 bytes")
    func digestKey() throws {
        var lines = SecretsFixture.lines
        lines[6] = "  digest_key: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',"
        #expect(try SecretsFixture.read(lines).digestKey.bytes == Array(0..<32))
        for text in ["AAECAwQ=", String(SecretsFixture.key.dropLast(2)), "zz", ""] {
            #expect(
                SecretsFixture.findings([7: "  digest_key: '\(text)',"])
                    == "secrets.json5:7: digest_key: must be 32 bytes in hex or base64"
            )
        }
    }

    @Test("a provider that is not used need not be there")
    func noProvider() throws {
        var lines = SecretsFixture.lines
        lines.replaceSubrange(7..<14, with: [])
        #expect(try SecretsFixture.read(lines).twilio == nil)
    }

    @Test(
        "what is wrong is named with line and field",
        arguments: [
            (
                4, "    read: ['short'],",
                "4: tokens.read[0]: must be 16…512 visible ASCII characters, has 5"
            ),
            (
                4, "    read: ['read token 00000001'],",
                "4: tokens.read[0]: must be 16…512 visible ASCII characters, has 19"
            ),
            (4, "    read: [],", "4: tokens.read: must be a list of 1…2, has 0"),
            (
                4, "    read: ['read-token-000001', 'read-token-000002', 'read-token-000003'],",
                "4: tokens.read: must be a list of 1…2, has 3"
            ),
            (4, "", "2: tokens.read: is missing"),
            (4, "    read: 'read-token-000001',", "4: tokens.read: must be a list, is a string"),
            (7, "  digest_key: 7,", "7: digest_key: must be a string, is a whole number"),
            (
                4, "    read: ['ingest-token-0002'],",
                "4: tokens.read[0]: must not be used twice; it is tokens.ingest[1] too, line 3"
            ),
            (
                10, "      secrets: ['read-token-000001'],",
                "10: providers.twilio.secrets[0]: must not be used twice; it is tokens.read[0] "
                    + "too, line 4"
            ),
            (
                11, "      shared_keys: { 'SK-1': '\(SecretsFixture.key)' },",
                "11: providers.twilio.shared_keys.SK-1: must not be used twice; it is digest_key "
                    + "too, line 7"
            ),
            (
                12, "      acounts: [],",
                "12: providers.twilio.acounts: is not a field; did you mean accounts?"
            ),
            (
                9, "    twillio: {",
                "9: providers.twillio: is not a field; did you mean twilio?"
            ),
        ]
    )
    func refused(line: Int, text: String, finding: String) {
        #expect(SecretsFixture.findings([line: text]) == "secrets.json5:\(finding)")
    }

    @Test("without a shared key a provider needs a secret")
    func noSecret() {
        #expect(
            SecretsFixture.findings([10: "", 11: ""])
                == "secrets.json5:9: providers.twilio.secrets: is missing"
        )
        #expect(SecretsFixture.findings([10: ""]) == "good")
    }

    @Test("no message about a broken file quotes what stands in it")
    func noQuotes() {
        let lines = SecretsFixture.lines
        for number in 1...lines.count {
            for text in [
                lines[number - 1].replacing("'", with: ""),
                lines[number - 1].replacing("-0", with: " 0"),
                lines[number - 1].replacing("['", with: "[{ x: '").replacing("']", with: "' }]"),
                lines[number - 1].replacing("',", with: ","),
                lines[number - 1].replacing("['", with: "'").replacing("']", with: "'"),
            ] where text != lines[number - 1] {
                let findings = SecretsFixture.findings([number: text])
                for word in [
                    "token-0", "token 0", "secret-0", "secret 0", "key-0", "key 0", "0c0d",
                ] {
                    #expect(!findings.contains(word), "line \(number) as \(text)")
                }
            }
        }
    }

    @Test("a secret that stands where a field's name belongs is not quoted either")
    func noNames() {
        let token = "read-token-000001"
        #expect(
            SecretsFixture.findings([4: "    '\(token)': 'read', read: ['another-token-0001'],"])
                == "secrets.json5:4: tokens.<redacted>: is not a field; known here: ingest, "
                + "operate, read"
        )
        for (line, text) in [
            (4, "    '\(token)': ['read'],"),
            (4, "    \(token.replacing("-", with: "_")): 'read', read: ['another-token-0001'],"),
            (4, "    read: ['another-token-0001'], '\(token)': 1, '\(token)': 2,"),
            (7, "  '\(SecretsFixture.key)': 'digest_key',"),
            (10, "      '\(token)': 'secrets',"),
            (11, "      shared_keys: { '\(token)': 'SK-1' },"),
            (11, "      shared_keys: { '\(token)': '\(SecretsFixture.key)' },"),
            (11, "      shared_keys: { '\(token)': ['x'] }, 'x\(token)': { '\(token)': 1 },"),
        ] {
            let findings = SecretsFixture.findings([line: text])
            #expect(findings.contains("secrets.json5:"), "\(text) is taken")
            for word in ["token-0", "token_0", "0c0d"] {
                #expect(!findings.contains(word), "\(findings)")
            }
        }
    }

    @Test("a secret shows nothing, printed, dumped or inside of others")
    func redacted() throws {
        let secrets = try SecretsFixture.read()
        var dumped = ""
        dump(secrets, to: &dumped)
        for text in ["\(secrets)", String(reflecting: secrets), "\(secrets.tokens)", dumped] {
            #expect(!text.contains("token-0"))
            #expect(!text.contains("105, 110, 103"))
            #expect(!text.contains("HMACKey"))
        }
        #expect("\(secrets.digestKey)" == "<redacted>")
        #expect(secrets.description.contains("2 ingest, 1 read"))
    }

    @Test(
        "a file that others may use is refused, and says how to mend it",
        arguments: [
            mode_t(0o640), 0o604, 0o620, 0o602, 0o644,
        ]
    )
    func mode(mode: mode_t) throws {
        let file = try TemporaryFile(SecretsFixture.lines.joined(separator: "\n"))
        try file.setMode(mode)
        let findings = ConfigurationFixture.findings { () throws(ConfigurationError) in
            _ = try Secrets.load(file.path)
        }
        #expect(
            findings
                == "\(file.path): holds secrets but others may use it (mode 0"
                + "\(String(mode, radix: 8))); run: chmod 600 \(file.path)"
        )
        try file.setMode(0o600)
        #expect(try Secrets.load(file.path).digestKey.bytes == Array(0..<32))
    }

    @Test("a file that is not there, or is no file, is named")
    func unreadable() {
        for (path, problem) in [
            ("/nonexistent/secrets.json5", "cannot be opened: no such file"),
            ("/", "is not a regular file"), ("/dev/null", "is not a regular file"),
        ] {
            let findings = ConfigurationFixture.findings { () throws(ConfigurationError) in
                _ = try Secrets.load(path)
            }
            #expect(findings == "\(path): \(problem)")
        }
    }
}

/// A file that goes with its value.
private final class TemporaryFile {
    let path: String

    init(_ text: String) throws {
        let manager = FileManager.default
        path = manager.temporaryDirectory.path + "/verdict-test-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(filePath: path))
        try setMode(0o600)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func setMode(_ mode: mode_t) throws {
        try #require(unsafe chmod(path, mode) == 0)
    }
}
