import Foundation
import Testing

@Suite("the repository is tidy")
struct TidyTests {
    @Test("at the top level is what belongs there")
    func topLevel() throws {
        let allowed: Set<String> = [
            "Package.swift", "Sources", "Tests", "cluster", "docs", "README.md",
        ]
        for entry in try Repository.entries() where !entry.hasPrefix(".") {
            #expect(
                allowed.contains(entry),
                "\(entry) does not belong at the top level; \(allowed.sorted()) and dot files do."
            )
        }
    }

    /// Spelt apart, so that these lines do not mark themselves.
    static let forbiddenMarkers = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]

    @Test("no marker of work that was left is in the files", arguments: TidyTests.forbiddenMarkers)
    func markers(marker: String) throws {
        for file in try Repository.all() {
            let places = file.places { line in
                line.split { !$0.isLetter && !$0.isNumber }.contains { $0 == marker }
            }
            #expect(
                places.isEmpty,
                "\(places) say \(marker): do it, or write down what is missing and what would finish it."
            )
        }
    }

    @Test("no file names a place on the machine that it was written on")
    func machinePaths() throws {
        let homes = [
            "/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "/Us" + "ers/", "/op" + "t/swift",
        ]
        for file in try Repository.all() {
            for home in homes {
                let places = file.places { line in
                    // A URL's path, and a part of a longer path, are none.
                    line.ranges(of: home).contains { range in
                        guard range.lowerBound > line.startIndex else { return true }
                        let before = line[line.index(before: range.lowerBound)]
                        return !before.isLetter && !before.isNumber && !"/._-*}".contains(before)
                    }
                }
                #expect(
                    places.isEmpty,
                    "\(places) name \(home): another machine has its files elsewhere."
                )
            }
        }
    }

    @Test("every relative link of the documents leads to a file")
    func links() throws {
        let documents = try Repository.documents()
        #expect(!documents.isEmpty)
        for file in documents {
            let directory = file.path.split(separator: "/").dropLast().joined(separator: "/")
            for (offset, line) in file.lines.enumerated() {
                for link in TidyTests.links(in: line) {
                    let path = link.prefix { $0 != "#" }
                    if path.isEmpty { continue }
                    let target = directory.isEmpty ? String(path) : "\(directory)/\(path)"
                    #expect(
                        Repository.exists(target),
                        "\(file.path):\(offset + 1) links to \(link), which is not there."
                    )
                }
            }
        }
    }

    /// The targets of `[text](target)` that are no URLs.
    static func links(in line: Substring) -> [Substring] {
        line.matches(of: /\]\(([^()\s]+)\)/).map(\.1).filter { link in
            !link.contains("://") && !link.hasPrefix("mailto:")
        }
    }

    @Test("a link is seen wherever it stands")
    func linkLines() {
        #expect(
            TidyTests.links(in: "see [a](b.md), [c](d/e.md#f) and [g](https://h)") == [
                "b.md", "d/e.md#f",
            ]
        )
        #expect(TidyTests.links(in: "call f(x)[1] (y)").isEmpty)
    }

    @Test("every file and script that the documents name in code is there")
    func namedFiles() throws {
        let top = ["Sources/", "Tests/", "cluster/", "docs/", ".ci/"]
        for file in try Repository.documents() {
            for (offset, line) in file.lines.enumerated() {
                for code in line.matches(of: /`([^`]+)`/).map(\.1) {
                    // The command's first word; a pattern or a gap stands for many.
                    let word = code.prefix { $0 != " " && $0 != ":" }
                    guard top.contains(where: { word.hasPrefix($0) }),
                        !word.contains(where: { "*<…".contains($0) })
                    else { continue }
                    #expect(
                        Repository.exists(String(word)),
                        "\(file.path):\(offset + 1) names \(word), which is not there."
                    )
                }
            }
        }
    }

    @Test("every type that the documents name as `Room.Type` is declared in that room")
    func namedTypes() throws {
        let rooms = try Repository.entries("Sources")
        for file in try Repository.documents() {
            for (offset, line) in file.lines.enumerated() {
                for match in line.matches(of: /`([A-Z]\w*)\.([A-Z]\w*)/) {
                    guard rooms.contains(String(match.1)) else { continue }
                    let declares = try Regex(
                        "\\b(struct|enum|class|protocol|typealias|actor) \(match.2)\\b"
                    )
                    let isDeclared = try Repository.files(
                        under: "Sources/\(match.1)",
                        withExtension: "swift"
                    ).contains { $0.lines.contains { $0.contains(declares) } }
                    #expect(
                        isDeclared,
                        "\(file.path):\(offset + 1) names \(match.1).\(match.2), which is not declared."
                    )
                }
            }
        }
    }
}
