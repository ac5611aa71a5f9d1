import Server
import Testing

@Suite("the text of a configuration")
struct ConfigurationSyntaxTests {
    private func lines(of text: String, _ paths: FieldPath...) throws -> [Int] {
        let map = try SourceMap(of: Array(text.utf8))
        return paths.map { map.line(of: $0) }
    }

    @Test("a value is found behind comments, in either kind of quotes, and in lists of objects")
    func places() throws {
        let text = """
            // one: 1
            {
              /* two: {
                 a: 1 } */
              'two': { "a": "}{ // no comment", // b: 1
                b: [1, [2,
                    3], { c: 'it\\'s' }],
              }, $three: 0x1F,
              four:
                -.5e3
            }
            """
        let two = FieldPath.root.appending("two")
        let b = two.appending("b")
        #expect(
            try lines(
                of: text,
                .root,
                two,
                two.appending("a"),
                b,
                b.appending(0),
                b.appending(1).appending(1),
                b.appending(2).appending("c"),
                .root.appending("$three"),
                .root.appending("four")
            ) == [2, 5, 5, 6, 6, 7, 7, 8, 9]
        )
    }

    @Test("an absent field is placed where the object is that lacks it")
    func absent() throws {
        let text = "{\n\n a: {\n b: 1 } }"
        let a = FieldPath.root.appending("a")
        #expect(try lines(of: text, a.appending("x"), .root.appending("x").appending(2)) == [3, 1])
    }

    @Test(
        "text that is not JSON5 is refused with the line where it breaks",
        arguments: [
            ("{\n a: 1,\n b: }", "3: a value is expected"),
            ("{\n a: 1\n b: 2 }", "3: a comma or the end of the object is expected"),
            ("{\n a: 'x\n}", "2: a string is not closed"),
            ("{\n a: 'x\\'", "2: a string is not closed"),
            ("{\n a: [1,\n 2\n", "4: the list that begins on line 2 is not closed"),
            ("{\n a: 1,\n", "3: the object that begins on line 1 is not closed"),
            ("{ a: 1 }\n}", "2: there is more after the end of the document"),
            ("{\n /* a: 1 }\n", "3: the comment that begins on line 2 is not closed"),
            ("", "1: the document ends where a value is expected"),
            ("{ a: 007 }", "1: a value must be a number, true, false, null, or be quoted"),
            ("{ a: hello }", "1: a value must be a number, true, false, null, or be quoted"),
            ("{ a 1 }", "1: a field's name must be followed by a colon"),
            ("{\n a-b: 1 }", "2: a field's name must be followed by a colon"),
            ("{ , }", "1: a field's name is expected"),
            ("{ 1a: 2 }", "1: a field's name that begins with a digit must be quoted"),
        ]
    )
    func broken(text: String, finding: String) {
        let findings = ConfigurationFixture.findings { () throws(ConfigurationError) in
            _ = try NodeConfiguration(
                reading: ConfigurationFile(path: "x", bytes: Array(text.utf8))
            )
        }
        #expect(findings == "x:\(finding)")
    }

    @Test("nesting without end is refused rather than followed")
    func nesting() {
        let text = String(repeating: "[", count: 100_000)
        #expect(throws: SourceMap.SyntaxError.self) { try SourceMap(of: Array(text.utf8)) }
    }

    @Test("bytes that are not text, and a document that is not an object, are refused")
    func notText() {
        for (bytes, finding) in [
            ([0x7b, 0xff, 0x7d], "x: is not UTF-8"),
            (Array("[1]".utf8), "x:1: must be an object, is a list"),
        ] as [([UInt8], String)] {
            let findings = ConfigurationFixture.findings { () throws(ConfigurationError) in
                _ = try NodeConfiguration(reading: ConfigurationFile(path: "x", bytes: bytes))
            }
            #expect(findings.hasPrefix(finding))
        }
    }

    @Test("no cut of a good file crashes its reader or is taken for good")
    func cuts() {
        let bytes = Array(ConfigurationFixture.lines.joined(separator: "\n").utf8)
        for count in 0..<bytes.count {
            let file = ConfigurationFile(path: "x", bytes: Array(bytes[..<count]))
            #expect(throws: ConfigurationError.self) { try NodeConfiguration(reading: file) }
        }
    }

    @Test("no changed byte of a good file crashes its reader")
    func changedBytes() {
        let bytes = Array(ConfigurationFixture.lines.joined(separator: "\n").utf8)
        var refused = 0
        for (place, byte) in bytes.enumerated() {
            for other in Array("{]'\\*".utf8) where other != byte {
                var changed = bytes
                changed[place] = other
                let file = ConfigurationFile(path: "x", bytes: changed)
                do throws(ConfigurationError) {
                    _ = try NodeConfiguration(reading: file)
                } catch {
                    refused += 1
                    #expect(!error.findings.isEmpty)
                }
            }
        }
        #expect(refused > bytes.count)
    }
}
