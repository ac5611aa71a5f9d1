import Testing

@Suite("the rooms")
struct RoomTests {
    /// What each pure room may import; what is not here has effects and may import more.
    static let allowed: [(room: String, imports: Set<String>)] = [
        ("Raft", []),
        ("Verification", ["Digest"]),
        ("HTTP", []),
        // An OpenSSL context may be used by one thread at a time; the lock that sees to it is no effect.
        ("Digest", ["COpenSSL", "CCRC32C", "Synchronization"]),
        ("Journal", ["Raft", "Digest"]),
        ("Store", ["Raft", "Verification", "Journal", "Digest"]),
        ("Replica", ["Raft", "Verification", "Journal", "Store", "Digest"]),
        ("Backup", ["Raft", "Verification", "Journal", "Store", "Digest"]),
        ("Providers", ["Verification", "HTTP", "Digest"]),
        ("Chaos", []),
    ]

    /// The module of an import line: `package import struct Raft.Term` imports Raft.
    static func module(_ line: Substring) -> String? {
        let words = line.prefix { $0 != "/" }.split { $0 == " " || $0 == "\t" }
        guard let place = words.firstIndex(of: "import"),
            words[..<place].allSatisfy({
                ["package", "public", "internal", "private", "fileprivate"].contains($0)
                    || $0.hasPrefix("@")
            })
        else { return nil }
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "protocol", "typealias", "func", "var", "let",
        ]
        let name = words[(place + 1)...].drop { kinds.contains($0) }.first
        return name.map { String($0.prefix { $0 != "." }) }
    }

    /// Assigning through an optional that a noncopyable value holds leaks what was there (Swift 6.3).
    ///
    /// The old value is never released: a node that fetched a state kept each piece of it in memory for good.
    @Test("nothing is assigned through an optional where noncopyable types are at work")
    func optionalAssignments() throws {
        let files = try Repository.files(under: "Sources", withExtension: "swift")
        let types = files.flatMap { file in
            file.lines.compactMap { line -> String? in
                let words = line.split { $0 == " " || $0 == ":" }
                guard line.contains(": ~Copyable"), let at = words.firstIndex(of: "struct") else {
                    return nil
                }
                return words[(at + 1)...].first.map(String.init)
            }
        }
        #expect(types.contains("ReplicaNode") && types.contains("RaftNode"))
        for file in files {
            let isAtWork = file.lines.contains { line in
                types.contains {
                    line.contains("extension \($0) ") || line.contains("struct \($0): ~Copyable")
                }
            }
            guard isAtWork else { continue }
            for (offset, line) in file.lines.enumerated() {
                #expect(
                    !RoomTests.assignsThroughOptional(line),
                    "\(file.path):\(offset + 1): \(line)"
                )
            }
        }
    }

    static func assignsThroughOptional(_ line: Substring) -> Bool {
        line.firstMatch(of: #/^\s*[\w.]*\w\?\.[\w.]+ [+-]?= /#) != nil
    }

    @Test("an assignment through an optional is seen")
    func optionalAssignmentLines() {
        #expect(RoomTests.assignsThroughOptional("        installing?.batch = nil"))
        #expect(RoomTests.assignsThroughOptional("    store.job?.count += 1"))
        #expect(!RoomTests.assignsThroughOptional("        installing?.take()"))
        #expect(!RoomTests.assignsThroughOptional("    guard transfer?.isSent == false else {"))
        #expect(!RoomTests.assignsThroughOptional("        records[number]?.stage = .writing"))
    }

    @Test("an import is seen however it is written")
    func importLines() {
        #expect(RoomTests.module("import Glibc") == "Glibc")
        #expect(RoomTests.module("package import struct Raft.Term // why") == "Raft")
        #expect(RoomTests.module("@testable import HTTP") == "HTTP")
        #expect(RoomTests.module("// import Glibc") == nil)
        #expect(RoomTests.module("let text = \"import Glibc\"") == nil)
    }

    @Test("a pure room imports what it may and nothing else", arguments: allowed)
    func imports(room: String, imports: Set<String>) throws {
        let files = try Repository.files(under: "Sources/\(room)", withExtension: "swift")
        #expect(!files.isEmpty, "Sources/\(room) has no Swift files")
        for file in files {
            for (offset, line) in file.lines.enumerated() {
                guard let module = RoomTests.module(line) else { continue }
                #expect(
                    imports.contains(module),
                    """
                    \(file.path):\(offset + 1) imports \(module), but \(room) may import only \
                    \(imports.sorted()): it decides, and the effects belong into Reactor or Server.
                    """
                )
            }
        }
    }

    @Test("a pure room has no unsafe expression", arguments: allowed.map(\.room))
    func noUnsafe(room: String) throws {
        // Digest hands buffers to OpenSSL.
        if room == "Digest" { return }
        for file in try Repository.files(under: "Sources/\(room)", withExtension: "swift") {
            let places = file.places { line in
                code(of: line).split { !$0.isLetter && !$0.isNumber && $0 != "_" }.contains(
                    "unsafe"
                )
            }
            #expect(
                places.isEmpty,
                "\(places) say `unsafe`: memory is read and written only where C is called."
            )
        }
    }

    @Test("concurrency checks are not switched off in a pure room", arguments: allowed.map(\.room))
    func noUnchecked(room: String) throws {
        for file in try Repository.files(under: "Sources/\(room)", withExtension: "swift") {
            let places = file.places { code(of: $0).contains("@unchecked") }
            #expect(
                places.isEmpty,
                "\(places) say `@unchecked`: a value of a pure room is Sendable."
            )
        }
    }

    /// A line without its comment.
    private func code(of line: Substring) -> Substring {
        guard let comment = line.firstRange(of: "//") else { return line }
        return line[..<comment.lowerBound]
    }

    @Test("the manifest names no package dependency")
    func noDependency() throws {
        let manifest = try Repository.files(under: "Package.swift")
        #expect(manifest.count == 1)
        let places = manifest[0].places { $0.contains(".package(") }
        #expect(
            places.isEmpty,
            "\(places): the toolchain's libraries and the system's OpenSSL are all there is."
        )
    }
}
