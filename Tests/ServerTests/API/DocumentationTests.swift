import FoundationEssentials
import Server
import Testing

@Suite("The API's documents")
struct DocumentationTests {
    private func document(_ name: String) throws -> String {
        var root = #filePath[...]
        for _ in 0..<4 { root = root[..<(try #require(root.lastIndex(of: "/")))] }
        return try String(contentsOfFile: "\(root)/docs/\(name)", encoding: .utf8)
    }

    /// The operations under `paths:`, as `METHOD /path`; indentation is the whole of its grammar.
    private func operations(_ yaml: String) -> Set<String> {
        let methods = ["get", "put", "post", "delete", "patch", "head", "options"]
        var found: Set<String> = []
        var isInPaths = false
        var path = ""
        for line in yaml.split(separator: "\n") {
            if !line.hasPrefix(" ") { isInPaths = line == "paths:" }
            guard isInPaths, line.hasSuffix(":") else { continue }
            if line.hasPrefix("  /") {
                path = String(line.dropFirst(2).dropLast())
            } else if line.hasPrefix("    "), methods.contains(String(line.dropFirst(4).dropLast()))
            {
                found.insert("\(line.dropFirst(4).dropLast().uppercased()) \(path)")
            }
        }
        return found
    }

    @Test("docs/openapi.yaml has every route of the router, and no other")
    func routes() throws {
        let served = RouteKind.allCases.flatMap { kind in
            kind.methods.map { "\($0) \(kind.template)" }
        }
        #expect(try operations(document("openapi.yaml")) == Set(served))
    }

    @Test("docs/http-api.md names every route", arguments: RouteKind.allCases)
    func prose(kind: RouteKind) throws {
        #expect(try document("http-api.md").contains(kind.template))
    }

    @Test("both documents list every problem, and openapi.yaml no other")
    func problems() throws {
        let listed = try document("openapi.yaml").split(separator: "\n").compactMap { line in
            line.split(separator: " - \(Problem.typePrefix)").count == 2
                ? line.split(separator: ":").last.map(String.init) : nil
        }
        #expect(Set(listed) == Set(Problem.Kind.all.map(\.name)))
        let prose = try document("http-api.md")
        for kind in Problem.Kind.all {
            #expect(prose.contains("| `\(kind.name)` | \(kind.status) | \(kind.title) |"))
        }
    }
}
