import FoundationEssentials
import Testing
import verdict

@Suite("a timeline for people")
struct TimelineTests {
    @Test("the time of receipt is shown where it is not about that of the log")
    func receipt() throws {
        let text = """
            {"attempt": "va_1", "entries": [
              {"index": 1, "at": "2026-11-30T10:00:00.000Z", "received_at": "2026-11-30T09:59:59.000Z"},
              {"index": 2, "at": "2026-11-30T10:00:09.000Z", "received_at": "2026-11-30T10:00:01.500Z"},
              {"index": 3, "at": "2026-11-30T10:01:00.000Z"}]}
            """
        let timeline = try JSONDecoder().decode(Timeline.self, from: Data(text.utf8))
        let lines = timeline.table.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(!lines[1].contains("received") && !lines[3].contains("received"))
        #expect(
            lines[2].contains("2026-11-30T10:00:09.000Z, received 2026-11-30T10:00:01.500Z"),
            "\(lines[2])"
        )
    }
}
