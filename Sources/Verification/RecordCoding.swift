/// The binary form of an attempt: as a run of the state store holds it, and, for comparing replicas,
/// as canonical bytes.
///
/// A format version, the form (0 full, 1 compact), ordinal, state and time of the decision in front, so
/// that whoever copies records sees what has become of them; then the fields in order.
extension AttemptRecord {
    static let formatVersion: UInt8 = 1

    private enum Form: UInt8 {
        case full = 0
        case compact = 1
    }

    /// Appends the record's bytes.
    func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.formatVersion)
        bytes.append((isCompact ? Form.compact : .full).rawValue)
        bytes.append(varint: ordinal)
        bytes.append(state.rawValue)
        if let verdict { bytes.append(fixed: verdict.moment.time.milliseconds) }
        bytes.append(text: id.text)
        bytes.append(varint: UInt64(flow.number))
        if let verdict { bytes.append(varint: verdict.moment.index.number) }
        bytes.append(targets)
        if !isCompact { encodeDetails(into: &bytes) }
    }

    private func encodeDetails(into bytes: inout [UInt8]) {
        bytes.append(text: subject)
        bytes.append(varint: UInt64(expiresInSeconds))
        bytes.append(optional: challenge) { $0.append(counted: $1) }
        bytes.append(varint: UInt64(stated.rawValue))
        bytes.append(maxTries)
        bytes.append(opened)
        bytes.append(fixed: expiresAt.milliseconds)
        bytes.append(origin)
        bytes.append(openRepeats)
        bytes.append(triesUsed)
        bytes.append(holdsUnjudgedDigits ? 1 : 0)
        bytes.append(varint: movedIndex.number)
        bytes.append(optional: graceEnds) { $0.append(fixed: $1.milliseconds) }
        bytes.append(varint: UInt64(lastEnded))
        bytes.append(optional: verdict?.callback) { $0.append(varint: UInt64($1)) }
        bytes.append(varint: UInt64(self.bytes))
        for count in [
            counts.callbacks, counts.repeated, counts.mismatched, counts.late,
            counts.contradicted, counts.stale,
        ] {
            bytes.append(varint: count)
        }
        bytes.append(varint: UInt64(calls.count))
        for at in calls.indices { calls[at].encode(into: &bytes) }
        bytes.append(varint: UInt64(callbacks.count))
        // In place: a callback that is copied has all its texts counted.
        for at in callbacks.indices { callbacks[at].encode(into: &bytes) }
    }

    /// Decodes a whole record.
    ///
    /// - Parameters:
    ///   - bytes: what `encode` wrote, of this or an earlier version.
    ///   - flows: by their numbers.
    /// - Throws: `CommandDecodeError` if the bytes are no record of this version.
    init(
        decoding bytes: ArraySlice<UInt8>,
        flows: [FlowReference]
    ) throws(CommandDecodeError) {
        var reader = ByteReader(bytes)
        let version = try reader.byte()
        guard version == Self.formatVersion else { throw .unsupportedVersion(version) }
        let form: Form = try reader.raw("form")
        let ordinal = try reader.varint()
        let state: AttemptState = try reader.raw("state")
        let decidedAt =
            state.isTerminal ? LogTime(milliseconds: try reader.fixed()) : nil
        let id = try reader.attempt()
        let flow: Int = try reader.number("flow")
        guard flow < flows.count else { throw .invalid(field: "flow") }
        var moment: Moment?
        if let decidedAt {
            moment = Moment(index: EntryIndex(try reader.varint()), time: decidedAt)
        }
        let targets = try reader.targets()
        switch form {
        case .full:
            self = try AttemptRecord(
                id: id,
                ordinal: ordinal,
                flow: flows[flow],
                state: state,
                decided: moment,
                targets: targets,
                detailsFrom: &reader
            )
        case .compact:
            guard let moment else { throw .invalid(field: "state") }
            self = AttemptRecord(
                id: id,
                ordinal: ordinal,
                flow: flows[flow],
                state: state,
                decided: moment,
                targets: targets
            )
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
    }

    /// What is left of an attempt whose retention time is over.
    private init(
        id: AttemptID,
        ordinal: UInt64,
        flow: FlowReference,
        state: AttemptState,
        decided: Moment,
        targets: [Target]
    ) {
        self.init(
            OpenAttempt(
                attempt: id,
                flow: flow.definition.digest,
                subject: "",
                expiresInSeconds: 0,
                challenge: nil,
                maxTries: 0,
                targets: targets,
                origin: .none
            ),
            ordinal: ordinal,
            flow: flow,
            at: Moment(index: EntryIndex(0), time: LogTime(milliseconds: 0))
        )
        self.state = state
        verdict = Verdict(moment: decided, callback: nil)
        movedIndex = decided.index
        bytes = 0
        isCompact = true
    }

    private init(
        id: AttemptID,
        ordinal: UInt64,
        flow: FlowReference,
        state: AttemptState,
        decided: Moment?,
        targets: [Target],
        detailsFrom reader: inout ByteReader
    ) throws(CommandDecodeError) {
        self.id = id
        self.ordinal = ordinal
        self.flow = flow
        self.state = state
        self.targets = targets
        subject = try reader.text("subject")
        expiresInSeconds = try reader.number("expires_in")
        challenge = try reader.flag("challenge") ? Array(try reader.counted()) : nil
        stated = OpenAttempt.Stated(rawValue: try reader.number("stated"))
        maxTries = try reader.byte()
        opened = try reader.moment()
        expiresAt = LogTime(milliseconds: try reader.fixed())
        origin = try reader.origin()
        openRepeats = try reader.repeats()
        triesUsed = try reader.byte()
        holdsUnjudgedDigits = try reader.flag("digits held")
        movedIndex = EntryIndex(try reader.varint())
        graceEnds =
            try reader.flag("grace") ? LogTime(milliseconds: try reader.fixed()) : nil
        lastEnded = try reader.number("last call")
        let deciding: Int? =
            try reader.flag("deciding callback") ? try reader.number("deciding callback") : nil
        verdict = decided.map { Verdict(moment: $0, callback: deciding) }
        bytes = try reader.number("bytes")
        counts.callbacks = try reader.varint()
        counts.repeated = try reader.varint()
        counts.mismatched = try reader.varint()
        counts.late = try reader.varint()
        counts.contradicted = try reader.varint()
        counts.stale = try reader.varint()
        let callCount = try reader.count(ofAtLeast: 5)
        calls.reserveCapacity(callCount)
        for _ in 0..<callCount { calls.append(try CallRecord(from: &reader)) }
        let lineCount = try reader.count(ofAtLeast: 30)
        callbacks.reserveCapacity(lineCount)
        for _ in 0..<lineCount { callbacks.append(try CallbackRecord(from: &reader)) }
        guard deciding.map({ $0 < lineCount }) ?? true,
            lastEnded < max(1, callCount) || state.isTerminal
        else { throw .invalid(field: "callbacks") }
    }

    /// When the attempt of an encoded record was decided; `nil` if it is open, or the bytes are none.
    static func decidedAt(in bytes: ArraySlice<UInt8>) -> (at: LogTime, isCompact: Bool)? {
        var reader = ByteReader(bytes)
        do {
            guard try reader.byte() == formatVersion else { return nil }
            let form: Form = try reader.raw("form")
            _ = try reader.varint()
            let state: AttemptState = try reader.raw("state")
            guard state.isTerminal else { return nil }
            return (LogTime(milliseconds: try reader.fixed()), form == .compact)
        } catch {
            return nil
        }
    }

    /// Stands in freed places.
    static let placeholder: AttemptRecord = {
        guard let id = AttemptID("-") else { fatalError("invariant broken: no placeholder") }
        return AttemptRecord(
            id: id,
            ordinal: 0,
            flow: FlowReference(
                FlowDefinition(
                    name: "",
                    kind: .code,
                    prompt: "",
                    retryPrompt: "",
                    language: "",
                    digits: 0,
                    maxTries: 0,
                    graceSeconds: 0,
                    expirySeconds: 0,
                    waitSeconds: 0
                ),
                number: 0
            ),
            state: .cancelled,
            decided: Moment(index: EntryIndex(0), time: LogTime(milliseconds: 0)),
            targets: []
        )
    }()
}

extension CallRecord {
    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(optional: id) { $0.append(text: $1) }
        bytes.append(progress.rawValue)
        bytes.append(wasAnswered ? 1 : 0)
        bytes.append(optional: status) { $0.append($1.rawValue) }
        bytes.append(optional: sequence) { $0.append(varint: $1) }
    }

    fileprivate init(from reader: inout ByteReader) throws(CommandDecodeError) {
        id = try reader.flag("call") ? try reader.text("call") : nil
        progress = try reader.raw("progress")
        wasAnswered = try reader.flag("answered")
        status = try reader.flag("status") ? try reader.raw("status") : nil
        sequence = try reader.flag("sequence") ? try reader.varint() : nil
    }
}

extension CallbackRecord {
    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(text: key.text)
        bytes.append(text: provider)
        bytes.append(optional: call) { $0.append(text: $1) }
        bytes.append(text: channel)
        bytes.append(optional: digits) { $0.append(counted: $1) }
        bytes.append(optional: sequence) { $0.append(varint: $1) }
        bytes.append(event.rawValue)
        bytes.append(optional: status) { $0.append($1.rawValue) }
        bytes.append(optional: outcome) { $0.append($1.rawValue) }
        bytes.append(optional: occurredAt) { $0.append(fixed: $1.milliseconds) }
        bytes.append(origin)
        bytes.append(Moment(index: index, time: at))
        bytes.append(disposition.rawValue)
        bytes.append(differs.rawValue)
        bytes.append(reply.rawValue)
        bytes.append(triesUsed)
        bytes.append(repeats)
    }

    fileprivate init(from reader: inout ByteReader) throws(CommandDecodeError) {
        key = CallbackKey(logged: try reader.text("key"))
        provider = try reader.text("provider")
        call = try reader.flag("call") ? try reader.text("call") : nil
        channel = try reader.text("channel")
        digits = try reader.flag("digits") ? Array(try reader.counted()) : nil
        sequence = try reader.flag("sequence") ? try reader.varint() : nil
        event = try reader.raw("event")
        status = try reader.flag("status") ? try reader.raw("status") : nil
        outcome = try reader.flag("outcome") ? try reader.raw("outcome") : nil
        occurredAt = try reader.flag("occurred_at") ? try reader.wallTime() : nil
        origin = try reader.origin()
        let moment = try reader.moment()
        index = moment.index
        at = moment.time
        disposition = try reader.raw("disposition")
        differs = MeaningFields(rawValue: try reader.byte())
        reply = try reader.raw("reply")
        triesUsed = try reader.byte()
        repeats = try reader.repeats()
    }
}

extension ByteReader {
    mutating func flag(_ field: String) throws(CommandDecodeError) -> Bool {
        let byte = try byte()
        guard byte <= 1 else { throw .invalid(field: field) }
        return byte == 1
    }

    fileprivate mutating func moment() throws(CommandDecodeError) -> Moment {
        let index = EntryIndex(try varint())
        return Moment(index: index, time: LogTime(milliseconds: try fixed()))
    }

    fileprivate mutating func repeats() throws(CommandDecodeError) -> RepeatCount {
        let count = try varint()
        let lastAt = try flag("last repeat") ? try wallTime() : nil
        var requests: [RequestID] = []
        for _ in 0..<(try self.count(ofAtLeast: 10)) { requests.append(try request()) }
        guard requests.count <= RepeatCount.maxRequests else { throw .invalid(field: "repeats") }
        return RepeatCount(count: count, lastAt: lastAt, requests: requests)
    }
}

extension [UInt8] {
    fileprivate mutating func append<Value>(
        optional value: Value?,
        _ encode: (inout [UInt8], Value) -> Void
    ) {
        append(value == nil ? 0 : 1)
        if let value { encode(&self, value) }
    }

    fileprivate mutating func append(_ moment: Moment) {
        append(varint: moment.index.number)
        append(fixed: moment.time.milliseconds)
    }

    fileprivate mutating func append(_ repeats: RepeatCount) {
        append(varint: repeats.count)
        append(optional: repeats.lastAt) { $0.append(fixed: $1.milliseconds) }
        append(varint: UInt64(repeats.requests.count))
        for request in repeats.requests { append(request) }
    }
}
