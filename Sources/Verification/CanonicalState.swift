extension StateMachine {
    /// Hands over the whole state as bytes, in pieces and in an order that depends on the state
    /// alone: two replicas are equal where the concatenated bytes are.
    ///
    /// Takes time in proportion to the state: for comparing replicas in tests and simulation.
    /// Counters take no part; they say what one process has seen.
    package func forEachCanonicalChunk(_ consume: ([UInt8]) -> Void) {
        var bytes: [UInt8] = []
        bytes.append(fixed: appliedIndex.number)
        bytes.append(fixed: time.milliseconds)
        bytes.append(varint: UInt64(reporters.newest.count))
        for request in reporters.newest { bytes.append(request) }
        let sortedFlows = flows.values.map(\.definition).sorted {
            $0.digest.bytes.lexicographicallyPrecedes($1.digest.bytes)
        }
        bytes.append(varint: UInt64(sortedFlows.count))
        for flow in sortedFlows {
            bytes.append(counted: flow.digest.bytes)
            flow.encodeDefinition(into: &bytes)
        }
        bytes.append(varint: UInt64(attempts.count))
        consume(bytes)
        var order: [(id: AttemptID, position: Int)] = []
        order.reserveCapacity(attempts.count)
        for position in 0..<attempts.count { order.append((attempts[position].id, position)) }
        order.sort { $0.id < $1.id }
        for (_, position) in order {
            bytes.removeAll(keepingCapacity: true)
            attempts[position].appendCanonical(to: &bytes)
            consume(bytes)
        }
    }
}

extension AttemptRecord {
    fileprivate func appendCanonical(to bytes: inout [UInt8]) {
        bytes.append(text: id.text)
        bytes.append(counted: flow.definition.digest.bytes)
        bytes.append(text: subject)
        bytes.append(varint: UInt64(expiresInSeconds))
        bytes.append(optional: challenge) { $0.append(counted: $1) }
        bytes.append(varint: UInt64(stated.rawValue))
        bytes.append(maxTries)
        bytes.append(targets)
        bytes.append(opened)
        bytes.append(fixed: expiresAt.milliseconds)
        bytes.append(origin)
        bytes.append(openRepeats)
        bytes.append(state.rawValue)
        bytes.append(triesUsed)
        bytes.append(holdsUnjudgedDigits ? 1 : 0)
        bytes.append(varint: movedIndex.number)
        bytes.append(optional: graceEnds) { $0.append(fixed: $1.milliseconds) }
        bytes.append(varint: UInt64(lastEnded))
        bytes.append(optional: verdict) {
            $0.append($1.moment)
            $0.append(optional: $1.callback) { $0.append(varint: UInt64($1)) }
        }
        bytes.append(varint: UInt64(self.bytes))
        for count in [
            counts.callbacks, counts.repeated, counts.mismatched, counts.late,
            counts.contradicted, counts.stale,
        ] {
            bytes.append(varint: count)
        }
        bytes.append(varint: UInt64(calls.count))
        for call in calls { call.appendCanonical(to: &bytes) }
        bytes.append(varint: UInt64(callbacks.count))
        for callback in callbacks { callback.appendCanonical(to: &bytes) }
    }
}

extension CallRecord {
    fileprivate func appendCanonical(to bytes: inout [UInt8]) {
        bytes.append(optional: id) { $0.append(text: $1) }
        bytes.append(progress.rawValue)
        bytes.append(wasAnswered ? 1 : 0)
        bytes.append(optional: status) { $0.append($1.rawValue) }
        bytes.append(optional: sequence) { $0.append(varint: $1) }
    }
}

extension CallbackRecord {
    fileprivate func appendCanonical(to bytes: inout [UInt8]) {
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
