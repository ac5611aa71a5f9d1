import HTTP
import Testing

@Suite("keys and tokens are taken out of their fields") struct FieldValueTests {
    @Test(
        "an idempotency key is the same with and without quotes",
        arguments: [
            ("\"8e03978e-40d5\"", "8e03978e-40d5"), ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"a b\"", "a b"), ("\"a\\\"b\\\\c\"", "a\"b\\c"), ("a/b=c,d", "a/b=c,d"),
        ]
    )
    func key(value: String, expected: String) {
        #expect(IdempotencyKey.parse(value) == expected)
    }

    @Test(
        "what is no key is refused",
        arguments: [
            "", "\"\"", "\"a", "a\"", "\"a\"b", "\"a\\b\"", "\"a\\", "\"a\";p=1", "a b", "\"é\"",
            "é",
            "\"a\tb\"", "\"", "a\\b",
        ]
    )
    func notKey(value: String) {
        #expect(IdempotencyKey.parse(value) == nil)
    }

    @Test("a bearer token is taken out, whatever the scheme's case")
    func bearer() {
        #expect(BearerToken.parse("Bearer abc.DEF-_~+/1==") == Array("abc.DEF-_~+/1==".utf8))
        #expect(BearerToken.parse("bEARER  x") == Array("x".utf8))
        for bad in [
            "", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer =",
            "Bearer a=b",
        ] {
            #expect(BearerToken.parse(bad) == nil, "\(bad)")
        }
    }

    @Test("JSON comes out in the written order, without white space")
    func jsonOrder() {
        var json = JSONText()
        json.beginObject()
        json.member("z", "va_1")
        json.member("a", true)
        json.member("n", UInt64.max)
        json.key("list")
        json.beginArray()
        json.integer(-1)
        json.null()
        json.beginObject()
        json.endObject()
        json.beginArray()
        json.endArray()
        json.bool(false)
        json.endArray()
        json.member("at", milliseconds: 1_795_456_326_562)
        json.key("next")
        json.beginObject()
        json.member("action", "hangup")
        json.endObject()
        json.endObject()
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"z":"va_1","a":true,"n":18446744073709551615,"list":[-1,null,{},[],false],"#
                + #""at":"2026-11-23T17:52:06.562Z","next":{"action":"hangup"}}"#
        )
    }

    @Test("strings are escaped where JSON demands it and nowhere else")
    func jsonEscapes() {
        var json = JSONText()
        json.string("\"\\/\u{8}\t\n\u{c}\r\0\u{1f}\u{7f}é\u{2028}😀")
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #""\"\\/\b\t\n\f\r\u0000\u001f"# + "\u{7f}é\u{2028}😀\""
        )
    }

    @Test("JSON that does not nest stops the process")
    func jsonNesting() async {
        await #expect(processExitsWith: .failure) {
            var json = JSONText()
            json.beginArray()
            json.endObject()
        }
        await #expect(processExitsWith: .failure) {
            var json = JSONText()
            json.beginArray()
            json.key("a")
        }
    }
}
