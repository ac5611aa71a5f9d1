import Foundation
import HTTP
import Providers
import Testing

/// Signatures made by Twilio's published examples and by its own SDK.
@Suite("Twilio's signature vectors") struct TwilioVectorTests {
    struct File: Decodable {
        var cases: [Vector]
    }
    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        struct Configuration: Decodable, Sendable {
            var auth_token: String
            var shared_keys: [String: String]?
        }
        struct Message: Decodable, Sendable {
            var method: String
            var url: String
            var headers: [String: String]
            var body: String
        }
        struct Expectation: Decodable, Sendable {
            var valid: Bool
            var reason: String
        }
        var id: String
        var config: Configuration
        var request: Message
        var expect: Expectation
        var testDescription: String { id }
    }

    static func vectors() throws -> [Vector] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Vectors/twilio.json")
        return try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).cases
    }

    /// Splits a URL into the origin a node is configured with and the target it is asked for.
    func split(_ url: String) throws -> (origin: PublicOrigin, target: String) {
        guard let slashes = url.range(of: "://"),
            let slash = url[slashes.upperBound...].firstIndex(of: "/")
        else { throw ExampleError.notAURL(url) }
        return (try Example.origin(String(url[..<slash])), String(url[slash...]))
    }

    func verdict(on vector: Vector, tokens: [String], method: String? = nil) throws -> String {
        let provider = try TwilioProvider(
            secrets: tokens.map { Secret($0) },
            sharedKeys: (vector.config.shared_keys ?? [:]).map {
                TwilioSharedKey(id: $0.key, secret: Secret($0.value))
            }
        )
        let (origin, target) = try split(vector.request.url)
        let request = Request(
            method: vector.request.method == "GET" ? .get : .post,
            target: target,
            headers: Headers(vector.request.headers.map { ($0.key, $0.value) }),
            body: Array(vector.request.body.utf8)
        )
        do throws(CallbackError) {
            _ = try provider.authenticate(request, at: origin)
            return "ok"
        } catch {
            guard case .unauthenticated(let reason) = error else { return "\(error)" }
            return reason.rawValue
        }
    }

    @Test("every case has the verdict and the reason it should")
    func all() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count == 15)
        for vector in vectors {
            let found = try verdict(on: vector, tokens: [vector.config.auth_token])
            #expect(found == vector.expect.reason, "\(vector.id)")
            #expect((found == "ok") == vector.expect.valid, "\(vector.id)")
        }
    }

    @Test("with a second active secret, in either place, each verdict is the same")
    func rotation() throws {
        for vector in try Self.vectors() {
            let token = vector.config.auth_token
            for tokens in [[token, "another"], ["another", token]] {
                #expect(
                    try verdict(on: vector, tokens: tokens) == vector.expect.reason,
                    "\(vector.id)"
                )
            }
        }
    }
}
