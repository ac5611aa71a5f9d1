/// The binary form of a command, as an entry of the log carries it.
///
/// A format version, the kind, then the fields in order. A value has one encoding only, so bytes
/// that decode are the bytes that their command encodes to.
extension Command {
    package static let formatVersion: UInt8 = 1
    /// Longest command that is decoded, in bytes.
    package static let maxEncodedLength = 1 << 20

    private enum Kind: UInt8 {
        case open = 1
        case callback = 2
        case defineFlow = 3
        case repeats = 4
        case tick = 5
        case readmit = 6
        case checkDigest = 7
        case settings = 8
        case readmitInPlaceOf = 9
    }

    /// Appends the command's bytes.
    package func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.formatVersion)
        switch self {
        case .open(let open):
            bytes.append(Kind.open.rawValue)
            open.encode(into: &bytes)
        case .callback(let callback):
            bytes.append(Kind.callback.rawValue)
            callback.encode(into: &bytes)
        case .defineFlow(let flow):
            bytes.append(Kind.defineFlow.rawValue)
            bytes.append(counted: flow.digest.bytes)
            flow.encodeDefinition(into: &bytes)
        case .repeats(let batch):
            bytes.append(Kind.repeats.rawValue)
            batch.encode(into: &bytes)
        case .tick:
            bytes.append(Kind.tick.rawValue)
        case .readmit(let readmission):
            let replaces = readmission.replaces
            bytes.append((replaces == nil ? Kind.readmit : .readmitInPlaceOf).rawValue)
            bytes.append(varint: UInt64(readmission.node))
            bytes.append(fixed: readmission.high)
            bytes.append(fixed: readmission.low)
            if let replaces {
                bytes.append(fixed: replaces.high)
                bytes.append(fixed: replaces.low)
            }
            bytes.append(readmission.request)
        case .checkDigest(let mark):
            bytes.append(Kind.checkDigest.rawValue)
            bytes.append(mark == nil ? 0 : 1)
            if let mark {
                bytes.append(varint: mark.index.number)
                bytes.append(contentsOf: mark.digest)
            }
        case .settings(let settings):
            bytes.append(Kind.settings.rawValue)
            settings.encode(into: &bytes)
        }
    }

    package init(decoding bytes: [UInt8]) throws(CommandDecodeError) {
        try self.init(decoding: bytes[...])
    }

    /// Decodes a whole command; bytes from outside throw and never trap.
    package init(decoding bytes: ArraySlice<UInt8>) throws(CommandDecodeError) {
        guard bytes.count <= Self.maxEncodedLength else { throw .tooLong(bytes.count) }
        var reader = ByteReader(bytes)
        let version = try reader.byte()
        guard version == Self.formatVersion else { throw .unsupportedVersion(version) }
        let kind = try reader.byte()
        switch Kind(rawValue: kind) {
        case .open: self = .open(try OpenAttempt(from: &reader))
        case .callback: self = .callback(try Callback(from: &reader))
        case .defineFlow:
            let digest = FlowDigest(bytes: Array(try reader.counted()))
            self = .defineFlow(try FlowDefinition(digest: digest, from: &reader))
        case .repeats: self = .repeats(try RepeatBatch(from: &reader))
        case .tick: self = .tick
        case .readmit: self = .readmit(try Readmission(from: &reader, hasReplaced: false))
        case .readmitInPlaceOf: self = .readmit(try Readmission(from: &reader, hasReplaced: true))
        case .checkDigest:
            switch try reader.byte() {
            case 0: self = .checkDigest(nil)
            case 1:
                let index = EntryIndex(try reader.varint())
                self = .checkDigest(
                    DigestMark(index: index, digest: try reader.bytes(DigestMark.byteCount))
                )
            default: throw .invalid(field: "digest")
            }
        case .settings: self = .settings(try RetentionSettings(from: &reader))
        case nil: throw .unknownCommand(kind)
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
    }
}

extension Command {
    /// Where the ID of the attempt stands that an encoded open or callback names.
    ///
    /// For looking ahead, without decoding: `nil` too if the bytes are no such command.
    package static func attemptID(in bytes: [UInt8]) -> ArraySlice<UInt8>? {
        guard bytes.count > 3, bytes[0] == formatVersion else { return nil }
        let at: Int
        switch Kind(rawValue: bytes[1]) {
        case .open: at = 2
        case .callback: at = 3
        default: return nil
        }
        // An ID has at most 128 bytes, so that its length has one byte, or two for 128.
        var length = Int(bytes[at])
        var start = at + 1
        if length >= 0x80 {
            guard start < bytes.count else { return nil }
            length = length & 0x7f | Int(bytes[start]) << 7
            start += 1
        }
        guard length <= Token.maxLength, length <= bytes.count - start else { return nil }
        return bytes[start..<start + length]
    }

    /// Whether encoded bytes are of a report of repeats, which names many attempts.
    package static func isRepeats(_ bytes: [UInt8]) -> Bool {
        bytes.count > 1 && bytes[0] == formatVersion && bytes[1] == Kind.repeats.rawValue
    }
}

extension OpenAttempt {
    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(text: attempt.text)
        bytes.append(counted: flow.bytes)
        bytes.append(text: subject)
        bytes.append(varint: UInt64(expiresInSeconds))
        bytes.append(challenge == nil ? 0 : 1)
        if let challenge { bytes.append(counted: challenge) }
        bytes.append(maxTries)
        bytes.append(targets)
        bytes.append(varint: UInt64(stated.rawValue))
        bytes.append(origin)
    }

    fileprivate init(from reader: inout ByteReader) throws(CommandDecodeError) {
        let attempt = try reader.attempt()
        let flow = FlowDigest(bytes: Array(try reader.counted()))
        let subject = try reader.text("subject")
        let expiresIn: UInt32 = try reader.number("expires_in")
        let hasChallenge = try reader.byte()
        guard hasChallenge <= 1 else { throw .invalid(field: "challenge") }
        let challenge = hasChallenge == 1 ? Array(try reader.counted()) : nil
        let maxTries = try reader.byte()
        let targets = try reader.targets()
        let stated: UInt16 = try reader.number("stated")
        self.init(
            attempt: attempt,
            flow: flow,
            subject: subject,
            expiresInSeconds: expiresIn,
            challenge: challenge,
            maxTries: maxTries,
            targets: targets,
            stated: Stated(rawValue: stated),
            origin: try reader.origin()
        )
    }
}

extension Callback {
    /// Which of the optional fields follow.
    private struct Presence: OptionSet {
        let rawValue: UInt8
        static let call = Presence(rawValue: 1 << 0)
        static let sequence = Presence(rawValue: 1 << 1)
        static let digits = Presence(rawValue: 1 << 2)
        static let status = Presence(rawValue: 1 << 3)
        static let outcome = Presence(rawValue: 1 << 4)
        static let occurredAt = Presence(rawValue: 1 << 5)
        static let all: Presence = [.call, .sequence, .digits, .status, .outcome, .occurredAt]
    }

    private var presence: Presence {
        var presence: Presence = []
        if call != nil { presence.insert(.call) }
        if sequence != nil { presence.insert(.sequence) }
        if digits != nil { presence.insert(.digits) }
        if status != nil { presence.insert(.status) }
        if outcome != nil { presence.insert(.outcome) }
        if occurredAt != nil { presence.insert(.occurredAt) }
        return presence
    }

    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(presence.rawValue)
        bytes.append(text: attempt.text)
        bytes.append(text: key.text)
        bytes.append(text: provider)
        bytes.append(event.rawValue)
        bytes.append(text: channel)
        if let call { bytes.append(text: call) }
        if let sequence { bytes.append(varint: sequence) }
        if let digits { bytes.append(counted: digits) }
        if let status { bytes.append(status.rawValue) }
        if let outcome { bytes.append(outcome.rawValue) }
        if let occurredAt { bytes.append(fixed: occurredAt.milliseconds) }
        bytes.append(origin)
    }

    fileprivate init(from reader: inout ByteReader) throws(CommandDecodeError) {
        let presence = Presence(rawValue: try reader.byte())
        guard presence.isSubset(of: .all) else { throw .invalid(field: "presence") }
        let attempt = try reader.attempt()
        let key = CallbackKey(logged: try reader.text("key"))
        let provider = try reader.text("provider")
        let event: EventKind = try reader.raw("event")
        let channel = try reader.text("channel")
        let call = presence.contains(.call) ? try reader.text("call") : nil
        let sequence = presence.contains(.sequence) ? try reader.varint() : nil
        let digits = presence.contains(.digits) ? Array(try reader.counted()) : nil
        let status: EndStatus? = presence.contains(.status) ? try reader.raw("status") : nil
        let outcome: ClaimedOutcome? =
            presence.contains(.outcome) ? try reader.raw("outcome") : nil
        let occurredAt = presence.contains(.occurredAt) ? try reader.wallTime() : nil
        self.init(
            attempt: attempt,
            key: key,
            provider: provider,
            call: call,
            event: event,
            sequence: sequence,
            digits: digits,
            status: status,
            outcome: outcome,
            channel: channel,
            occurredAt: occurredAt,
            origin: try reader.origin()
        )
    }
}

extension RepeatBatch {
    /// Most items that a node puts into one batch, so that it stays below the longest command.
    package static let maxItems = 1000

    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(request)
        bytes.append(varint: UInt64(items.count))
        for item in items {
            bytes.append(text: item.attempt.text)
            bytes.append(text: item.key.text)
            bytes.append(varint: UInt64(item.count))
            bytes.append(fixed: item.lastAt.milliseconds)
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(CommandDecodeError) {
        let request = try reader.request()
        let count = try reader.count(ofAtLeast: 12)
        var items: [Item] = []
        items.reserveCapacity(count)
        for _ in 0..<count {
            let attempt = try reader.attempt()
            let key = CallbackKey(logged: try reader.text("key"))
            let count: UInt32 = try reader.number("count")
            items.append(
                Item(attempt: attempt, key: key, count: count, lastAt: try reader.wallTime())
            )
        }
        self.init(request: request, items: items)
    }
}

extension Readmission {
    fileprivate init(
        from reader: inout ByteReader,
        hasReplaced: Bool
    ) throws(CommandDecodeError) {
        node = try reader.number("node")
        high = try reader.fixed()
        low = try reader.fixed()
        if hasReplaced {
            replaces = Directory(high: try reader.fixed(), low: try reader.fixed())
        }
        request = try reader.request()
    }
}
