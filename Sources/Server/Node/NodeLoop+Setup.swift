import Digest
import HTTP
import Providers
import Reactor
import Verification

extension NodeLoop {
    /// Gives each flow its digest, by which the log names its definition.
    static func prepare(_ settings: [FlowSettings]) -> [String: ConfiguredFlow] {
        var flows: [String: ConfiguredFlow] = [:]
        for flow in settings {
            var definition = flow.definition
            definition.digest = FlowDigest(bytes: SHA256.hash(of: definition.canonicalBytes))
            flows[flow.name] = ConfiguredFlow(definition: definition, targets: flow.targets)
        }
        return flows
    }

    /// Descriptors that are never given to HTTP clients: the journal, without which the node stops,
    /// has some 64 open, as has the state, the peer port up to 256, and the rest is for links and the loop itself.
    private static let reservedDescriptors = 384

    /// HTTP connections that may be open at once; where descriptors are few, a quarter of them.
    static func connectionLimit(configured: Int, descriptors: Int) -> Int {
        let free = max(descriptors - reservedDescriptors, descriptors / 4)
        return max(1, min(configured, free))
    }

    static func makeBodyReader(
        _ configuration: NodeConfiguration,
        _ flows: [String: ConfiguredFlow],
        _ secrets: Secrets
    ) -> BodyReader {
        let key = HMACKey(algorithm: .sha256, key: secrets.digestKey.bytes)
        let allowed = configuration.allowedTargets
        return BodyReader(
            flow: { flows[$0 ?? FlowSettings.unnamed] },
            allowsTarget: { allowed.refusal(of: $0) == nil },
            digest: { digest($1, of: $0, key) }
        )
    }

    /// What stands for digits everywhere but where they arrive: the attempt is in it, so that equal
    /// digits of two attempts look different.
    static func digest(_ digits: [UInt8], of attempt: AttemptID, _ key: HMACKey) -> [UInt8] {
        var text = Array(attempt.text.utf8)
        text.append(0)
        text.append(contentsOf: digits)
        return key.authenticate(text)
    }

    /// The platform of that name, if its secrets are configured.
    func provider(named name: String) -> Provider? {
        guard name == TwilioProvider.name, let twilio = secrets.twilio else { return nil }
        return .twilio(twilio.provider)
    }

    func takeSignals() {
        while let signal = signals.next() {
            switch signal {
            case SignalSource.hangUp: reloadSecrets()
            default: beginStopping(signal)
            }
        }
    }

    /// Reads the secrets again; bad ones are refused whole and the old ones stay.
    private func reloadSecrets() {
        do throws(ConfigurationError) {
            let fresh = try Secrets.load(configuration.secretsFile)
            guard fresh.digestKey.bytes == secrets.digestKey.bytes else {
                log.error(
                    "node",
                    "secrets not reloaded: digest_key differs, which would orphan open challenges"
                )
                return
            }
            secrets = fresh
            authorizer = Authorizer(fresh)
            log.info("node", "secrets reloaded", ["held": .text("\(fresh)")])
        } catch {
            log.error(
                "node",
                "secrets not reloaded; the old ones stay in use",
                ["error": .text("\(error)")]
            )
        }
    }
}

extension Authorizer {
    init(_ secrets: Secrets) {
        self.init(
            ingest: secrets.tokens.ingest.map(\.bytes),
            read: secrets.tokens.read.map(\.bytes),
            operate: secrets.tokens.operate.map(\.bytes)
        )
    }
}
