/// A point of UTC in the calendar's terms (proleptic Gregorian).
struct CivilTime: Hashable, Sendable {
    var year: Int
    /// 1–12.
    var month: Int
    /// 1–31.
    var day: Int
    var hour = 0
    var minute = 0
    var second = 0

    static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    static let weekdayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]

    /// Whether there is such a time; a leap second is one, and counts as the next minute's first.
    var isValid: Bool {
        (0...9999).contains(year) && (1...12).contains(month)
            && (1...CivilTime.days(in: month, of: year)).contains(day) && (0..<24).contains(hour)
            && (0..<60).contains(minute) && (0...60).contains(second)
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01.
    ///
    /// The year is taken to begin in March, so that the leap day comes last.
    private var daysSinceEpoch: Int {
        let shifted = month <= 2 ? year - 1 : year
        // Years may be 0 here, and -1 when shifted: division must round down.
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
            - 719_468
    }

    var secondsSinceEpoch: Int {
        ((daysSinceEpoch * 24 + hour) * 60 + minute) * 60 + second
    }

    init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    init(secondsSinceEpoch seconds: UInt64) {
        let days = Int(seconds / 86_400) + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = Int(seconds / 3600 % 24)
        minute = Int(seconds / 60 % 60)
        second = Int(seconds % 60)
    }

    /// 0 is Sunday.
    static func weekday(secondsSinceEpoch seconds: UInt64) -> Int {
        Int((seconds / 86_400 + 4) % 7)
    }

    /// Appends a number with at least so many digits.
    static func append(_ number: Int, digits: Int, into bytes: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<max(digits, 1) { divisor *= 10 }
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}

/// Reads a text byte by byte; what does not fit is `nil`.
struct TextCursor {
    private let bytes: [UInt8]
    private var index = 0

    init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { index == bytes.count }
    var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    mutating func take() -> UInt8? {
        guard let byte = next else { return nil }
        index += 1
        return byte
    }

    /// A decimal number of so many digits, as many as there are up to the longest.
    mutating func number(digits: ClosedRange<Int>) -> Int? {
        var value = 0
        var count = 0
        while count < digits.upperBound, let byte = next, byte.isDigit {
            value = value * 10 + Int(byte - 0x30)
            count += 1
            index += 1
        }
        return count >= digits.lowerBound ? value : nil
    }

    /// The place of the next three letters in a list of names.
    mutating func name(of names: [String]) -> Int? {
        guard index + 3 <= bytes.count else { return nil }
        let word = bytes[index..<index + 3]
        guard let place = names.firstIndex(where: { $0.utf8.elementsEqual(word) }) else {
            return nil
        }
        index += 3
        return place
    }

    mutating func skipSpaces() {
        while next == .space { index += 1 }
    }

    /// Hours and minutes of an offset, in seconds.
    mutating func offset(colon: Bool) -> Int? {
        guard let sign = take(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
            let hours = number(digits: 2...2), hours < 24,
            !colon || take(UInt8(ascii: ":")),
            let minutes = number(digits: 2...2), minutes < 60
        else { return nil }
        let seconds = (hours * 60 + minutes) * 60
        return sign == UInt8(ascii: "-") ? -seconds : seconds
    }
}
