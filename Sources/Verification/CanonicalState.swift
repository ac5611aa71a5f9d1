extension StateMachine {
    /// Sums the whole state up: two replicas are equal where the sums are, but for a collision of 64 bits.
    ///
    /// Takes time in proportion to the state: for comparing replicas in simulation. It stands for what
    /// ``forEachCanonicalChunk(_:)`` hands over, but the attempts' order.
    ///
    /// - Parameters:
    ///   - version: of the bytes at a place, which another number stands for as soon as they change.
    ///   - read: reads a record that is not in memory.
    ///   - known: what was decoded before, of the same log.
    /// - Returns: the sum.
    package func canonicalFingerprint(
        version: (RecordPlace) -> UInt64,
        reading read: (RecordPlace) -> [UInt8],
        remembering known: inout CanonicalRecords
    ) -> UInt64 {
        var buffer = canonicalHead
        var fingerprint = CanonicalRecords.fingerprint(of: buffer)
        for position in 0..<attempts.end {
            let residence = attempts.residences[position]
            guard !residence.isFree, !residence.isDetached else { continue }
            buffer.removeAll(keepingCapacity: true)
            guard encodeCanonical(attempts[position], into: &buffer) else { continue }
            fingerprint &+= CanonicalRecords.fingerprint(of: buffer)
        }
        settled.forEachUnloaded { place in
            let record = decoded(at: place, version, read, &known)
            guard !retention.isForgotten(record.value) else { return }
            // Only its form without details is another one than that which is stored.
            if retention.isCompact(record.value) {
                buffer.removeAll(keepingCapacity: true)
                if encodeCanonical(record.value, into: &buffer) {
                    fingerprint &+= CanonicalRecords.fingerprint(of: buffer)
                }
            } else {
                fingerprint &+= record.fingerprint
            }
        }
        return fingerprint
    }

    func decoded(
        at place: RecordPlace,
        _ version: (RecordPlace) -> UInt64,
        _ read: (RecordPlace) -> [UInt8],
        _ known: inout CanonicalRecords
    ) -> CanonicalRecords.Known {
        do {
            return try known.record(at: place, version: version(place), flows: flowList, read)
        } catch {
            fatalError("invariant broken: a record that was read does not decode: \(error)")
        }
    }

    /// Hands over the whole state as bytes, in pieces and in an order that depends on the state
    /// alone: two replicas are equal where the concatenated bytes are.
    ///
    /// Takes time in proportion to the state: for comparing replicas in tests.
    /// Counters and the digest take no part; they say what came, not only what it left. Nor does it show which attempts are
    /// in memory, or which bytes were dropped of those whose retention time is over.
    ///
    /// - Parameters:
    ///   - read: reads a record that is not in memory.
    ///   - consume: gets the pieces.
    package func forEachCanonicalChunk(
        reading read: (RecordPlace) -> [UInt8],
        _ consume: ([UInt8]) -> Void
    ) {
        consume(canonicalHead)
        var records: [(id: AttemptID, bytes: [UInt8])] = []
        records.reserveCapacity(attempts.count + settled.count)
        func add(_ record: AttemptRecord) {
            var bytes: [UInt8] = []
            if encodeCanonical(record, into: &bytes) { records.append((record.id, bytes)) }
        }
        for position in 0..<attempts.end {
            let residence = attempts.residences[position]
            if !residence.isFree, !residence.isDetached { add(attempts[position]) }
        }
        settled.forEachUnloaded { place in
            do { add(try AttemptRecord(decoding: read(place)[...], flows: flowList)) } catch {
                fatalError("invariant broken: a record that was read does not decode: \(error)")
            }
        }
        records.sort { $0.id < $1.id }
        for record in records { consume(record.bytes) }
    }

    /// The same where all attempts are in memory.
    package func forEachCanonicalChunk(_ consume: ([UInt8]) -> Void) {
        forEachCanonicalChunk(
            reading: { place in
                guard let read = paging.reader else {
                    fatalError("invariant broken: the state is compared and not all of it loaded")
                }
                return read(place)
            },
            consume
        )
    }

    /// - Returns: false if the record is forgotten, and nothing of it counts.
    func encodeCanonical(_ record: AttemptRecord, into bytes: inout [UInt8]) -> Bool {
        guard !retention.isForgotten(record) else { return false }
        guard retention.isCompact(record) else {
            record.encode(into: &bytes)
            return true
        }
        var record = record
        record.dropDetails()
        record.encode(into: &bytes)
        return true
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
/// A record is known by where it stands and the version of what is there, or else by all of its bytes: what a
/// disk gives instead of them is another one.
package struct CanonicalRecords {
    final class Known: Sendable {
        let value: AttemptRecord
        /// Of it as it is encoded now, whichever version it was stored in.
        let fingerprint: UInt64

        init(_ value: AttemptRecord) {
            self.value = value
            var bytes: [UInt8] = []
            value.encode(into: &bytes)
            fingerprint = CanonicalRecords.fingerprint(of: bytes)
        }
    }

    private struct Place: Hashable {
        var place: RecordPlace
        var version: UInt64
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
    private var places: [Place: Known] = [:]

    package init() {}

    /// Whether what stands at a place was decoded before.
    package func holds(_ place: RecordPlace, version: UInt64) -> Bool {
        places[Place(place: place, version: version)] != nil
    }

    mutating func record(
        at place: RecordPlace,
        version: UInt64,
        flows: [FlowReference],
        _ read: (RecordPlace) -> [UInt8]
    ) throws(CommandDecodeError) -> Known {
        let key = Place(place: place, version: version)
        if let record = places[key] { return record }
        let record = try record(read(place), flows: flows)
        places[key] = record
        return record
    }

    private mutating func record(
        _ stored: [UInt8],
        flows: [FlowReference]
    ) throws(CommandDecodeError) -> Known {
        if let record = known[Stored(bytes: stored)] { return record }
        let record = Known(try AttemptRecord(decoding: stored[...], flows: flows))
        known[Stored(bytes: stored)] = record
        return record
    }

    /// Of a record's bytes, spread so that it may be summed.
    static func fingerprint(of bytes: [UInt8]) -> UInt64 {
        var fingerprint = Fingerprint()
        fingerprint.fold(bytes)
        // The last word is not mixed in yet.
        fingerprint.fold(0)
        return fingerprint.value
    }
}
