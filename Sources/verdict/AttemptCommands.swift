import HTTP

/// Open, read and reconstruct attempts.
enum AttemptCommands {
    static let all = [open, show, timeline]

    private static let local = Command.Option(
        name: "--local",
        help: "as the node has it, without asking the leader; may be out of date"
    )

    private static let open = Command(
        name: "attempt open",
        operands: ["ID"],
        summary: "open an attempt",
        details: """
            The same again changes nothing and exits 0; an attempt of that ID with another meaning
            exits 1.
            """,
        options: [
            .init(name: "--flow", value: "NAME", help: "a flow of the configuration"),
            .init(name: "--subject", value: "TEXT", help: "who is verified, in the caller's terms"),
            .init(
                name: "--digits",
                value: "DIGITS",
                help: "the code to be keyed in; - reads it from standard input"
            ),
            .init(name: "--max-tries", value: "N", help: "tries, instead of the flow's"),
            .init(name: "--expires-in", value: "SECONDS", help: "instead of the flow's"),
            .init(
                name: "--target",
                value: "STATE=URL",
                help: "where the call goes then; may be repeated",
                isRepeatable: true
            ),
            .json,
        ] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let client = try ClusterClient(arguments)
        var body = OpenBody(
            flow: arguments.value("--flow"),
            subject: arguments.value("--subject"),
            expires_in: try arguments.integer("--expires-in", 1...31_536_000)
        )
        let tries = try arguments.integer("--max-tries", 1...255)
        if let text = arguments.value("--digits") {
            guard let digits = text == "-" ? readLine(strippingNewline: true) : text else {
                throw arguments.failure("--digits - needs a line on standard input")
            }
            body.challenge = .init(digits: digits, max_tries: tries)
        } else if tries != nil {
            throw arguments.failure("--max-tries needs --digits")
        }
        for text in arguments.all("--target") {
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else {
                throw arguments.failure("--target must be STATE=URL, is \"\(text)\"")
            }
            body.targets = body.targets ?? [:]
            body.targets?[String(parts[0])] = String(parts[1])
        }
        let reply = try client.send(
            "PUT",
            try path(arguments),
            token: client.file.tokens.ingest,
            body: try JSON.encode(body)
        )
        return try finish(reply, arguments) { (attempt: Attempt) in
            (reply.status == 201 ? "opened\n" : "was open already\n") + attempt.table
        }
    }

    private static let show = Command(
        name: "attempt show",
        operands: ["ID"],
        summary: "show an attempt",
        details: "Exits 1 if there is none of that ID.",
        options: [local, .json] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let client = try ClusterClient(arguments)
        let reply = try client.send(
            "GET",
            try path(arguments, consistency(arguments)),
            token: client.file.tokens.read
        )
        return try finish(reply, arguments) { (attempt: Attempt) in attempt.table }
    }

    private static let timeline = Command(
        name: "attempt timeline",
        operands: ["ID"],
        summary: "everything that is recorded for an attempt, in log order",
        details: """
            Times are the log's; where a node received a callback more than a second before or after, its time of
            receipt stands beside. Exits 1 if there is none of that ID.
            """,
        options: [local, .json] + ClusterClient.options
    ) { arguments throws(CommandFailure) in
        let client = try ClusterClient(arguments)
        let reply = try client.send(
            "GET",
            try path(arguments, "/timeline" + consistency(arguments)),
            token: client.file.tokens.read
        )
        return try finish(reply, arguments) { (timeline: Timeline) in timeline.table }
    }

    private static func consistency(_ arguments: Arguments) -> String {
        arguments.has("--local") ? "?consistency=local" : ""
    }

    /// The attempt's path; its ID is checked here, since it becomes a part of a URL.
    private static func path(
        _ arguments: Arguments,
        _ suffix: String = ""
    ) throws(CommandFailure) -> String {
        let id = arguments.operands[0]
        let isToken = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: ":"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isToken, (1...128).contains(id.utf8.count) else {
            throw arguments.failure("ID must be 1–128 characters of A-Z a-z 0-9 . _ : -")
        }
        return "/v1/attempts/\(id)\(suffix)"
    }

    /// Prints a reply as it came, or as `show` words it; an error of the cluster is a no.
    private static func finish<Body: Decodable>(
        _ reply: Response,
        _ arguments: Arguments,
        show: (Body) -> String
    ) throws(CommandFailure) -> ExitStatus {
        let isGood = (200..<300).contains(reply.status)
        if arguments.has("--json") {
            Terminal.print(String(decoding: reply.body, as: UTF8.self))
            return isGood ? .done : .no
        }
        guard isGood else { throw CommandFailure(.no, ClusterClient.problem(of: reply)) }
        guard let body: Body = JSON.decode(reply.body) else {
            throw CommandFailure(.unreachable, "the cluster's answer cannot be read")
        }
        Terminal.print(show(body))
        return .done
    }
}

/// The body that opens an attempt.
struct OpenBody: Encodable, Sendable {
    struct Challenge: Encodable, Sendable {
        var digits: String
        var max_tries: Int?
    }
    var flow: String?
    var subject: String?
    var expires_in: Int?
    var challenge: Challenge?
    var targets: [String: String]?
}
