import Server
import Testing
import Verification

@Suite("Log lines")
struct LogTests {
    private final class Lines {
        var bytes: [UInt8] = []
        var asked = 0
    }

    private func log(_ format: Log.Format, level: Log.Level = .info) -> (Log, Lines) {
        let lines = Lines()
        let log = Log(
            level: level,
            format: format,
            clock: {
                lines.asked += 1
                return WallTime(milliseconds: 1_795_456_326_562)
            },
            sink: { lines.bytes += $0 }
        )
        return (log, lines)
    }

    @Test("logfmt quotes what could be taken for syntax, and a value cannot end the line")
    func logfmt() {
        let (log, lines) = log(.logfmt)
        log.info(
            "peer",
            "link up",
            [
                "peer": 2, "region": "eu-west", "note": .text("a=\"b\"\\\r\nlevel=error\u{1b}"),
                "empty": "", "up": true, "trip": .span(nanoseconds: 81_004_567),
                "index": .count(.max), "utf8": .text("straße"),
            ]
        )
        #expect(
            Fixture.text(lines.bytes)
                == #"time=2026-11-23T17:52:06.562Z level=info component=peer message="link up" peer=2 region=eu-west note="a=\"b\"\\\r\nlevel=error\u001b" empty="" up=true trip=81.004ms index=18446744073709551615 utf8=straße"#
                + "\n"
        )
    }

    @Test("JSON holds the same, one object a line")
    func json() {
        let (log, lines) = log(.json)
        log.warning(
            "disk",
            "sync slow",
            [
                "took": .span(nanoseconds: 1_500_000), "note": .text("a\"b\n"), "count": 3,
                "delta": -1, "stalled": false,
            ]
        )
        #expect(
            Fixture.text(lines.bytes)
                == #"{"time":"2026-11-23T17:52:06.562Z","level":"warning","component":"disk","message":"sync slow","took":1.500,"note":"a\"b\n","count":3,"delta":-1,"stalled":false}"#
                + "\n"
        )
    }

    @Test("a line below the level costs nothing: no clock, no fields, no bytes")
    func level() {
        let (log, lines) = log(.logfmt, level: .warning)
        func fields() -> Log.Fields {
            Issue.record("the fields were made")
            return [:]
        }
        log.debug("raft", "tick", fields())
        log.info("raft", "tick", fields())
        #expect(lines.bytes.isEmpty)
        #expect(lines.asked == 0)
        log.error("raft", "gone")
        #expect(lines.asked == 1)
        #expect(
            Fixture.text(lines.bytes)
                == "time=2026-11-23T17:52:06.562Z level=error component=raft message=gone\n"
        )
    }

    @Test("levels have names")
    func names() {
        for level in Log.Level.allCases { #expect(Log.Level(name: level.name) == level) }
        #expect(Log.Level(name: "loud") == nil)
    }
}
