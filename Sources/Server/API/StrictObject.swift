internal import FoundationEssentials
internal import HTTP

/// Any member name of a JSON object, so that an unknown one can be seen and named.
struct MemberName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { self.init(String(intValue)) }
}

/// A JSON object whose members must all be known; `null` counts as absent.
///
/// Errors name the member by its path and never quote a value, since a value may be digits.
struct StrictObject {
    private let container: KeyedDecodingContainer<MemberName>
    private let path: String

    /// Opens the object; `path` is where it stands in the body, empty for the body itself.
    init(from decoder: any Decoder, at path: String, members: [String]) throws {
        do {
            container = try decoder.container(keyedBy: MemberName.self)
        } catch {
            throw Problem.invalid(field: path.isEmpty ? "body" : path, "must be an object")
        }
        self.path = path
        for key in container.allKeys where !members.contains(key.stringValue) {
            throw Problem.invalid(
                field: StrictObject.join(path, StrictObject.shown(key.stringValue)),
                "no such member is known here"
            )
        }
    }

    /// The member's value; `nil` if it is absent or `null`.
    func value<Value: Decodable>(
        _ type: Value.Type,
        _ name: String,
        expected: StaticString
    ) throws -> Value? {
        do {
            return try container.decodeIfPresent(type, forKey: MemberName(name))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem.invalid(field: StrictObject.join(path, name), "must be \(expected)")
        }
    }

    static func join(_ path: String, _ name: String) -> String {
        path.isEmpty ? name : "\(path).\(name)"
    }

    /// An unknown member's name comes from outside; a long one is cut.
    private static func shown(_ name: String) -> String {
        name.utf8.count <= 64 ? name : "\(name.prefix(16))…"
    }
}

/// Reads JSON bodies; one a thread, since its decoder is used again and again.
struct JSONBody {
    static let contentType = "application/json"

    private let decoder = JSONDecoder()

    /// Reads a whole body.
    ///
    /// - Throws: `Problem` naming the field, or `body` if it is not JSON at all.
    func read<Body: Decodable>(_ type: Body.Type, _ bytes: [UInt8]) throws(Problem) -> Body {
        do {
            return try decoder.decode(type, from: Data(bytes))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw .invalid(field: "body", "must be a JSON object in UTF-8")
        }
    }

    /// Refuses a body of another type than JSON.
    ///
    /// Absent passes: then the body itself has to show that it is JSON.
    static func checkType(_ headers: Headers) throws(Problem) {
        guard headers.count("content-type") > 0 else { return }
        guard headers.hasMediaType(contentType) else {
            throw .unsupportedType(expected: contentType)
        }
    }
}
