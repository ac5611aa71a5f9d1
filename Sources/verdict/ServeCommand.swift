import Glibc
import Server

enum ServeCommand {
    static let command = Command(
        name: "serve",
        summary: "run a node",
        details: """
            Runs until SIGTERM, which hands leadership over, drains and exits. SIGHUP reads the
            secrets again.
            """,
        options: [.init(name: "--config", value: "FILE", help: "the node's configuration")]
    ) { arguments throws(CommandFailure) in
        let status = serve(configurationAt: try arguments.required("--config"))
        // A node's exit status is its own; it need not be one of ours.
        exit(status)
    }
}

enum CheckConfigCommand {
    static let command = Command(
        name: "check-config",
        operands: ["FILE"],
        summary: "say what is wrong with a configuration, with line and field",
        details: """
            Checks a node's configuration and the file of secrets that it names. Prints every
            finding as FILE:LINE: FIELD: PROBLEM and exits 2, or a summary and exits 0.
            """
    ) { arguments throws(CommandFailure) in
        let configuration: NodeConfiguration
        let secrets: Secrets
        do throws(ConfigurationError) {
            configuration = try NodeConfiguration.load(arguments.operands[0])
            secrets = try Secrets.load(configuration.secretsFile)
        } catch {
            Terminal.error("\(error)")
            return .usage
        }
        let twilio = secrets.twilio == nil ? "not set" : "set"
        Terminal.print("\(configuration.summary)\ntwilio   \(twilio)")
        return .done
    }
}
