import Server
import Testing

@Suite("What is asked of a backup in a query")
struct BackupQueryTests {
    @Test("a log is whole unless a part of it will do, and nothing else is understood")
    func log() throws {
        for query in [nil, "", "log=whole", "other=1&log=whole", "catalog=partial"] as [Substring?]
        {
            #expect(try !BackupQuery.allowsGap(query), "\(query ?? "none")")
        }
        for query in ["log=partial", "log=partial&other=1"] as [Substring] {
            #expect(try BackupQuery.allowsGap(query))
        }
        for query in [
            "log", "log=", "log=Partial", "log=partial&log=partial", "log=whole&log=partial",
        ]
            as [Substring]
        {
            #expect(throws: Problem.self, "\(query)") { try BackupQuery.allowsGap(query) }
        }
    }

    @Test("numbers are whole and given once")
    func numbers() throws {
        #expect(try BackupQuery.number("from", "from=17&offset=4") == 17)
        #expect(try BackupQuery.number("from", "offset=4") == nil)
        for query in ["from=", "from=-1", "from=+1", "from=1&from=1", "from=4611686018427387904"]
            as [Substring]
        {
            #expect(throws: Problem.self, "\(query)") { try BackupQuery.number("from", query) }
        }
    }
}
