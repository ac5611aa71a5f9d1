/// The date of HTTP's header fields (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
package enum IMFFixdate {
    package static func string(secondsSinceEpoch seconds: UInt64) -> String {
        let time = CivilTime(secondsSinceEpoch: seconds)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(29)
        bytes.append(
            contentsOf: CivilTime.weekdayNames[CivilTime.weekday(secondsSinceEpoch: seconds)].utf8
        )
        bytes.append(contentsOf: ", ".utf8)
        CivilTime.append(time.day, digits: 2, into: &bytes)
        bytes.append(.space)
        bytes.append(contentsOf: CivilTime.monthNames[time.month - 1].utf8)
        bytes.append(.space)
        CivilTime.append(time.year, digits: 4, into: &bytes)
        bytes.append(.space)
        CivilTime.append(time.hour, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: ":"))
        CivilTime.append(time.minute, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: ":"))
        CivilTime.append(time.second, digits: 2, into: &bytes)
        bytes.append(contentsOf: " GMT".utf8)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The times of our own bodies (RFC 3339): `2026-11-23T17:52:06.562Z`.
package enum RFC3339 {
    package static func string(milliseconds: UInt64) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        append(milliseconds: milliseconds, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends a time in UTC with three decimals.
    package static func append(milliseconds: UInt64, into bytes: inout [UInt8]) {
        let time = CivilTime(secondsSinceEpoch: milliseconds / 1000)
        CivilTime.append(time.year, digits: 4, into: &bytes)
        bytes.append(UInt8(ascii: "-"))
        CivilTime.append(time.month, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: "-"))
        CivilTime.append(time.day, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: "T"))
        CivilTime.append(time.hour, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: ":"))
        CivilTime.append(time.minute, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: ":"))
        CivilTime.append(time.second, digits: 2, into: &bytes)
        bytes.append(UInt8(ascii: "."))
        CivilTime.append(Int(milliseconds % 1000), digits: 3, into: &bytes)
        bytes.append(UInt8(ascii: "Z"))
    }

    /// Milliseconds since the epoch; decimals past the third are cut off.
    ///
    /// - Returns: `nil` for another form, no such date, or a time before 1970.
    package static func parse(_ text: some StringProtocol) -> UInt64? {
        var cursor = TextCursor(text)
        guard let year = cursor.number(digits: 4...4), cursor.take(UInt8(ascii: "-")),
            let month = cursor.number(digits: 2...2), cursor.take(UInt8(ascii: "-")),
            let day = cursor.number(digits: 2...2), let separator = cursor.take(),
            separator | 0x20 == UInt8(ascii: "t") || separator == .space,
            let hour = cursor.number(digits: 2...2), cursor.take(UInt8(ascii: ":")),
            let minute = cursor.number(digits: 2...2), cursor.take(UInt8(ascii: ":")),
            let second = cursor.number(digits: 2...2)
        else { return nil }
        var milliseconds = 0
        if cursor.take(UInt8(ascii: ".")) {
            var place = 100
            var decimals = 0
            while let byte = cursor.next, byte.isDigit {
                _ = cursor.take()
                milliseconds += Int(byte - 0x30) * place
                place /= 10
                decimals += 1
            }
            guard decimals > 0 else { return nil }
        }
        var offset = 0
        if !cursor.take(UInt8(ascii: "Z")), !cursor.take(UInt8(ascii: "z")) {
            guard let seconds = cursor.offset(colon: true) else { return nil }
            offset = seconds
        }
        let time = CivilTime(
            year: year,
            month: month,
            day: day,
            hour: hour,
            minute: minute,
            second: second
        )
        guard cursor.isAtEnd, time.isValid else { return nil }
        return UInt64(exactly: (time.secondsSinceEpoch - offset) * 1000 + milliseconds)
    }
}

/// The date of mail messages (RFC 2822 §3.3): `Thu, 01 Jan 2026 00:00:00 +0000`.
package enum InternetMessageDate {
    /// Milliseconds since the epoch.
    ///
    /// The weekday may be left out, and when there must be the date's own.
    /// - Returns: `nil` for another form, no such date, or a time before 1970.
    package static func parse(_ text: some StringProtocol) -> UInt64? {
        var cursor = TextCursor(text)
        let weekday = cursor.name(of: CivilTime.weekdayNames)
        if weekday != nil {
            guard cursor.take(UInt8(ascii: ",")) else { return nil }
            cursor.skipSpaces()
        }
        guard let day = cursor.number(digits: 1...2), cursor.take(.space),
            let month = cursor.name(of: CivilTime.monthNames), cursor.take(.space),
            let year = cursor.number(digits: 4...4), cursor.take(.space),
            let hour = cursor.number(digits: 2...2), cursor.take(UInt8(ascii: ":")),
            let minute = cursor.number(digits: 2...2)
        else { return nil }
        var second = 0
        if cursor.take(UInt8(ascii: ":")) {
            guard let number = cursor.number(digits: 2...2) else { return nil }
            second = number
        }
        guard cursor.take(.space), let offset = zone(&cursor), cursor.isAtEnd else { return nil }
        let time = CivilTime(
            year: year,
            month: month + 1,
            day: day,
            hour: hour,
            minute: minute,
            second: second
        )
        guard time.isValid, let local = UInt64(exactly: time.secondsSinceEpoch),
            weekday == nil || weekday == CivilTime.weekday(secondsSinceEpoch: local)
        else { return nil }
        return UInt64(exactly: (Int(local) - offset) * 1000)
    }

    private static func zone(_ cursor: inout TextCursor) -> Int? {
        guard let first = cursor.next else { return nil }
        guard first == UInt8(ascii: "+") || first == UInt8(ascii: "-") else {
            if cursor.name(of: ["GMT"]) != nil { return 0 }
            return cursor.take(UInt8(ascii: "U")) && cursor.take(UInt8(ascii: "T")) ? 0 : nil
        }
        return cursor.offset(colon: false)
    }
}
