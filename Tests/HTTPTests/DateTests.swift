import HTTP
import Testing

@Suite("dates are written and read") struct DateTests {
    @Test(
        "an IMF-fixdate has the weekday, day, month and time of UTC",
        arguments: [
            (UInt64(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ]
    )
    func fixdate(seconds: UInt64, text: String) {
        #expect(IMFFixdate.string(secondsSinceEpoch: seconds) == text)
    }

    @Test(
        "an RFC 3339 time is read in UTC and with offsets",
        arguments: [
            ("2026-11-23T17:52:06.562Z", UInt64(1_795_456_326_562)),
            ("2026-11-23T18:52:06.562+01:00", 1_795_456_326_562),
            ("2026-11-23 12:22:06.5629-05:30", 1_795_456_326_562),
            ("2026-11-23t17:52:06z", 1_795_456_326_000), ("1970-01-01T00:00:00Z", 0),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000), ("1970-01-01T00:00:00.5-00:01", 60_500),
        ]
    )
    func rfc3339(text: String, milliseconds: UInt64) {
        #expect(RFC3339.parse(text) == milliseconds)
    }

    @Test(
        "what is no RFC 3339 time, or before 1970, is refused",
        arguments: [
            "", "2026-11-23", "2026-11-23T17:52Z", "2026-11-23T17:52:06", "2026-11-23T17:52:06.Z",
            "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00Zx", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
            "0000-01-01T00:00:00Z", "+026-01-01T00:00:00Z", "2026-01-01T00:00:00.1é",
        ]
    )
    func notRFC3339(text: String) {
        #expect(RFC3339.parse(text) == nil)
    }

    @Test("every day of four centuries is written and read back")
    func roundTrip() {
        var milliseconds: UInt64 = 7
        for day in 0..<146_097 {
            if RFC3339.parse(RFC3339.string(milliseconds: milliseconds)) != milliseconds {
                Issue.record("day \(day)")
                return
            }
            milliseconds += 86_400_000
        }
        #expect(RFC3339.string(milliseconds: milliseconds) == "2370-01-01T00:00:00.007Z")
    }

    @Test(
        "a mail date is read",
        arguments: [
            ("Thu, 01 Jan 2026 00:00:00 +0000", UInt64(1_767_225_600_000)),
            ("Thu, 1 Jan 2026 01:00:00 +0100", 1_767_225_600_000),
            ("01 Jan 2026 00:00 GMT", 1_767_225_600_000),
            ("1 Jan 2026 00:00:00 UT", 1_767_225_600_000),
            ("Wed, 31 Dec 2025 18:30:00 -0530", 1_767_225_600_000),
        ]
    )
    func mailDate(text: String, milliseconds: UInt64) {
        #expect(InternetMessageDate.parse(text) == milliseconds)
    }

    @Test(
        "what is no mail date is refused",
        arguments: [
            "", "Fri, 01 Jan 2026 00:00:00 +0000", "Thu 01 Jan 2026 00:00:00 +0000",
            "Thu, 01 Foo 2026 00:00:00 +0000", "Thu, 32 Jan 2026 00:00:00 +0000",
            "Thu, 01 Jan 26 00:00:00 +0000", "Thu, 01 Jan 2026 00:00:00",
            "Thu, 01 Jan 2026 00:00:00 CET",
            "Thu, 01 Jan 2026 00:00:00 +00000", "Thu, 01 Jan 2026 00:00:0 +0000",
            "Wed, 31 Dec 1969 23:59:59 +0000",
        ]
    )
    func notMailDate(text: String) {
        #expect(InternetMessageDate.parse(text) == nil)
    }
}
