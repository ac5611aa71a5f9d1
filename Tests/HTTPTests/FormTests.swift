import HTTP
import Testing

@Suite("queries and forms decode strictly") struct FormTests {
    func pairs(_ text: String) throws -> [String] {
        try Form(Array(text.utf8)).pairs.map { "\($0.name)=\($0.value)" }
    }

    @Test("pairs come decoded and in order, repeated and empty ones too")
    func decoding() throws {
        #expect(
            try pairs("b=1&a=%2B1+2&b=1&c&=d&e=f=g&&") == [
                "b=1", "a=+1 2", "b=1", "c=", "=d", "e=f=g",
            ]
        )
        #expect(try pairs("") == [])
        #expect(try pairs("%C3%A9%26=%3d") == ["é&=="])
    }

    @Test("names are found with case, first values first")
    func lookUp() throws {
        let form = try Form(Array("a=1&A=2&a=3".utf8))
        #expect(form.firstText("a") == "1")
        #expect(form.firstText("A") == "2")
        #expect(form.first("b") == nil)
        #expect(form.count("a") == 2)
        #expect(form.count == 3)
        #expect(Array(form.name(1)) == Array("A".utf8) && Array(form.value(2)) == Array("3".utf8))
    }

    @Test("the sorted order is by bytes of names, then values, with equal pairs once")
    func order() throws {
        func sorted(_ text: String) throws -> [String] {
            let form = try Form(Array(text.utf8))
            return form.sortedDistinctIndices().map {
                "\(form.pairs[$0].name)=\(form.pairs[$0].value)"
            }
        }
        #expect(
            try sorted(
                "b=2&a=9&b=10&B=1&b=2&=z&CallSid=1&CallStatus=2&Called=3&CallSid2=4&CallSidA=5"
            )
                == [
                    "=z", "B=1", "CallSid=1", "CallSid2=4", "CallSidA=5", "CallStatus=2",
                    "Called=3",
                    "a=9", "b=10", "b=2",
                ]
        )
        // A name cut short by a zero byte's absence still comes first.
        #expect(try sorted("ab%00=1&ab=2&ab%00=1") == ["ab=2", "ab\0=1"])
        var random = SplitMix64(seed: 3)
        for _ in 0..<200 {
            let pairs = (0..<20).map { _ in
                let letters = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                    Bool.random(using: &random) ? "a" : "b"
                }
                return (letters.joined(), Bool.random(using: &random) ? "x" : "y")
            }
            let form = Form(pairs: pairs)
            let naive = Set(pairs.map { "\($0.0)=\($0.1)" }).sorted {
                let a = $0.split(separator: "=", omittingEmptySubsequences: false)
                let b = $1.split(separator: "=", omittingEmptySubsequences: false)
                return a[0] == b[0] ? a[1] < b[1] : a[0] < b[0]
            }
            let found = form.sortedDistinctIndices().map { "\(pairs[$0].0)=\(pairs[$0].1)" }
            #expect(found == naive)
        }
    }

    @Test("a query is what follows the question mark")
    func query() throws {
        let request = Request(method: .get, target: "/a?step=2&x=%20?")
        #expect(try Form(query: request.query).firstText("x") == " ?")
        #expect(try Form(query: Request(method: .get, target: "/a").query).count == 0)
    }

    @Test(
        "a bad escape is an error, wherever it stands",
        arguments: ["%", "%4", "a=%", "a=%zz", "a=%4&b=1", "%2=1", "a=%%41", "a=% 41"]
    )
    func badEscapes(text: String) {
        #expect(throws: FormError.badEscape) { try Form(Array(text.utf8)) }
        #expect(throws: FormError.badEscape) { try PercentDecoding.decode(Array(text.utf8)) }
    }

    @Test("more pairs than the limit are an error")
    func bounded() throws {
        let text = String(repeating: "a=b&", count: 128)
        #expect(try Form(Array(text.utf8)).count == 128)
        #expect(throws: FormError.tooManyPairs(limit: 128)) { try Form(Array((text + "c").utf8)) }
    }

    @Test("in a path a plus is a plus")
    func path() throws {
        #expect(try PercentDecoding.decode(Array("a+b%2Fc".utf8)) == Array("a+b/c".utf8))
    }
}
