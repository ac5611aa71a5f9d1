import Providers
import Server
import Testing
import Verification

@Suite("a node's configuration")
struct ConfigurationTests {
    @Test("a whole configuration is read as it stands")
    func whole() throws {
        let configuration = try ConfigurationFixture.read()
        #expect(configuration.cluster == "test")
        #expect(configuration.dataDirectory == "etc/node-1")
        #expect(configuration.secretsFile == "etc/secrets.json5")
        #expect(configuration.http == SocketAddress(host: "127.0.0.1", port: 8101))
        #expect(configuration.publicOrigin.description == "https://verdict.example")
        #expect(configuration.peers.map(\.region) == ["us-east", "eu-west", "ap-south"])
        #expect(configuration.peers[2].address == SocketAddress(host: "c.example", port: 9101))
        #expect(configuration.timers.heartbeat == .milliseconds(50))
        #expect(configuration.timers.requestHold == .milliseconds(9000))
        #expect(configuration.limits.bodyBytes == 2048)
        #expect(configuration.log.format == .json)
        #expect(configuration.log.level == .warning)
        #expect(configuration.journalSegmentBytes == 16 * 1024 * 1024)

        let login = try #require(configuration.flow(named: "login"))
        #expect(login.kind == .code)
        #expect(login.targets == [Target(state: .verified, url: "https://bank.example/ivr/ok")])
        #expect(configuration.flow(named: "app")?.wait == 5)
        #expect(configuration.flow(named: "other") == nil)
    }

    @Test("what is left out has a default, and attempts that name no flow have one")
    func defaults() throws {
        var lines = ConfigurationFixture.lines
        lines.replaceSubrange(14..<27, with: [])
        let configuration = try ConfigurationFixture.read(lines)
        #expect(configuration.timers == .init())
        #expect(configuration.limits == .init())
        #expect(configuration.timers.diskStall == .seconds(2))
        #expect(configuration.journalReserveBytes == 64 * 1024 * 1024)
        #expect(configuration.log == .init())
        #expect(configuration.allowedTargets.prefixes.isEmpty)
        #expect(configuration.flows.map(\.name) == ["default"])
        #expect(configuration.flow(named: nil)?.kind == .code)
    }

    @Test("how long attempts are kept is said to the cluster only where it is configured")
    func retention() throws {
        let unset = try ConfigurationFixture.read().state.retention
        #expect(unset == nil)
        let day: UInt64 = 24 * 60 * 60
        for (fields, days, forgotten) in [
            ("retention_days: 30", 30, nil), ("forget_after_days: 900", 400, 900),
            ("retention_days: 30, forget_after_days: 60", 30, 60),
        ] as [(String, UInt64, UInt64?)] {
            var lines = ConfigurationFixture.lines
            lines.insert("  state: { \(fields) },", at: 1)
            let settings = try ConfigurationFixture.read(lines).state.retention
            #expect(settings?.retentionSeconds == days * day, "\(fields)")
            #expect(settings?.forgetAfterSeconds == forgotten.map { $0 * day }, "\(fields)")
        }
    }

    @Test("a flow's definition for the log has every setting that a decision needs")
    func definition() throws {
        let flow = try #require(ConfigurationFixture.read().flow(named: "login"))
        let definition = flow.definition
        #expect(definition.name == "login")
        #expect(definition.digits == 6)
        #expect(definition.maxTries == 3)
        #expect(definition.graceSeconds == 30)
        #expect(definition.expirySeconds == 600)
        #expect(definition.prompt == flow.prompt)
    }

    @Test(
        "a value that is not allowed is named with file, line, field and what is allowed",
        arguments: [
            (19, "      digits: 0,", "19: flows.login.digits: must be 1…16, is 0"),
            (
                19, "      digits: '6',",
                "19: flows.login.digits: must be a whole number 1…16, is a string"
            ),
            (
                19, "      digits: 6.5,",
                "19: flows.login.digits: must be a whole number 1…16, is a number with a fraction"
            ),
            (
                18, "      kind: 'cod',",
                "18: flows.login.kind: must be one of code, confirm, is \"cod\""
            ),
            (18, "", "17: flows.login.kind: is missing"),
            (
                17, "    'log in': {",
                "17: flows.log in: a flow's name must be 1–64 of A-Z a-z 0-9 . _ : -"
            ),
            (
                3, "  node: 99999999999999999999,",
                "3: node: must be a whole number 1…65535, is a number with a fraction"
            ),
            (2, "  cluster: null,", "2: cluster: must be a string, is null"),
            (5, "", "1: data: is missing"),
            (
                7, "  http: 'localhost:8101',",
                "7: http: must be an IP address and port such as 127.0.0.1:8101, is "
                    + "\"localhost:8101\""
            ),
            (
                9, "  peer: '127.0.0.1:8101',",
                "9: peer: must differ from http, 127.0.0.1:8101"
            ),
            (
                8, "  public: 'https://verdict.example/',",
                "8: public: must be an origin such as https://node.example, without a "
                    + "trailing slash, is \"https://verdict.example/\""
            ),
            (
                15, "  allowed_targets: ['https://bank.example/ivr/', 'bank.example'],",
                "15: allowed_targets[1]: must be a URL such as https://bank.example/ivr/, without "
                    + "a query, is \"bank.example\""
            ),
            (
                20, "      targets: { verified: 'https://bank.example.evil/ivr/ok' },",
                "20: flows.login.targets.verified: is not under any of the allowed targets, is "
                    + "\"https://bank.example.evil/ivr/ok\""
            ),
            (
                20, "      targets: { open: 'https://bank.example/ivr/ok' },",
                "20: flows.login.targets.open: is not a terminal state; they are verified, "
                    + "rejected, abandoned, unreachable, expired, cancelled"
            ),
            (
                24, "  timers: { request_hold_ms: 10001 },",
                "24: timers.request_hold_ms: must be 0…10000, is 10001"
            ),
            (
                24, "  timers: { election_timeout_ms: 150 },",
                "24: timers.election_timeout_ms: election_timeout_ms must be at least twice "
                    + "heartbeat_ms, is 0.15 seconds with a heartbeat of 0.1 seconds"
            ),
            (27, "  journal: 16,", "27: journal: must be an object, is a whole number"),
        ]
    )
    func refused(line: Int, text: String, finding: String) {
        #expect(ConfigurationFixture.findings([line: text]) == "node-1.json5:\(finding)")
    }

    @Test(
        "a name that no field has is an error that names a near one or all that are known",
        arguments: [
            (19, "      digit: 6,", "19: flows.login.digit: is not a field; did you mean digits?"),
            (
                2, "  cluster: 'test', sercets: 1,",
                "2: sercets: is not a field; did you mean secrets?"
            ),
            (
                27, "  journal: { compression: 1 },",
                "27: journal.compression: is not a field; "
                    + "known here: may_move, reserve_mib, segment_mib"
            ),
        ]
    )
    func unknown(line: Int, text: String, finding: String) {
        #expect(ConfigurationFixture.findings([line: text]) == "node-1.json5:\(finding)")
    }

    @Test("every error of a file is reported at once, in the order of its lines")
    func all() {
        let findings = ConfigurationFixture.findings([
            24: "  timers: { heartbeat_ms: 1, commit_inference: 'yes' },",
            3: "  node: 0,",
            19: "      digits: 17, tries: 0,",
            26: "  log: { level: 'loud' },",
        ])
        #expect(
            findings == """
                node-1.json5:3: node: must be 1…65535, is 0
                node-1.json5:19: flows.login.digits: must be 1…16, is 17
                node-1.json5:19: flows.login.tries: must be 1…10, is 0
                node-1.json5:24: timers.heartbeat_ms: must be 5…10000, is 1
                node-1.json5:24: timers.commit_inference: must be true or false, is a string
                node-1.json5:26: log.level: must be one of debug, info, warning, error, is "loud"
                """
        )
    }

    @Test("a field that is given twice is an error, whichever value would win")
    func duplicate() {
        #expect(
            ConfigurationFixture.findings([4: "  region: 'us-east', node: 1,"])
                == "node-1.json5:4: node: is given twice; first on line 3"
        )
    }

    @Test("two nodes may share neither a number nor an address")
    func sharedIdentity() {
        #expect(
            ConfigurationFixture.findings([
                12: "    { node: 1, region: 'x', peer: '10.0.0.2:1', http: '10.0.0.2:2' },"
            ])
                == """
                node-1.json5:12: peers[1].node: must differ between nodes: 1 is peers[0].node too, \
                line 11
                node-1.json5:12: peers[1].region: is this node's, and must be "us-east" as at the \
                top, is "x"
                """
        )
        #expect(
            ConfigurationFixture.findings([
                12: "    { node: 2, region: 'x', peer: '10.0.0.1:9101', http: '10.0.0.2:2' },",
                13: "    { node: 3, region: 'y', peer: '10.0.0.3:1', http: '10.0.0.1:8101' },",
            ])
                == """
                node-1.json5:12: peers[1].peer: must differ between nodes and between peer and \
                http: 10.0.0.1:9101 is peers[0].peer too, line 11
                node-1.json5:13: peers[2].http: must differ between nodes and between peer and \
                http: 10.0.0.1:8101 is peers[0].http too, line 11
                """
        )
    }

    @Test("a node must be among the peers, in the region that it gives itself")
    func missingNode() {
        #expect(
            ConfigurationFixture.findings([3: "  node: 4,"])
                == "node-1.json5:10: peers: must list every node, and lacks this one, 4"
        )
        #expect(
            ConfigurationFixture.findings([4: "  region: 'us-west',"])
                == """
                node-1.json5:11: peers[0].region: is this node's, and must be "us-west" as at the \
                top, is "us-east"
                """
        )
    }

    @Test("the file of a cluster on one machine may be named by an absolute path")
    func absolutePaths() throws {
        var lines = ConfigurationFixture.lines
        lines[4] = "  data: '/var/lib/verdict',"
        #expect(try ConfigurationFixture.read(lines).dataDirectory == "/var/lib/verdict")
    }
}
