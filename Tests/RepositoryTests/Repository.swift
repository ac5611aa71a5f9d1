import Foundation

/// This repository's own files.
enum Repository {
    static let root: URL = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct File: Sendable {
        /// Relative to the root.
        var path: String
        var lines: [Substring]

        /// `path:line`, counted from 1, of each line that a rule does not like.
        func places(where isBad: (Substring) -> Bool) -> [String] {
            lines.enumerated().filter { isBad($0.element) }.map { "\(path):\($0.offset + 1)" }
        }
    }

    /// The entries of a directory that belong to the repository; build products do not.
    static func entries(_ path: String = "") throws -> [String] {
        try FileManager.default
            .contentsOfDirectory(atPath: root.appendingPathComponent(path).path)
            .filter { !isProduct($0) }
            .sorted()
    }

    private static func isProduct(_ name: String) -> Bool {
        name == ".git" || name.hasPrefix(".build") || name == ".verdict" || name.hasPrefix(".swp")
            || name == "Package.resolved" || name.hasSuffix(".profraw")
    }

    /// All text files under a directory, or the one file.
    static func files(under path: String, withExtension ext: String? = nil) throws -> [File] {
        let url = root.appendingPathComponent(path)
        guard exists(path) else { return [] }
        let isDirectory = try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory ?? false
        if !isDirectory {
            guard ext == nil || url.pathExtension == ext else { return [] }
            let text = String(decoding: try Data(contentsOf: url), as: UTF8.self)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            return [File(path: path, lines: lines)]
        }
        return try entries(path).flatMap { try files(under: "\(path)/\($0)", withExtension: ext) }
    }

    /// Files that people read.
    static func documents() throws -> [File] {
        try files(under: "README.md") + files(under: "docs", withExtension: "md")
    }

    /// Every text file of the repository.
    static func all() throws -> [File] {
        try entries().flatMap { try files(under: $0) }
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
    }
}
