extension StateMachine {
    /// Hands over the whole state as bytes, in pieces and in an order that depends on the state
    /// alone: two replicas are equal where the concatenated bytes are.
    ///
    /// Takes time in proportion to the state: for comparing replicas in tests and simulation.
    /// Counters and the digest take no part; they say what came, not only what it left. Nor does it show which attempts are
    /// in memory, or which bytes were dropped of those whose retention time is over.
    ///
    /// - Parameters:
    ///   - read: reads a record that is not in memory.
    ///   - known: what was decoded before, of the same log.
    ///   - consume: gets the pieces.
    package func forEachCanonicalChunk(
        reading read: (RecordPlace) -> [UInt8],
        remembering known: inout CanonicalRecords,
        _ consume: ([UInt8]) -> Void
    ) {
        consume(canonicalHead)
        var records: [(id: AttemptID, bytes: [UInt8])] = []
        records.reserveCapacity(attempts.count + settled.count)
        for position in 0..<attempts.end {
            let residence = attempts.residences[position]
            guard !residence.isFree, !residence.isDetached else { continue }
            if let record = canonical(attempts[position]) { records.append(record) }
        }
        settled.forEachUnloaded { place in
            let stored = read(place)
            do {
                let record = try known.record(stored, flows: flowList)
                guard !retention.isForgotten(record.value) else { return }
                // Only its form without details is another one than that which is stored.
                if retention.isCompact(record.value) {
                    if let record = canonical(record.value) { records.append(record) }
                } else {
                    records.append((record.value.id, record.bytes))
                }
            } catch {
                fatalError("invariant broken: a record that was read does not decode: \(error)")
            }
        }
        records.sort { $0.id < $1.id }
        for record in records { consume(record.bytes) }
    }

    /// The same where all attempts are in memory.
    package func forEachCanonicalChunk(_ consume: ([UInt8]) -> Void) {
        var known = CanonicalRecords()
        forEachCanonicalChunk(
            reading: { place in
                guard let read = paging.reader else {
                    fatalError("invariant broken: the state is compared and not all of it loaded")
                }
                return read(place)
            },
            remembering: &known,
            consume
        )
    }

    func canonical(_ record: AttemptRecord) -> (AttemptID, [UInt8])? {
        guard !retention.isForgotten(record) else { return nil }
        var record = record
        if retention.isCompact(record) { record.dropDetails() }
        var bytes: [UInt8] = []
        record.encode(into: &bytes)
        return (record.id, bytes)
    }

    var canonicalHead: [UInt8] {
        var bytes: [UInt8] = []
        encodeHead(isForManifest: false, into: &bytes)
        return bytes
    }
}

/// All of the state but the attempts, as a checkpoint's manifest holds it.
extension StateMachine {
    private static let headVersion: UInt8 = 1

    /// All that `init(restoring:)` needs.
    package func encodeHead() -> [UInt8] {
        var bytes: [UInt8] = []
        encodeHead(isForManifest: true, into: &bytes)
        return bytes
    }

    private func encodeHead(isForManifest: Bool, into bytes: inout [UInt8]) {
        bytes.append(Self.headVersion)
        bytes.append(fixed: appliedIndex.number)
        bytes.append(fixed: time.milliseconds)
        retention.settings.encode(into: &bytes)
        bytes.append(fixed: retention.detailsMark.milliseconds)
        bytes.append(fixed: retention.forgetMark.milliseconds)
        bytes.append(varint: openedCount)
        bytes.append(varint: UInt64(reporters.newest.count))
        for request in reporters.newest { bytes.append(request) }
        bytes.append(varint: UInt64(flowList.count))
        for flow in flowList {
            bytes.append(counted: flow.definition.digest.bytes)
            flow.definition.encodeDefinition(into: &bytes)
        }
        bytes.append(varint: UInt64(readmissions.count))
        for admission in readmissions {
            bytes.append(varint: UInt64(admission.readmission.node))
            bytes.append(fixed: admission.readmission.high)
            bytes.append(fixed: admission.readmission.low)
            bytes.append(admission.readmission.request)
            bytes.append(varint: admission.index.number)
        }
        guard isForManifest else { return }
        var digest: [UInt8] = []
        self.digest.save(into: &digest)
        bytes.append(counted: digest)
        bytes.append(mismatch == nil ? 0 : 1)
        if let mismatch {
            bytes.append(varint: mismatch.at.number)
            bytes.append(varint: mismatch.agreed.index.number)
            bytes.append(contentsOf: mismatch.agreed.digest)
            bytes.append(contentsOf: mismatch.own)
        }
        bytes.append(varint: UInt64(counters.rows.count))
        for row in counters.rows {
            bytes.append(varint: UInt64(row.count))
            for value in row { bytes.append(varint: value) }
        }
    }

    /// The state as a checkpoint has it, its attempts not loaded yet: `place` tells of each.
    package init(
        restoring head: [UInt8],
        limits: VerificationLimits,
        hash: AttemptHash
    ) throws(CommandDecodeError) {
        self.init(limits: limits, hash: hash)
        var reader = ByteReader(head[...])
        let version = try reader.byte()
        guard version == Self.headVersion else { throw .unsupportedVersion(version) }
        appliedIndex = EntryIndex(try reader.fixed())
        time = LogTime(milliseconds: try reader.fixed())
        retention.settings = try RetentionSettings(from: &reader)
        retention.detailsMark = LogTime(milliseconds: try reader.fixed())
        retention.forgetMark = LogTime(milliseconds: try reader.fixed())
        paging.durable = retention
        openedCount = try reader.varint()
        var newest: [RequestID] = []
        for _ in 0..<(try reader.count(ofAtLeast: 10)) { newest.append(try reader.request()) }
        reporters = RepeatReporters(newest: newest)
        for _ in 0..<(try reader.count(ofAtLeast: 10)) {
            let digest = FlowDigest(bytes: Array(try reader.counted()))
            define(try FlowDefinition(digest: digest, from: &reader))
        }
        for _ in 0..<(try reader.count(ofAtLeast: 19)) {
            let node: UInt32 = try reader.number("node")
            let high = try reader.fixed()
            let low = try reader.fixed()
            let request = try reader.request()
            readmissions.append(
                Admission(
                    Readmission(node: node, high: high, low: low, request: request),
                    index: EntryIndex(try reader.varint())
                )
            )
        }
        digest = try StateDigest(saved: Array(try reader.counted()))
        switch try reader.byte() {
        case 0: break
        case 1:
            let at = EntryIndex(try reader.varint())
            let agreed = DigestMark(
                index: EntryIndex(try reader.varint()),
                digest: try reader.bytes(DigestMark.byteCount)
            )
            mismatch = DigestMismatch(
                at: at,
                agreed: agreed,
                own: try reader.bytes(DigestMark.byteCount)
            )
        default: throw .invalid(field: "mismatch")
        }
        var rows: [[UInt64]] = []
        for _ in 0..<(try reader.count(ofAtLeast: 1)) {
            var row: [UInt64] = []
            for _ in 0..<(try reader.count(ofAtLeast: 1)) { row.append(try reader.varint()) }
            rows.append(row)
        }
        counters.restore(rows)
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
    }

    /// Makes room for the places of so many attempts.
    package mutating func reservePlaces(_ count: Int) { settled.reserve(count) }

    /// An attempt's newest durable version lies here; open ones have to be loaded before anything is
    /// applied.
    package mutating func place(_ place: RecordPlace) { settled.insertUnloaded(place) }
}

/// What records were decoded before, for whoever compares whole states of one log over and over.
///
/// A record is known by all of its bytes: what a disk gives instead of them is another one.
package struct CanonicalRecords {
    final class Known: Sendable {
        let value: AttemptRecord
        /// As it is encoded now, whichever version it was stored in.
        let bytes: [UInt8]

        init(_ value: AttemptRecord) {
            self.value = value
            var bytes: [UInt8] = []
            value.encode(into: &bytes)
            self.bytes = bytes
        }
    }

    /// Bytes of which a sample is hashed: two versions of a record seldom differ in few of them.
    private struct Stored: Hashable {
        var bytes: [UInt8]

        func hash(into hasher: inout Hasher) {
            var sample = UInt64(bytes.count)
            for at in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 64)) {
                sample = (sample ^ UInt64(bytes[at])) &* 0x100_0000_01b3
            }
            hasher.combine(sample)
        }
    }

    private var known: [Stored: Known] = [:]

    package init() {}

    mutating func record(
        _ stored: [UInt8],
        flows: [FlowReference]
    ) throws(CommandDecodeError) -> Known {
        if let record = known[Stored(bytes: stored)] { return record }
        let record = Known(try AttemptRecord(decoding: stored[...], flows: flows))
        known[Stored(bytes: stored)] = record
        return record
    }
}
