import Server
import Testing

@Suite("addresses, origins and the targets that calls may go to")
struct ConfigurationAddressTests {
    @Test(
        "an address is a host and a port",
        arguments: [
            ("127.0.0.1:8101", "127.0.0.1:8101"), ("[::1]:80", "[::1]:80"),
            ("Node-1.Example:1", "node-1.example:1"), ("0.0.0.0:0", "0.0.0.0:0"),
        ]
    )
    func addresses(text: String, shown: String) {
        #expect(SocketAddress(text)?.description == shown)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", ":1", "a", "a:", "a:65536", "a:-1", "a:+1", "a: 1", "::1:80", "[::1]", "[]:1",
            "[x]:1", "127.0.0.300:1", "1.2.3:1", "a..b:1", "-a:1", "a b:1", "a/b:1", "01.2.3.4:1",
            "user@host:1",
        ]
    )
    func badAddresses(text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test("two spellings of an origin are equal, and anything after it is refused")
    func origins() {
        #expect(WebOrigin("HTTPS://Bank.Example:443") == WebOrigin("https://bank.example"))
        #expect(WebOrigin("http://a:80")?.description == "http://a")
        #expect(WebOrigin("http://a:443")?.description == "http://a:443")
        #expect(WebOrigin("http://[::1]:8101")?.description == "http://[::1]:8101")
        #expect(WebOrigin("http://[::1]") == WebOrigin("http://[::1]:80"))
        for text in [
            "", "bank.example", "ftp://a", "http:/a", "http://", "http://a/", "http://a?x",
            "http://a#x", "http://u@a", "http://u:p@a", "http://a:0", "http://a:", "http://a b",
            "http:///a", "http://[::1", "http://a\\b",
        ] {
            #expect(WebOrigin(text) == nil, "\(text)")
        }
    }

    private func allows(_ prefixes: String..., url: String) throws -> Bool {
        let list = TargetAllowList(
            try prefixes.map { try #require(TargetAllowList.Prefix($0)) }
        )
        return list.refusal(of: url) == nil
    }

    @Test(
        "a target under an allowed prefix is allowed",
        arguments: [
            ("https://bank.example/", "https://bank.example/ivr/ok"),
            ("https://bank.example/", "https://bank.example"),
            ("https://bank.example", "https://bank.example/ivr"),
            ("https://bank.example/", "HTTPS://BANK.example:443/ivr/ok?a=%2F..%2F&b=//c"),
            ("https://bank.example/ivr", "https://bank.example/ivr"),
            ("https://bank.example/ivr", "https://bank.example/ivr?x=1"),
            ("https://bank.example/ivr", "https://bank.example/ivr/ok"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/"),
            ("https://bank.example/", "https://bank.example/a%20b/...c"),
            ("http://10.0.0.1:8080/x/", "http://10.0.0.1:8080/x/y"),
        ]
    )
    func allowed(prefix: String, url: String) throws {
        #expect(try allows(prefix, url: url))
    }

    @Test(
        "a target that only looks as if it were under an allowed prefix is refused",
        arguments: [
            ("https://bank.example/", "https://bank.example.evil/"),
            ("https://bank.example", "https://bank.example.evil"),
            ("https://bank.example", "https://bank.exampleevil/"),
            ("https://bank.example/", "https://bank.example@evil/"),
            ("https://bank.example/", "https://bank.example:x@evil/"),
            ("https://bank.example/", "https://evil/https://bank.example/"),
            ("https://bank.example/", "https://evil#https://bank.example/"),
            ("https://bank.example/", "https://evil\\@bank.example/"),
            ("https://bank.example/", "https://bank.example\\.evil/"),
            ("https://bank.example/", "http://bank.example/"),
            ("https://bank.example/", "https://bank.example:8443/"),
            ("https://bank.example/", "https://bank.example./"),
            ("https://bank.example/", "https://bank%2eexample/"),
            ("https://bank.example/", "//bank.example/"),
            ("https://bank.example/", "https:/bank.example/"),
            ("https://bank.example/", " https://bank.example/"),
            ("https://bank.example/", "https://bank.example/\r\nX: y"),
            ("https://bank.example/", "https://bank.example/a b"),
            ("https://bank.example/", "https://bank.example/ü"),
            ("https://bank.example/", "https://bank.example/%zz"),
            ("https://bank.example/", "https://bank.example/?%1"),
            ("https://bank.example/ivr", "https://bank.example/ivrs"),
            ("https://bank.example/ivr/", "https://bank.example/ivr"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/../admin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/%2e%2e/admin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/.%2E/admin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/..;/admin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/.."),
            ("https://bank.example/ivr/", "https://bank.example/ivr/..%2fadmin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/..%5cadmin"),
            ("https://bank.example/ivr/", "https://bank.example/ivr/%252e%252e/admin"),
            ("https://bank.example/ivr/", "https://bank.example//ivr/"),
            ("https://bank.example/ivr/", "https://bank.example/IVR/"),
        ]
    )
    func refused(prefix: String, url: String) throws {
        #expect(try !allows(prefix, url: url))
    }

    @Test("any of several prefixes is enough, and none allows nothing")
    func several() throws {
        #expect(try allows("https://a.example/", "https://b.example/x", url: "https://b.example/x"))
        #expect(TargetAllowList([]).refusal(of: "https://a.example/") != nil)
    }

    @Test("a target of more than 2048 bytes is refused")
    func tooLong() throws {
        let url = "https://a.example/" + String(repeating: "a", count: 2048 - 18)
        #expect(try allows("https://a.example/", url: url))
        #expect(try !allows("https://a.example/", url: url + "a"))
    }

    @Test("a prefix with a query or a fragment is none")
    func badPrefix() {
        #expect(TargetAllowList.Prefix("https://a.example/?x") == nil)
        #expect(TargetAllowList.Prefix("https://a.example/#x") == nil)
        #expect(TargetAllowList.Prefix("https://a.example/../x") == nil)
    }
}
