/// How long attempts are kept after they were decided; replicated, so that all replicas agree.
package struct RetentionSettings: Hashable, Sendable, CustomStringConvertible {
    /// How long all of a decided attempt is kept: its timeline, its keys and their first answers.
    package var retentionSeconds: UInt64
    /// How long what is kept for ever otherwise is kept; `nil`: for ever.
    package var forgetAfterSeconds: UInt64?

    package static let defaultRetentionSeconds: UInt64 = 400 * 24 * 60 * 60
    package static let `default` = RetentionSettings(
        retentionSeconds: defaultRetentionSeconds,
        forgetAfterSeconds: nil
    )

    package init(retentionSeconds: UInt64, forgetAfterSeconds: UInt64?) {
        self.retentionSeconds = retentionSeconds
        self.forgetAfterSeconds = forgetAfterSeconds
    }

    /// In words, in days where they are whole ones.
    package var description: String {
        func words(_ seconds: UInt64) -> String {
            let day: UInt64 = 24 * 60 * 60
            return seconds % day == 0 ? "\(seconds / day) d" : "\(seconds) s"
        }
        let forgotten = forgetAfterSeconds.map { "forgotten after \(words($0))" }
        return "details for \(words(retentionSeconds)), \(forgotten ?? "never forgotten")"
    }

    func encode(into bytes: inout [UInt8]) {
        bytes.append(varint: retentionSeconds)
        bytes.append(forgetAfterSeconds == nil ? 0 : 1)
        if let forgetAfterSeconds { bytes.append(varint: forgetAfterSeconds) }
    }

    init(from reader: inout ByteReader) throws(CommandDecodeError) {
        let retention = try reader.varint()
        let hasForget = try reader.byte()
        guard hasForget <= 1 else { throw .invalid(field: "forget_after") }
        self.init(
            retentionSeconds: retention,
            forgetAfterSeconds: hasForget == 1 ? try reader.varint() : nil
        )
    }
}

/// What of the past is still kept: two marks in log time that never go back.
///
/// An attempt decided before `detailsMark` is compact; one decided before `forgetMark`, whose ID carries no
/// later time, does not exist, whether or not their bytes were dropped: so replicas agree whenever each drops them.
package struct Retention: Hashable, Sendable {
    package internal(set) var settings = RetentionSettings.default
    package internal(set) var detailsMark = LogTime(milliseconds: 0)
    package internal(set) var forgetMark = LogTime(milliseconds: 0)

    /// Moves the marks to where the settings have them at a time.
    mutating func advance(to time: LogTime) {
        let details = time.back(bySeconds: settings.retentionSeconds)
        if details > detailsMark { detailsMark = details }
        guard let after = settings.forgetAfterSeconds else { return }
        let forget = time.back(bySeconds: after)
        if forget > forgetMark { forgetMark = forget }
    }

    /// Whether nothing is left of an attempt.
    ///
    /// Whoever made the ID may have had a clock ahead of the log's: until the mark has passed the ID's own time
    /// too, only the record keeps the ID from being run again (`refuses`).
    func isForgotten(_ record: AttemptRecord) -> Bool {
        guard let verdict = record.verdict, verdict.moment.time < forgetMark else { return false }
        guard let time = record.id.embeddedTime else { return true }
        return time < forgetMark
    }

    func isCompact(_ record: AttemptRecord) -> Bool {
        guard let verdict = record.verdict else { return false }
        return verdict.moment.time < detailsMark
    }

    /// Whether an ID that no attempt has carries a time before which all is forgotten: it may have
    /// been one's, and is never run again.
    package func refuses(_ id: AttemptID) -> Bool {
        guard forgetMark.milliseconds > 0, let time = id.embeddedTime else { return false }
        return time < forgetMark
    }
}

extension LogTime {
    /// Stops at the beginning of time.
    func back(bySeconds seconds: UInt64) -> LogTime {
        let (span, overflows) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflows, span <= milliseconds else { return LogTime(milliseconds: 0) }
        return LogTime(milliseconds: milliseconds - span)
    }
}

extension AttemptID {
    /// The time in an ID that is, or ends with, a UUIDv7 (RFC 9562 §5.7) or a ULID, behind `_`, `:` or
    /// the start.
    package var embeddedTime: LogTime? {
        let bytes = Array(text.utf8)
        if let tail = AttemptID.tail(of: bytes, length: 36), let time = AttemptID.timeOfUUID(tail) {
            return time
        }
        if let tail = AttemptID.tail(of: bytes, length: 26) { return AttemptID.timeOfULID(tail) }
        return nil
    }

    private static func tail(of bytes: [UInt8], length: Int) -> ArraySlice<UInt8>? {
        guard bytes.count >= length else { return nil }
        let start = bytes.count - length
        guard start > 0 else { return bytes[...] }
        let before = bytes[start - 1]
        return before == UInt8(ascii: "_") || before == UInt8(ascii: ":") ? bytes[start...] : nil
    }

    private static func timeOfUUID(_ tail: ArraySlice<UInt8>) -> LogTime? {
        var milliseconds: UInt64 = 0
        var digits = 0
        for (place, byte) in tail.enumerated() {
            if place == 8 || place == 13 || place == 18 || place == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            let value: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            if digits < 12 { milliseconds = milliseconds << 4 | UInt64(value) }
            if digits == 12, value != 7 { return nil }
            // The variant: 10 in binary, then two bits of the random part.
            if digits == 16, value & 0b1100 != 0b1000 { return nil }
            digits += 1
        }
        return LogTime(milliseconds: milliseconds)
    }

    /// Crockford's base 32: 26 digits of 5 bits, of which the first 10 are 48 bits of time.
    private static func timeOfULID(_ tail: ArraySlice<UInt8>) -> LogTime? {
        var milliseconds: UInt64 = 0
        for (place, byte) in tail.enumerated() {
            guard let value = crockford(byte), place > 0 || value < 8 else { return nil }
            if place < 10 { milliseconds = milliseconds << 5 | UInt64(value) }
        }
        return LogTime(milliseconds: milliseconds)
    }

    private static func crockford(_ byte: UInt8) -> UInt8? {
        let upper = byte >= UInt8(ascii: "a") ? byte & 0x5f : byte
        switch upper {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return upper - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "H"): return upper - UInt8(ascii: "A") + 10
        case UInt8(ascii: "J"), UInt8(ascii: "K"): return upper - UInt8(ascii: "J") + 18
        case UInt8(ascii: "M"), UInt8(ascii: "N"): return upper - UInt8(ascii: "M") + 20
        case UInt8(ascii: "P")...UInt8(ascii: "T"): return upper - UInt8(ascii: "P") + 22
        case UInt8(ascii: "V")...UInt8(ascii: "Z"): return upper - UInt8(ascii: "V") + 27
        default: return nil
        }
    }
}
