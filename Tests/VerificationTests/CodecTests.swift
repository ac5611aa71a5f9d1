import Testing
import Verification

/// Every kind of command, with every optional field there and not there.
private func samples() -> [Command] {
    var script = Script()
    let full = Callback(
        attempt: Script.id,
        key: CallbackKey(provider: "twilio", call: "CA5ef8", event: .ended, sequence: 3),
        provider: "twilio",
        call: "CA5ef8",
        event: .ended,
        sequence: .max,
        digits: Script.right,
        status: .noAnswer,
        outcome: .rejected,
        channel: "voice",
        occurredAt: WallTime(milliseconds: .max),
        origin: script.origin(node: .max, region: "ap-süd")
    )
    var bare = full
    bare.call = nil
    bare.sequence = nil
    bare.digits = nil
    bare.status = nil
    bare.outcome = nil
    bare.occurredAt = nil
    let items = (0..<3).map {
        RepeatBatch.Item(
            attempt: Script.attempt("va_\($0)"),
            key: full.key,
            count: UInt32.max - UInt32($0),
            lastAt: WallTime(milliseconds: 5)
        )
    }
    let request = RequestID(node: 1, incarnation: .max, sequence: 128)
    return [
        .tick,
        .settings(RetentionSettings(retentionSeconds: 5, forgetAfterSeconds: nil)),
        .settings(.init(retentionSeconds: 1 << 40, forgetAfterSeconds: 7)),
        .open(script.opening()),
        .open(script.opening(subject: "", expiresIn: .max, challenge: nil, targets: [])),
        .callback(full),
        .callback(bare),
        .defineFlow(Script.code),
        .defineFlow(Script.confirm),
        .repeats(RepeatBatch(request: request, items: items)),
        .repeats(RepeatBatch(request: request, items: [])),
        .readmit(Readmission(node: .max, high: .max, low: 7, request: request)),
        .readmit(
            Readmission(
                node: 3,
                high: 1,
                low: .max,
                replaces: .init(high: .max, low: 2),
                request: request
            )
        ),
        .checkDigest(nil),
        .checkDigest(DigestMark(index: EntryIndex(300), digest: [UInt8](1...32))),
    ]
}

private func encoded(_ command: Command) -> [UInt8] {
    var bytes: [UInt8] = []
    command.encode(into: &bytes)
    return bytes
}

@Suite("commands as bytes")
struct CodecTests {
    @Test("a command decodes to itself, also from the middle of other bytes")
    func roundTrip() throws {
        for command in samples() {
            let bytes = encoded(command)
            #expect(try Command(decoding: bytes) == command)
            let framed = [1, 2, 3] + bytes + [4, 5]
            #expect(try Command(decoding: framed[3..<3 + bytes.count]) == command)
        }
    }

    @Test("a command cut short at any byte is refused")
    func truncation() {
        for command in samples() {
            let bytes = encoded(command)
            for length in 0..<bytes.count {
                #expect(throws: CommandDecodeError.self) {
                    try Command(decoding: bytes[..<length])
                }
            }
        }
    }

    @Test("bytes after a command are refused")
    func trailingBytes() {
        for command in samples() {
            #expect(throws: CommandDecodeError.trailingBytes(1)) {
                try Command(decoding: encoded(command) + [0])
            }
        }
    }

    @Test("what a changed byte leaves is refused, or is the bytes of the command it became")
    func oneEncoding() {
        var accepted = 0
        for command in samples() {
            let bytes = encoded(command)
            for position in bytes.indices {
                for change: UInt8 in [0x01, 0x40, 0x80, 0xFF] {
                    var other = bytes
                    other[position] ^= change
                    guard let decoded = try? Command(decoding: other) else { continue }
                    accepted += 1
                    #expect(encoded(decoded) == other)
                    #expect(decoded != command)
                }
            }
        }
        #expect(accepted > 100)
    }

    @Test("random bytes never trap")
    func garbage() {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Half of them get past the first two bytes.
            if round.isMultiple(of: 2), bytes.count > 1 {
                bytes[0] = Command.formatVersion
                bytes[1] = UInt8.random(in: 1...7, using: &generator)
            }
            if let decoded = try? Command(decoding: bytes) { #expect(encoded(decoded) == bytes) }
        }
    }

    @Test("a length that promises more than there is allocates nothing and is refused")
    func promisedLength() {
        var bytes = encoded(.repeats(RepeatBatch(request: RequestID.zero, items: [])))
        bytes.removeLast()
        bytes += [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        #expect(throws: CommandDecodeError.truncated) { try Command(decoding: bytes) }
    }

    @Test("numbers have one form: a longer one, or one beyond 64 bits, is refused")
    func numbers() {
        let prefix = [Command.formatVersion, 4]
        let rest = [UInt8](repeating: 0, count: 10)
        for number: [UInt8] in [
            [0x81, 0x00], [0x80, 0x80, 0x00],
            [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
            [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        ] {
            #expect(throws: CommandDecodeError.invalid(field: "number")) {
                try Command(decoding: prefix + number + rest)
            }
        }
        // A node is 32 bits.
        #expect(throws: CommandDecodeError.invalid(field: "node")) {
            try Command(decoding: prefix + [0x80, 0x80, 0x80, 0x80, 0x10] + rest)
        }
    }

    @Test("another version, an unknown kind, and too many bytes are each named")
    func named() {
        #expect(throws: CommandDecodeError.unsupportedVersion(2)) {
            try Command(decoding: [2, 5])
        }
        #expect(throws: CommandDecodeError.unknownCommand(99)) { try Command(decoding: [1, 99]) }
        let long = [UInt8](repeating: 1, count: Command.maxEncodedLength + 1)
        #expect(throws: CommandDecodeError.tooLong(long.count)) { try Command(decoding: long) }
    }

    @Test("an attempt ID that is none, and text that is not UTF-8, are refused")
    func invalidFields() {
        var bytes = encoded(.open(samplesOpen()))
        bytes[3] = UInt8(ascii: " ")
        #expect(throws: CommandDecodeError.invalid(field: "attempt")) {
            try Command(decoding: bytes)
        }
        bytes[3] = 0xC3
        #expect(throws: CommandDecodeError.invalid(field: "attempt")) {
            try Command(decoding: bytes)
        }
    }

    @Test("the largest batch of repeats fits into a command")
    func largestBatch() throws {
        let id = Script.attempt(String(repeating: "a", count: Token.maxLength))
        let key = try #require(
            CallbackKey(
                provider: "verdict",
                chosen: String(repeating: "k", count: CallbackKey.maxChosenLength)
            )
        )
        let item = RepeatBatch.Item(
            attempt: id,
            key: key,
            count: .max,
            lastAt: WallTime(milliseconds: .max)
        )
        let items = [RepeatBatch.Item](repeating: item, count: RepeatBatch.maxItems)
        let command = Command.repeats(RepeatBatch(request: .zero, items: items))
        #expect(try Command(decoding: encoded(command)) == command)
    }

    @Test("a flow's canonical bytes tell every field but the digest")
    func canonicalBytes() {
        let flow = Script.code
        var others = [FlowDefinition](repeating: flow, count: 10)
        others[0].name = "other"
        others[1].kind = .confirm
        others[2].prompt = "other"
        others[3].retryPrompt = "other"
        others[4].language = "de-DE"
        others[5].digits = 4
        others[6].maxTries = 4
        others[7].graceSeconds = 4
        others[8].expirySeconds = 4
        others[9].waitSeconds = 4
        #expect(Set((others + [flow]).map(\.canonicalBytes)).count == 11)
        var same = flow
        same.digest = FlowDigest(bytes: [1])
        #expect(same.canonicalBytes == flow.canonicalBytes)
        // Where one text ends and the next begins is told, too.
        var shifted = flow
        shifted.prompt = flow.prompt + "T"
        shifted.retryPrompt = String(flow.retryPrompt.dropFirst())
        #expect(shifted.canonicalBytes != flow.canonicalBytes)
    }

    private func samplesOpen() -> OpenAttempt {
        var script = Script()
        return script.opening()
    }
}

extension RequestID {
    static var zero: RequestID { RequestID(node: 0, incarnation: 0, sequence: 0) }
}
